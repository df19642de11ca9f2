import { expect, inject, test } from 'vitest'
import { openCodec } from '../../../platform/avro/codec.ts'
import { registryLookup } from '../../../platform/avro/registry.ts'
import { systemClock } from '../../../platform/clock.ts'
import { laneOf } from '../../../platform/kafka/lane-of.ts'
import { openPublisher } from '../../../platform/kafka/producer.ts'
import { openReader } from '../../../platform/kafka/reader.ts'
import { avroSchema } from '../../../platform/worker.ts'
import { addMs } from '../../../producers/window.ts'
import type { Checkpoint } from '../../../schemas/types.ts'
import { testKafka } from './accounts.ts'
import type { Pipeline } from './kit.ts'
import { startPipeline, until } from './kit.ts'

const LANES = 6

interface SweepRow {
  readonly tenantId: string
  readonly listed: number
  readonly known: number
  readonly repaired: number
  readonly late: number
  readonly missing: readonly { readonly alertId: string }[]
  readonly gaps: readonly object[]
  readonly provenUpTo: string | null
  readonly problem: string | null
}

/** An operator's hand, or a broker's bad day: everything of a lane of the log is gone. */
async function deleteLane(topic: string, lane: number): Promise<void> {
  const admin = testKafka().admin()
  await admin.connect()
  await admin.fetchTopicOffsets(topic) // it deletes only where it knows the leader
  await admin.deleteTopicRecords({ topic, partitions: [{ partition: lane, offset: '-1' }] })
  await admin.disconnect()
}

async function advanceCheckpoint({ prefix }: Pipeline, tenantId: string, byMs: number): Promise<void> {
  const topic = `${prefix}checkpoints`
  const lane = laneOf(tenantId, LANES)
  const registry = registryLookup({ url: inject('stack').registryUrl }, systemClock)
  const codec = await openCodec<Checkpoint>(`${topic}-value`, avroSchema('checkpoints'), registry, systemClock)
  const reader = await openReader(testKafka())
  let last: Checkpoint | undefined
  for await (const records of reader.read(topic, lane, 0, Number.MAX_SAFE_INTEGER)) {
    for (const { key, value } of records) {
      const decoded = key?.toString() === tenantId && value ? codec.decode(value) : null
      if (decoded?.kind === 'value') last = decoded.value
    }
  }
  if (!last) throw new Error('no checkpoint yet')
  const publisher = await openPublisher(testKafka())
  const value = codec.encode({ ...last, watermark: addMs(last.watermark, byMs) })
  await publisher.append(topic, lane, [{ key: tenantId, value }])
  await Promise.all([publisher.close(), reader.close()])
}

async function sweep(pipeline: Pipeline, ...flags: string[]): Promise<{ code: number | null; rows: SweepRow[] }> {
  const { code, out, err } = await pipeline.socos('sweep', '--since', '24h', '-o', 'json', ...flags)
  if (out === '') throw new Error(`socos sweep exited with ${code}: ${err}`)
  return { code, rows: JSON.parse(out) as SweepRow[] }
}

