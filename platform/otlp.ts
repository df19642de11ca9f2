import { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-http'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { resourceFromAttributes } from '@opentelemetry/resources'
import { BatchSpanProcessor, type SpanExporter } from '@opentelemetry/sdk-trace'
import type { Clock } from './clock.ts'
import type { Log } from './log.ts'
import type { Metrics } from './metrics.ts'
import type { Tracer } from './trace.ts'
import { createTracer } from './trace-otel.ts'

export interface OtlpOptions {
  /** Without a slash at its end. */
  readonly endpoint: string
  readonly headers: Readonly<Record<string, string>>
  readonly serviceName: string
  /** Tells the workers of a service apart. */
  readonly instanceId: string
  readonly traceShare: number
  /** All tries of one request together; ten seconds unless given. */
  readonly timeoutMs?: number
}

export interface Otlp {
  readonly tracer: Tracer
  /** Sends what is left, for two seconds at most. */
  close(): Promise<void>
}

const PUSH_EVERY_MS = 60_000
const EXPORT_TIMEOUT_MS = 10_000
const FLUSH_MS = 2_000
const SPANS_WAITING_MAX = 2_048
const SPANS_SENT_MAX = 512
/** One under way, and at the end all that waits. */
const REQUESTS_MAX = 1 + SPANS_WAITING_MAX / SPANS_SENT_MAX
const COMPLAINT_EVERY_MS = 60_000

/**
 * Sends metrics and traces to a collector: OTLP over HTTP, as JSON. Nothing here may disturb the work: what cannot be
 * sent is dropped after a few tries, what comes faster than it can be sent is dropped at once, and a line a minute tells.
 */
export function openOtlp(options: OtlpOptions, deps: { metrics: Metrics; log: Log; clock: Clock }): Otlp {
  const { clock, log, metrics } = deps
  const { endpoint, headers, traceShare, timeoutMs = EXPORT_TIMEOUT_MS } = options
  const resource = { 'service.name': options.serviceName, 'service.instance.id': options.instanceId }
  const exporting = { headers: { ...headers }, timeoutMillis: timeoutMs, concurrencyLimit: REQUESTS_MAX }
  const metricExporter = new OTLPMetricExporter({ ...exporting, url: `${endpoint}/v1/metrics` })
  const spanExporter = new OTLPTraceExporter({ ...exporting, url: `${endpoint}/v1/traces` })
  const processor = new BatchSpanProcessor({
    exporter: watched(spanExporter, error => complain('traces', error)),
    maxQueueSize: SPANS_WAITING_MAX,
    maxExportBatchSize: SPANS_SENT_MAX,
    exportTimeoutMillis: timeoutMs,
  })
  const closing = new AbortController()
  const unsaid = { sinceMs: Number.NEGATIVE_INFINITY, count: 0 }
  void pushRegularly()

  function complain(what: 'metrics' | 'traces', error: unknown): void {
    const nowMs = clock.now()
    if (Math.abs(nowMs - unsaid.sinceMs) < COMPLAINT_EVERY_MS) {
      unsaid.count++
      return
    }
    log.warn('telemetry could not be sent and is dropped; the work goes on', {
      what,
      endpoint,
      reason: reasonOf(error),
      unsaid: unsaid.count,
    })
    Object.assign(unsaid, { sinceMs: nowMs, count: 0 })
  }

  async function pushRegularly(): Promise<void> {
    try {
      for (;;) {
        await clock.sleep(PUSH_EVERY_MS, closing.signal)
        await push()
      }
    } catch {
      // closing: the last push is made there
    }
  }

  /** Never rejects. */
  async function push(): Promise<void> {
    try {
      const scopeMetrics = [...(await metrics.collect())]
      await new Promise<void>(resolve => {
        metricExporter.export({ resource: resourceFromAttributes(resource), scopeMetrics }, ({ error }) => {
          if (error) complain('metrics', error)
          resolve()
        })
      })
    } catch (error) {
      complain('metrics', error)
    }
  }

  return {
    tracer: createTracer({ processor, ratio: traceShare, resource }),
    async close() {
      closing.abort()
      const flushed = new AbortController()
      const late = clock.sleep(FLUSH_MS, flushed.signal).catch(() => {})
      // a failure was told by then
      const all = Promise.allSettled([push(), processor.shutdown()])
      await Promise.race([all, late])
      flushed.abort()
    },
  }
}

function watched(exporter: SpanExporter, failed: (error: unknown) => void): SpanExporter {
  return {
    export(spans, done) {
      exporter.export(spans, result => {
        if (result.error) failed(result.error)
        done(result)
      })
    },
    shutdown: () => exporter.shutdown(),
  }
}

/** A status or a code where there is one: what a collector writes is not repeated. */
function reasonOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  if (typeof code === 'number') return `HTTP ${code}`
  if (typeof code === 'string') return code
  return error instanceof Error ? error.message : String(error)
}
