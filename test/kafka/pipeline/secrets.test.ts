import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { openReader } from '../../../platform/kafka/reader.ts'
import { TOPICS } from '../../../schemas/topics.ts'
import { type LoopbackRequest, serveLoopback } from '../../unit/loopback.ts'
import { testKafka } from './accounts.ts'
import { type Pipeline, startPipeline, until } from './kit.ts'

/**
 * Secrets that both neighbours throw back at us in their error texts, looked for in everything that leaves the pipeline:
 * logs at their most talkative, metrics, pages, traces, topics, and what the command line prints.
 */

const ENGINE_TOKEN = 'engine-token-5d41402abc4b2a76b9719d911017c592'
const SIGNING_KEY = Buffer.alloc(32, 7).toString('base64')

/** Before the simulated Graph: every third sign-in and every fourth list is refused with what the caller sent. */
async function startEchoingGraph(
  target: () => string,
): Promise<{ url: string; tokens: Set<string>; echoed: () => number }> {
  const tokens = new Set<string>()
  let asked = 0
  let echoed = 0
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString()
      const authorization = request.headers.authorization ?? ''
      if (authorization.startsWith('Bearer ')) tokens.add(authorization.slice(7))
      asked++
      const isToken = request.method === 'POST'
      if (asked > 6 && asked % (isToken ? 3 : 4) === 0) {
        echoed++
        const sent = isToken ? body : authorization
        const text = isToken
          ? { error: 'server_error', error_description: `AADSTS90033: A transient error with ${sent}. Trace ID: x` }
          : { error: { code: 'ServiceUnavailable', message: `cannot serve ${sent}` } }
        response.writeHead(503, {
          'content-type': 'application/json',
          'x-echo': encodeURIComponent(sent).slice(0, 2_000),
        })
        response.end(JSON.stringify(text))
        return
      }
      const headers = Object.fromEntries(Object.entries(request.headers).filter(([name]) => name !== 'connection'))
      const url = new URL(request.url ?? '/', target())
      const init = { method: request.method ?? 'GET', headers: headers as Record<string, string>, redirect: 'manual' }
      // fetch sets the host itself; the simulator's links are corrected on the way back
      fetch(url, { ...(init as RequestInit), ...(isToken ? { body } : {}) })
        .then(async answer => {
          const text = (await answer.text()).replaceAll(new URL(target()).host, request.headers.host ?? '')
          const type = answer.headers.get('content-type') ?? 'application/json'
          response.writeHead(answer.status, { 'content-type': type, date: answer.headers.get('date') ?? '' }).end(text)
        })
        .catch(() => response.destroy())
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, tokens, echoed: () => echoed }
}

/** Refuses every third request with the caller's own headers, takes the others. */
function echoingEngine(): {
  answer: Parameters<typeof serveLoopback>[0]
  delivered: Set<string>
  echoed: () => number
} {
  const delivered = new Set<string>()
  let asked = 0
  let echoed = 0
  const answer = ({ headers, body }: LoopbackRequest, response: ServerResponse): void => {
    if (++asked % 3 === 2) {
      echoed++
      response
        .writeHead(asked % 2 === 0 ? 503 : 401)
        .end(`who is ${headers.authorization?.slice('Bearer '.length)}? ${JSON.stringify(headers)}`)
      return
    }
    const { items } = JSON.parse(body) as { items: { id: string; alertId: string }[] }
    for (const { alertId } of items) delivered.add(alertId)
    response.end(JSON.stringify({ items: items.map(({ id }) => ({ id, status: 201 })) }))
  }
  return { answer, delivered, echoed: () => echoed }
}

/** Key, value and headers of every record there is. */
async function everyRecord({ prefix }: Pipeline): Promise<string> {
  const kafka = testKafka()
  const [admin, reader] = [kafka.admin(), await openReader(kafka)]
  await admin.connect()
  const texts: string[] = []
  for (const { name } of TOPICS) {
    for (const { partition } of await admin.fetchTopicOffsets(prefix + name)) {
      for await (const records of reader.read(prefix + name, partition, 0, Number.MAX_SAFE_INTEGER))
        texts.push(...records.map(({ key, value }) => `${key?.toString('latin1')} ${value?.toString('latin1')}`))
    }
  }
  await Promise.all([reader.close(), admin.disconnect()])
  return texts.join('\n')
}

