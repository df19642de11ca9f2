import { createHmac, generateKeyPairSync, sign } from 'node:crypto'
import { getEventListeners } from 'node:events'
import { mkdtemp, rm, utimes, writeFile } from 'node:fs/promises'
import {
  createServer,
  type IncomingHttpHeaders,
  type RequestListener,
  type Server,
  type ServerResponse,
} from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync, zstdDecompressSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { buildBody } from '../../consumers/engine/body.ts'
import { createEngine, ENGINE_DEFAULTS, type Engine, type EngineOptions } from '../../consumers/engine/client.ts'
import { type Clock, systemClock } from '../../platform/clock.ts'
import { handClock, item, items } from './engine-kit.ts'

interface Request {
  readonly method: string
  readonly url: string
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

const cleanups: (() => Promise<unknown>)[] = []
const never = new AbortController().signal
let folder = ''

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'engine-client-'))
})
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup()
  await rm(folder, { recursive: true, force: true })
})

async function listen(server: Server | ReturnType<typeof createTcpServer>): Promise<number> {
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  cleanups.push(async () => {
    const closed = new Promise(resolve => server.close(resolve))
    if ('closeAllConnections' in server) server.closeAllConnections()
    await closed
  })
  return (server.address() as AddressInfo).port
}

/** A server that reads each request whole and then answers by `answer`. */
async function serve(answer: (request: Request, response: ServerResponse, count: number) => void) {
  const requests: Request[] = []
  const sockets = new Set<unknown>()
  const listener: RequestListener = (incoming, response) => {
    const chunks: Buffer[] = []
    sockets.add(incoming.socket)
    incoming.on('data', chunk => chunks.push(chunk as Buffer))
    incoming.on('end', () => {
      const { method = '', url = '', headers } = incoming
      const request = { method, url, headers, body: Buffer.concat(chunks) }
      requests.push(request)
      answer(request, response, requests.length)
    })
  }
  const port = await listen(createServer(listener))
  return { url: `http://127.0.0.1:${port}`, requests, sockets }
}

function client(url: string, options: Partial<EngineOptions> = {}, clock: Clock = systemClock): Engine {
  const engine = createEngine(
    {
      ...ENGINE_DEFAULTS,
      endpoint: new URL(`${url}/v1/alerts:batch`),
      tokenFile: null,
      signingKeysFile: null,
      tls: null,
      ...options,
    },
    { clock },
  )
  cleanups.push(() => engine.close())
  return engine
}

function decoded(request: Request | undefined): Buffer {
  if (!request) throw new Error('no such request')
  const encoding = request.headers['content-encoding']
  if (encoding === 'gzip') return gunzipSync(request.body)
  return encoding === 'zstd' ? zstdDecompressSync(request.body) : request.body
}

function acceptAll(request: Request, response: ServerResponse): void {
  const sent = JSON.parse(decoded(request).toString()) as { items: { id: string }[] }
  response.end(JSON.stringify({ items: sent.items.map(({ id }) => ({ id, status: 201 })).toReversed() }))
}

/** A certificate of one's own making, as DER by hand so that no tool is needed. */
function selfSigned(): { key: string; cert: string } {
  const der = (tag: number, ...parts: Buffer[]) => {
    const content = Buffer.concat(parts)
    const long = content.length > 127 ? [0x82, content.length >> 8, content.length & 0xff] : [content.length]
    return Buffer.concat([Buffer.from([tag, ...long]), content])
  }
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const ecdsaWithSha256 = der(0x30, Buffer.from('06082a8648ce3d040302', 'hex'))
  const name = der(0x30, der(0x31, der(0x30, Buffer.from('0603550403', 'hex'), der(0x0c, Buffer.from('engine')))))
  const validity = der(0x30, ...['200101000000Z', '491231235959Z'].map(time => der(0x17, Buffer.from(time))))
  const key = publicKey.export({ type: 'spki', format: 'der' })
  const facts = der(0x30, der(0x02, Buffer.from([1])), ecdsaWithSha256, name, validity, name, key)
  const signed = der(0x03, Buffer.from([0]), sign('sha256', facts, privateKey))
  const base64 = der(0x30, facts, ecdsaWithSha256, signed).toString('base64')
  return {
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
    cert: `-----BEGIN CERTIFICATE-----\n${base64.replace(/.{64}/g, '$&\n')}\n-----END CERTIFICATE-----\n`,
  }
}

