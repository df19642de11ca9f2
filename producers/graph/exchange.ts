/**
 * One HTTP exchange with everything bounded: a total deadline, no redirect, a cap on the decoded body. What the network
 * or the other side did is a value; only the caller's own signal is thrown.
 */
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import { type Dispatcher, request } from 'undici'

import { gatherBody } from '../../platform/body-bytes.ts'
import type { Clock } from '../../platform/clock.ts'
import type { HeaderValue } from './retry-after.ts'

type Headers = Readonly<Record<string, HeaderValue>>

export type Exchange =
  | {
      readonly kind: 'answer'
      readonly status: number
      readonly headers: Headers
      /** Decoded. 'too-large': past the cap; 'undecodable': broken gzip or an encoding we did not ask for. */
      readonly body: Buffer | 'too-large' | 'undecodable'
      /** On our clock, when the headers came. */
      readonly receivedAtMs: number
    }
  /** No (whole) answer. `code`: 'deadline', or the system's or undici's code, such as ECONNRESET. */
  | { readonly kind: 'failed'; readonly code: string }

export interface ExchangeLimits {
  /** From the first byte sent to the last byte read; a slow body cannot stretch it. */
  readonly deadlineMs: number
  readonly maxBytes: number
}

/** The only thing the Graph client can do: a GET. */
export type Get = (url: URL, headers: Record<string, string>, signal: AbortSignal) => Promise<Exchange>

/** The only thing the token client can do: a POST of a form. */
export type PostForm = (
  url: URL,
  form: string,
  headers: Record<string, string>,
  signal: AbortSignal,
) => Promise<Exchange>

interface Deps {
  readonly clock: Clock
  readonly dispatcher: Dispatcher
}

interface Outgoing {
  readonly method: 'GET' | 'POST'
  readonly headers: Record<string, string>
  readonly body: string | null
}

export function createGet(deps: Deps, limits: ExchangeLimits): Get {
  return (url, headers, signal) => exchange(deps, limits, url, { method: 'GET', headers, body: null }, signal)
}

export function createPostForm(deps: Deps, limits: ExchangeLimits): PostForm {
  return (url, form, headers, signal) => exchange(deps, limits, url, { method: 'POST', headers, body: form }, signal)
}

const DEADLINE = new Error('deadline')
const DONE = new Error('done')

async function exchange(
  deps: Deps,
  limits: ExchangeLimits,
  url: URL,
  outgoing: Outgoing,
  signal: AbortSignal,
): Promise<Exchange> {
  signal.throwIfAborted()
  const stop = new AbortController()
  const abort = () => stop.abort(signal.reason)
  signal.addEventListener('abort', abort, { once: true })
  deps.clock.sleep(limits.deadlineMs, stop.signal).then(
    () => stop.abort(DEADLINE),
    () => undefined,
  )
  try {
    const answer = await request(url, { ...outgoing, dispatcher: deps.dispatcher, signal: stop.signal })
    const receivedAtMs = deps.clock.now()
    const body = await readBody(answer, limits.maxBytes)
    signal.throwIfAborted()
    return { kind: 'answer', status: answer.statusCode, headers: answer.headers, body, receivedAtMs }
  } catch (error) {
    signal.throwIfAborted()
    return { kind: 'failed', code: stop.signal.reason === DEADLINE ? 'deadline' : codeOf(error) }
  } finally {
    signal.removeEventListener('abort', abort)
    // ends the deadline, and the connection if a body was left unread
    stop.abort(DONE)
  }
}

type Answer = Dispatcher.ResponseData

/** Throws what the connection threw; a body that came whole but is no use is a value. */
async function readBody(answer: Answer, limitBytes: number): Promise<Buffer | 'too-large' | 'undecodable'> {
  const { statusCode, headers, body } = answer
  const coding = String(headers['content-encoding'] ?? 'identity').toLowerCase()
  const isGzip = coding === 'gzip' || coding === 'x-gzip'
  if (!isGzip && coding !== 'identity' && coding !== '') {
    body.on('error', () => undefined).destroy()
    return 'undecodable'
  }
  // a refusal's body is read only so that the connection can be used again, and for what Entra says
  const maxBytes = statusCode < 300 ? limitBytes : Math.min(limitBytes, MAX_ERROR_BYTES)
  const gathered = gatherBody(maxBytes)
  const collect = async (source: AsyncIterable<Buffer>) => {
    // leaving the pipeline by a throw destroys the gunzip and the socket, so a bomb stops here
    for await (const chunk of source) if (!gathered.add(chunk)) throw new TooLarge()
  }
  try {
    if (isGzip) await pipeline(body, createGunzip({ chunkSize: GUNZIP_CHUNK_BYTES }), collect)
    else await pipeline(body, collect)
  } catch (error) {
    if (error instanceof TooLarge) return 'too-large'
    // a refusal is told by its status and headers, whatever becomes of its body
    if (codeOf(error).startsWith('Z_') || statusCode >= 300) return 'undecodable'
    throw error
  }
  return gathered.whole()
}

const GUNZIP_CHUNK_BYTES = 256 * 1024
const MAX_ERROR_BYTES = 256 * 1024

class TooLarge extends Error {}

/** Codes and class names only: a message may hold an address or what a server wrote. */
function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown'
  const code = 'code' in error ? error.code : undefined
  return typeof code === 'string' && /^[A-Z0-9_]{1,48}$/.test(code) ? code : error.constructor.name
}
