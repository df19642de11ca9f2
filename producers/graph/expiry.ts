/**
 * When a client secret ends. A token does not say, and the application's own record in Entra may be read only with a
 * permission that is far more than an alert reader needs: it is used where it happens to be there, never asked for.
 */
import type { Endpoints } from './clouds.ts'

const ALLOWING: ReadonlySet<string> = new Set([
  'Application.Read.All',
  'Application.ReadWrite.All',
  'Application.ReadWrite.OwnedBy',
  'Directory.Read.All',
  'Directory.ReadWrite.All',
])

export function mayReadOwnRecord(roles: readonly string[]): boolean {
  return roles.some(role => ALLOWING.has(role))
}

export function ownRecordUrl(at: Endpoints, clientId: string): URL {
  return new URL(
    `${at.graphBase}/v1.0/applications(appId='${encodeURIComponent(clientId)}')?$select=passwordCredentials`,
  )
}

/** Entra tells a secret by its first characters, and by nothing else. */
const HINT_CHARS = 3
const MAX_ENTRIES = 200

/**
 * The end of the last of these secrets, ISO, as the record's `passwordCredentials` tells it; null: none of them can be
 * told in it. Of several entries that begin alike the first to end counts: a warning too early costs less than none. Those
 * that have ended are passed over: the record keeps them, and Entra has just taken a secret.
 */
export function endOfSecrets(body: Buffer, secrets: readonly string[], nowMs: number): string | null {
  const entries = entriesOf(body).filter(({ endsMs }) => endsMs > nowMs)
  const ends = secrets.flatMap(secret => {
    const alike = entries.filter(({ hint }) => hint === secret.slice(0, HINT_CHARS)).map(({ endsMs }) => endsMs)
    return alike.length === 0 ? [] : [Math.min(...alike)]
  })
  return ends.length === 0 ? null : new Date(Math.max(...ends)).toISOString()
}

function entriesOf(body: Buffer): readonly { readonly hint: string; readonly endsMs: number }[] {
  const listed = memberOf(parsed(body), 'passwordCredentials')
  if (!Array.isArray(listed)) return []
  return listed.slice(0, MAX_ENTRIES).flatMap((entry: unknown) => {
    const hint = memberOf(entry, 'hint')
    const end = memberOf(entry, 'endDateTime')
    const endsMs = typeof end === 'string' ? Date.parse(end) : NaN
    return typeof hint === 'string' && hint.length === HINT_CHARS && Number.isFinite(endsMs) ? [{ hint, endsMs }] : []
  })
}

function parsed(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString())
  } catch {
    return null
  }
}

function memberOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, name)
    ? (value as Readonly<Record<string, unknown>>)[name]
    : undefined
}
