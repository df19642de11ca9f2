import { buildConnector, type Dispatcher, Pool } from 'undici'
import { gatherBody } from '../../platform/body-bytes.ts'
import type { Clock } from '../../platform/clock.ts'
import type { Crash } from '../../platform/crash.ts'
import { withSteps } from '../../platform/crash.ts'
import type { TlsTexts } from '../../platform/tls-files.ts'
import { TRACEPARENT } from '../../platform/trace-names.ts'
import { type EngineAnswer, readItems, readRefusal } from './answer.ts'
import { buildBody, type EngineBody } from './body.ts'
import { openBodyRoom } from './body-room.ts'
import { compress, type Encoding } from './compress.ts'
import { followSecretFile, parseBearerToken } from './credentials.ts'
import type { EngineItem } from './item.ts'
import { retryAfterMs } from './retry-after.ts'
import { parseSigningKeys, signature } from './sign.ts'
import { readTrouble } from './trouble.ts'

/** The correlation engine as the forwarder sees it. */
export interface Engine {
  /**
   * One attempt to deliver a batch. Whatever the network and the engine did comes back as a value; rejects only with
   * the signal's reason, at once, when the signal aborts (the request is cut; the engine may have taken the items).
   * `traceparent` names the span of the attempt; the engine's own may be its children.
   */
  post(items: readonly EngineItem[], signal: AbortSignal, traceparent?: string | null): Promise<EngineAnswer>
}

export interface EngineOptions {
  /** From `engineEndpoint`. */
  readonly endpoint: URL
  /** Holds the bearer token; read again when it changes. null sends none. */
  readonly tokenFile: string | null
  /** Holds one or two Standard Webhooks keys; read again when it changes. null signs nothing. */
  readonly signingKeysFile: string | null
  /** Asked for each connection: authority and client certificate for https. null trusts the system's and shows none. */
  readonly tls: (() => TlsTexts) | null
  readonly encoding: Encoding
  /** From before connecting until the last byte of the answer. */
  readonly timeoutMs: number
  /** A longer answer counts as unreadable. */
  readonly maxAnswerBytes: number
  readonly maxConnections: number
}

export const ENGINE_DEFAULTS = {
  encoding: 'gzip',
  timeoutMs: 30_000,
  maxAnswerBytes: 4_194_304,
  maxConnections: 64,
} as const satisfies Partial<EngineOptions>

const MAX_REFUSAL_BYTES = 16_384
const MAX_CONNECT_MS = 10_000

interface Credentials {
  readonly token: string | null
  readonly signingKeys: readonly Buffer[]
}

interface Sender {
  readonly secrets: Credentials
  readonly traceparent: string | null
}

/** A client with its own pool of kept-alive HTTP/1.1 connections; never retries, never follows a redirect. */
export function createEngine(
  options: EngineOptions,
  deps: { readonly clock: Clock; readonly crash?: Crash | null },
): Engine & { close(): Promise<void> } {
  const { endpoint, timeoutMs } = options
  const pool = new Pool(endpoint.origin, {
    connections: options.maxConnections,
    pipelining: 1,
    allowH2: false,
    connect: connector(options.tls, Math.min(timeoutMs, MAX_CONNECT_MS)),
    // the deadline below covers the whole exchange; these two restart with every chunk
    headersTimeout: 0,
    bodyTimeout: 0,
  })
  const tokenFile = options.tokenFile === null ? null : followSecretFile(options.tokenFile, 'token', parseBearerToken)
  const keysFile =
    options.signingKeysFile === null ? null : followSecretFile(options.signingKeysFile, 'signing key', parseSigningKeys)
  let encoding = options.encoding
  const room = openBodyRoom()

  async function send(
    body: EngineBody,
    as: Encoding,
    ids: readonly string[],
    { secrets, traceparent }: Sender,
    cut: AbortSignal,
  ) {
    const response = await pool.request({
      method: 'POST',
      path: endpoint.pathname,
      headers: {
        ...requestHeaders(body, as, secrets, deps.clock.now()),
        ...(traceparent === null ? {} : { [TRACEPARENT]: traceparent }),
      },
      body: await compress(body.bytes, as),
      signal: cut,
    })
    const answer = await readAnswer(response, ids, options.maxAnswerBytes, secrets.token, deps.clock.now())
    if (response.statusCode === 401 || response.statusCode === 403) {
      tokenFile?.forget()
      keysFile?.forget()
    }
    return answer
  }

  async function attempt(items: readonly EngineItem[], sender: Sender, cut: AbortSignal): Promise<EngineAnswer> {
    const rooms: Buffer[] = []
    const body = buildBody(items, bytes => {
      const taken = room.take(bytes)
      rooms.push(taken)
      return taken
    })
    const ids = items.map(item => item.id)
    const used = encoding
    const answer = await send(body, used, ids, sender, cut)
    // whoever answers for its items has read the body; in any other case it may still be on its way
    if (answer.kind === 'items') for (const taken of rooms) room.give(taken)
    if (answer.kind !== 'bad-encoding' || used === 'identity') return answer
    const plain = await send(body, 'identity', ids, sender, cut)
    if (plain.kind === 'items' || plain.kind === 'too-large' || plain.kind === 'bad-batch') encoding = 'identity'
    return plain
  }

  return {
    async post(items, signal, traceparent = null) {
      let secrets: Credentials
      try {
        secrets = { token: (await tokenFile?.read()) ?? null, signingKeys: (await keysFile?.read()) ?? [] }
      } catch (error) {
        return { kind: 'blocked', detail: error instanceof Error ? error.message : String(error) }
      }
      const deadline = startDeadline(deps.clock, timeoutMs, signal)
      try {
        return await withSteps(deps.crash, 'engine-post', () =>
          attempt(items, { secrets, traceparent }, deadline.signal),
        )
      } catch (error) {
        if (signal.aborted) throw signal.reason
        const { kind, detail } = readTrouble(error)
        return kind === 'blocked' ? { kind, detail } : { kind, busy: false, retryAfterMs: null, detail }
      } finally {
        deadline.end()
      }
    },
    close: () => pool.close(),
  }
}

