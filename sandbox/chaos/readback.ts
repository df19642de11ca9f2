import { hash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { type AvroSchema, codecOf } from '../../platform/avro/codec.ts'
import type { Delivery, GraphAlert, Parked } from '../../schemas/types.ts'
import type { KafkaTool } from '../kafka/tools.ts'

/** Topics read back by Kafka's own console consumer: what our client believes to have written proves nothing. */

interface LogEntry {
  readonly lane: number
  readonly offset: number
  readonly tenantId: string
  readonly alertId: string
  readonly version: string
  /** Of the alert's bytes, lower-case hex. */
  readonly sha256: string
}

export interface Readback {
  readonly alerts: readonly LogEntry[]
  /** `lane:offset` of every record of the alerts topic that stands in `parked`. */
  readonly parkedAt: ReadonlySet<string>
  /** What the ledger topic says last of each alert: the version that the engine has, by `tenantId/alertId`. */
  readonly delivered: ReadonlyMap<string, string>
  /** Records of the forwarders' group that are not committed, by lane. */
  readonly lag: ReadonlyMap<number, number>
}

interface RawRecord {
  readonly lane: number
  readonly offset: number
  readonly value: Buffer | null
}

/** A JVM on a busy machine may take seconds until its first fetch is answered. */
const IDLE_MS = 12_000
const HEADER_BYTES = 5
const AT_ONCE_MAX = 20_000

export async function readBack(tool: KafkaTool, prefix: string): Promise<Readback> {
  const alerts: LogEntry[] = []
  const decodeAlert = await decoder('graph-alert')
  for (const { lane, offset, value } of await readAlerts(tool, `${prefix}alerts`)) {
    if (value === null) continue
    const { tenantId, alertId, version, alert } = decodeAlert(value)
    alerts.push({ lane, offset, tenantId, alertId, version, sha256: hash('sha256', alert, 'hex') })
  }
  const decodeParked = await decoder('parked')
  const [parked, deliveries] = await Promise.all([
    consume(tool, `${prefix}parked`, null),
    consume(tool, `${prefix}deliveries`, null),
  ])
  const parkedAt = new Set(
    parked.flatMap(({ value }) => {
      if (value === null) return []
      const { lane, offset } = decodeParked(value)
      return offset < 0 ? [] : [`${lane}:${offset}`]
    }),
  )
  const decodeDelivery = await decoder('delivery')
  const delivered = new Map<string, string>()
  for (const { value } of deliveries) {
    if (value === null) continue
    const { tenantId, alertId, delivered: mark } = decodeDelivery(value)
    if (mark !== null) delivered.set(`${tenantId}/${alertId}`, mark.version)
  }
  return { alerts, parkedAt, delivered, lag: await lagOf(tool, `${prefix}forwarders`) }
}

interface Records {
  readonly 'graph-alert': GraphAlert
  readonly parked: Parked
  readonly delivery: Delivery
}

async function decoder<Name extends keyof Records>(name: Name): Promise<(value: Buffer) => Records[Name]> {
  const schema = JSON.parse(
    await readFile(new URL(`../../schemas/${name}.avsc`, import.meta.url), 'utf8'),
  ) as AvroSchema
  const codec = codecOf<Records[Name]>(
    0,
    schema,
    { idOf: async () => 0, schemaOf: async () => schema },
    { now: Date.now, sleep },
  )
  return value => {
    // whatever the registry called it: this run has but one version of each schema
    const plain = Buffer.concat([Buffer.alloc(HEADER_BYTES), value.subarray(HEADER_BYTES)])
    const decoded = codec.decode(plain)
    if (value[0] !== 0 || decoded.kind !== 'value') throw new Error(`a record of ${name} cannot be read`)
    return decoded.value
  }
}

async function sleep(): Promise<void> {}

async function endsOf(tool: KafkaTool, topic: string): Promise<Map<number, number>> {
  const out = await tool('org.apache.kafka.tools.GetOffsetShell', ['--topic', topic])
  const ends = new Map<number, number>()
  for (const line of out.split('\n')) {
    const [name, lane, end] = line.trim().split(':')
    if (name === topic) ends.set(Number(lane), Number(end))
  }
  return ends
}

/** A small log in one go, a large one lane by lane, for what a tool prints has to fit into one string. */
async function readAlerts(tool: KafkaTool, topic: string): Promise<RawRecord[]> {
  const ends = await endsOf(tool, topic)
  const count = [...ends.values()].reduce((sum, end) => sum + end, 0)
  if (count === 0) return []
  if (count <= AT_ONCE_MAX) return consume(tool, topic, { lane: null, count })
  const records: RawRecord[] = []
  for (const [lane, end] of ends) {
    if (end > 0) records.push(...(await consume(tool, topic, { lane, count: end })))
  }
  return records
}

/** A lane or all of them up to a count, or a whole (compacted) topic until nothing comes for a while. */
async function consume(
  tool: KafkaTool,
  topic: string,
  only: { readonly lane: number | null; readonly count: number } | null,
): Promise<RawRecord[]> {
  const lane = only?.lane ?? null
  const some = lane === null ? ['--from-beginning'] : ['--partition', String(lane), '--offset', 'earliest']
  const until = only === null ? ['--timeout-ms', String(IDLE_MS)] : ['--max-messages', String(only.count)]
  const show = ['print.partition=true', 'print.offset=true', 'print.value=true', 'key.separator=|']
  const bytes = 'value.deserializer=org.apache.kafka.common.serialization.BytesDeserializer'
  const out = await tool('org.apache.kafka.tools.consumer.ConsoleConsumer', [
    '--topic',
    topic,
    ...some,
    ...until,
    ...[...show, bytes, 'null.literal=null'].flatMap(property => ['--formatter-property', property]),
  ])
  const records: RawRecord[] = []
  for (const line of out.split('\n')) {
    const found = /^Partition:(\d+)\|Offset:(\d+)\|(.*)$/.exec(line)
    if (!found) continue
    const text = found[3] ?? ''
    records.push({
      lane: Number(found[1]),
      offset: Number(found[2]),
      value: text === 'null' ? null : unescaped(text),
    })
  }
  return records
}

/** Kafka's `Bytes` as text: printable ASCII as it is, everything else and the backslash as `\xNN`. */
export function unescaped(text: string): Buffer {
  const bytes = Buffer.alloc(text.length)
  let length = 0
  for (let at = 0; at < text.length; at++) {
    if (text.startsWith('\\x', at)) {
      bytes[length++] = Number.parseInt(text.slice(at + 2, at + 4), 16)
      at += 3
    } else bytes[length++] = text.charCodeAt(at)
  }
  return bytes.subarray(0, length)
}

async function lagOf(tool: KafkaTool, group: string): Promise<Map<number, number>> {
  const out = await tool('org.apache.kafka.tools.consumer.group.ConsumerGroupCommand', ['--describe', '--group', group])
  const lag = new Map<number, number>()
  for (const line of out.split('\n')) {
    const [name, topic, lane, , , behind] = line.trim().split(/\s+/)
    if (name === group && topic?.endsWith('alerts') && behind !== '-') lag.set(Number(lane), Number(behind))
  }
  return lag
}
