/**
 * A stand-in for Entra and Graph that is as fast as Node can be: a tenant's alerts lie in one pre-rendered buffer, and a
 * page is a piece of it. `node bench/graph-standin.ts PORT TENANTS ALERTS_PER_TENANT`. Not the simulator: no faults, no
 * ledger. `GET /tenants` gives the tenants' ids.
 */
import { createServer } from 'node:http'
import { normaliseTime } from '../producers/window.ts'
import type { Chance } from './alerts.ts'
import { chanceFrom, makeAlert, stampOf, tenantIdOf } from './alerts.ts'

interface Tenant {
  /** All of its alerts, with a comma after each. */
  readonly bytes: Buffer
  /** Where each begins, and the end. */
  readonly offsets: readonly number[]
  /** Update times, ascending. */
  readonly times: readonly string[]
}

const [port, tenantCount, perTenant] = process.argv.slice(2).map(Number) as [number, number, number]
const SEED = 1
/** The most that one page holds, whatever `$top` says; ours asks for 1,000, the peers for 500. */
const PAGE_MAX = 1_000
const ALERT_BYTES_MAX = 6_000
// between 90 and 30 minutes ago: the look-back finds them all, and no poll lists them a second time
const SPAN_MS = 3_600_000
const fromMs = Date.now() - 1_800_000 - SPAN_MS
// tokens of Entra are about so long
const SIGNATURE = 'x'.repeat(1_200)

const chance = chanceFrom(SEED)
const tenants = new Map(Array.from({ length: tenantCount }, (_, n) => [tenantIdOf(n), render(tenantIdOf(n), chance)]))

function render(tenantId: string, chance: Chance): Tenant {
  const bytes = Buffer.allocUnsafe(perTenant * ALERT_BYTES_MAX)
  const offsets = [0]
  const times: string[] = []
  const stepMs = SPAN_MS / Math.max(1, perTenant)
  let end = 0
  for (let n = 0; n < perTenant; n++) {
    const atMs = Math.floor(fromMs + stepMs * n) + chance(Math.ceil(stepMs))
    end += bytes.write(`${makeAlert(chance, tenantId, atMs).json},`, end, 'latin1')
    offsets.push(end)
    times.push(stampOf(atMs))
  }
  // a copy of the right size: what was not needed is not held
  return { bytes: Buffer.from(bytes.subarray(0, end)), offsets, times }
}

function firstNotBefore(times: readonly string[], time: string): number {
  let [low, high] = [0, times.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if ((times[middle] ?? '') < time) low = middle + 1
    else high = middle
  }
  return low
}

const server = createServer((request, response) => {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://standin')
  const asks = /^\/([0-9a-f-]{36})\/oauth2\/v2\.0\/token$/.exec(pathname)?.[1]
  if (asks !== undefined) {
    const claims = Buffer.from(JSON.stringify({ tid: asks, roles: ['SecurityAlert.Read.All'] })).toString('base64url')
    request.resume()
    const token = `e30.${claims}.${SIGNATURE}`
    return send(200, Buffer.from(JSON.stringify({ token_type: 'Bearer', expires_in: 3599, access_token: token })))
  }
  if (pathname === '/tenants') return send(200, Buffer.from(JSON.stringify([...tenants.keys()])))
  const tenant = tenants.get(tenantOf(request.headers.authorization ?? ''))
  if (!tenant || pathname !== '/v1.0/security/alerts_v2') return send(tenant ? 404 : 401, Buffer.from('{"error":{}}'))
  const filter = searchParams.get('$filter') ?? ''
  const [, from = '', to = ''] = /^lastUpdateDateTime ge (\S+) and lastUpdateDateTime lt (\S+)$/.exec(filter) ?? []
  const [first, end] = [normaliseTime(from), normaliseTime(to)].map(time => time && firstNotBefore(tenant.times, time))
  if (typeof first !== 'number' || typeof end !== 'number') return send(400, Buffer.from('{"error":{}}'))
  const top = Math.min(PAGE_MAX, Number(searchParams.get('$top') ?? PAGE_MAX))
  const begin = Math.max(first, Number(searchParams.get('$skiptoken') ?? first))
  const next = Math.min(begin + top, end)
  const page = tenant.bytes.subarray(
    tenant.offsets[begin],
    Math.max(tenant.offsets[begin] ?? 0, (tenant.offsets[next] ?? 0) - 1),
  )
  const query = new URLSearchParams({ $filter: filter, $top: String(top), $skiptoken: String(next) })
  const link = next < end ? `,"@odata.nextLink":"http://${request.headers.host}${pathname}?${query.toString()}"` : ''
  send(200, Buffer.from('{"value":['), page, Buffer.from(`]${link}}`))

  function send(status: number, ...parts: readonly Buffer[]): void {
    const length = parts.reduce((sum, part) => sum + part.length, 0)
    response.writeHead(status, { 'content-type': 'application/json', 'content-length': length })
    for (const part of parts) response.write(part)
    response.end()
  }
})
server.keepAliveTimeout = 60_000
server.listen(port, '127.0.0.1', () => process.stdout.write('ready\n'))
process.once('SIGTERM', () => process.exit(0))

/** The token is opaque to the peers and read by ours; both send it back as it is. */
function tenantOf(authorization: string): string {
  const claims = Buffer.from(authorization.split('.')[1] ?? '', 'base64url').toString()
  return /"tid":"([0-9a-f-]{36})"/.exec(claims)?.[1] ?? ''
}
