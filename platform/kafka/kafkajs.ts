/**
 * The one door to KafkaJS 2.2.4. It is unmaintained; what bites us is mended here before anything of it runs, each fault
 * in a function of its own that names it. The package is pinned exactly, and every mend has a test on a real broker that
 * fails without it (test/kafka/kafkajs-mends.test.ts, test/kafka/secured/). Longer than the rule: it is a list.
 */
import { createRequire } from 'node:module'
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import type * as KafkaJs from 'kafkajs'
import { type BatchReadParts, decodeBatch } from './batch-decode.ts'
import { type BatchParts, encodeBatch, sizedRecord } from './batch-encode.ts'
import { deniedType } from './denied.ts'
import { FetchedBatch } from './fetched-batch.ts'

const require = createRequire(import.meta.url)
const beforeGivingUpOf = new WeakMap<object, BeforeGivingUp>()

/** Tests switch a mend off to show that it is needed; nothing else may. */
const off = new Set((globalThis as { socosKafkaMendsOff?: readonly string[] }).socosKafkaMendsOff ?? [])
/** K20: of one partition, a fetch unpacks no more batches when it has unpacked so much. */
export const UNPACKED_BYTES_MAX = 1024 * 1024
let unpackedBytesMax = UNPACKED_BYTES_MAX
// these replace modules that KafkaJS holds on to once it is loaded, so they come first
if (!off.has('batch-decoding')) decodeInNumbers()
if (!off.has('compacted-tail')) surfaceCompactedTail()
if (!off.has('unpacked-size')) boundUnpackedSize()
if (!off.has('grouping')) groupInOnePass()
if (!off.has('batch-encoding')) encodeInOnePass()
const kafkajs = require('kafkajs') as typeof KafkaJs
if (!off.has('zstd')) addZstd()
if (!off.has('idle-timer')) stopIdleTimer()
if (!off.has('giving-up')) announceGivingUp()
if (!off.has('sign-in')) trySignInAgain()
if (!off.has('refused-group')) nameRefusedGroup()
if (!off.has('empty-topic')) nameUnknownPartitions()
if (!off.has('mistaken-broker')) keepBrokersApart()
if (!off.has('replica-search')) findLeadersInOnePass()
if (!off.has('half-connected')) closeHalfConnected()

export type {
  Admin,
  Assigner,
  EachBatchPayload,
  PartitionAssigner,
  SASLOptions,
} from 'kafkajs'
export const { AssignerProtocol, CompressionTypes, Kafka, logLevel } = kafkajs
export type KafkaClient = KafkaJs.Kafka

/** One member of a group as KafkaJS keeps it; the parts that its public face hides. */
export interface GroupInternals {
  readonly generationId: number | null
  readonly memberId: string | null
  /** How long the next fetch, and each after it, waits for something to come. Where everything is paused, it sleeps that long. */
  maxWaitTime: number
  /** A position that the next fetch will begin from: what is on its way is void. */
  hasSeekOffset(partition: { topic: string; partition: number }): boolean
  /** One attempt, without the client's retries: the caller has its own. */
  commitOffsets(offsets: {
    topics: { topic: string; partitions: { partition: number; offset: string }[] }[]
  }): Promise<void>
}

/** Runs before a member (re)joins or leaves its group; may take a while, must be bounded by whoever registers it. */
export type BeforeGivingUp = (group: GroupInternals, next: 'join' | 'leave') => Promise<void>

/** `cluster` is what an assigner factory is given; it is the only handle on a member from outside. */
export function registerBeforeGivingUp(cluster: object, hook: BeforeGivingUp): void {
  beforeGivingUpOf.set(cluster, hook)
}

/** KafkaJS has only gzip built in. */
function addZstd(): void {
  const level = 1 // by measurement
  const unpackedBytesMax = 256 * 1024 * 1024 // what one frame may grow to; a bomb ends here
  kafkajs.CompressionCodecs[kafkajs.CompressionTypes.ZSTD] = () => ({
    compress: async (encoder: { buffer: Buffer }) =>
      zstdCompressSync(encoder.buffer, { params: { [constants.ZSTD_c_compressionLevel]: level } }),
    decompress: async (packed: Buffer) =>
      zstdDecompressSync(packed, { maxOutputLength: unpackedBytesMax, chunkSize: chunkSizeFor(packed) }),
  })
}

