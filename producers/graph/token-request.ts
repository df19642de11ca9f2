/**
 * One request for one app-only token. msal-node builds and signs it; the network it uses and the verdict are ours:
 * msal's cache, throttle memory and error classes are not relied on, so every request gets a fresh
 * application object, and what the endpoint said is kept here before msal sees it. Longer than the rule: what an answer
 * means is only right together with what was sent.
 */
import { ConfidentialClientApplication, type INetworkModule } from '@azure/msal-node'

import type { Clock } from '../../platform/clock.ts'
import { fromBetween, isFromBetween } from './between.ts'
import { endpoints, type TenantAccess, tokenUrl } from './clouds.ts'
import { claimsOf, type Grant, grantOf } from './claims.ts'
import { withClock } from './clock-off.ts'
import { bothRefused, ofCredential, type Sent } from './credential-words.ts'
import { readCredential } from './credentials.ts'
import { entraTrouble, type TokenFailure, tokenFailure } from './entra-errors.ts'
import type { Exchange, PostForm } from './exchange.ts'
import { silenceWords } from './network-errors.ts'
import { isGuid, problem, type Trouble, unanswered, unavailable } from './problems.ts'
import { oddityOf } from './secret-shape.ts'
import { httpDateMs, retryAfterMs } from './retry-after.ts'

export interface Token {
  readonly kind: 'token'
  readonly value: string
  /** Null: the token cannot be read. */
  readonly grant: Grant | null
  /** Entra's clock minus ours, from the answer's Date header. */
  readonly skewMs: number | null
}

export interface TokenDeps {
  readonly clock: Clock
  readonly secretsDir: string
  readonly sandboxUrl: URL | null
  readonly post: PostForm
  /** Host and port of the proxy on the way, for messages. */
  readonly proxy?: string | null
  /** Told of each request that brought no token. */
  readonly failed?: (failure: TokenFailure) => void
}

export type Acquired =
  | {
      readonly kind: 'acquired'
      readonly token: Token
      readonly lifeMs: number
      /** Which secret of the file Entra took, from 0; 0 for other credentials. */
      readonly secretAt: number
    }
  | Trouble

const MAX_LIFE_MS = 24 * 3_600_000
const MAX_TOKEN_CHARS = 16_384
const TENANT_ID = /^[0-9a-z](?:[0-9a-z.-]{0,253}[0-9a-z])?$/i
const SHARED_AUTHORITIES = new Set(['common', 'organizations', 'consumers'])

/**
 * One POST to the tenant's token endpoint, or none if it could not succeed. Where the file holds two secrets and Entra
 * refuses one as such, a second POST with the other. `secretAt`: the one to begin with.
 */
export async function acquireToken(
  deps: TokenDeps,
  access: TenantAccess,
  closing: AbortSignal,
  secretAt = 0,
): Promise<Acquired> {
  if (!TENANT_ID.test(access.tenantId) || SHARED_AUTHORITIES.has(access.tenantId.toLowerCase())) {
    return problem(access, 'tenant-id', {
      words: 'The tenant ID {tenant} is neither a GUID nor a domain: correct it in the tenants file.',
      move: 'operator',
    })
  }
  const credential = await readCredential(deps.secretsDir, access, deps.clock.now())
  if ('problem' in credential || 'detail' in credential) return credential
  if (credential.kind !== 'secrets') return (await requestToken(deps, access, credential, 0, closing)).acquired
  const { secrets } = credential
  const first = secretAt < secrets.length ? secretAt : 0
  const ask = (at: number) => requestToken(deps, access, { kind: 'secret', secret: secrets[at] ?? '' }, at, closing)
  const { acquired, isClientRefused } = await ask(first)
  if (secrets.length === 1 || !isClientRefused) return acquired
  const other = await ask(1 - first)
  const [one, two] = first === 0 ? [acquired, other.acquired] : [other.acquired, acquired]
  if (one.kind !== 'needs-attention' || two.kind !== 'needs-attention' || !other.isClientRefused) return other.acquired
  return bothRefused(access, secrets, [one.problem, two.problem])
}

interface Outcome {
  readonly acquired: Acquired
  /** Entra finds fault with the credential: the secret is wrong or over. */
  readonly isClientRefused: boolean
}

async function requestToken(
  deps: TokenDeps,
  access: TenantAccess,
  credential: Sent,
  secretAt: number,
  closing: AbortSignal,
): Promise<Outcome> {
  const network = createNetwork(deps, access, closing)
  const at = endpoints(access.cloud, deps.sandboxUrl ?? undefined)
  let value: string | undefined
  try {
    const app = new ConfidentialClientApplication({
      auth: {
        clientId: access.clientId,
        authority: `${at.authorityBase}/${access.tenantId}`,
        ...authOf(credential),
        // plain http exists only here, and only because somebody started the worker with a sandbox
        ...(at.isSandbox ? { authorityMetadata: sandboxMetadata(tokenUrl(at, access.tenantId)) } : {}),
      },
      system: { networkClient: network.module },
    })
    const result = await app.acquireTokenByClientCredential({
      scopes: [at.scope],
      skipCache: true,
      // otherwise two environment variables of Azure hosts would choose the login host
      azureRegion: 'DisableMsalForceRegion',
    })
    value = result?.accessToken
  } catch {
    // msal's errors lose what the endpoint said; the network module kept it
  }
  if (closing.aborted) return { acquired: unavailable('the Graph client was closed'), isClientRefused: false }
  const heard = network.heard()
  const acquired = verdict(access, credential, heard, value, deps, secretAt)
  // without an answer nothing was asked: the credential could not be used
  if (acquired.kind !== 'acquired' && heard !== null) {
    deps.failed?.(heard.exchange.kind === 'failed' ? 'network' : tokenFailure(heard.body))
  }
  const isRefused = acquired.kind === 'needs-attention' && heard !== null
  return { acquired, isClientRefused: isRefused && isClientError(heard.body) }
}