test('a sweep finds and repairs what was deleted from the log, shown late by Graph, or skipped by a checkpoint', async () => {
  await using pipeline = await startPipeline({
    name: 'sweep',
    lanes: LANES,
    graph: { tenants: 8, backlogPerTenant: 3 },
  })
  const { graph, engine } = pipeline
  // three tenants of three lanes, so that each loss is one tenant's
  const byLane = new Map(graph.tenants.map(tenant => [laneOf(tenant.tenantId, LANES), tenant]))
  const [deleted, late, skipped] = [...byLane.values()]
  if (!deleted || !late || !skipped) throw new Error('too few lanes are hit')
  const [poller, forwarder] = await Promise.all([pipeline.start('poller'), pipeline.start('forwarder')])
  await Promise.all([poller.ready(), forwarder.ready()])
  await pipeline.complete()
  await until(async () => [...(await pipeline.status()).values()].every(row => row.state === 'ok'), 30_000)

  const two = graph.addAlert(late.tenantId, { at: new Date(Date.now() - 3 * 3_600_000).toISOString() })

  expect(await poller.stop()).toBe(0)
  const three = graph.addAlert(skipped.tenantId)
  await advanceCheckpoint(pipeline, skipped.tenantId, 3_600_000)
  await (await pipeline.start('poller')).ready()

  // the poller that published it remembers it, so no poll brings it again
  expect(await forwarder.stop()).toBe(0)
  // older than the second in which it is polled, so that the checkpoint of that poll covers it, and with it the sweep
  const one = graph.addAlert(deleted.tenantId, { at: new Date(Date.now() - 2_000).toISOString() })
  await until(async () => (await pipeline.status()).get(deleted.tenantId)?.counts.waiting !== 0, 30_000)
  await deleteLane(`${pipeline.prefix}alerts`, laneOf(deleted.tenantId, LANES))
  await (await pipeline.start('forwarder')).ready()
  await until(async () => {
    const rows = await pipeline.status()
    const polledMs = Date.parse(rows.get(skipped.tenantId)?.lastPoll ?? '')
    return polledMs > Date.parse(three.version ?? '') && [...rows.values()].every(row => row.counts.waiting === 0)
  }, 30_000)
  const lost = [one, two, three].map(revision => revision.alertId ?? '')
  expect(engine.ledger.items.filter(item => lost.includes(item.alertId))).toEqual([])

  const dry = await sweep(pipeline, '--dry-run')
  expect(new Set(dry.rows.flatMap(row => row.missing.map(({ alertId }) => alertId)))).toEqual(new Set(lost))
  expect((await sweep(pipeline, '--dry-run')).rows.map(row => row.repaired)).toEqual(dry.rows.map(row => row.repaired))

  const { code, rows } = await sweep(pipeline)
  expect(code).toBe(0)
  const row = (tenantId: string) => rows.find(entry => entry.tenantId === tenantId)
  expect(row(deleted.tenantId)).toMatchObject({ repaired: 1, late: 0, gaps: [], problem: null })
  expect(row(late.tenantId)).toMatchObject({ repaired: 1, late: 1, known: 3 })
  expect(row(skipped.tenantId)).toMatchObject({ repaired: 1 })
  expect(rows.reduce((sum, entry) => sum + entry.repaired, 0)).toBe(3)
  const verdict = await pipeline.complete()
  expect(verdict).toMatchObject({ missingCount: 0, duplicates: 0, staleAfterNew: 0, unexpected: 0 })

  // what was repaired is known to the next one, and the proof stands in the status
  await until(async () => [...(await pipeline.status()).values()].every(({ counts }) => counts.waiting === 0), 30_000)
  const second = await sweep(pipeline)
  expect(second.rows.map(entry => entry.repaired)).toEqual(second.rows.map(() => 0))
  const status = await pipeline.status()
  for (const { tenantId, provenUpTo } of second.rows) {
    expect(status.get(tenantId)?.provenUpTo).toBe(provenUpTo)
    expect(Date.parse(provenUpTo ?? '')).toBeGreaterThan(Date.parse(two.version ?? ''))
  }
  expect(status.get(late.tenantId)?.foundLate).toBe(1)
  // every record that was ever written has a fate, or is known to be lost
  const { out } = await pipeline.look('status', '-o', 'json')
  const lane = laneOf(deleted.tenantId, LANES)
  expect(JSON.parse(out)).toMatchObject({ lost: [{ lane, records: 1 }], unaccounted: [] })
  for (const counters of Object.values(graph.ledger.tenants))
    expect(counters).toMatchObject({ nonGetRequests: 0, overLimit: 0 })
})

test('a sweep of a tenant that is in trouble says so, goes on with the others, and exits with 3', async () => {
  await using pipeline = await startPipeline({
    name: 'sweep-trouble',
    graph: { tenants: { count: 3, expired: 1 }, backlogPerTenant: 2 },
  })
  const { code, rows } = await sweep(pipeline)
  expect(code).toBe(3)
  expect(rows.filter(row => row.problem !== null)).toHaveLength(1)
  expect(rows.find(row => row.problem !== null)?.problem).toMatch(/expired/)
  // nobody polls: the sweep brings everything itself
  expect(rows.filter(row => row.problem === null).map(row => row.repaired)).toEqual([2, 2])

  const unknown = await pipeline.socos('sweep', '--tenant', '00000000-0000-0000-0000-000000000000')
  expect(unknown).toMatchObject({ code: 5, err: expect.stringContaining('No active tenant') })
  const wrong = await pipeline.socos('sweep', '--since', 'yesterday')
  expect(wrong).toMatchObject({ code: 2, err: expect.stringContaining('--since is "yesterday"') })
})