/**
 * Node unpacks into chunks and joins them: with its 16 KiB that takes longer than the unpacking, with one chunk there is
 * nothing to join. A frame may say how large it becomes (RFC 8878, 3.1.1); it is only believed up to a bound.
 */
function chunkSizeFor(packed: Buffer): number {
  const unknown = 256 * 1024
  const most = 2 * 1024 * 1024
  const descriptor = packed[4] ?? 0
  const isSingleSegment = (descriptor & 0x20) !== 0
  const at = 4 + 1 + (isSingleSegment ? 0 : 1) + ([0, 1, 2, 4][descriptor & 3] ?? 0)
  const width = descriptor >> 6
  let size = unknown
  if (width === 0 && isSingleSegment && packed.length > at) size = packed.readUInt8(at)
  else if (width === 1 && packed.length >= at + 2) size = packed.readUInt16LE(at) + 256
  else if (width === 2 && packed.length >= at + 4) size = packed.readUInt32LE(at)
  return Math.min(most, Math.max(64, size + 1)) // a chunk that is full is followed by an empty one
}

/**
 * K11: each connection re-arms a 1 ms timer for ever, with a negative delay that Node >= 24 warns about. There is nothing
 * to check when nothing waits and the broker does not throttle us.
 */
function stopIdleTimer(): void {
  const RequestQueue = require('kafkajs/src/network/requestQueue/index.js') as {
    prototype: { scheduleCheckPendingRequests(this: QueueState): void }
  }
  const original = RequestQueue.prototype.scheduleCheckPendingRequests
  RequestQueue.prototype.scheduleCheckPendingRequests = function (this: QueueState) {
    if (this.pending.length === 0) return
    original.call(this)
  }
}

interface QueueState {
  readonly pending: readonly unknown[]
}

/**
 * K15: positions advance by the records that survive. Where compaction removed the last records of a batch, or left an
 * empty batch, the reader asks for the same offset for ever. A control record at the batch's last offset is never shown
 * to anyone, but it moves the position.
 */
function surfaceCompactedTail(): void {
  const name = 'kafkajs/src/protocol/recordBatch/v0/decoder.js'
  const original = require(name) as (decoder: unknown) => Promise<DecodedBatch>
  replaceModule(name, async (decoder: unknown): Promise<DecodedBatch> => {
    const batch = await original(decoder)
    const lastOffset = String(BigInt(batch.firstOffset) + BigInt(batch.lastOffsetDelta))
    const last = batch.records.at(-1)
    if (last?.offset === lastOffset) return batch
    batch.records.push({
      offset: lastOffset,
      timestamp: batch.maxTimestamp,
      attributes: 0,
      key: null,
      value: null,
      headers: {},
      isControlRecord: true,
      batchContext: batch,
    })
    return batch
  })
}

/**
 * K20: a fetch is bounded as it comes over the wire, but alerts that an attacker made of one letter grow a thousandfold
 * when they are unpacked. Batches beyond the bound are left for the next fetch, as the client does with one that was cut
 * off; a single larger batch is taken all the same.
 */
function boundUnpackedSize(): void {
  const name = 'kafkajs/src/protocol/recordBatch/v0/decoder.js'
  const { KafkaJSPartialMessageError } = require('kafkajs/src/errors.js') as {
    KafkaJSPartialMessageError: new (message: string) => Error
  }
  const original = require(name) as (decoder: object) => Promise<DecodedBatch>
  const unpacked = new WeakMap<object, number>() // by decoder: there is one for a partition's share of a fetch
  replaceModule(name, async (decoder: object): Promise<DecodedBatch> => {
    const bytes = unpacked.get(decoder) ?? 0
    if (bytes > unpackedBytesMax) throw new KafkaJSPartialMessageError('enough for one fetch')
    const batch = await original(decoder)
    const own = batch.records.reduce((sum, { key, value }) => sum + (key?.length ?? 0) + (value?.length ?? 0), 0)
    unpacked.set(decoder, bytes + own)
    return batch
  })
}

