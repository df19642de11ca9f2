import { expect, test } from 'vitest'
import { pollerWorld } from './fakes/poller-world.ts'

const INTERVAL_MS = 60_000
const COUNT = 60
const tenantIds = Array.from({ length: COUNT }, (_, n) => `11111111-2222-3333-4444-${String(n).padStart(12, '0')}`)

test('tenants that were asked together at the start have times of their own from then on, none later than its interval', async () => {
  const world = pollerWorld({
    intervalMs: INTERVAL_MS,
    concurrency: COUNT,
    tenants: tenantIds.map(tenantId => ({ tenant: { tenantId } })),
  })
  world.start()
  await world.pass(10 * INTERVAL_MS)
  expect(world.violations).toEqual([])

  const startsOf = (tenantId: string): number[] =>
    world.turns.filter(turn => turn.tenantId === tenantId).map(({ startMs }) => startMs)
  const gaps = tenantIds.flatMap(tenantId => {
    const starts = startsOf(tenantId)
    return starts.slice(1).map((startMs, n) => ({ n, ms: startMs - (starts[n] ?? 0) }))
  })
  expect(Math.max(...gaps.map(({ ms }) => ms))).toBeLessThanOrEqual(INTERVAL_MS)
  // shorter ones are of the past that is read at the start, and of the way to its place
  expect(new Set(gaps.filter(({ n }) => n > 2).map(({ ms }) => ms))).toEqual(new Set([INTERVAL_MS]))

  expect(new Set(tenantIds.map(tenantId => startsOf(tenantId)[0])).size).toBe(1)
  const places = tenantIds.map(tenantId => (startsOf(tenantId).at(-1) ?? 0) % INTERVAL_MS)
  const sixths = Array.from({ length: 6 }, (_, n) =>
    places.filter(place => Math.floor((place * 6) / INTERVAL_MS) === n),
  )
  for (const some of sixths) expect(some.length).toBeGreaterThan(COUNT / 6 / 4)
})
