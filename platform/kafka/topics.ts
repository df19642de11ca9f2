import type { Clock, Random } from '../clock.ts'
import type { Crash } from '../crash.ts'
import { withSteps } from '../crash.ts'
import { backoffMs } from '../retry.ts'
import { AccessDenied, deniedType } from './denied.ts'
import type { Admin } from './kafkajs.ts'

/** A topic as it should be. */
export interface WantedTopic {
  readonly topic: string
  readonly partitions: number
  readonly config: Readonly<Record<string, string>>
}

/** What differs, in words ready to print. `fatal`: a worker must not start on it. */
export interface TopicDifference {
  readonly topic: string
  readonly what: string
  readonly fatal: boolean
  /** Can `topics apply` mend it? */
  readonly mendable: boolean
}

const CONFIG_TYPE_TOPIC = 2
const MISSING = 'does not exist'
/** A worker on a wrong policy loses state or history; the other settings only cost. */
const FATAL_CONFIG: ReadonlySet<string> = new Set(['cleanup.policy'])

/**
 * Those of the wanted topics that are there. Brokers keep quiet about what a user may not see, so a topic that is not
 * listed is asked for by name; rejects with AccessDenied when it is hidden.
 */
export async function existingTopics(admin: Admin, wanted: readonly string[]): Promise<ReadonlySet<string>> {
  const listed = new Set(await admin.listTopics())
  const [unlisted] = wanted.filter(topic => !listed.has(topic))
  if (unlisted !== undefined) {
    const resources = [{ type: CONFIG_TYPE_TOPIC, name: unlisted }]
    await admin.describeConfigs({ resources, includeSynonyms: false }).catch((error: unknown) => {
      if (deniedType(error) !== null) throw new AccessDenied(`to see topic ${unlisted}`, { cause: error })
    })
  }
  return listed
}

/** Compares the cluster with the table. Never writes. */
export async function diffTopics(admin: Admin, wanted: readonly WantedTopic[]): Promise<readonly TopicDifference[]> {
  const existing = await existingTopics(
    admin,
    wanted.map(({ topic }) => topic),
  )
  const present = wanted.filter(({ topic }) => existing.has(topic))
  const differences: TopicDifference[] = wanted
    .filter(({ topic }) => !existing.has(topic))
    .map(({ topic }) => ({ topic, what: MISSING, fatal: true, mendable: true }))
  if (present.length === 0) return differences

  const metadata = await admin.fetchTopicMetadata({ topics: present.map(({ topic }) => topic) })
  const described = await admin.describeConfigs({
    includeSynonyms: false,
    resources: present.map(({ topic, config }) => ({
      type: CONFIG_TYPE_TOPIC,
      name: topic,
      configNames: Object.keys(config),
    })),
  })
  for (const { topic, partitions, config } of present) {
    const actual = metadata.topics.find(entry => entry.name === topic)?.partitions.length ?? 0
    if (actual !== partitions) {
      const what = `has ${actual} partitions, ${partitions} are wanted (a change of lanes needs a new TOPIC_PREFIX)`
      differences.push({ topic, what, fatal: true, mendable: false })
    }
    const entries = described.resources.find(({ resourceName }) => resourceName === topic)?.configEntries ?? []
    for (const [name, want] of Object.entries(config)) {
      const have = entries.find(entry => entry.configName === name)?.configValue ?? '(not set)'
      if (sameConfig(name, have, want)) continue
      differences.push({
        topic,
        what: `${name} is ${have}, ${want} is wanted`,
        fatal: FATAL_CONFIG.has(name),
        mendable: true,
      })
    }
  }
  return differences
}

/** Not every broker has heard of a topic that was just made. */
const NOT_YET_KNOWN: ReadonlySet<string> = new Set([
  'UNKNOWN_TOPIC_OR_PARTITION',
  'LEADER_NOT_AVAILABLE',
  'NOT_LEADER_FOR_PARTITION',
])
const SETTLING_ATTEMPTS = 60
const SETTLING = { firstMs: 100, maxMs: 1_000 }

