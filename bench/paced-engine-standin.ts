/**
 * A stand-in for the engine that knows when it accepted which alert, and that can be slow.
 * `node bench/paced-engine-standin.ts PORT`. It takes alerts with the ids of shown-alerts.ts.
 *   POST /control/expect?count=N     forgets, and makes room for the alerts 0 to N-1
 *   POST /control/pace?rate=R        so many alerts a second from now on; 0: as fast as it can
 *   GET  /control/count              {distinct, repeats}
 *   GET  /control/accepted           when each was accepted first, as doubles; 0: not yet
 */
import { createServer } from 'node:http'
import { gunzipSync } from 'node:zlib'
import { numberOf } from './shown-alerts.ts'

const port = Number(process.argv[2])
const ITEM = /\{"id":"([\w-]{43})","tenant":\{.*?\},"alertId":"(da\d+)","version":/g
/** A slow engine lets so much work wait and refuses what comes on top. */
const WAITS_MS = 5_000

let acceptedMs = new Float64Array(0)
let distinct = 0
let repeats = 0
let perSecond = 0
/** When it is through with what it took on. */
let busyUntilMs = 0
/** What it took on and has not answered yet. */
const waiting = new Map<NodeJS.Timeout, () => void>()

const server = createServer((request, response) => {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => {
    const url = new URL(request.url ?? '/', 'http://standin')
    if (url.pathname.startsWith('/control/')) return control(url)
    const nowMs = Date.now()
    if (perSecond > 0 && busyUntilMs - nowMs > WAITS_MS) return send(429, '{}', { 'retry-after': '1' })
    const wire = Buffer.concat(chunks)
    const body = request.headers['content-encoding'] === 'gzip' ? gunzipSync(wire) : wire
    const items = [...body.toString('latin1').matchAll(ITEM)].map(([, id = '', alertId = '']) => ({ id, alertId }))
    if (perSecond === 0) return accept(items)
    busyUntilMs = Math.max(busyUntilMs, nowMs) + (items.length * 1_000) / perSecond
    const timer = setTimeout(() => {
      waiting.delete(timer)
      accept(items)
    }, busyUntilMs - nowMs)
    waiting.set(timer, () => accept(items))
  })

  function accept(items: readonly { readonly id: string; readonly alertId: string }[]): void {
    const nowMs = Date.now()
    for (const { alertId } of items) {
      const k = numberOf(alertId)
      if (acceptedMs[k] === 0) {
        acceptedMs[k] = nowMs
        distinct++
      } else repeats++
    }
    send(200, JSON.stringify({ items: items.map(({ id }) => ({ id, status: 200 })) }))
  }

  function control({ pathname, searchParams }: URL): void {
    switch (pathname) {
      case '/control/expect':
        acceptedMs = new Float64Array(Number(searchParams.get('count')))
        distinct = 0
        repeats = 0
        return send(200, '{}')
      case '/control/pace':
        perSecond = Number(searchParams.get('rate'))
        busyUntilMs = 0
        for (const [timer, finish] of waiting) {
          clearTimeout(timer)
          finish()
        }
        waiting.clear()
        return send(200, '{}')
      case '/control/accepted':
        return send(200, Buffer.from(acceptedMs.buffer))
      default:
        return send(200, JSON.stringify({ distinct, repeats }))
    }
  }

  function send(status: number, body: string | Buffer, headers: Readonly<Record<string, string>> = {}): void {
    const length = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }
    response.writeHead(status, { ...length, ...headers })
    response.end(body)
  }
})
server.keepAliveTimeout = 60_000
server.listen(port, '127.0.0.1', () => process.stdout.write('ready\n'))
process.once('SIGTERM', () => process.exit(0))
