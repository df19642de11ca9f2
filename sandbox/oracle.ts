import type { EngineItem, EngineLedger } from './engine/ledger.ts'
import type { GraphLedger, LedgerRevision } from './graph/ledger.ts'

/** Both ledgers are plain data: take them from the simulators in-process, or from `readLedgers`. */
export interface Evidence {
  readonly graph: Pick<GraphLedger, 'revisions'>
  readonly engine: Pick<EngineLedger, 'items'>
  /** A revision that was replaced must have arrived only if it stood for longer than this since `owedSince`. */
  readonly mustSeeMs: number
  /**
   * `visible` (default): since it could be read, which also judges how often workers poll. `asked`: since Graph answered
   * a question that covered it, on whatever page it stood: for machines on which a worker may not get to poll for longer
   * than `mustSeeMs`. What a poller never asks for at all is told by the last revisions, which are owed either way.
   */
  readonly owedSince?: 'visible' | 'asked'
  /** Tenants that owe nothing (no consent, expired secret); what arrives of them is still judged. */
  readonly exceptTenants?: readonly string[]
  /** Alerts that owe nothing (a poison alert, one that is parked on purpose). */
  readonly exceptAlerts?: readonly string[]
  /** Latency is taken of revisions visible from here on; leaves the backlog out. */
  readonly latencySinceMs?: number
  /** Revisions that become visible later owe nothing yet. */
  readonly untilMs?: number
}

export interface Verdict {
  /** Revisions that the engine must have = delivered + missingCount. */
  readonly visible: number
  readonly delivered: number
  /** Live items accepted again under an id accepted before. */
  readonly duplicates: number
  /** Of these, repeats of an item whose former answer never reached the sender. */
  readonly duplicatesAfterLostAnswer: number
  /** The first 20. */
  readonly missing: readonly MissingRevision[]
  readonly missingCount: number
  /** Live items older than what the engine had accepted of the same alert. */
  readonly staleAfterNew: number
  /** Of these, the ones that the engine took. */
  readonly staleAccepted: number
  /** Items accepted whose very content had been accepted under another id: a repeat that the engine cannot recognise. */
  readonly unstableIds: number
  /** From the moment Graph would list it to the engine's acceptance. All 0 when nothing was delivered. */
  readonly latencyMs: { readonly p50: number; readonly p99: number; readonly max: number }
  /** Items accepted that Graph never listed for that tenant, or listed with other bytes, or that were to be parked. */
  readonly unexpected: number
  /** The first 20. */
  readonly unexpectedItems: readonly UnexpectedItem[]
}

interface MissingRevision {
  readonly tenantId: string
  readonly alertId: string
  readonly version: string
  /** `altered`: it arrived with other bytes. `refused`: it came and was never accepted. */
  readonly reason: 'never-arrived' | 'refused' | 'altered'
  /** False for a revision that was replaced. */
  readonly last: boolean
}

interface UnexpectedItem {
  readonly tenantId: string
  readonly alertId: string
  readonly version: string
  readonly reason: 'not-listed' | 'altered' | 'to-be-parked' | 'to-be-quarantined'
}

const MAX_LISTED = 20

/** Compares what Graph let see with what the engine got (P1 to P3). Replayed items count for nothing here. */
export function judge(evidence: Evidence): Verdict {
  const live = evidence.engine.items.filter(item => !item.replay)
  const arrivals = Map.groupBy(live, item => keyOf(item.tenantId, item.alertId, item.version))
  const listed = Map.groupBy(evidence.graph.revisions, ({ tenantId, alertId, version }) =>
    keyOf(tenantId, alertId, version),
  )
  const owed = evidence.graph.revisions.filter(revision => isOwed(revision, evidence))
  const missing: MissingRevision[] = []
  const latencies: number[] = []
  for (const revision of owed) {
    const key = keyOf(revision.tenantId, revision.alertId, revision.version)
    const came = arrivals.get(key) ?? []
    const first = came.find(item => item.accepted && item.sha256 === revision.sha256)
    if (first === undefined) missing.push(describeMissing(revision, came, listed.get(key) ?? []))
    else if (revision.visibleAtMs >= (evidence.latencySinceMs ?? -Infinity)) {
      latencies.push(Math.max(0, first.atMs - revision.visibleAtMs))
    }
  }
  const repeats = countRepeats(live)
  const stale = live.filter(staleFinder())
  const unexpected = findUnexpected(listed, live)
  return {
    visible: owed.length,
    delivered: owed.length - missing.length,
    duplicates: repeats.all,
    duplicatesAfterLostAnswer: repeats.afterLostAnswer,
    missing: missing.slice(0, MAX_LISTED),
    missingCount: missing.length,
    staleAfterNew: stale.length,
    staleAccepted: stale.filter(item => item.accepted).length,
    unstableIds: countUnstableIds(live),
    latencyMs: spread(latencies),
    unexpected: unexpected.length,
    unexpectedItems: unexpected.slice(0, MAX_LISTED),
  }
}

