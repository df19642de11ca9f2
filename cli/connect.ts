import { readFileSync } from 'node:fs'
import type { Codec } from '../platform/avro/codec.ts'
import { openCodec } from '../platform/avro/codec.ts'
import type { SchemaLookup } from '../platform/avro/registry.ts'
import { registryLookup } from '../platform/avro/registry.ts'
import { systemClock } from '../platform/clock.ts'
import { kafkaAccess, registryAccess } from '../platform/connection.ts'
import type { Crash } from '../platform/crash.ts'
import { openCrash } from '../platform/crash.ts'
import type { Bookmark } from '../platform/kafka/bookmark.ts'
import { openBookmark } from '../platform/kafka/bookmark.ts'
import type { KafkaAccess } from '../platform/kafka/client.ts'
import { kafkaClient } from '../platform/kafka/client.ts'
import type { Admin, KafkaClient } from '../platform/kafka/kafkajs.ts'
import type { Publisher } from '../platform/kafka/producer.ts'
import { openPublisher, publisherOf } from '../platform/kafka/producer.ts'
import type { LogReader } from '../platform/kafka/reader.ts'
import { openBulkReader } from '../platform/kafka/reader.ts'
import type { Log } from '../platform/log.ts'
import { createLog } from '../platform/log.ts'
import { readSettings } from '../platform/settings.ts'
import type { Role, SettingKey, Settings } from '../platform/settings-table.ts'
import { avroSchema, bytesOf, laneCount } from '../platform/worker.ts'
import type { TopicName } from '../schemas/topics.ts'
import type { Io } from './io.ts'
import { EXIT, Refusal } from './io.ts'

export type CliSettings = Settings<'cli'>

/** What a command works with; everything is opened when it is first asked for and closed at the end. */
export interface Connection {
  readonly settings: CliSettings
  /** For the parts that log; only errors are shown. */
  readonly log: Log
  /** Null but in tests of what a death costs. */
  readonly crash: Crash | null
  topic(name: TopicName): string
  admin(): Promise<Admin>
  reader(): Promise<LogReader>
  publisher(): Promise<Publisher>
  /** Where a job of this group stands; the group has no members. */
  bookmark(groupId: string): Promise<Bookmark>
  registry(): SchemaLookup
  codec<T>(name: TopicName): Promise<Codec<T>>
  /** Partitions of the alerts topic; refuses when there is none. */
  lanes(): Promise<number>
}

/** Reads the settings, naming every mistake at once. */
export function settingsOf(io: Io, needs: readonly (keyof CliSettings & SettingKey)[]): CliSettings {
  const read = readSettings({ env: io.env, readFile: path => readFileSync(path, 'utf8') }, 'cli', needs)
  if (read.kind === 'bad') throw new Refusal(read.problems.join('\n'), EXIT.usage)
  for (const warning of read.warnings) io.say(`${warning}\n`)
  return read.settings
}

export async function withConnection<T>(
  io: Io,
  needs: readonly (keyof CliSettings & SettingKey)[],
  use: (connection: Connection) => Promise<T>,
): Promise<T> {
  const settings = settingsOf(io, needs)
  const common = settings as unknown as Settings<Role>
  const log: Log = createLog({ level: 'error', service: 'socos', destination: { write: io.say } })
  const crash = openCrash(settings.crashAt, 'command', words => io.say(`${words}\n`))
  const closers: (() => Promise<unknown>)[] = []
  let access: KafkaAccess | undefined
  const client = (): KafkaClient => kafkaClient((access ??= usable(() => kafkaAccess(common, log))), log)
  const topic = (name: TopicName): string => settings.topicPrefix + name
  const registry = once(async () =>
    registryLookup(
      usable(() => registryAccess(common, log)),
      systemClock,
    ),
  )
  const admin = once(async () => {
    const opened = client().admin({ retry: { retries: 3, initialRetryTime: 200, maxRetryTime: 1_000 } })
    await reach(settings, opened.connect())
    closers.unshift(() => opened.disconnect())
    return opened
  })
  const connection: Connection = {
    settings,
    log,
    crash,
    topic,
    admin,
    reader: once(async () => {
      const opened = await reach(settings, openBulkReader(client()))
      closers.unshift(() => opened.close())
      return opened
    }),
    publisher: once(async () => {
      const opened = await reach(settings, openPublisher(client()))
      closers.unshift(() => opened.close())
      return publisherOf(opened, crash)
    }),
    async bookmark(groupId) {
      const opened = await reach(settings, openBookmark(client(), groupId, crash))
      closers.unshift(() => opened.close())
      return opened
    },
    registry: () =>
      registryLookup(
        usable(() => registryAccess(common, log)),
        systemClock,
      ),
    async codec<C>(name: TopicName): Promise<Codec<C>> {
      return openCodec<C>(`${topic(name)}-value`, avroSchema(name), await registry(), systemClock, bytesOf(name))
    },
    lanes: once(async () => laneCount(await admin(), topic('alerts'))),
  }
  try {
    return await use(connection)
  } finally {
    for (const close of closers) await close().catch(() => {})
  }
}

async function reach<T>(settings: CliSettings, attempt: Promise<T>): Promise<T> {
  try {
    return await attempt
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    const denied = /SASL|authent|authoriz/i.test(reason)
    throw new Refusal(
      `Kafka at ${(settings.kafkaBrokers ?? []).join(', ')} cannot be reached: ${reason}. Check KAFKA_BROKERS and the KAFKA_TLS_ and KAFKA_SASL_ settings.`,
      denied ? EXIT.auth : EXIT.failed,
    )
  }
}

/** A file that is named and cannot be used is a mistake in the settings. */
export function usable<T>(open: () => T): T {
  try {
    return open()
  } catch (error) {
    throw new Refusal(error instanceof Error ? error.message : String(error), EXIT.usage)
  }
}

function once<T>(open: () => Promise<T>): () => Promise<T> {
  let opened: Promise<T> | undefined
  return () => (opened ??= open())
}

/** Runs `task` for each item, a few at a time, in no particular order. */
export async function eachOf<T>(items: Iterable<T>, atOnce: number, task: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items]
  const lanes = Array.from({ length: Math.min(atOnce, queue.length) }, async () => {
    for (let item = queue.pop(); item !== undefined; item = queue.pop()) await task(item)
  })
  await Promise.all(lanes)
}