/** Creates what is missing and sets what differs; returns what it could not mend. Idempotent. */
export async function applyTopics(
  admin: Admin,
  wanted: readonly WantedTopic[],
  deps: { readonly clock: Clock; readonly random: Random; readonly crash?: Crash | null },
): Promise<{ readonly changed: readonly TopicDifference[]; readonly left: readonly TopicDifference[] }> {
  const before = await diffTopics(admin, wanted)
  const missing = new Set(before.filter(({ what }) => what === MISSING).map(({ topic }) => topic))
  const create = wanted.filter(({ topic }) => missing.has(topic))
  if (create.length > 0) {
    const topics = create.map(({ topic, partitions, config }) => ({
      topic,
      numPartitions: partitions,
      replicationFactor: -1, // the broker's default
      configEntries: Object.entries(config).map(([name, value]) => ({ name, value })),
    }))
    // the client's own waiting gives up too early; see diffSettled
    await withSteps(deps.crash, 'topics-made', () => admin.createTopics({ waitForLeaders: false, topics }))
  }
  const changed = new Set(before.filter(diff => diff.mendable && !missing.has(diff.topic)).map(({ topic }) => topic))
  if (changed.size > 0) {
    // AlterConfigs replaces all of a topic's settings, so what someone else set is sent along
    const resources = await Promise.all(
      wanted
        .filter(({ topic }) => changed.has(topic))
        .map(async ({ topic, config }) => ({
          type: CONFIG_TYPE_TOPIC,
          name: topic,
          configEntries: Object.entries({ ...(await ownSettings(admin, topic)), ...config }).map(([name, value]) => ({
            name,
            value,
          })),
        })),
    )
    await withSteps(deps.crash, 'topics-changed', () => admin.alterConfigs({ validateOnly: false, resources }))
  }
  const left = await diffSettled(admin, wanted, { made: missing, changed }, deps)
  return { changed: before.filter(diff => !left.some(rest => sameDifference(rest, diff))), left }
}

/**
 * What differs once what was made and changed has gone round: brokers learn of it a little later than they confirm it.
 * What still differs after a while is told as it is.
 */
async function diffSettled(
  admin: Admin,
  wanted: readonly WantedTopic[],
  { made, changed }: { readonly made: ReadonlySet<string>; readonly changed: ReadonlySet<string> },
  { clock, random }: { readonly clock: Clock; readonly random: Random },
): Promise<readonly TopicDifference[]> {
  for (let attempt = 1; ; attempt++) {
    const isLast = attempt === SETTLING_ATTEMPTS
    try {
      const differences = await diffTopics(admin, wanted)
      const isUnderWay = differences.some(({ topic, mendable }) => mendable && (made.has(topic) || changed.has(topic)))
      // each partition has a leader that answers: whoever comes next can work
      if (!isUnderWay) await Promise.all([...made].map(topic => admin.fetchTopicOffsets(topic)))
      if (!isUnderWay || isLast) return differences
    } catch (error) {
      if (isLast || !isNotYetKnown(error)) throw error
    }
    await clock.sleep(backoffMs(attempt - 1, SETTLING, random()))
  }
}

/** A leader is being chosen, or the broker that was asked has not heard of it yet. */
export function isNotYetKnown(error: unknown): boolean {
  return typeof error === 'object' && error !== null && 'type' in error && NOT_YET_KNOWN.has(String(error.type))
}

async function ownSettings(admin: Admin, topic: string): Promise<Record<string, string>> {
  const setOnTopic = 1
  const described = await admin.describeConfigs({
    includeSynonyms: false,
    resources: [{ type: CONFIG_TYPE_TOPIC, name: topic }],
  })
  return Object.fromEntries(
    (described.resources[0]?.configEntries ?? [])
      .filter(entry => (entry.configSource as number) === setOnTopic && !entry.isSensitive)
      .map(entry => [entry.configName, entry.configValue]),
  )
}

/** Kafka gives the policies back in an order of its own. */
function sameConfig(name: string, have: string, want: string): boolean {
  if (name !== 'cleanup.policy') return have === want
  const sorted = (policy: string): string =>
    policy
      .split(',')
      .map(part => part.trim())
      .toSorted()
      .join()
  return sorted(have) === sorted(want)
}

function sameDifference(a: TopicDifference, b: TopicDifference): boolean {
  return a.topic === b.topic && a.what === b.what
}
