/** What may happen to a tenant and its poller, as data that fast-check makes up and shrinks. */
import * as fc from 'fast-check'
import { expect } from 'vitest'
import type { Fault, GraphScript } from './poller-graph.ts'
import type { Act, World, WorldOptions } from './poller-world.ts'
import { pollerWorld } from './poller-world.ts'

export interface Scenario {
  readonly intervalMs: number
  /** In intervals. */
  readonly overlap: number
  /** `at`: a share of the time in which things happen; `delay`: of the longest that the overlap allows. */
  readonly changes: readonly { alert: number; at: number; tick: number; delay: number; poison: number | null }[]
  /** Hours before the start. */
  readonly backlog: readonly { alert: number; hours: number; tick: number; poison: number | null }[]
  readonly graph: Omit<GraphScript, 'spans'>
  /** Shares of the time in which things happen. */
  readonly spans: readonly {
    at: number
    length: number
    what: 'unavailable' | 'needs-attention' | { silent: string }
  }[]
  readonly refusals: NonNullable<WorldOptions['refusals']>
  readonly acts: readonly Act[]
  readonly appendMs: readonly number[]
}

/** Time in which things happen, in intervals; then everything is calm for long enough to make up for it. */
const BUSY_INTERVALS = 15
const CALM_MS = 12 * 60_000
const CALM_INTERVALS = 6
const ALERTS = 6

const share = fc.double({ min: 0, max: 1, noNaN: true })
const alert = fc.nat({ max: ALERTS - 1 })
const tick = fc.constantFrom(0, 1, 9_999)
const poison = fc.option(fc.oneof(share, fc.constant(Infinity)), { freq: 8 })
const pauseMs = fc.option(fc.constantFrom(1_000, 9_000, 11_000, 120_000))

const fault: fc.Arbitrary<Fault> = fc.oneof(
  fc.record({ kind: fc.constant('throttled' as const), retryAfterMs: pauseMs, detail: fc.constant('status 429') }),
  fc.record({ kind: fc.constant('unavailable' as const), retryAfterMs: pauseMs, detail: fc.constant('status 502') }),
  fc.record({
    kind: fc.constant('split' as const),
    reason: fc.constantFrom('too-large' as const, 'nextlink-refused' as const, 'bad-request' as const),
    detail: fc.constant('not this way'),
  }),
  fc.constant<Fault>({ kind: 'loop' }),
)

const act: fc.Arbitrary<Act> = fc.record({
  at: fc.nat({ max: 40 }),
  act: fc.constantFrom('die', 'lose', 'zombie'),
  holdMs: fc.constantFrom(1, 5_000, 60_000, 200_000),
  afterMs: fc.constantFrom(0, 3_000, 45_000),
})

const quiet = {
  intervalMs: fc.constantFrom(5_000, 30_000, 60_000),
  overlap: fc.constantFrom(2, 3, 10),
  changes: fc.array(fc.record({ alert, at: share, tick, delay: share, poison: fc.constant(null) }), {
    maxLength: 14,
    size: 'max',
  }),
  backlog: fc.array(fc.record({ alert, hours: fc.nat({ max: 47 }), tick, poison: fc.constant(null) }), {
    maxLength: 8,
  }),
  graph: fc.record({
    pageRows: fc.integer({ min: 1, max: 4 }),
    order: fc.constantFrom('oldest' as const, 'newest' as const, 'id' as const),
    skewMs: fc.constantFrom(0, -90_500, 90_500),
    latenciesMs: fc.array(fc.integer({ min: 1, max: 3_000 }), { minLength: 1, maxLength: 4 }),
    moves: fc.array(fc.record({ at: fc.nat({ max: 60 }), alert: alert.map(String) }), { maxLength: 3 }),
  }),
  spans: fc.constant([]),
  refusals: fc.constant([]),
  acts: fc.constant([]),
  appendMs: fc.array(fc.integer({ min: 1, max: 900 }), { minLength: 1, maxLength: 3 }),
}

/** Alerts come and are updated, also while pages are read; nothing fails. */
export const fairWeather: fc.Arbitrary<Scenario> = fc.record(quiet)

