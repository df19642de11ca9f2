import { monitorEventLoopDelay } from 'node:perf_hooks'
import { getHeapStatistics } from 'node:v8'
import type { Attributes, Counter, Histogram } from '@opentelemetry/api'
import { PrometheusExporter, PrometheusSerializer } from '@opentelemetry/exporter-prometheus'
import { MeterProvider, type ScopeMetrics } from '@opentelemetry/sdk-metrics'
import type { Clock } from './clock.ts'
import { systemClock } from './clock.ts'
import { createGauges } from './metrics-gauges.ts'
import {
  type CounterName,
  type GaugeName,
  type HistogramName,
  type Instrument,
  type InstrumentName,
  instruments,
  type LabelsOf,
  METRIC_PREFIX,
} from './metrics-table.ts'

/** One number, one number per label set, or null while it is not known (then the series is absent). */
type GaugeReading<N extends GaugeName> =
  | number
  | null
  | readonly { readonly labels: LabelsOf<N>; readonly value: number }[]

export interface Metrics {
  /** Adds `n` (≥ 0, 1 unless given). */
  count<N extends CounterName>(name: N, labels: LabelsOf<N>, n?: number): void
  /** Records one value, in the unit that the name ends with. */
  observe<N extends HistogramName>(name: N, labels: LabelsOf<N>, value: number): void
  /** `read` is asked at every scrape, and nothing of it is kept; one reader per gauge. Returns what takes the reader away. */
  gauge<N extends GaugeName>(name: N, read: () => GaugeReading<NoInfer<N>>): () => void
  /** The Prometheus text format, version 0.0.4. */
  scrape(): Promise<string>
  /** The same as data, for a push. */
  collect(): Promise<readonly ScopeMetrics[]>
  close(): Promise<void>
}

export const METRICS_CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

/** Metrics of one process. Counters start at 0 in every label set, so that a rule never waits for a first event. */
export function createMetrics(clock: Pick<Clock, 'now'> = systemClock): Metrics {
  const labelSets = new Map<InstrumentName, LabelSets>()
  const gauges = createGauges({
    now: () => clock.now(),
    bounded: (name, labels) => (labelSets.get(name)?.find(labels) ?? {}) as Texts,
    dropped: series => metrics.count('metrics_series_dropped_total', {}, series),
    unreadable: () => metrics.count('metrics_unreadable_total', {}),
  })
  const reader = new PrometheusExporter({ preventServerStart: true, metricProducers: [gauges] })
  const provider = new MeterProvider({ readers: [reader] })
  const meter = provider.getMeter('socos')
  // our names are complete: no prefix, no timestamps, no constant, target or scope labels
  const serializer = new PrometheusSerializer(undefined, false, undefined, true, true)
  const counters = new Map<InstrumentName, Counter>()
  const histograms = new Map<InstrumentName, Histogram>()
  for (const [key, instrument] of Object.entries(instruments) as [InstrumentName, Instrument][]) {
    const sets = createLabelSets(instrument)
    labelSets.set(key, sets)
    const description = instrument.help
    if (instrument.kind === 'counter') {
      const counter = meter.createCounter(METRIC_PREFIX + key, { description })
      for (const attributes of sets.all) counter.add(0, attributes)
      counters.set(key, counter)
    } else if (instrument.kind === 'histogram') {
      const advice = { explicitBucketBoundaries: [...(instrument.buckets ?? [])] }
      histograms.set(key, meter.createHistogram(METRIC_PREFIX + key, { description, advice }))
    }
  }

  const metrics: Metrics = {
    count(name, labels, n = 1) {
      counters.get(name)?.add(n, labelSets.get(name)?.find(labels))
    },
    observe(name, labels, value) {
      histograms.get(name)?.record(value, labelSets.get(name)?.find(labels))
    },
    gauge: (name, read) => gauges.add(name, read),
    async scrape() {
      const { resourceMetrics } = await reader.collect()
      return serializer.serialize(resourceMetrics)
    },
    async collect() {
      // of the one reader there is: what a second one is not asked for would pile up
      const { resourceMetrics } = await reader.collect()
      return resourceMetrics.scopeMetrics
    },
    async close() {
      stopWatching()
      await provider.shutdown()
    },
  }
  const stopWatching = watchProcess(metrics, clock)
  return metrics
}

type Texts = Readonly<Record<string, string>>

interface LabelSets {
  readonly all: readonly Attributes[]
  /** The one object that stands for these labels: no allocation per event, nothing but the table's labels gets out. */
  readonly find: (labels: Texts) => Attributes
}

/** Of an instrument without an open label; of one with it nothing is known beforehand. */
function createLabelSets({ labels }: Instrument): LabelSets {
  const closed = new Map(Object.entries(labels).flatMap(([name, values]) => ('open' in values ? [] : [[name, values]])))
  const names = [...closed.keys()]
  const known = new Map<string, Attributes>()
  const none: Attributes = {}
  function find(given: Texts): Attributes {
    if (names.length === 0) return none
    const key = names.length === 1 ? (given[names[0] ?? ''] ?? '') : names.map(name => given[name]).join('\n')
    return known.get(key) ?? bounded(given)
  }
  function bounded(given: Texts): Attributes {
    return Object.fromEntries(
      names.map(name => [name, closed.get(name)?.includes(given[name] ?? '') ? given[name] : 'other']),
    )
  }
  let all: Texts[] = [{}]
  for (const [name, values] of closed) all = all.flatMap(set => values.map(value => ({ ...set, [name]: value })))
  for (const set of all) known.set(names.map(name => set[name]).join('\n'), set)
  return { all, find }
}

const LAG_RESOLUTION_MS = 20
const LAG_WINDOW_MS = 10_000

/** Memory and event-loop lag. The lag's window starts anew every ten seconds at the earliest, however many scrape. */
function watchProcess(metrics: Metrics, clock: Pick<Clock, 'now'>): () => void {
  const delay = monitorEventLoopDelay({ resolution: LAG_RESOLUTION_MS })
  delay.enable()
  let since = clock.now()
  metrics.gauge('event_loop_lag_seconds', () => {
    if (delay.count === 0) return null
    const reading = [
      { labels: { quantile: '0.5' }, value: lagSeconds(delay.percentile(50)) },
      { labels: { quantile: '0.99' }, value: lagSeconds(delay.percentile(99)) },
      { labels: { quantile: '1' }, value: lagSeconds(delay.max) },
    ] as const
    if (clock.now() - since >= LAG_WINDOW_MS) {
      delay.reset()
      since = clock.now()
    }
    return reading
  })
  metrics.gauge('process_resident_memory_bytes', () => process.memoryUsage.rss())
  metrics.gauge('process_heap_used_bytes', () => getHeapStatistics().used_heap_size)
  metrics.gauge('process_heap_limit_bytes', () => getHeapStatistics().heap_size_limit)
  return () => delay.disable()
}

/** The histogram holds the time between two ticks of its own timer. */
function lagSeconds(nanoseconds: number): number {
  return Math.max(0, nanoseconds / 1e9 - LAG_RESOLUTION_MS / 1e3)
}
