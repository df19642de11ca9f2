import { createHash } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openCodec } from '../platform/avro/codec.ts'
import type { Codec } from '../platform/avro/codec.ts'
import { registryLookup } from '../platform/avro/registry.ts'
import { systemClock } from '../platform/clock.ts'
import { kafkaClient } from '../platform/kafka/client.ts'
import type { Admin } from '../platform/kafka/kafkajs.ts'
import { laneOf } from '../platform/kafka/lane-of.ts'
import type { OutRecord, Publisher } from '../platform/kafka/producer.ts'
import { openPublisher } from '../platform/kafka/producer.ts'
import { createLog } from '../platform/log.ts'
import { avroSchema } from '../platform/worker.ts'
import type { Stack } from '../sandbox/kafka/ladder.ts'
import { freePorts } from '../sandbox/kafka/ports.ts'
import type { Delivery, GraphAlert } from '../schemas/types.ts'
import type { TopicName } from '../schemas/topics.ts'
import { alertJson, tenantIdOf } from './alerts.ts'
import type { Environment } from './process.ts'
import { run } from './process.ts'

/** Topics of their own for one run of one case, with tenants applied. */
export interface Ground extends AsyncDisposable {
  readonly env: Environment
  readonly admin: Admin
  readonly publisher: Publisher
  readonly lanes: number
  readonly ports: { readonly worker: number; readonly graph: number; readonly engine: number }
  topic(name: TopicName): string
  codec<T>(name: TopicName): Promise<Codec<T>>
  /** Writes the tenants file and applies it. */
  applyTenants(count: number): Promise<void>
  /** Records on all partitions of a topic. */
  recordsOn(name: TopicName): Promise<number>
}

let serial = 0

export async function openGround(stack: Stack, environment: Environment, lanes: number): Promise<Ground> {
  const folder = await mkdtemp(join(tmpdir(), 'socos-bench-'))
  const [worker = 0, graph = 0, engine = 0] = await freePorts(3)
  const prefix = `bench-${process.pid}-${++serial}.`
  const env: Environment = {
    PATH: environment['PATH'],
    HOME: environment['HOME'],
    KAFKA_BROKERS: stack.brokers.join(','),
    SCHEMA_REGISTRY_URL: stack.registryUrl,
    TOPIC_PREFIX: prefix,
    LANES: String(lanes),
    SECRETS_DIR: folder,
    GRAPH_SANDBOX_URL: `http://127.0.0.1:${graph}`,
    ENGINE_URL: `http://127.0.0.1:${engine}`,
    LOOKBACK_HOURS: '2',
    HTTP_HOST: '127.0.0.1',
    HTTP_PORT: String(worker),
    LOG_LEVEL: 'warn',
  }
  await run(['cli/socos.ts', 'topics', 'apply'], env)
  await run(['cli/socos.ts', 'schemas', 'register'], env)
  const kafka = kafkaClient(
    { brokers: stack.brokers, clientId: 'bench', tls: null, sasl: null },
    createLog({ level: 'error', service: 'bench' }),
  )
  const admin = kafka.admin()
  await admin.connect()
  const publisher = await openPublisher(kafka)
  const topic = (name: TopicName): string => prefix + name
  return {
    env,
    admin,
    publisher,
    lanes,
    ports: { worker, graph, engine },
    topic,
    codec: name =>
      openCodec(
        `${topic(name)}-value`,
        avroSchema(name),
        registryLookup({ url: stack.registryUrl }, systemClock),
        systemClock,
      ),
    async applyTenants(count) {
      await writeFile(join(folder, 'secret'), 'not-a-secret')
      const tenants = Array.from({ length: count }, (_, n) => ({
        tenantId: tenantIdOf(n),
        clientId: tenantIdOf(n),
        name: `Customer ${n}`,
        credential: { secretFile: 'secret' },
        metadata: { tier: 'gold', region: 'eu-west' },
      }))
      const file = join(folder, 'tenants.json')
      await writeFile(file, JSON.stringify({ tenants }))
      await run(['cli/socos.ts', 'tenants', 'apply', file], env)
    },
    async recordsOn(name) {
      const parts = await admin.fetchTopicOffsets(topic(name))
      return parts.reduce((sum, { high }) => sum + Number(high), 0)
    },
    async [Symbol.asyncDispose]() {
      await publisher.close()
      const all = (await admin.listTopics()).filter(name => name.startsWith(prefix))
      await admin.deleteTopics({ topics: all })
      await admin.disconnect()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** Puts `count` alerts of `tenants` tenants on the log; every fifth is one that was there already. */
export async function fillAlerts(ground: Ground, tenants: number, count: number): Promise<{ distinct: number }> {
  const codec = await ground.codec<GraphAlert>('alerts')
  const byLane = new Map<number, OutRecord[]>()
  let distinct = 0
  for (let n = 0; n < count; n++) {
    const isRepeat = n % 5 === 4
    const k = isRepeat ? n - 4 : n
    if (!isRepeat) distinct++
    const tenantId = tenantIdOf(Math.floor(k / 5) % tenants)
    const alertId = `da${k}`
    const alert = Buffer.from(alertJson(tenantId, alertId, '2026-11-24T10:00:00Z'))
    const value = codec.encode({
      tenantId,
      alertId,
      version: '2026-11-24T10:00:00.0000000Z',
      contentHash: createHash('sha256').update(alert).digest(),
      source: 'alerts_v2',
      origin: 'poll',
      observedAt: Date.now(),
      attempts: 0,
      severity: 'medium',
      status: 'new',
      serviceSource: null,
      alert,
    })
    await add(ground, 'alerts', byLane, tenantId, { key: `${tenantId}/${alertId}`, value })
  }
  await flush(ground, 'alerts', byLane)
  return { distinct }
}

export async function fillLedger(ground: Ground, entries: number): Promise<void> {
  const codec = await ground.codec<Delivery>('deliveries')
  const byLane = new Map<number, OutRecord[]>()
  const delivered = { version: '2026-11-24T10:00:00.0000000Z', contentHash: Buffer.alloc(8), offset: 1, at: Date.now() }
  for (let n = 0; n < entries; n++) {
    const tenantId = tenantIdOf(n % 50)
    const alertId = `da637551${n}_-1919996919`
    const value = codec.encode({ tenantId, alertId, delivered, parked: null, totals: null })
    await add(ground, 'deliveries', byLane, tenantId, { key: `${tenantId}/${alertId}`, value })
  }
  await flush(ground, 'deliveries', byLane)
}

const BATCH_RECORDS = 250

async function add(
  ground: Ground,
  name: TopicName,
  byLane: Map<number, OutRecord[]>,
  tenantId: string,
  record: OutRecord,
): Promise<void> {
  const lane = laneOf(tenantId, ground.lanes)
  const batch = byLane.get(lane) ?? []
  byLane.set(lane, batch)
  batch.push(record)
  if (batch.length < BATCH_RECORDS) return
  byLane.delete(lane)
  await ground.publisher.append(ground.topic(name), lane, batch)
}

async function flush(ground: Ground, name: TopicName, byLane: Map<number, OutRecord[]>): Promise<void> {
  for (const [lane, batch] of byLane) await ground.publisher.append(ground.topic(name), lane, batch)
  byLane.clear()
}
