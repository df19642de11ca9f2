/**
 * What Entra's token endpoint says when it gives no token, put into words.
 * Microsoft may renumber, so a number only chooses the sentence; whether a refusal needs somebody follows from the HTTP
 * status and the OAuth `error`, except for the few numbers that Entra itself calls passing.
 */
import type { TenantAccess } from './clouds.ts'
import { ADMIN, type Advice, isGuid, PAGES, problem, type TraceIds, type Trouble } from './problems.ts'
import type { Oddity } from './secret-shape.ts'

/** What is known of a refusal of the token endpoint; texts as they came, to be judged here and never repeated. */
export interface EntraRefusal {
  readonly status: number
  readonly retryAfterMs: number | null
  readonly body: unknown
  /** What the secret that was sent looks like. */
  readonly secretOddity: Oddity | null
}

const CREDENTIAL = 'the operator puts it into {file}'
const ADMIN_BEGINS = "The customer's administrator"

function customers(words: string, page: string): Advice {
  return { words, move: 'customer', page }
}

function operators(words: string, page?: string): Advice {
  return { words, move: 'operator', ...(page === undefined ? {} : { page }) }
}

const BAD_TENANT = operators(
  'The tenant ID {tenant} is neither a GUID nor a verified domain: correct it in the tenants file.',
  PAGES.directory,
)
const OTHER_CLOUD = operators(
  `The directory {tenant} is not in the cloud "{cloud}": set the customer's national cloud in the tenants file.`,
)
const NO_APP = customers(
  `The application {app} is missing or disabled in the directory {tenant}: ${ADMIN} must register or enable it.`,
  PAGES.enabled,
)
const NO_CREDENTIAL: Advice = {
  words: 'No credential reached Entra although {file} was read: this is a fault of the poller, report it.',
  move: 'maintainer',
}
const BAD_CERTIFICATE = customers(
  `Entra does not accept the certificate in {file}: ${ADMIN} must upload exactly this certificate to the application {app}.`,
  PAGES.credentials,
)
const BAD_TIME = operators(
  'Entra finds the signed request outside its time: the operator must set the clock of the workers right or, where {file} holds a federated token, have that token written anew.',
)
const BAD_FEDERATION = customers(
  `The token in {file} matches no federated credential of the application {app}: ${ADMIN} must compare issuer, subject and audience.`,
  PAGES.federation,
)
const NO_CONSENT = customers(
  `The application {app} lacks consent in the directory {tenant}: ${ADMIN} must grant admin consent.`,
  PAGES.permissions,
)
const WRONG_FLOW = operators(
  'Entra treated the request as a sign-in of a user, which the poller never makes: check that the client ID {app} is an application with its own credential.',
  PAGES.overview,
)
const BAD_SCOPE = operators(
  'Entra does not know Microsoft Graph under the scope of the cloud "{cloud}": check the cloud in the tenants file.',
)
const BLOCKED = customers(
  `Conditional Access blocks the application {app} (location or risk): ${ADMIN} must allow the workers' egress addresses.`,
  PAGES.conditionalAccess,
)
const OWN_AUTHORITY = operators(
  'The application {app} may only be used through its own directory: put the tenant ID, not a common name, into the tenants file.',
  PAGES.directory,
)

/** AADSTS number → what to say; what Entra itself calls passing is not here. */
const AADSTS: ReadonlyMap<number, Advice> = new Map<number, Advice>([
  [
    90002,
    operators(
      'Entra knows no directory {tenant} in the cloud "{cloud}": check in the tenants file that the tenant ID has no typo, that it and the client ID have not changed places, and the cloud.',
      PAGES.directory,
    ),
  ],
  ...each([900023, 90019, 50059, 50128], BAD_TENANT),
  [
    700016,
    customers(
      `The application {app} does not exist in the directory {tenant}: check the client ID in the tenants file (an Object ID or Secret ID is often pasted instead), or ${ADMIN} must register or consent to the application.`,
      PAGES.overview,
    ),
  ],
  ...each([700011, 70001, 7000112, 1000031], NO_APP),
  [
    7000215,
    operators(
      `Entra rejects the client secret in {file}: it is mistyped, deleted, or another application's than {app}. Our file first: the operator must compare it with what the customer sent; if it is the same, ${ADMIN} must create a new secret on this application's page and send the secret's Value, which is shown only once; ${CREDENTIAL}.`,
      PAGES.credentials,
    ),
  ],
  [
    7000222,
    customers(
      `The client secret in {file} has expired: ${ADMIN} must create a new one and send its Value; ${CREDENTIAL}.`,
      PAGES.credentials,
    ),
  ],
  ...each([7000218, 7000216, 900144], NO_CREDENTIAL),
  ...each([700027, 50048, 700030], BAD_CERTIFICATE),
  [700024, BAD_TIME],
  ...each([700211, 700212, 700213, 700229], BAD_FEDERATION),
  [
    700025,
    customers(
      `The application {app} is marked as a public client, which may not use a secret: ${ADMIN} must switch that off.`,
      PAGES.authentication,
    ),
  ],
  ...each([500011, 70011, 1002012], BAD_SCOPE),
  ...each([53003, 530032], BLOCKED),
  ...each([65001, 90094, 650051, 650052, 650053, 650054, 650055, 650056, 650057], NO_CONSENT),
  ...each([50034, 50053, 50057, 50076, 50126], WRONG_FLOW),
  ...each([50194, 9001023], OWN_AUTHORITY),
  ...each([90038, 900382, 900432], OTHER_CLOUD),
])

