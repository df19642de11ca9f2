import { hash } from 'node:crypto'
import type { Codec } from '../platform/avro/codec.ts'
import { decodeLearning } from '../platform/avro/codec.ts'
import type { LogRecord } from '../platform/kafka/queue.ts'
import type { ParkReason } from '../schemas/parking.ts'
import type { GraphAlert } from '../schemas/types.ts'
import { alertKey } from './ledger.ts'
import type { PackedVersion } from './ledger-table.ts'
import { packVersion } from './version.ts'

/** A stream record whose content is known and agrees with its key and lane. */
export interface Arrival {
  readonly record: LogRecord
  readonly key: string
  readonly alert: GraphAlert
  readonly version: PackedVersion
}

/** A stream record that is not an alert of this lane; its tenant and alert are what the key claims. */
interface Unreadable {
  readonly record: LogRecord
  readonly tenantId: string
  readonly alertId: string
  readonly reason: ParkReason
  readonly detail: string
}

export type Decoding =
  | { readonly kind: 'arrival'; readonly arrival: Arrival }
  | { readonly kind: 'unreadable'; readonly unreadable: Unreadable }

/** Rejects only with a TransientError (registry); everything about the record itself is a value. */
export async function decode(
  record: LogRecord,
  codec: Codec<GraphAlert>,
  isOfThisLane: (tenantId: string) => boolean,
): Promise<Decoding> {
  const claimed = claimOf(record.key)
  const unreadable = (reason: ParkReason, detail: string): Decoding => ({
    kind: 'unreadable',
    unreadable: { record, ...claimed, reason, detail },
  })
  if (record.value === null) return unreadable('undecodable', 'the record has no value')
  const decoded = await decodeLearning(codec, record.value)
  if (decoded.kind === 'undecodable') return unreadable('undecodable', decoded.detail)

  const alert = decoded.value
  const key = alertKey(alert.tenantId, alert.alertId)
  if (record.key?.toString() !== key) return unreadable('misplaced', 'the key names another alert than the content')
  if (alert.alertId === '') return unreadable('misplaced', 'the record names no alert')
  if (!isOfThisLane(alert.tenantId)) return unreadable('misplaced', 'the tenant belongs to another lane')
  const version = packVersion(alert.version)
  if (version === null) return unreadable('no-version', `version ${alert.version.slice(0, 60)} is not an instant`)
  // KafkaJS does not check Kafka's own checksums
  if (!hash('sha256', alert.alert, 'buffer').equals(alert.contentHash)) {
    return unreadable('corrupt', 'the content does not match its hash')
  }
  return { kind: 'arrival', arrival: { record, key, alert, version } }
}

const CLAIM_LENGTH_MAX = 1_000

function claimOf(key: Buffer | null): { tenantId: string; alertId: string } {
  const text = key?.toString().slice(0, CLAIM_LENGTH_MAX) ?? ''
  const slash = text.indexOf('/')
  return slash < 0
    ? { tenantId: text, alertId: '' }
    : { tenantId: text.slice(0, slash), alertId: text.slice(slash + 1) }
}
