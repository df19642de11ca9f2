import { serveLoopback } from '../../unit/loopback.ts'

/** A span as it came over the wire. */
interface WireSpan {
  readonly service: string
  readonly name: string
  readonly traceId: string
  readonly spanId: string
  readonly parentId: string
  /** `traceId/spanId` */
  readonly links: readonly string[]
  readonly attributes: Readonly<Record<string, string>>
}

interface Collector extends AsyncDisposable {
  readonly url: string
  readonly spans: readonly WireSpan[]
  /** `service metric` */
  readonly metrics: ReadonlySet<string>
}

interface EngineRequest {
  readonly traceparent: string | undefined
  readonly items: readonly { readonly id: string; readonly alertId: string; readonly tenant: { readonly id: string } }[]
}

interface HeaderEngine extends AsyncDisposable {
  readonly url: string
  readonly requests: readonly EngineRequest[]
}

/** Takes OTLP over HTTP as JSON, which is all that the workers speak. */
export async function startCollector(): Promise<Collector> {
  const spans: WireSpan[] = []
  const metrics = new Set<string>()
  const server = await serveLoopback(({ path, body }, response) => {
    const sent = JSON.parse(body) as Otlp
    if (path === '/v1/traces') for (const one of sent.resourceSpans ?? []) spans.push(...spansOf(one))
    if (path === '/v1/metrics')
      for (const one of sent.resourceMetrics ?? []) for (const m of namesOf(one)) metrics.add(m)
    response.setHeader('content-type', 'application/json').end('{}')
  })
  return { ...server, spans, metrics }
}

/** Takes every alert, and keeps what the simulated engine does not: the header that names the attempt. */
export async function startHeaderEngine(): Promise<HeaderEngine> {
  const requests: EngineRequest[] = []
  const server = await serveLoopback(({ headers, body }, response) => {
    const { items } = JSON.parse(body) as EngineRequest
    const traceparent = headers['traceparent']
    requests.push({ items, traceparent: typeof traceparent === 'string' ? traceparent : undefined })
    response.end(JSON.stringify({ items: items.map(({ id }) => ({ id, status: 200 })) }))
  })
  return { ...server, requests }
}

interface Attribute {
  readonly key: string
  readonly value: { readonly stringValue?: string; readonly intValue?: number | string }
}

interface Resource {
  readonly resource: { readonly attributes: readonly Attribute[] }
}

interface OtlpSpans extends Resource {
  readonly scopeSpans: readonly {
    readonly spans: readonly {
      readonly name: string
      readonly traceId: string
      readonly spanId: string
      readonly parentSpanId?: string
      readonly links?: readonly { readonly traceId: string; readonly spanId: string }[]
      readonly attributes: readonly Attribute[]
    }[]
  }[]
}

interface OtlpMetrics extends Resource {
  readonly scopeMetrics: readonly { readonly metrics: readonly { readonly name: string }[] }[]
}

interface Otlp {
  readonly resourceSpans?: readonly OtlpSpans[]
  readonly resourceMetrics?: readonly OtlpMetrics[]
}

function spansOf(sent: OtlpSpans): readonly WireSpan[] {
  const service = serviceOf(sent)
  return sent.scopeSpans.flatMap(({ spans }) =>
    spans.map(({ name, traceId, spanId, parentSpanId = '', links = [], attributes }) => ({
      service,
      name,
      traceId,
      spanId,
      parentId: parentSpanId,
      links: links.map(link => `${link.traceId}/${link.spanId}`),
      attributes: textsOf(attributes),
    })),
  )
}

function namesOf(sent: OtlpMetrics): readonly string[] {
  return sent.scopeMetrics.flatMap(({ metrics }) => metrics.map(({ name }) => `${serviceOf(sent)} ${name}`))
}

function serviceOf({ resource }: Resource): string {
  return textsOf(resource.attributes)['service.name'] ?? ''
}

function textsOf(attributes: readonly Attribute[]): Record<string, string> {
  return Object.fromEntries(
    attributes.map(({ key, value }) => [key, String(value.stringValue ?? value.intValue ?? '')]),
  )
}
