import { expect, test } from 'vitest'
import type { Known } from '../../producers/sweep.ts'
import { pollerWorld } from './fakes/poller-world.ts'

const HOUR_MS = 3_600_000
/** Shorter than what a sweep reaches back in this world. */
const SWEEP_EVERY_MS = 4 * HOUR_MS

/** What is on the log counts as known, but for the first record of what is held to be lost. */
function knownFrom(published: () => readonly string[], lost: ReadonlySet<string>): Known {
  let seen = new Set<string>()
  return {
    refresh: async () => {
      const all = published()
      seen = new Set(all.filter(key => !lost.has(key) || all.indexOf(key) !== all.lastIndexOf(key)))
    },
    has: (alertId, version) => [...seen].some(key => key.endsWith(`/${alertId} ${version}`)),
    hasQuarantined: async () => true,
  }
}

test('at its time the poller brings again what was lost behind it, also what it remembers, and nothing else', async () => {
  const lost = new Set<string>()
  const published = (): readonly string[] => world.published()
  const world = pollerWorld({ sweepEveryMs: SWEEP_EVERY_MS, known: async () => knownFrom(published, lost) })
  world.start()
  await world.pass(5 * HOUR_MS)
  for (const alert of ['stays', 'vanishes']) world.graph.change({ alert, atMs: world.clock.now() })
  await world.pass(HOUR_MS)
  const before = world.published()
  const gone = before.filter(key => key.includes('/vanishes '))
  expect(gone).toHaveLength(1)
  lost.add(gone[0] ?? '')

  await world.pass(3 * SWEEP_EVERY_MS)
  expect(world.published().filter(key => key.includes('/vanishes '))).toEqual([gone[0], gone[0]])
  expect(world.published().filter(key => key.includes('/stays '))).toHaveLength(1)
  expect(world.violations).toEqual([])
})

test('an alert that Graph shows hours late is found by the sweep', async () => {
  const published = (): readonly string[] => world.published()
  const world = pollerWorld({ sweepEveryMs: SWEEP_EVERY_MS, known: async () => knownFrom(published, new Set()) })
  world.start()
  await world.pass(5 * HOUR_MS)
  world.graph.change({ alert: 'late', atMs: world.clock.now(), delayMs: HOUR_MS })
  await world.pass(HOUR_MS - 1)
  expect(world.published().some(key => key.includes('/late '))).toBe(false)
  await world.pass(SWEEP_EVERY_MS)
  expect(world.published().filter(key => key.includes('/late '))).toHaveLength(1)
})
