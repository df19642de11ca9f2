/** Longer than the rule: what is opened, in which order, and what a worker refuses to start on, is one story. */
import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import type { TopicName } from '../schemas/topics.ts'
import { TOPICS, topicConfig, topicSpec } from '../schemas/topics.ts'
import type { BytesAre, Codec, AvroSchema as Schema } from './avro/codec.ts'
import { openCodec } from './avro/codec.ts'
import type { SchemaLookup } from './avro/registry.ts'
import { registryLookup } from './avro/registry.ts'
import type { Clock } from './clock.ts'
import { systemClock, systemRandom } from './clock.ts'
import { countBuffersAsHeap } from './collector.ts'
import { kafkaAccess, registryAccess } from './connection.ts'
import type { Crash } from './crash.ts'
import { openCrash } from './crash.ts'
import type { Check, Health } from './health.ts'
import { startHealth } from './health.ts'
import type { WatchedClient } from './kafka/client.ts'
import { kafkaClient } from './kafka/client.ts'
import { inWordsIfDenied } from './kafka/denied.ts'
import type { Admin, KafkaClient } from './kafka/kafkajs.ts'
import type { Publisher } from './kafka/producer.ts'
import { openPublisher, publisherOf } from './kafka/producer.ts'
import type { LogReader } from './kafka/reader.ts'
import { openReader } from './kafka/reader.ts'
import type { WantedTopic } from './kafka/topics.ts'
import { diffTopics, existingTopics } from './kafka/topics.ts'
import type { Log } from './log.ts'
import { createLog } from './log.ts'
import type { Metrics } from './metrics.ts'
import { createMetrics } from './metrics.ts'
import type { Otlp } from './otlp.ts'
import { retry, TransientError } from './retry.ts'
import { processEnvironment, readSettings } from './settings.ts'
import type { Role, Settings } from './settings-table.ts'
import type { Releaser, Shutdown } from './shutdown.ts'
import { installShutdown } from './shutdown.ts'
import type { Tracer } from './trace.ts'

/** What every worker needs, opened in order and released in reverse. */
export interface Worker<R extends 'poller' | 'forwarder'> {
  readonly settings: Settings<R>
  readonly log: Log
  readonly metrics: Metrics
  /** Null: nobody collects traces. */
  readonly tracer: Tracer | null
  readonly clock: Clock
  readonly shutdown: Shutdown
  /** Partitions of every topic keyed by tenant. */
  readonly lanes: number
  readonly publisher: Publisher
  /** Null but in tests of what a death costs. */
  readonly crash: Crash | null
  /** Reads ranges outside of any group; connected when it is first asked for. Rejects with a TransientError. */
  reader(): Promise<LogReader>
  /** A client of its own for a consumer group. */
  kafka(): WatchedClient
  topic(name: TopicName): string
  group(name: string): string
  codec<T>(name: TopicName): Promise<Codec<T>>
  /** Released before what was opened earlier. */
  releaseFirst(name: string, release: () => Promise<void> | void): void
  /** From here on the worker is started; `ready` and `live` say how it is. */
  started(checks: { readonly ready: Check; readonly live: Check }): void
}

type Connection = Settings<Role>
type OtlpSettings = Pick<Settings<'forwarder'>, 'otlpEndpoint' | 'otlpHeaders' | 'otelServiceName' | 'traceShare'>
type HealthSettings = Pick<Settings<'forwarder'>, 'httpHost' | 'httpPort'>
/** What both kinds of worker have. */
type Common = Connection & OtlpSettings & HealthSettings & Pick<Settings<'forwarder'>, 'shutdownMs' | 'crashAt'>

const START_PATIENCE = { attempts: 8, firstMs: 500, maxMs: 5_000 }

