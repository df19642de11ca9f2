import type { Codec } from '../platform/avro/codec.ts'
import { decodeLearning } from '../platform/avro/codec.ts'
import { systemClock, systemRandom } from '../platform/clock.ts'
import type { LogRecord } from '../platform/kafka/queue.ts'
import { isNotYetKnown } from '../platform/kafka/topics.ts'
import { retry, TransientError } from '../platform/retry.ts'
import type { TopicName } from '../schemas/topics.ts'
import { topicSpec } from '../schemas/topics.ts'
import type { Connection } from './connect.ts'
import { eachOf } from './connect.ts'

const LANES_AT_ONCE = 12
const LEADER_PATIENCE = { attempts: 10, firstMs: 200, maxMs: 2_000 }

/** First and next offset of every partition. */
export async function offsetsOf(connection: Connection, name: TopicName): Promise<Offsets> {
  return offsetsOfTopic(connection, connection.topic(name))
}

type Offsets = ReadonlyMap<number, { readonly low: number; readonly high: number }>

/** By its full name. A topic that was just made is waited for: not every broker has heard of it. */
export async function offsetsOfTopic(connection: Connection, topic: string): Promise<Offsets> {
  const admin = await connection.admin()
  const ask = async () => {
    try {
      return await admin.fetchTopicOffsets(topic)
    } catch (error) {
      throw isNotYetKnown(error) ? new TransientError(`no leader answers for ${topic}`, { cause: error }) : error
    }
  }
  const parts = await retry(ask, LEADER_PATIENCE, { clock: systemClock, random: systemRandom })
  return new Map(parts.map(part => [part.partition, { low: Number(part.low), high: Number(part.high) }]))
}

/** Every record of a topic (or of its given lanes), lane by lane in offset order, up to the ends that it returns. */
export async function scan(
  connection: Connection,
  name: TopicName,
  visit: (record: LogRecord, lane: number) => Promise<void> | void,
  from: (lane: number, low: number) => number = (_, low) => low,
  only?: ReadonlySet<number>,
): Promise<ReadonlyMap<number, { readonly low: number; readonly high: number }>> {
  const reader = await connection.reader()
  const offsets = await offsetsOf(connection, name)
  const lanes = [...offsets].filter(([lane]) => only === undefined || only.has(lane))
  await eachOf(lanes, LANES_AT_ONCE, async ([lane, { low, high }]) => {
    for await (const batch of reader.read(connection.topic(name), lane, from(lane, low), high)) {
      for (const record of batch) await visit(record, lane)
    }
  })
  return offsets
}

/** A compacted topic (or some of its lanes) as the map it stands for; records that cannot be read are told and left out. */
export async function readTable<T>(
  connection: Connection,
  name: TopicName,
  say: (text: string) => void,
  wanted: (key: string) => boolean = () => true,
  only?: ReadonlySet<number>,
): Promise<Map<string, T>> {
  if (!topicSpec(name).cleanup.includes('compact')) throw new Error(`${name} is not a table`)
  const codec: Codec<T> = await connection.codec<T>(name)
  const table = new Map<string, T>()
  const visit = async (record: LogRecord, lane: number): Promise<void> => {
    const key = record.key?.toString() ?? ''
    if (!wanted(key)) return
    if (record.value === null) {
      table.delete(key)
      return
    }
    const decoded = await decodeLearning(codec, record.value)
    if (decoded.kind === 'value') table.set(key, decoded.value)
    else say(`${connection.topic(name)}[${lane}] offset ${record.offset} cannot be read: ${decoded.detail}\n`)
  }
  await scan(connection, name, visit, (_, low) => low, only)
  return table
}
