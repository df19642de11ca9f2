import type { Delivery, LedgerMark, Totals } from '../schemas/types.ts'
import type { AlertName } from './alert-name.ts'
import { alertKey, alertName } from './alert-name.ts'
import { digestOf } from './digest.ts'
import type { Digest, PackedVersion, TableMark } from './ledger-table.ts'
import { LedgerTable } from './ledger-table.ts'
import { compareVersions, packVersion, unpackVersion } from './version.ts'

/** A revision and the stream record that brought it. */
export interface Mark {
  readonly version: PackedVersion
  /** At least the first 8 bytes of the content's SHA-256. */
  readonly contentHash: Buffer
  readonly offset: number
  readonly atMs: number
}

/** How a record stands to what is known of its alert. */
export type Relation =
  | 'unseen'
  | 'newer'
  | 'older'
  | 'same' // same version and content, from another record
  | 'other-content' // same version, other content, from a later record
  | 'this-record' // this very record was settled before a crash

export type TotalsDelta = Readonly<Record<'delivered' | 'duplicate' | 'stale' | 'parked', number>>

const DAY_MS = 86_400_000
/**
 * Alerts of a lane that memory and restore time are planned for: some 250 MB. Nothing stops there, for a ledger that
 * forgot would send twice; how near it is shows in the metrics.
 */
export const LEDGER_ENTRIES_PLANNED = 4_000_000
/** Stands for the lane as a whole where a tenant id would stand; also records without any key count here. */
export const LANE_ITSELF = ''
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

/**
 * One lane's memory of fates, rebuilt from the deliveries topic. It may run ahead of the topic while a window is being
 * settled; a lane that is lost forgets it.
 */
export class Ledger {
  readonly #delivered = new LedgerTable()
  /** Few: parking has a budget. */
  readonly #parked = new Map<string, TableMark>()
  readonly #totals = new Map<string, Totals>()
  /** How often a tenant was removed while the lane was here: what was delivered before counts no more. */
  readonly #removals = new Map<string, number>()

  get entries(): number {
    return this.#delivered.count
  }

  get bytes(): number {
    return this.#delivered.bytes
  }

  /**
   * A record of the deliveries topic. What is older never replaces what is newer: a zombie may have written it last. Then
   * false: the newer one is to be written again, before compaction leaves only the zombie's.
   */
  restore(delivery: Delivery): boolean {
    if (delivery.totals !== null) {
      const known = this.#totals.get(delivery.tenantId)
      const isNews = !known || delivery.totals.upTo >= known.upTo
      if (isNews) this.#totals.set(delivery.tenantId, delivery.totals)
      return isNews
    }
    const name = alertName(delivery.tenantId, delivery.alertId)
    const digest = this.#digestOf(name)
    const delivered = delivery.delivered && tableMark(delivery.delivered)
    const isNews = delivered ? this.#delivered.setUnlessOlder(digest, delivered) : this.#delivered.get(digest) === null
    const parked = delivery.parked && tableMark(delivery.parked)
    if (parked) this.#parked.set(name.key, parked)
    else this.#parked.delete(name.key)
    return isNews
  }

