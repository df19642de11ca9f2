import { type HrTime, ValueType } from '@opentelemetry/api'
import { emptyResource } from '@opentelemetry/resources'
import { AggregationTemporality, DataPointType, type MetricData, type MetricProducer } from '@opentelemetry/sdk-metrics'
import { type GaugeName, type Instrument, instruments, METRIC_PREFIX, type OpenLabel } from './metrics-table.ts'

/** One number of a gauge under its labels. */
interface Sample {
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

/** What a gauge says at one scrape; null: nothing yet, then it is absent. */
type Reading = number | null | readonly Sample[]

interface GaugeDeps {
  readonly now: () => number
  /** The labels of a closed set, bounded. */
  readonly bounded: (name: GaugeName, labels: Sample['labels']) => Sample['labels']
  readonly dropped: (series: number) => void
  readonly unreadable: () => void
}

export interface Gauges extends MetricProducer {
  /** Returns what takes the reader away again. */
  add(name: GaugeName, read: () => Reading): () => void
}

/** Values of open labels; anything else is dropped. Both are ours: a GUID, a number. */
const OPEN_VALUE = /^[\w.-]{1,64}$/

/**
 * Gauges that are asked at each scrape and forgotten after it. The SDK's own observable gauges keep every label set that
 * they ever saw: a tenant that went to another worker would stand there for ever.
 */
export function createGauges(deps: GaugeDeps): Gauges {
  const readers = new Map<GaugeName, () => Reading>()

  function samplesOf(name: GaugeName, read: () => Reading): readonly Sample[] {
    const reading = read()
    if (reading === null) return []
    const samples = typeof reading === 'number' ? [{ labels: {}, value: reading }] : reading
    const open = openLabelOf(name)
    return open === null
      ? samples.map(({ labels, value }) => ({ labels: deps.bounded(name, labels), value }))
      : boundedOpen(samples, open)
  }

  function boundedOpen(samples: readonly Sample[], [label, { seriesMax, keep }]: [string, OpenLabel]): Sample[] {
    const good = samples.flatMap(({ labels, value }) => {
      const text = labels[label] ?? ''
      return OPEN_VALUE.test(text) ? [{ labels: { [label]: text }, value }] : []
    })
    if (good.length > seriesMax) {
      good.sort((a, b) => (keep === 'largest' ? b.value - a.value : a.value - b.value))
      good.length = seriesMax
    }
    if (good.length < samples.length) deps.dropped(samples.length - good.length)
    return good
  }

  return {
    add(name, read) {
      if (readers.has(name)) throw new Error(`the gauge ${name} has a reader already`)
      readers.set(name, read)
      return () => void readers.delete(name)
    },
    async collect() {
      const nowMs = deps.now()
      const at: HrTime = [Math.floor(nowMs / 1000), (nowMs % 1000) * 1e6]
      const metrics = [...readers].flatMap(([name, read]): MetricData[] => {
        try {
          const samples = samplesOf(name, read)
          return samples.length === 0 ? [] : [metricOf(name, samples, at)]
        } catch {
          deps.unreadable()
          return []
        }
      })
      // the resource is the reader's own
      return { resourceMetrics: { resource: NO_RESOURCE, scopeMetrics: [{ scope: SCOPE, metrics }] }, errors: [] }
    },
  }
}

const SCOPE = { name: 'socos' }
const NO_RESOURCE = emptyResource()

function openLabelOf(name: GaugeName): [string, OpenLabel] | null {
  const { labels }: Instrument = instruments[name]
  for (const [label, values] of Object.entries(labels)) if ('open' in values) return [label, values]
  return null
}

function metricOf(name: GaugeName, samples: readonly Sample[], at: HrTime): MetricData {
  const { help: description } = instruments[name]
  return {
    descriptor: { name: METRIC_PREFIX + name, description, unit: '', valueType: ValueType.DOUBLE },
    aggregationTemporality: AggregationTemporality.CUMULATIVE,
    dataPointType: DataPointType.GAUGE,
    dataPoints: samples.map(({ labels, value }) => ({ attributes: labels, value, startTime: at, endTime: at })),
  }
}
