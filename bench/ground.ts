import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openCodec } from '../platform/avro/codec.ts'
import type { Codec } from '../platform/avro/codec.ts'
import { registryLookup } from '../platform/avro/registry.ts'
import { systemClock } from '../platform/clock.ts'
import { kafkaClient } from '../platform/kafka/client.ts'
import type { Admin, KafkaClient } from '../platform/kafka/kafkajs.ts'
import { committedOffsets } from '../platform/kafka/offsets.ts'
import type { Appender } from '../platform/kafka/producer.ts'
import { openPublisher } from '../platform/kafka/producer.ts'
import { createLog } from '../platform/log.ts'
import { avroSchema } from '../platform/worker.ts'
import type { Stack } from '../sandbox/kafka/ladder.ts'
import { freePorts } from '../sandbox/kafka/ports.ts'
import type { TopicName } from '../schemas/topics.ts'
import { clientIdOf, tenantIdOf } from './alerts.ts'
import type { Environment } from './process.ts'
import { run } from './process.ts'

/** Topics of their own for one run of one case, with tenants applied. */
export interface Ground extends AsyncDisposable {
  readonly env: Environment
  readonly admin: Admin
  readonly publisher: Appender
  readonly lanes: number
  readonly ports: { readonly worker: number; readonly graph: number; readonly engine: number }
  topic(name: TopicName): string
  codec<T>(name: TopicName): Promise<Codec<T>>
  /** Writes the tenants file and applies it. */
  applyTenants(count: number): Promise<void>
  /** Records on all partitions of a topic. */
  recordsOn(name: TopicName): Promise<number>
  /** How many of the alerts a group is done with. */
  committed(groupId: string): Promise<number>
}

let serial = 0

export function benchPrefix(): string {
  return `bench-${process.pid}-${++serial}.`
}

export function benchClient({ brokers }: Pick<Stack, 'brokers'>): KafkaClient {
  const access = { brokers, clientId: 'bench', tls: null, sasl: null }
  return kafkaClient(access, createLog({ level: 'error', service: 'bench' }))
}

/** On all partitions. */
export async function recordsOf(admin: Admin, topic: string): Promise<number> {
  return (await admin.fetchTopicOffsets(topic)).reduce((sum, { high }) => sum + Number(high), 0)
}

export async function committedOf(admin: Admin, groupId: string, topic: string): Promise<number> {
  return [...(await committedOffsets(admin, groupId, topic)).values()].reduce((sum, offset) => sum + offset, 0)
}

export async function openGround(
  stack: Pick<Stack, 'brokers' | 'registryUrl'>,
  environment: Environment,
  lanes: number,
): Promise<Ground> {
  const folder = await mkdtemp(join(tmpdir(), 'socos-bench-'))
  const [worker = 0, graph = 0, engine = 0] = await freePorts(3)
  const prefix = benchPrefix()
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
  const kafka = benchClient(stack)
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
        clientId: clientIdOf(n),
        name: `Customer ${n}`,
        credential: { secretFile: 'secret' },
        metadata: { tier: 'gold', region: 'eu-west' },
      }))
      const file = join(folder, 'tenants.json')
      await writeFile(file, JSON.stringify({ tenants }))
      await run(['cli/socos.ts', 'tenants', 'apply', file], env)
    },
    async recordsOn(name) {
      return recordsOf(admin, topic(name))
    },
    async committed(groupId) {
      return committedOf(admin, groupId, topic('alerts'))
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
