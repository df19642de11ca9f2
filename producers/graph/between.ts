/**
 * Whether an answer is Microsoft's own. A proxy, a filter or an inspector of TLS answers in its place with a page for
 * people, without Microsoft's request id: no customer can mend that, nor must one be blamed for it.
 */
import { endpoints, type TenantAccess } from './clouds.ts'
import type { Exchange } from './exchange.ts'
import type { Trouble } from './problems.ts'
import { firstOf } from './retry-after.ts'

type Answer = Pick<Extract<Exchange, { kind: 'answer' }>, 'status' | 'headers' | 'body'>

const REQUEST_ID = { login: 'x-ms-request-id', graph: 'request-id' } as const
/** Of the member `error` in a refusal: Entra's is a word, Graph's an object. */
const ERROR = { login: 'string', graph: 'object' } as const

const PAGE_BEGINS_BYTES = 256

export function isFromBetween(who: 'login' | 'graph', { status, headers, body }: Answer): boolean {
  // neither host ever redirects
  if (status >= 300 && status < 400) return true
  const type = firstOf(headers['content-type'])
  if (status < 300) return type !== undefined && !/json/i.test(type)
  if (firstOf(headers[REQUEST_ID[who]]) !== undefined) return false
  // only a page for people is proof: taken for another's, a refusal of Graph's own would renew no token and call nobody
  if (Buffer.isBuffer(body) && hasError(body, ERROR[who])) return false
  return (
    /html/i.test(type ?? '') || (Buffer.isBuffer(body) && /^\s*</.test(body.toString('latin1', 0, PAGE_BEGINS_BYTES)))
  )
}

function hasError(body: Buffer, kind: 'string' | 'object'): boolean {
  try {
    const said: unknown = JSON.parse(body.toString('utf8'))
    return typeof said === 'object' && said !== null && 'error' in said && typeof said.error === kind
  } catch {
    return false
  }
}

/** It may pass, and is tried again as an outage is. */
export function fromBetween(
  { cloud }: TenantAccess,
  who: 'login' | 'graph',
  { status, retryAfterMs }: { readonly status: number; readonly retryAfterMs: number | null },
): Trouble {
  const { loginBase, graphBase } = endpoints(cloud)
  const [login, graph] = [new URL(loginBase).host, new URL(graphBase).host]
  const isRedirect = status >= 300 && status < 400
  // Microsoft's own front doors may send a page, too, when what is behind them is down
  const isSure = status < 500
  const detail = [
    `${who === 'login' ? login : graph} answered ${status}${isRedirect ? ', a redirect, which is never followed' : ''}, not in Microsoft's way:`,
    `${isSure ? '' : 'most likely '}something in between, such as a proxy or a TLS inspector, answers in its place.`,
    `The operator must have ${login} and ${graph} pass unfiltered and uninspected, or mend the proxy (HTTPS_PROXY)`,
  ].join(' ')
  return { kind: 'unavailable', retryAfterMs, detail, isBetween: true }
}
