import { getEventListeners } from 'node:events'
import { describe, expect, test } from 'vitest'
import type { EngineAnswer } from '../../consumers/engine/answer.ts'
import { buildBody } from '../../consumers/engine/body.ts'
import { createCircuit } from '../../consumers/engine/circuit.ts'
import type { Engine } from '../../consumers/engine/client.ts'
import type { EngineItem } from '../../consumers/engine/item.ts'
import { createForward, FORWARD_LIMITS, type ForwardLimits, type ItemFate } from '../../consumers/forward.ts'
import { ACCEPTED, acceptAll, each, handClock, item, items, scriptedEngine } from './engine-kit.ts'

const BUSY: EngineAnswer = { kind: 'again', busy: true, retryAfterMs: null, detail: 'HTTP 429' }
const BROKEN: EngineAnswer = { kind: 'again', busy: false, retryAfterMs: null, detail: 'HTTP 500' }
const BLOCKED: EngineAnswer = { kind: 'blocked', detail: 'HTTP 401' }

function worker(engine: Engine, limits: Partial<ForwardLimits> = {}) {
  const clock = handClock()
  const attempts: [string, number, number][] = []
  const states: string[] = []
  const circuit = createCircuit({ clock, random: () => 1, observe: { circuit: state => states.push(state) } })
  const forward = createForward({
    engine,
    circuit,
    clock,
    random: () => 1,
    limits: { ...FORWARD_LIMITS, ...limits },
    observe: { attempt: (...seen) => attempts.push(seen) },
  })
  /** Starts a lane; its fates are filled in as they come. */
  function lane(batch: readonly EngineItem[]) {
    const fates = new Map<number, ItemFate>()
    const halt = new AbortController()
    const abort = new AbortController()
    const done = forward(
      batch,
      (index, fate) => {
        expect(fates.has(index), `a second fate for item ${index}`).toBe(false)
        fates.set(index, fate)
      },
      { halt: halt.signal, abort: abort.signal },
    )
    done.catch(() => {})
    return { fates, halt, abort, done }
  }
  return { clock, circuit, attempts, states, forward, lane }
}

function kinds(fates: ReadonlyMap<number, ItemFate>): string[] {
  return [...fates.entries()]
    .toSorted(([a], [b]) => a - b)
    .map(([, fate]) => (fate.kind === 'park' ? fate.reason : fate.known ? 'known' : 'delivered'))
}

describe('batches', () => {
  test('hold at most as many items as allowed, in order, one request at a time', async () => {
    const engine = scriptedEngine(acceptAll)
    const { lane, clock } = worker(engine)
    const { fates, done } = lane(items(1201))
    expect(await clock.until(done)).toBe('done')
    expect(engine.requests.map(ids => ids.length)).toEqual([500, 500, 201])
    expect(engine.requests.flat()).toEqual(items(1201).map(each => each.alertId))
    expect(engine.busiest).toBe(1)
    expect(fates.size).toBe(1201)
  })

  test('hold at most as many bytes as allowed; an item that is larger by itself goes alone', async () => {
    const sizes = [400, 400, 400, 5_000, 1, 1, 1_200, 10]
    const batch = sizes.map((size, number) => item(number, JSON.stringify('x'.repeat(size))))
    const bodies: number[] = []
    const engine = scriptedEngine(acceptAll)
    const { lane, clock } = worker(
      {
        post: (sent, signal) => {
          bodies.push(buildBody(sent).bytes.length)
          return engine.post(sent, signal)
        },
      },
      { maxBytes: 1_600 },
    )
    expect(await clock.until(lane(batch).done)).toBe('done')
    expect(engine.requests).toEqual(
      [['0', '1'], ['2'], ['3'], ['4', '5'], ['6'], ['7']].map(ids => ids.map(id => `alert-${id}`)),
    )
    for (const [index, ids] of engine.requests.entries()) {
      if (ids.length > 1) expect(bodies[index]).toBeLessThanOrEqual(1_600)
    }
  })

  test('are filled to the last byte and not beyond', async () => {
    const pair = buildBody(items(2)).bytes.length
    for (const [maxBytes, sizes] of [
      [pair, [2, 2, 2]],
      [pair - 1, [1, 1, 1, 1, 1, 1]],
    ] as const) {
      const engine = scriptedEngine(acceptAll)
      const { lane, clock } = worker(engine, { maxBytes })
      await clock.until(lane(items(6)).done)
      expect(engine.requests.map(ids => ids.length)).toEqual(sizes)
    }
  })

  test('nothing to deliver is done without a request', async () => {
    const engine = scriptedEngine(acceptAll)
    const { lane, clock } = worker(engine)
    expect(await clock.until(lane([]).done)).toBe('done')
    expect(engine.requests).toEqual([])
  })
})

