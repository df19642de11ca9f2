import type { Codec } from '../platform/avro/codec.ts'
import type { OutRecord, Publisher } from '../platform/kafka/producer.ts'
import type { ParkReason } from '../schemas/parking.ts'
import type { Delivery, Parked } from '../schemas/types.ts'
import type { AlertName } from './alert-name.ts'
import { alertKey, alertName } from './alert-name.ts'
import { writeDelivered } from './delivered.ts'
import type { Ledger, TotalsDelta } from './ledger.ts'
import type { Parking, ParkingBudget } from './park.ts'
import { parkedRecord } from './park.ts'
import type { Fate, Window } from './window.ts'
import { ledgerAlertId, NO_VERSION, rawHash } from './window.ts'

export interface SettleDeps {
  readonly lane: number
  readonly ledger: Ledger
  readonly publisher: Publisher
  readonly topics: { readonly alerts: string; readonly deliveries: string; readonly parked: string }
  readonly codecs: { readonly deliveries: Codec<Delivery>; readonly parked: Codec<Parked> }
  readonly budget: ParkingBudget
  readonly dirty: Dirty
  readonly observeParked: (reason: ParkReason) => void
}

/** Alerts and tenants whose ledger record is not acked in its newest state. */
export interface Dirty {
  /** By key. */
  readonly alerts: Map<string, AlertName>
  readonly tenants: Set<string>
}

/** `none`: nothing of the window waits to be parked. */
export type ParkStep = { readonly kind: 'none' } | { readonly kind: 'parked' } | OverBudget

export interface OverBudget {
  readonly kind: 'over-budget'
  readonly parks: number
  readonly reasons: readonly string[]
}

const PARKED_BATCH_BYTES_MAX = 4 * 1024 * 1024
const LEDGER_BATCH_RECORDS_MAX = 2_000
/** Removing a tenant is an operator's decision, not an outage. */
const OUTSIDE_BUDGET: ReadonlySet<string> = new Set(['off-boarded'])

/**
 * Parks what is to be parked, and tells the ledger. Until then no later revision of such an alert is sent: past the budget
 * the engine is asked about it again, and must not have a newer one by then. Rejects with a TransientError; calling again
 * goes on where it failed, a parked record may then stand twice.
 */
export async function park(window: Window, deps: SettleDeps, nowMs: number): Promise<ParkStep> {
  const parks = parkingsOf(window)
  if (parks.length === 0) return { kind: 'none' }
  const budgeted = parks.filter(({ parking }) => !OUTSIDE_BUDGET.has(parking.reason))
  if (!deps.budget.allows(budgeted.length, notParked(window))) {
    for (const { index } of budgeted) window.fates[index] = null // the engine, or a tenant record, may change its mind
    return { kind: 'over-budget', parks: budgeted.length, reasons: [...new Set(budgeted.map(p => p.parking.reason))] }
  }
  await appendParked(
    parks.map(({ parking }) => parking),
    deps,
    nowMs,
  )
  for (const { index, parking } of parks) {
    markParked(window, index, parking, deps, nowMs)
    window.fates[index] = { kind: 'parked-before' }
    deps.observeParked(parking.reason)
  }
  deps.budget.note(budgeted.length, 0)
  await writeDown(window, deps, nowMs)
  return { kind: 'parked' }
}

/**
 * Makes durable what is certain of the window so far: the ledger, and each tenant's totals up to its first record without
 * a fate. They go together: a delivered revision whose next one is in the ledger already looks stale to the lane's next
 * owner. Rejects with a TransientError; calling again goes on where it failed.
 */
export async function writeDown(window: Window, deps: SettleDeps, nowMs: number): Promise<void> {
  count(window, deps, nowMs)
  await flushLedger(deps)
}

/** As writeDown, when every record has its fate. Resolves with the offset that may be committed then. */
export async function settle(window: Window, deps: SettleDeps, nowMs: number): Promise<number> {
  if (window.fates.some(fate => columnOf(fate) === null)) throw new Error('a window is settled before its records are')
  await writeDown(window, deps, nowMs)
  deps.budget.note(0, notParked(window))
  return (window.records.at(-1)?.offset ?? -1) + 1
}

function notParked({ fates }: Window): number {
  return fates.filter(fate => fate !== null && fate.kind !== 'park' && fate.kind !== 'parked-before').length
}

