import { PARK_REASONS, type ParkReason } from '../schemas/parking.ts'

/**
 * Every instrument there is, once. Dashboards and alert rules are checked against this table (see scrapedNames).
 * A scraped name is `socos_` and the name here: units and `_total` are written out, nothing is added on the way.
 * Labels are closed sets, so the number of series is fixed; a value from outside counts as `other`.
 * Two labels are open: `tenant` (an id, never a name) and `lane`. Only gauges carry one, of own lanes only, and no more
 * series than it allows: a gauge is asked anew at each scrape, so a series goes when its tenant or lane does. Counters
 * and histograms keep every series for ever, so they never have one. Alerts and hosts are never labels.
 */

/** A label whose values come from outside. */
export interface OpenLabel {
  /** What a value is. */
  readonly open: string
  /** Of one gauge in one worker. What is over it is left out and counted. */
  readonly seriesMax: number
  /** Which values stay when there are too many. */
  readonly keep: 'largest' | 'smallest'
}

type ClosedLabel = readonly [string, ...string[]]
type ClosedLabels = Readonly<Record<string, ClosedLabel>>
type LabelSets = Readonly<Record<string, ClosedLabel | OpenLabel>>

export interface Instrument {
  readonly kind: 'counter' | 'gauge' | 'histogram'
  readonly help: string
  readonly labels: LabelSets
  /** Upper bounds of a histogram's buckets, in its unit. */
  readonly buckets?: readonly number[]
}

const requestSeconds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60] as const
const waitSeconds = [0.5, 1, 2, 5, 10, 20, 30, 45, 60, 90, 120, 180, 300, 600, 1_800, 3_600, 21_600] as const
const transitSeconds = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1_800, 21_600] as const
const parkReasons = Object.keys(PARK_REASONS) as [ParkReason, ...ParkReason[]]
const origin = ['poll', 'backfill', 'sweep', 'retry'] as const

type TokenFailure = `AADSTS${number}` | 'network' | 'other'

/** Numbers that `producers/graph/entra-errors.ts` knows; a test compares the two. */
const AADSTS = [
  50027, 50033, 50034, 50048, 50053, 50057, 50059, 50076, 50126, 50128, 50194, 50196, 53003, 65001, 70001, 70011, 70021,
  90002, 90006, 90012, 90019, 90024, 90033, 90038, 90055, 90090, 90094, 500011, 500014, 530032, 650051, 650052, 650053,
  650054, 650055, 650056, 650057, 700011, 700016, 700024, 700025, 700027, 700030, 700211, 700212, 700213, 700229,
  900023, 900144, 900382, 900432, 1000031, 1002012, 7000112, 7000215, 7000216, 7000218, 7000222, 7000229, 9001023,
] as const
const tokenFailures: readonly [TokenFailure, ...TokenFailure[]] = [
  'network',
  'other',
  ...AADSTS.map(number => `AADSTS${number}` as const),
]

function tenant(keep: OpenLabel['keep']): { readonly tenant: OpenLabel } {
  return { tenant: { open: 'the tenant’s id', seriesMax: 10_000, keep } }
}
const lane = { lane: { open: 'the lane’s number', seriesMax: 4_096, keep: 'largest' } } as const

function counter<const L extends ClosedLabels>(help: string, labels: L) {
  return { kind: 'counter', help, labels } as const
}

function gauge<const L extends LabelSets>(help: string, labels: L) {
  return { kind: 'gauge', help, labels } as const
}