/** Exits with words when the settings, the topics or the schemas are not as they must be. */
export async function openWorker<R extends 'poller' | 'forwarder'>(role: R): Promise<Worker<R>> {
  const read = readSettings({ env: processEnvironment(), readFile: path => readFileSync(path, 'utf8') }, role)
  if (read.kind === 'bad') {
    for (const problem of read.problems) process.stderr.write(`${role}: ${problem}\n`)
    process.exit(2)
  }
  countBuffersAsHeap()
  const settings = read.settings as unknown as Settings<R>
  const common = read.settings as unknown as Common
  const log = createLog({ level: common.logLevel, service: role })
  for (const warning of read.warnings) log.warn(warning)
  const crash = openCrash(common.crashAt, 'worker', words => log.warn(words))
  const metrics = createMetrics()
  const releasers: Releaser[] = []
  const shutdown = installShutdown({ log, releasers, deadlineMs: common.shutdownMs })

  try {
    const otlp = await openTelemetry(common, role, {
      metrics,
      log,
      clock: systemClock,
    })
    if (otlp !== null) releasers.unshift({ name: 'telemetry', release: () => otlp.close() })
    const health = await openHealth(common, metrics)
    releasers.unshift({ name: 'health', release: () => health.server.close() })
    const access = kafkaAccess(common, log)
    const kafka = (): WatchedClient => kafkaClient(access, log)
    const topic = (name: TopicName): string => common.topicPrefix + name
    const lanes = await patiently(() => checkTopics(kafka(), topic), log, shutdown.signal)
    const registry = registryLookup(registryAccess(common, log), systemClock)
    const appender = await patiently(() => append(kafka(), metrics), log, shutdown.signal)
    releasers.unshift({ name: 'kafka producer', release: () => appender.close() })
    let reader: Promise<LogReader> | undefined
    const openedReader = async (): Promise<LogReader> => {
      reader ??= openReader(kafka())
      try {
        return await reader
      } catch (error) {
        reader = undefined
        throw new TransientError('Kafka cannot be read', { cause: error })
      }
    }
    releasers.unshift({
      name: 'kafka reader',
      release: async () => {
        await reader?.then(
          opened => opened.close(),
          () => {},
        )
      },
    })
    return {
      settings,
      log,
      metrics,
      tracer: otlp?.tracer ?? null,
      reader: openedReader,
      clock: systemClock,
      shutdown,
      lanes,
      publisher: publisherOf(appender, crash),
      crash,
      kafka,
      topic,
      group: name => common.topicPrefix + name,
      codec: name => patiently(() => codecFor(name, topic, registry), log, shutdown.signal),
      releaseFirst: (name, release) => void releasers.unshift({ name, release }),
      started: checks => health.started(checks),
    }
  } catch (error) {
    refuse(log, error)
  }
}

/** A mistake of the operator's is said in words; the exit code tells Kubernetes to try again. */
export function refuse(log: Log, error: unknown): never {
  const shown = inWordsIfDenied(error)
  log.error(`not started: ${shown instanceof Error ? shown.message : String(shown)}`)
  process.exit(1)
}

/** Opens the codec of a topic's value by TopicNameStrategy. Rejects in words when the schema is not registered. */
async function codecFor<T>(
  name: TopicName,
  topic: (name: TopicName) => string,
  registry: SchemaLookup,
): Promise<Codec<T>> {
  return openCodec<T>(`${topic(name)}-value`, avroSchema(name), registry, systemClock, bytesOf(name))
}

/** Alerts are large, many, and soon done with. */
export function bytesOf(name: TopicName): BytesAre {
  return name === 'alerts' ? 'shared' : 'copied'
}

/** The schema file of a topic's value. */
export function avroSchema(name: TopicName): Schema {
  const file = new URL(`../schemas/${topicSpec(name).schema}.avsc`, import.meta.url)
  return JSON.parse(readFileSync(file, 'utf8')) as Schema
}

/** The topic table as it must stand in the cluster. */
export function wantedTopics(topic: (name: TopicName) => string, lanes: number): readonly WantedTopic[] {
  return TOPICS.map(spec => ({
    topic: topic(spec.name),
    partitions: spec.partitions === 'lanes' ? lanes : spec.partitions,
    config: topicConfig(spec),
  }))
}

