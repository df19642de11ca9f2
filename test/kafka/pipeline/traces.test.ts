import { expect, test } from 'vitest'
import { kafkaClient } from '../../../platform/kafka/client.ts'
import { createLog } from '../../../platform/log.ts'
import { parseTraceparent, traceparentIn } from '../../../platform/trace.ts'
import { startCollector, startHeaderEngine } from './collector.ts'
import { type Pipeline, startPipeline, until } from './kit.ts'

interface LogEntry {
  readonly key: string
  readonly headers: Readonly<Record<string, unknown>>
}

/** The first `count` records of the alerts topic, as any consumer sees them. */
async function alertsOnLog({ stack, prefix }: Pipeline, count: number): Promise<readonly LogEntry[]> {
  const log = createLog({ level: 'error', service: 'test' })
  const access = { brokers: stack.brokers, clientId: 'test', tls: null, sasl: null }
  const consumer = kafkaClient(access, log).consumer({ groupId: `${prefix}looking` })
  const entries: LogEntry[] = []
  await consumer.connect()
  try {
    await consumer.subscribe({ topic: `${prefix}alerts`, fromBeginning: true })
    await consumer.run({
      eachMessage: async ({ message }) => {
        entries.push({ key: message.key?.toString() ?? '', headers: message.headers ?? {} })
      },
    })
    await until(
      () => entries.length >= count,
      60_000,
      () => `only ${entries.length} of ${count} records are there`,
    )
    return entries
  } finally {
    await consumer.disconnect()
  }
}

test('one alert can be followed from the poll over its record to the request that delivered it', async () => {
  await using collector = await startCollector()
  await using engine = await startHeaderEngine()
  await using pipeline = await startPipeline({
    name: 'traces',
    graph: { tenants: 4 },
    env: {
      ENGINE_URL: engine.url,
      ENGINE_COMPRESSION: 'identity',
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_TRACES_SAMPLER_ARG: '1',
    },
  })
  const workers = [await pipeline.start('poller'), await pipeline.start('forwarder')]
  const delivered = () => engine.requests.flatMap(({ items }) => items)
  const { graph } = pipeline
  for (const { tenantId } of graph.tenants) graph.addAlert(tenantId)
  await until(
    () => delivered().length >= graph.tenants.length,
    90_000,
    () =>
      `the engine has ${delivered().length} alerts\n${workers.map(worker => worker.log().slice(-1_500)).join('\n')}`,
  )
  const [item] = delivered()
  if (!item) throw new Error('nothing was delivered')
  const records = await alertsOnLog(pipeline, delivered().length)
  const record = records.find(({ key }) => key === `${item.tenant.id}/${item.alertId}`)
  const origin = traceparentIn(record?.headers)
  if (!origin) throw new Error(`no traceparent on the record of ${item.alertId}`)

  // a first turn goes on after its first alerts are there; its span comes when it has ended
  const pollSpan = () => collector.spans.find(({ spanId }) => spanId === origin.spanId)
  await until(() => pollSpan() !== undefined, 90_000)
  // what else waits to be sent is sent at the end
  for (const worker of workers) expect(await worker.stop()).toBe(0)

  const poll = pollSpan()
  expect(poll).toMatchObject({
    service: 'socos-poller',
    name: 'poll',
    traceId: origin.traceId,
    parentId: '',
    attributes: { 'socos.tenant.id': item.tenant.id, 'socos.outcome': 'ok' },
  })
  const send = collector.spans.find(({ traceId, name }) => traceId === origin.traceId && name.startsWith('send '))
  expect(send).toMatchObject({
    parentId: origin.spanId,
    attributes: { 'messaging.system': 'kafka', 'messaging.destination.name': `${pipeline.prefix}alerts` },
  })

  const request = engine.requests.find(({ items }) => items.some(({ id }) => id === item.id))
  const attempt = parseTraceparent(request?.traceparent ?? '')
  expect(attempt).toMatchObject({ sampled: true })
  const delivery = collector.spans.find(({ spanId }) => spanId === attempt?.spanId)
  expect(delivery).toMatchObject({
    service: 'socos-forwarder',
    name: 'POST /v1/alerts:batch',
    traceId: attempt?.traceId,
    attributes: { 'socos.outcome': 'items', 'messaging.batch.message_count': String(request?.items.length) },
  })
  expect(delivery?.links).toContain(`${origin.traceId}/${origin.spanId}`)

  expect([...collector.metrics]).toEqual(
    expect.arrayContaining([
      'socos-poller socos_alerts_published_total',
      'socos-forwarder socos_polled_to_accepted_seconds',
    ]),
  )
})

test('without a collector no record carries a header; one that is away holds up neither alerts nor the end', async () => {
  await using engine = await startHeaderEngine()
  const gone = await startCollector()
  await gone[Symbol.asyncDispose]()
  await using pipeline = await startPipeline({
    name: 'untraced',
    graph: { tenants: 2 },
    env: { ENGINE_URL: engine.url, ENGINE_COMPRESSION: 'identity' },
  })
  const workers = [
    await pipeline.start('poller'),
    await pipeline.start('forwarder', { OTEL_EXPORTER_OTLP_ENDPOINT: gone.url, OTEL_TRACES_SAMPLER_ARG: '0' }),
  ]
  for (const { tenantId } of pipeline.graph.tenants) pipeline.graph.addAlert(tenantId)
  await until(() => engine.requests.length > 0, 90_000)
  for (const worker of workers) expect(await worker.stop()).toBe(0)
  const records = await alertsOnLog(pipeline, 1)
  expect(records.filter(({ headers }) => Object.keys(headers).length > 0)).toEqual([])
  expect(engine.requests.filter(({ traceparent }) => traceparent !== undefined)).toEqual([])
})