const AADSTS_TRANSIENT = new Set([90006, 90012, 90024, 90033, 90090, 50033])
// 50196: Entra sees the same request too often, whatever the reason
const AADSTS_THROTTLED = new Set([90055, 50196])

/** Numbers that are known here, for whatever counts failures by them. */
export const AADSTS_KNOWN: ReadonlySet<number> = new Set([...AADSTS.keys(), ...AADSTS_TRANSIENT, ...AADSTS_THROTTLED])

/** How a token request failed, as a closed set. */
export type TokenFailure = `AADSTS${number}` | 'network' | 'other'

/** Of an answer that is no token. */
export function tokenFailure(body: unknown): TokenFailure {
  const known = aadstsCodes(membersOf(body)).find(code => AADSTS_KNOWN.has(code))
  return known === undefined ? 'other' : `AADSTS${known}`
}

/** OAuth `error` → what to say, for numbers that are not in the table: Microsoft says that the numbers may change. */
const OAUTH: ReadonlyMap<string, Advice> = new Map([
  [
    'invalid_client',
    customers(
      `Entra rejects the credential in {file} of the application {app}: ${ADMIN} must check it and send the right one; ${CREDENTIAL}.`,
      PAGES.credentials,
    ),
  ],
  ['unauthorized_client', NO_APP],
  [
    'invalid_request',
    operators(
      'Entra finds the token request for {tenant} malformed: check tenant ID, client ID and cloud in the tenants file.',
      PAGES.overview,
    ),
  ],
  ['invalid_scope', BAD_SCOPE],
  ['invalid_resource', BAD_SCOPE],
  ['access_denied', BLOCKED],
  ['interaction_required', BLOCKED],
  ['consent_required', NO_CONSENT],
  ['invalid_grant', NO_CONSENT],
])
const REFUSED = customers(
  `Entra refuses the application {app} a token for {tenant}: ${ADMIN} must look the code up in Entra's sign-in log.`,
  PAGES.signIns,
)
const OAUTH_TRANSIENT = new Set(['temporarily_unavailable', 'server_error'])

const MAX_DESCRIPTION_CHARS = 2_000

function each(codes: readonly number[], advice: Advice): [number, Advice][] {
  return codes.map(code => [code, advice])
}

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
  const passes = codes.some(code => AADSTS_TRANSIENT.has(code)) || (error !== null && OAUTH_TRANSIENT.has(error))
  const isRefusal = status >= 400 && status < 500 && (codes.length > 0 || error !== null)
  if (passes || !isRefusal) return { kind: 'unavailable', retryAfterMs, detail }
  const known = codes.find(code => AADSTS.has(code))
  const advice =
    (known === undefined ? undefined : AADSTS.get(known)) ?? (error === null ? undefined : OAUTH.get(error)) ?? REFUSED
  const code = known ?? codes[0]
  const isWrong = known === 7000215 || (known === undefined && error === 'invalid_client')
  const oddity = isWrong ? refusal.secretOddity : null
  return problem(
    access,
    code === undefined ? `entra-${error}` : `AADSTS${code}`,
    oddity === null ? advice : ofOddSecret(advice, oddity),
    traceIds(body),
  )
}

/** What is to be seen in the file explains a refusal better than what Entra says. */
function ofOddSecret(advice: Advice, { words, move }: Oddity): Advice {
  if (move === 'operator') return operators(`Entra rejects the client secret in {file}: it ${words}`)
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
  return OAUTH.has(error) || OAUTH_TRANSIENT.has(error) ? error : 'unlisted-error'
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
