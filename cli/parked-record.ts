import { escapeOddCharacters } from '../platform/log-scrub.ts'
import { openScan, valueEnd } from '../producers/graph/json-scan.ts'
import { PARK_REASONS, type ParkReason } from '../schemas/parking.ts'
import type { Parked } from '../schemas/types.ts'
import { isoTime } from './lenient.ts'

export interface ParkedRow {
  /** `lane:offset` in the parked topic. */
  readonly id: string
  readonly tenantId: string
  readonly alertId: string
  readonly version: string | null
  readonly reason: string
  readonly detail: string
  readonly parkedAt: string
  readonly lane: number
  readonly offset: number
  readonly attempts: number
}

export function rowOf(parked: Parked, lane: number, offset: number): ParkedRow {
  const { tenantId, alertId, version, reason, detail, attempts } = parked
  const parkedAt = isoTime(parked.parkedAt)
  return { id: `${lane}:${offset}`, tenantId, alertId, version, reason, detail, parkedAt, lane, offset, attempts }
}

export function isReason(text: string): text is ParkReason {
  return Object.hasOwn(PARK_REASONS, text)
}

/** For people: where the record comes from, what to do, and the alert. Safe on a terminal whatever the alert holds. */
export function shownParked(parked: Parked, lane: number, offset: number, alert: Buffer | null): string {
  const { topic, reason } = parked
  const document = {
    ...rowOf(parked, lane, offset),
    from: parked.offset >= 0 ? { topic, lane: parked.lane, offset: parked.offset } : 'the poller',
    whatToDo: isReason(reason) ? PARK_REASONS[reason] : 'A reason this version does not know.',
    alert: alert === null ? null : readable(alert),
  }
  return `${escapeOddCharacters(JSON.stringify(document, null, 2))}\n`
}

/** As deep as an alert may be; what is parked for being deeper could not be written out again, for want of stack. */
const DEPTH_MAX = 64

function readable(bytes: Buffer): unknown {
  const scan = openScan(bytes)
  valueEnd(scan, 0)
  try {
    if (scan.depth <= DEPTH_MAX) return JSON.parse(bytes.toString()) as unknown
  } catch {
    // no JSON
  }
  return { base64: bytes.toString('base64') }
}
