/**
 * A stand-in for the engine that takes everything at once: finds the ids, answers 200 to each, counts distinct ones.
 * `node bench/engine-standin.ts PORT`; `GET /count` gives `{distinct, repeats, firstMs, lastMs}`, `POST /clear` forgets.
 */
import { createServer } from 'node:http'
import { gunzipSync } from 'node:zlib'

const port = Number(process.argv[2])
const ID = /\{"id":"([\w-]{43})","tenant":/g
let ids = new Set<string>()
let repeats = 0
let firstMs = 0
let lastMs = 0

const server = createServer((request, response) => {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => {
    if (request.method === 'GET') return send({ distinct: ids.size, repeats, firstMs, lastMs })
    if (request.url === '/clear') {
      ids = new Set()
      repeats = 0
      firstMs = 0
      return send({})
    }
    const wire = Buffer.concat(chunks)
    const body = request.headers['content-encoding'] === 'gzip' ? gunzipSync(wire) : wire
    const found = [...body.toString('latin1').matchAll(ID)].map(match => match[1] ?? '')
    for (const id of found) {
      if (ids.has(id)) repeats++
      else ids.add(id)
    }
    lastMs = Date.now()
    if (firstMs === 0) firstMs = lastMs
    send({ items: found.map(id => ({ id, status: 200 })) })
  })

  function send(answer: object): void {
    const body = JSON.stringify(answer)
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) })
    response.end(body)
  }
})
server.keepAliveTimeout = 60_000
server.listen(port, '127.0.0.1', () => process.stdout.write('ready\n'))
process.once('SIGTERM', () => process.exit(0))