/** Makes durable what is certain so far. Rejects with a TransientError; what was not acked stays dirty. */
export async function flushLedger({ ledger, dirty, publisher, topics, codecs, lane }: SettleDeps): Promise<void> {
  while (dirty.alerts.size + dirty.tenants.size > 0) {
    const alerts = [...dirty.alerts.values()].slice(0, LEDGER_BATCH_RECORDS_MAX)
    // totals only with the last of the alerts they count
    const tenants = alerts.length === dirty.alerts.size ? [...dirty.tenants].slice(0, LEDGER_BATCH_RECORDS_MAX) : []
    const records: OutRecord[] = alerts.map(name => {
      const mark = ledger.onlyDelivered(name)
      const value = mark
        ? writeDelivered(name, mark, codecs.deliveries.schemaId)
        : codecs.deliveries.encode(ledger.delivery(name))
      return { key: name.key, value }
    })
    for (const tenantId of tenants) {
      const totals = ledger.totals(tenantId)
      if (totals) records.push({ key: alertKey(tenantId, totals.alertId), value: codecs.deliveries.encode(totals) })
    }
    await publisher.append(topics.deliveries, lane, records, 'ledger')
    for (const { key } of alerts) dirty.alerts.delete(key)
    for (const tenantId of tenants) dirty.tenants.delete(tenantId)
  }
}

async function appendParked(parkings: readonly Parking[], deps: SettleDeps, nowMs: number): Promise<void> {
  const append = (batch: readonly OutRecord[]) => deps.publisher.append(deps.topics.parked, deps.lane, batch, 'parked')
  let batch: OutRecord[] = []
  let bytes = 0
  for (const parking of parkings) {
    const value = deps.codecs.parked.encode(parkedRecord(parking, deps.topics.alerts, deps.lane, nowMs))
    if (batch.length > 0 && bytes + value.length > PARKED_BATCH_BYTES_MAX) {
      await append(batch)
      batch = []
      bytes = 0
    }
    batch.push({ key: alertKey(parking.tenantId, parking.alertId), value })
    bytes += value.length
  }
  if (batch.length > 0) await append(batch)
}

function parkingsOf(window: Window): { readonly index: number; readonly parking: Parking }[] {
  const parks: { readonly index: number; readonly parking: Parking }[] = []
  let index = -1
  for (const fate of window.fates) {
    index++
    const decoding = window.decoded[index]
    if (fate?.kind !== 'park' || !decoding) continue
    const { reason, detail } = fate
    if (decoding.kind === 'unreadable') {
      const { record, tenantId, alertId } = decoding.unreadable
      const parking = { record, tenantId, alertId, version: null, source: null, reason, detail, earlierAttempts: 0 }
      parks.push({ index, parking })
      continue
    }
    const { record, alert } = decoding.arrival
    const { tenantId, alertId, version, source, attempts: earlierAttempts } = alert
    parks.push({ index, parking: { record, tenantId, alertId, version, source, reason, detail, earlierAttempts } })
  }
  return parks
}

function markParked(window: Window, index: number, parking: Parking, deps: SettleDeps, nowMs: number): void {
  const decoding = window.decoded[index]
  if (!decoding) return
  const name = alertName(parking.tenantId, ledgerAlertId(parking))
  const readable = decoding.kind === 'arrival' ? decoding.arrival : null
  deps.ledger.markParked(name.key, {
    version: readable?.version ?? NO_VERSION,
    contentHash: readable?.alert.contentHash ?? rawHash(parking.record),
    offset: parking.record.offset,
    atMs: nowMs,
  })
  deps.dirty.alerts.set(name.key, name)
}

/** Each record counts once, however often its window is read: those before `upTo` are in the totals already. */
function count(window: Window, { ledger, dirty }: SettleDeps, nowMs: number): void {
  const counts = new Map<string, { readonly delta: Record<keyof TotalsDelta, number>; upTo: number }>()
  const waiting = new Set<string>()
  let index = -1
  for (const decoding of window.decoded) {
    index++
    const { tenantId } = decoding.kind === 'arrival' ? decoding.arrival.alert : decoding.unreadable
    const record = window.records[index]
    if (!record || waiting.has(tenantId) || record.offset < ledger.countedUpTo(tenantId)) continue
    const column = columnOf(window.fates[index] ?? null)
    if (column === null) {
      waiting.add(tenantId)
      continue
    }
    let count = counts.get(tenantId)
    if (!count) counts.set(tenantId, (count = { delta: { delivered: 0, duplicate: 0, stale: 0, parked: 0 }, upTo: 0 }))
    count.delta[column]++
    count.upTo = record.offset + 1
  }
  for (const [tenantId, { delta, upTo }] of counts) {
    ledger.addTotals(tenantId, delta, upTo, nowMs)
    dirty.tenants.add(tenantId)
  }
}

/** Null: not certain yet. */
function columnOf(fate: Fate | null): keyof TotalsDelta | null {
  switch (fate?.kind) {
    case 'delivered':
      return 'delivered'
    case 'dropped':
      return fate.why
    case 'parked-before':
      return 'parked'
    case 'park':
    case undefined:
      return null
  }
}
