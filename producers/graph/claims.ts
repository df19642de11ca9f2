/** What a token says of itself. A hint for words, never a verdict: Microsoft may change the format at any time. */
export interface Grant {
  readonly roles: readonly string[]
  /** Roles that allow more than reading, such as `Mail.Send`; the poller needs none. */
  readonly writeRoles: readonly string[]
}

interface Claims {
  readonly tid?: unknown
  readonly roles?: unknown
  readonly exp?: unknown
}

/** The middle part of a JWT, unverified; null if it is none. */
export function claimsOf(token: string): Claims | null {
  try {
    const claims: unknown = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())
    return typeof claims === 'object' && claims !== null ? claims : null
  } catch {
    return null
  }
}

const MAX_ROLES = 64
const ROLE = /^[A-Za-z][A-Za-z-]{0,39}\.[A-Za-z]{1,40}(?:\.[A-Za-z]{1,40})?$/
/** The action is a role's second part: `Mail.Read`, `User.ReadBasic.All`, but not `RoleManagement.ReadWrite.Directory`. */
const READS = /^[^.]+\.Read(?!Write)/
/** What these let an application do is decided site by site, or not to be known from here. */
const UNDECIDED = /^[^.]+\.Selected|^an unknown permission$/

export function grantOf(claims: Claims | null): Grant | null {
  if (claims === null) return null
  const listed: readonly unknown[] = Array.isArray(claims.roles) ? claims.roles.slice(0, MAX_ROLES) : []
  const roles = listed.map(role => (typeof role === 'string' && ROLE.test(role) ? role : 'an unknown permission'))
  return { roles, writeRoles: roles.filter(role => !READS.test(role) && !UNDECIDED.test(role)) }
}