describe('fates', () => {
  test('accepted and known items are delivered, rejected ones parked with what the engine said', async () => {
    const engine = scriptedEngine(ids =>
      each(ids, id => {
        if (id === 'alert-1') return { kind: 'known' }
        if (id === 'alert-2') return { kind: 'rejected', status: 422, error: 'no title' }
        if (id === 'alert-3') return { kind: 'rejected', status: 404, error: '' }
        if (id === 'alert-4') return { kind: 'rejected', status: 413, error: 'over 64 kB' }
        return ACCEPTED
      }),
    )
    const { lane, clock, attempts } = worker(engine)
    const { fates, done } = lane(items(5))
    expect(await clock.until(done)).toBe('done')
    expect([...fates.values()]).toEqual([
      { kind: 'delivered', known: false },
      { kind: 'delivered', known: true },
      { kind: 'park', reason: 'rejected', detail: 'status 422: no title', attempts: 1 },
      { kind: 'park', reason: 'rejected', detail: 'status 404', attempts: 1 },
      { kind: 'park', reason: 'too-large', detail: 'status 413: over 64 kB', attempts: 1 },
    ])
    expect(attempts).toEqual([['items', 0, 5]])
  })

  test('only what was put off is sent again, after a growing pause, while other batches go on', async () => {
    const engine = scriptedEngine((ids, request) =>
      each(ids, id => (id === 'alert-1' && request < 5 ? { kind: 'again', detail: 'status 503' } : ACCEPTED)),
    )
    const { lane, clock } = worker(engine, { maxItems: 2 })
    const { fates, done } = lane(items(4))
    expect(await clock.until(done)).toBe('done')
    expect(engine.requests).toEqual([
      ['alert-0', 'alert-1'],
      ['alert-2', 'alert-3'],
      ...Array.from({ length: 4 }, () => ['alert-1']),
    ])
    expect(clock.slept).toEqual([500, 1_000, 2_000, 4_000])
    expect(kinds(fates)).toEqual(Array(4).fill('delivered'))
  })

  test('a clock that is set back an hour does not put an item off for longer', async () => {
    const engine = scriptedEngine((ids, request) =>
      each(ids, () => (request < 2 ? { kind: 'again', detail: 'status 503' } : ACCEPTED)),
    )
    const { lane, clock } = worker(engine)
    const { done } = lane(items(1))
    await clock.advance(100)
    clock.set(clock.now() - 3_600_000)
    await clock.advance(400)
    expect(engine.requests).toHaveLength(2)
    clock.set(clock.now() - 3_600_000)
    await clock.advance(1_000)
    expect(await done).toBe('done')
  })

  test('nor does one that is set back while another batch is on its way', async () => {
    const engine = scriptedEngine((ids, request) => {
      if (request === 1) clock.set(clock.now() - 3_600_000)
      return each(ids, () => (request === 0 ? { kind: 'again', detail: 'status 503' } : ACCEPTED))
    })
    const { lane, clock } = worker(engine, { maxItems: 1 })
    expect(await clock.until(lane(items(2)).done)).toBe('done')
    expect(clock.slept).toEqual([500])
  })

  test('an item that was put off gets its turn beside a batch that keeps breaking', async () => {
    const engine = scriptedEngine((ids, request) => {
      if (ids.includes('alert-0')) return BROKEN
      return each(ids, () => (request < 4 ? { kind: 'again', detail: 'status 503' } : ACCEPTED))
    })
    const { lane, clock } = worker(engine, { maxItems: 1 })
    const { fates, halt, done } = lane(items(2))
    await clock.advance(120_000)
    expect(kinds(fates)).toEqual(['delivered'])
    halt.abort()
    expect(await done).toBe('stopped')
  })

  test('an answer that holds fewer fates than items leaves the rest to be sent again', async () => {
    const engine = scriptedEngine((ids, request) =>
      request === 0 ? { kind: 'items', fates: [ACCEPTED] } : acceptAll(ids),
    )
    const { lane, clock } = worker(engine)
    const { fates, done } = lane(items(3))
    expect(await clock.until(done)).toBe('done')
    expect(engine.requests[1]).toEqual(['alert-1', 'alert-2'])
    expect(fates.size).toBe(3)
  })

  test('a batch whose answer was lost is sent again whole and unchanged; what the engine knows is delivered', async () => {
    const taken = new Set<string>()
    const engine = scriptedEngine((ids, request) => {
      const answer = each(ids, id => (taken.has(id) ? { kind: 'known' } : ACCEPTED))
      for (const id of ids) taken.add(id)
      return request === 0 ? BROKEN : answer
    })
    const sent: Buffer[] = []
    const { lane, clock } = worker({
      post: (batch, signal) => {
        sent.push(buildBody(batch).bytes)
        return engine.post(batch, signal)
      },
    })
    const { fates, done } = lane(items(3))
    expect(await clock.until(done)).toBe('done')
    expect(sent[1]).toEqual(sent[0])
    expect(kinds(fates)).toEqual(['known', 'known', 'known'])
  })
})

