import { expect, inject } from 'vitest'
import { itemId } from '../../../consumers/engine/item.ts'
import { openCodec } from '../../../platform/avro/codec.ts'
import { registryLookup } from '../../../platform/avro/registry.ts'
import { systemClock } from '../../../platform/clock.ts'
import { kafkaClient } from '../../../platform/kafka/client.ts'
import { openReader } from '../../../platform/kafka/reader.ts'
import { createLog } from '../../../platform/log.ts'
import { avroSchema } from '../../../platform/worker.ts'
import type { TopicName } from '../../../schemas/topics.ts'
import type { Delivery, GraphAlert, Parked } from '../../../schemas/types.ts'
import type { Pipeline } from './kit.ts'

interface Stored<T> {
  readonly lane: number
  readonly offset: number
  readonly atMs: number
  readonly key: string
  readonly value: T
}

export function testKafka(brokers: readonly string[] = inject('stack').brokers) {
  const access = { brokers, clientId: 'test', tls: null, sasl: null }
  return kafkaClient(access, createLog({ level: 'error', service: 'test' }))
}

/** Every record of a topic, tombstones left out, lane by lane. */
export async function readAll<T>(pipeline: Pipeline, name: TopicName): Promise<Stored<T>[]> {
  return (await readLog<T>(pipeline, name)).flatMap(({ value, ...rest }) =>
    value === null ? [] : [{ ...rest, value }],
  )
}

/** The same with tombstones. */
export async function readLog<T>({ prefix, stack }: Pipeline, name: TopicName): Promise<Stored<T | null>[]> {
  const topic = prefix + name
  const registry = registryLookup({ url: stack.registryUrl }, systemClock)
  const codec = await openCodec<T>(`${topic}-value`, avroSchema(name), registry, systemClock)
  const kafka = testKafka(stack.brokers)
  const admin = kafka.admin()
  await admin.connect()
  const reader = await openReader(kafka)
  const found: Stored<T | null>[] = []
  for (const { partition: lane } of await admin.fetchTopicOffsets(topic)) {
    for await (const records of reader.read(topic, lane, 0, Number.MAX_SAFE_INTEGER)) {
      for (const { offset, timestampMs: atMs, key: bytes, value } of records) {
        const key = bytes?.toString() ?? ''
        const decoded = value && codec.decode(value)
        if (decoded === null) found.push({ lane, offset, atMs, key, value: null })
        else if (decoded.kind === 'value') found.push({ lane, offset, atMs, key, value: decoded.value })
      }
    }
  }
  await Promise.all([reader.close(), admin.disconnect()])
  return found
}

const LOOKS_MAX = 20

/** The log and the counts of one moment: a worker that lives may at any time publish what it lists again. */
async function logAndCounts(pipeline: Pipeline) {
  for (let look = 1; ; look++) {
    const before = JSON.stringify([...(await pipeline.status()).values()].map(({ counts }) => counts))
    const log = await readAll<GraphAlert>(pipeline, 'alerts')
    const rows = await pipeline.status()
    const after = JSON.stringify([...rows.values()].map(({ counts }) => counts))
    if (before === after || look === LOOKS_MAX) return { log, rows }
  }
}

/**
 * P5 by id, once nothing is under way: every record of the log was accepted by the engine under its item id, or stands
 * in `parked` with its own coordinate, or was superseded by a record before it that was, or repeats one that is parked;
 * nobody counts more or less than that; and the ledger says of every alert what the engine's own ledger says. Removed tenants are forgotten on purpose.
 */
export async function expectEveryRecordAccountedFor(
  pipeline: Pipeline,
  removed: ReadonlySet<string> = new Set(),
): Promise<void> {
  const { log, rows } = await logAndCounts(pipeline)
  const accepted = pipeline.engine.ledger.items.filter(item => item.accepted && !item.replay)
  const acceptedIds = new Set(accepted.map(item => item.id))
  const newestAccepted = new Map<string, string>()
  for (const { tenantId, alertId, version } of accepted) {
    const key = `${tenantId}/${alertId}`
    if (version > (newestAccepted.get(key) ?? '')) newestAccepted.set(key, version)
  }
  const parkedAt = new Set(
    (await readAll<Parked>(pipeline, 'parked'))
      .filter(({ value }) => value.offset >= 0)
      .map(({ lane, value }) => `${lane}:${value.offset}`),
  )
  const seen = new Map<string, { delivered: number; dropped: number; parked: number }>()
  const first = new Set<string>()
  const parkedIds = new Set<string>()
  const onLog = new Set<string>()
  const lost: string[] = []
  for (const { lane, offset, key, value } of log) {
    const { tenantId, alertId, version, contentHash } = value
    const id = itemId(tenantId, alertId, version, contentHash.toString('hex'))
    const count = seen.get(tenantId) ?? { delivered: 0, dropped: 0, parked: 0 }
    seen.set(tenantId, count)
    onLog.add(id)
    if (parkedAt.has(`${lane}:${offset}`)) {
      count.parked++
      parkedIds.add(id)
      continue
    }
    if (acceptedIds.has(id) && !first.has(id)) count.delivered++
    else if (acceptedIds.has(id) || parkedIds.has(id) || (newestAccepted.get(key) ?? '') >= version) count.dropped++
    else if (!removed.has(tenantId)) lost.push(`${lane}:${offset} ${key} ${version}`)
    if (acceptedIds.has(id)) first.add(id)
  }
  expect(lost).toEqual([])
  // nothing at the engine that is not on the log
  expect([...acceptedIds].filter(id => !onLog.has(id))).toEqual([])

  const ledger = new Map((await readAll<Delivery>(pipeline, 'deliveries')).map(({ key, value }) => [key, value]))
  for (const [key, version] of newestAccepted) {
    if (removed.has(key.slice(0, key.indexOf('/')))) continue
    expect(`${key} ${ledger.get(key)?.delivered?.version}`).toBe(`${key} ${version}`)
  }
  for (const [tenantId, { counts }] of rows) {
    if (removed.has(tenantId)) continue
    const { delivered, dropped, parked } = seen.get(tenantId) ?? { delivered: 0, dropped: 0, parked: 0 }
    expect({ tenantId, delivered: counts.delivered, parked: counts.parked, waiting: counts.waiting }).toEqual({
      tenantId,
      delivered,
      parked,
      waiting: 0,
    })
    expect(counts.duplicate + counts.stale).toBe(dropped)
  }
  const { out } = await pipeline.look('status', '-o', 'json')
  expect(JSON.parse(out)).toMatchObject({ lost: [], unaccounted: [] })
}
