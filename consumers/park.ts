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
  // newest last; 1 = parked
  let span: number[] = []
  const parkedIn = (records: readonly number[]): number => records.reduce((sum, one) => sum + one, 0)
  const withNew = (parked: number, others: number): number[] =>
    [...span, ...new Array<number>(others).fill(0), ...new Array<number>(parked).fill(1)].slice(-SPAN_RECORDS)
  return {
    allows(wanted, settled) {
      if (wanted === 0) return true
      const next = withNew(wanted, settled)
      const parked = parkedIn(next)
      return parked <= countMax || parked <= shareMax * next.length
    },
    note(parked, others) {
      span = withNew(parked, others)
    },
  }
}
