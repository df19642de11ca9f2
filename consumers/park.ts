import type { LogRecord } from '../platform/kafka/queue.ts'
import type { ParkReason } from '../schemas/parking.ts'
import { parkDetail } from '../schemas/parking.ts'
import type { Parked } from '../schemas/types.ts'

/** Why a record of the stream cannot be delivered, with what is known of it. */
export interface Parking {
  readonly record: LogRecord
  readonly tenantId: string
  readonly alertId: string
  readonly version: string | null
  readonly source: string | null
  readonly reason: ParkReason
  readonly detail: string
  /** How often it was parked before. */
  readonly earlierAttempts: number
}

export function parkedRecord(parking: Parking, topic: string, lane: number, nowMs: number): Parked {
  return {
    tenantId: parking.tenantId,
    alertId: parking.alertId,
    version: parking.version,
    reason: parking.reason,
    detail: parkDetail(parking.detail),
    parkedAt: nowMs,
    attempts: parking.earlierAttempts + 1,
    topic,
    lane,
    offset: parking.record.offset,
    source: parking.source,
    format: 'graph-alert',
    record: parking.record.value ?? Buffer.alloc(0),
  }
}

/**
 * An outage or a bad deploy must not empty the topic into `parked`: past a number and a share of a lane's last records
 * the lane stops instead.
 */
export interface ParkingBudget {
  /** How many of `wanted` records may be parked now, when `settled` others of the window are not. */
  allows(wanted: number, settled: number): boolean
  note(parked: number, others: number): void
}

const SPAN_RECORDS = 1_000

export function parkingBudget(countMax: number, shareMax: number): ParkingBudget {
  // runs of records, oldest first, of SPAN_RECORDS at most together
  let span: readonly Run[] = []
  const withNew = (parked: number, others: number): readonly Run[] =>
    newest([...span, { count: others, isParked: false }, { count: parked, isParked: true }])
  return {
    allows(wanted, settled) {
      if (wanted === 0) return true
      const next = withNew(wanted, settled)
      const parked = countOf(next.filter(({ isParked }) => isParked))
      return parked <= countMax || parked <= shareMax * countOf(next)
    },
    note(parked, others) {
      span = withNew(parked, others)
    },
  }
}

interface Run {
  readonly count: number
  readonly isParked: boolean
}

function countOf(runs: readonly Run[]): number {
  return runs.reduce((sum, { count }) => sum + count, 0)
}

/** The last SPAN_RECORDS of them, neighbours of one kind as one run. */
function newest(runs: readonly Run[]): readonly Run[] {
  const kept: Run[] = []
  let room = SPAN_RECORDS
  for (const { count, isParked } of runs.toReversed()) {
    const taken = Math.min(count, room)
    room -= taken
    if (taken === 0) continue
    const last = kept.at(-1)
    if (last?.isParked === isParked) kept[kept.length - 1] = { count: last.count + taken, isParked }
    else kept.push({ count: taken, isParked })
  }
  return kept.toReversed()
}