function histogram<const L extends ClosedLabels>(help: string, buckets: readonly number[], labels: L) {
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
  token_failures_total: counter(
    'Token requests that failed, by Entra’s code; network: no answer came; other: a code that is not listed, or none.',
    { code: tokenFailures },
  ),
  graph_throttled_total: counter('Answers of Graph that asked to wait (429, or 503 with Retry-After).', {}),
  schema_drift_total: counter(
    'Alerts, of a sample of at most 20 a second, 1 MiB, of each source and cloud, with something that this version does not know, in the alert or in its evidence; each name is logged once, 50 of a kind. masked: a text of asterisks, or an account, a host or the like with asterisks in it.',
    {
      what: ['member', 'value', 'evidence', 'masked'],
      source: ['alerts_v2', 'alerts'],
      cloud: ['global', 'usgov', 'dod', 'china'],
    },
  ),
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
  tenant_freshness_seconds: gauge(
    'How long ago the instant lies up to which the alerts of a polled tenant are read, but for gaps and look-back. Absent before its first poll.',
    tenant('largest'),
  ),
  tenant_credential_days_left: gauge(
    'Days until the credential of a polled tenant expires, negative when it has. Only where its record says when.',
    tenant('smallest'),
  ),
  tenant_needs_attention: gauge('1 for each polled tenant that is in this state.', tenant('largest')),

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
  polled_to_accepted_seconds: histogram('From the poll that brought an alert to its acceptance.', transitSeconds, {}),

  // lanes
  lanes_owned: gauge('Lanes that this worker owns.', {}),
  group_joins_total: counter(
    'How often the group was joined and gave out lanes; each one after the first is a rebalance.',
    {},
  ),
  lanes_restoring: gauge('Own lanes that are not live yet.', {}),
  lane_restore_duration_seconds: histogram('From being given a lane to its going live.', requestSeconds, {}),
  lanes_stopped: gauge('Own lanes that stopped because too many of their records were parked.', {}),
  records_lost_to_retention_total: counter('Records that retention deleted before they were forwarded.', {}),
  lane_lag_records: gauge(
    'Records of an own lane’s alerts that are not settled yet. Absent until its offsets are known.',
    lane,
  ),
  ledger_entries: gauge('Entries of the ledgers held in memory.', {}),
  ledger_bytes: gauge('Memory that the ledgers take.', {}),
  ledger_headroom_ratio: gauge(
    'Free share of the alerts that one ledger is planned for (4,000,000), of the fullest own lane. Nothing stops at 0.',
    {},
  ),
  queue_depth_records: gauge('Records waiting in the queues of the own lanes.', {}),
  kafka_send_duration_seconds: histogram('From a send to Kafka to its acknowledgement.', requestSeconds, {}),

  // the process
  event_loop_lag_seconds: gauge('How late timers ran in the last seconds.', { quantile: ['0.5', '0.99', '1'] }),
  process_resident_memory_bytes: gauge('Resident memory.', {}),
  process_heap_used_bytes: gauge('Used heap.', {}),
  process_heap_limit_bytes: gauge('Size at which the heap is exhausted.', {}),
  metrics_unreadable_total: counter('Gauges that could not be read at a scrape.', {}),
  metrics_series_dropped_total: counter('Series that were left out of a scrape because a gauge had too many.', {}),
} as const satisfies Readonly<Record<string, Instrument>>

type Table = typeof instruments
export type InstrumentName = keyof Table
type OfKind<K extends Instrument['kind']> = {
  [N in InstrumentName]: Table[N]['kind'] extends K ? N : never
}[InstrumentName]

export type CounterName = OfKind<'counter'>
export type GaugeName = OfKind<'gauge'>
export type HistogramName = OfKind<'histogram'>

/** `{ origin: 'poll' | … }` for the instrument; `{}` where it has no labels; any text for an open label. */
export type LabelsOf<N extends InstrumentName> = {
  readonly [L in keyof Table[N]['labels']]: Table[N]['labels'][L] extends readonly string[]
    ? Table[N]['labels'][L][number]
    : string
}

export const METRIC_PREFIX = 'socos_'

/** Every name that a scrape can contain: what dashboards and rules may ask for. */
export function scrapedNames(): readonly string[] {
  return Object.entries(instruments).flatMap(([name, { kind }]) => {
    const full = METRIC_PREFIX + name
    return kind === 'histogram' ? [`${full}_bucket`, `${full}_sum`, `${full}_count`] : [full]
  })
}