/** For a process that reads one partition at a time and so may hold more of it; the client cannot be told for one fetch. */
export function unpackUpTo(bytes: number): void {
  unpackedBytesMax = bytes
}

interface DecodedBatch {
  readonly firstOffset: string
  readonly lastOffsetDelta: number
  readonly maxTimestamp: string
  readonly records: DecodedRecord[]
}

interface DecodedRecord {
  readonly offset: string
  readonly timestamp: string
  readonly attributes: number
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: object
  readonly isControlRecord: boolean
  readonly batchContext: unknown
}

/** K19: the client groups a call's messages by copying the list once for each message. */
function groupInOnePass(): void {
  replaceModule(
    'kafkajs/src/producer/groupMessagesPerPartition.js',
    ({ topic, partitionMetadata, messages, partitioner }: Grouping) => {
      const result: Record<number, unknown[]> = {}
      for (const message of messages) {
        const partition = partitioner({ topic, partitionMetadata, message })
        ;(result[partition] ??= []).push(message)
      }
      return result
    },
  )
}

interface Grouping {
  readonly topic: string
  readonly partitionMetadata: readonly unknown[]
  readonly messages: readonly unknown[]
  readonly partitioner: (choice: object) => number
}

/** K22: see batch-decode.ts and fetched-batch.ts. */
function decodeInNumbers(): void {
  const { lookupCodecByAttributes } = require('kafkajs/src/protocol/message/compression/index.js') as {
    lookupCodecByAttributes: BatchReadParts['codec']
  }
  const { KafkaJSPartialMessageError } = require('kafkajs/src/errors.js') as {
    KafkaJSPartialMessageError: new (message: string) => Error
  }
  const parts: BatchReadParts = {
    codec: lookupCodecByAttributes,
    partial: message => new KafkaJSPartialMessageError(message),
  }
  const read = (source: Parameters<typeof decodeBatch>[0]) => decodeBatch(source, parts)
  replaceModule('kafkajs/src/protocol/recordBatch/v0/decoder.js', read)
  replaceModule('kafkajs/src/consumer/batch.js', FetchedBatch)
}

/** K21: see batch-encode.ts. */
function encodeInOnePass(): void {
  const crc32c = require('kafkajs/src/protocol/recordBatch/crc32C/index.js') as BatchParts['crc32c']
  const { lookupCodec } = require('kafkajs/src/protocol/message/compression/index.js') as {
    lookupCodec: (compression: number) => ReturnType<BatchParts['codec']>
  }
  const parts: BatchParts = { crc32c, codec: compression => (compression === 0 ? null : lookupCodec(compression)) }
  const name = 'kafkajs/src/protocol/recordBatch/v0/index.js'
  const original = require(name) as { MAGIC_BYTE: number }
  replaceModule('kafkajs/src/protocol/recordBatch/record/v0/index.js', sizedRecord)
  replaceModule(name, {
    ...original,
    RecordBatch: (batch: Parameters<typeof encodeBatch>[0]) => encodeBatch(batch, parts),
  })
}

/**
 * The client has no callback before partitions are taken away. The moment before JoinGroup is the last at which the old
 * owner is certain that nobody else owns its lanes: there it finishes what is in flight. So is the moment before
 * LeaveGroup, which the client also sends when it crashes and starts again by itself.
 */
function announceGivingUp(): void {
  const { prototype } = require('kafkajs/src/consumer/consumerGroup.js') as { prototype: GroupMethods }
  const { joinAndSync, leave } = prototype
  prototype.joinAndSync = async function (this: Member) {
    await beforeGivingUpOf.get(this.cluster)?.(this, 'join')
    try {
      await joinAndSync.call(this)
    } catch (error) {
      // the client would go on under the old assignment; the next heartbeat of no generation makes it join again.
      // Whoever was put out has no name left, and without one the client sends no heartbeat for ever
      this.generationId = NO_GENERATION
      this.memberId ??= NO_MEMBER
      throw error
    }
  }
  prototype.leave = async function (this: Member) {
    await beforeGivingUpOf.get(this.cluster)?.(this, 'leave')
    return leave.call(this)
  }
}

