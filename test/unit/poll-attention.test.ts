import { describe, expect, test } from 'vitest'
import { pollerWorld } from './fakes/poller-world.ts'

const MINUTE_MS = 60_000

describe('a tenant that needs attention', () => {
  test('says whose move it is and when it is tried next, is tried at that time, and recovers within a minute', async () => {
    const world = pollerWorld({
      intervalMs: 10_000,
      random: () => 0.123_456,
      graph: { spans: [{ fromMs: 2 * MINUTE_MS, untilMs: 20 * MINUTE_MS, what: 'needs-attention' }] },
    })
    world.start()
    await world.pass(3 * MINUTE_MS)
    const asked = world.graph.requests.length
    const tries: number[] = []
    for (let minute = 0; minute < 16; minute++) {
      const receipt = world.lastCheckpoint(world.tenantId)
      expect(receipt).toMatchObject({ state: 'needs-attention', move: 'customer' })
      tries.push(receipt?.nextTryAt ?? 0)
      await world.pass(MINUTE_MS)
    }
    // each promise was kept: when its time had come there was a next one
    for (const [n, nextTryMs] of tries.slice(1).entries()) expect(nextTryMs).toBeGreaterThan(tries[n] ?? 0)
    expect(world.graph.requests.length - asked).toBeLessThanOrEqual(2 * 16)

    await world.pass(2 * MINUTE_MS)
    expect(world.lastCheckpoint(world.tenantId)).toMatchObject({ state: 'ok', move: null, page: null, nextTryAt: null })
  })
})
