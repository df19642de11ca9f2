import type { IncomingMessage } from 'node:http'
import { gzipSync } from 'node:zlib'
import { type Answer, type Delivery } from './answer.ts'
import { entraError } from './entra-errors.ts'
import type { GraphFault, retryAfterForms } from './faults.ts'
import { type GraphState, graphError, simNow } from './state.ts'

const TEN_YEARS_SECONDS = 315_360_000
const HTML = Buffer.from(
  '<!DOCTYPE html><html><head><title>Sign in to your account</title></head><body><h1>Service Unavailable</h1></body></html>',
)

const FORBIDDEN_WORDS = {
  Forbidden:
    'Missing application roles. API required roles: SecurityAlert.Read.All,SecurityAlert.ReadWrite.All,SecurityIncident.Read.All,SecurityIncident.ReadWrite.All, application roles: .',
  Authorization_RequestDenied: 'Insufficient privileges to complete the operation.',
} as const
const WARNINGS = {
  transient: '199 - "Microsoft/MCAS/504/10000", 199 - "Microsoft/IPC/429/120"',
  permanent: '199 - "Microsoft/WDATP/403/228"',
} as const

/** What is left of a good answer after a fault. Faults that shape the page itself have done so before. */
export function spoilAnswer(state: GraphState, request: IncomingMessage, good: Answer, fault: GraphFault): Answer {
  const refuse = (status: number, code: string, message: string, retryAfter?: string): Answer =>
    graphError(state, request, status, code, message, retryAfter === undefined ? {} : { 'retry-after': retryAfter })
  switch (fault.kind) {
    case 'throttle':
      return refuse(429, 'TooManyRequests', 'Too many requests.', retryAfterText(fault, simNow(state)))
    case 'status': {
      const retryAfter = fault.retryAfterSeconds?.toString()
      if (fault.html) return html(good, fault.status, retryAfter)
      const code = fault.status >= 500 ? 'serviceNotAvailable' : 'BadRequest'
      return refuse(fault.status, code, `Simulated failure ${fault.status}.`, retryAfter)
    }
    case 'poison':
      return refuse(fault.status, 'generalException', 'An error occurred while processing this request.')
    case 'unauthorized':
      return refuse(401, 'InvalidAuthenticationToken', 'Lifetime validation failed, the token is expired.')
    case 'forbidden':
      return refuse(403, fault.code, FORBIDDEN_WORDS[fault.code])
    case 'reset':
      return delivered(good, { mode: fault.when === 'before' ? 'reset-before' : 'reset-within' })
    case 'hang':
      return delivered(good, { mode: 'hang' })
    case 'slow-headers':
      return delivered(good, { mode: 'delayed', delayMs: fault.delayMs })
    case 'slow-body':
      return delivered(good, { mode: 'trickle', bytesPerSecond: fault.bytesPerSecond })
    case 'huge-page':
      return delivered(good, { mode: 'padded', bytes: fault.megabytes * 1024 * 1024 })
    case 'truncated-body':
      return { ...good, body: good.body.subarray(0, good.body.length >> 1) }
    case 'html':
      return html(good, 200)
    case 'content-type':
      return withHeader(good, 'content-type', fault.contentType)
    case 'bom':
      return { ...good, body: Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), good.body]) }
    case 'invalid-utf8':
      return { ...good, body: withBrokenText(good.body) }
    case 'gzip-bomb':
      return { ...withHeader(good, 'content-encoding', 'gzip'), body: bomb(good.body, fault.megabytes) }
    case 'redirect':
      return {
        ...good,
        status: fault.status,
        headers: { location: fault.to },
        body: Buffer.alloc(0),
        isForeign: true,
      }
    case 'partial':
      return { ...withHeader(good, 'warning', WARNINGS[fault.warning]), status: 206 }
    case 'aadsts': {
      const url = new URL(request.url ?? '', 'http://simulated')
      const tenant = url.pathname.split('/')[1] ?? ''
      const correlationId = url.searchParams.get('client-request-id') ?? ''
      return entraError(fault.code, { simNowMs: simNow(state), tenant, app: 'simulated', correlationId })
    }
    case 'no-token':
      return { ...good, body: Buffer.from('{"token_type":"Bearer","expires_in":3599}') }
    case 'next-link':
    case 'empty-page':
    case 'duplicate-rows':
    case 'shuffled-rows':
    case 'filter-ignored':
    case 'foreign-alert':
    case 'alert-without':
      return good
  }
}

function withHeader(good: Answer, name: string, value: string): Answer {
  return { ...good, headers: { ...good.headers, [name]: value } }
}

function delivered(good: Answer, delivery: Delivery): Answer {
  return { ...good, delivery }
}

function html(good: Answer, status: number, retryAfter?: string): Answer {
  const headers: Record<string, string> = { 'content-type': 'text/html; charset=utf-8' }
  if (retryAfter !== undefined) headers['retry-after'] = retryAfter
  return { ...good, status, headers, body: HTML, isForeign: true }
}

/** The header's value for a throttle fault; undefined for none. */
export function retryAfterText(
  fault: { readonly retryAfter: (typeof retryAfterForms)[number]; readonly seconds: number },
  simNowMs: number,
): string | undefined {
  switch (fault.retryAfter) {
    case 'seconds':
      return String(fault.seconds)
    case 'http-date':
      return new Date(simNowMs + fault.seconds * 1000).toUTCString()
    case 'absent':
      return undefined
    case 'absurd':
      return String(TEN_YEARS_SECONDS)
    case 'negative':
      return '-5'
    case 'garbage':
      return 'soon'
  }
}

/** A byte that begins no character, inside the first longer string of the body. */
function withBrokenText(body: Buffer): Buffer {
  const broken = Buffer.from(body)
  const place = broken.indexOf('"id":"') + 8
  broken[place < 8 ? Math.min(3, broken.length - 1) : place] = 0xff
  return broken
}

/** gzip members may follow each other: one small member of white space, repeated, is a bomb of any size. */
function bomb(body: Buffer, megabytes: number): Buffer {
  const end = body.length - 1
  const spaces = gzipSync(Buffer.alloc(1024 * 1024, 0x20), { level: 9 })
  const members = Array.from({ length: megabytes }, () => spaces)
  return Buffer.concat([gzipSync(body.subarray(0, end)), ...members, gzipSync(body.subarray(end))])
}
