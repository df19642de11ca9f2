/**
 * What Entra's token endpoint says when it gives no token, put into words.
 * Microsoft may renumber, so a number only chooses the sentence; whether a refusal needs somebody follows from the HTTP
 * status and the OAuth `error`, except for the few numbers that Entra itself calls passing.
 */
import { fromBetween } from './between.ts'
import type { TenantAccess } from './clouds.ts'
import {
  AADSTS_NEEDING,
  ADMIN_BEGINS,
  adviceOn,
  CREDENTIAL,
  customers,
  OAUTH_KNOWN,
  operators,
} from './entra-advice.ts'
import { type Advice, isGuid, PAGES, problem, type TraceIds, type Trouble } from './problems.ts'
import type { Oddity } from './secret-shape.ts'

/** What is known of a refusal of the token endpoint; texts as they came, to be judged here and never repeated. */
export interface EntraRefusal {
  readonly status: number
  readonly retryAfterMs: number | null
  readonly body: unknown
  /** It is not Entra's own answer. */
  readonly isBetween: boolean
  /** What the secret that was sent looks like. */
  readonly secretOddity: Oddity | null
}

const AADSTS_TRANSIENT = new Set([90006, 90012, 90024, 90033, 90090, 50033])
// 50196: Entra sees the same request too often, whatever the reason
const AADSTS_THROTTLED = new Set([90055, 50196])

/** Numbers that are known here, for whatever counts failures by them. */
export const AADSTS_KNOWN: ReadonlySet<number> = new Set([...AADSTS_NEEDING, ...AADSTS_TRANSIENT, ...AADSTS_THROTTLED])

/** How a token request failed, as a closed set. */
export type TokenFailure = `AADSTS${number}` | 'network' | 'other'

/** Of an answer that is no token. */
export function tokenFailure(body: unknown): TokenFailure {
  const known = aadstsCodes(membersOf(body)).find(code => AADSTS_KNOWN.has(code))
  return known === undefined ? 'other' : `AADSTS${known}`
}

const OAUTH_TRANSIENT = new Set(['temporarily_unavailable', 'server_error'])

const MAX_DESCRIPTION_CHARS = 2_000

/** A token endpoint's answer that is no token → what to do. */
export function entraTrouble(access: TenantAccess, refusal: EntraRefusal): Trouble {
  const { status, retryAfterMs } = refusal
  const body = membersOf(refusal.body)
  const codes = aadstsCodes(body)
  const error = oauthError(body)
  const named = codes[0] === undefined ? (error ?? `HTTP ${status}`) : `AADSTS${codes[0]}`
  const detail = `Entra answered ${status} (${named})${traceText(body)}`
  if (status === 429 || codes.some(code => AADSTS_THROTTLED.has(code)))
    return { kind: 'throttled', retryAfterMs, detail }
  if (status === 503 && retryAfterMs !== null) return { kind: 'throttled', retryAfterMs, detail }
  if (refusal.isBetween && codes.length === 0) return fromBetween(access, 'login', refusal)
  const passes = codes.some(code => AADSTS_TRANSIENT.has(code)) || (error !== null && OAUTH_TRANSIENT.has(error))
  const isRefusal = status >= 400 && status < 500 && (codes.length > 0 || error !== null)
  if (passes || !isRefusal) return { kind: 'unavailable', retryAfterMs, detail }
  const known = codes.find(code => AADSTS_NEEDING.has(code))
  const advice = adviceOn(access, known, error)
  const code = known ?? codes[0]
  const isWrong = known === 7000215 || (known === undefined && error === 'invalid_client')
  const oddity = isWrong ? refusal.secretOddity : null
  return problem(
    access,
    code === undefined ? `entra-${error}` : `AADSTS${code}`,
    oddity === null ? advice : ofOddSecret(access, advice, oddity),
    traceIds(body),
  )
}

/** What is to be seen in the file explains a refusal better than what Entra says. */
function ofOddSecret({ isSharedApp }: TenantAccess, advice: Advice, { words, move }: Oddity): Advice {
  if (move === 'operator' || isSharedApp) return operators(`Entra rejects the client secret in {file}: it ${words}`)
  return customers(
    `Entra rejects the client secret in {file}: it ${words} ${ADMIN_BEGINS} must create a new secret and send the secret's Value, which is shown only once; ${CREDENTIAL}.`,
    advice.page ?? PAGES.credentials,
  )
}

type Members = ReadonlyMap<string, unknown>

function membersOf(body: unknown): Members {
  return new Map(typeof body === 'object' && body !== null ? Object.entries(body) : [])
}

function aadstsCodes(body: Members): readonly number[] {
  const listed = body.get('error_codes')
  const numbers = Array.isArray(listed) ? listed.filter(code => Number.isSafeInteger(code) && code > 0) : []
  const description = body.get('error_description')
  const written =
    typeof description === 'string' ? /AADSTS(\d{3,9})/.exec(description.slice(0, MAX_DESCRIPTION_CHARS)) : null
  return [...numbers.slice(0, 8), ...(written ? [Number(written[1])] : [])]
}

function oauthError(body: Members): string | null {
  const error = body.get('error')
  if (typeof error !== 'string' || error === '') return null
  return OAUTH_KNOWN.has(error) || OAUTH_TRANSIENT.has(error) ? error : 'unlisted-error'
}

function traceIds(body: Members): TraceIds {
  const trace = body.get('trace_id')
  const correlation = body.get('correlation_id')
  return {
    ...(typeof trace === 'string' && isGuid(trace) ? { traceId: trace } : {}),
    ...(typeof correlation === 'string' && isGuid(correlation) ? { correlationId: correlation } : {}),
  }
}

function traceText(body: Members): string {
  const { traceId } = traceIds(body)
  return traceId === undefined ? '' : `, trace ${traceId}`
}
