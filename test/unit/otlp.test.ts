import type { ServerResponse } from 'node:http'
import { afterEach, describe, expect, test, vi } from 'vitest'
import type { Clock } from '../../platform/clock.ts'
import { systemClock } from '../../platform/clock.ts'
import { createMetrics } from '../../platform/metrics.ts'
import { type OtlpOptions, openOtlp } from '../../platform/otlp.ts'
import { handClock } from './engine-kit.ts'
import { recordingLog } from './fakes/log.ts'
import { type LoopbackRequest, serveLoopback } from './loopback.ts'

const cleanups: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup()
})

/** Answers each request as told. */
async function collector(answer: (response: ServerResponse) => void = response => void response.end('{}')) {
  const received: LoopbackRequest[] = []
  const server = await serveLoopback((request, response) => {
    received.push(request)
    answer(response)
  })
  cleanups.push(async () => server[Symbol.asyncDispose]())
  return { url: server.url, received }
}

function open(endpoint: string, clock: Clock, more: Partial<OtlpOptions> = {}) {
  const metrics = createMetrics()
  cleanups.push(() => metrics.close())
  const log = recordingLog()
  const options = { endpoint, headers: {}, serviceName: 'socos-poller', instanceId: 'host-1', traceShare: 1 }
  const otlp = openOtlp({ ...options, ...more }, { metrics, log, clock })
  return { otlp, metrics, log }
}

const complaints = (log: { lines: readonly { message: string }[] }) =>
  log.lines.filter(({ message }) => message.startsWith('telemetry could not be sent'))

describe('a collector', () => {
  test('gets at the end every span and the metrics as they stand, with the name of the service', async () => {
    const { url, received } = await collector()
    const { otlp, metrics, log } = open(`${url}/otlp`, handClock(), { headers: { authorization: 'Bearer t' } })
    metrics.count('alerts_published_total', { origin: 'poll' }, 7)
    metrics.gauge('tenant_freshness_seconds', () => [{ labels: { tenant: 't-1' }, value: 61.5 }])
    const span = otlp.tracer.start('poll', 'internal', { 'socos.tenant.id': 't-1' })
    span?.end()
    await otlp.close()
    expect(received.map(({ path }) => path).toSorted()).toEqual(['/otlp/v1/metrics', '/otlp/v1/traces'])
    const bodyOf = (path: string): string => received.find(each => each.path.endsWith(path))?.body ?? ''
    for (const { headers, body } of received) {
      expect(headers).toMatchObject({ authorization: 'Bearer t', 'content-type': 'application/json' })
      expect(body).toContain('{"key":"service.name","value":{"stringValue":"socos-poller"}}')
      expect(body).toContain('{"key":"service.instance.id","value":{"stringValue":"host-1"}}')
    }
    const [, traceId, spanId] = span?.traceparent.split('-') ?? []
    expect(bodyOf('/v1/traces')).toContain(`"traceId":"${traceId}","spanId":"${spanId}"`)
    const pushed = JSON.parse(bodyOf('/v1/metrics')) as { resourceMetrics: { scopeMetrics: { metrics: Pushed[] }[] }[] }
    const all = pushed.resourceMetrics.flatMap(({ scopeMetrics }) => scopeMetrics.flatMap(each => each.metrics))
    const published = all.find(({ name }) => name === 'socos_alerts_published_total')?.sum?.dataPoints
    expect(published?.map(({ asDouble }) => asDouble)).toContain(7)
    const freshness = all.find(({ name }) => name === 'socos_tenant_freshness_seconds')?.gauge?.dataPoints
    expect(freshness).toMatchObject([
      { asDouble: 61.5, attributes: [{ key: 'tenant', value: { stringValue: 't-1' } }] },
    ])
    expect(log.lines).toEqual([])
  })

  test('gets the metrics every minute', async () => {
    const { url, received } = await collector()
    const clock = handClock()
    const { otlp } = open(url, clock)
    for (const pushes of [1, 2]) {
      await clock.advance(60_000)
      await vi.waitFor(() => expect(received).toHaveLength(pushes), { timeout: 10_000 })
    }
    expect(received.every(({ path }) => path === '/v1/metrics')).toBe(true)
    await otlp.close()
  })
})

interface Pushed {
  readonly name: string
  readonly sum?: { readonly dataPoints: readonly { readonly asDouble: number }[] }
  readonly gauge?: { readonly dataPoints: readonly object[] }
}

describe('a collector that fails', () => {
  test('costs a line a minute, which says how many were kept back and nothing that it wrote', async () => {
    const { url } = await collector(response => void response.writeHead(400, 'sentinel').end('sentinel'))
    const clock = handClock()
    const { otlp, log, metrics } = open(url, clock)
    await clock.advance(60_000)
    await vi.waitFor(() => expect(complaints(log)).toHaveLength(1), { timeout: 10_000 })
    expect(complaints(log)[0]).toMatchObject({
      level: 'warn',
      fields: { what: 'metrics', reason: 'HTTP 400', unsaid: 0 },
    })
    expect(JSON.stringify(log.lines)).not.toContain('sentinel')
    // within the same minute
    otlp.tracer.start('poll', 'internal', {})?.end()
    await otlp.close()
    expect(complaints(log)).toHaveLength(1)
    expect(await metrics.scrape()).toContain('socos_alerts_published_total')
  })

  test('that is not there is told with the code of the network', async () => {
    const { url } = await collector()
    await cleanups.pop()?.()
    const clock = handClock()
    // too short for a second try
    const { otlp, log } = open(url, clock, { timeoutMs: 200 })
    await clock.advance(60_000)
    await vi.waitFor(() => expect(complaints(log)).toHaveLength(1), { timeout: 10_000 })
    expect(complaints(log)[0]).toMatchObject({ fields: { what: 'metrics', reason: 'ECONNREFUSED' } })
    await clock.advance(60_000)
    await vi.waitFor(() => expect(complaints(log)).toHaveLength(2), { timeout: 10_000 })
    await otlp.close()
  })

  test('that never answers holds up the end for two seconds, not longer', async () => {
    const { url, received } = await collector(() => {})
    const clock = handClock()
    const { otlp } = open(url, clock)
    otlp.tracer.start('poll', 'internal', {})?.end()
    let closed = false
    const closing = otlp.close().then(() => (closed = true))
    await vi.waitFor(() => expect(received).toHaveLength(2), { timeout: 10_000 })
    await clock.advance(1_999)
    expect(closed).toBe(false)
    await clock.advance(1)
    await closing
  })

  test('loses what comes faster than it goes, and the work does not notice', async () => {
    const { url, received } = await collector(() => {})
    const { otlp } = open(url, systemClock)
    for (let n = 0; n < 10_000; n++) otlp.tracer.start('poll', 'internal', { 'socos.lane': n })?.end()
    await vi.waitFor(() => expect(received.length).toBeGreaterThan(0), { timeout: 10_000 })
    await otlp.close()
    const sent = received.filter(({ path }) => path === '/v1/traces')
    const spans = sent.reduce((sum, { body }) => sum + body.split('"spanId"').length - 1, 0)
    expect(spans).toBeGreaterThanOrEqual(512)
    expect(spans).toBeLessThanOrEqual(512 + 2_048)
  })
})
