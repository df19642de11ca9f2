import {
  type Context,
  SpanKind as Kind,
  type Span as OtelSpan,
  type Tracer as OtelTracer,
  ROOT_CONTEXT,
  type SpanContext,
  SpanStatusCode,
  TraceFlags,
  trace,
} from '@opentelemetry/api'
import { resourceFromAttributes } from '@opentelemetry/resources'
import {
  ParentBasedSampler,
  type Sampler,
  SamplingDecision,
  type SpanProcessor,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace'
import type { Span, SpanKind, TraceContext, Tracer } from './trace.ts'
import { ATTRIBUTES } from './trace-names.ts'

interface TracerOptions {
  readonly processor: SpanProcessor
  /** Share of new traces that are followed. */
  readonly ratio: number
  readonly resource: Readonly<Record<string, string>>
}

const KINDS: Readonly<Record<SpanKind, Kind>> = {
  internal: Kind.INTERNAL,
  producer: Kind.PRODUCER,
  client: Kind.CLIENT,
}
const VALUE_CHARS_MAX = 256

/** Nothing global: no context manager, no registered provider, no instrumentation of others' code. */
export function createTracer({ processor, ratio, resource }: TracerOptions): Tracer {
  const provider = new TracerProvider({
    resource: resourceFromAttributes(resource),
    sampler: new ParentBasedSampler({ root: followLinks(new TraceIdRatioBasedSampler(ratio)) }),
    spanProcessors: [processor],
    spanLimits: { attributeValueLengthLimit: VALUE_CHARS_MAX },
  })
  const tracer = provider.getTracer('socos')
  return {
    start(name, kind, attributes, links = []) {
      const options = { kind: KINDS[kind], attributes, links: links.map(link => ({ context: spanContext(link) })) }
      const span = tracer.startSpan(name, options, ROOT_CONTEXT)
      return span.isRecording() ? spanOf(tracer, span) : null
    },
  }
}

function spanOf(tracer: OtelTracer, span: OtelSpan): Span {
  const { traceId, spanId } = span.spanContext()
  return {
    // only what is followed gets here
    traceparent: `00-${traceId}-${spanId}-01`,
    child(name, kind, attributes) {
      const context: Context = trace.setSpan(ROOT_CONTEXT, span)
      return spanOf(tracer, tracer.startSpan(name, { kind: KINDS[kind], attributes }, context))
    },
    set: attributes => void span.setAttributes(attributes),
    fail(type) {
      span.setAttribute(ATTRIBUTES.errorType, type)
      span.setStatus({ code: SpanStatusCode.ERROR })
    },
    end: () => span.end(),
  }
}

function spanContext({ traceId, spanId, sampled }: TraceContext): SpanContext {
  return { traceId, spanId, traceFlags: sampled ? TraceFlags.SAMPLED : TraceFlags.NONE, isRemote: true }
}

/** What carries on a trace that is followed is followed too: a trace that ends at Kafka would tell half the story. */
function followLinks(otherwise: Sampler): Sampler {
  return {
    shouldSample(context, traceId, name, kind, attributes, links) {
      const follows = links.some(link => (link.context.traceFlags & TraceFlags.SAMPLED) !== 0)
      return follows
        ? { decision: SamplingDecision.RECORD_AND_SAMPLED }
        : otherwise.shouldSample(context, traceId, name, kind, attributes, links)
    },
    toString: () => `followLinks{${otherwise.toString()}}`,
  }
}
