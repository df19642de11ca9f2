import type { Codec } from '../platform/avro/codec.ts'
import { decodeLearning } from '../platform/avro/codec.ts'
import type { LogRecord } from '../platform/kafka/queue.ts'
import type { ParkReason } from '../schemas/parking.ts'
import type { GraphAlert } from '../schemas/types.ts'
import { alertKey } from './alert-name.ts'
import type { Decoding } from './decode.ts'
import { decode } from './decode.ts'
import { dedupe } from './dedupe.ts'
import type { EngineItem } from './engine/item.ts'
import type { TenantDirectory } from './enrich.ts'
import type { EngineFormat } from './format.ts'
import { itemOf } from './format.ts'
import type { Ledger } from './ledger.ts'
import { packVersion } from './version.ts'

/** What became of one record. */
export type Fate =
  | { readonly kind: 'delivered'; readonly again: boolean }
  | { readonly kind: 'dropped'; readonly why: 'duplicate' | 'stale' }
  | { readonly kind: 'park'; readonly reason: ParkReason; readonly detail: string }
  /** Parked before a crash; only not counted yet. */
  | { readonly kind: 'parked-before' }

/** A run of a lane's records that is settled as one; survives a rebalance when the lane stays. */
export interface Window {
  readonly records: readonly LogRecord[]
  readonly decoded: readonly Decoding[]
  /** null: not decided yet. */
  readonly fates: (Fate | null)[]
}

/** One alert at most once, so that its next revision is decided when the fate of this one is known. */
export interface Round {
  readonly items: readonly EngineItem[]
  /** Index in the window of each item. */
  readonly indexes: readonly number[]
}

/** Rejects only with a TransientError. */
export async function openWindow(
  records: readonly LogRecord[],
  codec: Codec<GraphAlert>,
  isOfThisLane: (tenantId: string) => boolean,
): Promise<Window> {
  const decoded: Decoding[] = []
  for (const record of records) {
    const { value } = record
    if (value === null) {
      decoded.push(decode(record, null, isOfThisLane))
      continue
    }
    const first = codec.decode(value)
    // only a schema that is new is waited for
    const known = first.kind === 'unknown-schema' ? await decodeLearning(codec, value) : first
    decoded.push(decode(record, known, isOfThisLane))
  }
  return { records, decoded, fates: records.map(() => null) }
}

/**
 * Decides all that can be decided without the engine and returns what must be forwarded next; empty when every record
 * has its fate. The order of an alert's revisions is kept: a later one waits for the round after.
 */
export function nextRound(
  window: Window,
  ledger: Ledger,
  tenants: TenantDirectory,
  nowMs: number,
  format: EngineFormat,
): Round {
  const items: EngineItem[] = []
  const indexes: number[] = []
  // a later revision waits until it is certain that this one is parked, and is then judged against that
  const busy = new Set<string>()
  // counted by hand, here and wherever all records pass: `entries()` makes an array for each
  let at = -1
  for (const decoding of window.decoded) {
    at++
    if (window.fates[at]?.kind === 'park' && decoding.kind === 'arrival') busy.add(decoding.arrival.name.key)
  }
  let index = -1
  for (const decoding of window.decoded) {
    index++
    if (window.fates[index] !== null) continue
    if (decoding.kind === 'unreadable') {
      window.fates[index] = fateOfUnreadable(decoding.unreadable, ledger)
      continue
    }
    const { arrival } = decoding
    const { key } = arrival.name
    if (busy.has(key)) continue
    const verdict = dedupe(arrival, ledger)
    switch (verdict.kind) {
      case 'drop':
        window.fates[index] = { kind: 'dropped', why: verdict.why }
        break
      case 'settled':
        window.fates[index] = verdict.as === 'parked' ? { kind: 'parked-before' } : { kind: 'delivered', again: true }
        break
      case 'forward': {
        const tenant = tenants.enrich(arrival.alert.tenantId, nowMs)
        if (tenant.kind === 'park') {
          window.fates[index] = tenant
          break
        }
        busy.add(key)
        const formatted = itemOf(arrival.alert, tenant.json, format, arrival.record.trace)
        if (formatted.kind === 'park') {
          window.fates[index] = formatted
          break
        }
        indexes.push(index)
        items.push(formatted.item)
      }
    }
  }
  return { items, indexes }
}

/** An unreadable record has no version; the lane remembers it by the oldest one and the hash of its bytes. */
export const NO_VERSION = packVersion('1970-01-01T00:00:00.0000000Z') ?? { hi: 0, lo: 0 }

function fateOfUnreadable(
  { tenantId, alertId, record, reason, detail }: Extract<Decoding, { kind: 'unreadable' }>['unreadable'],
  ledger: Ledger,
): Fate {
  const key = alertKey(tenantId, ledgerAlertId({ alertId, record }))
  const relation = ledger.relationToParked({ key }, NO_VERSION, rawHash(record), record.offset)
  return relation === 'this-record' ? { kind: 'parked-before' } : { kind: 'park', reason, detail }
}

/** A record that names no alert goes by its offset: under an empty name stand the totals of its tenant. */
export function ledgerAlertId({ alertId, record }: { readonly alertId: string; readonly record: LogRecord }): string {
  return alertId === '' ? `(record ${record.offset})` : alertId
}

/** Tells unreadable records of one key apart; need not be strong. */
export function rawHash(record: LogRecord): Buffer {
  const mark = Buffer.alloc(8)
  mark.writeDoubleBE(record.offset)
  return mark
}
