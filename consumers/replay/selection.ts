import { laneOf } from '../../platform/kafka/lane-of.ts'
import type { GraphAlert } from '../../schemas/types.ts'
import type { Matcher } from './matcher.ts'
import { readMatcher } from './matcher.ts'

/** What of the log is wanted. Plain data: it is frozen in the audit record, so that a resume wants the same. */
export interface Selection {
  /** Lower-case ids; empty: every tenant. */
  readonly tenants: readonly string[]
  /** Kafka record times, ms since the epoch: from inclusive, until exclusive. */
  readonly sinceMs: number
  readonly untilMs: number
  readonly alertId: string | null
  /** Lower-case; empty: any. */
  readonly severities: readonly string[]
  readonly match: string | null
  readonly versions: 'all' | 'latest'
  readonly as: 'delivered' | 'as-published'
  readonly max: number | null
}

/** Offsets of one lane, frozen when the plan was made. */
export interface Range {
  readonly lane: number
  readonly from: number
  readonly to: number
}

export function lanesOf(selection: Selection, lanes: number): readonly number[] {
  if (selection.tenants.length === 0) return Array.from({ length: lanes }, (_, lane) => lane)
  return [...new Set(selection.tenants.map(tenantId => laneOf(tenantId, lanes)))].toSorted((a, b) => a - b)
}

/** Does the selection want this record, versions and ledger aside? */
export function selector(selection: Selection): (alert: GraphAlert, timestampMs: number) => boolean {
  const tenants = new Set(selection.tenants)
  const severities = new Set(selection.severities)
  const matches = matcherOf(selection)
  return (alert, timestampMs) =>
    timestampMs >= selection.sinceMs &&
    timestampMs < selection.untilMs &&
    (tenants.size === 0 || tenants.has(alert.tenantId)) &&
    (selection.alertId === null || alert.alertId === selection.alertId) &&
    (severities.size === 0 || severities.has((alert.severity ?? '').toLowerCase())) &&
    matches(alert.alert)
}

function matcherOf({ match }: Selection): Matcher {
  if (match === null) return () => true
  const read = readMatcher(match)
  if (read.kind === 'bad') throw new Error(`match: ${read.problem}`)
  return read.matcher
}
