/**
 * What Graph's alert list says when it gives no page, put into words.
 * Decided by the HTTP status alone, as Microsoft advises, once it is sure that Graph answered.
 */
import { fromBetween } from './between.ts'
import type { TenantAccess } from './clouds.ts'
import {
  ADMIN,
  type Advice,
  CONSENT_TAKES_TIME,
  isGuid,
  neededPermission,
  ONLY_APPLICATION,
  PAGES,
  problem,
  readingPermission,
  type TraceIds,
  type Trouble,
} from './problems.ts'
import { firstOf, type HeaderValue } from './retry-after.ts'

export interface GraphRefusal {
  readonly status: number
  readonly headers: Readonly<Record<string, HeaderValue>>
  readonly retryAfterMs: number | null
  /** It is not Graph's own answer. */
  readonly isBetween: boolean
  /** Was it an earlier page's nextLink that was asked for? */
  readonly isNextLink: boolean
  /** Permissions that the token shows, null if it cannot be read. */
  readonly roles: readonly string[] | null
}

const MAX_ROLES_SAID = 8

/** Every status but 200 and 206; a 401 comes here only after a second token met it too. */
export function graphTrouble(access: TenantAccess, refusal: GraphRefusal): Trouble {
  const { status, retryAfterMs, isNextLink } = refusal
  const detail = `Graph answered ${status}${requestText(refusal)}`
  if (status === 429 || status === 509) return { kind: 'throttled', retryAfterMs, detail }
  if (status === 503 && retryAfterMs !== null) return { kind: 'throttled', retryAfterMs, detail }
  if (refusal.isBetween) return fromBetween(access, 'graph', refusal)
  if (status < 400 || status >= 500 || PASSING.has(status)) return { kind: 'unavailable', retryAfterMs, detail }
  if (status === 413) return { kind: 'split', reason: 'too-large', detail }
  // a page that is gone says nothing about the list
  const isGone = isNextLink && (status === 404 || status === 410)
  const advice = isGone ? undefined : adviceOn(access, refusal)
  if (advice !== undefined) return problem(access, `graph-${status}`, advice, requestIds(refusal))
  return { kind: 'split', reason: isNextLink ? 'nextlink-rejected' : 'bad-request', detail }
}

const PASSING = new Set([407, 408, 409, 423, 425])

function adviceOn(access: TenantAccess, refusal: GraphRefusal): Advice | undefined {
  switch (refusal.status) {
    case 401:
      return {
        words: `Graph rejects the tokens of the application {app} for {tenant}, also fresh ones: check the cloud "{cloud}" in the tenants file, or ${ADMIN} has blocked the application.`,
        move: 'customer',
        page: PAGES.enabled,
      }
    case 402:
      return {
        words: `Graph wants a licence or payment for the alerts of {tenant}: ${ADMIN} must check the subscription.`,
        move: 'customer',
        page: PAGES.licences,
      }
    case 403:
      return forbidden(access, refusal.roles)
    case 404:
    case 410:
      return {
        words: `Graph has no list ${access.source} for {tenant} in the cloud "{cloud}": check source and cloud in the tenants file (the legacy list "alerts" was retired on 2026-10-15).`,
        move: 'operator',
      }
    default:
      return undefined
  }
}

function forbidden(access: TenantAccess, roles: readonly string[] | null): Advice {
  const carried = roles === null ? null : readingPermission(access.source, roles)
  if (carried !== null) {
    return {
      words: `Graph refuses the alerts of {tenant} although the token carries ${carried}: ${ADMIN} must check that the directory has a licence of a Defender product, and that no Conditional Access policy keeps the application {app} from Microsoft Graph.`,
      move: 'customer',
      page: PAGES.licences,
    }
  }
  const needed = neededPermission(access.source)
  const grant =
    access.isSharedApp === true
      ? 'must grant admin consent by the link {consent} .'
      : `must add it and grant admin consent. ${ONLY_APPLICATION}`
  return {
    words: `Graph refuses the alerts of {tenant}: the application {app} lacks the application permission ${needed}${rolesText(roles)}. ${capital(ADMIN)} ${grant} ${CONSENT_TAKES_TIME} No write permission is needed.`,
    move: 'customer',
    page: access.isSharedApp === true ? PAGES.consent : PAGES.permissions,
  }
}

function rolesText(roles: readonly string[] | null): string {
  if (roles === null) return ''
  return ` (its token carries ${roles.length === 0 ? 'no permission at all' : roles.slice(0, MAX_ROLES_SAID).join(', ')})`
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}

function requestIds(refusal: GraphRefusal): TraceIds {
  const id = firstOf(refusal.headers['request-id']) ?? ''
  return isGuid(id) ? { requestId: id } : {}
}

function requestText(refusal: GraphRefusal): string {
  const { requestId } = requestIds(refusal)
  return requestId === undefined ? '' : ` (request-id ${requestId})`
}
