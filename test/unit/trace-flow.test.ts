/** One alert, from the poll that found it to the request that delivers it, told by spans. */
import { afterEach, describe, expect, test } from 'vitest'
import { createCircuit } from '../../consumers/engine/circuit.ts'
import { createEngine, ENGINE_DEFAULTS } from '../../consumers/engine/client.ts'
import { TenantDirectory } from '../../consumers/enrich.ts'
import { createForward, FORWARD_LIMITS } from '../../consumers/forward.ts'
import { Ledger } from '../../consumers/ledger.ts'
import { nextRound, openWindow } from '../../consumers/window.ts'
import { systemClock } from '../../platform/clock.ts'
import type { Appender, OutRecord } from '../../platform/kafka/producer.ts'
import type { LogRecord } from '../../platform/kafka/queue.ts'
import { type Tracer, traceparentIn } from '../../platform/trace.ts'
import { acceptAll, item, items, scriptedEngine } from './engine-kit.ts'
import type { GraphScript } from './fakes/poller-graph.ts'
import { pollerWorld, TOPICS } from './fakes/poller-world.ts'
import { logRecord, TENANT_A, tenantOf } from './fakes/records.ts'
import { type LoopbackRequest, serveLoopback } from './loopback.ts'
import { tracerForTest } from './traced.ts'

const cleanups: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup()
})

/** A poller's lane that finds these alerts in one turn, and what it put on the log. */
async function polled(tracer: Tracer | undefined, alerts: readonly string[], graph: GraphScript = {}) {
  const written: { topic: string; record: OutRecord }[] = []
  const between = (publisher: Appender): Appender => ({
    append(topic, partition, records) {
      written.push(...records.map(record => ({ topic, record })))
      return publisher.append(topic, partition, records)
    },
  })
  const world = pollerWorld({ lookbackMs: 3_600_000, between, graph, ...(tracer ? { tracer } : {}) })
  for (const alert of alerts) world.graph.change({ alert, atMs: world.startMs - 60_000 })
  world.start()
  await world.pass(5_000)
  const of = (topic: string): OutRecord[] => written.flatMap(each => (each.topic === topic ? [each.record] : []))
  return { world, alerts: of(TOPICS.alerts), checkpoints: of(TOPICS.checkpoints) }
}

/** As a forwarder takes it from Kafka: headers are bytes. */
function taken({ key, value, headers = {} }: OutRecord, offset: number): LogRecord {
  const trace = traceparentIn(Object.fromEntries(Object.entries(headers).map(([k, v]) => [k, Buffer.from(v)])))
  return { ...logRecord(offset, key, value), ...(trace ? { trace } : {}) }
}

/** The engine's side of a real connection: it takes everything and keeps the headers. */
async function listeningEngine() {
  const requests: LoopbackRequest[] = []
  const server = await serveLoopback((request, response) => {
    requests.push(request)
    const sent = JSON.parse(request.body) as { items: { id: string }[] }
    response.end(JSON.stringify({ items: sent.items.map(({ id }) => ({ id, status: 200 })) }))
  })
  const endpoint = new URL(`${server.url}/v1/alerts:batch`)
  const options = {
    ...ENGINE_DEFAULTS,
    endpoint,
    tokenFile: null,
    signingKeysFile: null,
    tls: null,
    encoding: 'identity',
  } as const
  const engine = createEngine(options, { clock: systemClock })
  cleanups.push(
    async () => server[Symbol.asyncDispose](),
    () => engine.close(),
  )
  return { engine, requests }
}

/** The forwarder's way, from records to the engine. */
async function forwarded(
  tracer: Tracer | null,
  records: readonly LogRecord[],
  codec: Parameters<typeof openWindow>[1],
) {
  const { engine, requests } = await listeningEngine()
  const tenants = new TenantDirectory()
  tenants.set(tenantOf(TENANT_A))
  const window = await openWindow(records, codec, () => true)
  const round = nextRound(window, new Ledger(), tenants, systemClock.now(), 'native')
  const never = new AbortController().signal
  const forward = forwardTo(engine, tracer)
  expect(await forward(round.items, () => {}, { halt: never, abort: never })).toBe('done')
  return requests
}

function forwardTo(engine: Parameters<typeof createForward>[0]['engine'], tracer: Tracer | null) {
  const circuit = createCircuit({ clock: systemClock, random: () => 0.5, observe: { circuit: () => {} } })
  const observe = { attempt: () => {} }
  return createForward({
    engine,
    circuit,
    tracer,
    clock: systemClock,
    random: () => 0.5,
    limits: FORWARD_LIMITS,
    observe,
  })
}

