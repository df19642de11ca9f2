import type { Clock } from '../platform/clock.ts'
import type { LaneObserver } from '../platform/kafka/lanes.ts'
import type { Log } from '../platform/log.ts'
import type { Metrics } from '../platform/metrics.ts'
import { createDriftWatch } from './drift.ts'
import type { TokenFailure } from './graph/entra-errors.ts'
import type { PollerLane, TenantGlance } from './lane.ts'
import type { PollerObserver } from './turn.ts'

export function tokenObserver(metrics: Metrics): (failure: TokenFailure) => void {
  return code => metrics.count('token_failures_total', { code })
}

export function pollerObserver(metrics: Metrics, log: Log, clock: Clock): PollerObserver {
  const drift = createDriftWatch({
    clock,
    log,
    count: (what, source, cloud) => metrics.count('schema_drift_total', { what, source, cloud }),
  })
  return {
    fresh(alert, source, cloud) {
      drift.look(alert, source, cloud)
    },
    turn(outcome, lateMs) {
      metrics.count('poll_turns_total', { outcome })
      metrics.observe('poll_lateness_seconds', {}, Math.max(0, lateMs) / 1000)
    },
    request(answer) {
      metrics.count('graph_requests_total', { answer })
      if (answer === 'throttled') metrics.count('graph_throttled_total', {})
    },
    published(origin, listed, published, quarantined) {
      metrics.count('alerts_listed_total', { origin }, listed)
      metrics.count('alerts_published_total', { origin }, published)
      metrics.count('alerts_quarantined_total', {}, quarantined)
    },
    swept({ listed, repaired, late, gaps }) {
      metrics.count('sweeps_total', { outcome: gaps.length > 0 ? 'gaps' : 'complete' })
      metrics.count('sweep_listed_total', {}, listed)
      metrics.count('sweep_repaired_total', {}, repaired)
      metrics.count('sweep_late_total', {}, late)
    },
  }
}

const DAY_MS = 86_400_000

type TenantGaugeState = 'ok' | 'catching-up' | 'throttled' | 'unavailable' | 'partial' | 'needs-attention'

const STATES: readonly TenantGaugeState[] = [
  'ok',
  'catching-up',
  'throttled',
  'unavailable',
  'partial',
  'needs-attention',
]

/** Gauges over the tenants of the own lanes, and what the group does with the lanes. */
export function watchTenants(
  metrics: Metrics,
  log: Log,
  lanes: ReadonlyMap<number, PollerLane>,
  clock: Clock,
): LaneObserver {
  const all = (): readonly TenantGlance[] => [...lanes.values()].flatMap(lane => [...lane.states()])
  /** One sample for each tenant of which `valueOf` knows a number. */
  const each = (valueOf: (tenant: TenantGlance, nowMs: number) => number | null) => () => {
    const nowMs = clock.now()
    return all().flatMap(tenant => {
      const value = valueOf(tenant, nowMs)
      return value === null || Number.isNaN(value) ? [] : [{ labels: { tenant: tenant.tenantId }, value }]
    })
  }
  metrics.gauge('tenants', () => {
    const states = all()
    return STATES.map(state => ({ labels: { state }, value: states.filter(tenant => tenant.state === state).length }))
  })
  metrics.gauge('checkpoint_oldest_age_seconds', () => {
    const oldestMs = Math.min(...all().map(({ polledAtMs }) => polledAtMs ?? Infinity))
    return Number.isFinite(oldestMs) ? (clock.now() - oldestMs) / 1000 : null
  })
  metrics.gauge(
    'tenant_freshness_seconds',
    each(({ readUpTo }, nowMs) => (readUpTo === null ? null : Math.max(0, nowMs - Date.parse(readUpTo)) / 1000)),
  )
  metrics.gauge(
    'tenant_credential_days_left',
    each(({ credentialExpires }, nowMs) =>
      credentialExpires === null ? null : (Date.parse(credentialExpires) - nowMs) / DAY_MS,
    ),
  )
  metrics.gauge(
    'tenant_needs_attention',
    each(({ state }) => (state === 'needs-attention' ? 1 : null)),
  )
  return laneObserver(metrics, log)
}

function laneObserver(metrics: Metrics, log: Log): LaneObserver {
  return {
    restored: (_lane, durationMs) => metrics.observe('lane_restore_duration_seconds', {}, durationMs / 1000),
    rebalanced(owned) {
      metrics.count('group_joins_total', {})
      log.debug('lanes given', { owned })
    },
    lostToRetention: () => {}, // pollers read tables only
  }
}