function isClientError(body: unknown): boolean {
  return typeof body === 'object' && body !== null && 'error' in body && body.error === 'invalid_client'
}

function authOf(credential: Sent) {
  switch (credential.kind) {
    case 'secret':
      return { clientSecret: credential.secret }
    case 'assertion':
      return { clientAssertion: credential.assertion }
    case 'certificate':
      return { clientCertificate: { privateKey: credential.privateKey, thumbprintSha256: credential.thumbprintSha256 } }
  }
}

function sandboxMetadata(token: URL): string {
  const base = token.href.slice(0, -'/oauth2/v2.0/token'.length)
  return JSON.stringify({
    token_endpoint: token.href,
    authorization_endpoint: `${base}/oauth2/v2.0/authorize`,
    issuer: `${base}/v2.0`,
    jwks_uri: `${base}/discovery/v2.0/keys`,
  })
}

/** What the token endpoint said, as it said it. */
interface Heard {
  readonly exchange: Exchange
  readonly body: unknown
}

function createNetwork(
  deps: TokenDeps,
  access: TenantAccess,
  closing: AbortSignal,
): { module: INetworkModule; heard(): Heard | null } {
  let heard: Heard | null = null
  const expected = tokenUrl(endpoints(access.cloud, deps.sandboxUrl ?? undefined), access.tenantId)
  const module: INetworkModule = {
    sendGetRequestAsync() {
      // msal knows the endpoints of all our clouds by heart, so it has nothing to discover
      return Promise.reject(new Error('the token client only posts'))
    },
    sendPostRequestAsync: async (address, options = {}) => {
      const url = new URL(address)
      const isExpected =
        url.origin === expected.origin && url.pathname.toLowerCase() === expected.pathname.toLowerCase()
      if (!isExpected) throw new Error('a token request to another address')
      const exchange = await deps.post(url, options.body ?? '', options.headers ?? {}, closing)
      heard = { exchange, body: exchange.kind === 'answer' ? parsed(exchange.body) : undefined }
      if (exchange.kind === 'failed') throw new Error('no answer')
      return { status: exchange.status, headers: {}, body: { ...Object(isObject(heard.body) ? heard.body : null) } }
    },
  }
  return { module, heard: () => heard }
}

/** Spread, a text of a mebibyte would be an object of a million members. */
function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function parsed(body: Buffer | string): unknown {
  if (typeof body === 'string') return undefined
  try {
    return JSON.parse(body.toString('utf8'))
  } catch {
    return undefined
  }
}

function verdict(
  access: TenantAccess,
  credential: Sent,
  heard: Heard | null,
  value: string | undefined,
  { clock, proxy = null }: TokenDeps,
  secretAt: number,
): Acquired {
  if (heard === null) {
    return problem(access, 'credential-unusable', {
      words: 'No token request could be made from the credential in {file}: the operator must replace it.',
      move: 'operator',
    })
  }
  const { exchange, body } = heard
  if (exchange.kind === 'failed') return unanswered('login', exchange.code, silenceWords('Entra', exchange.code, proxy))
  const { status, headers } = exchange
  const dateMs = httpDateMs(headers['date'])
  const skewMs = dateMs === null ? null : dateMs - exchange.receivedAtMs
  if (status < 200 || status > 299) {
    const waitMs = retryAfterMs(headers['retry-after'], dateMs ?? clock.now())
    const secretOddity = credential.kind === 'secret' ? oddityOf(credential.secret) : null
    const isBetween = isFromBetween('login', exchange)
    const refused = entraTrouble(access, { status, retryAfterMs: waitMs, body, isBetween, secretOddity })
    const told = { isClientError: isClientError(body), nowMs: clock.now() }
    const trouble = ofCredential(access, credential, refused, told)
    // whoever answers in Entra's place does not know Entra's time
    return skewMs === null || isBetween ? trouble : withClock(trouble, skewMs, credential.kind)
  }
  const lifeMs = Number((body as { expires_in?: unknown } | undefined)?.expires_in) * 1_000
  // msal hands on what stood there, also what is no text
  if (typeof value !== 'string' || value.length > MAX_TOKEN_CHARS || !/^[\x21-\x7e]+$/.test(value) || !(lifeMs > 0)) {
    if (isFromBetween('login', exchange)) return fromBetween(access, 'login', { status, retryAfterMs: null })
    return unavailable(`Entra answered ${status} without a readable token`)
  }
  const claims = claimsOf(value)
  if (
    isGuid(access.tenantId) &&
    typeof claims?.tid === 'string' &&
    claims.tid.toLowerCase() !== access.tenantId.toLowerCase()
  ) {
    return problem(access, 'token-of-another-tenant', {
      words:
        'Entra issued a token for another directory than {tenant}: nothing is read with it; check what answers for the login host.',
      move: 'operator',
    })
  }
  return {
    kind: 'acquired',
    secretAt,
    lifeMs: Math.min(lifeMs, MAX_LIFE_MS),
    token: { kind: 'token', value, grant: grantOf(claims), skewMs },
  }
}
