import * as fc from 'fast-check'
import { afterEach, describe, expect, test, vi } from 'vitest'
import type * as ListingModule from '../../producers/listing.ts'
import { judge } from './fakes/poller-scenario.ts'
import type { Act, World } from './fakes/poller-world.ts'
import { pollerWorld } from './fakes/poller-world.ts'

const mutation = vi.hoisted(() => ({ once: false }))
vi.mock('../../producers/listing.ts', async original => {
  const real = await original<typeof ListingModule>()
  const cover: typeof real.cover = (window, closed, deps) => real.cover(window, closed && !mutation.once, deps)
  return { ...real, cover }
})

afterEach(() => {
  mutation.once = false
})

const MINUTE_MS = 60_000

/** A new tenant's old alerts lie close together, and are updated while they are read for the first time. */
const lookBack = fc.record({
  old: fc.array(fc.record({ minutes: fc.integer({ min: 30, max: 700 }), tick: fc.constantFrom(0, 1) }), {
    minLength: 4,
    maxLength: 25,
    size: 'max',
  }),
  moves: fc.uniqueArray(fc.record({ at: fc.nat({ max: 40 }), alert: fc.nat({ max: 24 }) }), {
    minLength: 1,
    maxLength: 10,
    selector: ({ alert }) => alert,
  }),
  pageRows: fc.integer({ min: 1, max: 4 }),
  order: fc.constantFrom('oldest' as const, 'newest' as const, 'id' as const),
  act: fc.option(
    fc.record<Act>({
      at: fc.nat({ max: 80 }),
      act: fc.constantFrom('die', 'lose', 'zombie'),
      holdMs: fc.constantFrom(1, 60_000),
      afterMs: fc.constantFrom(0, 10_000),
    }),
  ),
})

async function onboard(given: typeof lookBack extends fc.Arbitrary<infer T> ? T : never): Promise<World> {
  const { old, moves, pageRows, order, act } = given
  const world = pollerWorld({
    acts: act ? [act] : [],
    lookbackMs: 12 * 3_600_000,
    calmAfterMs: 10 * MINUTE_MS,
    graph: {
      calmAfterMs: 10 * MINUTE_MS,
      pageRows,
      order,
      moves: moves.filter(({ alert }) => alert < old.length).map(({ at, alert }) => ({ at, alert: `a${alert}` })),
    },
  })
  for (const [n, { minutes, tick }] of old.entries()) {
    world.graph.change({ alert: `a${n}`, atMs: world.startMs - minutes * MINUTE_MS, tick })
  }
  world.start()
  await world.pass(15 * MINUTE_MS)
  return world
}

/** Graph is away for longer than polls reach back; what came meanwhile is updated while it is read. */
const outage = fc.record({
  came: fc.array(fc.integer({ min: 2, max: 39 }), { minLength: 4, maxLength: 25, size: 'max' }),
  moves: fc.uniqueArray(fc.record({ at: fc.nat({ max: 25 }), alert: fc.nat({ max: 24 }) }), {
    minLength: 1,
    maxLength: 6,
    selector: ({ alert }) => alert,
  }),
  pageRows: fc.integer({ min: 1, max: 4 }),
  order: fc.constantFrom('oldest' as const, 'newest' as const, 'id' as const),
})

async function comeBack({ came, moves, pageRows, order }: typeof outage extends fc.Arbitrary<infer T> ? T : never) {
  const endMs = 40 * MINUTE_MS
  const world = pollerWorld({
    graph: {
      pageRows,
      order,
      spans: [{ fromMs: MINUTE_MS, untilMs: endMs, what: 'unavailable' }],
      movesFromMs: endMs,
      calmAfterMs: endMs + 10 * MINUTE_MS,
      moves: moves.filter(({ alert }) => alert < came.length).map(({ at, alert }) => ({ at, alert: `a${alert}` })),
    },
  })
  for (const [n, minute] of came.entries()) {
    world.graph.change({ alert: `a${n}`, atMs: world.startMs + minute * MINUTE_MS, tick: n % 2 })
  }
  world.start()
  await world.pass(endMs + 20 * MINUTE_MS)
  return world
}

describe('the first look-back', () => {
  test('misses nothing that is updated, or hidden by an update, while it pages', async () => {
    await fc.assert(
      fc.asyncProperty(lookBack, async given => {
        const world = await onboard(given)
        judge(world)
        expect(world.lastCheckpoint(world.tenantId)?.backfillNext).toBeNull()
      }),
      { numRuns: 100 },
    )
  })

  test('without a second listing of what changes meanwhile the loss is seen', async () => {
    mutation.once = true
    const run = fc.asyncProperty(lookBack, async given => judge(await onboard(given)))
    expect((await fc.check(run, { numRuns: 150, endOnFailure: true })).failed).toBe(true)
  })
})

describe('catching up after a long outage', () => {
  test('misses nothing that is hidden by an update while it pages', async () => {
    await fc.assert(
      fc.asyncProperty(outage, async given => judge(await comeBack(given))),
      { numRuns: 100 },
    )
  })

  test('without a second listing of what changes meanwhile the loss is seen', async () => {
    mutation.once = true
    const run = fc.asyncProperty(outage, async given => judge(await comeBack(given)))
    expect((await fc.check(run, { numRuns: 150, endOnFailure: true })).failed).toBe(true)
  })
})
