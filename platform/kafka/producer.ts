import type { Crash } from '../crash.ts'
import { withSteps } from '../crash.ts'
import type { Effect } from '../effects.ts'
import { TransientError } from '../retry.ts'
import { METADATA_MAX_AGE_MS } from './client.ts'
import type { KafkaClient } from './kafkajs.ts'
import { CompressionTypes } from './kafkajs.ts'

export interface OutRecord {
  readonly key: string
  /** null is a tombstone. */
  readonly value: Buffer | null
  readonly headers?: Readonly<Record<string, string>>
}

export interface Publisher {
  /** As an Appender does; `effect` names the place in the code. */
  append(topic: string, partition: number, records: readonly OutRecord[], effect: Effect): Promise<number>
}

export interface Appender {
  /**
   * Appends records, in order, to one partition. Resolves with the offset of the first once every in-sync replica has
   * them. Rejects with a TransientError; the records may then be there all the same, so whoever repeats may duplicate.
   * One call is one batch on the log: it is there as a whole or not at all.
   */
  append(topic: string, partition: number, records: readonly OutRecord[]): Promise<number>
}

const RETRIES = 4
const FIRST_RETRY_MS = 100
const MAX_RETRY_MS = 2_000

export async function openPublisher(
  kafka: KafkaClient,
  observe: (topic: string, durationMs: number, ok: boolean) => void = () => {},
  uptimeMs: () => number = () => performance.now(),
): Promise<Appender & { close(): Promise<void> }> {
  const producer = kafka.producer({
    allowAutoTopicCreation: false,
    metadataMaxAge: METADATA_MAX_AGE_MS,
    // a repeated batch is harmless here (identity and version on every record); the client's idempotence is not (K3)
    idempotent: false,
    retry: { retries: RETRIES, initialRetryTime: FIRST_RETRY_MS, maxRetryTime: MAX_RETRY_MS },
    // the partition is always named; a partitioner that is asked is a mistake
    createPartitioner: () => args => {
      if (args.message.partition == null) throw new Error(`no partition named for ${args.topic}`)
      return args.message.partition
    },
  })
  await producer.connect()

  return {
    async append(topic, partition, records) {
      const startedMs = uptimeMs()
      try {
        const answer = await producer.send({
          topic,
          acks: -1,
          compression: CompressionTypes.ZSTD,
          messages: records.map(record => ({
            partition,
            key: record.key,
            value: record.value,
            ...(record.headers ? { headers: { ...record.headers } } : {}),
          })),
        })
        const offset = coveredOffset(answer, topic, partition)
        observe(topic, uptimeMs() - startedMs, true)
        return offset
      } catch (error) {
        observe(topic, uptimeMs() - startedMs, false)
        const reason = error instanceof Error ? error.message : String(error)
        throw new TransientError(`Kafka did not take ${records.length} records for ${topic}[${partition}]: ${reason}`, {
          cause: error,
        })
      }
    },
    close: () => producer.disconnect(),
  }
}

/** The appender itself, unless the process is to die at one of its appends. */
export function publisherOf(appender: Appender, crash: Crash | null): Publisher {
  if (crash === null) return appender
  return {
    append: (topic, partition, records, effect) =>
      withSteps(crash, effect, () => appender.append(topic, partition, records)),
  }
}

/**
 * K1, K2: `send` resolves although nothing was written when the leader moved between two tries, or when the client does
 * not know the partition. Only an answer that names the very topic and partition counts.
 */
function coveredOffset(
  answer: readonly { topicName: string; partition: number; errorCode: number; baseOffset?: string; offset?: string }[],
  topic: string,
  partition: number,
): number {
  const part = answer.find(entry => entry.topicName === topic && entry.partition === partition)
  if (!part) throw new Error('the answer does not cover the partition, so the records are not known to be written')
  if (part.errorCode !== 0) throw new Error(`the broker answered with error ${part.errorCode}`)
  return Number(part.baseOffset ?? part.offset ?? -1)
}
