import { constants, createPublicKey, randomBytes, randomUUID, verify } from 'node:crypto'
import type { SimTenant } from './tenants.ts'

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
  if (form.get('client_assertion_type') !== 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer')
    return refused(700027)
  const [head = '', body = '', signature = '', ...rest] = assertion.split('.')
  const header = readPart(head)
  const claims = readPart(body)
  if (header === undefined || claims === undefined || signature === '' || rest.length > 0) return refused(700027)
  if (typeof claims.exp !== 'number' || claims.exp * 1000 <= simNowMs) return refused(700024)
  // an assertion that the app did not issue itself is a federated one and must be meant for the exchange
  if (claims.iss !== tenant.clientId) {
    return claims.aud === 'api://AzureADTokenExchange' ? { kind: 'granted' } : refused(700212)
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
