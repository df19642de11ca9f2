import { hash } from 'node:crypto'
import type { EngineCounters, EngineItem, EngineLedger } from './ledger.ts'
import type { ScannedItem } from './scan.ts'

/** An item whose members have the agreed form, or why it has not. */
export interface ReadItem {
  readonly id: string
  readonly tenantId: string
  readonly tenant: Readonly<Record<string, unknown>>
  readonly alertId: string
  readonly version: string
  readonly source: string
  readonly sha256: string
  readonly replay: boolean
  /** In words; null when there is none. */
  readonly problem: string | null
}

const VERSION = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z$/
const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$/
const ID = /^[A-Za-z0-9_-]{43}$/
const MAX_TENANTS_REMEMBERED = 10_000

/** What the engine knows from all it was sent. */
export interface Memory {
  read(scanned: ScannedItem): ReadItem
  /** Notes the arrival of an item and what becomes of it. `status` refuses it; absent, the engine decides. */
  settle(item: ReadItem, arrival: Arrival): EngineItem
  forget(): void
}

interface Arrival {
  readonly request: number
  readonly atMs: number
  /** Status of a refusal, of the item or of the whole request; 409 means that the engine has it. */
  readonly status?: number
  /** False: the sender does not learn what became of it. */
  readonly answered: boolean
  /** False: the engine throws it away although nobody is told. */
  readonly accept?: boolean
}

export interface MemoryOptions {
  /** Answer 409 to an id, or to an older version of an alert, that is already there. */
  readonly dedupe: boolean
  readonly keepItems: boolean
}

export function openMemory(ledger: EngineLedger, options: MemoryOptions): Memory {
  const acceptedIds = new Set<string>()
  const newest = new Map<string, string>()
  const ids = watchIds()
  const tenants = new Map<string, Readonly<Record<string, unknown>>>()

  /** The same object for the same text, so that a million items share one tenant. */
  function intern(text: string, value: unknown): Readonly<Record<string, unknown>> {
    const known = tenants.get(text)
    if (known !== undefined) return known
    const tenant = isObject(value) ? value : {}
    if (tenants.size < MAX_TENANTS_REMEMBERED) tenants.set(text, tenant)
    return tenant
  }

  /** The engine's own decision: 200, 409 or 422. */
  function decide(item: ReadItem, stale: boolean): number {
    if (item.problem !== null) return 422
    return options.dedupe && (acceptedIds.has(item.id) || stale) ? 409 : 200
  }

  return {
    read: scanned => readItem(scanned, intern(scanned.tenantText, scanned.members.tenant)),
    settle: (item, arrival) => {
      const alertKey = JSON.stringify([item.tenantId, item.alertId])
      const before = newest.get(alertKey)
      const stale = before !== undefined && item.version < before
      const status = arrival.status ?? decide(item, stale)
      const known = acceptedIds.has(item.id)
      // a 409 that a fault makes up claims that the engine has it, so then it has
      const takes = status < 300 || (status === 409 && arrival.status === 409 && !known)
      const accepted = item.problem === null && takes && arrival.accept !== false
      const settled: EngineItem = {
        request: arrival.request,
        id: item.id,
        tenantId: item.tenantId,
        tenant: item.tenant,
        alertId: item.alertId,
        version: item.version,
        source: item.source,
        sha256: item.sha256,
        atMs: arrival.atMs,
        status,
        accepted,
        repeat: accepted && known,
        stale,
        replay: item.replay,
        answered: arrival.answered,
      }
      count(ledger.counters, settled, item.problem === null)
      if (item.problem === null && ids.changed(item)) ledger.counters.unstableIds++
      if (accepted) acceptedIds.add(item.id)
      if (accepted && (before === undefined || item.version > before)) newest.set(alertKey, item.version)
      if (options.keepItems) ledger.items.push(settled)
      return settled
    },
    forget: () => {
      for (const memory of [acceptedIds, newest, tenants, ids]) memory.clear()
    },
  }
}

function count(counters: EngineCounters, item: EngineItem, valid: boolean): void {
  counters.items++
  if (!valid) counters.invalid++
  if (item.accepted) counters.accepted++
  if (item.repeat) counters.repeats++
  if (!item.stale || !valid) return
  if (item.replay) counters.staleReplays++
  else counters.staleAfterNew++
}

/** Notices an id that stands for two contents, or a content that has two ids. */
function watchIds() {
  const contentOfId = new Map<string, string>()
  const idOfContent = new Map<string, string>()
  return {
    changed: ({ id, tenantId, alertId, version, sha256 }: ReadItem): boolean => {
      const content = hash('sha256', JSON.stringify([tenantId, alertId, version, sha256]), 'base64url')
      const before = { id: idOfContent.get(content) ?? id, content: contentOfId.get(id) ?? content }
      idOfContent.set(content, id)
      contentOfId.set(id, content)
      return before.id !== id || before.content !== content
    },
    clear: () => {
      contentOfId.clear()
      idOfContent.clear()
    },
  }
}

/** As every finding of the sender begins, and no alert of Graph's. */
const FINDING_START = '{"activity_id":'

/** Of Graph's bytes: with ENGINE_FORMAT=ocsf a finding tells the hash of what it was made from. */
function sourceHash(alert: Buffer): string {
  return (isFinding(alert) ? toldHash(alert.toString()) : undefined) ?? hash('sha256', alert, 'hex')
}

function isFinding(alert: Buffer): boolean {
  return alert.toString('latin1', 0, FINDING_START.length) === FINDING_START
}

/** Undefined when the finding is damaged: then its own bytes count, which fit nothing. */
function toldHash(text: string): string | undefined {
  try {
    const finding = JSON.parse(text) as { readonly raw_data_hash?: { readonly value?: unknown } }
    return typeof finding.raw_data_hash?.value === 'string' ? finding.raw_data_hash.value : undefined
  } catch {
    return undefined
  }
}

function readItem(scanned: ScannedItem, tenant: Readonly<Record<string, unknown>>): ReadItem {
  const { members, alert } = scanned
  const text = (value: unknown): string => (typeof value === 'string' ? value : '')
  const read = {
    id: text(members.id),
    tenantId: text(tenant.id).toLowerCase(),
    tenant,
    alertId: text(members.alertId),
    version: text(members.version),
    source: text(members.source),
    sha256: alert === undefined ? '' : sourceHash(alert),
    replay: members.replay !== undefined,
  }
  return { ...read, problem: problemOf(read, scanned) }
}

function problemOf(read: Omit<ReadItem, 'problem'>, { members, alert }: ScannedItem): string | null {
  if (!ID.test(read.id)) return 'id is not the base64url of 32 bytes'
  if (read.tenantId === '') return 'tenant.id is missing'
  if (typeof read.tenant.name !== 'string') return 'tenant.name is missing'
  if (read.alertId === '') return 'alertId is missing'
  if (!VERSION.test(read.version)) return 'version is not an instant with 7 fraction digits in UTC'
  if (read.source !== 'alerts_v2' && read.source !== 'alerts') return 'source is neither alerts_v2 nor alerts'
  if (typeof members.observedAt !== 'string' || !INSTANT.test(members.observedAt))
    return 'observedAt is not an instant in UTC'
  if (read.replay && !isReplayMark(members.replay)) return 'replay has no id'
  if (alert?.[0] !== 0x7b) return 'alert is not a JSON object'
  return null
}

function isReplayMark(value: unknown): boolean {
  return isObject(value) && typeof value.id === 'string' && value.id !== ''
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
