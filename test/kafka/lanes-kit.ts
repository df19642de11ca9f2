/** A lane group with topics of its own on the cluster, and members of it that keep one journal. */
import { randomBytes } from 'node:crypto'
import { expect, inject } from 'vitest'
import { kafkaClient } from '../../platform/kafka/client.ts'
import type { Admin, KafkaClient } from '../../platform/kafka/kafkajs.ts'
import type { LaneGroup, LaneGroupOptions } from '../../platform/kafka/lanes.ts'
import { joinLanes } from '../../platform/kafka/lanes.ts'
import type { OutRecord, Publisher } from '../../platform/kafka/producer.ts'
import { openPublisher } from '../../platform/kafka/producer.ts'
import { systemClock, systemRandom } from '../../platform/clock.ts'
import { applyTopics } from '../../platform/kafka/topics.ts'
import type { Entry, Journal, LaneBehaviour, RecordedLane, Topics } from './lanes-recording.ts'
import { arrayLog, brokerAccess, recordingLane, silentLog } from './lanes-recording.ts'

export interface LaneGround extends AsyncDisposable {
  readonly brokers: readonly string[]
  readonly groupId: string
  readonly lanes: number
  readonly topics: Topics
  readonly admin: Admin
  readonly publisher: Publisher
  readonly journal: Journal
  /** A member in this process; left with the ground. */
  join(name: string, options?: MemberOptions): Promise<Member>
  /** Appends `count` records to each lane as one batch; gives the last offset of each. */
  fill(
    topic: keyof Topics,
    count: number,
    options?: { lanes?: readonly number[]; valueBytes?: number },
  ): Promise<number[]>
  committed(): Promise<(number | null)[]>
}

interface MemberOptions extends LaneBehaviour {
  readonly sessionTimeoutMs?: number
  readonly queueBytesMax?: number
  readonly kafka?: KafkaClient
  readonly uptimeMs?: () => number
  /** Changes what joinLanes is given. */
  readonly options?: Partial<LaneGroupOptions>
}

export interface Member {
  readonly name: string
  readonly group: LaneGroup
  readonly lanes: ReadonlyMap<number, RecordedLane>
  readonly fatal: Error[]
  readonly lost: { readonly lane: number; readonly from: number; readonly to: number }[]
  readonly log: string[]
  owned(): number[]
  stop(): Promise<void>
}

const SESSION_MS = 6_000
let serial = 0

/** The kafka project's files share a cluster; names tell them apart. */
function uniqueName(name: string): string {
  return `${name}-${process.pid}-${++serial}`
}

export async function laneGround(options: {
  readonly name: string
  readonly lanes?: number
  readonly brokers?: readonly string[]
  readonly config?: Partial<Readonly<Record<keyof Topics, Readonly<Record<string, string>>>>>
}): Promise<LaneGround> {
  const brokers = options.brokers ?? inject('stack').brokers
  const lanes = options.lanes ?? 4
  const prefix = uniqueName(options.name)
  const topics: Topics = { stream: `${prefix}.stream`, follow: `${prefix}.follow`, freeze: `${prefix}.freeze` }
  const kafka = kafkaClient(brokerAccess(brokers), silentLog())
  const admin = kafka.admin()
  await admin.connect()
  const compact = { 'cleanup.policy': 'compact' }
  const wanted = [
    { topic: topics.stream, partitions: lanes, config: options.config?.stream ?? {} },
    { topic: topics.follow, partitions: lanes, config: options.config?.follow ?? compact },
    { topic: topics.freeze, partitions: lanes, config: options.config?.freeze ?? compact },
  ]
  await applyTopics(admin, wanted, { clock: systemClock, random: systemRandom })
  const publisher = await openPublisher(kafka)
  const journal: Journal = []
  const members: Member[] = []
  const ground: LaneGround = {
    brokers,
    groupId: `${prefix}.group`,
    lanes,
    topics,
    admin,
    publisher,
    journal,
    async join(name, behaviour = {}) {
      const member = await joinRecording(ground, name, behaviour)
      members.push(member)
      return member
    },
    async fill(topic, count, { lanes: only = numbers(lanes), valueBytes = 20 } = {}) {
      const ends: number[] = []
      for (const lane of only) {
        const first = await publisher.append(topics[topic], lane, someRecords(count, valueBytes))
        ends[lane] = first + count - 1
      }
      return ends
    },
    async committed() {
      const [answer] = await admin.fetchOffsets({ groupId: ground.groupId, topics: [topics.stream] })
      const offsets: (number | null)[] = numbers(lanes).map(() => null)
      for (const { partition, offset } of answer?.partitions ?? []) {
        offsets[partition] = Number(offset) < 0 ? null : Number(offset)
      }
      return offsets
    },
    async [Symbol.asyncDispose]() {
      await Promise.allSettled(members.map(member => member.stop()))
      await publisher.close()
      await admin.disconnect()
    },
  }
  return ground
}

