import { createHmac, hash, timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'

export interface AuthSettings {
  /** Bearer tokens that are good; none = any request is. */
  readonly tokens: readonly string[]
  /** Standard Webhooks keys (`whsec_…`), any of which may have signed; none = signatures are not looked at. */
  readonly signingKeys: readonly string[]
}

const TOLERANCE_SECONDS = 300

/** Why the bearer token is refused, or undefined when it is not. */
export function tokenProblem(auth: AuthSettings, headers: IncomingHttpHeaders): string | undefined {
  if (auth.tokens.length === 0) return undefined
  const sent = /^Bearer (.+)$/.exec(headers.authorization ?? '')?.[1]
  if (sent === undefined) return 'no bearer token'
  return auth.tokens.some(token => same(token, sent)) ? undefined : 'unknown bearer token'
}

/** Which of the good tokens was sent; -1 for none. */
export function senderOf(auth: AuthSettings, headers: IncomingHttpHeaders): number {
  const sent = /^Bearer (.+)$/.exec(headers.authorization ?? '')?.[1]
  return sent === undefined ? -1 : auth.tokens.indexOf(sent)
}

/** Why the signature over the uncompressed body is refused, or undefined when it is not. */
export function signatureProblem(
  auth: AuthSettings,
  headers: IncomingHttpHeaders,
  body: Buffer,
  nowMs: number,
): string | undefined {
  if (auth.signingKeys.length === 0) return undefined
  const id = headers['webhook-id']
  const timestamp = headers['webhook-timestamp']
  const signatures = headers['webhook-signature']
  if (typeof id !== 'string' || typeof timestamp !== 'string' || typeof signatures !== 'string') {
    return 'webhook-id, webhook-timestamp or webhook-signature is missing'
  }
  if (!/^\d{1,12}$/.test(timestamp) || Math.abs(Number(timestamp) - nowMs / 1000) > TOLERANCE_SECONDS) {
    return 'webhook-timestamp is off by more than five minutes'
  }
  const wanted = auth.signingKeys.map(key => {
    const secret = Buffer.from(key.replace(/^whsec_/, ''), 'base64')
    return `v1,${createHmac('sha256', secret).update(`${id}.${timestamp}.`).update(body).digest('base64')}`
  })
  const sent = signatures.split(' ')
  return wanted.some(good => sent.some(one => same(good, one))) ? undefined : 'no signature is good'
}

function same(a: string, b: string): boolean {
  return timingSafeEqual(hash('sha256', a, 'buffer'), hash('sha256', b, 'buffer'))
}