const ACCEPTED_TWICE = { kind: 'items', fates: [{ kind: 'accepted' }, { kind: 'accepted' }] }

describe('a request', () => {
  test.each([['gzip'], ['zstd'], ['identity']] as const)('carries exactly the body, as %s', async encoding => {
    const { url, requests } = await serve(acceptAll)
    expect(await client(`${url}/soc`, { encoding }).post(items(2), never)).toEqual(ACCEPTED_TWICE)
    expect(requests[0]).toMatchObject({ method: 'POST', url: '/soc/v1/alerts:batch' })
    expect(requests[0]?.headers['content-type']).toBe('application/json')
    expect(requests[0]?.headers['content-encoding']).toBe(encoding === 'identity' ? undefined : encoding)
    expect(requests[0]?.headers['content-length']).toBe(String(requests[0]?.body.length))
    expect(requests[0]?.headers['transfer-encoding']).toBeUndefined()
    expect(decoded(requests[0])).toEqual(buildBody(items(2)).bytes)
  })

  test('carries the same quoted Idempotency-Key when it is sent again, and another one for other items', async () => {
    const { url, requests } = await serve(acceptAll)
    const engine = client(url)
    for (const batch of [items(2), items(2), items(1), items(2).toReversed()]) await engine.post(batch, never)
    const keys = requests.map(request => request.headers['idempotency-key'])
    expect(keys[0]).toMatch(/^"[\w-]{43}"$/)
    expect(keys[1]).toBe(keys[0])
    expect(new Set(keys).size).toBe(3)
  })

  test('travels on a connection that is kept', async () => {
    const { url, sockets, requests } = await serve(acceptAll)
    const engine = client(url)
    for (let i = 0; i < 5; i++) await engine.post(items(2), never)
    expect(requests).toHaveLength(5)
    expect(sockets.size).toBe(1)
  })

  test('carries no credentials unless there are files for them', async () => {
    const { url, requests } = await serve(acceptAll)
    await client(url).post(items(2), never)
    const names = Object.keys(requests[0]?.headers ?? {})
    expect(names.filter(name => name === 'authorization' || name.startsWith('webhook-'))).toEqual([])
  })

  test.each(['gzip', 'zstd', 'identity'] as const)(
    'many at once, in room that is used again, are each sent whole: %s',
    async encoding => {
      const { url, requests } = await serve(acceptAll)
      const engine = client(url, { encoding, maxConnections: 4 })
      const batches = Array.from({ length: 60 }, (_, n) => items(1 + ((n * 7) % 23)))
      const answers = await Promise.all(batches.map(batch => engine.post(batch, AbortSignal.timeout(30_000))))
      expect(answers.map(({ kind }) => kind)).toEqual(batches.map(() => 'items'))
      const sent = requests.map(request => decoded(request).toString()).toSorted()
      expect(sent).toEqual(batches.map(batch => buildBody(batch).bytes.toString()).toSorted())
    },
  )

  test('is signed over the uncompressed body with every active key, which are read again when they change', async () => {
    const { url, requests } = await serve(acceptAll)
    const file = join(folder, 'keys')
    const [first, second] = [Buffer.alloc(24, 1), Buffer.alloc(32, 2)]
    await writeFile(file, `whsec_${first.toString('base64')}`)
    const clock = handClock(1_764_000_000_999)
    const engine = client(url, { signingKeysFile: file }, clock)
    await engine.post(items(2), never)
    await writeFile(file, `whsec_${second.toString('base64')}\nwhsec_${first.toString('base64')}\n`)
    await engine.post(items(2), never)

    const body = buildBody(items(2))
    const mac = (key: Buffer) => {
      const hmac = createHmac('sha256', key).update(`${body.digest}.1764000000.`).update(body.bytes)
      return `v1,${hmac.digest('base64')}`
    }
    expect(requests[0]?.headers).toMatchObject({
      'webhook-id': body.digest,
      'webhook-timestamp': '1764000000',
      'webhook-signature': mac(first),
    })
    expect(requests[1]?.headers['webhook-signature']).toBe(`${mac(second)} ${mac(first)}`)
  })

  test('carries the token of the file, and the new one as soon as the file changes', async () => {
    const { url, requests } = await serve((request, response) => {
      if (request.headers.authorization === 'Bearer new') return acceptAll(request, response)
      response.writeHead(401).end('token old has expired')
    })
    const tokenFile = join(folder, 'token')
    await writeFile(tokenFile, 'old\n')
    const engine = client(url, { tokenFile })
    const answer = await engine.post(items(2), never)
    expect(answer).toMatchObject({
      kind: 'blocked',
      detail: expect.stringContaining('HTTP 401: token (token) has expired'),
    })
    await writeFile(tokenFile, 'new\n')
    expect(await engine.post(items(2), never)).toEqual(ACCEPTED_TWICE)
    expect(requests.map(request => request.headers.authorization)).toEqual(['Bearer old', 'Bearer new'])
  })

  test.each([[401], [403]])(
    'carries the token as it is now after a %i, even if the file looks unchanged',
    async status => {
      const { url, requests } = await serve((_, response) => void response.writeHead(status).end())
      const tokenFile = join(folder, 'token')
      const engine = client(url, { tokenFile })
      for (const token of ['one', 'two']) {
        await writeFile(tokenFile, token)
        await utimes(tokenFile, 1_000, 1_000)
        await engine.post(items(2), never)
      }
      expect(requests.map(request => request.headers.authorization)).toEqual(['Bearer one', 'Bearer two'])
    },
  )

  test.each([
    ['a line break and a header', 'token\r\nx-admin: yes'],
    ['nothing', ''],
  ])('is not made with a token file that holds %s', async (_, text) => {
    const { url, requests, sockets } = await serve(acceptAll)
    const tokenFile = join(folder, 'token')
    await writeFile(tokenFile, text)
    const answer = await client(url, { tokenFile }).post(items(2), never)
    expect(answer).toMatchObject({ kind: 'blocked', detail: expect.stringContaining(tokenFile) })
    expect(requests).toEqual([])
    expect(sockets.size).toBe(0)
  })

  test('is not made without the token file, and names it', async () => {
    const { url, requests } = await serve(acceptAll)
    const answer = await client(url, { tokenFile: join(folder, 'gone') }).post(items(2), never)
    expect(answer).toMatchObject({ kind: 'blocked', detail: expect.stringContaining('gone" does not exist') })
    expect(requests).toEqual([])
  })

  test('takes nothing from alerts or tenants into its head: line breaks in them stay in the body', async () => {
    let head = ''
    const server = createTcpServer(socket => {
      socket.on('error', () => {})
      socket.on('data', data => {
        head += data.toString('latin1')
        socket.end('HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n')
      })
    })
    const port = await listen(server)
    const evil = 'x\r\nx-evil: yes\r\n\r\nGET / HTTP/1.1\r\n'
    const batch = [
      { ...item(1), alertId: evil, version: evil, source: evil, replay: { id: evil, reason: evil, by: evil } },
    ]
    await client(`http://127.0.0.1:${port}`, { encoding: 'identity' }).post(batch, never)
    const names = head
      .split('\r\n\r\n')[0]
      ?.split('\r\n')
      .slice(1)
      .map(line => line.split(':')[0]?.toLowerCase())
    expect(names?.toSorted()).toEqual([
      'accept',
      'connection',
      'content-length',
      'content-type',
      'host',
      'idempotency-key',
      'user-agent',
    ])
    expect(head.match(/HTTP\/1\.1/g)).toHaveLength(7) // one request line, six times inside JSON strings
    expect(head).not.toContain('\nx-evil')
  })
})

