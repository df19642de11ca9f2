import { hash } from 'node:crypto'
import type { GraphLedger, LedgerRevision } from './ledger.ts'
import { normaliseStamp, stampOfMs } from './stamp.ts'
import type { AlertSource } from './tenants.ts'

/** A revision that can be listed. */
export interface Row {
  readonly revision: LedgerRevision
  readonly bytes: Buffer
  /** What a filter on the update time and the order of the list go by: the version, else when it was put in. */
  readonly key: string
  readonly created: string
  /** Order of arrival; breaks ties of `key`. */
  readonly seq: number
}

interface KnownMembers {
  readonly alertId: string
  readonly versionText: string
  readonly createdText: string
}

/** The alerts of one tenant: what is listed now, and what will be once it is visible. */
export interface AlertStore {
  /**
   * Takes a revision verbatim. A known id is an update and must not be older than what it replaces; an alert that is
   * to be parked or quarantined replaces nothing. `known` is what a reader of the bytes would find; without it they
   * are read. Throws in words when they are not one JSON object.
   */
  add(
    bytes: Buffer,
    times: { readonly createdAtMs: number; readonly visibleAtMs: number },
    known?: KnownMembers,
  ): LedgerRevision
  /** All rows visible at `nowMs`, ascending by (key, seq). Not to be changed by the caller. */
  visible(nowMs: number): readonly Row[]
  /** Version of the newest revision of an alert, visible or not. */
  newestVersion(alertId: string): string | null
}

export function openStore(tenantId: string, source: AlertSource, ledger: GraphLedger): AlertStore {
  const rows: Row[] = []
  const pending: Row[] = []
  const newest = new Map<string, Row>()
  const shown = new Map<string, Row>()
  let seq = 0

  function show(row: Row): void {
    const id = row.revision.alertId
    if (id !== null && row.revision.fate === 'deliver') {
      const replaced = shown.get(id)
      if (replaced !== undefined) rows.splice(positionOf(rows, replaced), 1)
      shown.set(id, row)
    }
    rows.splice(positionOf(rows, row), 0, row)
  }

  return {
    add: (bytes, times, known) => {
      const read = known === undefined ? readAlert(bytes, tenantId, source) : trustKnown(known)
      const replaces = read.alertId !== null && read.fate === 'deliver'
      const previous = replaces ? newest.get(read.alertId ?? '') : undefined
      if (previous?.revision.version && read.version !== null && read.version < previous.revision.version) {
        throw new Error(`update of ${read.alertId} is older (${read.version}) than what it replaces; use a later time`)
      }
      // a revision never becomes visible before the one it replaces
      const visibleAtMs = Math.max(times.visibleAtMs, previous?.revision.visibleAtMs ?? 0)
      const revision: LedgerRevision = {
        tenantId,
        alertId: read.alertId,
        versionText: read.versionText,
        version: read.version,
        sha256: hash('sha256', bytes, 'hex'),
        bytes: bytes.length,
        createdAtMs: times.createdAtMs,
        visibleAtMs,
        visibleUntilMs: null,
        askedAtMs: null,
        fate: read.fate,
      }
      if (previous !== undefined) previous.revision.visibleUntilMs = visibleAtMs
      const key = read.version ?? stampOfMs(times.createdAtMs)
      const row: Row = { revision, bytes, key, created: read.created ?? key, seq: seq++ }
      if (replaces) newest.set(read.alertId ?? '', row)
      ledger.revisions.push(revision)
      let place = pending.length
      while (place > 0 && (pending[place - 1]?.revision.visibleAtMs ?? 0) > visibleAtMs) place--
      pending.splice(place, 0, row)
      return revision
    },
    visible: nowMs => {
      let due = 0
      while ((pending[due]?.revision.visibleAtMs ?? Infinity) <= nowMs) due++
      for (const row of pending.splice(0, due)) show(row)
      return rows
    },
    newestVersion: alertId => newest.get(alertId)?.revision.version ?? null,
  }
}

/** First index whose row is not before `row` in (key, seq). */
function positionOf(rows: readonly Row[], row: Pick<Row, 'key' | 'seq'>): number {
  return firstIndex(rows, other => other.key > row.key || (other.key === row.key && other.seq >= row.seq))
}

/** First index at which `holds` is true; `holds` must be false up to there and true from there on. */
export function firstIndex(rows: readonly Row[], holds: (row: Row) => boolean): number {
  let low = 0
  let high = rows.length
  while (low < high) {
    const middle = (low + high) >>> 1
    const row = rows[middle]
    if (row !== undefined && holds(row)) high = middle
    else low = middle + 1
  }
  return low
}

interface ReadAlert {
  readonly alertId: string | null
  readonly versionText: string | null
  readonly version: string | null
  readonly created: string | null
  readonly fate: LedgerRevision['fate']
}

function trustKnown(known: KnownMembers): ReadAlert {
  const version = normaliseStamp(known.versionText) ?? null
  const created = normaliseStamp(known.createdText) ?? null
  return { alertId: known.alertId, versionText: known.versionText, version, created, fate: 'deliver' }
}

function readAlert(bytes: Buffer, tenantId: string, source: AlertSource): ReadAlert {
  const parsed: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes))
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw new TypeError('an alert must be a JSON object')
  }
  const members = parsed as Record<string, unknown>
  const text = (name: string): string | null => {
    const value = Object.hasOwn(members, name) ? members[name] : null
    return typeof value === 'string' && value !== '' ? value : null
  }
  const times =
    source === 'alerts' ? [text('lastModifiedDateTime'), text('createdDateTime')] : [text('lastUpdateDateTime')]
  // the first usable one, as the design has it for legacy alerts
  const versionText = times.find(time => time !== null && normaliseStamp(time) !== undefined) ?? null
  const version = versionText === null ? null : (normaliseStamp(versionText) ?? null)
  const created = text('createdDateTime')
  const alertId = text('id')
  const owner = text(source === 'alerts' ? 'azureTenantId' : 'tenantId')
  const foreign = owner !== null && owner.toLowerCase() !== tenantId.toLowerCase()
  return {
    alertId,
    versionText,
    version,
    created: created === null ? null : (normaliseStamp(created) ?? null),
    fate: foreign ? 'quarantine' : alertId === null || version === null ? 'park' : 'deliver',
  }
}