/** Opens connections with the newest certificates; those that are open keep what they began with. */
function connector(tls: (() => TlsTexts) | null, timeoutMs: number): buildConnector.connector {
  let made: { readonly texts: TlsTexts; readonly connect: buildConnector.connector } | null = null
  return (options, callback) => {
    const texts = tls?.() ?? {}
    if (made === null || (tls !== null && made.texts !== texts)) {
      made = { texts, connect: buildConnector({ ...texts, timeout: timeoutMs, allowH2: false }) }
    }
    made.connect(options, callback)
  }
}

/** Nothing from an alert and nothing a tenant wrote gets into a header: constants, digests, digits and checked secrets. */
function requestHeaders(body: EngineBody, encoding: Encoding, secrets: Credentials, nowMs: number) {
  const headers: Record<string, string> = {
    'content-type': 'application/json',
    accept: 'application/json',
    'user-agent': 'socos-forwarder',
    'idempotency-key': `"${body.digest}"`,
  }
  if (encoding !== 'identity') headers['content-encoding'] = encoding
  if (secrets.token !== null) headers['authorization'] = `Bearer ${secrets.token}`
  if (secrets.signingKeys.length > 0) {
    const seconds = Math.floor(nowMs / 1000)
    headers['webhook-id'] = body.digest
    headers['webhook-timestamp'] = String(seconds)
    headers['webhook-signature'] = signature(secrets.signingKeys, body.digest, seconds, body.bytes)
  }
  return headers
}

async function readAnswer(
  response: Dispatcher.ResponseData,
  ids: readonly string[],
  maxBytes: number,
  token: string | null,
  nowMs: number,
): Promise<EngineAnswer> {
  const { statusCode: status, headers } = response
  if (status >= 200 && status < 300) {
    const text = await readText(response.body, maxBytes)
    if (text !== null) return readItems(status, text, ids)
    const detail = `HTTP ${status} with an answer of more than ${maxBytes} bytes`
    return { kind: 'again', busy: false, retryAfterMs: null, detail }
  }
  // a status is an answer even when its text never ends
  const text = (await readText(response.body, MAX_REFUSAL_BYTES).catch(() => null)) ?? ''
  const safe = token === null ? text : text.replaceAll(token, '(token)')
  const waitMs = retryAfterMs(headerText(headers['retry-after']), headerText(headers['date']), nowMs)
  return readRefusal(status, safe, waitMs)
}

/** Null when it is longer than allowed; the connection is then dropped. */
async function readText(body: Dispatcher.ResponseData['body'], maxBytes: number): Promise<string | null> {
  const gathered = gatherBody(maxBytes)
  for await (const chunk of body as AsyncIterable<Buffer>) if (!gathered.add(chunk)) return null
  return gathered.whole().toString('utf8')
}

function headerText(value: string | string[] | undefined): string | null {
  return (Array.isArray(value) ? value[0] : value) ?? null
}

/** Without a reason of its own each abort makes an exception with its stack. */
const ENDED = new Error('ended in time')

/** A signal that aborts with `outer`, or when the time is up. `end` must be called. */
function startDeadline(clock: Clock, timeoutMs: number, outer: AbortSignal): { signal: AbortSignal; end(): void } {
  const cut = new AbortController()
  const timer = new AbortController()
  const onAbort = () => cut.abort(outer.reason)
  if (outer.aborted) onAbort()
  outer.addEventListener('abort', onAbort, { once: true })
  clock.sleep(timeoutMs, timer.signal).then(
    () => cut.abort(new Error(`no complete answer within ${timeoutMs / 1000} s`)),
    () => {}, // ended in time
  )
  return {
    signal: cut.signal,
    end() {
      outer.removeEventListener('abort', onAbort)
      timer.abort(ENDED)
    },
  }
}
