import { type SpanAttributes, TRACEPARENT } from './trace-names.ts'

/**
 * Spans as the pipeline tells them. Whoever works has a Tracer, or null: then nothing is made, carried or sent.
 * Only `trace-otel.ts` knows what stands behind.
 */
export interface Tracer {
  /** A new trace; null: this one is not to be followed. */
  start(name: string, kind: SpanKind, attributes: SpanAttributes, links?: readonly TraceContext[]): Span | null
}

export type SpanKind = 'internal' | 'producer' | 'client'

export interface Span {
  /** What others are to know it by. */
  readonly traceparent: string
  child(name: string, kind: SpanKind, attributes: SpanAttributes): Span
  set(attributes: SpanAttributes): void
  /** `type` is a word of ours, a code or the name of an error's class; never a message. */
  fail(type: string): void
  end(): void
}

/** A span of somebody else's. */
export interface TraceContext {
  readonly traceId: string
  readonly spanId: string
  readonly sampled: boolean
}

/** More spans than this, a batch is not linked to. */
const LINKS_MAX = 32
const TEXT_CHARS_MAX = 512
/** Version 00 has four parts; a later one may have more. `ff` and ids of zeros are none. */
const GRAMMAR = /^(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-[\x20-\x7e]*)?$/
const SAMPLED = 1

/** By the grammar of W3C Trace Context; null for anything else. */
export function parseTraceparent(text: string): TraceContext | null {
  if (text.length > TEXT_CHARS_MAX) return null
  const [, version, traceId, spanId, flags, more] = GRAMMAR.exec(text) ?? []
  if (traceId === undefined || spanId === undefined || flags === undefined) return null
  if (version === '00' && more !== undefined) return null
  return { traceId, spanId, sampled: (Number.parseInt(flags, 16) & SAMPLED) === SAMPLED }
}

/** Of the headers of a record, which anybody may have written: one `traceparent` or none. */
export function traceparentIn(headers: Readonly<Record<string, unknown>> | undefined): TraceContext | null {
  if (headers === undefined || !Object.hasOwn(headers, TRACEPARENT)) return null
  const value = headers[TRACEPARENT]
  // KafkaJS gives bytes, and a list where a name stands twice
  return Buffer.isBuffer(value) && value.length <= TEXT_CHARS_MAX ? parseTraceparent(value.toString('latin1')) : null
}

/** Each span once, the first of them when there are too many. */
export function linksOf(contexts: Iterable<TraceContext | undefined>): readonly TraceContext[] {
  const links = new Map<string, TraceContext>()
  for (const context of contexts) {
    if (context) links.set(context.traceId + context.spanId, context)
    if (links.size === LINKS_MAX) break
  }
  return [...links.values()]
}

/** Does the task within the span: it ends with it, and fails with it. */
export async function within<T>(span: Span | null, task: () => Promise<T>): Promise<T> {
  if (span === null) return task()
  try {
    return await task()
  } catch (error) {
    span.fail(error instanceof Error ? error.constructor.name : 'unknown')
    throw error
  } finally {
    span.end()
  }
}