  /**
   * As `restore`, for a delivery of which nothing is parked, by the bytes of its key. False: nothing was changed, and
   * `restore` is to be asked.
   */
  restoreInPlace(key: Buffer, delivered: TableMark): boolean {
    if (this.#removals.size > 0 || !this.#delivered.setUnlessOlder(digestOf(key), delivered)) return false
    if (this.#parked.size > 0) this.#parked.delete(key.toString())
    return true
  }

  /** A tombstone of the deliveries topic. */
  forget(key: string): void {
    this.#delivered.delete(this.#digestOf({ key, digest: digestOf(key) }))
    this.#parked.delete(key)
  }

  /** The tenant was removed: if it comes back it begins anew. Its totals stay. */
  forgetTenant(tenantId: string): void {
    this.#removals.set(tenantId, (this.#removals.get(tenantId) ?? 0) + 1)
    this.forgetParked(tenantId)
  }

  /** What was parked of a tenant is no reason any more to drop the same again. */
  forgetParked(tenantId: string): void {
    const prefix = alertKey(tenantId, '')
    for (const key of this.#parked.keys()) if (key.startsWith(prefix)) this.#parked.delete(key)
  }

  /** Tenants of which something is parked. */
  tenantsWithParked(): ReadonlySet<string> {
    return new Set([...this.#parked.keys()].map(key => key.slice(0, key.indexOf('/'))))
  }

  relationToDelivered(alert: AlertName, version: PackedVersion, contentHash: Buffer, offset: number): Relation {
    return relation(this.#delivered.get(this.#digestOf(alert)), version, contentHash, offset)
  }

  relationToParked(
    { key }: Pick<AlertName, 'key'>,
    version: PackedVersion,
    contentHash: Buffer,
    offset: number,
  ): Relation {
    return relation(this.#parked.get(key) ?? null, version, contentHash, offset)
  }

  markDelivered(alert: AlertName, mark: Mark): void {
    this.#delivered.set(this.#digestOf(alert), toTable(mark))
    const parked = this.#parked.get(alert.key)
    if (parked && compareVersions(parked.version, mark.version) <= 0) this.#parked.delete(alert.key)
  }

  markParked(key: string, mark: Mark): void {
    this.#parked.set(key, toTable(mark))
  }

  /** What stands in the ledger record of an alert of which nothing is parked; null for others. */
  onlyDelivered(alert: AlertName): TableMark | null {
    return this.#parked.has(alert.key) ? null : this.#delivered.get(this.#digestOf(alert))
  }

  /** The ledger record of an alert, as it stands now. */
  delivery(alert: AlertName): Delivery {
    const { tenantId, alertId } = alert
    const delivered = this.#delivered.get(this.#digestOf(alert))
    const parked = this.#parked.get(alert.key) ?? null
    return {
      tenantId,
      alertId,
      delivered: delivered && toRecord(delivered),
      parked: parked && toRecord(parked),
      totals: null,
    }
  }

  /** Records of the tenant before this offset are counted. */
  countedUpTo(tenantId: string): number {
    return this.#totals.get(tenantId)?.upTo ?? 0
  }

  addTotals(tenantId: string, delta: TotalsDelta, upTo: number, nowMs: number): void {
    const now = this.#totals.get(tenantId)
    const seen = delta.delivered + delta.duplicate + delta.stale + delta.parked
    this.#totals.set(tenantId, {
      upTo,
      seen: (now?.seen ?? 0) + seen,
      delivered: (now?.delivered ?? 0) + delta.delivered,
      duplicate: (now?.duplicate ?? 0) + delta.duplicate,
      stale: (now?.stale ?? 0) + delta.stale,
      parked: (now?.parked ?? 0) + delta.parked,
      lost: now?.lost ?? 0,
      lastDeliveredAt: delta.delivered > 0 ? nowMs : (now?.lastDeliveredAt ?? null),
    })
  }

  /**
   * Records of the lane that were deleted before they were read; counted for the lane, whose tenant id is empty. Only what
   * no totals count: an offset that was not committed yet may lie behind what was settled.
   */
  addLost(from: number, upTo: number): void {
    const settled = Math.max(0, ...[...this.#totals.values()].map(totals => totals.upTo))
    const count = Math.max(0, upTo - Math.max(from, settled))
    if (count === 0) return
    const now = this.#totals.get(LANE_ITSELF) ?? NO_TOTALS
    this.#totals.set(LANE_ITSELF, { ...now, upTo, lost: now.lost + count })
  }

  totals(tenantId: string): Delivery | null {
    const totals = this.#totals.get(tenantId)
    return totals ? { tenantId, alertId: '', delivered: null, parked: null, totals } : null
  }

  tenants(): readonly string[] {
    return [...this.#totals.keys()]
  }

  #digestOf({ key, digest }: Pick<AlertName, 'key' | 'digest'>): Digest {
    if (this.#removals.size === 0) return digest
    const removals = this.#removals.get(key.slice(0, key.indexOf('/'))) ?? 0
    return removals === 0 ? digest : digestOf(`${key}\0${removals}`)
  }

  /** Forgets what was delivered or parked longer ago than the topic keeps it. Returns how many deliveries went. */
  expire(beforeMs: number): number {
    const day = Math.floor(beforeMs / DAY_MS)
    for (const [key, parked] of this.#parked) if (parked.day < day) this.#parked.delete(key)
    return this.#delivered.expire(day)
  }
}

function relation(known: TableMark | null, version: PackedVersion, contentHash: Buffer, offset: number): Relation {
  if (known === null) return 'unseen'
  const order = compareVersions(version, known.version)
  if (order !== 0) return order < 0 ? 'older' : 'newer'
  const same = contentHash.readInt32BE(0) === known.hashHi && contentHash.readInt32BE(4) === known.hashLo
  if (same && offset === known.offset) return 'this-record'
  // an earlier record of the lane was settled before the known one, whatever it held
  return same || offset < known.offset ? 'same' : 'other-content'
}

function toTable(mark: Mark): TableMark {
  return {
    version: mark.version,
    hashHi: mark.contentHash.readInt32BE(0),
    hashLo: mark.contentHash.readInt32BE(4),
    offset: mark.offset,
    day: Math.floor(mark.atMs / DAY_MS),
  }
}

/** A mark whose version cannot be read compares as the oldest. */
function tableMark(mark: LedgerMark): TableMark {
  const version = packVersion(mark.version) ?? { hi: 0, lo: 0 }
  return toTable({ version, contentHash: mark.contentHash, offset: mark.offset, atMs: mark.at })
}

function toRecord(mark: TableMark): LedgerMark {
  const contentHash = Buffer.allocUnsafe(8) // all of it is written
  contentHash.writeInt32BE(mark.hashHi, 0)
  contentHash.writeInt32BE(mark.hashLo, 4)
  return { version: unpackVersion(mark.version), contentHash, offset: mark.offset, at: mark.day * DAY_MS }
}