const NO_GENERATION = -1
/** No coordinator knows it: the client is told so, and joins as a new member. */
const NO_MEMBER = 'not-a-member'

type Member = Omit<GroupInternals, 'generationId' | 'memberId'> & {
  generationId: number | null
  memberId: string | null
  readonly cluster: object
}

interface GroupMethods {
  joinAndSync(this: Member): Promise<void>
  leave(this: Member): Promise<void>
}

/**
 * A refused sign-in ends the client for good. But passwords are changed while workers run, and a broker may know the new
 * one before its file is here. Where a sign-in has worked before, a refused one is a lost connection like any other, and
 * is tried again as often as those.
 */
function trySignInAgain(): void {
  const Authenticator = require('kafkajs/src/broker/saslAuthenticator/index.js') as {
    prototype: { authenticate(this: SignIn): Promise<void> }
  }
  const { KafkaJSConnectionError } = require('kafkajs/src/errors.js') as {
    KafkaJSConnectionError: new (message: string, at: { broker: string }) => Error
  }
  const worked = new WeakSet<object>()
  const { authenticate } = Authenticator.prototype
  Authenticator.prototype.authenticate = async function (this: SignIn) {
    const { connection } = this
    try {
      await authenticate.call(this)
      worked.add(connection.sasl)
    } catch (error) {
      const refused = error instanceof Error && error.name === 'KafkaJSSASLAuthenticationError'
      if (!refused || !worked.has(connection.sasl)) throw error
      await connection.disconnect()
      throw new KafkaJSConnectionError(error.message, { broker: connection.broker })
    }
  }
}

interface SignIn {
  readonly connection: { readonly sasl: object; readonly broker: string; disconnect(): Promise<unknown> }
}

/** The client says "no coordinator" whatever the brokers answered; that we may not see the group is worth a word. */
function nameRefusedGroup(): void {
  const { prototype } = require('kafkajs/src/cluster/brokerPool.js') as { prototype: BrokerPool }
  const { withBroker } = prototype
  prototype.withBroker = async function (this: BrokerPool, ask) {
    let refused: Error | null = null as Error | null
    const answer = await withBroker.call(this, async broker => {
      try {
        return await ask(broker)
      } catch (error) {
        if (error instanceof Error && deniedType(error) !== null) refused = error
        throw error
      }
    })
    if (answer === null && refused !== null) throw refused
    return answer
  }
}

interface BrokerPool {
  /** null when no broker gave an answer. */
  withBroker(this: BrokerPool, ask: (broker: object) => Promise<unknown>): Promise<unknown>
}

/**
 * A broker may know of a new topic before it knows of its partitions. Asked for its offsets then, the client fails with a
 * TypeError of its own, which nobody asks again about; but it is the same as not knowing the topic yet.
 */
function nameUnknownPartitions(): void {
  const { prototype } = kafkajs.Kafka
  const { createErrorFromCode } = require('kafkajs/src/protocol/error.js') as {
    createErrorFromCode: (code: number) => Error
  }
  const { admin } = prototype
  prototype.admin = function (this: KafkaClient, config) {
    const made = admin.call(this, config)
    const { fetchTopicOffsets, fetchTopicOffsetsByTimestamp } = made
    const named = (error: unknown): unknown =>
      error instanceof TypeError && /\bpop\b/.test(error.message)
        ? createErrorFromCode(UNKNOWN_TOPIC_OR_PARTITION)
        : error
    const refuse = (error: unknown): never => {
      throw named(error)
    }
    made.fetchTopicOffsets = async topic => fetchTopicOffsets(topic).catch(refuse)
    made.fetchTopicOffsetsByTimestamp = async (topic, ms) => fetchTopicOffsetsByTimestamp(topic, ms).catch(refuse)
    return made
  }
}

const UNKNOWN_TOPIC_OR_PARTITION = 3

/**
 * A connection is opened, then the broker is asked what it understands. Where that answer comes too late the connection
 * stays open and counts as connected from then on, though nobody knows what may be asked over it: `Broker not connected`,
 * an error that nothing tries again.
 */
