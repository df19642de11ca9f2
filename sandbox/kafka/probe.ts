import { createConnection } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

/**
 * Readiness without a Kafka client: one Metadata request in raw bytes. A TCP connect proves nothing, because Docker's
 * proxy accepts before the broker listens.
 */
export interface ClusterView {
  readonly clusterId: string | undefined
  /** Brokers that are alive in the eyes of the one that was asked. */
  readonly brokers: readonly { readonly id: number; readonly address: string }[]
}

const checkTimeoutMs = 2_000
const maxResponseBytes = 65_536
const correlationId = 0x50_0c_05

/** Metadata v4 with no topics (a request frame is: size, api key 3, version, correlation, client id, body). */
function metadataRequest(): Buffer {
  const clientId = Buffer.from('socos-sandbox')
  const frame = Buffer.alloc(4 + 2 + 2 + 4 + 2 + clientId.length + 4 + 1)
  let at = frame.writeInt32BE(frame.length - 4, 0)
  at = frame.writeInt16BE(3, at)
  at = frame.writeInt16BE(4, at)
  at = frame.writeInt32BE(correlationId, at)
  at = frame.writeInt16BE(clientId.length, at)
  at += clientId.copy(frame, at)
  at = frame.writeInt32BE(0, at)
  frame.writeInt8(0, at)
  return frame
}

/** Throws a RangeError or Error when the bytes are not a Metadata v4 answer to our request. */
export function parseMetadataResponse(body: Buffer): ClusterView {
  let at = 0
  const int16 = () => body.readInt16BE((at += 2) - 2)
  const int32 = () => body.readInt32BE((at += 4) - 4)
  const text = () => {
    const length = int16()
    if (length < 0) return undefined
    if (at + length > body.length) throw new RangeError('text runs past the end of the answer')
    return body.toString('utf8', at, (at += length))
  }
  if (int32() !== correlationId) throw new Error('not an answer to our request')
  int32() // throttle time
  const count = int32()
  if (count < 0 || count > 1000) throw new RangeError(`${count} brokers`)
  const brokers = Array.from({ length: count }, () => {
    const id = int32()
    const host = text() ?? ''
    const port = int32()
    text() // rack
    return { id, address: `${host}:${port}` }
  })
  return { clusterId: text(), brokers }
}

/** Asks one broker (host:port, brackets for IPv6). Rejects when no proper answer is there after `timeoutMs`. */
export async function readMetadata(address: string, timeoutMs: number): Promise<ClusterView> {
  const { host, port } = splitAddress(address)
  const { promise, resolve, reject } = Promise.withResolvers<ClusterView>()
  const socket = createConnection({ host, port })
  const timer = setTimeout(() => socket.destroy(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs)
  let received = Buffer.alloc(0)
  socket.on('connect', () => socket.write(metadataRequest()))
  socket.on('data', (chunk: Buffer) => {
    received = Buffer.concat([received, chunk])
    try {
      const body = completeFrame(received)
      if (body === undefined) return
      resolve(parseMetadataResponse(body))
      socket.destroy()
    } catch (error) {
      socket.destroy(error instanceof Error ? error : new Error(String(error)))
    }
  })
  socket.on('error', reject)
  socket.on('close', () => {
    clearTimeout(timer)
    reject(new Error('the connection was closed without an answer'))
  })
  return promise
}

/** The frame's body, or undefined while bytes are missing. */
function completeFrame(received: Buffer): Buffer | undefined {
  if (received.length < 4) return undefined
  const size = received.readInt32BE(0)
  if (size < 0 || size > maxResponseBytes) throw new Error('the answer is not Kafka')
  return received.length < 4 + size ? undefined : received.subarray(4, 4 + size)
}

export function splitAddress(address: string): { host: string; port: number } {
  const match = /^(?:\[([\da-f:.]+)\]|([\w.-]+)):(\d{1,5})$/i.exec(address)
  const host = match?.[1] ?? match?.[2]
  const port = Number(match?.[3])
  if (host === undefined || port < 1 || port > 65_535) throw new Error(`"${address}" is not host:port`)
  return { host, port }
}

/**
 * The status of GET `<registryUrl>/subjects`. Credentials in the URL go into a header, because fetch refuses them.
 * Rejects when nothing answers within `timeoutMs`.
 */
export async function registryStatus(registryUrl: string, timeoutMs: number): Promise<number> {
  const url = new URL(`${registryUrl.replace(/\/+$/, '')}/subjects`)
  const { username, password } = url
  url.username = ''
  url.password = ''
  const pair = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`
  const headers: Record<string, string> =
    username === '' ? {} : { authorization: `Basic ${Buffer.from(pair).toString('base64')}` }
  const response = await fetch(url, { headers, redirect: 'manual', signal: AbortSignal.timeout(timeoutMs) })
  await response.body?.cancel()
  return response.status
}

/** Undefined when broker `id` itself sees `alive` brokers and is one of them; else why it is not ready. */
export async function brokerProblem(
  broker: { id: number; address: string },
  alive: number,
): Promise<string | undefined> {
  const view = await readMetadata(broker.address, checkTimeoutMs)
  const listed = view.brokers.some(({ id }) => id === broker.id)
  return listed && view.brokers.length >= alive ? undefined : `it sees ${view.brokers.length} of ${alive} brokers`
}

/** Undefined when the registry answers. */
export async function registryProblem(registryUrl: string): Promise<string | undefined> {
  const status = await registryStatus(registryUrl, checkTimeoutMs)
  return status === 200 ? undefined : `GET ${registryUrl}/subjects answers ${status}`
}

/**
 * Repeats `check` until it gives undefined; what it gives or throws before that is why it is not ready yet.
 * Rejects with the signal's reason, with `dead()`'s words as soon as there are any, or after `timeoutMs`.
 */
export async function untilReady(
  check: () => Promise<string | undefined>,
  limits: { what: string; timeoutMs: number; signal: AbortSignal; dead?: () => Promise<string | undefined> },
): Promise<void> {
  const end = performance.now() + limits.timeoutMs
  for (;;) {
    limits.signal.throwIfAborted()
    const why = await check().catch((error: unknown) => (error instanceof Error ? error.message : String(error)))
    limits.signal.throwIfAborted()
    if (why === undefined) return
    const dead = await limits.dead?.()
    if (dead !== undefined) throw new Error(`${limits.what} ended before it was ready: ${dead}`)
    if (performance.now() > end) {
      throw new Error(`${limits.what} is not ready after ${limits.timeoutMs / 1000} s: ${why}`)
    }
    await delay(100)
  }
}
