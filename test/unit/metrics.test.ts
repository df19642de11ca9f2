import { afterEach, describe, expect, test } from 'vitest'
import { createMetrics, type Metrics } from '../../platform/metrics.ts'
import { type Instrument, instruments, METRIC_PREFIX, scrapedNames } from '../../platform/metrics-table.ts'
import { samplesOf, seriesOf } from './scraped.ts'

type Labels = Instrument['labels']

const open: Metrics[] = []

function metricsForTest(clock?: { now(): number }): Metrics {
  const metrics = createMetrics(clock)
  open.push(metrics)
  return metrics
}

afterEach(async () => {
  await Promise.all(open.splice(0).map(metrics => metrics.close()))
})

function baseName(series: string): string {
  return series.replace(/\{.*/, '')
}

/** How many series an instrument can have. */
function countOf(labels: Labels): number {
  return Object.values(labels).reduce((product, values) => product * ('open' in values ? NaN : values.length), 1)
}

describe('the table', () => {
  test('names follow the rules of Prometheus, and only counters end with _total', () => {
    for (const [name, { kind, labels }] of Object.entries(instruments) as [string, Instrument][]) {
      expect(name).toMatch(/^[a-z]+(?:_[a-z]+)*$/)
      expect(name.endsWith('_total')).toBe(kind === 'counter')
      if (kind === 'histogram') expect(name).toMatch(/_seconds$/)
      if (!isOpen(labels)) expect(countOf(labels)).toBeLessThanOrEqual(name === 'token_failures_total' ? 64 : 32)
    }
  })

  test('only a tenant or a lane may come from outside: on gauges, as the only label, and bounded', () => {
    const open = Object.entries<Instrument>(instruments).filter(([, { labels }]) => isOpen(labels))
    expect(open.map(([name]) => name)).toEqual([
      'tenant_freshness_seconds',
      'tenant_credential_days_left',
      'tenant_needs_attention',
      'lane_lag_records',
    ])
    for (const [, { kind, labels }] of open) {
      expect(kind).toBe('gauge')
      const [[label, values] = expect.fail('no label'), ...more] = Object.entries(labels)
      expect(more).toEqual([])
      expect(values).toMatchObject({ seriesMax: label === 'tenant' ? 10_000 : 4_096 })
    }
  })

  test('no label could hold an alert, a host or a name', () => {
    const names = new Set(Object.values(instruments).flatMap(({ labels }) => Object.keys(labels)))
    expect([...names].toSorted()).toEqual([
      'answer',
      'cloud',
      'code',
      'fate',
      'lane',
      'origin',
      'outcome',
      'quantile',
      'reason',
      'source',
      'state',
      'tenant',
      'what',
    ])
  })
})

function isOpen(labels: Labels): boolean {
  return Object.values(labels).some(values => 'open' in values)
}

describe('a scrape', () => {
  test('shows every counter at 0 in every label set before anything happened', async () => {
    const samples = await samplesOf(metricsForTest())
    for (const [name, { kind, labels }] of Object.entries(instruments) as [string, Instrument][]) {
      if (kind !== 'counter') continue
      const series = [...samples].filter(([series]) => baseName(series) === METRIC_PREFIX + name)
      expect(series).toHaveLength(countOf(labels))
      expect(series.every(([, value]) => value === 0)).toBe(true)
    }
  })

  test('carries exactly the names of the table once every instrument was used', async () => {
    const metrics = metricsForTest()
    for (const [name, { kind, labels }] of Object.entries(instruments) as [keyof typeof instruments, Instrument][]) {
      const first = Object.fromEntries(
        Object.entries(labels).map(([label, values]) => [label, 'open' in values ? '7' : values[0]]),
      )
      // the names come out of the table itself, which the types cannot see here
      if (kind === 'histogram') metrics.observe(name as 'poll_lateness_seconds', first, 1)
      if (kind === 'gauge' && !/^(?:process|event)_/.test(name)) {
        metrics.gauge(name as 'lanes_owned', () => [{ labels: first, value: 1 }])
      }
    }
    const withLag = await samplesUntilLag(metrics)
    expect([...new Set([...withLag.keys()].map(baseName))].toSorted()).toEqual(scrapedNames().toSorted())
  })

  test('adds up counters by label', async () => {
    const metrics = metricsForTest()
    metrics.count('alerts_published_total', { origin: 'poll' })
    metrics.count('alerts_published_total', { origin: 'poll' }, 4)
    metrics.count('alerts_published_total', { origin: 'sweep' }, 2)
    const samples = await samplesOf(metrics)
    expect(samples.get('socos_alerts_published_total{origin="poll"}')).toBe(5)
    expect(samples.get('socos_alerts_published_total{origin="sweep"}')).toBe(2)
    expect(samples.get('socos_alerts_published_total{origin="backfill"}')).toBe(0)
  })

  test('label values from outside the closed set make one series, other, whatever they are', async () => {
    const metrics = metricsForTest()
    for (let i = 0; i < 100; i++) {
      const hostile = { reason: `x"}\n${i}`, tenant: `t${i}` } as unknown as { reason: 'rejected' }
      metrics.count('records_parked_total', hostile)
    }
    const samples = await samplesOf(metrics)
    expect(samples.get('socos_records_parked_total{reason="other"}')).toBe(100)
    const parked = [...samples.keys()].filter(series => series.startsWith('socos_records_parked_total'))
    expect(parked).toHaveLength(instruments.records_parked_total.labels.reason.length + 1)
  })

  test('puts observations into the buckets of the table', async () => {
    const metrics = metricsForTest()
    for (const seconds of [0.001, 0.3, 0.3, 100]) metrics.observe('engine_request_duration_seconds', {}, seconds)
    const samples = await samplesOf(metrics)
    const name = 'socos_engine_request_duration_seconds'
    expect(samples.get(`${name}_bucket{le="0.25"}`)).toBe(1)
    expect(samples.get(`${name}_bucket{le="0.5"}`)).toBe(3)
    expect(samples.get(`${name}_bucket{le="60"}`)).toBe(3)
    expect(samples.get(`${name}_bucket{le="+Inf"}`)).toBe(4)
    expect(samples.get(`${name}_count`)).toBe(4)
  })

  test('asks gauges anew each time; one that knows nothing yet is absent', async () => {
    const metrics = metricsForTest()
    let lanes: number | null = null
    metrics.gauge('lanes_owned', () => lanes)
    metrics.gauge('engine_circuit', () => [
      { labels: { state: 'open' }, value: 1 },
      { labels: { state: 'closed' }, value: 0 },
    ])
    expect((await samplesOf(metrics)).has('socos_lanes_owned')).toBe(false)
    lanes = 12
    const samples = await samplesOf(metrics)
    expect(samples.get('socos_lanes_owned')).toBe(12)
    expect(samples.get('socos_engine_circuit{state="open"}')).toBe(1)
  })

  test('a gauge that throws is missing and counted; the rest of the scrape stands', async () => {
    const metrics = metricsForTest()
    metrics.gauge('lanes_owned', () => {
      throw new Error('no')
    })
    metrics.gauge('ledger_entries', () => 7)
    await metrics.scrape()
    const samples = await samplesOf(metrics)
    expect(samples.has('socos_lanes_owned')).toBe(false)
    expect(samples.get('socos_ledger_entries')).toBe(7)
    expect(samples.get('socos_metrics_unreadable_total')).toBeGreaterThanOrEqual(1)
  })

  test('a gauge has one reader, and can be given away', async () => {
    const metrics = metricsForTest()
    const remove = metrics.gauge('lanes_owned', () => 1)
    expect(() => metrics.gauge('lanes_owned', () => 2)).toThrow('the gauge lanes_owned has a reader already')
    remove()
    metrics.gauge('lanes_owned', () => 3)
    expect((await samplesOf(metrics)).get('socos_lanes_owned')).toBe(3)
    remove()
    expect((await samplesOf(metrics)).has('socos_lanes_owned')).toBe(false)
  })

  test('a tenant or lane that is not read any more is gone from the next scrape', async () => {
    const metrics = metricsForTest()
    let lags = [
      { labels: { lane: '3' }, value: 40 },
      { labels: { lane: '11' }, value: 0 },
    ]
    metrics.gauge('lane_lag_records', () => lags)
    expect(seriesOf(await samplesOf(metrics), 'lane_lag_records')).toEqual({
      '{lane="3"}': 40,
      '{lane="11"}': 0,
    })
    lags = lags.slice(0, 1)
    expect(seriesOf(await samplesOf(metrics), 'lane_lag_records')).toEqual({ '{lane="3"}': 40 })
    lags = []
    expect(seriesOf(await samplesOf(metrics), 'lane_lag_records')).toEqual({})
  })

  test('2,000 tenants are all there, in every gauge', async () => {
    const metrics = metricsForTest()
    const tenants = Array.from({ length: 2_000 }, (_, n) => ({ labels: { tenant: `t-${n}` }, value: n }))
    metrics.gauge('tenant_freshness_seconds', () => tenants)
    metrics.gauge('tenant_credential_days_left', () => tenants)
    const samples = await samplesOf(metrics)
    for (const name of ['tenant_freshness_seconds', 'tenant_credential_days_left']) {
      const values = Object.values(seriesOf(samples, name))
      expect(values.toSorted((a, b) => a - b)).toEqual(tenants.map(({ value }) => value))
    }
    expect(samples.get('socos_metrics_series_dropped_total')).toBe(0)
  })

  test('of too many tenants the most overdue stay, those that expire first stay, and the rest is counted', async () => {
    const metrics = metricsForTest()
    const tenants = Array.from({ length: 10_005 }, (_, n) => ({
      labels: { tenant: `t-${n}` },
      value: (n * 7) % 10_005,
    }))
    metrics.gauge('tenant_freshness_seconds', () => tenants)
    metrics.gauge('tenant_credential_days_left', () => tenants)
    await metrics.scrape()
    const samples = await samplesOf(metrics)
    const stale = Object.values(seriesOf(samples, 'tenant_freshness_seconds'))
    expect([stale.length, Math.min(...stale), Math.max(...stale)]).toEqual([10_000, 5, 10_004])
    const expiring = Object.values(seriesOf(samples, 'tenant_credential_days_left'))
    expect([expiring.length, Math.min(...expiring), Math.max(...expiring)]).toEqual([10_000, 0, 9_999])
    expect(samples.get('socos_metrics_series_dropped_total')).toBeGreaterThanOrEqual(10)
  })

  test('what could not be an id is left out and counted, whatever it is', async () => {
    const metrics = metricsForTest()
    const hostile = ['', 'a b', 'x"}\nsocos_up 1', 'ä', 'x'.repeat(65)]
    metrics.gauge('tenant_needs_attention', () =>
      ['5d6f0a53-1c4b-4a0e-9f6e-0c5f5b7f9a11', ...hostile].map(tenant => ({ labels: { tenant }, value: 1 })),
    )
    await metrics.scrape()
    const samples = await samplesOf(metrics)
    expect(seriesOf(samples, 'tenant_needs_attention')).toEqual({
      '{tenant="5d6f0a53-1c4b-4a0e-9f6e-0c5f5b7f9a11"}': 1,
    })
    expect(samples.get('socos_metrics_series_dropped_total')).toBeGreaterThanOrEqual(hostile.length)
  })

  test('a push carries what a scrape shows, and takes nothing away from it', async () => {
    const metrics = metricsForTest()
    metrics.count('alerts_published_total', { origin: 'poll' }, 3)
    metrics.gauge('lanes_owned', () => 4)
    const pushed = (await metrics.collect()).flatMap(scope => scope.metrics)
    const pushedNames = pushed.map(({ descriptor }) => descriptor.name)
    expect(pushedNames).toEqual(expect.arrayContaining(['socos_alerts_published_total', 'socos_lanes_owned']))
    await metrics.collect()
    const samples = await samplesOf(metrics)
    expect(samples.get('socos_alerts_published_total{origin="poll"}')).toBe(3)
    expect(samples.get('socos_lanes_owned')).toBe(4)
  })

  test('shows memory and event-loop lag of the process', async () => {
    const samples = await samplesUntilLag(metricsForTest())
    expect(samples.get('socos_process_resident_memory_bytes')).toBeGreaterThan(1e6)
    expect(samples.get('socos_process_heap_used_bytes')).toBeLessThan(
      samples.get('socos_process_heap_limit_bytes') ?? 0,
    )
    expect(samples.get('socos_event_loop_lag_seconds{quantile="0.5"}')).toBeLessThanOrEqual(
      samples.get('socos_event_loop_lag_seconds{quantile="1"}') ?? 0,
    )
  })

  test('two processes’ worth of metrics in one do not mix', async () => {
    const [one, other] = [metricsForTest(), metricsForTest()]
    one.count('graph_throttled_total', {}, 3)
    expect((await samplesOf(other)).get('socos_graph_throttled_total')).toBe(0)
    expect((await samplesOf(one)).get('socos_graph_throttled_total')).toBe(3)
  })
})

/** The lag shows after the first ticks of its timer. */
async function samplesUntilLag(metrics: Metrics): Promise<ReadonlyMap<string, number>> {
  await expect
    .poll(() => samplesOf(metrics), { timeout: 10_000 })
    .toSatisfy((samples: ReadonlyMap<string, number>) => samples.has('socos_event_loop_lag_seconds{quantile="1"}'))
  return await samplesOf(metrics)
}
