/** What the tests of the Graph client share: a server that answers as told, a clock turned by hand, a tenant. */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import type { Clock } from '../../platform/clock.ts'
import { systemClock } from '../../platform/clock.ts'
import { createGraph, type Graph, type GraphDeps } from '../../producers/graph/client.ts'
import type { TenantAccess } from '../../producers/graph/clouds.ts'

export const TENANT = '11111111-2222-4333-8444-555555555555'
export const SENTINEL = 'S3NTINEL~never-to-be-seen.Qx9'

export interface Seen {
  readonly method: string
  readonly path: string
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

/** Plain data, or a function that writes (or breaks) the response itself. */
export type Reply =
  | { status?: number; headers?: Record<string, string | string[]>; body?: string | Buffer }
  | ((response: ServerResponse, request: IncomingMessage) => void)

export interface Server extends AsyncDisposable {
  readonly url: URL
  readonly seen: Seen[]
  /** Token requests, then requests for pages. */
  posts(): Seen[]
  gets(): Seen[]
}

/** Replies are asked for one by one: `token` for POSTs, `page` for the rest; `n` counts from 0 within each. */
export async function startServer(replies: {
  token?: (n: number, seen: Seen) => Reply
  page?: (n: number, seen: Seen) => Reply
}): Promise<Server> {
  const seen: Seen[] = []
  const of = (method: string) => seen.filter(one => (one.method === 'POST') === (method === 'POST'))
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', chunk => chunks.push(chunk))
    request.on('end', () => {
      const { method = '', url: path = '', headers } = request
      const one = { method, path, headers, body: Buffer.concat(chunks).toString() }
      const n = of(method).length
      seen.push(one)
      const reply = method === 'POST' ? (replies.token ?? tokenReply)(n, one) : (replies.page ?? emptyPage)(n, one)
      if (typeof reply === 'function') return reply(response, request)
      response.writeHead(reply.status ?? 200, { 'content-type': 'application/json', ...reply.headers })
      response.end(reply.body ?? '')
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`),
    seen,
    posts: () => of('POST'),
    gets: () => of('GET'),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

export function tokenReply(n = 0, _seen?: Seen, more: Record<string, unknown> = {}): Reply {
  return { body: JSON.stringify({ token_type: 'Bearer', expires_in: 3599, access_token: `token-${n}`, ...more }) }
}

export function jwt(claims: unknown): string {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
  return `${part({ alg: 'none' })}.${part(claims)}.sig`
}

export function entraError(status: number, number: number, error: string, more: Record<string, unknown> = {}): Reply {
  const error_description = `AADSTS${number}: something. ${SENTINEL}`
  const ids = {
    trace_id: '0a0b0c0d-0000-4000-8000-000000000001',
    correlation_id: '0a0b0c0d-0000-4000-8000-000000000002',
  }
  return { status, body: JSON.stringify({ error, error_description, error_codes: [number], ...ids, ...more }) }
}

export function emptyPage(): Reply {
  return pageOf([])
}

export function pageOf(alerts: readonly unknown[], more: Record<string, unknown> = {}): Reply {
  return { body: JSON.stringify({ '@odata.context': 'x', value: alerts, ...more }) }
}

export interface Rig extends AsyncDisposable {
  readonly graph: Graph
  readonly access: TenantAccess
  readonly secretsDir: string
}

/** A Graph client against `url`, with one tenant whose secret is the sentinel. */
export async function rig(url: URL | null, deps: Partial<GraphDeps> = {}): Promise<Rig> {
  const secretsDir = await mkdtemp(join(tmpdir(), 'graph-secrets-'))
  await writeFile(join(secretsDir, 'one.secret'), `${SENTINEL}\n`)
  const graph = createGraph({ sandboxUrl: url, secretsDir, clock: systemClock, random: () => 0.5, ...deps })
  return {
    graph,
    access: tenant(),
    secretsDir,
    async [Symbol.asyncDispose]() {
      await graph[Symbol.asyncDispose]()
      await rm(secretsDir, { recursive: true, force: true })
    },
  }
}

export function tenant(more: Partial<TenantAccess> = {}): TenantAccess {
  return {
    tenantId: TENANT,
    clientId: '99999999-2222-4333-8444-555555555555',
    cloud: 'global',
    source: 'alerts_v2',
    credential: { kind: 'secretFile', file: 'one.secret' },
    ...more,
  }
}

export const WINDOW = {
  kind: 'window',
  from: '2026-11-23T10:00:00.0000000Z',
  to: '2026-11-23T10:10:00.0000000Z',
  top: 1000,
  by: 'lastUpdate',
} as const

export const never = new AbortController().signal

export interface HandClock extends Clock {
  turn(ms: number): void
}

/** Stands still until turned; sleepers wake in the order of their time. */
export function handClock(startMs = Date.parse('2026-11-23T10:00:00Z')): HandClock {
  let nowMs = startMs
  const sleepers = new Set<{ atMs: number; wake: () => void }>()
  return {
    now: () => nowMs,
    sleep(ms, signal) {
      const { promise, resolve, reject } = Promise.withResolvers<void>()
      const sleeper = { atMs: nowMs + ms, wake: resolve }
      sleepers.add(sleeper)
      signal?.addEventListener('abort', () => {
        sleepers.delete(sleeper)
        reject(signal.reason as Error)
      })
      return promise
    },
    turn(ms) {
      nowMs += ms
      for (const sleeper of sleepers) {
        if (sleeper.atMs > nowMs) continue
        sleepers.delete(sleeper)
        sleeper.wake()
      }
    },
  }
}

interface CertificateMaking {
  /** As UTCTime, such as 260101000000Z. */
  readonly from?: string
  readonly to?: string
  readonly bits?: number
  /** A second certificate of a key that is there already. */
  readonly of?: string
}

/** A throw-away RSA key and its self-signed certificate, both PEM. */
export function selfSigned(making: CertificateMaking = {}): { key: string; certificate: string } {
  const privateKey =
    making.of === undefined
      ? generateKeyPairSync('rsa', { modulusLength: making.bits ?? 2048 }).privateKey
      : createPrivateKey(making.of)
  return {
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
    certificate: certificateOf(privateKey, createPublicKey(privateKey), making),
  }
}

/** Just enough DER (X.690) for an X.509 certificate. */
function certificateOf(privateKey: KeyObject, publicKey: KeyObject, making: CertificateMaking): string {
  const der = (tag: number, ...parts: Uint8Array[]) => {
    const content = Buffer.concat(parts)
    const size = content.length
    const length = size < 128 ? [size] : size < 256 ? [0x81, size] : [0x82, size >> 8, size & 255]
    return Buffer.concat([Buffer.from([tag, ...length]), content])
  }
  const sha256WithRsa = der(0x30, Buffer.from('06092a864886f70d01010b0500', 'hex'))
  const commonName = der(0x30, Buffer.from('0603550403', 'hex'), der(0x0c, Buffer.from('test')))
  const name = der(0x30, der(0x31, commonName))
  const time = (text: string) => der(0x17, Buffer.from(text))
  const validity = der(0x30, time(making.from ?? '200101000000Z'), time(making.to ?? '400101000000Z'))
  const spki = publicKey.export({ type: 'spki', format: 'der' })
  const body = der(0x30, der(0x02, Buffer.from([1])), sha256WithRsa, name, validity, name, spki)
  const signature = der(0x03, Buffer.from([0]), sign('sha256', body, privateKey))
  const base64 = der(0x30, body, sha256WithRsa, signature).toString('base64')
  return `-----BEGIN CERTIFICATE-----\n${base64.replace(/.{64}/g, '$&\n')}\n-----END CERTIFICATE-----\n`
}
