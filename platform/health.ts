import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Clock } from './clock.ts'
import { systemClock } from './clock.ts'
import { scrub } from './log-scrub.ts'
import { METRICS_CONTENT_TYPE } from './metrics.ts'

/** Words that anybody in the cluster may read: no tenant, no address, no secret. */
interface CheckResult {
  readonly ok: boolean
  readonly detail: string
}

/** Answers within two seconds and changes nothing; throwing means not ok. */
export type Check = () => CheckResult | Promise<CheckResult>

/**
 * live: the process moves; never Kafka, Graph, registry or engine, whose outage would otherwise restart everything.
 * ready: joined and own lanes restored. started: settings read, Kafka and registry reached once.
 */
interface Checks {
  readonly live: Readonly<Record<string, Check>>
  readonly ready: Readonly<Record<string, Check>>
  readonly started: Readonly<Record<string, Check>>
}

export interface HealthOptions {
  readonly port: number
  readonly host: string
  readonly checks: Checks
  readonly scrape: () => Promise<string>
  readonly clock?: Pick<Clock, 'sleep'>
}

export interface Health {
  /** The port in use: another than asked for when that was 0. */
  readonly port: number
  close(): Promise<void>
}

const CHECK_TIMEOUT_MS = 2_000
const MAX_DETAIL_CHARS = 200
const MAX_CONNECTIONS = 64

interface Answer {
  readonly status: number
  readonly type: string
  readonly body: string
}

/**
 * Serves /livez, /readyz, /startupz (200 or 503 with short JSON) and /metrics. Rejects, in words, when the port
 * cannot be taken.
 */
export async function startHealth(options: HealthOptions): Promise<Health> {
  const server = createServer({ maxHeaderSize: 8_192, keepAliveTimeout: 5_000 }, (request, response) => {
    answer(request, options).then(
      result => send(request, response, result),
      () => send(request, response, json(500, { status: 'failed', detail: 'the answer could not be made' })),
    )
  })
  server.headersTimeout = 5_000
  server.requestTimeout = 10_000
  server.maxConnections = MAX_CONNECTIONS
  await listen(server, options.port, options.host)
  // a connection that could not be accepted is the caller's trouble; probes come again
  server.on('error', () => undefined)
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

function listen(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      reject(new Error(whyNoPort(error.code ?? '', port, host), { cause: error }))
    })
    server.listen({ port, host }, resolve)
  })
}

function whyNoPort(code: string, port: number, host: string): string {
  const place = `port ${port} on ${host} (HTTP_PORT, HTTP_HOST)`
  switch (code) {
    case 'EADDRINUSE':
      return `${place} is taken by another process: stop it, or set another HTTP_PORT (0 takes any free one)`
    case 'EACCES':
      return `${place} may not be opened by this user: set an HTTP_PORT above 1023`
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return `${place} cannot be opened: this machine has no such address`
    default:
      return `${place} cannot be opened (${code})`
  }
}

async function answer(request: IncomingMessage, options: HealthOptions): Promise<Answer> {
  const path = (request.url ?? '').split('?')[0] ?? ''
  const known = ['/livez', '/readyz', '/startupz', '/metrics'].includes(path)
  if (!known) return json(404, { status: 'not found' })
  if (request.method !== 'GET' && request.method !== 'HEAD') return json(405, { status: 'only GET and HEAD' })
  switch (path) {
    case '/livez':
      return await probe(options.checks.live, options)
    case '/readyz':
      return await probe(options.checks.ready, options)
    case '/startupz':
      return await probe(options.checks.started, options)
    default:
      return { status: 200, type: METRICS_CONTENT_TYPE, body: await options.scrape() }
  }
}

async function probe(checks: Readonly<Record<string, Check>>, { clock }: HealthOptions): Promise<Answer> {
  const results = await Promise.all(
    Object.entries(checks).map(async ([name, check]) => [name, await run(check, clock ?? systemClock)] as const),
  )
  const ok = results.every(([, result]) => result.ok)
  return json(ok ? 200 : 503, { status: ok ? 'ok' : 'not ok', checks: Object.fromEntries(results) })
}

async function run(check: Check, clock: Pick<Clock, 'sleep'>): Promise<CheckResult> {
  const stop = new AbortController()
  try {
    const late = clock
      .sleep(CHECK_TIMEOUT_MS, stop.signal)
      .then(() => ({ ok: false, detail: `no answer within ${CHECK_TIMEOUT_MS} ms` }))
    // the loser of the race is told to stop; its rejection is nobody's business
    late.catch(() => undefined)
    const { ok, detail } = await Promise.race([Promise.resolve().then(check), late])
    return { ok, detail: scrub(detail, MAX_DETAIL_CHARS) }
  } catch {
    return { ok: false, detail: 'the check itself failed' }
  } finally {
    stop.abort()
  }
}

function json(status: number, value: unknown): Answer {
  return { status, type: 'application/json; charset=utf-8', body: `${JSON.stringify(value)}\n` }
}

function send(request: IncomingMessage, response: ServerResponse, { status, type, body }: Answer): void {
  response.writeHead(status, {
    'content-type': type,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    // a body that nobody reads must not keep the connection
    ...(status === 405 ? { allow: 'GET, HEAD', connection: 'close' } : {}),
  })
  response.end(request.method === 'HEAD' ? undefined : body)
}