/** Graph and Kafka fail in every way that is known. */
export const foulWeather: fc.Arbitrary<Scenario> = fc.record({
  ...quiet,
  changes: fc.array(fc.record({ alert, at: share, tick, delay: share, poison }), { maxLength: 14, size: 'max' }),
  backlog: fc.array(fc.record({ alert, hours: fc.nat({ max: 47 }), tick, poison }), { maxLength: 8, size: 'max' }),
  graph: fc.tuple(quiet.graph, faults()).map(([graph, faults]) => ({ ...graph, faults })),
  spans: fc.array(
    fc.record({
      at: share,
      length: fc.double({ min: 0, max: 0.6, noNaN: true }),
      what: fc.constantFrom<Scenario['spans'][number]['what']>('unavailable', 'needs-attention', { silent: 'two' }),
    }),
    { maxLength: 2 },
  ),
  refusals: fc.array(fc.record({ at: fc.nat({ max: 30 }), when: fc.constantFrom('before', 'after') }), {
    maxLength: 4,
  }),
})

/** Workers die at any point, lose their lane, and come back as zombies. */
export const restarts: fc.Arbitrary<Scenario> = fc.record({
  ...quiet,
  graph: fc.tuple(quiet.graph, faults()).map(([graph, faults]) => ({ ...graph, faults })),
  refusals: fc.array(fc.record({ at: fc.nat({ max: 30 }), when: fc.constantFrom('before', 'after') }), {
    maxLength: 2,
  }),
  acts: fc.array(act, { minLength: 1, maxLength: 4 }),
})

function faults(): fc.Arbitrary<{ at: number; count: number; fault: Fault }[]> {
  return fc.array(fc.record({ at: fc.nat({ max: 80 }), count: fc.integer({ min: 1, max: 8 }), fault }), {
    maxLength: 3,
  })
}

/** Lets all of it happen, and some calm follow. `given`: what another world than the right one would be made of. */
export async function play(scenario: Scenario, given: Partial<WorldOptions> = {}): Promise<World> {
  const { intervalMs, graph, changes, backlog } = scenario
  const overlapMs = scenario.overlap * intervalMs
  const busyMs = BUSY_INTERVALS * intervalMs
  const world = pollerWorld({
    intervalMs,
    overlapMs,
    graph: {
      ...graph,
      calmAfterMs: busyMs,
      spans: scenario.spans.map(({ at, length, what }) => ({
        fromMs: at * busyMs,
        untilMs: Math.min(busyMs, (at + length) * busyMs),
        what,
      })),
    },
    refusals: scenario.refusals,
    acts: scenario.acts,
    appendMs: scenario.appendMs,
    calmAfterMs: busyMs,
    ...given,
  })
  const graphStartMs = world.startMs + (graph.skewMs ?? 0)
  const poisonUntilMs = (at: number | null): number => (at === null ? 0 : graphStartMs + at * busyMs)
  for (const { alert, hours, tick, poison } of backlog) {
    const atMs = graphStartMs - hours * 3_600_000 - 1_000
    world.graph.change({
      alert: String(alert),
      atMs,
      tick,
      poisonUntilMs: poisonUntilMs(poison),
      provider: providerOf(alert),
    })
  }
  for (const { alert, at, tick, delay, poison } of changes) {
    world.graph.change({
      alert: String(alert),
      atMs: graphStartMs + Math.floor(at * busyMs),
      tick,
      // it shows at the end of its millisecond
      delayMs: Math.floor(delay * (overlapMs - 1)),
      poisonUntilMs: poisonUntilMs(poison),
      provider: providerOf(alert),
    })
  }
  world.start()
  await world.pass(busyMs + CALM_MS + CALM_INTERVALS * intervalMs)
  return world
}

function providerOf(alert: number): string {
  return alert % 2 === 0 ? 'one' : 'two'
}

/** What must hold of every world when it has come to rest. */
export function judge(world: World): void {
  expect(world.violations).toEqual([])
  expect(world.lost()).toEqual([])
}

/** Whether a world that is made wrongly is found out: without that, a property proves nothing. */
export async function isFoundOut(weather: fc.Arbitrary<Scenario>, given: Partial<WorldOptions>): Promise<boolean> {
  const run = fc.asyncProperty(weather, async scenario => judge(await play(scenario, given)))
  return (await fc.check(run, { numRuns: 150, endOnFailure: true })).failed
}
