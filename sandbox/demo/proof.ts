import type { EngineLedger } from '../engine/ledger.ts'
import type { GraphLedger } from '../graph/ledger.ts'
import type { Verdict } from '../oracle.ts'
import { judge } from '../oracle.ts'
import type { Intended } from './plan.ts'
import { PACE } from './plan.ts'

/** The part of a row of `socos status -o json` that the proof needs. */
export interface StatusRow {
  readonly tenantId: string
  readonly name: string
  readonly state: string
  readonly problem: string | null
  readonly openGaps: number
  readonly counts: {
    readonly delivered: number
    readonly duplicate: number
    readonly stale: number
    readonly parked: number
    readonly waiting: number
  }
}

export interface Findings {
  readonly graph: Pick<GraphLedger, 'revisions'>
  readonly engine: Pick<EngineLedger, 'items'>
  readonly intended: readonly Intended[]
  /** Tenants that were applied. */
  readonly tenants: number
  /** Latency is taken of what became visible from here on. */
  readonly liveSinceMs: number
  /** `socos status` while one tenant was still throttled. */
  readonly during: readonly StatusRow[]
  /** The same when it had caught up. */
  readonly after: readonly StatusRow[]
  /** Records on the alerts log, counted in Kafka. */
  readonly records: number
}

interface Trouble {
  readonly tenantId: string
  readonly name: string
  readonly state: string
  /** As `socos status` says it. */
  readonly words: string
  /** Why, when it was meant. */
  readonly intended: Intended['why'] | null
  /** Alerts that stay in Graph because of it. */
  readonly heldBack: number
}

export type Latency = Verdict['latencyMs']

export interface Proof {
  /** Revisions that must arrive. */
  readonly visible: number
  /** Revisions that may arrive or not: replaced before the next poll. */
  readonly fleeting: number
  readonly delivered: number
  readonly duplicates: number
  readonly missing: Verdict['missing']
  readonly missingCount: number
  readonly staleAfterNew: number
  readonly unexpected: Verdict['unexpectedItems']
  readonly unexpectedCount: number
  /** Of live alerts, the throttled tenant's left out: it waited for Graph. */
  readonly latencyMs: Latency
  readonly throttledLatencyMs: Latency
  /** Records on the alerts log. */
  readonly published: number
  /** Sums of `socos status`. */
  readonly fates: StatusRow['counts']
  readonly tenants: number
  /** Tenants that need a human at the end. */
  readonly attention: number
  readonly troubles: readonly Trouble[]
  /** Why the run is no proof; empty when it is one. */
  readonly complaints: readonly string[]
}

const maxNamed = 5

/** What the ledgers and `socos status` prove together. */
export function prove(findings: Findings): Proof {
  const { all, throttled } = judgeAll(findings)
  const fates = sumFates(findings.after)
  const troubles = listTroubles(findings)
  const proof = {
    visible: all.visible + throttled.visible,
    fleeting: countReadable(findings) - all.visible - throttled.visible,
    delivered: all.delivered + throttled.delivered,
    duplicates: all.duplicates,
    missing: [...all.missing, ...throttled.missing],
    missingCount: all.missingCount + throttled.missingCount,
    staleAfterNew: all.staleAfterNew,
    unexpected: all.unexpectedItems,
    unexpectedCount: all.unexpected,
    latencyMs: all.latencyMs,
    throttledLatencyMs: throttled.latencyMs,
    published: findings.records,
    fates,
    tenants: findings.after.length,
    attention: findings.after.filter(row => row.state === 'needs-attention').length,
    troubles,
  }
  const complaints = [
    ...complainOfAlerts(proof, all.unstableIds),
    ...complainOfCounts(findings),
    ...complainOfTenants(findings),
  ]
  return { ...proof, complaints }
}

/**
 * The throttled tenant apart: it owes the last revision of each alert, but not what was replaced while it had to wait.
 * Whatever arrived of any tenant is judged in the first verdict.
 */
export function judgeAll(findings: Pick<Findings, 'graph' | 'engine' | 'intended' | 'liveSinceMs'>): {
  readonly all: Verdict
  readonly throttled: Verdict
} {
  const { graph, engine, intended, liveSinceMs: latencySinceMs } = findings
  const exceptTenants = intended.map(({ tenantId }) => tenantId)
  const slow = intended.find(({ why }) => why === 'throttled')?.tenantId
  return {
    all: judge({ graph, engine, mustSeeMs: PACE.mustSeeMs, exceptTenants, latencySinceMs }),
    throttled: judge({
      graph: { revisions: graph.revisions.filter(({ tenantId }) => tenantId === slow) },
      engine: { items: engine.items.filter(({ tenantId }) => tenantId === slow) },
      mustSeeMs: Infinity,
      latencySinceMs,
    }),
  }
}

