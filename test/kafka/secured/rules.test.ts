import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { systemClock, systemRandom } from '../../../platform/clock.ts'
import { openBookmark } from '../../../platform/kafka/bookmark.ts'
import type { Admin, KafkaClient } from '../../../platform/kafka/kafkajs.ts'
import { type Appender, openPublisher } from '../../../platform/kafka/producer.ts'
import { type LogReader, openReader } from '../../../platform/kafka/reader.ts'
import { applyTopics } from '../../../platform/kafka/topics.ts'
import { ACLS, type KafkaOperation } from '../../../schemas/acls.ts'
import { TOPICS } from '../../../schemas/topics.ts'
import { grant, type SecuredGround, securedGround, USERS, type User } from './kit.ts'

/** Every operation there is, tried by every user on everything: exactly what the rules name is allowed. */

const PREFIX = 'rules.'
const OTHERS_TOPIC = 'somebody-elses'
let ground: SecuredGround

beforeAll(async () => {
  ground = await securedGround()
  const admin = ground.root().admin()
  await admin.connect()
  const names = [...TOPICS.map(({ name }) => PREFIX + name), `${PREFIX}replay.x`, OTHERS_TOPIC]
  const topics = names.map(topic => ({ topic, partitions: 1, config: {} }))
  await applyTopics(admin, topics, { clock: systemClock, random: systemRandom })
  await admin.disconnect()
  // the first answer about a group may be that the coordinator is still loading
  const root = await openBookmark(ground.root(), 'first')
  await vi.waitFor(() => root.write(`${PREFIX}tenants`, [{ lane: 0, offset: 0, note: '' }]), {
    timeout: 60_000,
    interval: 100,
  })
  await root.close()
  await grant(ground.root(), PREFIX)
})
afterAll(() => ground[Symbol.asyncDispose]())

interface Hands {
  readonly kafka: KafkaClient
  readonly admin: Admin
  readonly publisher: Appender
  readonly reader: LogReader
}

type Attempt = (hands: Hands, name: string) => Promise<unknown>
const TOPIC_RESOURCE = 2

/** Those that a rule may name, and after them those that no rule names. */
const ON_TOPICS: Readonly<Record<KafkaOperation | 'Delete' | 'Alter', Attempt>> = {
  Read: ({ reader }, topic) => reader.read(topic, 0, 0, Number.MAX_SAFE_INTEGER).next(),
  Write: ({ publisher }, topic) => publisher.append(topic, 0, [{ key: 'k', value: Buffer.from('v') }]),
  Describe: ({ admin }, topic) => admin.fetchTopicOffsets(topic),
  DescribeConfigs: ({ admin }, name) =>
    admin.describeConfigs({ resources: [{ type: TOPIC_RESOURCE, name }], includeSynonyms: false }),
  Create: ({ admin }, topic) => admin.createTopics({ validateOnly: true, topics: [{ topic, numPartitions: 1 }] }),
  AlterConfigs: ({ admin }, name) =>
    admin.alterConfigs({ validateOnly: true, resources: [{ type: TOPIC_RESOURCE, name, configEntries: [] }] }),
  Delete: ({ admin }, topic) => admin.deleteTopics({ topics: [topic] }),
  Alter: ({ admin }, topic) => admin.createPartitions({ topicPartitions: [{ topic, count: 2 }] }),
}

const ON_GROUPS: Readonly<Record<'Read' | 'Describe' | 'Delete', Attempt>> = {
  Read: async ({ kafka }, group) => {
    const bookmark = await openBookmark(kafka, group)
    try {
      await bookmark.write(`${PREFIX}tenants`, [{ lane: 0, offset: 0, note: '' }])
    } finally {
      await bookmark.close()
    }
  },
  Describe: async ({ kafka }, group) => {
    const bookmark = await openBookmark(kafka, group)
    try {
      await bookmark.read(`${PREFIX}alerts`, [0])
    } finally {
      await bookmark.close()
    }
  },
  Delete: ({ admin }, group) => admin.deleteGroups([group]),
}

