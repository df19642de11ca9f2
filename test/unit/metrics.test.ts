import { afterEach, describe, expect, test } from 'vitest'
import { createMetrics, type Metrics } from '../../platform/metrics.ts'
import { type Instrument, instruments, METRIC_PREFIX, scrapedNames } from '../../platform/metrics-table.ts'

const open: Metrics[] = []

function metricsForTest(clock?: { now(): number }): Metrics {
  const metrics = createMetrics(clock)
  open.push(metrics)
  return metrics
}

afterEach(async () => {
  await Promise.all(open.splice(0).map(metrics => metrics.close()))
})

const SAMPLE = /^([a-z_]+)(?:\{([^{}]*)\})? (-?[0-9.e+-]+|NaN|\+Inf)$/

/** `name{labels}` → value, of every sample; anything that is neither sample nor comment fails. */
async function samplesOf(metrics: Metrics): Promise<ReadonlyMap<string, number>> {
  const text = await metrics.scrape()
  expect(text.endsWith('\n')).toBe(true)
  const samples = new Map<string, number>()
  for (const line of text.split('\n')) {
    if (line === '' || /^# (?:HELP|TYPE|UNIT) socos_/.test(line)) continue
    const [, name, labels, value] = SAMPLE.exec(line) ?? expect.fail(`no sample: ${line}`)
    const series = labels === undefined ? String(name) : `${name}{${labels}}`
    expect(samples.has(series), series).toBe(false)
    samples.set(series, Number(value))
  }
  return samples
}

function baseName(series: string): string {
  return series.replace(/\{.*/, '')
}

describe('the table', () => {
  test('names follow the rules of Prometheus, and only counters end with _total', () => {
    for (const [name, { kind, labels }] of Object.entries(instruments) as [string, Instrument][]) {
      expect(name).toMatch(/^[a-z]+(?:_[a-z]+)*$/)
      expect(name.endsWith('_total')).toBe(kind === 'counter')
      if (kind === 'histogram') expect(name).toMatch(/_seconds$/)
      const series = Object.values(labels).reduce((product, values) => product * values.length, 1)
      expect(series).toBeLessThanOrEqual(32)
    }
  })

  test('no label could hold a tenant, an alert or a host', () => {
    const names = new Set(Object.values(instruments).flatMap(({ labels }) => Object.keys(labels)))
    expect([...names].toSorted()).toEqual(['answer', 'fate', 'origin', 'outcome', 'quantile', 'reason', 'state'])
  })
})

describe('a scrape', () => {
  test('shows every counter at 0 in every label set before anything happened', async () => {
    const samples = await samplesOf(metricsForTest())
    for (const [name, { kind, labels }] of Object.entries(instruments) as [string, Instrument][]) {
      if (kind !== 'counter') continue
      const sets = Object.values(labels).reduce((product, values) => product * values.length, 1)
      const series = [...samples].filter(([series]) => baseName(series) === METRIC_PREFIX + name)
      expect(series).toHaveLength(sets)
      expect(series.every(([, value]) => value === 0)).toBe(true)
    }
  })

  test('carries exactly the names of the table once every instrument was used', async () => {
    const metrics = metricsForTest()
    for (const [name, { kind, labels }] of Object.entries(instruments) as [keyof typeof instruments, Instrument][]) {
      const first = Object.fromEntries(Object.entries(labels).map(([label, [value]]) => [label, value]))
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
