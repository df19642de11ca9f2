/**
 * A stand-in for Entra and Graph that is as fast as Node can be: every tenant's alerts lie in one pre-rendered page.
 * `node bench/graph-standin.ts PORT TENANTS ALERTS_PER_TENANT`. Not the simulator: no faults, no ledger.
 */
import { createServer } from 'node:http'
import { alertJson, tenantIdOf } from './alerts.ts'

const [port, tenants, perTenant] = process.argv.slice(2).map(Number) as [number, number, number]
const EMPTY = Buffer.from('{"value":[]}')
// half an hour ago: the look-back finds them, the live window does not
const AT_MS = Date.now() - 1_800_000

const pages = new Map<string, Buffer>()
for (let n = 0; n < tenants; n++) {
  const tenantId = tenantIdOf(n)
  const at = (k: number): string => new Date(AT_MS + k).toISOString()
  const alerts = Array.from({ length: perTenant }, (_, k) => alertJson(tenantId, `da${n}-${k}`, at(k)))
  pages.set(tenantId, Buffer.from(`{"value":[${alerts.join(',')}]}`))
}

const server = createServer((request, response) => {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://standin')
  const tenant = /^\/([0-9a-f-]{36})\/oauth2\/v2\.0\/token$/.exec(pathname)?.[1]
  if (tenant) {
    const claims = Buffer.from(JSON.stringify({ tid: tenant, roles: ['SecurityAlert.Read.All'] })).toString('base64url')
    request.resume()
    send(Buffer.from(JSON.stringify({ token_type: 'Bearer', expires_in: 3599, access_token: `e30.${claims}.x` })))
    return
  }
  const claims = request.headers.authorization?.split('.')[1] ?? ''
  const { tid } = JSON.parse(Buffer.from(claims, 'base64url').toString()) as { tid: string }
  const [from = '', to = ''] = [...(searchParams.get('$filter') ?? '').matchAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g)].map(
    String,
  )
  const isThere = Date.parse(from) <= AT_MS && AT_MS + perTenant < Date.parse(to)
  send((isThere ? pages.get(tid) : undefined) ?? EMPTY)

  function send(body: Buffer): void {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length })
    response.end(body)
  }
})
server.keepAliveTimeout = 60_000
server.listen(port, '127.0.0.1', () => process.stdout.write('ready\n'))
process.once('SIGTERM', () => process.exit(0))