describe('trouble of the engine', () => {
  test('is waited out for as long as it lasts, with growing pauses, and parks nothing', async () => {
    const engine = scriptedEngine((ids, request) => (request < 300 ? (request % 2 ? BUSY : BROKEN) : acceptAll(ids)))
    const { lane, clock, states, attempts } = worker(engine)
    const { fates, done } = lane(items(3))
    expect(await clock.until(done)).toBe('done')
    expect(kinds(fates)).toEqual(['delivered', 'delivered', 'delivered'])
    expect(engine.requests).toHaveLength(301)
    expect(new Set(engine.requests.map(ids => ids.length))).toEqual(new Set([3]))
    expect(clock.slept.slice(0, 12)).toEqual([
      500, 1_000, 2_000, 4_000, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000,
    ])
    expect(states.at(-1)).toBe('closed')
    expect(attempts).toHaveLength(301)
  })

  test.each([
    [7_000, 7_000],
    [100, 500],
    [3_600_000, 300_000],
    [Number.POSITIVE_INFINITY, 300_000],
    [null, 500],
  ])('with Retry-After of %j ms is waited out for %j ms', async (retryAfterMs, waitMs) => {
    const engine = scriptedEngine((ids, request) => (request === 0 ? { ...BUSY, retryAfterMs } : acceptAll(ids)))
    const { lane, clock } = worker(engine)
    await clock.until(lane(items(2)).done)
    expect(clock.slept).toEqual([waitMs])
  })

  test('that has passed is forgotten: the next pause is the first one again', async () => {
    const engine = scriptedEngine((ids, request) => (request % 2 === 0 ? BUSY : acceptAll(ids)))
    const { lane, clock } = worker(engine, { maxItems: 1 })
    await clock.until(lane(items(3)).done)
    expect(clock.slept).toEqual([500, 500, 500])
  })

  test('holds the whole lane: none of its other batches is sent meanwhile', async () => {
    const engine = scriptedEngine((ids, request) =>
      request === 0 ? { ...BUSY, retryAfterMs: 60_000 } : acceptAll(ids),
    )
    const { lane, clock } = worker(engine, { maxItems: 1 })
    const { done } = lane(items(3))
    await clock.advance(59_999)
    expect(engine.requests).toHaveLength(1)
    await clock.advance(1)
    expect(await done).toBe('done')
    expect(engine.requests).toHaveLength(4)
  })

  test('the pause asked for holds when the circuit opens on it, also for a lane that comes later', async () => {
    const engine = scriptedEngine((ids, request) => (request < 5 ? { ...BUSY, retryAfterMs: 60_000 } : acceptAll(ids)))
    const { lane, clock } = worker(engine)
    const early = Array.from({ length: 5 }, (_, number) => lane([item(number)]))
    await clock.advance(10)
    expect(engine.requests).toHaveLength(5)
    const late = lane([item(9)])
    await clock.advance(59_989)
    expect(engine.requests).toHaveLength(5)
    await clock.advance(2_000)
    for (const each of [...early, late]) expect(await each.done).toBe('done')
  })

  test('refusals that have nothing to do with the items park none, and one lane alone asks again', async () => {
    const engine = scriptedEngine((ids, request) => (request < 20 ? BLOCKED : acceptAll(ids)))
    const { lane, clock, circuit } = worker(engine)
    const lanes = Array.from({ length: 8 }, (_, number) => lane([item(number)]))
    await clock.advance(60_000)
    expect(circuit.state).not.toBe('closed')
    expect(circuit.problem).toBe('HTTP 401')
    // the eight that were under way, then probes after 1, 2, 4, 8 and 16 s
    expect(engine.requests).toHaveLength(13)
    expect(lanes.every(each => each.fates.size === 0)).toBe(true)
    for (const each of lanes) expect(await clock.until(each.done)).toBe('done')
    expect(circuit.state).toBe('closed')
    expect(lanes.flatMap(each => kinds(each.fates))).toEqual(Array(8).fill('delivered'))
  })

  test('415 for an uncompressed body opens the circuit too', async () => {
    const engine = scriptedEngine((ids, request) => (request === 0 ? { kind: 'bad-encoding' } : acceptAll(ids)))
    const { lane, clock, states } = worker(engine)
    const { fates, done } = lane(items(2))
    expect(await clock.until(done)).toBe('done')
    expect(states).toEqual(['open', 'half-open', 'closed'])
    expect(kinds(fates)).toEqual(['delivered', 'delivered'])
  })

  test('for ten minutes costs a lane no more than the probes', async () => {
    const engine = scriptedEngine(() => BROKEN)
    const { lane, clock } = worker(engine)
    const { fates, halt, done } = lane(items(500))
    await clock.advance(600_000)
    expect(engine.requests.length).toBeLessThan(35)
    expect(new Set(engine.requests.map(ids => ids.length))).toEqual(new Set([500]))
    expect(fates.size).toBe(0)
    expect(clock.sleeping).toBe(1)
    halt.abort()
    expect(await done).toBe('stopped')
    expect(clock.sleeping).toBe(0)
  })
})

