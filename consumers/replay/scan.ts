import type { Codec } from '../../platform/avro/codec.ts'
import { decodeLearning } from '../../platform/avro/codec.ts'
import type { LogReader } from '../../platform/kafka/reader.ts'
import type { Delivery, GraphAlert } from '../../schemas/types.ts'
import type { Range, Selection } from './selection.ts'
import { selector } from './selection.ts'

/** One record that the selection wants. */
export interface Chosen {
  readonly lane: number
  readonly offset: number
  readonly timestampMs: number
  readonly alert: GraphAlert
}

export interface ScanDeps {
  readonly reader: LogReader
  readonly codecs: { readonly alerts: Codec<GraphAlert>; readonly deliveries: Codec<Delivery> }
  readonly topics: { readonly alerts: string; readonly deliveries: string }
}

/** A run of records in offset order, with what of them is wanted. `next`: where reading goes on. */
export interface Batch {
  readonly lane: number
  readonly next: number
  readonly read: number
  readonly unreadable: number
  readonly chosen: readonly Chosen[]
}

/**
 * Reads one frozen range without joining any group. Where only the latest version of each alert is wanted, or only what
 * the engine has, the lane is read first to know which records those are.
 */
export async function* scan(
  range: Range,
  selection: Selection,
  deps: ScanDeps,
  from: number,
): AsyncGenerator<Batch, void> {
  const wanted = selector(selection)
  const isLatest = selection.versions === 'latest' ? await latestOf(range, selection, deps) : () => true
  const isDelivered = selection.as === 'delivered' ? await deliveredOf(range.lane, selection, deps) : () => true
  for await (const records of deps.reader.read(deps.topics.alerts, range.lane, from, range.to)) {
    const chosen: Chosen[] = []
    let unreadable = 0
    for (const record of records) {
      if (record.value === null) continue
      const first = deps.codecs.alerts.decode(record.value)
      const decoded = first.kind === 'value' ? first : await decodeLearning(deps.codecs.alerts, record.value)
      if (decoded.kind !== 'value') {
        unreadable++
        continue
      }
      const alert = decoded.value
      if (!wanted(alert, record.timestampMs) || !isLatest(alert, record.offset) || !isDelivered(alert, record.offset))
        continue
      chosen.push({ lane: range.lane, offset: record.offset, timestampMs: record.timestampMs, alert })
    }
    const next = (records.at(-1)?.offset ?? from) + 1
    yield { lane: range.lane, next, read: records.length, unreadable, chosen }
  }
}

type Filter = (alert: GraphAlert, offset: number) => boolean

/** Of each alert the newest version in the range; of equal versions the last record. */
async function latestOf(range: Range, selection: Selection, deps: ScanDeps): Promise<Filter> {
  const wanted = selector(selection)
  const newest = new Map<string, { version: string; offset: number }>()
  for await (const records of deps.reader.read(deps.topics.alerts, range.lane, range.from, range.to)) {
    for (const record of records) {
      if (record.value === null) continue
      const first = deps.codecs.alerts.decode(record.value)
      const decoded = first.kind === 'value' ? first : await decodeLearning(deps.codecs.alerts, record.value)
      if (decoded.kind !== 'value' || !wanted(decoded.value, record.timestampMs)) continue
      const key = `${decoded.value.tenantId}/${decoded.value.alertId}`
      const known = newest.get(key)
      if (!known || decoded.value.version >= known.version) {
        newest.set(key, { version: decoded.value.version, offset: record.offset })
      }
    }
  }
  return (alert, offset) => newest.get(`${alert.tenantId}/${alert.alertId}`)?.offset === offset
}

/** What the ledger says the engine has: of each alert one version. */
async function deliveredOf(lane: number, selection: Selection, deps: ScanDeps): Promise<Filter> {
  const tenants = new Set(selection.tenants)
  const taken = new Map<string, string>()
  for await (const records of deps.reader.read(deps.topics.deliveries, lane, 0, Number.MAX_SAFE_INTEGER)) {
    for (const record of records) {
      const key = record.key?.toString() ?? ''
      const tenantId = key.slice(0, key.indexOf('/'))
      if (record.value === null || (tenants.size > 0 && !tenants.has(tenantId))) continue
      const first = deps.codecs.deliveries.decode(record.value)
      const decoded = first.kind === 'value' ? first : await decodeLearning(deps.codecs.deliveries, record.value)
      if (decoded.kind !== 'value' || decoded.value.delivered === null) continue
      const { version, contentHash } = decoded.value.delivered
      taken.set(key, version + contentHash.toString('hex'))
    }
  }
  return alert =>
    taken.get(`${alert.tenantId}/${alert.alertId}`) === alert.version + alert.contentHash.subarray(0, 8).toString('hex')
}