/** What a rule on the cluster would allow; none does. */
const ON_THE_CLUSTER: Readonly<Record<string, Attempt>> = {
  'see rules': ({ admin }) =>
    admin.describeAcls({ resourceType: 1, resourcePatternType: 1, operation: 1, permissionType: 1 }),
  'make rules': ({ admin }) => {
    const everything = { resourceType: TOPIC_RESOURCE, resourceName: '*', resourcePatternType: 3 }
    return admin.createAcls({
      acl: [{ ...everything, principal: 'User:stranger', host: '*', operation: 2, permissionType: 3 }],
    })
  },
  'begin transactions': async ({ kafka }) => {
    const producer = kafka.producer({ transactionalId: `${PREFIX}any`, maxInFlightRequests: 1, retry: { retries: 0 } })
    try {
      await producer.connect()
      await (await producer.transaction()).abort()
    } finally {
      await producer.disconnect()
    }
  },
}

/** `allowed`, `denied`, or what else came of it. A topic or group that is not as the request needs it means allowed. */
async function outcome(attempt: Promise<unknown>): Promise<string> {
  try {
    await attempt
    return 'allowed'
  } catch (error) {
    const words = wordsOf(error)
    if (/AUTHORIZATION_FAILED|not authorized|authorization failed/i.test(words)) return 'denied'
    if (/TOPIC_ALREADY_EXISTS|GROUP_ID_NOT_FOUND|NON_EMPTY_GROUP|INVALID_PARTITIONS/i.test(words)) return 'allowed'
    return words
  }
}

function wordsOf(error: unknown, depth = 0): string {
  if (!(error instanceof Error) || depth > 5) return String(error)
  const { type, errors, groups } = error as { type?: unknown; errors?: unknown; groups?: unknown }
  const inner = [error.cause, ...listOf(errors), ...listOf(groups).map(group => (group as { error?: unknown }).error)]
  return [
    error.name,
    typeof type === 'string' ? type : '',
    error.message,
    ...inner.filter(Boolean).map(one => wordsOf(one, depth + 1)),
  ].join(' ')
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

function isGranted(user: User, resource: 'topic' | 'group', name: string, operation: string): boolean {
  return ACLS.some(acl => {
    if (acl.role !== user || acl.resource !== resource) return false
    const own = PREFIX + acl.name
    if (acl.patternType === 'literal' ? own !== name : !name.startsWith(own)) return false
    // as Kafka has it: who may read or write may look
    const implied = operation === 'Describe' && acl.operations.some(one => one === 'Read' || one === 'Write')
    return implied || acl.operations.some(one => one === operation)
  })
}

test.for(USERS)('%s may do what its rules name, and nothing else', async (user: User) => {
  const kafka = ground.clientOf(user)
  const admin = kafka.admin({ retry: { retries: 1, initialRetryTime: 50 } })
  await admin.connect()
  const hands: Hands = { kafka, admin, publisher: await openPublisher(kafka), reader: await openReader(kafka) }
  const seen: Record<string, string> = {}
  const expected: Record<string, string> = {}
  const look = async (row: string, allowed: boolean, attempt: Promise<unknown>) => {
    expected[row] = allowed ? 'allowed' : 'denied'
    seen[row] = await outcome(attempt)
  }
  for (const topic of [...TOPICS.map(({ name }) => PREFIX + name), `${PREFIX}replay.x`, OTHERS_TOPIC]) {
    for (const [operation, attempt] of Object.entries(ON_TOPICS)) {
      await look(`${operation} topic ${topic}`, isGranted(user, 'topic', topic, operation), attempt(hands, topic))
    }
  }
  for (const group of [`${PREFIX}pollers`, `${PREFIX}forwarders`, `${PREFIX}replay.x`, 'somebody-elses']) {
    for (const [operation, attempt] of Object.entries(ON_GROUPS)) {
      await look(`${operation} group ${group}`, isGranted(user, 'group', group, operation), attempt(hands, group))
    }
  }
  for (const [name, attempt] of Object.entries(ON_THE_CLUSTER)) await look(name, false, attempt(hands, ''))
  await admin.disconnect()
  expect(seen).toEqual(expected)
  expect(Object.keys(seen)).toHaveLength(8 * 8 + 4 * 3 + 3)
})