describe('an answer', () => {
  test('in any order, with strangers and gaps, is brought into the order of the items', async () => {
    const [a, b, c] = items(3)
    const list = [
      { id: c?.id, status: 429, error: 'later' },
      { id: 'stranger', status: 500 },
      { id: a?.id, status: 200 },
    ]
    const { url } = await serve((_, response) => response.writeHead(207).end(JSON.stringify({ items: list })))
    expect(
      await client(url).post(
        [a, b, c].flatMap(each => each ?? []),
        never,
      ),
    ).toEqual({
      kind: 'items',
      fates: [
        { kind: 'accepted' },
        { kind: 'again', detail: expect.stringContaining('nothing readable') },
        { kind: 'again', detail: 'status 429: later' },
      ],
    })
  })

  test.each([
    [200, ''],
    [202, ''],
    [202, '{"items":[]}'],
    [204, ''],
    [200, '<html>fine</html>'],
    [200, '{"items":['],
  ])('%i with %j has delivered nothing', async (status, body) => {
    const { url } = await serve((_, response) => response.writeHead(status).end(status === 204 ? undefined : body))
    expect(await client(url).post(items(2), never)).toMatchObject({ kind: 'again', busy: false, retryAfterMs: null })
  })

  test.each([
    [429, { 'retry-after': '7' }, { kind: 'again', busy: true, retryAfterMs: 7_000 }],
    [
      503,
      { 'retry-after': 'Mon, 23 Nov 2026 10:00:30 GMT', date: 'Mon, 23 Nov 2026 10:00:00 GMT' },
      { kind: 'again', retryAfterMs: 30_000 },
    ],
    [503, { 'retry-after': 'soon' }, { kind: 'again', busy: true, retryAfterMs: null }],
    [500, {}, { kind: 'again', busy: false, retryAfterMs: null, detail: 'HTTP 500: why' }],
    [400, {}, { kind: 'bad-batch', status: 400, detail: 'HTTP 400: why' }],
    [422, {}, { kind: 'bad-batch', status: 422 }],
    [413, {}, { kind: 'too-large' }],
    [401, {}, { kind: 'blocked' }],
    [404, {}, { kind: 'blocked' }],
  ] as const)('%i with %j is read with its reason', async (status, headers, expected) => {
    const { url } = await serve((_, response) => response.writeHead(status, headers).end('why'))
    expect(await client(url).post(items(2), never)).toMatchObject(expected)
  })

  test.each([[301], [302], [303], [307], [308]])('%i is never followed, not even to the same host', async status => {
    const { url, requests } = await serve((_, response) => response.writeHead(status, { location: '/elsewhere' }).end())
    expect(await client(url).post(items(2), never)).toMatchObject({ kind: 'blocked' })
    expect(requests).toHaveLength(1)
  })

  test('415 is answered with the same items uncompressed, and compression is left off from then on', async () => {
    const { url, requests } = await serve((request, response) => {
      if (request.headers['content-encoding'] !== undefined) return void response.writeHead(415).end()
      acceptAll(request, response)
    })
    const engine = client(url, { encoding: 'zstd' })
    expect(await engine.post(items(2), never)).toEqual(ACCEPTED_TWICE)
    expect(await engine.post(items(2), never)).toEqual(ACCEPTED_TWICE)
    expect(requests.map(request => request.headers['content-encoding'])).toEqual(['zstd', undefined, undefined])
    expect(new Set(requests.map(request => request.headers['idempotency-key'])).size).toBe(1)
  })

  test.each([[413], [400], [422]])(
    '415 and then %i for the plain body also means: no compression from now on',
    async status => {
      const { url, requests } = await serve((request, response) => {
        response.writeHead(request.headers['content-encoding'] === undefined ? status : 415).end()
      })
      const engine = client(url)
      for (let i = 0; i < 2; i++) await engine.post(items(2), never)
      expect(requests.map(request => request.headers['content-encoding'])).toEqual(['gzip', undefined, undefined])
    },
  )

  test('415 for both is told, and compression is tried again next time', async () => {
    const { url, requests } = await serve((_, response) => response.writeHead(415).end())
    const engine = client(url)
    expect(await engine.post(items(2), never)).toEqual({ kind: 'bad-encoding' })
    await engine.post(items(2), never)
    expect(requests.map(request => request.headers['content-encoding'])).toEqual(['gzip', undefined, 'gzip', undefined])
  })

  test('413 that comes before the body was read, with the connection closed, is still heard', async () => {
    const port = await listen(
      createServer((_, response) => void response.writeHead(413, { connection: 'close' }).end('too big')),
    )
    const big = [item(1, JSON.stringify('x'.repeat(8_000_000)))]
    const engine = client(`http://127.0.0.1:${port}`, { encoding: 'identity' })
    expect(await engine.post(big, never)).toEqual({ kind: 'too-large' })
  })

  test('longer than the limit is cut off and counts as unreadable', async () => {
    let sent = 0
    const chunk = Buffer.alloc(65_536, ' ')
    const { url } = await serve((_, response) => {
      const more = () => {
        while (!response.destroyed && response.write(chunk)) sent += chunk.length
      }
      response.on('drain', more)
      more()
    })
    const answer = await client(url, { maxAnswerBytes: 1_000_000 }).post(items(2), never)
    expect(answer).toMatchObject({ kind: 'again', busy: false, detail: expect.stringContaining('1000000 bytes') })
    expect(sent).toBeLessThan(16_000_000)
  })

  test('with 20 KB of headers is trouble that may pass', async () => {
    const { url } = await serve((_, response) => response.writeHead(200, { 'x-a': 'x'.repeat(20_000) }).end('{}'))
    expect(await client(url).post(items(1), never)).toMatchObject({ kind: 'again', busy: false })
  })

  test('a refusal whose text never ends counts by its status', async () => {
    const { url } = await serve((_, response) => {
      response.writeHead(400)
      const more = () => {
        while (!response.destroyed && response.write('x'.repeat(10_000)));
      }
      response.on('drain', more)
      more()
    })
    expect(await client(url).post(items(2), never)).toMatchObject({ kind: 'bad-batch', status: 400 })
  })
})

