import { hash } from 'node:crypto'
import type { Decoded } from '../platform/avro/codec.ts'
import type { LogRecord } from '../platform/kafka/queue.ts'
import type { ParkReason } from '../schemas/parking.ts'
import type { GraphAlert } from '../schemas/types.ts'
import type { AlertName } from './alert-name.ts'
import { alertName } from './alert-name.ts'
import type { PackedVersion } from './ledger-table.ts'
import { packVersion } from './version.ts'

/** A stream record whose content is known and agrees with its key and lane. */
export interface Arrival {
  readonly record: LogRecord
  readonly name: AlertName
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

type KnownSchema = Exclude<Decoded<GraphAlert>, { kind: 'unknown-schema' }>

export type Decoding =
  | { readonly kind: 'arrival'; readonly arrival: Arrival }
  | { readonly kind: 'unreadable'; readonly unreadable: Unreadable }

/** What a record is, once its value is decoded (null: it has none). Everything that is wrong with it is a value. */
export function decode(
  record: LogRecord,
  decoded: KnownSchema | null,
  isOfThisLane: (tenantId: string) => boolean,
): Decoding {
  if (decoded === null) return unreadable(record, 'undecodable', 'the record has no value')
  if (decoded.kind === 'undecodable') return unreadable(record, 'undecodable', decoded.detail)

  const alert = decoded.value
  const name = alertName(alert.tenantId, alert.alertId)
  if (record.key?.toString() !== name.key) {
    return unreadable(record, 'misplaced', 'the key names another alert than the content')
  }
  if (alert.alertId === '') return unreadable(record, 'misplaced', 'the record names no alert')
  if (!isOfThisLane(alert.tenantId)) return unreadable(record, 'misplaced', 'the tenant belongs to another lane')
  const version = packVersion(alert.version)
  if (version === null)
    return unreadable(record, 'no-version', `version ${alert.version.slice(0, 60)} is not an instant`)
  // KafkaJS does not check Kafka's own checksums
  if (hash('sha256', alert.alert, 'latin1') !== alert.contentHash.toString('latin1')) {
    return unreadable(record, 'corrupt', 'the content does not match its hash')
  }
  return { kind: 'arrival', arrival: { record, name, alert, version } }
}

function unreadable(record: LogRecord, reason: ParkReason, detail: string): Decoding {
  return { kind: 'unreadable', unreadable: { record, ...claimOf(record.key), reason, detail } }
}

const CLAIM_LENGTH_MAX = 1_000

function claimOf(key: Buffer | null): { tenantId: string; alertId: string } {
  const text = key?.toString().slice(0, CLAIM_LENGTH_MAX) ?? ''
  const slash = text.indexOf('/')
  return slash < 0
    ? { tenantId: text, alertId: '' }
    : { tenantId: text.slice(0, slash), alertId: text.slice(slash + 1) }
}
