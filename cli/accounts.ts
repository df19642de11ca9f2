import { decodeLearning } from '../platform/avro/codec.ts'
import { committedOffsets } from '../platform/kafka/offsets.ts'
import type { Delivery, Totals } from '../schemas/types.ts'
import type { Connection } from './connect.ts'
import { scan } from './tables.ts'

/** What the records of one lane came to. */
interface LaneAccount {
  /** By tenant; a record whose key is wrong counts for whom it claims. */
  readonly totals: Map<string, Totals>
  readonly waiting: Map<string, number>
  /** Deleted from the log before they were forwarded. */
  lost: number
  /** Records ever written to the lane: its offsets have no holes. */
  written: number
  /** Records that the forwarders have not settled. */
  lag: number
}

export type Accounts = ReadonlyMap<number, LaneAccount>

/** A lane whose records are not all accounted for. */
export interface Unaccounted {
  readonly lane: number
  readonly written: number
  readonly accounted: number
}

/** Forwarders write each tenant's totals at least once a day. */
const TOTALS_WRITTEN_WITHIN_MS = 26 * 3_600_000

/**
 * Counts every record that was ever written to the log. In this order: what is settled up to the forwarders' offsets
 * stands in the totals that are read after them, and what came later is counted from the log. Only the last day of the
 * ledger is read, and all of it only for lanes that the day does not account for.
 */
export async function readAccounts(connection: Connection, nowMs: number): Promise<Accounts> {
  const admin = await connection.admin()
  const groupId = `${connection.settings.topicPrefix}forwarders`
  const settled = await committedOffsets(admin, groupId, connection.topic('alerts'))
  const since = await admin.fetchTopicOffsetsByTimestamp(
    connection.topic('deliveries'),
    nowMs - TOTALS_WRITTEN_WITHIN_MS,
  )
  const recent = new Map(since.map(({ partition, offset }) => [partition, Number(offset)]))
  const accounts = await readLanes(connection, settled, (lane, low) => Math.max(low, recent.get(lane) ?? low))
  const open = new Set(unaccountedOf(accounts).map(({ lane }) => lane))
  // who waits and has no totals within the day may have older ones, which count the same records
  for (const [lane, { totals, waiting }] of accounts) {
    if ([...waiting.keys()].some(tenantId => !totals.has(tenantId))) open.add(lane)
  }
  if (open.size === 0) return accounts
  return new Map([...accounts, ...(await readLanes(connection, settled, (_, low) => low, open))])
}

/** Each record has a fate, waits, or is known to be lost. What is left over is a fault. */
export function unaccountedOf(accounts: Accounts): readonly Unaccounted[] {
  return [...accounts]
    .map(([lane, { totals, waiting, lost, written }]) => {
      const seen = [...totals.values()].reduce((sum, one) => sum + one.seen, 0)
      return { lane, written, accounted: [...waiting.values()].reduce((sum, one) => sum + one, seen + lost) }
    })
    .filter(({ written, accounted }) => written !== accounted)
    .toSorted((a, b) => a.lane - b.lane)
}

/** One tenant's counts over all lanes: nearly always one. */
export function countsOf(
  accounts: Accounts,
): ReadonlyMap<string, { readonly totals: Totals; readonly waiting: number }> {
  const counts = new Map<string, { totals: Totals; waiting: number }>()
  for (const { totals, waiting } of accounts.values()) {
    for (const tenantId of new Set([...totals.keys(), ...waiting.keys()])) {
      const before = counts.get(tenantId)
      const own = totals.get(tenantId) ?? NO_TOTALS
      counts.set(tenantId, {
        totals: before ? sum(before.totals, own) : own,
        waiting: (before?.waiting ?? 0) + (waiting.get(tenantId) ?? 0),
      })
    }
  }
  return counts
}

async function readLanes(
  connection: Connection,
  settled: ReadonlyMap<number, number>,
  from: (lane: number, low: number) => number,
  only?: ReadonlySet<number>,
): Promise<Accounts> {
  const codec = await connection.codec<Delivery>('deliveries')
  const found = new Map<number, LaneAccount>()
  const accountOf = (lane: number): LaneAccount => {
    let account = found.get(lane)
    if (!account) found.set(lane, (account = { totals: new Map(), waiting: new Map(), lost: 0, written: 0, lag: 0 }))
    return account
  }
  await scan(
    connection,
    'deliveries',
    async ({ key, value }, lane) => {
      if (value === null || !isTotalsKey(key?.toString() ?? '')) return
      const decoded = await decodeLearning(codec, value)
      if (decoded.kind !== 'value' || decoded.value.totals === null) return
      const { tenantId, totals } = decoded.value
      const account = accountOf(lane)
      if (totals.upTo < (account.totals.get(tenantId)?.upTo ?? 0)) return // of a zombie
      // under no tenant stands what the lane lost, and what came with no key
      if (tenantId === '') account.lost = totals.lost
      if (totals.seen > 0) account.totals.set(tenantId, totals)
    },
    from,
    only,
  )
  const offsets = await scan(
    connection,
    'alerts',
    ({ key, offset }, lane) => {
      const text = key?.toString() ?? ''
      const slash = text.indexOf('/')
      const tenantId = slash < 0 ? text : text.slice(0, slash)
      const { totals, waiting } = accountOf(lane)
      if (offset >= (totals.get(tenantId)?.upTo ?? 0)) waiting.set(tenantId, (waiting.get(tenantId) ?? 0) + 1)
    },
    (lane, low) => Math.max(low, settled.get(lane) ?? 0),
    only,
  )
  for (const [lane, { low, high }] of offsets) {
    if (only && !only.has(lane)) continue
    const account = accountOf(lane)
    account.written = high
    account.lag = Math.max(0, high - Math.max(low, settled.get(lane) ?? 0))
  }
  return found
}

/** Totals stand under `tenantId/`, alerts under `tenantId/alertId`. */
function isTotalsKey(key: string): boolean {
  return key.endsWith('/') && key.indexOf('/') === key.length - 1
}

const NO_TOTALS: Totals = {
  upTo: 0,
  seen: 0,
  delivered: 0,
  duplicate: 0,
  stale: 0,
  parked: 0,
  lost: 0,
  lastDeliveredAt: null,
}

function sum(a: Totals, b: Totals): Totals {
  return {
    upTo: Math.max(a.upTo, b.upTo),
    seen: a.seen + b.seen,
    delivered: a.delivered + b.delivered,
    duplicate: a.duplicate + b.duplicate,
    stale: a.stale + b.stale,
    parked: a.parked + b.parked,
    lost: a.lost + b.lost,
    lastDeliveredAt: Math.max(a.lastDeliveredAt ?? 0, b.lastDeliveredAt ?? 0) || null,
  }
}
