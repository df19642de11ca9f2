import { once } from 'node:events'
import { createConnection, createServer, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { APIS, frameCutter } from '../../sandbox/chaos/frames.ts'
import { type Link, openLink } from '../../sandbox/chaos/proxy.ts'
import { freePorts } from '../../sandbox/kafka/ports.ts'

/** A far side that echoes what it gets, behind a link. */
async function open(protocol: 'kafka' | 'bytes') {
  const server = createServer(socket => {
    socket.on('error', () => {})
    socket.on('data', chunk => socket.write(chunk))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  const [port = 0] = await freePorts(1)
  const link = await openLink({ port, random: () => 0.5, protocol })
  link.connectTo(`127.0.0.1:${address.port}`)
  return {
    link,
    async [Symbol.asyncDispose]() {
      await link[Symbol.asyncDispose]()
      server.close()
    },
  }
}

async function connect(link: Link): Promise<Socket> {
  const socket = createConnection({ host: '127.0.0.1', port: link.port })
  socket.on('error', () => {})
  await once(socket, 'connect')
  return socket
}

/** An echo of it looks to the proxy like the answer to it: the number stands where an answer has it only if `api` says so. */
function request(api: number, correlationId: number): Buffer {
  const frame = Buffer.alloc(16)
  frame.writeInt32BE(12, 0)
  frame.writeInt16BE(api, 4)
  frame.writeInt32BE(correlationId, 8)
  return frame
}

async function answerOf(socket: Socket, sent: Buffer): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>()
  socket.once('close', () => resolve('closed'))
  socket.once('data', (chunk: Buffer) => resolve(chunk.equals(sent) ? 'same' : 'other'))
  socket.write(sent)
  return promise
}

test('without a toxic all passes; a cut or refused connection is reset', async () => {
  await using it = await open('bytes')
  const socket = await connect(it.link)
  expect(await answerOf(socket, Buffer.from('hello'))).toBe('same')
  const closed = new Promise(done => socket.once('close', done))
  it.link.cut()
  await closed
  it.link.set({ kind: 'refuse' })
  const refused = createConnection({ host: '127.0.0.1', port: it.link.port })
  const [error] = (await once(refused, 'error')) as [NodeJS.ErrnoException]
  expect(error.code).toBe('ECONNRESET')
  expect(it.link.fired).toBe(1)
})

test('a black hole swallows, and what it swallowed never comes', async () => {
  await using it = await open('bytes')
  const socket = await connect(it.link)
  it.link.set({ kind: 'black-hole' })
  const answer = answerOf(socket, Buffer.from('hello'))
  expect(await Promise.race([answer, delay(200, 'nothing')])).toBe('nothing')
  it.link.set(null)
  expect(await answer).toBe('closed')
})

test('latency and bandwidth hold back, in order', async () => {
  await using it = await open('bytes')
  const socket = await connect(it.link)
  it.link.set({ kind: 'latency', ms: 40, jitterMs: 0 })
  const startedMs = performance.now()
  expect(await answerOf(socket, Buffer.from('hello'))).toBe('same')
  // both ways; a timer may be a little early, never much
  expect(performance.now() - startedMs).toBeGreaterThan(70)
  it.link.set({ kind: 'bandwidth', bytesPerSecond: 10_000 })
  const sent = Buffer.from(Array.from({ length: 2_000 }, (_, n) => n % 251))
  const parts: Buffer[] = []
  const whole = new Promise<Buffer>(done => {
    socket.on('data', (chunk: Buffer) => {
      parts.push(chunk)
      const all = Buffer.concat(parts)
      if (all.length === sent.length) done(all)
    })
  })
  for (let at = 0; at < sent.length; at += 500) socket.write(sent.subarray(at, at + 500))
  expect((await whole).equals(sent)).toBe(true)
})

test('a lost answer is lost for the named API only', async () => {
  await using it = await open('kafka')
  it.link.set({ kind: 'lose-answer', api: 'Produce' })
  // as an answer the frame's number stands where a request has its API and version: 8 << 16 for OffsetCommit
  const commit = request(APIS.OffsetCommit, APIS.OffsetCommit << 16)
  expect(await answerOf(await connect(it.link), commit)).toBe('same')
  const produce = request(APIS.Produce, APIS.Produce << 16)
  expect(await answerOf(await connect(it.link), produce)).toBe('closed')
  expect(it.link.fired).toBe(1)
})

test('frames are cut wherever the stream was', () => {
  const frames = [request(0, 1), request(1, 2), request(3, 3)]
  const all = Buffer.concat(frames)
  for (const size of [1, 3, 7, 16, 17, all.length]) {
    const cut = frameCutter()
    const found: Buffer[] = []
    for (let at = 0; at < all.length; at += size) found.push(...cut(all.subarray(at, at + size)))
    expect(found).toEqual(frames)
  }
  expect(() => frameCutter()(Buffer.from('GET / HTTP/1.1\r\n'))).toThrow(/not Kafka/)
})
