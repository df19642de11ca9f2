import { InMemorySpanExporter, type ReadableSpan, SimpleSpanProcessor } from '@opentelemetry/sdk-trace'
import type { Tracer } from '../../platform/trace.ts'
import { createTracer } from '../../platform/trace-otel.ts'

interface SeenSpan {
  readonly name: string
  readonly kind: number
  readonly traceId: string
  readonly spanId: string
  readonly parentId: string | undefined
  readonly attributes: Readonly<Record<string, unknown>>
  /** `traceId/spanId` */
  readonly links: readonly string[]
  readonly status: number
}

/** A tracer that follows everything unless told otherwise, and what it has told so far, in the order of their ends. */
export function tracerForTest({ ratio = 1 } = {}): { readonly tracer: Tracer; spans(): readonly SeenSpan[] } {
  const exporter = new InMemorySpanExporter()
  const processor = new SimpleSpanProcessor({ exporter })
  const tracer = createTracer({ processor, ratio, resource: { 'service.name': 'test' } })
  return { tracer, spans: () => exporter.getFinishedSpans().map(seen) }
}

function seen(span: ReadableSpan): SeenSpan {
  const { traceId, spanId } = span.spanContext()
  return {
    name: span.name,
    kind: span.kind,
    traceId,
    spanId,
    parentId: span.parentSpanContext?.spanId,
    attributes: span.attributes,
    links: span.links.map(({ context }) => `${context.traceId}/${context.spanId}`),
    status: span.status.code,
  }
}
