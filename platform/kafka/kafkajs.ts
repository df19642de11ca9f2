/**
 * The one door to KafkaJS 2.2.4. It is unmaintained; what bites us is mended here before anything of it runs, each fault
 * in a function of its own that names it. The package is pinned exactly, and every mend has a test on a real broker that
 * fails without it (test/kafka/kafkajs-mends.test.ts).
 */
import { createRequire } from 'node:module'
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import type * as KafkaJs from 'kafkajs'

const require = createRequire(import.meta.url)
const beforeGivingUpOf = new WeakMap<object, BeforeGivingUp>()

/** Tests switch a mend off to show that it is needed; nothing else may. */
const off = new Set((globalThis as { socosKafkaMendsOff?: readonly string[] }).socosKafkaMendsOff ?? [])
/** K20: of one partition, a fetch unpacks no more batches when it has unpacked so much. */
export const UNPACKED_BYTES_MAX = 1024 * 1024
// these replace modules that KafkaJS holds on to once it is loaded, so they come first
if (!off.has('compacted-tail')) surfaceCompactedTail()
if (!off.has('unpacked-size')) boundUnpackedSize()
if (!off.has('grouping')) groupInOnePass()
const kafkajs = require('kafkajs') as typeof KafkaJs
if (!off.has('zstd')) addZstd()
if (!off.has('idle-timer')) stopIdleTimer()
if (!off.has('giving-up')) announceGivingUp()

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
  /** A position that the next fetch will begin from: what is on its way is void. */
  hasSeekOffset(partition: { topic: string; partition: number }): boolean
  /** One attempt, without the client's retries: the caller has its own. */
  commitOffsets(offsets: {
    topics: { topic: string; partitions: { partition: number; offset: string }[] }[]
  }): Promise<void>
}

/** Runs before a member (re)joins or leaves its group; may take a while, must be bounded by whoever registers it. */
export type BeforeGivingUp = (group: GroupInternals) => Promise<void>

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
    decompress: async (packed: Buffer) => zstdDecompressSync(packed, { maxOutputLength: unpackedBytesMax }),
  })
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
    if (bytes > UNPACKED_BYTES_MAX) throw new KafkaJSPartialMessageError('enough for one fetch')
    const batch = await original(decoder)
    const own = batch.records.reduce((sum, { key, value }) => sum + (key?.length ?? 0) + (value?.length ?? 0), 0)
    unpacked.set(decoder, bytes + own)
    return batch
  })
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

/**
 * The client has no callback before partitions are taken away. The moment before JoinGroup is the last at which the old
 * owner is certain that nobody else owns its lanes: there it finishes what is in flight. So is the moment before
 * LeaveGroup, which the client also sends when it crashes and starts again by itself.
 */
function announceGivingUp(): void {
  const { prototype } = require('kafkajs/src/consumer/consumerGroup.js') as { prototype: GroupMethods }
  const { joinAndSync, leave } = prototype
  prototype.joinAndSync = async function (this: Member) {
    await beforeGivingUpOf.get(this.cluster)?.(this)
    try {
      await joinAndSync.call(this)
    } catch (error) {
      // the client would go on under the old assignment; the next heartbeat of no generation makes it join again
      this.generationId = NO_GENERATION
      throw error
    }
  }
  prototype.leave = async function (this: Member) {
    await beforeGivingUpOf.get(this.cluster)?.(this)
    return leave.call(this)
  }
}

const NO_GENERATION = -1

type Member = Omit<GroupInternals, 'generationId'> & { generationId: number | null; readonly cluster: object }

interface GroupMethods {
  joinAndSync(this: Member): Promise<void>
  leave(this: Member): Promise<void>
}

function replaceModule(name: string, exports: unknown): void {
  const path = require.resolve(name)
  require(path)
  const loaded = require.cache[path]
  if (!loaded) throw new Error(`KafkaJS changed: ${name} is not where it was`)
  loaded.exports = exports
}
