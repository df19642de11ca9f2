import { afterEach, describe, expect, test } from 'vitest'
import { LEDGER_ENTRIES_PLANNED } from '../../consumers/ledger.ts'
import { engineObserver, forwarderObserver, watchLanes } from '../../consumers/observe.ts'
import { createMetrics, type Metrics } from '../../platform/metrics.ts'
import { instruments } from '../../platform/metrics-table.ts'
import { AADSTS_KNOWN } from '../../producers/graph/entra-errors.ts'
import type { PollerLane, TenantGlance } from '../../producers/lane.ts'
import { pollerObserver, tokenObserver, watchTenants } from '../../producers/observe.ts'
import { handClock } from './engine-kit.ts'
import { recordingLog } from './fakes/log.ts'
import { pollerWorld } from './fakes/poller-world.ts'
import { TENANT_A, TENANT_B, TENANT_C } from './fakes/records.ts'
import { samplesOf, seriesOf } from './scraped.ts'

const open: Metrics[] = []
const DAY_MS = 86_400_000

function metricsForTest(): Metrics {
  const metrics = createMetrics()
  open.push(metrics)
  return metrics
}

afterEach(async () => {
  await Promise.all(open.splice(0).map(metrics => metrics.close()))
})

async function series(metrics: Metrics, name: string): Promise<Record<string, number>> {
  return seriesOf(await samplesOf(metrics), name)
}

describe('token failures', () => {
  test('the table knows exactly the codes that the Graph client knows', () => {
    const known = [...AADSTS_KNOWN].toSorted((a, b) => a - b).map(code => `AADSTS${code}`)
    expect(instruments.token_failures_total.labels.code).toEqual(['network', 'other', ...known])
  })

  test('count by code', async () => {
    const metrics = metricsForTest()
    const failed = tokenObserver(metrics)
    failed('AADSTS7000222')
    failed('AADSTS7000222')
    failed('network')
    failed('AADSTS99')
    const counted = await series(metrics, 'token_failures_total')
    expect(Object.entries(counted).filter(([, value]) => value > 0)).toEqual([
      ['{code="network"}', 1],
      ['{code="other"}', 1],
      ['{code="AADSTS7000222"}', 2],
    ])
  })
})

/** A lane that shows these tenants. */
function laneOf(...tenants: readonly (Partial<TenantGlance> & { tenantId: string })[]): PollerLane {
  const glances = tenants.map(tenant => ({
    state: 'ok',
    polledAtMs: null,
    readUpTo: null,
    credentialExpires: null,
    ...tenant,
  }))
  return { states: () => glances } as unknown as PollerLane
}

describe('the gauges of tenants', () => {
  test('say how far behind each one is read; one that was never polled is absent', async () => {
    const clock = handClock(Date.parse('2026-11-23T10:00:00Z'))
    const metrics = metricsForTest()
    const lanes = new Map([
      [0, laneOf({ tenantId: TENANT_A, readUpTo: '2026-11-23T09:59:00.5000000Z' }, { tenantId: TENANT_B })],
      // Graph's clock may be ahead of ours
      [3, laneOf({ tenantId: TENANT_C, readUpTo: '2026-11-23T10:00:09.0000000Z' })],
    ])
    watchTenants(metrics, recordingLog(), lanes, clock)
    expect(await series(metrics, 'tenant_freshness_seconds')).toEqual({
      [`{tenant="${TENANT_A}"}`]: 59.5,
      [`{tenant="${TENANT_C}"}`]: 0,
    })
    clock.set(Date.parse('2026-11-23T11:00:00Z'))
    expect(await series(metrics, 'tenant_freshness_seconds')).toMatchObject({ [`{tenant="${TENANT_A}"}`]: 3_659.5 })
  })

  test('go with the lane', async () => {
    const metrics = metricsForTest()
    const lanes = new Map([[1, laneOf({ tenantId: TENANT_A, readUpTo: '2026-11-23T09:59:00.0000000Z' })]])
    watchTenants(metrics, recordingLog(), lanes, handClock())
    expect(Object.keys(await series(metrics, 'tenant_freshness_seconds'))).toHaveLength(1)
    lanes.clear()
    expect(await series(metrics, 'tenant_freshness_seconds')).toEqual({})
  })

  test('say how many days a credential has left, below zero when it is past, nothing where nobody said', async () => {
    const metrics = metricsForTest()
    const lane = laneOf(
      { tenantId: TENANT_A, credentialExpires: '2026-12-03' },
      { tenantId: TENANT_B, credentialExpires: '2026-11-21T12:00:00Z' },
      { tenantId: TENANT_C },
      { tenantId: 'd', credentialExpires: 'soon' },
    )
    watchTenants(metrics, recordingLog(), new Map([[0, lane]]), handClock(Date.parse('2026-11-23T00:00:00Z')))
    expect(await series(metrics, 'tenant_credential_days_left')).toEqual({
      [`{tenant="${TENANT_A}"}`]: 10,
      [`{tenant="${TENANT_B}"}`]: -1.5,
    })
  })

  test('name those that need attention, and only those', async () => {
    const metrics = metricsForTest()
    const states = ['ok', 'needs-attention', 'throttled', 'unavailable', 'partial', 'catching-up']
    const lane = laneOf(...states.map(state => ({ tenantId: `t-${state}`, state })))
    watchTenants(metrics, recordingLog(), new Map([[0, lane]]), handClock())
    expect(await series(metrics, 'tenant_needs_attention')).toEqual({ '{tenant="t-needs-attention"}': 1 })
    expect(await series(metrics, 'tenants')).toMatchObject({ '{state="needs-attention"}': 1, '{state="ok"}': 1 })
  })

  test('follow a real lane: read up to the last poll, then behind, then in need of attention', async () => {
    const graph = { spans: [{ fromMs: 600_000, untilMs: Infinity, what: 'needs-attention' as const }] }
    const expires = new Date(handClock().now() + 30 * DAY_MS).toISOString()
    const world = pollerWorld({
      tenants: [{ tenant: { tenantId: TENANT_A, credentialExpires: expires }, graph }],
    })
    const { lane } = world.start()
    const metrics = metricsForTest()
    watchTenants(metrics, recordingLog(), new Map([[0, lane]]), world.clock)
    const name = `{tenant="${TENANT_A}"}`
    expect(await series(metrics, 'tenant_freshness_seconds')).toEqual({})

    await world.pass(300_000)
    expect((await series(metrics, 'tenant_freshness_seconds'))[name]).toBeLessThan(65)
    expect((await series(metrics, 'tenant_credential_days_left'))[name]).toBeCloseTo(30, 1)
    expect(await series(metrics, 'tenant_needs_attention')).toEqual({})

    await world.pass(900_000)
    expect((await series(metrics, 'tenant_freshness_seconds'))[name]).toBeGreaterThan(500)
    expect(await series(metrics, 'tenant_needs_attention')).toEqual({ [name]: 1 })
  })
})