/** Revisions of tenants that let us read them. */
function countReadable({ graph, intended }: Findings): number {
  const silent = new Set(intended.flatMap(({ tenantId, why }) => (why === 'throttled' ? [] : [tenantId])))
  return graph.revisions.filter(({ tenantId, fate }) => fate === 'deliver' && !silent.has(tenantId)).length
}

/** In trouble: needs somebody, or time, before its alerts come. */
export function isStuck(row: StatusRow): boolean {
  return (row.state !== 'ok' && row.state !== 'catching-up') || row.openGaps > 0
}

export function sumFates(rows: readonly StatusRow[]): StatusRow['counts'] {
  const sum = (pick: (counts: StatusRow['counts']) => number) => rows.reduce((all, row) => all + pick(row.counts), 0)
  return {
    delivered: sum(counts => counts.delivered),
    duplicate: sum(counts => counts.duplicate),
    stale: sum(counts => counts.stale),
    parked: sum(counts => counts.parked),
    waiting: sum(counts => counts.waiting),
  }
}

/** Those stuck at the end, and those that were while the load ran. */
function listTroubles({ graph, intended, during, after }: Findings): Trouble[] {
  const stuck = new Map([...during, ...after].filter(isStuck).map(row => [row.tenantId, row]))
  return [...stuck.values()].map(row => {
    const still = after.some(other => other.tenantId === row.tenantId && isStuck(other))
    const held = graph.revisions.filter(
      ({ tenantId, fate, visibleUntilMs }) =>
        tenantId === row.tenantId && fate === 'deliver' && visibleUntilMs === null,
    )
    return {
      tenantId: row.tenantId,
      name: row.name,
      state: row.state,
      words: row.problem ?? row.state,
      intended: intended.find(({ tenantId }) => tenantId === row.tenantId)?.why ?? null,
      heldBack: still ? held.length : 0,
    }
  })
}

function complainOfAlerts(
  proof: Pick<Proof, 'visible' | 'missingCount' | 'staleAfterNew' | 'unexpectedCount'>,
  unstableIds: number,
): string[] {
  return [
    ...(proof.visible === 0 ? ['no alert was visible, so nothing is proven'] : []),
    ...(proof.missingCount > 0 ? [`${proof.missingCount} revisions never reached the engine`] : []),
    ...(proof.staleAfterNew > 0 ? [`${proof.staleAfterNew} items came after a newer version of their alert`] : []),
    ...(proof.unexpectedCount > 0 ? [`${proof.unexpectedCount} items arrived that Graph never listed so`] : []),
    ...(unstableIds > 0 ? [`${unstableIds} items came again under another id`] : []),
  ]
}

/** P5: every record on the log has a fate or waits. */
function complainOfCounts({ after, tenants, records }: Findings): string[] {
  const counted = total(sumFates(after))
  return [
    ...(after.length === tenants ? [] : [`socos status knows ${after.length} tenants, ${tenants} were applied`]),
    ...(records === counted ? [] : [`${records} records are on the log, but their fates add up to ${counted}`]),
  ]
}

export function total(counts: StatusRow['counts']): number {
  return counts.delivered + counts.duplicate + counts.stale + counts.parked + counts.waiting
}

function complainOfTenants({ intended, during, after }: Findings): string[] {
  const lasting = intended.filter(({ why }) => why !== 'throttled')
  return [...compare(during, intended, 'under load'), ...compare(after, lasting, 'at the end')]
}

function compare(rows: readonly StatusRow[], intended: readonly Intended[], when: string): string[] {
  const meant = new Map(intended.map(one => [one.tenantId, one]))
  const missed = intended.flatMap(({ tenantId, name, why, state }) => {
    const row = rows.find(other => other.tenantId === tenantId)
    return row?.state === state
      ? []
      : [`${name} (${why}) should have been ${state} ${when}, not ${row?.state ?? 'unknown'}`]
  })
  const surplus = rows
    .filter(row => isStuck(row) && !meant.has(row.tenantId))
    .map(({ name, state, problem }) => `${name} was ${state} ${when}, which nobody intended (${problem ?? 'no words'})`)
  return [
    ...missed,
    ...surplus.slice(0, maxNamed),
    ...(surplus.length > maxNamed ? [`… and ${surplus.length - maxNamed} more`] : []),
  ]
}
