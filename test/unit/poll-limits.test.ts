import * as fc from 'fast-check'
import { afterEach, describe, expect, test, vi } from 'vitest'
import type * as BudgetModule from '../../producers/graph/budget.ts'
import type { GraphScript } from './fakes/poller-graph.ts'
import type { Act, World } from './fakes/poller-world.ts'
import { pollerWorld } from './fakes/poller-world.ts'

const mutation = vi.hoisted(() => ({ budget: false }))
vi.mock('../../producers/graph/budget.ts', async original => {
  const real = await original<typeof BudgetModule>()
  return { createBudget: (nowMs: number) => (mutation.budget ? { take: () => 0 } : real.createBudget(nowMs)) }
})

afterEach(() => {
  mutation.budget = false
})

const MINUTE_MS = 60_000

/** A tenant whose window takes many pages, in the hands of several owners at once. */
const crowd = fc.record({
  acts: fc.array(
    fc.record<Act>({
      at: fc.nat({ max: 700 }),
      act: fc.constantFrom('zombie', 'zombie', 'lose', 'die'),
      holdMs: fc.constantFrom(1, 2_000),
      afterMs: fc.constantFrom(0, 10_000),
    }),
    { minLength: 1, maxLength: 3 },
  ),
  latencyMs: fc.integer({ min: 1, max: 700 }),
  rows: fc.integer({ min: 20, max: 80 }),
})

async function inManyHands({
  acts,
  latencyMs,
  rows,
}: {
  acts: Act[]
  latencyMs: number
  rows: number
}): Promise<World> {
  const world = pollerWorld({
    acts,
    intervalMs: 5_000,
    overlapMs: 300_000,
    listing: { pagesMax: 100 },
    graph: { pageRows: 1, latenciesMs: [latencyMs] },
  })
  for (let n = 0; n < rows; n++) world.graph.change({ alert: `a${n}`, atMs: world.startMs - n })
  world.start()
  await world.pass(5 * MINUTE_MS)
  return world
}

describe('150 requests a minute', () => {
  test('are never passed, also while a tenant changes hands', async () => {
    await fc.assert(
      fc.asyncProperty(crowd, async given => {
        const world = await inManyHands(given)
        expect(world.violations).toEqual([])
      }),
      { numRuns: 60 },
    )
  })

  test('without a budget they are passed, and it shows', async () => {
    mutation.budget = true
    const world = await inManyHands({ acts: [], latencyMs: 1, rows: 80 })
    expect(world.violations.join()).toContain('requests in 60 s')
  })
})

const throttled: fc.Arbitrary<NonNullable<GraphScript['faults']>> = fc.array(
  fc.record({
    at: fc.nat({ max: 60 }),
    count: fc.integer({ min: 1, max: 3 }),
    fault: fc.record({
      kind: fc.constantFrom('throttled' as const, 'unavailable' as const),
      retryAfterMs: fc.constantFrom(1_000, 9_999, 10_001, 120_000, 900_000),
      detail: fc.constant('status 429 or 503'),
    }),
  }),
  { minLength: 1, maxLength: 5 },
)

async function throttledNow(faults: GraphScript['faults'], hidesPauses = false): Promise<World> {
  const world = pollerWorld({
    graph: { faults: faults ?? [], hidesPauses, pageRows: 1 },
    sweepEveryMs: 15 * MINUTE_MS,
    known: () =>
      Promise.resolve({
        refresh: () => Promise.resolve(),
        has: () => true,
        hasQuarantined: () => Promise.resolve(true),
      }),
  })
  for (let n = 0; n < 4; n++) world.graph.change({ alert: `a${n}`, atMs: world.startMs - n })
  world.start()
  await world.pass(60 * MINUTE_MS)
  return world
}

describe('Retry-After', () => {
  test('is waited for, whatever the request was for: poll, look-back, gap or sweep', async () => {
    await fc.assert(
      fc.asyncProperty(throttled, async faults => {
        const world = await throttledNow(faults)
        expect(world.violations).toEqual([])
      }),
      { numRuns: 60 },
    )
  })

  test('without it being told it is not waited for, and it shows', async () => {
    const fault = { kind: 'throttled', retryAfterMs: 120_000, detail: 'status 429' } as const
    const world = await throttledNow([{ at: 3, count: 1, fault }], true)
    expect(world.violations.join()).toContain('too early')
  })
})

const crowdOfTenants = fc.array(fc.constantFrom(2, 5, 30, 60), { minLength: 2, maxLength: 9 })

describe('turns', () => {
  test('one at a time for a tenant, no more than the worker may have at once, each tenant in time', async () => {
    await fc.assert(
      fc.asyncProperty(crowdOfTenants, fc.integer({ min: 1, max: 4 }), async (intervals, concurrency) => {
        const tenants = intervals.map((intervalSeconds, n) => ({
          tenant: { tenantId: `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`, intervalSeconds },
          graph: { latenciesMs: [10 + n] },
        }))
        const world = pollerWorld({ tenants, concurrency })
        world.start()
        await world.pass(5 * MINUTE_MS)
        expect(world.violations).toEqual([])
        expect(world.busiest).toBeLessThanOrEqual(concurrency)
        for (const [n, seconds] of intervals.entries()) {
          const starts = world.turns
            .filter(turn => turn.tenantId === tenants[n]?.tenant.tenantId)
            .map(turn => turn.startMs)
          const gaps = starts.slice(1).map((atMs, i) => atMs - (starts[i] ?? 0))
          expect(Math.max(...gaps)).toBeLessThanOrEqual(seconds * 1_000 + 2_000)
        }
      }),
      { numRuns: 20 },
    )
  })
})