describe('a batch that is refused as such', () => {
  test('too large: is halved until it fits, and only an item too large by itself is parked', async () => {
    const engine = scriptedEngine(ids =>
      ids.length > 3 || ids.includes('alert-6') ? { kind: 'too-large' } : acceptAll(ids),
    )
    const { lane, clock } = worker(engine)
    const { fates, done } = lane(items(10))
    expect(await clock.until(done)).toBe('done')
    expect(kinds(fates).filter(kind => kind === 'delivered')).toHaveLength(9)
    expect(fates.get(6)).toEqual({
      kind: 'park',
      reason: 'too-large',
      detail: 'HTTP 413 for this item alone',
      attempts: 5,
    })
    expect(clock.slept).toEqual([])
  })

  test.each([[0], [249], [250], [499]])(
    'bad: the one item (number %i of 500) is found in 18 halves or fewer and parked',
    async bad => {
      const engine = scriptedEngine(ids =>
        ids.includes(`alert-${bad}`)
          ? { kind: 'bad-batch', status: 400, detail: 'HTTP 400: unexpected token' }
          : acceptAll(ids),
      )
      const { lane, clock } = worker(engine)
      const { fates, done } = lane(items(500))
      expect(await clock.until(done)).toBe('done')
      expect(engine.requests.length).toBeLessThanOrEqual(19)
      expect(fates.get(bad)).toMatchObject({ kind: 'park', reason: 'bad-item', detail: 'HTTP 400: unexpected token' })
      expect(kinds(fates).filter(kind => kind === 'delivered')).toHaveLength(499)
    },
  )

  test('bad to the last item: all are parked one by one, unless the caller has seen enough and halts', async () => {
    const refuse = (): EngineAnswer => ({ kind: 'bad-batch', status: 422, detail: 'HTTP 422' })
    const all = worker(scriptedEngine(refuse))
    const { fates, done } = all.lane(items(6))
    expect(await all.clock.until(done)).toBe('done')
    expect(kinds(fates)).toEqual(Array(6).fill('bad-item'))

    const engine = scriptedEngine(refuse)
    const bounded = worker(engine)
    const lane = bounded.lane(items(500))
    const { halt } = lane
    let requests = 0
    const watch = lane.fates.set.bind(lane.fates)
    lane.fates.set = (index, fate) => {
      watch(index, fate)
      if (lane.fates.size === 3) {
        halt.abort()
        requests = engine.requests.length
      }
      return lane.fates
    }
    expect(await bounded.clock.until(lane.done)).toBe('stopped')
    expect(lane.fates.size).toBe(3)
    expect(engine.requests).toHaveLength(requests)
  })
})