/** How many lanes the deployment has: the partitions of the alerts topic, which all others must share. */
export async function laneCount(admin: Admin, alertsTopic: string): Promise<number> {
  const existing = await existingTopics(admin, [alertsTopic])
  if (!existing.has(alertsTopic)) {
    throw new Error(`Topic ${alertsTopic} does not exist. Run \`npx socos topics apply\`, or set TOPIC_PREFIX.`)
  }
  const metadata = await admin.fetchTopicMetadata({ topics: [alertsTopic] })
  return metadata.topics[0]?.partitions.length ?? 0
}

/** A dependency that comes up a little later than the worker is no reason to die; one that stays away is. */
async function patiently<T>(task: () => Promise<T>, log: Log, signal: AbortSignal): Promise<T> {
  return retry(
    async attempt => {
      try {
        return await task()
      } catch (error) {
        if (!isConnection(error)) throw error
        const reason = error instanceof Error ? error.message : String(error)
        log.warn('a dependency is not there yet', { attempt, reason })
        throw error instanceof TransientError ? error : new TransientError(reason, { cause: error })
      }
    },
    START_PATIENCE,
    { clock: systemClock, random: systemRandom, signal },
  )
}

function isConnection(error: unknown): boolean {
  return (
    error instanceof TransientError ||
    (error instanceof Error && /^KafkaJS(Connection|NumberOfRetries|Broker|Request)/.test(error.name))
  )
}

/** Refuses topics that would lose state or history, each difference named. */
async function checkTopics(client: KafkaClient, topic: (name: TopicName) => string): Promise<number> {
  const admin = client.admin({ retry: { retries: 2, initialRetryTime: 200 } })
  await admin.connect()
  try {
    const lanes = await laneCount(admin, topic('alerts'))
    const fatal = (await diffTopics(admin, wantedTopics(topic, lanes))).filter(difference => difference.fatal)
    if (fatal.length > 0) {
      const list = fatal.map(({ topic: name, what }) => `topic ${name} ${what}`).join('; ')
      throw new Error(`The topics are not as they must be: ${list}. See \`npx socos topics check\`.`)
    }
    return lanes
  } finally {
    await admin.disconnect()
  }
}

function append(client: KafkaClient, metrics: Metrics): ReturnType<typeof openPublisher> {
  return openPublisher(client, (_topic, durationMs) =>
    metrics.observe('kafka_send_duration_seconds', {}, durationMs / 1000),
  )
}

/** The exporters are loaded only where somebody collects. */
async function openTelemetry(
  settings: OtlpSettings,
  role: string,
  deps: { metrics: Metrics; log: Log; clock: Clock },
): Promise<Otlp | null> {
  const { otlpEndpoint: endpoint, otlpHeaders, otelServiceName, traceShare } = settings
  if (endpoint === null) return null
  const { openOtlp } = await import('./otlp.ts')
  const serviceName = otelServiceName ?? `socos-${role}`
  const instanceId = `${hostname()}-${process.pid}`
  deps.log.info('metrics and traces go to a collector', { endpoint, serviceName, traceShare })
  return openOtlp({ endpoint, headers: otlpHeaders ?? {}, serviceName, instanceId, traceShare }, deps)
}

async function openHealth(
  settings: HealthSettings,
  metrics: Metrics,
): Promise<{ server: Health; started(checks: { ready: Check; live: Check }): void }> {
  let current: { ready: Check; live: Check } | null = null
  const waiting = { ok: false, detail: 'starting' }
  const server = await startHealth({
    host: settings.httpHost,
    port: settings.httpPort,
    scrape: () => metrics.scrape(),
    checks: {
      live: { loop: () => current?.live() ?? { ok: true, detail: 'starting' } },
      ready: { lanes: () => current?.ready() ?? waiting },
      started: { worker: () => (current ? { ok: true, detail: 'started' } : waiting) },
    },
  })
  return { server, started: checks => (current = checks) }
}
