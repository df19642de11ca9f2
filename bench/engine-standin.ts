/**
 * A stand-in for the engine that takes everything at once: finds the ids, answers 200 to each, counts them.
 * `node bench/engine-standin.ts PORT`; `GET /count` gives an EngineCount (case.ts), `POST /clear` forgets.
 */
import { createServer } from 'node:http'
import { gunzipSync } from 'node:zlib'
import { scanItems } from './scan-items.ts'

const port = Number(process.argv[2])
let ids = new Set<string>()
let items = 0
let enriched = 0
let firstMs = 0
let lastMs = 0

const server = createServer((request, response) => {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => {
    if (request.method === 'GET')
      return send(JSON.stringify({ items, distinct: ids.size, repeats: items - ids.size, enriched, firstMs, lastMs }))
    if (request.url === '/clear') {
      ids = new Set()
      items = enriched = firstMs = lastMs = 0
      return send('{}')
    }
    const wire = Buffer.concat(chunks)
    const found = scanItems(request.headers['content-encoding'] === 'gzip' ? gunzipSync(wire) : wire)
    items += found.ids.length
    enriched += found.enriched
    for (const id of found.ids) ids.add(id)
    lastMs = Date.now()
    if (firstMs === 0) firstMs = lastMs
    send(`{"items":[${found.ids.map(id => `{"id":"${id}","status":200}`).join(',')}]}`)
  })

  function send(answer: string): void {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(answer) })
    response.end(answer)
  }
})
server.keepAliveTimeout = 60_000
server.listen(port, '127.0.0.1', () => process.stdout.write('ready\n'))
process.once('SIGTERM', () => process.exit(0))
