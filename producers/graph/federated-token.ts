/**
 * A token of somebody else's that stands for the application (a federated credential). Entra judges it; what it says of
 * itself is read here because the customer must enter exactly that in Entra.
 */
import { quote } from '../../platform/log-scrub.ts'
import { isEntraSecret } from '../../platform/secret-shapes.ts'
import { claimsOf } from './claims.ts'
import type { Cloud, TenantAccess } from './clouds.ts'
import { problem, type Trouble } from './problems.ts'

export interface FederatedCredential {
  readonly kind: 'assertion'
  readonly assertion: string
}

/** Texts are quoted, bounded and without control characters; null: the token does not say. */
export interface FederatedClaims {
  readonly issuer: string | null
  readonly subject: string | null
  readonly audience: string | null
  readonly isForEntra: boolean
  /** ISO. */
  readonly ends: string | null
  /** From `iat` to `exp`. */
  readonly lifeMs: number | null
}

const AUDIENCES: Readonly<Record<Cloud, string>> = {
  global: 'api://AzureADTokenExchange',
  usgov: 'api://AzureADTokenExchangeUSGov',
  dod: 'api://AzureADTokenExchangeUSGov',
  china: 'api://AzureADTokenExchangeChina',
}
const NO_JWT = 'should hold a JWT (three parts, with dots between them), and'
const MAX_CLAIM_CHARS = 200
const MAX_AUDIENCES = 3

export function expectedAudience({ cloud }: TenantAccess): string {
  return AUDIENCES[Object.hasOwn(AUDIENCES, cloud) ? cloud : 'global']
}

export function federatedFrom(access: TenantAccess, text: string): FederatedCredential | Trouble {
  const token = text.trim()
  const fault = faultOf(token)
  if (fault === null) return { kind: 'assertion', assertion: token }
  const words = `The file {file} must hold a federated token (a JWT: three parts, with dots between them), and ${fault}: the operator must have the token written there, alone and as it was issued.`
  return problem(access, 'federated-token-unusable', { words, move: 'operator' })
}

function faultOf(token: string): string | null {
  if (token === '') return 'is empty'
  if (/^(?:authorization:\s*)?bearer\b/i.test(token)) return 'begins with "Bearer", which is no part of a token'
  if (isEntraSecret(token)) return 'holds a client secret (which the tenants file names as secretFile)'
  if (token.includes('-----BEGIN ')) return 'holds PEM (which the tenants file names as certificateFile)'
  return /^["'{]/.test(token) ? 'holds something around it, such as quotes or JSON' : null
}

/** Of a token that is no JWT, what it looks like. Entra is asked all the same: what tokens look like is for it to say. */
export function unlikeToken(token: string): string | null {
  const parts = token.split('.')
  if (parts.length !== 3 || !parts.every(part => /^[A-Za-z0-9_-]+$/.test(part))) return `${NO_JWT} holds something else`
  return isObject(parts[0]) && isObject(parts[1])
    ? null
    : `${NO_JWT} holds three parts that are none: header and claims are no JSON`
}

function isObject(part = ''): boolean {
  // claimsOf reads the middle part of whatever it is given
  const read = claimsOf(`.${part}`)
  return read !== null && !Array.isArray(read)
}

export function federatedClaims(access: TenantAccess, token: string): FederatedClaims {
  const claims: Readonly<Record<string, unknown>> = { ...claimsOf(token) }
  const audiences = [claims['aud']].flat().filter(aud => typeof aud === 'string')
  const exp = secondsOf(claims['exp'])
  const begun = secondsOf(claims['iat']) ?? secondsOf(claims['nbf'])
  return {
    issuer: shown(claims['iss']),
    subject: shown(claims['sub']),
    audience: audiences.length === 0 ? null : audiences.slice(0, MAX_AUDIENCES).map(shown).join(', '),
    isForEntra: audiences.includes(expectedAudience(access)),
    ends: exp === null ? null : new Date(exp * 1000).toISOString(),
    lifeMs: exp === null || begun === null || begun >= exp ? null : (exp - begun) * 1000,
  }
}

function shown(claim: unknown): string | null {
  return typeof claim === 'string' ? quote(claim, MAX_CLAIM_CHARS) : null
}

function secondsOf(claim: unknown): number | null {
  return typeof claim === 'number' && claim > 0 && claim < 1e11 ? claim : null
}

/** What the customer's federated credential must say, character for character. */
export function toBeEntered({ issuer, subject, audience }: FederatedClaims): string {
  return `issuer ${issuer ?? 'none'}, subject ${subject ?? 'none'}, audience ${audience ?? 'none'}`
}