let written = 0

/** Keys that no other record has, so that no compaction touches them; values that no compression makes smaller. */
function someRecords(count: number, valueBytes: number): OutRecord[] {
  return Array.from({ length: count }, () => ({ key: `key-${++written}`, value: randomBytes(valueBytes) }))
}

export const numbers = (count: number): number[] => Array.from({ length: count }, (_, at) => at)

async function joinRecording(ground: LaneGround, name: string, options: MemberOptions): Promise<Member> {
  const { topics, journal } = ground
  const recorded = new Map<number, RecordedLane>()
  const fatal: Error[] = []
  const lost: Member['lost'] = []
  const log: string[] = []
  const group = await joinLanes({
    kafka: options.kafka ?? kafkaClient(brokerAccess(ground.brokers, name), arrayLog(log)),
    groupId: ground.groupId,
    stream: topics.stream,
    tables: [
      { topic: topics.follow, afterRestore: 'follow' },
      { topic: topics.freeze, afterRestore: 'freeze' },
    ],
    open(context) {
      const { lane, recorded: entry } = recordingLane(name, context, journal, options)
      recorded.set(context.lane, entry)
      return options.spoil?.(lane, context) ?? lane
    },
    clock: systemClock,
    log: arrayLog(log),
    sessionTimeoutMs: options.sessionTimeoutMs ?? SESSION_MS,
    shutdownMs: 9_000,
    queueBytesMax: options.queueBytesMax ?? 64 * 1024 * 1024,
    observe: {
      restored: () => {},
      rebalanced: () => {},
      lostToRetention(lane, from, to) {
        lost.push({ lane, from, to })
        journal.push({ member: name, lane, what: 'lost', offset: from, to })
      },
    },
    onFatal: error => fatal.push(error),
    ...(options.uptimeMs ? { uptimeMs: options.uptimeMs } : {}),
    ...options.options,
  })
  return {
    name,
    group,
    lanes: recorded,
    fatal,
    lost,
    log,
    owned: () => ownedBy(journal, name),
    stop: () => group.stop(),
  }
}

/** Lanes that a member opened and that were not taken from it since. */
function ownedBy(journal: readonly Entry[], member: string): number[] {
  const owned = new Set<number>()
  for (const entry of journal) {
    if (entry.member !== member) continue
    if (entry.what === 'open') owned.add(entry.lane)
    if (entry.what === 'abort') owned.delete(entry.lane)
  }
  return [...owned].toSorted((a, b) => a - b)
}

/** Offsets of a lane's stream records whose effect is done, by whomever, in order of the journal. */
export function doneOffsets(journal: readonly Entry[], lane: number): number[] {
  return journal.filter(entry => entry.lane === lane && entry.what === 'done').map(entry => entry.offset ?? -1)
}

/** No member starts an effect on a lane while another one's is in flight there, or on a lane that it has lost. */
export function expectOneWriterPerLane(journal: readonly Entry[]): void {
  const flights = new Map<number, Set<string>>()
  const holders = new Map<number, Set<string>>()
  const setOf = (map: Map<number, Set<string>>, lane: number): Set<string> => {
    const found = map.get(lane) ?? new Set()
    map.set(lane, found)
    return found
  }
  for (const [at, { member, lane, what, offset }] of journal.entries()) {
    const flying = setOf(flights, lane)
    const holding = setOf(holders, lane)
    if (what === 'open') holding.add(member)
    if (what === 'abort') holding.delete(member)
    if (what === 'done') flying.delete(`${member}/${offset}`)
    if (what !== 'start') continue
    const others = [...flying].filter(flight => !flight.startsWith(`${member}/`))
    expect(others, `entry ${at}: ${member} starts on lane ${lane}`).toEqual([])
    expect(holding.has(member), `entry ${at}: ${member} starts on lane ${lane}, which it does not hold`).toBe(true)
    flying.add(`${member}/${offset}`)
  }
}

/** Every lane with exactly one of the members, and restored there. */
export function expectWholeOwnership(members: readonly Member[], lanes: number): void {
  expect(members.flatMap(member => member.owned()).toSorted((a, b) => a - b)).toEqual(numbers(lanes))
  expect(members.map(member => [member.name, member.group.ready])).toEqual(members.map(({ name }) => [name, true]))
}
