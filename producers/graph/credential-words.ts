/** What is to be said of a credential as it lies there: in a check, and beside what Entra says when it refuses it. */
import type { TenantAccess } from './clouds.ts'
import type { Credential } from './credentials.ts'
import { expectedAudience, type FederatedClaims, federatedClaims, toBeEntered, unlikeToken } from './federated-token.ts'
import { ADMIN, type Advice, PAGES, type Problem, problem, type Trouble } from './problems.ts'
import { oddityOf } from './secret-shape.ts'

export interface CredentialSaid {
  readonly result: 'ok' | 'look'
  readonly words: string
  /** Of a certificate or a federated token, ISO; null: it does not say. */
  readonly ends: string | null
}

export const DAY_MS = 86_400_000
/** As the warnings for the tenants file begin. */
export const WARN_AHEAD_DAYS = 60
const WRITTEN_ANEW = 'the operator must have the token written there, alone and as it was issued'
/** Whoever mounts a token renews it well before: kubelet when a fifth of its life is left. */
const STALE_SHARE = 0.1
const STALE_MS = 5 * 60_000
const STALE_MAX_MS = 3_600_000

/** Before it is sent anywhere. */
export function sayCredential(access: TenantAccess, credential: Credential, nowMs: number): CredentialSaid {
  const { file } = access.credential
  switch (credential.kind) {
    case 'secrets': {
      const oddity = credential.secrets.map(oddityOf).find(found => found !== null)
      return oddity === undefined
        ? { result: 'ok', words: `The credential in ${file} can be read.`, ends: null }
        : { result: 'look', words: `The secret in ${file} ${oddity.words.replace('{file}', file)}`, ends: null }
    }
    case 'certificate': {
      const { ends, thumbprint } = credential
      const days = Math.floor((Date.parse(ends) - nowMs) / DAY_MS)
      const words = `The credential in ${file} can be read: a certificate with the thumbprint ${thumbprint}, which ends on ${ends}, in ${days} days.`
      return { result: days < WARN_AHEAD_DAYS ? 'look' : 'ok', words, ends }
    }
    case 'assertion': {
      const unlike = unlikeToken(credential.assertion)
      if (unlike !== null) {
        return { result: 'look', words: `The file ${file} ${unlike}: ${WRITTEN_ANEW}.`, ends: null }
      }
      const claims = federatedClaims(access, credential.assertion)
      const odd = [audienceWords(access, claims), staleWords(claims, nowMs)].filter(words => words !== null)
      const words = [
        `The federated token in ${file} can be read. The customer's federated credential must say exactly: ${toBeEntered(claims)}.`,
        ...odd,
      ].join(' ')
      return { result: odd.length === 0 ? 'ok' : 'look', words, ends: claims.ends }
    }
  }
}

function audienceWords(access: TenantAccess, { isForEntra, audience }: FederatedClaims): string | null {
  if (isForEntra) return null
  return `It is made out to the audience ${audience ?? 'none'} and not to "${expectedAudience(access)}": the operator must have it issued for that (in Kubernetes: "audience" of the projected service account token), unless the customer entered another audience on purpose.`
}

/** A token of an hour that is renewed in time is none to warn of. */
function staleWords({ ends, lifeMs }: FederatedClaims, nowMs: number): string | null {
  if (ends === null) return null
  const leftMs = Date.parse(ends) - nowMs
  if (leftMs <= 0) {
    return `It ended on ${ends} and was not renewed: the operator must see to it that whoever writes the file does.`
  }
  const staleMs = lifeMs === null ? STALE_MS : Math.min(lifeMs * STALE_SHARE, STALE_MAX_MS)
  return leftMs >= staleMs
    ? null
    : `It ends on ${ends} and should have been renewed by now: the operator must see to it that whoever writes the file does.`
}

/** One credential as it goes into one request. */
export type Sent = Exclude<Credential, { kind: 'secrets' }> | { readonly kind: 'secret'; readonly secret: string }

/** Entra's refusal, with what the credential itself tells: which certificate, which token. Other trouble stays as it is. */
export function ofCredential(
  access: TenantAccess,
  sent: Sent,
  trouble: Trouble,
  { isClientError, nowMs }: { readonly isClientError: boolean; readonly nowMs: number },
): Trouble {
  if (trouble.kind !== 'needs-attention') return trouble
  const found = trouble.problem
  const isRefused = isClientError && !NOT_OF_CREDENTIAL.has(found.code)
  switch (sent.kind) {
    case 'secret':
      return trouble
    case 'certificate': {
      if (!isRefused && !CERTIFICATE_CODES.has(found.code)) return trouble
      const which = `It is the certificate with the thumbprint ${sent.thumbprint}, as Entra's page shows it, which ends on ${sent.ends}.`
      return { kind: 'needs-attention', problem: { ...found, words: `${found.words} ${which}` } }
    }
    case 'assertion':
      return isRefused || FEDERATION_CODES.has(found.code)
        ? withIds(problem(access, found.code, federationAdvice(access, sent.assertion, found.code, nowMs)), found)
        : trouble
  }
}