describe('a connection', () => {
  test('that nobody takes, or that is cut before or within the answer, is trouble that may pass', async () => {
    const gone = createTcpServer()
    const port = await listen(gone)
    await new Promise(resolve => gone.close(resolve))
    expect(await client(`http://127.0.0.1:${port}`).post(items(2), never)).toMatchObject({
      kind: 'again',
      busy: false,
      detail: expect.stringContaining('ECONNREFUSED'),
    })

    const cut = await serve((_, response) => response.destroy())
    expect(await client(cut.url).post(items(2), never)).toMatchObject({ kind: 'again', busy: false })

    const torn = await serve((_, response) => {
      response.writeHead(200, { 'content-length': 1_000 })
      response.write('{"items":[', () => response.destroy())
    })
    expect(await client(torn.url).post(items(2), never)).toMatchObject({ kind: 'again', busy: false })
  })

  test('that speaks no HTTP is trouble that may pass', async () => {
    const port = await listen(
      createTcpServer(socket =>
        socket
          .on('error', () => {})
          .resume()
          .end('220 mail ready\r\n'),
      ),
    )
    expect(await client(`http://127.0.0.1:${port}`).post(items(2), never)).toMatchObject({ kind: 'again', busy: false })
  })

  test('to a name that does not exist blocks', async () => {
    const answer = await client('http://engine.invalid').post(items(2), never)
    // a machine without any resolver says so instead, which may pass
    expect(['ENOTFOUND', 'EAI_AGAIN'].some(code => 'detail' in answer && answer.detail.includes(code))).toBe(true)
    expect(answer.kind).toBe('detail' in answer && answer.detail.includes('ENOTFOUND') ? 'blocked' : 'again')
  })

  test('to a certificate that nobody vouches for blocks, and no byte of a request is sent', async () => {
    let asked = 0
    const port = await listen(createTlsServer(selfSigned(), () => asked++))
    const answer = await client(`https://127.0.0.1:${port}`).post(items(2), never)
    expect(answer).toMatchObject({ kind: 'blocked', detail: expect.stringContaining('SELF_SIGNED') })
    expect(asked).toBe(0)
  })

  test('by TLS to a port that speaks plain HTTP blocks', async () => {
    const { url, requests } = await serve(acceptAll)
    expect(await client(url.replace('http:', 'https:')).post(items(2), never)).toMatchObject({ kind: 'blocked' })
    expect(requests).toEqual([])
  })
})

