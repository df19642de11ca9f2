import { setImmediate as turn } from 'node:timers/promises'
import type { LogRecord } from '../../../platform/kafka/queue.ts'
import type { Appender, OutRecord } from '../../../platform/kafka/producer.ts'
import type { LogReader } from '../../../platform/kafka/reader.ts'
import { TransientError } from '../../../platform/retry.ts'

/** An append that fails: before anything is on the log, or after all of it is. Spent when `budget` is 0. */
interface PublishFault {
  readonly when: 'before' | 'after'
  /** Any topic when absent. */
  readonly topic?: string
  budget: number
  fired: number
}

export interface FakeBroker {
  readonly faults: PublishFault[]
  records(topic: string): readonly LogRecord[]
  /** The size of each append that reached the log. */
  readonly batches: { readonly topic: string; readonly records: number; readonly bytes: number }[]
}

/** What a world around the publisher may do at the points where a process can die. */
export interface AppendPoints {
  before(topic: string): Promise<void>
  /** On the log, the ack not yet seen. */
  landed(topic: string): Promise<void>
  acked(topic: string, records: readonly OutRecord[]): void
  /** However it ended. */
  over(): void
}

const NOTHING_HAPPENS: AppendPoints = { before: () => turn(), landed: () => turn(), acked: () => {}, over: () => {} }

/** `partitions` of each topic there is; absent: whatever is written to is there. */
export function fakeBroker(
  nowMs: () => number,
  partitions?: Readonly<Record<string, number>>,
): FakeBroker & {
  /** A connection to the log; `points` sees what goes through this one. */
  publisher(points?: AppendPoints): Appender
  reader(): LogReader
} {
  const topics = new Map<string, Map<number, LogRecord[]>>()
  const faults: PublishFault[] = []
  const batches: { topic: string; records: number; bytes: number }[] = []

  function fire(when: PublishFault['when'], topic: string): void {
    const fault = faults.find(each => each.when === when && each.budget > 0 && (each.topic ?? topic) === topic)
    if (!fault) return
    fault.budget--
    fault.fired++
    throw new TransientError(`Kafka did not take it (${when} the append)`)
  }

  function land(topic: string, partition: number, records: readonly OutRecord[]): number {
    const parts = topics.get(topic) ?? new Map<number, LogRecord[]>()
    topics.set(topic, parts)
    const log = parts.get(partition) ?? []
    parts.set(partition, log)
    const first = log.length
    for (const { key, value } of records) {
      log.push({ offset: log.length, timestampMs: nowMs(), key: Buffer.from(key), value })
    }
    const bytes = records.reduce((sum, each) => sum + each.key.length + (each.value?.length ?? 0), 0)
    batches.push({ topic, records: records.length, bytes })
    return first
  }

  return {
    faults,
    batches,
    records: topic => [...(topics.get(topic)?.values() ?? [])].flat(),
    reader: () => ({
      async *read(topic, partition, from, to) {
        const found = (topics.get(topic)?.get(partition) ?? []).filter(({ offset }) => offset >= from && offset < to)
        if (found.length > 0) yield found
      },
      close: () => Promise.resolve(),
    }),
    publisher: (points = NOTHING_HAPPENS) => ({
      async append(topic, partition, records) {
        if (records.length === 0) throw new Error('an empty append')
        if (partitions && partition >= (partitions[topic] ?? 0)) throw new TransientError('there is no such partition')
        await points.before(topic)
        try {
          fire('before', topic)
          const first = land(topic, partition, records)
          await points.landed(topic)
          fire('after', topic)
          points.acked(topic, records)
          return first
        } finally {
          points.over()
        }
      },
    }),
  }
}
