import { readFileSync } from 'node:fs'
import { Agent, request } from 'undici'
import { authorization } from '../../platform/avro/registry-admin.ts'
import { kafkaAccess, registryAccess } from '../../platform/connection.ts'
import { kafkaClient } from '../../platform/kafka/client.ts'
import type { Admin } from '../../platform/kafka/kafkajs.ts'
import { createLog } from '../../platform/log.ts'
import { readSettings } from '../../platform/settings.ts'
import type { Role, Settings } from '../../platform/settings-table.ts'
import { TOPICS } from '../../schemas/topics.ts'

const timeoutMs = 15_000
const quiet = createLog({ level: 'error', service: 'demo', destination: { write: () => {} } })

type Environment = Readonly<Record<string, string | undefined>>

/** Records on the alerts log: the figure that the fates have to add up to, taken from Kafka and not from our counters. */
export async function countAlertRecords(env: Environment): Promise<number> {
  const settings = settingsFrom(env)
  await using kafka = await openAdmin(settings)
  const lanes = await kafka.admin.fetchTopicOffsets(`${settings.topicPrefix}alerts`)
  return lanes.reduce((sum, { low, high }) => sum + Number(high) - Number(low), 0)
}

/**
 * Takes out of a given cluster what the run put there: groups, topics and subjects under its own prefix. Gives in words
 * what could not be taken out; never rejects.
 */
export async function tidyGiven(env: Environment): Promise<readonly string[]> {
  const left: string[] = []
  const attempt = (what: string, task: Promise<unknown>): Promise<unknown> =>
    task.catch((error: unknown) => left.push(`${what}: ${error instanceof Error ? error.message : String(error)}`))
  const settings = settingsFrom(env)
  await attempt(`topics and groups ${settings.topicPrefix}*`, dropTopics(settings, attempt))
  await attempt(
    `subjects ${settings.topicPrefix}*`,
    dropSubjects(registryAccess(settings, quiet), settings.topicPrefix),
  )
  return left
}

async function dropTopics(
  settings: Settings<Role>,
  attempt: (what: string, task: Promise<unknown>) => Promise<unknown>,
): Promise<void> {
  const { topicPrefix } = settings
  await using kafka = await openAdmin(settings)
  const { admin } = kafka
  const { groups } = await admin.listGroups()
  const own = groups.map(({ groupId }) => groupId).filter(groupId => groupId.startsWith(topicPrefix))
  if (own.length > 0) await attempt(`groups ${own.join(', ')}`, admin.deleteGroups(own))
  const names = new Set(await admin.listTopics())
  const topics = TOPICS.map(({ name }) => topicPrefix + name).filter(topic => names.has(topic))
  if (topics.length > 0) await admin.deleteTopics({ topics, timeout: timeoutMs })
}

function settingsFrom(env: Environment): Settings<Role> {
  const read = readSettings({ env, readFile: path => readFileSync(path, 'utf8') }, 'cli', [
    'kafkaBrokers',
    'schemaRegistryUrl',
  ])
  if (read.kind === 'bad') throw new Error(read.problems.join('\n'))
  return read.settings as unknown as Settings<Role>
}

async function openAdmin(settings: Settings<Role>): Promise<{ readonly admin: Admin } & AsyncDisposable> {
  const admin = kafkaClient(kafkaAccess(settings, quiet), quiet).admin({ retry: { retries: 2, initialRetryTime: 200 } })
  await admin.connect()
  return { admin, [Symbol.asyncDispose]: () => admin.disconnect() }
}

/** First into the registry's bin, then for good. */
async function dropSubjects(access: ReturnType<typeof registryAccess>, prefix: string): Promise<void> {
  const base = access.url.replace(/\/+$/, '')
  const headers = authorization(access)
  const dispatcher = new Agent(access.ca === undefined ? {} : { connect: { ca: access.ca() } })
  try {
    for (const { name } of TOPICS) {
      const subject = `${base}/subjects/${encodeURIComponent(`${prefix}${name}-value`)}`
      for (const url of [subject, `${subject}?permanent=true`]) {
        const signal = AbortSignal.timeout(timeoutMs)
        const { statusCode, body } = await request(url, { method: 'DELETE', headers, dispatcher, signal })
        await body.dump()
        if (statusCode >= 300 && statusCode !== 404) throw new Error(`the registry answers ${statusCode}`)
      }
    }
  } finally {
    await dispatcher.close()
  }
}
