import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { createRota } from '../../producers/rota.ts'
import { handClock } from './engine-kit.ts'

interface Started {
  readonly id: string
  readonly dueMs: number
  readonly atMs: number
  end(nextInMs: number | null): void
}

/** A rota whose turns end when the test says so. */
function rotaOf(concurrency: number) {
  const clock = handClock()
  const worker = new AbortController()
  const started: Started[] = []
  const running = new Map<string, Started>()
  const rota = createRota({ clock, concurrency, signal: worker.signal }, (id, dueMs) => {
    expect(running.has(id), `two turns of ${id} at once`).toBe(false)
    const { promise, resolve } = Promise.withResolvers<number | null>()
    const turn: Started = {
      id,
      dueMs,
      atMs: clock.now(),
      end(nextInMs) {
        running.delete(id)
        resolve(nextInMs === null ? null : clock.now() + nextInMs)
      },
    }
    running.set(id, turn)
    started.push(turn)
    return promise
  })
  return { rota, clock, worker, started, running }
}

type Step =
  | { readonly kind: 'put'; readonly id: number; readonly inMs: number }
  | { readonly kind: 'remove'; readonly id: number }
  | { readonly kind: 'end'; readonly pick: number; readonly nextInMs: number | null }
  | { readonly kind: 'pass'; readonly ms: number }

const id = fc.nat({ max: 9 })
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constant('put' as const), id, inMs: fc.integer({ min: -50, max: 50 }) }),
  fc.record({ kind: fc.constant('remove' as const), id }),
  fc.record({ kind: fc.constant('end' as const), pick: fc.nat(), nextInMs: fc.option(fc.nat({ max: 60 })) }),
  fc.record({ kind: fc.constant('pass' as const), ms: fc.nat({ max: 40 }) }),
)

/** The same promise on a plain list: when each tenant is due, and who has a turn. */
function listOf(concurrency: number) {
  const due = new Map<string, number>()
  const busy = new Map<string, { againMs: number | null; removed: boolean }>()
  const starts: string[] = []
  const earlier = (a: number | null, b: number | null): number | null =>
    a === null || b === null ? (a ?? b) : Math.min(a, b)
  return {
    due,
    busy,
    starts,
    put(id: string, dueMs: number) {
      const turn = busy.get(id)
      if (turn) busy.set(id, { againMs: earlier(turn.againMs, dueMs), removed: false })
      else due.set(id, Math.min(dueMs, due.get(id) ?? Infinity))
    },
    remove(id: string) {
      due.delete(id)
      if (busy.has(id)) busy.set(id, { againMs: null, removed: true })
    },
    end(id: string, nextMs: number | null) {
      const turn = busy.get(id)
      busy.delete(id)
      const next = earlier(nextMs, turn?.againMs ?? null)
      if (turn && !turn.removed && next !== null) due.set(id, next)
    },
    /** All that may begin now; among equals any order is right. */
    begin(nowMs: number): { dueMs: number; ids: string[] }[] {
      const ready = [...due].filter(([, dueMs]) => dueMs <= nowMs).toSorted((a, b) => a[1] - b[1])
      const free = ready.slice(0, Math.max(0, concurrency - busy.size))
      return free.map(([, dueMs]) => ({ dueMs, ids: ready.filter(each => each[1] === dueMs).map(([id]) => id) }))
    },
    began(id: string) {
      due.delete(id)
      busy.set(id, { againMs: null, removed: false })
    },
  }
}

/** Plays the same steps to the rota and to the list; fails where they differ. */
async function compare(steps: readonly Step[], concurrency: number, listConcurrency = concurrency): Promise<void> {
  const { rota, clock, started, running } = rotaOf(concurrency)
  const list = listOf(listConcurrency)
  let checked = 0
  async function settle(): Promise<void> {
    await clock.advance(0)
    const wanted = list.begin(clock.now())
    const fresh = started.slice(checked)
    checked = started.length
    expect(fresh.map(({ dueMs }) => dueMs)).toEqual(wanted.map(({ dueMs }) => dueMs))
    for (const [n, { id }] of fresh.entries()) {
      expect(wanted[n]?.ids).toContain(id)
      list.began(id)
    }
    expect(rota.running).toBe(list.busy.size)
    expect(rota.waiting).toBe(list.due.size)
  }
  for (const step of steps) {
    switch (step.kind) {
      case 'put':
        rota.put(`t${step.id}`, clock.now() + step.inMs)
        list.put(`t${step.id}`, clock.now() + step.inMs)
        break
      case 'remove':
        rota.remove(`t${step.id}`)
        list.remove(`t${step.id}`)
        break
      case 'end': {
        const turn = [...running.values()][step.pick % Math.max(1, running.size)]
        if (!turn) break
        turn.end(step.nextInMs)
        list.end(turn.id, step.nextInMs === null ? null : clock.now() + step.nextInMs)
        break
      }
      case 'pass':
        // ms by ms, so that the list begins what the clock lets begin
        for (let ms = 0; ms < step.ms; ms++) {
          await clock.advance(1)
          await settle()
        }
    }
    await settle()
  }
}

