import * as fc from 'fast-check'
import { afterEach, describe, expect, test, vi } from 'vitest'
import type * as GapsModule from '../../producers/gaps.ts'
import { addMs } from '../../producers/window.ts'
import { judge } from './fakes/poller-scenario.ts'
import type { World } from './fakes/poller-world.ts'
import { pollerWorld } from './fakes/poller-world.ts'

const mutation = vi.hoisted(() => ({ forgets: false }))
vi.mock('../../producers/gaps.ts', async original => {
  const real = await original<typeof GapsModule>()
  const addGap: typeof real.addGap = (gaps, ...rest) => (mutation.forgets ? gaps : real.addGap(gaps, ...rest))
  return { ...real, addGap }
})
afterEach(() => {
  mutation.forgets = false
})

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS

/** Some alerts cannot be read, ever or for a while: in the look-back, in the live window, beside sound ones, with them. */
const poisoned = fc.record({
  alerts: fc.array(
    fc.record({
      minutes: fc.oneof(fc.integer({ min: -20, max: 9 }), fc.integer({ min: 30, max: 900 })),
      tick: fc.constantFrom(0, 1, 2, 5_000),
    }),
    { minLength: 2, maxLength: 12 },
  ),
  poison: fc.uniqueArray(fc.nat({ max: 11 }), { minLength: 1, maxLength: 3 }),
  pageRows: fc.integer({ min: 1, max: 5 }),
  splitRequestsMax: fc.constantFrom(40, 150),
})
type Poisoned = typeof poisoned extends fc.Arbitrary<infer T> ? T : never

async function poisonedWorld({ alerts, poison, ...limits }: Poisoned, healsAfterMs: number): Promise<World> {
  const { pageRows, splitRequestsMax } = limits
  const world = pollerWorld({ graph: { pageRows }, listing: { splitRequestsMax } })
  for (const [n, { minutes, tick }] of alerts.entries()) {
    const poisonUntilMs = poison.includes(n) ? world.startMs + healsAfterMs : 0
    world.graph.change({ alert: `a${n}`, atMs: world.startMs - minutes * MINUTE_MS, tick, poisonUntilMs })
  }
  world.start()
  return world
}

function gapsOf(world: World) {
  return world.lastCheckpoint(world.tenantId)?.gaps ?? []
}

function missingOf(world: World, provider?: string): string[] {
  const mine = world.graph.revisions.filter(revision => revision.provider === (provider ?? revision.provider))
  return mine.filter(({ id, version }) => !world.has(id, version)).map(({ id, version }) => `${id} ${version}`)
}

describe('what Graph does not give', () => {
  test('is narrowed down to its own instant and recorded; the rest goes on', async () => {
    await fc.assert(
      fc.asyncProperty(poisoned, async given => {
        const world = await poisonedWorld(given, Infinity)
        await world.pass(2 * HOUR_MS)
        judge(world)
        const bad = world.graph.revisions.filter(({ poisonUntilMs }) => poisonUntilMs === Infinity)
        const sound = world.graph.revisions.filter(({ version }) => !bad.some(other => other.version === version))
        expect(sound.filter(({ id, version }) => !world.has(id, version))).toEqual([])
        for (const { version } of bad) {
          expect(gapsOf(world).some(({ from, to }) => from <= version && version < to)).toBe(true)
        }
        expect(gapsOf(world).length).toBeLessThanOrEqual(bad.length)
        const watermark = world.lastCheckpoint(world.tenantId)?.watermark ?? ''
        expect(watermark > addMs(world.nowText(), -2 * MINUTE_MS), watermark).toBe(true)
      }),
      { numRuns: 20 },
    )
  })

  test('is taken in as soon as it can be had: the gap closes', async () => {
    await fc.assert(
      fc.asyncProperty(poisoned, fc.integer({ min: 2, max: 60 }), async (given, minutes) => {
        const world = await poisonedWorld(given, minutes * MINUTE_MS)
        await world.pass((3 * minutes + 25) * MINUTE_MS)
        judge(world)
        expect(gapsOf(world)).toEqual([])
        expect(missingOf(world)).toEqual([])
      }),
      { numRuns: 20 },
    )
  })

  test('a provider that is silent for hours holds nobody else up, and is made up for when it answers', async () => {
    const spans = [{ fromMs: 10 * MINUTE_MS, untilMs: 150 * MINUTE_MS, what: { silent: 'two' } }]
    const world = pollerWorld({ graph: { spans } })
    for (let n = 0; n < 70; n++) {
      const atMs = world.startMs + n * 2 * MINUTE_MS
      world.graph.change({ alert: `one-${n}`, atMs, provider: 'one' })
      world.graph.change({ alert: `two-${n}`, atMs: atMs + 1, provider: 'two' })
      world.graph.change({ alert: 'one-again', atMs: atMs + 2, provider: 'one' })
    }
    world.start()
    await world.pass(149 * MINUTE_MS)
    expect(world.violations).toEqual([])
    expect(missingOf(world, 'one')).toEqual([])
    expect(missingOf(world, 'two')).not.toEqual([])
    expect(gapsOf(world)).not.toEqual([])
    await world.pass(5 * HOUR_MS)
    judge(world)
    expect(missingOf(world, 'two')).toEqual([])
    expect(gapsOf(world)).toEqual([])
  })

  test('without gaps that are remembered the loss is seen', async () => {
    mutation.forgets = true
    const run = fc.asyncProperty(poisoned, async given => {
      const world = await poisonedWorld(given, Infinity)
      await world.pass(30 * MINUTE_MS)
      judge(world)
    })
    expect((await fc.check(run, { numRuns: 30, endOnFailure: true })).failed).toBe(true)
  })
})