test('turns, pages and sweeps of pollers count by what came of them', async () => {
  const metrics = metricsForTest()
  const observe = pollerObserver(metrics, recordingLog(), handClock())
  observe.turn('throttled', 1_500)
  observe.request('throttled')
  observe.published('sweep', 5, 2, 1)
  observe.fresh(Buffer.from('{"surprise":1}'), 'alerts_v2', 'usgov')
  observe.fresh(Buffer.from('{"surprise":1}'), 'alerts', 'usgov')
  const samples = await samplesOf(metrics)
  expect(samples.get('socos_poll_turns_total{outcome="throttled"}')).toBe(1)
  expect(samples.get('socos_poll_lateness_seconds_sum')).toBe(1.5)
  expect(samples.get('socos_schema_drift_total{what="member",source="alerts_v2",cloud="usgov"}')).toBe(1)
  expect(samples.get('socos_schema_drift_total{what="member",source="alerts",cloud="usgov"}')).toBe(1)
  expect(samples.get('socos_graph_throttled_total')).toBe(1)
  expect(samples.get('socos_alerts_listed_total{origin="sweep"}')).toBe(5)
  expect(samples.get('socos_alerts_published_total{origin="sweep"}')).toBe(2)
  expect(samples.get('socos_alerts_quarantined_total')).toBe(1)
})

describe('the ledger', () => {
  test('has as much headroom as the fullest own lane leaves', async () => {
    const metrics = metricsForTest()
    const observe = forwarderObserver(metrics)
    expect(await series(metrics, 'ledger_headroom_ratio')).toEqual({})
    observe.ledger(1, LEDGER_ENTRIES_PLANNED / 4, 1)
    observe.ledger(2, LEDGER_ENTRIES_PLANNED / 10, 1)
    expect(await series(metrics, 'ledger_headroom_ratio')).toEqual({ '': 0.75 })
    observe.closed(1)
    expect(await series(metrics, 'ledger_headroom_ratio')).toEqual({ '': 0.9 })
    observe.ledger(2, LEDGER_ENTRIES_PLANNED * 2, 1)
    expect(await series(metrics, 'ledger_headroom_ratio')).toEqual({ '': 0 })
  })

  test('is planned for as much as the table of metrics says', () => {
    expect(instruments.ledger_headroom_ratio.help).toContain(`(${LEDGER_ENTRIES_PLANNED.toLocaleString('en')})`)
  })
})

test('an acceptance is measured from the update and from the poll', async () => {
  const metrics = metricsForTest()
  forwarderObserver(metrics).accepted(90_000, 400)
  const samples = await samplesOf(metrics)
  expect(samples.get('socos_visible_to_accepted_seconds_sum')).toBe(90)
  expect(samples.get('socos_polled_to_accepted_seconds_sum')).toBe(0.4)
  expect(samples.get('socos_polled_to_accepted_seconds_bucket{le="0.25"}')).toBe(0)
  expect(samples.get('socos_polled_to_accepted_seconds_bucket{le="0.5"}')).toBe(1)
})

test('the circuit is in one state at a time', async () => {
  const metrics = metricsForTest()
  const observe = engineObserver(metrics, recordingLog())
  expect(await series(metrics, 'engine_circuit')).toMatchObject({ '{state="closed"}': 1, '{state="open"}': 0 })
  observe.circuit('open', 'HTTP 401')
  expect(await series(metrics, 'engine_circuit')).toMatchObject({ '{state="closed"}': 0, '{state="open"}': 1 })
})

test('each join of the group is counted, on both sides', async () => {
  for (const watch of [
    (metrics: Metrics) => watchLanes(metrics, recordingLog()),
    (metrics: Metrics) => watchTenants(metrics, recordingLog(), new Map(), handClock(0)),
  ]) {
    const metrics = metricsForTest()
    const observer = watch(metrics)
    observer.rebalanced(12)
    observer.rebalanced(6)
    expect((await samplesOf(metrics)).get('socos_group_joins_total')).toBe(2)
  }
})
