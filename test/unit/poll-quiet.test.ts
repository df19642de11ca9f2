import * as fc from 'fast-check'
import { afterEach, describe, expect, test, vi } from 'vitest'
import type * as SeenModule from '../../producers/seen.ts'
import type { Seen } from '../../producers/seen.ts'
import { pollerWorld } from './fakes/poller-world.ts'

const caches = vi.hoisted(() => ({ all: [] as Seen[], forget: true }))
vi.mock('../../producers/seen.ts', async original => {
  const real = await original<typeof SeenModule>()
  return {
    createSeen() {
      const seen = real.createSeen()
      const watched: Seen = {
        has: seen.has,
        note: seen.note,
        forgetBefore: version => (caches.forget ? seen.forgetBefore(version) : undefined),
        get size() {
          return seen.size
        },
      }
      caches.all.push(watched)
      return watched
    },
  }
})
afterEach(() => {
  caches.all = []
  caches.forget = true
})

const MINUTE_MS = 60_000

interface Quiet {
  readonly intervalSeconds: number
  readonly latencyMs: number
  readonly appendMs: number
  readonly spans: readonly {
    fromMs: number
    lengthMs: number
    what: 'unavailable' | 'needs-attention' | { silent: string }
  }[]
  readonly pauses: readonly { at: number; retryAfterMs: number }[]
}

/** A tenant with nothing to tell, in good days and bad ones. */
const quiet: fc.Arbitrary<Quiet> = fc.record({
  intervalSeconds: fc.constantFrom(1, 2, 7, 31, 45, 60),
  latencyMs: fc.integer({ min: 1, max: 1_500 }),
  appendMs: fc.integer({ min: 1, max: 500 }),
  spans: fc.array(
    fc.record({
      fromMs: fc.nat({ max: 20 * MINUTE_MS }),
      lengthMs: fc.nat({ max: 15 * MINUTE_MS }),
      what: fc.constantFrom<Quiet['spans'][number]['what']>('unavailable', 'needs-attention', { silent: 'one' }),
    }),
    { maxLength: 2 },
  ),
  pauses: fc.array(
    fc.record({ at: fc.nat({ max: 40 }), retryAfterMs: fc.constantFrom(1_000, 50_000, 70_000, 900_000) }),
    { maxLength: 2 },
  ),
})

/** The longest time without a checkpoint, and the longest turn: a turn may end later than the one before it did. */
async function silence(given: Quiet): Promise<{ silenceMs: number; turnMs: number }> {
  const { intervalSeconds, latencyMs, appendMs, spans, pauses } = given
  const world = pollerWorld({
    intervalMs: intervalSeconds * 1_000,
    appendMs: [appendMs],
    graph: {
      latenciesMs: [latencyMs],
      spans: spans.map(({ fromMs, lengthMs, what }) => ({ fromMs, untilMs: fromMs + lengthMs, what })),
      faults: pauses.map(({ at, retryAfterMs }) => ({
        at,
        count: 1,
        fault: { kind: 'throttled', retryAfterMs, detail: 'status 429' },
      })),
    },
  })
  world.start()
  await world.pass(30 * MINUTE_MS)
  expect(world.violations).toEqual([])
  const turnMs = Math.max(...world.turns.filter(turn => turn.endMs < Infinity).map(turn => turn.endMs - turn.startMs))
  return { silenceMs: world.longestSilenceMs(), turnMs }
}

describe('a quiet tenant', () => {
  test('leaves a checkpoint at least once a minute, whatever keeps it from being polled', async () => {
    await fc.assert(
      fc.asyncProperty(quiet, async given => {
        const { silenceMs, turnMs } = await silence(given)
        expect(silenceMs).toBeLessThanOrEqual(MINUTE_MS + turnMs)
      }),
      { numRuns: 50 },
    )
  })

  test('without a turn every minute the silence shows', async () => {
    const seldom = { intervalSeconds: 300, latencyMs: 1, appendMs: 1, spans: [], pauses: [] }
    const { silenceMs, turnMs } = await silence(seldom)
    expect(silenceMs).toBeGreaterThan(MINUTE_MS + turnMs)
  })

  test('costs no more than that: one that is polled every second writes as rarely', async () => {
    const world = pollerWorld({ intervalMs: 1_000 })
    world.start()
    await world.pass(30 * MINUTE_MS)
    expect(world.turns.length).toBeGreaterThan(1_000)
    expect(world.receipts()).toBeLessThan(40)
  })
})

describe('what was published lately', () => {
  /** A steady stream of alerts for hours: what of it is remembered at the worst moment. */
  async function remembered(hours: number): Promise<number> {
    const world = pollerWorld({ intervalMs: 30_000, overlapMs: 60_000, lookbackMs: 60_000 })
    for (let n = 0; n < hours * 60 * 20; n++) {
      world.graph.change({ alert: `a${n}`, atMs: world.startMs + n * 3_000 })
    }
    world.start()
    let most = 0
    for (let minutes = 0; minutes < hours * 60; minutes += 5) {
      await world.pass(5 * MINUTE_MS)
      most = Math.max(most, ...caches.all.map(seen => seen.size))
    }
    expect(world.violations).toEqual([])
    const published = world.published()
    expect(published).toHaveLength(new Set(published).size)
    return most
  }
  // a revision every 3 s, remembered for overlap and margin (2 min): 40, and twice that before it is worth a walk
  const MOST = 128

  test('is remembered within bounds, however long the worker runs', async () => {
    expect(await remembered(2)).toBeLessThanOrEqual(MOST)
  })

  test('without forgetting it grows, and it shows', async () => {
    caches.forget = false
    expect(await remembered(1)).toBeGreaterThan(MOST)
  })
})
