import type { IncomingMessage, ServerResponse } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'

/** An HTTP answer as data, so that a fault can bend it before it is sent. */
export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
  readonly delivery: Delivery
  /** It comes from something between the pipeline and Microsoft, so nothing in it is Microsoft's. */
  readonly isForeign?: true
  /** Called when the last byte has gone out; never for an answer that was cut off, or whose reader had gone. */
  readonly told?: () => void
}

/** How the answer reaches the client, if it does. */
export type Delivery =
  | { readonly mode: 'whole' }
  /** Connection reset instead of a status line. */
  | { readonly mode: 'reset-before' }
  /** Connection reset after half of the announced body. */
  | { readonly mode: 'reset-within' }
  | { readonly mode: 'hang' }
  | { readonly mode: 'delayed'; readonly delayMs: number }
  | { readonly mode: 'trickle'; readonly bytesPerSecond: number }
  /** The body's last byte comes after so many bytes of white space. */
  | { readonly mode: 'padded'; readonly bytes: number }

export const JSON_TYPE = 'application/json; charset=utf-8'

export function jsonAnswer(status: number, content: unknown, headers: Record<string, string> = {}): Answer {
  return {
    status,
    headers: { 'content-type': JSON_TYPE, ...headers },
    body: Buffer.from(JSON.stringify(content)),
    delivery: { mode: 'whole' },
  }
}

/** Whether an answer of this kind puts a status line on the wire. */
export function reachesClient(answer: Answer): boolean {
  return answer.delivery.mode !== 'reset-before' && answer.delivery.mode !== 'hang'
}

/** Sends it. Resolves when there is nothing more to do, also when the client has gone. */
export async function deliver(answer: Answer, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { delivery } = answer
  if (answer.told) response.once('finish', answer.told)
  switch (delivery.mode) {
    case 'hang':
      return
    case 'reset-before':
      request.socket.resetAndDestroy()
      return
    case 'delayed':
      // the timer must not keep a stopped simulator alive
      await delay(delivery.delayMs, undefined, { ref: false })
      if (!response.destroyed) whole(answer, response)
      return
    case 'whole':
      whole(answer, response)
      return
    case 'reset-within':
      response.writeHead(answer.status, { ...answer.headers, 'content-length': answer.body.length })
      response.write(answer.body.subarray(0, answer.body.length >> 1), () => request.socket.resetAndDestroy())
      return
    case 'trickle':
      return trickle(answer, delivery.bytesPerSecond, response)
    case 'padded':
      return padded(answer, delivery.bytes, response)
  }
}

function whole(answer: Answer, response: ServerResponse): void {
  response.writeHead(answer.status, { ...answer.headers, 'content-length': answer.body.length })
  response.end(answer.body)
}

async function trickle(answer: Answer, bytesPerSecond: number, response: ServerResponse): Promise<void> {
  response.writeHead(answer.status, { ...answer.headers, 'content-length': answer.body.length })
  const stepMs = Math.max(50, Math.ceil(1000 / bytesPerSecond))
  const stepBytes = Math.max(1, Math.floor((bytesPerSecond * stepMs) / 1000))
  for (let from = 0; from < answer.body.length && !response.destroyed; from += stepBytes) {
    response.write(answer.body.subarray(from, from + stepBytes))
    await delay(stepMs, undefined, { ref: false })
  }
  response.end()
}

const SPACES = Buffer.alloc(1024 * 1024, 0x20)

async function padded(answer: Answer, bytes: number, response: ServerResponse): Promise<void> {
  response.writeHead(answer.status, answer.headers)
  const end = Math.max(0, answer.body.length - 1)
  response.write(answer.body.subarray(0, end))
  for (let sent = 0; sent < bytes && !response.destroyed; sent += SPACES.length) {
    if (!response.write(SPACES)) await drained(response)
  }
  response.end(answer.body.subarray(end))
}

/** Resolves when there is room again, or when the client has gone. */
async function drained(response: ServerResponse): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  response.once('drain', resolve).once('close', resolve)
  await promise
  response.off('drain', resolve).off('close', resolve)
}

export class BodyTooLarge extends Error {}

/** The request's body. Throws BodyTooLarge past `maxBytes`, after reading (and dropping) it all, so that the answer gets through. */
export async function readBody(request: IncomingMessage, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes <= maxBytes) chunks.push(chunk)
    else chunks.length = 0
  }
  if (bytes > maxBytes) throw new BodyTooLarge(`the body is larger than ${maxBytes} bytes`)
  return chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks)
}
