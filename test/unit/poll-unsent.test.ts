import { describe, expect, test } from 'vitest'
import { TransientError } from '../../platform/retry.ts'
import type { Pending } from '../../producers/publish.ts'
import { createUnsent } from '../../producers/unsent.ts'
import type { World, WorldOptions } from './fakes/poller-world.ts'
import { pollerWorld } from './fakes/poller-world.ts'

const SECOND_MS = 1_000
const INTERVAL_MS = 10 * SECOND_MS

/** Kafka is away for two minutes, and a revision that was listed as it went is replaced before it is back. */
async function replacedWhileKafkaIsAway(given: Partial<WorldOptions> = {}): Promise<World> {
  const away = { untilMs: 0 }
  const world = pollerWorld({
    intervalMs: INTERVAL_MS,
    between: real => ({
      append: (topic, lane, records) =>
        world.clock.now() < away.untilMs
          ? Promise.reject(new TransientError('Kafka is away'))
          : real.append(topic, lane, records),
    }),
    ...given,
  })
  world.start()
  await world.pass(1.5 * INTERVAL_MS)
  away.untilMs = world.clock.now() + 120 * SECOND_MS
  world.graph.change({ alert: 'a', atMs: world.clock.now() })
  await world.pass(2 * INTERVAL_MS)
  world.graph.change({ alert: 'a', atMs: world.clock.now() })
  await world.pass(240 * SECOND_MS)
  return world
}

describe('what was read while Kafka did not take it', () => {
  test('is on the log once Kafka is back, though Graph shows something newer by then', async () => {
    const world = await replacedWhileKafkaIsAway()
    const versions = world.graph.revisions.map(({ id, version }) => `${world.tenantId}/${id} ${version}`)
    expect(world.published()).toEqual(versions) // in their order, and none twice
    expect(world.violations).toEqual([])
    expect(world.lastCheckpoint(world.tenantId)).toMatchObject({ state: 'ok', publishedTotal: 2 })
  })

  test('is only read again where there is no room for it, which is said', async () => {
    const world = await replacedWhileKafkaIsAway({ unsentBytesMax: 10 })
    expect(world.published()).toHaveLength(1)
    expect(world.lost()).toEqual([])
    const said = world.log.lines.map(({ message }) => message)
    expect(said).toContainEqual(expect.stringContaining('no room for what Kafka does not take'))
  })

  test('gives way to what was read later, whole tenants at a time, and is counted', () => {
    const unsent = createUnsent(30)
    expect([unsent.keep('a', pending(10)), unsent.keep('b', pending(10, 5)), unsent.bytes]).toEqual([0, 0, 25])
    expect([unsent.keep('c', pending(12)), unsent.bytes]).toEqual([1, 27])
    expect(['a', 'b', 'c'].map(tenant => unsent.of(tenant).length)).toEqual([0, 2, 1])
    expect([unsent.keep('b', pending(18)), unsent.bytes]).toEqual([0, 30]) // instead of what was kept of it
    expect([unsent.keep('d', pending(31)), unsent.bytes]).toEqual([1, 30]) // costs nobody else
    unsent.forget('b')
    unsent.forget('b')
    expect(unsent.bytes).toBe(12)
  })

  test('is kept in memory of its own', () => {
    const block = Buffer.alloc(1_000, 7)
    const unsent = createUnsent(1_000)
    unsent.keep('a', [{ to: 'alerts', record: { key: '', value: block.subarray(0, 10) }, noted: () => {} }])
    block.fill(0)
    expect(unsent.of('a')[0]?.record.value).toEqual(Buffer.alloc(10, 7))
  })
})

function pending(...sizes: number[]): Pending[] {
  return sizes.map(size => ({ to: 'alerts', record: { key: '', value: Buffer.alloc(size) }, noted: () => {} }))
}
