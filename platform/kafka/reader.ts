import { TransientError } from '../retry.ts'
import { offsetOf, timestampMsOf } from './batch-decode.ts'
import type { KafkaClient } from './kafkajs.ts'
import { unpackUpTo } from './kafkajs.ts'
import type { LogRecord } from './queue.ts'

/**
 * Reads a bounded range of a partition without joining any group: live offsets are neither read nor written. For the CLI
 * (status, parked, replay). KafkaJS has no public way to fetch without a group, so this stands on its cluster object.
 */
export interface LogReader {
  /**
   * Records of [from, to), in order, in batches. Ends when the position reaches `to`, or the log's end, also where
   * compaction left nothing. `from` before the log's start begins at the start.
   */
  read(topic: string, partition: number, from: number, to: number): AsyncGenerator<readonly LogRecord[], void>
  close(): Promise<void>
}

const FETCH_WAIT_MS = 250
/** As it is on the wire. Of what comes some 1 MiB is unpacked (kafkajs.ts, K20), and the rest asked for again. */
const FETCH_BYTES = 256 * 1024
const BULK = { fetchBytes: 512 * 1024, unpackedBytes: 4 * 1024 * 1024 }
const TRIES = 8
const EARLIEST = -2
const READ_UNCOMMITTED = 0
/** leader moved or unknown; fetch again with fresh metadata */
const STALE_METADATA: ReadonlySet<string> = new Set([
  'UNKNOWN_TOPIC_OR_PARTITION',
  'LEADER_NOT_AVAILABLE',
  'NOT_LEADER_FOR_PARTITION',
  'FENCED_LEADER_EPOCH',
  'UNKNOWN_LEADER_EPOCH',
])

interface Fetched {
  readonly highWatermark: string
  readonly messages: readonly {
    readonly offset: string
    readonly timestamp: string
    readonly key: Buffer | null
    readonly value: Buffer | null
    readonly isControlRecord: boolean
  }[]
}

export interface Cluster {
  connect(): Promise<void>
  disconnect(): Promise<void>
  addTargetTopic(topic: string): Promise<void>
  refreshMetadata(): Promise<void>
  findLeaderForPartitions(topic: string, partitions: number[]): Record<string, unknown>
  findBroker(node: { nodeId: string }): Promise<{
    fetch(request: object): Promise<{ responses: { topicName: string; partitions: Fetched[] }[] }>
  }>
  findGroupCoordinator(group: { groupId: string }): Promise<{
    offsetFetch(request: object): Promise<{
      responses: { topic: string; partitions: { partition: number; offset: string; metadata: string | null }[] }[]
    }>
    offsetCommit(request: object): Promise<unknown>
  }>
  fetchTopicsOffset(
    topics: { topic: string; partitions: { partition: number }[]; fromBeginning: boolean }[],
  ): Promise<{ partitions: { offset: string }[] }[]>
}

/** KafkaJS's own connection to the cluster; not connected yet. */
export function openCluster(kafka: KafkaClient): Cluster {
  const create = Object.getOwnPropertySymbols(kafka).find(
    symbol => symbol.description === 'private:Kafka:createCluster',
  )
  const factory = create && (kafka as unknown as Record<symbol, (options: object) => Cluster>)[create]
  if (!factory) throw new Error('KafkaJS changed: its cluster cannot be reached')
  return factory({ isolationLevel: READ_UNCOMMITTED, allowAutoTopicCreation: false, metadataMaxAge: 60_000 })
}

/** Larger answers, and so fewer: for a process that reads one partition at a time, and does nothing else. */
export function openBulkReader(kafka: KafkaClient): Promise<LogReader> {
  unpackUpTo(BULK.unpackedBytes)
  return openReader(kafka, BULK.fetchBytes)
}

export async function openReader(kafka: KafkaClient, fetchBytes: number = FETCH_BYTES): Promise<LogReader> {
  const cluster = openCluster(kafka)
  await cluster.connect()

  async function fetchOnce(topic: string, partition: number, offset: number): Promise<Fetched> {
    const [nodeId] = Object.keys(cluster.findLeaderForPartitions(topic, [partition]))
    if (nodeId === undefined) throw new Error(`no leader known for ${topic}[${partition}]`)
    const broker = await cluster.findBroker({ nodeId })
    const { responses } = await broker.fetch({
      maxWaitTime: FETCH_WAIT_MS,
      minBytes: 1,
      maxBytes: fetchBytes,
      isolationLevel: READ_UNCOMMITTED,
      topics: [{ topic, partitions: [{ partition, fetchOffset: String(offset), maxBytes: fetchBytes }] }],
    })
    const fetched = responses[0]?.partitions[0]
    if (!fetched) throw new Error(`no answer for ${topic}[${partition}]`)
    return fetched
  }

  async function start(topic: string, partition: number): Promise<number> {
    const [found] = await cluster.fetchTopicsOffset([{ topic, partitions: [{ partition }], fromBeginning: true }])
    return Number(found?.partitions[0]?.offset ?? EARLIEST)
  }

  return {
    async *read(topic, partition, from, to) {
      await cluster.addTargetTopic(topic)
      let position = from
      let failures = 0
      // the next fetch is under way while this one's records are worked on
      let ahead: { readonly from: number; readonly fetched: Promise<Fetched> } | null = null
      while (position < to) {
        let fetched: Fetched
        try {
          fetched = await (ahead?.from === position ? ahead.fetched : fetchOnce(topic, partition, position))
          failures = 0
        } catch (error) {
          ahead = null
          if (isOutOfRange(error)) {
            const first = await start(topic, partition)
            if (first <= position) return // beyond the end: nothing there
            position = first
            continue
          }
          if (++failures >= TRIES) {
            const reason = error instanceof Error ? error.message : String(error)
            throw new TransientError(`${topic}[${partition}] cannot be read at ${position}: ${reason}`, {
              cause: error,
            })
          }
          if (isStale(error) || failures > 1) await cluster.refreshMetadata()
          continue
        }
        const records: LogRecord[] = []
        let next = position
        for (const message of fetched.messages) {
          const offset = offsetOf(message)
          if (offset < position) continue
          next = offset + 1
          if (message.isControlRecord || offset >= to) continue
          records.push({ offset, timestampMs: timestampMsOf(message), key: message.key, value: message.value })
        }
        position = next
        // what was appended after the answer belongs to the next read
        const isEnd = position >= Math.min(to, Number(fetched.highWatermark))
        ahead = isEnd ? null : { from: position, fetched: fetchOnce(topic, partition, position) }
        ahead?.fetched.catch(() => {}) // heard above, or nobody wants it any more
        if (records.length > 0) yield records
        if (isEnd) return
      }
    },
    close: () => cluster.disconnect(),
  }
}

function isOutOfRange(error: unknown): boolean {
  return error instanceof Error && (error.name === 'KafkaJSOffsetOutOfRange' || typeOf(error) === 'OFFSET_OUT_OF_RANGE')
}

function isStale(error: unknown): boolean {
  return STALE_METADATA.has(typeOf(error) ?? '')
}

function typeOf(error: unknown): string | undefined {
  return typeof error === 'object' && error !== null && 'type' in error ? String(error.type) : undefined
}
