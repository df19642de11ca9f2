/**
 * A stand-in for Entra and Graph of which the benchmark knows what was visible when, and when it was asked.
 * `node bench/live-graph-standin.ts PORT TENANTS INTERVAL_MS`. It begins with no alerts at all.
 *   POST /control/show?start=MS&rate=R&count=N   R alerts a second from then on, N in all
 *   GET  /control/shown                          when each was first in an answer, as doubles; 0: not yet
 *   POST /control/watch · GET /control/watch     begins to watch · how punctual the polls were since
 */
import type { IncomingMessage } from 'node:http'
import { createServer } from 'node:http'
import { tenantIdOf } from './alerts.ts'
import { paceWatch } from './pace.ts'
import type { Schedule } from './shown-alerts.ts'
import { alertPress, evenly } from './shown-alerts.ts'

const [port, tenants, intervalMs] = process.argv.slice(2).map(Number) as [number, number, number]
const numbers = new Map(Array.from({ length: tenants }, (_, n) => [tenantIdOf(n), n]))
const presses = new Map<number, ReturnType<typeof alertPress>>()
const pace = paceWatch(tenants, intervalMs)
/** Windows that end longer ago are look-backs and sweeps, which keep no pace. */
const LIVE_MS = 30_000
const EMPTY = Buffer.from('{"value":[]}')

let schedule: Schedule = { between: () => [], visibleMs: () => 0 }
let shownMs = new Float64Array(0)
let tokens = 0

const server = createServer((request, response) => {
  const nowMs = Date.now()
  const url = new URL(request.url ?? '/', 'http://standin')
  request.resume()
  if (url.pathname.startsWith('/control/')) return control(request.method ?? '', url)
  const tenant = /^\/([0-9a-f-]{36})\/oauth2\/v2\.0\/token$/.exec(url.pathname)?.[1]
  if (tenant) {
    tokens++
    const claims = Buffer.from(JSON.stringify({ tid: tenant, roles: ['SecurityAlert.Read.All'] })).toString('base64url')
    return json({ token_type: 'Bearer', expires_in: 3599, access_token: `e30.${claims}.x` })
  }
  answer(url, tenantOf(request), nowMs)

  /** What is visible now; a link goes on with what was visible when its first page was asked for. */
  function answer({ searchParams, pathname }: URL, tenant: number, nowMs: number): void {
    const filter = searchParams.get('$filter') ?? ''
    const [from = 0, to = 0] = [...filter.matchAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g)].map(([time]) => Date.parse(time))
    const top = Number(searchParams.get('$top'))
    const [first, asOfMs] = (searchParams.get('$skiptoken') ?? `0,${nowMs}`).split(',').map(Number) as [number, number]
    if (first === 0 && nowMs - to < LIVE_MS) pace.polled(tenant, nowMs)
    const found = schedule.between(tenant, from, Math.min(to, asOfMs), first, top)
    const last = found.at(-1)
    if (last === undefined) return send(EMPTY)
    const link = new URL(`http://${request.headers.host}${pathname}`)
    link.search = `$filter=${encodeURIComponent(filter)}&$top=${top}&$skiptoken=${last + 1},${asOfMs}`
    send(pageOf(tenant, found, found.length < top ? '' : `,"@odata.nextLink":${JSON.stringify(link.href)}`))
    const writtenMs = Date.now()
    for (const k of found) shownMs[k] ||= writtenMs
  }

  function control(method: string, { pathname, searchParams }: URL): void {
    const asked = (name: string): number => Number(searchParams.get(name))
    switch (`${method} ${pathname}`) {
      case 'POST /control/show':
        schedule = evenly(asked('start'), asked('rate'), asked('count'), tenants)
        shownMs = new Float64Array(asked('count'))
        return json({})
      case 'GET /control/shown':
        return send(Buffer.from(shownMs.buffer))
      case 'POST /control/watch':
        pace.restart()
        return json({})
      default:
        return json({ ...pace.read(nowMs), tokens })
    }
  }

  function json(body: object): void {
    send(Buffer.from(JSON.stringify(body)))
  }

  function send(body: Buffer): void {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length })
    response.end(body)
  }
})
server.keepAliveTimeout = 60_000
server.listen(port, '127.0.0.1', () => process.stdout.write('ready\n'))
process.once('SIGTERM', () => process.exit(0))

function tenantOf({ headers }: IncomingMessage): number {
  const claims = JSON.parse(Buffer.from(headers.authorization?.split('.')[1] ?? '', 'base64url').toString()) as {
    readonly tid: string
  }
  return numbers.get(claims.tid) ?? -1
}

function pageOf(tenant: number, found: readonly number[], rest: string): Buffer {
  const press = presses.get(tenant) ?? alertPress(tenantIdOf(tenant), tenant)
  presses.set(tenant, press)
  const head = '{"value":['
  const tail = `]${rest}}`
  const page = Buffer.allocUnsafe(head.length + found.length * (press.bytesMax + 1) + tail.length)
  let end = page.write(head, 'latin1')
  for (const [n, k] of found.entries()) {
    if (n > 0) end += page.write(',', end, 'latin1')
    end += press.print(k, schedule.visibleMs(k), page.subarray(end))
  }
  end += page.write(tail, end, 'latin1')
  return page.subarray(0, end)
}