const CERTIFICATE_CODES: ReadonlySet<string> = new Set(['AADSTS700027', 'AADSTS700030', 'AADSTS50048'])
const FEDERATION_CODES: ReadonlySet<string> = new Set(
  [70021, 700211, 700212, 700213, 700229, 700223, 700024, 700027, 700030, 50027, 50048].map(code => `AADSTS${code}`),
)
/** The client is refused, but not for what it showed. */
const NOT_OF_CREDENTIAL: ReadonlySet<string> = new Set(
  [700016, 700025, 7000112, 7000216, 7000218, 900144].map(code => `AADSTS${code}`),
)

function federationAdvice(access: TenantAccess, assertion: string, code: string, nowMs: number): Advice {
  const claims = federatedClaims(access, assertion)
  const refused = 'Entra does not accept the federated token in {file}'
  const operator = (words: string): Advice => ({ words, move: 'operator' })
  const unlike = unlikeToken(assertion)
  if (unlike !== null) return operator(`${refused}. The file ${unlike}: ${WRITTEN_ANEW}.`)
  const stale = claims.ends !== null && Date.parse(claims.ends) <= nowMs ? staleWords(claims, nowMs) : null
  if (stale !== null) return operator(`${refused}. ${stale}`)
  const entered = `${ADMIN} must compare the federated credential of the application {app} with the token, character for character: ${toBeEntered(claims)}.`
  const customer = (words: string): Advice => ({ words, move: 'customer', page: PAGES.federation })
  switch (code) {
    case 'AADSTS700024': {
      const ends = claims.ends === null ? '' : ` (it ends on ${claims.ends})`
      return operator(
        `${refused}: it is outside its time${ends}. The operator must set the clock of whoever issues it, and of this machine, right, and have the token written anew.`,
      )
    }
    case 'AADSTS50027':
    case 'AADSTS700027':
      return operator(
        `${refused}: it is malformed, or its signature cannot be verified. The operator must have it written anew, as it is issued, and see to it that the keys of its issuer (${claims.issuer ?? 'none'}) can be read from the internet: /.well-known/openid-configuration below it, and what that names as jwks_uri.`,
      )
    default: {
      const audience = audienceWords(access, claims)
      if (audience !== null) return operator(`${refused}. ${audience}`)
      return customer(
        `${refused}: it matches no federated credential of the application {app}${partOf(code)}; ${entered}`,
      )
    }
  }
}

function partOf(code: string): string {
  switch (code) {
    case 'AADSTS700211':
      return ' by its issuer'
    case 'AADSTS700212':
      return ' by its audience'
    case 'AADSTS700213':
      return ' by its subject'
    default:
      return ''
  }
}

function withIds(trouble: Trouble, { traceId, correlationId }: Problem): Trouble {
  if (trouble.kind !== 'needs-attention') return trouble
  const ids = {
    ...(traceId === undefined ? {} : { traceId }),
    ...(correlationId === undefined ? {} : { correlationId }),
  }
  return { kind: 'needs-attention', problem: { ...trouble.problem, ...ids } }
}

/**
 * Both secrets of a file were refused: each line with its reason, so that nobody replaces the wrong one. In the order of
 * the file, whichever was asked first.
 */
export function bothRefused(
  access: TenantAccess,
  secrets: readonly string[],
  [first, second]: readonly [Problem, Problem],
): Trouble {
  const lines = [first, second].map(({ code }, at) => lineWords(code, secrets[at] ?? ''))
  const isAlike = secrets[0] === secrets[1]
  const areAllOver = [first, second].every(({ code }) => code === 'AADSTS7000222')
  const words = `Entra rejects both secrets in {file}. Line 1: ${lines[0]}. Line 2: ${lines[1]}.${isAlike ? ' Both lines hold the same.' : ''} ${
    areAllOver ? '' : 'The operator must first compare the file with what the customer sent; if it is the same, '
  }${areAllOver ? "The customer's administrator" : ADMIN} must create a new secret and send its Value; the operator puts it into {file}.`
  const advice: Advice = { words, move: areAllOver ? 'customer' : 'operator', page: PAGES.credentials }
  return withIds(problem(access, second.code, advice), second)
}

function lineWords(code: string, secret: string): string {
  const oddity = oddityOf(secret)
  const said = code === 'AADSTS7000222' ? 'has expired' : code === 'AADSTS7000215' ? 'is wrong' : 'is refused'
  return `${said} (${code})${oddity === null || code === 'AADSTS7000222' ? '' : `, it ${oddity.words.replace(/\.$/, '')}`}`
}
