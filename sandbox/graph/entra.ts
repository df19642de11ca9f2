import { createPublicKey, randomBytes, randomUUID, verify, constants } from 'node:crypto'
import { type Answer, jsonAnswer } from './answer.ts'
import type { SimTenant } from './tenants.ts'

/** Why Entra refuses a token, by AADSTS number: HTTP status, OAuth error and words (facts: graph-api.md §6). */
const ERRORS: Readonly<Record<number, { status: number; error: string; words: string; suberror?: string }>> = {
  50034: { status: 400, error: 'invalid_grant', words: 'The user account does not exist in the directory.' },
  50053: { status: 400, error: 'invalid_grant', words: 'The account is locked.' },
  50059: { status: 400, error: 'invalid_request', words: 'No tenant-identifying information found in either the request or implied by any provided credentials.' },
  50076: { status: 400, error: 'invalid_grant', words: 'Due to a configuration change you must use multi-factor authentication.', suberror: 'basic_action' },
  50196: { status: 400, error: 'invalid_request', words: 'The server terminated an operation because it encountered a client request loop.' },
  53003: { status: 400, error: 'access_denied', words: 'Access has been blocked by Conditional Access policies.', suberror: 'message_only' },
  65001: { status: 400, error: 'invalid_grant', words: 'The user or administrator has not consented to use the application.', suberror: 'consent_required' },
  70003: { status: 400, error: 'unsupported_grant_type', words: 'The app requested an unsupported grant type.' },
  70011: { status: 400, error: 'invalid_scope', words: 'The provided request must include a valid scope.' },
  90002: { status: 400, error: 'invalid_request', words: "Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud." },
  90033: { status: 503, error: 'temporarily_unavailable', words: 'A transient error has occurred. Please try again.' },
  90038: { status: 400, error: 'invalid_request', words: "Confidential Client is not supported in Cross Cloud request: tenant '{tenant}' is in another national cloud." },
  90055: { status: 429, error: 'temporarily_unavailable', words: 'The server is busy: too many requests for this tenant.' },
  500011: { status: 400, error: 'invalid_resource', words: "The resource principal was not found in the tenant '{tenant}'." },
  700011: { status: 400, error: 'unauthorized_client', words: "Application with identifier '{app}' was not found in the directory." },
  700016: { status: 400, error: 'unauthorized_client', words: "Application with identifier '{app}' was not found in the directory '{tenant}'. You may have sent your authentication request to the wrong tenant." },
  700024: { status: 401, error: 'invalid_client', words: 'Client assertion is not within its valid time range.' },
  700027: { status: 401, error: 'invalid_client', words: 'The certificate with identifier used to sign the client assertion is not registered on application.' },
  700213: { status: 401, error: 'invalid_client', words: 'No matching federated identity record found for presented assertion.' },
  900023: { status: 400, error: 'invalid_request', words: "Specified tenant identifier '{tenant}' is neither a valid DNS name, nor a valid external domain." },
  900144: { status: 400, error: 'invalid_request', words: "The request body must contain the following parameter: 'client_id' or 'scope'." },
  900382: { status: 400, error: 'invalid_request', words: 'Confidential Client is not supported in Cross Cloud request.' },
  1002012: { status: 400, error: 'invalid_scope', words: 'The provided value for scope is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI).' },
  7000112: { status: 401, error: 'unauthorized_client', words: "Application '{app}' is disabled." },
  7000215: { status: 401, error: 'invalid_client', words: "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '{app}'." },
  7000218: { status: 401, error: 'invalid_client', words: "The request body must contain the following parameter: 'client_assertion' or 'client_secret'." },
  7000222: { status: 401, error: 'invalid_client', words: "The provided client secret keys for app '{app}' are expired. Create new keys for your app." },
}
const OTHER = { status: 400, error: 'invalid_request', words: 'The request was refused.' }

interface ErrorContext {
  readonly simNowMs: number
  readonly tenant: string
  readonly app: string
  readonly correlationId: string
}

/** Entra's error JSON; a number that is not in the table gets a generic one. */
export function entraError(code: number, context: ErrorContext): Answer {
  const { status, error, words, suberror } = { suberror: undefined, ...(ERRORS[code] ?? OTHER) }
  const traceId = randomUUID()
  const timestamp = `${new Date(context.simNowMs).toISOString().slice(0, 19).replace('T', ' ')}Z`
  const said = words.replaceAll('{tenant}', () => context.tenant).replaceAll('{app}', () => context.app)
  return jsonAnswer(status, {
    error,
    error_description: `AADSTS${code}: ${said} Trace ID: ${traceId} Correlation ID: ${context.correlationId} Timestamp: ${timestamp}`,
    error_codes: [code],
    timestamp,
    trace_id: traceId,
    correlation_id: context.correlationId,
    error_uri: `https://login.microsoftonline.com/error?code=${code}`,
    ...(suberror === undefined ? {} : { suberror }),
  })
}

export interface Grant {
  readonly tenantId: string
  readonly roles: readonly string[]
  readonly expiresAtMs: number
}

/** Tokens issued and not yet over. Only these open the Graph part: a token made elsewhere is as good as garbage. */
export interface TokenDesk {
  issue(tenant: SimTenant, simNowMs: number): { readonly token: string; readonly lifetimeSeconds: number }
  find(token: string): Grant | undefined
  revoke(token: string): void
  revokeTenant(tenantId: string): void
}