describe('an item that the engine cannot take', () => {
  const sick = (ids: readonly string[]): EngineAnswer =>
    each(ids, id => (id === 'alert-bad' ? { kind: 'again', detail: 'status 500: boom' } : ACCEPTED))
  const bad = { ...item(1_000), alertId: 'alert-bad' }

  test('is parked after as many failures as allowed, if the engine took items of other lanes between them', async () => {
    const engine = scriptedEngine(sick)
    const { lane, clock } = worker(engine, { itemAttempts: 4 })
    const { fates, done } = lane([item(0), bad])
    for (let n = 1; n < 4; n++) {
      await clock.advance(400)
      await clock.until(lane([item(n)]).done)
      expect(fates.size).toBe(1)
      await clock.advance(60_000)
    }
    expect(await done).toBe('done')
    expect(fates.get(1)).toEqual({
      kind: 'park',
      reason: 'engine-error',
      detail: 'status 500: boom',
      attempts: engine.requests.filter(ids => ids.includes('alert-bad')).length,
    })
  })

  test('is not struck for what the engine took before it was sent', async () => {
    const engine = scriptedEngine(sick)
    const { lane, clock } = worker(engine, { itemAttempts: 1, maxItems: 1 })
    const { fates, halt, done } = lane([item(0), bad])
    await clock.advance(60_000)
    expect(engine.requests.length).toBeGreaterThan(4)
    expect(kinds(fates)).toEqual(['delivered'])
    halt.abort()
    expect(await done).toBe('stopped')
  })

  test('is never parked while nothing else gets through: that may be the engine', async () => {
    const engine = scriptedEngine(sick)
    const { lane, clock } = worker(engine, { itemAttempts: 4 })
    const { fates, halt, done } = lane([item(0), bad])
    await clock.advance(3_600_000)
    expect(engine.requests.length).toBeGreaterThan(100)
    expect(kinds(fates)).toEqual(['delivered'])
    halt.abort()
    expect(await done).toBe('stopped')
  })

  test('"known" is no proof that the engine takes anything', async () => {
    const engine = scriptedEngine(ids =>
      each(ids, id => (id === 'alert-bad' ? { kind: 'again', detail: 'status 507' } : { kind: 'known' })),
    )
    const { lane, clock } = worker(engine, { itemAttempts: 2 })
    const { fates } = lane([bad])
    for (let n = 0; n < 20; n++) {
      await clock.until(lane([item(n)]).done)
      await clock.advance(60_000)
    }
    expect(engine.requests.length).toBeGreaterThan(30)
    expect(fates.size).toBe(0)
  })

  test('that breaks every request it is in is separated from its batch and then parked, if others get through', async () => {
    const engine = scriptedEngine(ids => (ids.includes('alert-bad') ? BROKEN : acceptAll(ids)))
    const { lane, clock, circuit } = worker(engine, { itemAttempts: 5 })
    const { fates, done } = lane([...items(7), bad])
    const busy = new AbortController()
    const others = (async () => {
      for (let n = 0; !busy.signal.aborted; n++) {
        await lane([item(n)]).done
        await clock.sleep(400)
      }
    })()
    expect(await clock.until(done)).toBe('done')
    busy.abort()
    await clock.until(others)
    expect(kinds(fates)).toEqual([...Array(7).fill('delivered'), 'engine-error'])
    expect(fates.get(7)).toMatchObject({ detail: 'HTTP 500' })
    expect(circuit.state).toBe('closed')
  })

  test('is not looked for in a batch that broke often but once only while others got through', async () => {
    const engine = scriptedEngine(ids => (ids.includes('alert-bad') ? BROKEN : acceptAll(ids)))
    const { lane, clock } = worker(engine, { itemAttempts: 2, isolateAfter: 2 })
    const { halt, done } = lane([item(0), bad])
    await clock.advance(0)
    await clock.until(lane([item(1)]).done)
    await clock.advance(3_600_000)
    expect(engine.requests.length).toBeGreaterThan(100)
    expect(engine.requests.filter(ids => ids.length === 1)).toEqual([['alert-1']])
    halt.abort()
    expect(await done).toBe('stopped')
  })

  test('is not parked for a whole request that the engine is too busy for, whoever else gets through', async () => {
    const engine = scriptedEngine((ids, request) =>
      ids.includes('alert-bad') && request < 200 ? BUSY : acceptAll(ids),
    )
    const { lane, clock } = worker(engine, { itemAttempts: 2 })
    const { fates, done } = lane([item(0), bad])
    const others = (async () => {
      for (let n = 0; engine.requests.length < 200; n++) {
        await lane([item(n)]).done
        await clock.sleep(20_000)
      }
    })()
    await clock.until(others)
    expect(await clock.until(done)).toBe('done')
    expect(kinds(fates)).toEqual(['delivered', 'delivered'])
    expect(new Set(engine.requests.filter(ids => ids.includes('alert-bad')).map(ids => ids.length))).toEqual(
      new Set([2]),
    )
  })
})