describe('an alert', () => {
  test('can be followed from the poll over its record to the request that delivers it', async () => {
    const poller = tracerForTest()
    const { alerts, world } = await polled(poller.tracer, ['a1', 'a2'])
    const [send, poll, ...more] = poller.spans()
    expect(more).toEqual([])
    expect(poll).toMatchObject({
      name: 'poll',
      parentId: undefined,
      attributes: {
        'socos.tenant.id': TENANT_A,
        'socos.outcome': 'ok',
        'socos.alerts.published': 2,
        'socos.alerts.quarantined': 0,
      },
    })
    expect(send).toMatchObject({
      name: 'send alerts',
      traceId: poll?.traceId,
      parentId: poll?.spanId,
      attributes: {
        'messaging.system': 'kafka',
        'messaging.operation.name': 'send',
        'messaging.destination.name': 'alerts',
        'messaging.batch.message_count': 2,
        'messaging.kafka.offset': 0,
      },
    })
    expect(alerts.map(({ headers }) => headers)).toEqual([
      { traceparent: `00-${poll?.traceId}-${poll?.spanId}-01` },
      { traceparent: `00-${poll?.traceId}-${poll?.spanId}-01` },
    ])

    const forwarder = tracerForTest({ ratio: 0 })
    const [request, ...others] = await forwarded(forwarder.tracer, alerts.map(taken), world.codecs.alerts)
    expect(others).toEqual([])
    const [delivery, ...rest] = forwarder.spans()
    expect(rest).toEqual([])
    expect(delivery).toMatchObject({
      name: 'POST /v1/alerts:batch',
      parentId: undefined,
      links: [`${poll?.traceId}/${poll?.spanId}`],
      attributes: { 'messaging.batch.message_count': 2, 'socos.outcome': 'items' },
    })
    expect(request?.headers['traceparent']).toBe(`00-${delivery?.traceId}-${delivery?.spanId}-01`)
    expect(request?.body).not.toContain(poll?.traceId)
  })

  test('leaves nothing of itself, and no name of a customer, in a span', async () => {
    const { tracer, spans } = tracerForTest()
    const { alerts, world } = await polled(tracer, ['alert-nobody-may-read'])
    await forwarded(tracer, alerts.map(taken), world.codecs.alerts)
    expect(spans()).toHaveLength(3)
    expect(JSON.stringify(spans())).not.toMatch(/nobody-may-read|Customer/)
  })
})

describe('without tracing', () => {
  test('a poller writes no header', async () => {
    const { alerts, checkpoints } = await polled(undefined, ['a1'])
    expect(alerts).toHaveLength(1)
    for (const record of [...alerts, ...checkpoints]) expect(record).not.toHaveProperty('headers')
  })

  test('a turn that is not followed writes no header either', async () => {
    const { tracer, spans } = tracerForTest({ ratio: 0 })
    const { alerts } = await polled(tracer, ['a1'])
    expect(alerts).toHaveLength(1)
    expect(alerts[0]).not.toHaveProperty('headers')
    expect(spans()).toEqual([])
  })

  test('a forwarder sends no header, whatever the records carry', async () => {
    const { alerts, world } = await polled(tracerForTest().tracer, ['a1'])
    const [request] = await forwarded(null, alerts.map(taken), world.codecs.alerts)
    expect(request?.headers).not.toHaveProperty('traceparent')
  })
})

describe('a turn', () => {
  test('that needs somebody says so by its code; nothing is published', async () => {
    const { tracer, spans } = tracerForTest()
    const what = 'needs-attention' as const
    await polled(tracer, ['a1'], { spans: [{ fromMs: 0, untilMs: Infinity, what }] })
    expect(spans()).toHaveLength(1)
    expect(spans()[0]).toMatchObject({ name: 'poll', status: 2, attributes: { 'socos.outcome': what } })
    expect(String(spans()[0]?.attributes['error.type'])).toMatch(/^[\w-]+$/)
  })
})

describe('a request', () => {
  const never = new AbortController().signal

  test('of many polls is linked to 32 of them at most, each once', async () => {
    const { tracer, spans } = tracerForTest()
    const batch = items(500).map((each, n) => ({
      ...each,
      trace: {
        traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
        spanId: String(1 + (n % 100)).padStart(16, '0'),
        sampled: true,
      },
    }))
    await forwardTo(scriptedEngine(acceptAll), tracer)(batch, () => {}, { halt: never, abort: never })
    const [span] = spans()
    expect(span?.links).toHaveLength(32)
    expect(new Set(span?.links).size).toBe(32)
  })

  test('that fails is told by the kind of its answer', async () => {
    const { tracer, spans } = tracerForTest()
    const engine = scriptedEngine((ids, request) =>
      request === 0 ? { kind: 'too-large', detail: 'HTTP 413: sentinel' } : acceptAll(ids),
    )
    await forwardTo(engine, tracer)([item(1), item(2)], () => {}, { halt: never, abort: never })
    expect(
      spans().map(({ status, attributes }) => [status, attributes['error.type'], attributes['socos.outcome']]),
    ).toEqual([
      [2, 'too-large', 'too-large'],
      [0, undefined, 'items'],
      [0, undefined, 'items'],
    ])
    expect(JSON.stringify(spans())).not.toContain('sentinel')
  })
})
