import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import type { EngineAnswer, ItemAnswer } from '../../consumers/engine/answer.ts'
import { createCircuit } from '../../consumers/engine/circuit.ts'
import { createForward, type ItemFate } from '../../consumers/forward.ts'
import { acceptAll, each, handClock, items, scriptedEngine } from './engine-kit.ts'

const itemAnswer: fc.Arbitrary<ItemAnswer> = fc.constantFrom<ItemAnswer[]>(
  { kind: 'accepted' },
  { kind: 'known' },
  { kind: 'again', detail: 'status 503' },
  { kind: 'rejected', status: 400, error: 'no' },
)

/** One turn of the engine; `fates` are dealt to the items of the batch in turn. */
type Turn = { readonly whole: EngineAnswer } | { readonly fates: readonly ItemAnswer[]; readonly short: boolean }

const turn: fc.Arbitrary<Turn> = fc.oneof(
  fc.record({ fates: fc.array(itemAnswer, { minLength: 1, maxLength: 5 }), short: fc.boolean() }),
  fc.record({
    whole: fc.oneof(
      fc.record({
        kind: fc.constant('again' as const),
        busy: fc.boolean(),
        retryAfterMs: fc.option(fc.integer({ min: 0, max: 1_000_000 })),
        detail: fc.constant(''),
      }),
      fc.constant<EngineAnswer>({ kind: 'blocked', detail: 'HTTP 401' }),
      fc.constant<EngineAnswer>({ kind: 'too-large' }),
      fc.constant<EngineAnswer>({ kind: 'bad-batch', status: 400, detail: 'HTTP 400' }),
      fc.constant<EngineAnswer>({ kind: 'bad-encoding' }),
    ),
  }),
)

function say(turn: Turn | undefined, ids: readonly string[]): EngineAnswer {
  if (!turn) return acceptAll(ids)
  if ('whole' in turn) return turn.whole
  const fates = ids.flatMap((_, position) => turn.fates[position % turn.fates.length] ?? [])
  return { kind: 'items', fates: turn.short ? fates.slice(1) : fates }
}

const plan = fc.record({
  lanes: fc.array(fc.integer({ min: 0, max: 12 }), { minLength: 1, maxLength: 4 }),
  script: fc.array(turn, { maxLength: 40 }),
  maxItems: fc.integer({ min: 1, max: 6 }),
  itemAttempts: fc.integer({ min: 1, max: 4 }),
  isolateAfter: fc.integer({ min: 1, max: 3 }),
  random: fc.double({ min: 0, max: 0.999, noNaN: true }),
  /** Ends one lane after so many requests of all. */
  end: fc.option(fc.record({ by: fc.constantFrom('halt', 'abort'), afterRequests: fc.integer({ min: 0, max: 30 }) })),
})

test('whatever the engine does: one fate per item, none sent after its fate, one request per lane, limits kept', async () => {
  await fc.assert(
    fc.asyncProperty(plan, async ({ lanes, script, end, random, ...limits }) => {
      const clock = handClock()
      const circuit = createCircuit({ clock, random: () => random, observe: { circuit: () => {} } })
      const fates = lanes.map(() => new Map<string, ItemFate>())
      const inFlight = new Set<number>()
      const controllers = lanes.map(() => ({ halt: new AbortController(), abort: new AbortController() }))
      const sentAfterEnd: number[] = []
      let requests = 0
      const scripted = scriptedEngine((ids, request) => say(script[request], ids))
      const forward = createForward({
        engine: {
          async post(batch, signal) {
            const lane = Number(batch[0]?.source)
            expect(inFlight.has(lane)).toBe(false)
            expect(batch.length).toBeGreaterThan(0)
            expect(batch.length).toBeLessThanOrEqual(limits.maxItems)
            expect(new Set(batch.map(each => each.alertId)).size).toBe(batch.length)
            for (const sent of batch) expect(fates[lane]?.has(sent.alertId)).toBe(false)
            const controller = controllers[lane]
            if (controller?.halt.signal.aborted || controller?.abort.signal.aborted) sentAfterEnd.push(lane)
            if (end && requests++ === end.afterRequests)
              controllers[0]?.[end.by === 'halt' ? 'halt' : 'abort'].abort('end')
            inFlight.add(lane)
            try {
              return await scripted.post(batch, signal)
            } finally {
              inFlight.delete(lane)
            }
          },
        },
        circuit,
        clock,
        random: () => random,
        limits: { maxBytes: 2_000, backoff: { firstMs: 100, maxMs: 10_000 }, maxRetryAfterMs: 300_000, ...limits },
        observe: { attempt: () => {} },
      })
      const ends = await clock.until(
        Promise.allSettled(
          lanes.map((count, lane) => {
            const batch = items(count).map(each => ({ ...each, source: String(lane) }))
            const tell = (index: number, fate: ItemFate) => {
              const id = batch[index]?.alertId ?? 'none'
              expect(fates[lane]?.has(id)).toBe(false)
              expect(controllers[lane]?.abort.signal.aborted).toBe(false)
              fates[lane]?.set(id, fate)
            }
            return forward(batch, tell, {
              halt: controllers[lane]?.halt.signal ?? never,
              abort: controllers[lane]?.abort.signal ?? never,
            })
          }),
        ),
      )
      expect(sentAfterEnd).toEqual([])
      for (const [lane, outcome] of ends.entries()) {
        const complete = fates[lane]?.size === lanes[lane]
        if (outcome.status === 'rejected') {
          expect(outcome.reason).toBe('end')
          expect(lane === 0 && end?.by === 'abort').toBe(true)
        } else if (outcome.value === 'stopped') {
          expect(lane === 0 && end?.by === 'halt').toBe(true)
          expect(complete).toBe(false)
        } else expect(complete).toBe(true)
      }
      expect(clock.sleeping).toBe(0)
    }),
    { numRuns: 300 },
  )
})

