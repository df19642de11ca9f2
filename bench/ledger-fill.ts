import { laneOf } from '../platform/kafka/lane-of.ts'
import type { OutRecord } from '../platform/kafka/producer.ts'
import type { Delivery } from '../schemas/types.ts'
import { tenantIdOf } from './alerts.ts'
import type { Ground } from './ground.ts'

/** Some 800 kB on the way to Kafka: a fill of millions is not about round trips. */
const BATCH_RECORDS = 5_000
const APPENDS_AT_ONCE = 8
const TENANTS_PER_LANE = 10

/** Puts `entries` deliveries on the ledger, each of an alert of its own, spread over tenants of all lanes. */
export async function fillLedger(ground: Ground, entries: number): Promise<void> {
  const codec = await ground.codec<Delivery>('deliveries')
  const topic = ground.topic('deliveries')
  const tenants = ground.lanes * TENANTS_PER_LANE
  const delivered = { version: '2026-11-24T10:00:00.0000000Z', contentHash: Buffer.alloc(8), offset: 1, at: Date.now() }
  const batches = batchesOf(entries, tenants)
  const oneAfterTheOther = async (): Promise<void> => {
    for (const { tenant, first, count } of batches) {
      const tenantId = tenantIdOf(tenant)
      const records = Array.from({ length: count }, (_, n): OutRecord => {
        const alertId = `da637551${first + n}_-1919996919`
        const value = codec.encode({ tenantId, alertId, delivered, parked: null, totals: null })
        return { key: `${tenantId}/${alertId}`, value }
      })
      await ground.publisher.append(topic, laneOf(tenantId, ground.lanes), records)
    }
  }
  // they share one iterator, so each batch is taken once
  await Promise.all(Array.from({ length: APPENDS_AT_ONCE }, oneAfterTheOther))
}

interface Batch {
  readonly tenant: number
  readonly first: number
  readonly count: number
}

function* batchesOf(entries: number, tenants: number): Generator<Batch> {
  const size = Math.max(1, Math.min(BATCH_RECORDS, Math.ceil(entries / tenants)))
  for (let first = 0, n = 0; first < entries; first += size, n++) {
    yield { tenant: n % tenants, first, count: Math.min(size, entries - first) }
  }
}
