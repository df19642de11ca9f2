import { laneOf } from '../../platform/kafka/lane-of.ts'
import type { EngineLedger } from '../engine/ledger.ts'
import type { GraphLedger } from '../graph/ledger.ts'
import type { FaultKind } from './faults.ts'

/** A fault that struck, and how long the slowest lane took to deliver something that appeared after it. */
export interface Recovery {
  readonly kind: FaultKind
  readonly ms: readonly number[]
}

export interface Spread {
  readonly median: number
  readonly max: number
}

/**
 * From a fault's first moment until every lane has delivered something that Graph showed after it. It holds the polling
 * interval and Graph's own delay; lanes in which nothing appeared before `untilMs` are left out.
 */
export function recoveries(
  faults: readonly { readonly kind: FaultKind; readonly atMs: number }[],
  evidence: { readonly graph: Pick<GraphLedger, 'revisions'>; readonly engine: Pick<EngineLedger, 'items'> },
  lanes: number,
): Recovery[] {
  const visibleAt = new Map<string, number>()
  for (const { tenantId, alertId, version, visibleAtMs } of evidence.graph.revisions) {
    visibleAt.set(`${tenantId}/${alertId}/${version}`, visibleAtMs)
  }
  const deliveries: { readonly lane: number; readonly atMs: number; readonly visibleAtMs: number }[] = []
  for (const { tenantId, alertId, version, atMs, accepted } of evidence.engine.items) {
    const visibleAtMs = visibleAt.get(`${tenantId}/${alertId}/${version}`)
    if (accepted && visibleAtMs !== undefined) deliveries.push({ lane: laneOf(tenantId, lanes), atMs, visibleAtMs })
  }
  const byKind = new Map<FaultKind, number[]>()
  for (const { kind, atMs } of faults) {
    const firstOfLane = new Map<number, number>()
    for (const delivery of deliveries) {
      if (delivery.visibleAtMs < atMs) continue
      const known = firstOfLane.get(delivery.lane) ?? Infinity
      if (delivery.atMs < known) firstOfLane.set(delivery.lane, delivery.atMs)
    }
    if (firstOfLane.size === 0) continue
    const list = byKind.get(kind) ?? []
    byKind.set(kind, list)
    list.push(Math.max(...firstOfLane.values()) - atMs)
  }
  return [...byKind].map(([kind, ms]) => ({ kind, ms }))
}

export function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b)
  return { median: sorted[Math.floor(sorted.length / 2)] ?? 0, max: sorted.at(-1) ?? 0 }
}

export interface Sample {
  readonly worker: string
  readonly ageMs: number
  readonly rssMiB: number
  /** What a full collection left, without the ledgers, which grow with the alerts of 35 days. */
  readonly keptMiB: number | null
  readonly ledgerMiB: number
  readonly handles: number | null
}

const HOUR_MS = 3_600_000
/** A life that was watched for less says nothing of an hour. */
const WATCHED_MS_MIN = 240_000

/** Growth an hour once a worker is warm: the slope of all lives together, each from its own mean. */
export function growthPerHour(
  samples: readonly Sample[],
  of: (sample: Sample) => number | null,
  warmMs: number,
): number | null {
  let [top, bottom] = [0, 0]
  for (const life of Map.groupBy(samples, sample => sample.worker).values()) {
    const warm = life.flatMap(sample => {
      const value = of(sample)
      return sample.ageMs < warmMs || value === null ? [] : [{ x: sample.ageMs / HOUR_MS, y: value }]
    })
    const watched = ((warm.at(-1)?.x ?? 0) - (warm[0]?.x ?? 0)) * HOUR_MS
    if (watched < WATCHED_MS_MIN) continue
    const [meanX, meanY] = [meanOf(warm.map(({ x }) => x)), meanOf(warm.map(({ y }) => y))]
    for (const { x, y } of warm) {
      top += (x - meanX) * (y - meanY)
      bottom += (x - meanX) ** 2
    }
  }
  return bottom === 0 ? null : top / bottom
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}