describe('halt', () => {
  /** An engine whose answers the test gives by hand. */
  function heldEngine() {
    const open: {
      readonly ids: string[]
      readonly signal: AbortSignal
      readonly answer: (answer: EngineAnswer) => void
    }[] = []
    const engine: Engine = {
      post: (batch, signal) => {
        const { promise, resolve, reject } = Promise.withResolvers<EngineAnswer>()
        open.push({ ids: batch.map(each => each.alertId), signal, answer: resolve })
        signal.addEventListener('abort', () => reject(signal.reason), { once: true })
        return promise
      },
    }
    return { engine, open }
  }

  test('waits for the request in flight, tells the fates of a half-failed batch, and starts no other', async () => {
    const { engine, open } = heldEngine()
    const { lane, clock } = worker(engine, { maxItems: 3 })
    const { fates, halt, done } = lane(items(6))
    await clock.advance(0)
    halt.abort()
    await clock.advance(60_000)
    expect(open[0]?.signal.aborted).toBe(false)
    open[0]?.answer({
      kind: 'items',
      fates: [ACCEPTED, { kind: 'again', detail: 'status 503' }, { kind: 'rejected', status: 400, error: 'no' }],
    })
    expect(await clock.until(done)).toBe('stopped')
    expect([...fates.keys()]).toEqual([0, 2])
    expect(open).toHaveLength(1)
  })

  test('that comes during the last request still ends as done', async () => {
    const { engine, open } = heldEngine()
    const { lane, clock } = worker(engine)
    const { halt, done } = lane(items(2))
    await clock.advance(0)
    halt.abort()
    open[0]?.answer(acceptAll(open[0].ids))
    expect(await clock.until(done)).toBe('done')
  })

  test('before the start sends nothing', async () => {
    const { engine, open } = heldEngine()
    const { lane, clock } = worker(engine)
    const { halt, done } = lane(items(2))
    halt.abort()
    expect(await clock.until(done)).toBe('stopped')
    expect(open).toEqual([])
  })

  test.each([
    ['in a pause after trouble', BUSY],
    [
      'before an item that was put off',
      { kind: 'items', fates: [{ kind: 'again', detail: '' }] } satisfies EngineAnswer,
    ],
    ['at the open circuit', BLOCKED],
  ])('ends the wait %s at once', async (_, answer) => {
    const { engine, open } = heldEngine()
    const { lane, clock } = worker(engine)
    const { halt, done } = lane(items(1))
    await clock.advance(0)
    open[0]?.answer(answer)
    await clock.advance(10)
    expect(clock.sleeping).toBe(1)
    halt.abort()
    expect(await done).toBe('stopped')
    expect(clock.sleeping).toBe(0)
    expect(open).toHaveLength(1)
  })

  test('is not needed for another lane to probe when the one that probes is lost', async () => {
    const { engine, open } = heldEngine()
    const { lane, clock } = worker(engine)
    const first = lane([item(1)])
    await clock.advance(0)
    open[0]?.answer(BLOCKED)
    await clock.advance(500)
    const second = lane([item(2)])
    await clock.advance(500)
    expect(open).toHaveLength(2)
    const prober = open[1]?.ids[0] === 'alert-1' ? first : second
    prober.abort.abort(new Error('lane lost'))
    await clock.advance(0)
    expect(open).toHaveLength(3)
    expect(open[2]?.ids).not.toEqual(open[1]?.ids)
  })

  test.each([[false], [true]])(
    'abort (after a halt: %s) cuts the request in flight, rejects with the reason and tells no fate',
    async halted => {
      const { engine, open } = heldEngine()
      const { lane, clock } = worker(engine)
      const { fates, halt, abort, done } = lane(items(2))
      await clock.advance(0)
      if (halted) halt.abort()
      await clock.advance(0)
      abort.abort(new Error('lane lost'))
      await expect(done).rejects.toThrow('lane lost')
      open[0]?.answer(acceptAll(open[0].ids))
      await clock.advance(1_000)
      expect(fates.size).toBe(0)
    },
  )

  test('abort that meets the answer tells no fate either: the lane is another worker’s', async () => {
    const lost = { now: () => {} }
    const { lane, clock } = worker({
      post: async batch => {
        lost.now()
        return acceptAll(batch.map(each => each.alertId))
      },
    })
    const run = lane(items(2))
    lost.now = () => run.abort.abort(new Error('lane lost'))
    await expect(clock.until(run.done)).rejects.toThrow('lane lost')
    expect(run.fates.size).toBe(0)
  })

  test.each([
    ['in a pause', BUSY],
    ['at the open circuit', BLOCKED],
  ])('abort ends the wait %s at once with its reason', async (_, answer) => {
    const { engine, open } = heldEngine()
    const { lane, clock } = worker(engine)
    const { abort, done } = lane(items(1))
    await clock.advance(0)
    open[0]?.answer(answer)
    await clock.advance(10)
    abort.abort(new Error('lane lost'))
    await expect(done).rejects.toThrow('lane lost')
    expect(clock.sleeping).toBe(0)
  })

  test('that comes just as the lane is let in sends nothing, and gives the permit back', async () => {
    const halt = new AbortController()
    const engine = scriptedEngine(acceptAll)
    const clock = handClock()
    let released = 0
    const permit = { works: () => {}, fails: () => {}, blocked: () => {}, release: () => released++ }
    const forward = createForward({
      engine,
      circuit: {
        state: 'closed',
        problem: null,
        enter: () => {
          queueMicrotask(() => halt.abort())
          return Promise.resolve(permit)
        },
      },
      clock,
      random: () => 1,
      limits: FORWARD_LIMITS,
      observe: { attempt: () => {} },
    })
    const never = new AbortController().signal
    expect(await clock.until(forward(items(1), () => {}, { halt: halt.signal, abort: never }))).toBe('stopped')
    expect(engine.requests).toEqual([])
    expect(released).toBe(1)
  })

  test('leaves nothing behind on signals that outlive many calls', async () => {
    const { forward, clock } = worker(scriptedEngine(acceptAll))
    const [halt, abort] = [new AbortController().signal, new AbortController().signal]
    for (let call = 0; call < 50; call++) await clock.until(forward(items(1), () => {}, { halt, abort }))
    expect([...getEventListeners(halt, 'abort'), ...getEventListeners(abort, 'abort')]).toEqual([])
  })

  test('a fault in the caller’s own handling of a fate comes out as it is', async () => {
    const clock = handClock()
    const circuit = createCircuit({ clock, random: () => 1, observe: { circuit: () => {} } })
    const forward = createForward({
      engine: scriptedEngine(acceptAll),
      circuit,
      clock,
      random: () => 1,
      limits: FORWARD_LIMITS,
      observe: { attempt: () => {} },
    })
    const never = new AbortController().signal
    const run = forward(
      items(1),
      () => {
        throw new Error('settle is broken')
      },
      { halt: never, abort: never },
    )
    await expect(clock.until(run)).rejects.toThrow('settle is broken')
    expect(circuit.state).toBe('closed')
  })
})
