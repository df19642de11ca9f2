import type { Codec } from '../platform/avro/codec.ts'
import { decodeLearning } from '../platform/avro/codec.ts'
import type { OutRecord, Publisher } from '../platform/kafka/producer.ts'
import type { LogReader } from '../platform/kafka/reader.ts'
import type { GraphAlert, Parked } from '../schemas/types.ts'
import { alertKey, alertName } from './alert-name.ts'
import type { Ledger } from './ledger.ts'
import { packVersion } from './version.ts'

export interface ReturningDeps {
  readonly lane: number
  readonly ledger: Ledger
  readonly reader: () => Promise<LogReader>
  readonly publisher: Publisher
  readonly topics: { readonly alerts: string; readonly parked: string }
  readonly codecs: { readonly alerts: Codec<GraphAlert>; readonly parked: Codec<Parked> }
}

/** What waited for nothing but the tenant's record. */
const WAITED_FOR_TENANT: ReadonlySet<string> = new Set(['unknown-tenant', 'off-boarded'])
/** A record that came back so often has another cause. */
const ATTEMPTS_MAX = 5
const BATCH_BYTES_MAX = 1024 * 1024
const TO_THE_END = Number.MAX_SAFE_INTEGER

/**
 * The record of a tenant arrived (again): what was parked for want of it goes the normal way once more. Resolves with
 * how many; calling it again sends no more than what is still not delivered. Rejects with a TransientError.
 */
export async function retryParkedOf(tenantIds: ReadonlySet<string>, deps: ReturningDeps): Promise<number> {
  const { lane, ledger, topics, codecs } = deps
  const reader = await deps.reader()
  const waiting = new Map<string, OutRecord>()
  for await (const records of reader.read(topics.parked, lane, 0, TO_THE_END)) {
    for (const { key, value } of records) {
      if (!tenantIds.has(tenantOf(key))) continue
      if (value === null) {
        // what was parked of this alert until here was discarded
        for (const [id, record] of waiting) if (record.key === key?.toString()) waiting.delete(id)
        continue
      }
      const decoded = await decodeLearning(codecs.parked, value)
      if (decoded.kind !== 'value') continue
      const { reason, format, attempts, record } = decoded.value
      if (!WAITED_FOR_TENANT.has(reason) || format !== 'graph-alert' || attempts >= ATTEMPTS_MAX) continue
      const alert = await decodeLearning(codecs.alerts, record)
      if (alert.kind !== 'value' || isDelivered(alert.value, ledger)) continue
      const { tenantId, alertId, version } = alert.value
      const again: GraphAlert = { ...alert.value, origin: 'retry', attempts }
      waiting.set(JSON.stringify([alertId, version, alert.value.contentHash.toString('hex')]), {
        key: alertKey(tenantId, alertId),
        value: codecs.alerts.encode(again),
      })
    }
  }
  for (const batch of batches([...waiting.values()])) {
    await deps.publisher.append(topics.alerts, lane, batch, 'parked-returned')
  }
  return waiting.size
}

function isDelivered({ tenantId, alertId, version, contentHash }: GraphAlert, ledger: Ledger): boolean {
  const packed = packVersion(version)
  if (packed === null) return false
  const relation = ledger.relationToDelivered(alertName(tenantId, alertId), packed, contentHash, TO_THE_END)
  return relation === 'same' || relation === 'older' || relation === 'this-record'
}

function tenantOf(key: Buffer | null): string {
  const text = key?.toString() ?? ''
  return text.slice(0, Math.max(0, text.indexOf('/')))
}

function* batches(records: readonly OutRecord[]): Generator<readonly OutRecord[], void> {
  let batch: OutRecord[] = []
  let bytes = 0
  for (const record of records) {
    batch.push(record)
    bytes += record.value?.length ?? 0
    if (bytes < BATCH_BYTES_MAX) continue
    yield batch
    batch = []
    bytes = 0
  }
  if (batch.length > 0) yield batch
}