function closeHalfConnected(): void {
  const { prototype } = require('kafkajs/src/broker/index.js') as { prototype: BrokerState }
  const { connect } = prototype
  prototype.connect = async function (this: BrokerState) {
    try {
      await connect.call(this)
    } catch (error) {
      if (this.versions === null) await this.disconnect()
      throw error
    }
  }
}

interface BrokerState {
  /** null: it was never asked, or never answered. */
  readonly versions: object | null
  connect(this: BrokerState): Promise<void>
  disconnect(): Promise<void>
}

/**
 * Metadata is asked for through the seed connection, and the broker at its address is then taken for the seed. But a
 * broker that is lost meanwhile makes another one the seed: its connection gets the number of the lost one, and from then
 * on whatever is sent to it is sent under the wrong number, which means: nothing, for ever, and the call resolves (K2).
 * After each refresh every connection has the number that it stands under, and one to another address is made anew.
 */
function keepBrokersApart(): void {
  const { prototype } = require('kafkajs/src/cluster/brokerPool.js') as { prototype: Pool }
  const { refreshMetadata } = prototype
  prototype.refreshMetadata = async function (this: Pool, topics) {
    await refreshMetadata.call(this, topics)
    if (!dropStrangers(this)) return
    await refreshMetadata.call(this, topics)
    dropStrangers(this)
  }
}

/** True when a connection went. */
function dropStrangers({ brokers, metadata }: Pool): boolean {
  let dropped = false
  for (const { nodeId, host, port } of metadata?.brokers ?? []) {
    const known = brokers[nodeId]
    if (known === undefined) continue
    const { connectionPool } = known
    if (connectionPool.host === host && connectionPool.port === port) known.nodeId = nodeId
    else {
      delete brokers[nodeId]
      dropped = true
    }
  }
  return dropped
}

interface Pool {
  readonly brokers: Record<number, { nodeId: number; readonly connectionPool: Address }>
  readonly metadata: { readonly brokers: readonly (Address & { readonly nodeId: number })[] } | null
  refreshMetadata(this: Pool, topics: readonly string[]): Promise<void>
}

interface Address {
  readonly host: string
  readonly port: number
}

/** K23: for each fetch the client looks for each partition's leader among all, and copies what it found each time. */
function findLeadersInOnePass(): void {
  const { prototype } = require('kafkajs/src/consumer/consumerGroup.js') as { prototype: LeaderSearch }
  const { findReadReplicaForPartitions } = prototype
  prototype.findReadReplicaForPartitions = function (this: LeaderSearch, topic, partitions) {
    // without a rack of our own (K12) no broker names a replica
    if (Object.keys(this.preferredReadReplicasPerTopicPartition[topic] ?? {}).length > 0) {
      return findReadReplicaForPartitions.call(this, topic, partitions)
    }
    const leaders = new Map<number, number | null>()
    for (const { partitionId, leader } of this.cluster.findTopicPartitionMetadata(topic)) {
      leaders.set(partitionId, leader)
    }
    // the client's own words where a leader is not known
    if (partitions.some(partition => leaders.get(Number(partition)) === null)) {
      return findReadReplicaForPartitions.call(this, topic, partitions)
    }
    const found: Record<number, number[]> = {}
    for (const partition of partitions) {
      const leader = leaders.get(Number(partition)) ?? null
      if (leader !== null) (found[leader] ??= []).push(Number(partition))
    }
    return found
  }
}

interface LeaderSearch {
  readonly cluster: {
    findTopicPartitionMetadata(
      topic: string,
    ): readonly { readonly partitionId: number; readonly leader: number | null }[]
  }
  readonly preferredReadReplicasPerTopicPartition: Readonly<Record<string, object | undefined>>
  findReadReplicaForPartitions(topic: string, partitions: readonly (number | string)[]): Record<number, number[]>
}

function replaceModule(name: string, exports: unknown): void {
  const path = require.resolve(name)
  require(path)
  const loaded = require.cache[path]
  if (!loaded) throw new Error(`KafkaJS changed: ${name} is not where it was`)
  loaded.exports = exports
}