const never = new AbortController().signal

test('an engine whose trouble is only its own never gets anything parked', async () => {
  const dependencyTrouble = turn.map((each): Turn => {
    if ('whole' in each)
      return each.whole.kind === 'too-large' || each.whole.kind === 'bad-batch'
        ? { whole: { kind: 'blocked', detail: '' } }
        : each
    return { fates: [{ kind: 'again', detail: 'status 500' }], short: each.short }
  })
  await fc.assert(
    fc.asyncProperty(
      fc.array(dependencyTrouble, { maxLength: 60 }),
      fc.integer({ min: 1, max: 8 }),
      async (script, count) => {
        const clock = handClock()
        const forward = createForward({
          engine: scriptedEngine((ids, request) => say(script[request], ids)),
          circuit: createCircuit({ clock, random: () => 0.5, observe: { circuit: () => {} } }),
          clock,
          random: () => 0.5,
          limits: {
            maxItems: 3,
            maxBytes: 10_000,
            itemAttempts: 1,
            isolateAfter: 1,
            backoff: { firstMs: 1, maxMs: 9 },
            maxRetryAfterMs: 10,
          },
          observe: { attempt: () => {} },
        })
        const fates: ItemFate[] = []
        const outcome = await clock.until(
          forward(items(count), (_, fate) => fates.push(fate), { halt: never, abort: never }),
        )
        expect(outcome).toBe('done')
        expect(fates).toEqual(items(count).map(() => ({ kind: 'delivered', known: false })))
      },
    ),
    { numRuns: 100 },
  )
})

test('the fates of a batch belong to its items, whatever the order and the halves they travelled in', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.constantFrom('ok', 'known', 'bad', 'huge', 'no'), { maxLength: 30 }), async wishes => {
      const clock = handClock()
      const wish = (id: string) => wishes[Number(id.slice('alert-'.length))]
      const engine = scriptedEngine(ids => {
        if (ids.some(id => wish(id) === 'huge')) return { kind: 'too-large' }
        if (ids.some(id => wish(id) === 'bad')) return { kind: 'bad-batch', status: 400, detail: 'HTTP 400' }
        return each(ids, id => {
          if (wish(id) === 'no') return { kind: 'rejected', status: 404, error: id }
          return wish(id) === 'known' ? { kind: 'known' } : { kind: 'accepted' }
        })
      })
      const forward = createForward({
        engine,
        circuit: createCircuit({ clock, random: () => 0, observe: { circuit: () => {} } }),
        clock,
        random: () => 0,
        limits: {
          maxItems: 8,
          maxBytes: 10_000,
          itemAttempts: 3,
          isolateAfter: 3,
          backoff: { firstMs: 1, maxMs: 1 },
          maxRetryAfterMs: 1,
        },
        observe: { attempt: () => {} },
      })
      const fates: string[] = []
      await clock.until(
        forward(
          items(wishes.length),
          (index, fate) => {
            fates[index] = fate.kind === 'delivered' ? (fate.known ? 'known' : 'ok') : fate.reason
          },
          { halt: never, abort: never },
        ),
      )
      const expected = { ok: 'ok', known: 'known', bad: 'bad-item', huge: 'too-large', no: 'rejected' }
      expect(fates).toEqual(wishes.map(each => expected[each]))
    }),
    { numRuns: 100 },
  )
})