const steps = fc.array(step, { maxLength: 40, size: 'max' })

test('the most overdue first, one turn a tenant, no more at once than allowed: as a sorted list would', async () => {
  await fc.assert(
    fc.asyncProperty(steps, fc.integer({ min: 1, max: 4 }), (all, concurrency) => compare(all, concurrency)),
    { numRuns: 100 },
  )
})

test('without the same bound on both sides they differ, and it shows', async () => {
  const run = fc.asyncProperty(steps, all => compare(all, 2, 3))
  expect((await fc.check(run, { numRuns: 200, endOnFailure: true })).failed).toBe(true)
})

test('the order of a great many is that of their times, also when some of them are taken out', async () => {
  const one = fc.record({ inMs: fc.integer({ min: -1_000, max: 0 }), stays: fc.boolean() })
  await fc.assert(
    fc.asyncProperty(fc.array(one, { maxLength: 200, size: 'max' }), async all => {
      const { rota, clock, started, running } = rotaOf(1)
      rota.put('first', clock.now())
      for (const [n, { inMs }] of all.entries()) rota.put(`t${n}`, clock.now() + inMs)
      for (const [n, { stays }] of all.entries()) if (!stays) rota.remove(`t${n}`)
      for (let turn = [...running.values()][0]; turn; turn = [...running.values()][0]) {
        turn.end(null)
        await clock.advance(0)
      }
      const due = started.slice(1).map(({ dueMs }) => dueMs - clock.now())
      const wanted = all.filter(({ stays }) => stays).map(({ inMs }) => inMs)
      expect(due).toEqual(wanted.toSorted((a, b) => a - b))
      expect([rota.waiting, rota.running]).toEqual([0, 0])
    }),
    { numRuns: 50 },
  )
})

test('a turn comes when it is due and not before, also when an earlier one is put meanwhile', async () => {
  const { rota, clock, started } = rotaOf(2)
  rota.put('late', clock.now() + 10_000)
  rota.put('early', clock.now() + 4_000)
  await clock.advance(3_999)
  expect(started).toEqual([])
  await clock.advance(1)
  expect(started.map(({ id }) => id)).toEqual(['early'])
  await clock.advance(5_999)
  expect(started).toHaveLength(1)
  await clock.advance(1)
  expect(started.map(({ id }) => id)).toEqual(['early', 'late'])
})

test('what is put while its turn runs comes right after it, once', async () => {
  const { rota, clock, started } = rotaOf(2)
  rota.put('a', clock.now())
  rota.put('a', clock.now())
  rota.put('a', clock.now())
  expect(started).toHaveLength(1)
  started[0]?.end(60_000)
  await clock.advance(0)
  expect(started).toHaveLength(2)
  started[1]?.end(60_000)
  await clock.advance(59_999)
  expect(started).toHaveLength(2)
})

test('a clock that is set back delays nobody', async () => {
  const { rota, clock, started } = rotaOf(1)
  rota.put('a', clock.now() + 5_000)
  clock.set(clock.now() - 3_600_000)
  rota.put('b', clock.now() + 7_000)
  await clock.advance(5_000)
  expect(started.map(({ id }) => id)).toEqual(['a'])
})

test('nothing begins once the worker stops', async () => {
  const { rota, clock, worker, started } = rotaOf(2)
  rota.put('a', clock.now() + 1_000)
  worker.abort(new Error('stop'))
  rota.put('b', clock.now())
  await clock.advance(5_000)
  expect(started).toEqual([])
})