test('no secret is found anywhere, though Graph and engine throw them back in their errors', async () => {
  const dir = await mkdtemp(path.join(tmpdir(), 'socos-secrets-'))
  onTestFinished(() => rm(dir, { recursive: true, force: true }))
  const file = async (name: string, text: string): Promise<string> => {
    await writeFile(path.join(dir, name), text)
    return path.join(dir, name)
  }
  let simulator = ''
  const graph = await startEchoingGraph(() => simulator)
  const engine = echoingEngine()
  await using engineServer = await serveLoopback(engine.answer)
  const telemetry: string[] = []
  await using collector = await serveLoopback(({ body, headers }, response) => {
    telemetry.push(body, JSON.stringify(headers))
    response.end('{}')
  })
  await using pipeline = await startPipeline({
    name: 'secrets',
    graph: { tenants: 4, backlogPerTenant: 5, ratePerSecond: 5 },
    env: {
      LOG_LEVEL: 'debug',
      GRAPH_SANDBOX_URL: graph.url,
      ENGINE_URL: engineServer.url,
      ENGINE_COMPRESSION: 'identity',
      ENGINE_TOKEN_FILE: await file('token', `${ENGINE_TOKEN}\n`),
      ENGINE_SIGNING_KEYS_FILE: await file('keys', `whsec_${SIGNING_KEY}\n`),
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_EXPORTER_OTLP_HEADERS_FILE: await file('headers', 'x-token=collector-token-4a8a08f09d37b737'),
      OTEL_TRACES_SAMPLER_ARG: '1',
    },
  })
  simulator = pipeline.graph.url
  const workers = await Promise.all([pipeline.start('poller'), pipeline.start('forwarder')])
  await Promise.all(workers.map(worker => worker.ready()))
  const said = () => workers.map(worker => worker.log()).join('\n')
  await until(() => graph.echoed() > 8 && engine.echoed() > 3 && engine.delivered.size > 20, 120_000, said)
  await until(() => telemetry.some(body => body.includes('resourceSpans')), 60_000, said)

  const pages: string[] = []
  for (const { url } of workers)
    for (const page of ['livez', 'readyz', 'startupz', 'metrics', 'nothing']) {
      pages.push(await (await fetch(`${url}/${page}`)).text())
    }
  for (const args of [
    ['status'],
    ['tenants', 'list', '-o', 'json'],
    ['parked', 'list', '-o', 'json'],
    ['config', 'print', '--role', 'poller'],
    ['config', 'print', '--role', 'forwarder'],
    ['sweep', '--since', '1h', '--dry-run'],
  ]) {
    const { out, err } = await pipeline.socos(...args)
    pages.push(out, err)
  }
  for (const worker of workers) expect(await worker.stop()).toBe(0)
  const headersSent = telemetry.filter(text => text.startsWith('{"') && text.includes('x-token'))
  expect(headersSent.length).toBeGreaterThan(0) // the collector's own token goes to the collector, in its header
  const places: Readonly<Record<string, string>> = {
    logs: said(),
    pages: pages.join('\n'),
    telemetry: telemetry.filter(text => !headersSent.includes(text)).join('\n'),
    topics: await everyRecord(pipeline),
  }
  expect(graph.tokens.size).toBeGreaterThan(3)
  const secrets = [
    ENGINE_TOKEN,
    SIGNING_KEY,
    'collector-token-4a8a08f09d37b737',
    ...graph.tokens,
    ...pipeline.graph.tenants.flatMap(({ secrets: own }) => own.map(({ value }) => value)),
  ]
  const forms = (secret: string): readonly string[] => [
    secret,
    encodeURIComponent(secret),
    Buffer.from(secret).toString('base64').replace(/=+$/, ''),
  ]
  for (const [place, text] of Object.entries(places)) {
    expect(text.length, place).toBeGreaterThan(500)
    expect({ place, found: secrets.filter(secret => forms(secret).some(form => text.includes(form))) }).toEqual({
      place,
      found: [],
    })
  }
})