export function openTokenDesk(lifetimeSeconds: number): TokenDesk {
  const grants = new Map<string, Grant>()
  let nextSweepMs = 0
  return {
    issue: (tenant, simNowMs) => {
      if (simNowMs >= nextSweepMs) {
        // an hour's grace, so that a token that is over still gets the words for that
        for (const [token, grant] of grants) if (grant.expiresAtMs + 3_600_000 < simNowMs) grants.delete(token)
        nextSweepMs = simNowMs + 60_000
      }
      const token = writeToken(tenant, simNowMs, lifetimeSeconds)
      grants.set(token, {
        tenantId: tenant.tenantId,
        roles: [...tenant.roles],
        expiresAtMs: simNowMs + lifetimeSeconds * 1000,
      })
      return { token, lifetimeSeconds }
    },
    find: token => grants.get(token),
    revoke: token => {
      grants.delete(token)
    },
    revokeTenant: tenantId => {
      for (const [token, grant] of grants) if (grant.tenantId === tenantId) grants.delete(token)
    },
  }
}

function tokenPart(content: unknown): string {
  return Buffer.from(JSON.stringify(content)).toString('base64url')
}

/** Looks like Graph's JWT and carries its claims; the signature is random. */
function writeToken(tenant: SimTenant, simNowMs: number, lifetimeSeconds: number): string {
  const seconds = Math.floor(simNowMs / 1000)
  const claims = {
    aud: 'https://graph.microsoft.com',
    iss: `https://sts.windows.net/${tenant.tenantId}/`,
    iat: seconds,
    nbf: seconds,
    exp: seconds + lifetimeSeconds,
    app_displayname: 'SOC.OS reader',
    appid: tenant.clientId,
    appidacr: '1',
    idtyp: 'app',
    oid: randomUUID(),
    ...(tenant.roles.length === 0 ? {} : { roles: tenant.roles }),
    tid: tenant.tenantId,
    uti: randomBytes(16).toString('base64url'),
    ver: '1.0',
  }
  return `${tokenPart({ typ: 'JWT', alg: 'RS256', kid: 'simulated' })}.${tokenPart(claims)}.${randomBytes(256).toString('base64url')}`
}

export type TokenVerdict = { readonly kind: 'granted' } | { readonly kind: 'refused'; readonly code: number }

function refused(code: number): TokenVerdict {
  return { kind: 'refused', code }
}

/** Entra's checks in Entra's order. `path` is the tenant part of the URL. */
export function judgeTokenRequest(
  path: string,
  tenant: SimTenant | undefined,
  form: URLSearchParams,
  simNowMs: number,
): TokenVerdict {
  if (/^(common|organizations|consumers)$/i.test(path)) return refused(50059)
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(path) && !path.includes('.')) return refused(900023)
  if (tenant?.exists !== true) return refused(90002)
  const clientId = form.get('client_id')
  if (!clientId) return refused(900144)
  if (form.get('grant_type') !== 'client_credentials') return refused(70003)
  const scope = form.get('scope') ?? ''
  if (scope === '') return refused(900144)
  // client credentials take exactly one resource scope
  if (!/^https?:\/\/[^\s]+\/\.default$/.test(scope)) return refused(scope.includes(' ') ? 70011 : 1002012)
  if (!tenant.appKnown || clientId.toLowerCase() !== tenant.clientId.toLowerCase()) return refused(700016)
  if (tenant.tokenError !== null) return refused(tenant.tokenError)
  const assertion = form.get('client_assertion')
  if (assertion) return judgeAssertion(assertion, form, tenant, simNowMs)
  const sent = form.get('client_secret')
  if (!sent) return refused(7000218)
  const secret = tenant.secrets.find(known => known.value === sent)
  if (secret === undefined) return refused(7000215)
  return secret.expiresAtMs !== null && secret.expiresAtMs <= simNowMs ? refused(7000222) : { kind: 'granted' }
}

function judgeAssertion(assertion: string, form: URLSearchParams, tenant: SimTenant, simNowMs: number): TokenVerdict {
  if (form.get('client_assertion_type') !== 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer') return refused(700027)
  const [head = '', body = '', signature = '', ...rest] = assertion.split('.')
  const header = readPart(head)
  const claims = readPart(body)
  if (header === undefined || claims === undefined || signature === '' || rest.length > 0) return refused(700027)
  if (typeof claims.exp !== 'number' || claims.exp * 1000 <= simNowMs) return refused(700024)
  // an assertion that the app did not issue itself is a federated one and must be meant for the exchange
  if (claims.iss !== tenant.clientId) {
    return claims.aud === 'api://AzureADTokenExchange' ? { kind: 'granted' } : refused(700213)
  }
  if (claims.sub !== tenant.clientId) return refused(700027)
  if (tenant.certificatePem === null) return { kind: 'granted' }
  const key = createPublicKey(tenant.certificatePem)
  const pss = { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST }
  const signed = Buffer.from(`${head}.${body}`)
  const good = verify('sha256', signed, header.alg === 'PS256' ? pss : key, Buffer.from(signature, 'base64url'))
  return good ? { kind: 'granted' } : refused(700027)
}

function readPart(part: string): Record<string, unknown> | undefined {
  try {
    const content: unknown = JSON.parse(Buffer.from(part, 'base64url').toString())
    return typeof content === 'object' && content !== null ? (content as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}
