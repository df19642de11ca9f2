/** Raw bytes where an HTTP answer is expected: to the client of Graph and to that of the engine. */
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { gzipSync } from 'node:zlib'
import { Agent } from 'undici'
import { createEngine, ENGINE_DEFAULTS } from '../../consumers/engine/client.ts'
import { itemId } from '../../consumers/engine/item.ts'
import { systemClock } from '../../platform/clock.ts'
import { createGet } from '../../producers/graph/exchange.ts'
import type { Target } from './loop.ts'
import { must, mustBeWords, oneOf } from './oracle.ts'

const LIMIT_BYTES = 20_000
const DEADLINE_MS = 10_000
const ID = itemId('t', 'a', 'v', 'h')

/** What the next connection is answered, whatever it asks; then it is closed. */
let answer = Buffer.alloc(0)
let port: Promise<number> | null = null

async function listen(): Promise<number> {
  const server = createServer(socket => {
    socket.on('error', () => socket.destroy())
    socket.once('data', () => socket.end(answer))
  })
  server.listen(0, '127.0.0.1').unref()
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

function samples(): readonly Buffer[] {
  const answerOf = (head: string, body: string | Buffer): Buffer =>
    Buffer.concat([Buffer.from(`HTTP/1.1 ${head}\r\n\r\n`), Buffer.from(body)])
  const json = '{"value":[{"id":"a"}]}'
  const items = JSON.stringify({ items: [{ id: ID, status: 200 }] })
  const gzip = gzipSync(json)
  return [
    answerOf(`200 OK\r\ncontent-type: application/json\r\ncontent-length: ${json.length}`, json),
    answerOf(`200 OK\r\ncontent-length: ${items.length}`, items),
    answerOf('200 OK\r\ntransfer-encoding: chunked', `5\r\n{"val\r\n8;x=y\r\nue":[1]}\r\n0\r\nx-t: 1\r\n\r\n`),
    answerOf(`200 OK\r\ncontent-encoding: gzip\r\ncontent-length: ${gzip.length}`, gzip),
    answerOf('200 OK\r\ncontent-encoding: gzip', gzipSync(Buffer.alloc(400_000, ' '))),
    answerOf('429 Too Many\r\nretry-after: 5\r\ncontent-length: 2', '{}'),
    answerOf('503 Gone\r\nretry-after: Mon, 23 Nov 2026 10:00:30 GMT\r\nconnection: close', '<html>'),
    answerOf('302 Found\r\nlocation: http://127.0.0.1:1/x\r\ncontent-length: 0', ''),
    answerOf('206 Partial\r\nwarning: 199 - "a/b/504/1"\r\nwarning: 199 - "c/d/403/1"\r\ncontent-length: 2', '{}'),
    Buffer.concat([Buffer.from('HTTP/1.1 100 Continue\r\n\r\n'), answerOf('204 None', '')]),
    answerOf(`200 OK\r\n${'a: b\r\n'.repeat(200)}x: y`, json),
  ]
}

const WORDS = [
  'HTTP/1.1 200 OK\r\n',
  'content-length: ',
  'transfer-encoding: chunked\r\n',
  'content-encoding: gzip\r\n',
  'connection: keep-alive\r\n',
  'upgrade: x\r\n',
  '\r\n\r\n',
  '0\r\n\r\n',
  'ffffffffffffffff\r\n',
  '101 ',
  '103 ',
  '304 ',
  '401 ',
]

/** Which code a broken connection ends with is the network's chance, so answers are not compared. */
const NOT_COMPARED = ''

export const graphWire: Target = {
  name: 'graph-wire',
  about: 'bytes on the connection to Graph or Entra',
  samples,
  words: WORDS,
  async run(input) {
    answer = Buffer.from(input)
    port ??= listen()
    const agent = new Agent({ allowH2: false })
    const get = createGet({ clock: systemClock, dispatcher: agent }, { deadlineMs: DEADLINE_MS, maxBytes: LIMIT_BYTES })
    try {
      const exchange = await get(new URL(`http://127.0.0.1:${await port}/x`), {}, new AbortController().signal)
      oneOf(exchange.kind, ['answer', 'failed'], 'the exchange')
      if (exchange.kind === 'failed') {
        must(/^\w{1,60}$/.test(exchange.code), `the code is ${exchange.code}`)
        must(exchange.code !== 'deadline', 'a connection that was closed is waited for')
        return NOT_COMPARED
      }
      const { body, status } = exchange
      must(Number.isInteger(status) && status >= 100 && status <= 999, `the status is ${status}`)
      must(typeof body === 'string' || body.length <= LIMIT_BYTES, 'the body is larger than it may be')
      return NOT_COMPARED
    } finally {
      await agent.destroy()
    }
  },
}

export const engineWire: Target = {
  name: 'engine-wire',
  about: 'bytes on the connection to the engine',
  samples,
  words: [...WORDS, ID, '"status":200'],
  async run(input) {
    answer = Buffer.from(input)
    port ??= listen()
    const engine = createEngine(
      {
        ...ENGINE_DEFAULTS,
        endpoint: new URL(`http://127.0.0.1:${await port}/v1/alerts:batch`),
        tokenFile: null,
        signingKeysFile: null,
        tls: null,
        encoding: 'identity',
        timeoutMs: DEADLINE_MS,
        maxAnswerBytes: LIMIT_BYTES,
      },
      { clock: systemClock },
    )
    const item = {
      id: ID,
      tenantJson: Buffer.from('{}'),
      alertId: 'a',
      version: 'v',
      source: 'alerts',
      observedAtMs: 0,
      alert: Buffer.from('{}'),
    }
    try {
      const said = await engine.post([item], new AbortController().signal)
      oneOf(said.kind, ['items', 'again', 'blocked', 'too-large', 'bad-batch', 'bad-encoding'], 'the answer')
      if ('detail' in said) {
        mustBeWords(said.detail, 700, 'the detail')
        must(!said.detail.includes('within'), 'a connection that was closed is waited for')
      }
      if (said.kind === 'items') must(said.fates.length === 1, `${said.fates.length} fates for one item`)
      return NOT_COMPARED
    } finally {
      await engine.close()
    }
  },
}
