/** One tenant's alert list: revisions that show some time after their instant, in pages of a few. */
import type { PageAnswer } from '../../producers/graph/client.ts'
import type { Ask } from '../../producers/graph/pages.ts'
import type { SlicedAlert } from '../../producers/graph/slice.ts'
import { fromTicks } from '../../producers/window.ts'

interface Revision {
  readonly tenantId: string
  readonly alertId: string
  readonly version: string
  /** Virtual time from which the list shows it. */
  readonly visibleMs: number
  readonly row: SlicedAlert
}

export interface SimGraph {
  readonly revisions: readonly Revision[]
  /** Of each alert the newest that ever shows, by `tenantId/alertId`. */
  readonly last: ReadonlyMap<string, Revision>
  update(tenantId: string, alertId: string, epochMs: number, tick: number, visibleMs: number): void
  /** Of an alert the revision that shows now. */
  shown(key: string, nowMs: number): Revision | undefined
  page(tenantId: string, ask: Ask, nowMs: number, epochMs: number): Extract<PageAnswer, { kind: 'page' }>
}

const PAGE_ROWS = 3
const LINK = 'https://graph.example/next?'

export function simGraph(): SimGraph {
  const tenants = new Map<string, Map<string, Revision[]>>()
  const revisions: Revision[] = []
  const last = new Map<string, Revision>()

  /** The newest revision of each alert that shows now, oldest first. */
  function current(tenantId: string, nowMs: number): Revision[] {
    const shown: Revision[] = []
    for (const mine of tenants.get(tenantId)?.values() ?? []) {
      const newest = mine.findLast(({ visibleMs }) => visibleMs <= nowMs)
      if (newest) shown.push(newest)
    }
    return shown.toSorted((a, b) => (placeOf(a) < placeOf(b) ? -1 : 1))
  }

  return {
    revisions,
    last,
    update(tenantId, alertId, epochMs, tick, visibleMs) {
      const version = fromTicks(BigInt(epochMs) * 10_000n + BigInt(tick))
      const alerts = tenants.get(tenantId) ?? new Map<string, Revision[]>()
      tenants.set(tenantId, alerts)
      const mine = alerts.get(alertId) ?? []
      alerts.set(alertId, mine)
      const before = mine.at(-1)
      if (before && before.version >= version) return
      const revision: Revision = {
        tenantId,
        alertId,
        version,
        // an older one never shows after a newer one
        visibleMs: Math.max(visibleMs, before?.visibleMs ?? 0),
        row: rowOf(tenantId, alertId, version),
      }
      mine.push(revision)
      revisions.push(revision)
      last.set(`${tenantId}/${alertId}`, revision)
    },
    shown(key, nowMs) {
      const slash = key.indexOf('/')
      const mine = tenants.get(key.slice(0, slash))?.get(key.slice(slash + 1))
      return mine?.findLast(({ visibleMs }) => visibleMs <= nowMs)
    },
    page(tenantId, ask, nowMs, epochMs) {
      const [from, to, after] = windowOf(ask)
      const rows = current(tenantId, nowMs).filter(
        revision => from <= revision.version && revision.version < to && placeOf(revision) > after,
      )
      const page = rows.slice(0, PAGE_ROWS)
      const end = page.at(-1)
      return {
        kind: 'page',
        alerts: page.map(({ row }) => row),
        nextLink: end && rows.length > page.length ? `${LINK}${JSON.stringify([from, to, placeOf(end)])}` : null,
        partial: [],
        serverTimeMs: Math.floor(epochMs / 1_000) * 1_000,
      }
    },
  }
}

/** From, to, and the last row of the page before. */
export function windowOf(ask: Ask): readonly [string, string, string] {
  if (ask.kind === 'window') return [ask.from, ask.to, '']
  return JSON.parse(ask.link.slice(LINK.length)) as [string, string, string]
}

function placeOf({ version, alertId }: Revision): string {
  return `${version}/${alertId}`
}

function rowOf(tenantId: string, alertId: string, version: string): SlicedAlert {
  return {
    kind: 'alert',
    id: alertId,
    bytes: Buffer.from(JSON.stringify({ id: alertId, tenantId, lastUpdateDateTime: version })),
    tenantId,
    lastUpdate: version,
    lastModified: null,
    created: null,
    severity: 'high',
    status: 'new',
    serviceSource: null,
    title: null,
  }
}