describe('the deadline', () => {
  /** Holds every request in one place until the client goes away. */
  async function stalling(stall: (socket: Socket) => void) {
    const arrived = Promise.withResolvers<void>()
    const left = Promise.withResolvers<void>()
    const port = await listen(
      createTcpServer(socket => {
        socket.on('error', () => {})
        socket.on('close', () => left.resolve())
        socket.once('data', () => {
          stall(socket)
          arrived.resolve()
        })
      }),
    )
    return { url: `http://127.0.0.1:${port}`, arrived: arrived.promise, left: left.promise }
  }

  test.each([
    ['sends no head', () => {}],
    ['stops within the head', (socket: Socket) => socket.write('HTTP/1.1 200 OK\r\ncontent-')],
    [
      'stops within the body',
      (socket: Socket) => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{"items"'),
    ],
  ])('cuts an engine that %s, and closes the connection', async (_, stall) => {
    const { url, arrived, left } = await stalling(stall)
    const clock = handClock()
    const answer = client(url, { timeoutMs: 30_000 }, clock).post(items(2), never)
    await arrived
    await clock.advance(30_000)
    expect(await answer).toEqual({
      kind: 'again',
      busy: false,
      retryAfterMs: null,
      detail: 'no complete answer within 30 s',
    })
    await left
    expect(clock.sleeping).toBe(0)
  })

  test('is not pushed back by an answer that trickles', async () => {
    const sockets: Socket[] = []
    const { url, arrived } = await stalling(socket => {
      sockets.push(socket)
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n')
    })
    const clock = handClock()
    const answer = client(url, { timeoutMs: 30_000 }, clock).post(items(2), never)
    await arrived
    for (let second = 0; second < 30; second++) {
      await new Promise(resolve => sockets[0]?.write(' ', resolve))
      await clock.advance(1_000)
    }
    expect(await answer).toMatchObject({ kind: 'again', detail: 'no complete answer within 30 s' })
  })

  test('leaves no timer and no listener behind when the answer came in time', async () => {
    const { url } = await serve(acceptAll)
    const clock = handClock()
    const lane = new AbortController().signal
    const engine = client(url, {}, clock)
    for (let i = 0; i < 20; i++) expect(await engine.post(items(2), lane)).toEqual(ACCEPTED_TWICE)
    expect(clock.sleeping).toBe(0)
    expect(getEventListeners(lane, 'abort')).toEqual([])
  })

  test('a lane that is lost cuts its request at once, with its reason', async () => {
    const { url, arrived, left } = await stalling(() => {})
    const clock = handClock()
    const lost = new AbortController()
    const answer = client(url, {}, clock).post(items(2), lost.signal)
    await arrived
    lost.abort(new Error('lane lost'))
    await expect(answer).rejects.toThrow('lane lost')
    await left
    expect(clock.sleeping).toBe(0)
    await expect(client(url, {}, clock).post(items(2), lost.signal)).rejects.toThrow('lane lost')
  })
})