/** Fetches both ledgers from simulators that run as processes of their own. */
export async function readLedgers(
  graphUrl: string,
  engineUrl: string,
): Promise<{ graph: GraphLedger; engine: EngineLedger }> {
  const [graph, engine] = await Promise.all([readJson(graphUrl), readJson(engineUrl)])
  return { graph: graph as GraphLedger, engine: engine as EngineLedger }
}

async function readJson(url: string): Promise<unknown> {
  const response = await fetch(new URL('/_sim/ledger', url))
  if (!response.ok) throw new Error(`no ledger at ${url}: HTTP ${response.status}; is a simulator running there?`)
  return response.json()
}

function isOwed(revision: LedgerRevision, evidence: Evidence): boolean {
  if (revision.fate !== 'deliver') return false
  if (revision.visibleAtMs > (evidence.untilMs ?? Infinity)) return false
  if (evidence.exceptTenants?.some(tenantId => tenantId.toLowerCase() === revision.tenantId.toLowerCase())) return false
  if (revision.alertId !== null && evidence.exceptAlerts?.includes(revision.alertId)) return false
  // a replacement that is itself not yet visible leaves this one the last
  const untilMs = revision.visibleUntilMs
  if (untilMs === null || untilMs > (evidence.untilMs ?? Infinity)) return true
  const sinceMs = evidence.owedSince === 'asked' ? revision.askedAtMs : revision.visibleAtMs
  return sinceMs !== null && untilMs - sinceMs > evidence.mustSeeMs
}

function keyOf(tenantId: string, alertId: string | null, version: string | null): string {
  return JSON.stringify([tenantId.toLowerCase(), alertId, version])
}

function describeMissing(
  revision: LedgerRevision,
  came: readonly EngineItem[],
  listed: readonly LedgerRevision[],
): MissingRevision {
  const same = came.some(item => item.sha256 === revision.sha256)
  // a version may stand for two contents; only bytes that Graph never served are altered ones
  const altered = came.some(item => !listed.some(other => other.sha256 === item.sha256))
  return {
    tenantId: revision.tenantId,
    alertId: revision.alertId ?? '',
    version: revision.version ?? '',
    reason: same ? 'refused' : altered ? 'altered' : 'never-arrived',
    last: revision.visibleUntilMs === null,
  }
}

function countRepeats(items: readonly EngineItem[]): { all: number; afterLostAnswer: number } {
  const answered = new Map<string, boolean>()
  let all = 0
  let afterLostAnswer = 0
  for (const item of items) {
    const before = answered.get(item.id)
    if (item.accepted && before !== undefined) {
      all++
      if (!before) afterLostAnswer++
    }
    // an answer to any arrival of the id tells the sender that it is done
    if (item.accepted) answered.set(item.id, (before ?? false) || item.answered)
  }
  return { all, afterLostAnswer }
}

/** Recounts from the items and does not take the engine's counter, so that one checks the other. To be asked in order. */
function staleFinder(): (item: EngineItem) => boolean {
  const newest = new Map<string, string>()
  return item => {
    const key = keyOf(item.tenantId, item.alertId, null)
    const before = newest.get(key)
    if (before !== undefined && item.version < before) return true
    if (item.accepted) newest.set(key, item.version)
    return false
  }
}

function countUnstableIds(items: readonly EngineItem[]): number {
  const ids = new Map<string, string>()
  let unstable = 0
  for (const item of items) {
    if (!item.accepted) continue
    const content = `${keyOf(item.tenantId, item.alertId, item.version)}${item.sha256}`
    if ((ids.get(content) ?? item.id) !== item.id) unstable++
    ids.set(content, item.id)
  }
  return unstable
}

function findUnexpected(
  listed: ReadonlyMap<string, readonly LedgerRevision[]>,
  live: readonly EngineItem[],
): UnexpectedItem[] {
  const unexpected: UnexpectedItem[] = []
  for (const item of live) {
    if (!item.accepted) continue
    const known = listed.get(keyOf(item.tenantId, item.alertId, item.version)) ?? []
    const exact = known.filter(revision => revision.sha256 === item.sha256)
    if (exact.some(revision => revision.fate === 'deliver')) continue
    const { tenantId, alertId, version } = item
    unexpected.push({ tenantId, alertId, version, reason: whyUnexpected(known, exact) })
  }
  return unexpected
}

function whyUnexpected(known: readonly LedgerRevision[], exact: readonly LedgerRevision[]): UnexpectedItem['reason'] {
  if (exact.some(revision => revision.fate === 'quarantine')) return 'to-be-quarantined'
  if (exact.length > 0) return 'to-be-parked'
  return known.length > 0 ? 'altered' : 'not-listed'
}

function spread(values: readonly number[]): Verdict['latencyMs'] {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (share: number): number => sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? 0
  return { p50: at(0.5), p99: at(0.99), max: at(1) }
}
