/** What lies on the log before a run (the ledger: ledger-fill.ts): the same alerts for ours and for the peers, and what each needs them wrapped in. */
import { createHash } from 'node:crypto'
import type { KafkaClient } from '../platform/kafka/kafkajs.ts'
import { CompressionTypes } from '../platform/kafka/kafkajs.ts'
import { laneOf } from '../platform/kafka/lane-of.ts'
import type { OutRecord } from '../platform/kafka/producer.ts'
import type { GraphAlert } from '../schemas/types.ts'
import { chanceFrom, makeAlert, stampOf, tenantIdOf } from './alerts.ts'
import type { Ground } from './ground.ts'

interface Entry {
  readonly tenantId: string
  readonly alertId: string
  readonly version: string
  readonly alert: Buffer
}

export interface AlertsPlan {
  readonly tenants: number
  readonly count: number
  /** How many of them repeat an earlier one. */
  readonly repeats: number
}

const SEED = 7
/** A repeat copies one of so many written last: some lie within one batch with their original, some far from it. */
const REPEATED_OF_LAST = 5_000
const UPDATED_MS = Date.UTC(2026, 10, 24, 10)

/** As the peers' own measurements have it: every fifth record repeats one. */
export function planOf(tenants: number, count: number): AlertsPlan {
  return { tenants, count, repeats: Math.floor(count / 5) }
}

/** Always the same for one plan. */
function* entries({ tenants, count, repeats }: AlertsPlan): Generator<Entry> {
  const chance = chanceFrom(SEED)
  const ids = Array.from({ length: tenants }, (_, n) => tenantIdOf(n))
  const last: Entry[] = []
  let left = count - repeats
  for (let n = 0, made = 0; n < count; n++) {
    const repeated = last.length > 0 && chance(count - n) >= left ? last[chance(last.length)] : undefined
    if (repeated) {
      yield repeated
      continue
    }
    const tenantId = ids[chance(tenants)] ?? ''
    const { id, json } = makeAlert(chance, tenantId, UPDATED_MS + made)
    const entry = { tenantId, alertId: id, version: stampOf(UPDATED_MS + made), alert: Buffer.from(json, 'latin1') }
    last[made % REPEATED_OF_LAST] = entry
    made++
    left--
    yield entry
  }
}

export async function fillAlerts(ground: Ground, plan: AlertsPlan): Promise<void> {
  const codec = await ground.codec<GraphAlert>('alerts')
  const batches = inBatches(BATCH_RECORDS, (lane, records) =>
    ground.publisher.append(ground.topic('alerts'), lane, records),
  )
  for (const { tenantId, alertId, version, alert } of entries(plan)) {
    const value = codec.encode({
      tenantId,
      alertId,
      version,
      contentHash: createHash('sha256').update(alert).digest(),
      source: 'alerts_v2',
      origin: 'poll',
      observedAt: Date.now(),
      attempts: 0,
      severity: 'medium',
      status: 'new',
      serviceSource: null,
      alert,
    })
    await batches.add(laneOf(tenantId, ground.lanes), { key: `${tenantId}/${alertId}`, value })
  }
  await batches.flush()
}

/** The alerts as they are, uncompressed: the form in which the peers put them on the log. */
export async function fillPlain(
  kafka: KafkaClient,
  topic: string,
  partitions: number,
  plan: AlertsPlan,
): Promise<void> {
  const producer = kafka.producer({
    allowAutoTopicCreation: false,
    createPartitioner: () => args => args.message.partition ?? 0,
  })
  await producer.connect()
  const batches = inBatches(PLAIN_BATCH_RECORDS, (partition, records) =>
    producer.send({
      topic,
      acks: -1,
      compression: CompressionTypes.None,
      messages: records.map(({ key, value }) => ({ partition, key, value })),
    }),
  )
  for (const { tenantId, alertId, alert } of entries(plan)) {
    const key = `${tenantId}/${alertId}`
    await batches.add(laneOf(key, partitions), { key, value: alert })
  }
  await batches.flush()
  await producer.disconnect()
}

const BATCH_RECORDS = 250
/** Below a broker's default limit of 1 MiB a batch. */
const PLAIN_BATCH_RECORDS = 200

interface Batches {
  add(partition: number, record: OutRecord): Promise<void>
  flush(): Promise<void>
}

function inBatches(
  records: number,
  send: (partition: number, batch: readonly OutRecord[]) => Promise<unknown>,
): Batches {
  const open = new Map<number, OutRecord[]>()
  return {
    async add(partition, record) {
      const batch = open.get(partition) ?? []
      open.set(partition, batch)
      batch.push(record)
      if (batch.length < records) return
      open.delete(partition)
      await send(partition, batch)
    },
    async flush() {
      for (const [partition, batch] of open) await send(partition, batch)
      open.clear()
    },
  }
}
