import { PARK_REASONS, type ParkReason } from '../schemas/parking.ts'

/**
 * Every instrument there is, once. Dashboards and alert rules are checked against this table (see scrapedNames).
 * A scraped name is `socos_` and the name here: units and `_total` are written out, nothing is added on the way.
 * Labels are closed sets, so the number of series is fixed; a value from outside counts as `other`.
 * Tenants, alerts and hosts are never labels: who it was stands in the log and in `socos status`.
 */

type LabelSets = Readonly<Record<string, readonly [string, ...string[]]>>

export interface Instrument {
  readonly kind: 'counter' | 'gauge' | 'histogram'
  readonly help: string
  readonly labels: LabelSets
  /** Upper bounds of a histogram's buckets, in its unit. */
  readonly buckets?: readonly number[]
}

const requestSeconds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60] as const
const waitSeconds = [0.5, 1, 2, 5, 10, 20, 30, 45, 60, 90, 120, 180, 300, 600, 1_800, 3_600, 21_600] as const
const parkReasons = Object.keys(PARK_REASONS) as [ParkReason, ...ParkReason[]]
const origin = ['poll', 'backfill', 'sweep', 'retry'] as const

function counter<const L extends LabelSets>(help: string, labels: L) {
  return { kind: 'counter', help, labels } as const
}

function gauge<const L extends LabelSets>(help: string, labels: L) {
  return { kind: 'gauge', help, labels } as const
}

function histogram<const L extends LabelSets>(help: string, buckets: readonly number[], labels: L) {
  return { kind: 'histogram', help, labels, buckets } as const
}

export const instruments = {
  // polling
  alerts_listed_total: counter('Alert revisions that Graph listed, repeats included.', { origin }),
  alerts_published_total: counter('Alert revisions written to the log and acknowledged.', { origin }),
  poll_turns_total: counter('Turns of tenants, by how they ended.', {
    outcome: ['ok', 'partial', 'throttled', 'unavailable', 'needs-attention'],
  }),
  poll_lateness_seconds: histogram('How long after its due time a turn began.', waitSeconds, {}),
  alerts_quarantined_total: counter('Alerts that the poller itself set aside; apart from the records below.', {}),
  graph_requests_total: counter('Requests to Graph, by what the answer meant.', {
    answer: ['page', 'split', 'throttled', 'unavailable', 'needs-attention'],
  }),
  graph_throttled_total: counter('Answers of Graph that asked to wait (429, or 503 with Retry-After).', {}),
  sweeps_total: counter('Sweeps of tenants that ended, by whether Graph gave all of the window.', {
    outcome: ['complete', 'gaps'],
  }),
  sweep_listed_total: counter('Alert revisions that sweeps listed.', {}),
  sweep_repaired_total: counter('Alert revisions that sweeps found missing and published.', {}),
  sweep_late_total: counter('Of these, those that no poll would have shown again.', {}),
  tenants: gauge('Tenants of the own lanes, by state.', {
    state: ['ok', 'catching-up', 'throttled', 'unavailable', 'partial', 'needs-attention'],
  }),
  checkpoint_oldest_age_seconds: gauge('Age of the oldest checkpoint among the polled tenants of the own lanes.', {}),

  // forwarding
  records_seen_total: counter('Records taken from the alerts log.', {}),
  records_settled_total: counter('Records by their fate.', { fate: ['delivered', 'duplicate', 'stale', 'parked'] }),
  records_parked_total: counter('Records set aside, by reason.', {
    reason: parkReasons,
  }),
  engine_attempts_total: counter('Requests to the engine, by outcome.', {
    outcome: ['items', 'again', 'blocked', 'too-large', 'bad-batch', 'bad-encoding'],
  }),
  engine_request_duration_seconds: histogram('Time to the end of an answer of the engine.', requestSeconds, {}),
  engine_circuit: gauge('1 for the state the circuit to the engine is in.', {
    state: ['closed', 'half-open', 'open'],
  }),
  visible_to_accepted_seconds: histogram('From an alert’s update time to its acceptance.', waitSeconds, {}),

  // lanes
  lanes_owned: gauge('Lanes that this worker owns.', {}),
  lane_restore_duration_seconds: histogram('From being given a lane to its going live.', requestSeconds, {}),
  lanes_stopped: gauge('Own lanes that stopped because too many of their records were parked.', {}),
  records_lost_to_retention_total: counter('Records that retention deleted before they were forwarded.', {}),
  ledger_entries: gauge('Entries of the ledgers held in memory.', {}),
  ledger_bytes: gauge('Memory that the ledgers take.', {}),
  queue_depth_records: gauge('Records waiting in the queues of the own lanes.', {}),
  kafka_send_duration_seconds: histogram('From a send to Kafka to its acknowledgement.', requestSeconds, {}),

  // the process
  event_loop_lag_seconds: gauge('How late timers ran in the last seconds.', { quantile: ['0.5', '0.99', '1'] }),
  process_resident_memory_bytes: gauge('Resident memory.', {}),
  process_heap_used_bytes: gauge('Used heap.', {}),
  process_heap_limit_bytes: gauge('Size at which the heap is exhausted.', {}),
  metrics_unreadable_total: counter('Gauges that could not be read at a scrape.', {}),
} as const satisfies Readonly<Record<string, Instrument>>

type Table = typeof instruments
export type InstrumentName = keyof Table
type OfKind<K extends Instrument['kind']> = {
  [N in InstrumentName]: Table[N]['kind'] extends K ? N : never
}[InstrumentName]

export type CounterName = OfKind<'counter'>
export type GaugeName = OfKind<'gauge'>
export type HistogramName = OfKind<'histogram'>

/** `{ origin: 'poll' | … }` for the instrument; `{}` where it has no labels. */
export type LabelsOf<N extends InstrumentName> = {
  readonly [L in keyof Table[N]['labels']]: Table[N]['labels'][L] extends readonly string[]
    ? Table[N]['labels'][L][number]
    : never
}

export const METRIC_PREFIX = 'socos_'

/** Every name that a scrape can contain: what dashboards and rules may ask for. */
export function scrapedNames(): readonly string[] {
  return Object.entries(instruments).flatMap(([name, { kind }]) => {
    const full = METRIC_PREFIX + name
    return kind === 'histogram' ? [`${full}_bucket`, `${full}_sum`, `${full}_count`] : [full]
  })
}
