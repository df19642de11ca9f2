/**
 * App-only tokens, one a tenant: our own cache, with one request under way a tenant at most, renewal ahead of the end,
 * and the old token serving until its end while Entra is in trouble.
 */
import type { Grant } from './claims.ts'
import type { TenantAccess } from './clouds.ts'
import type { Trouble } from './problems.ts'
import { type Acquired, acquireToken, type Token, type TokenDeps } from './token-request.ts'

export interface Tokens {
  /** A token that is good now. 100 callers at once cause one request. Throws only the signal's reason. */
  get(access: TenantAccess, signal: AbortSignal): Promise<Token | Trouble>
  /** Graph rejected this token; the next `get` fetches another. */
  drop(tenantId: string, value: string): void
  forget(tenantId: string): void
  /** The last token's own words, null before the first or when unreadable. */
  grant(tenantId: string): Grant | null
  /** Ends what is under way, as unavailable. */
  close(): void
}

interface Entry {
  /** Everything the token depends on; another identity under the same tenant starts afresh. */
  readonly identity: string
  token: Token | null
  /** From here on a new one is tried for, until here the old one serves. */
  refreshAtMs: number
  endsAtMs: number
  /** Which of the secrets of the file Entra took last. */
  secretAt: number
  flight: Promise<Acquired> | null
}

const REFRESH_AHEAD_MS = 5 * 60_000
// short-lived tokens keep four fifths of their life, else every call would refresh
const REFRESH_AHEAD_SHARE = 0.2
const REFRESH_RETRY_MS = 30_000
export function createTokens(deps: TokenDeps): Tokens {
  const entries = new Map<string, Entry>()
  const closing = new AbortController()

  function entryOf(access: TenantAccess): Entry {
    const { cloud, clientId, credential } = access
    const identity = JSON.stringify([cloud, clientId, credential.kind, credential.file])
    const known = entries.get(keyOf(access.tenantId))
    if (known?.identity === identity) return known
    const entry: Entry = { identity, token: null, refreshAtMs: 0, endsAtMs: 0, secretAt: 0, flight: null }
    entries.set(keyOf(access.tenantId), entry)
    return entry
  }

  async function fly(entry: Entry, access: TenantAccess): Promise<Acquired> {
    const startedAtMs = deps.clock.now()
    const acquired = await acquireToken(deps, access, closing.signal, entry.secretAt).finally(() => {
      entry.flight = null
    })
    if (acquired.kind === 'acquired') {
      const ahead = Math.min(REFRESH_AHEAD_MS, acquired.lifeMs * REFRESH_AHEAD_SHARE)
      entry.token = acquired.token
      entry.secretAt = acquired.secretAt
      entry.endsAtMs = startedAtMs + acquired.lifeMs
      entry.refreshAtMs = entry.endsAtMs - ahead
    } else {
      const askedMs = 'retryAfterMs' in acquired ? (acquired.retryAfterMs ?? 0) : 0
      entry.refreshAtMs = deps.clock.now() + Math.max(REFRESH_RETRY_MS, askedMs)
    }
    return acquired
  }

  return {
    async get(access, signal) {
      signal.throwIfAborted()
      const entry = entryOf(access)
      const usable = () => (deps.clock.now() < entry.endsAtMs ? entry.token : null)
      const held = usable()
      if (held !== null && deps.clock.now() < entry.refreshAtMs) return held
      entry.flight ??= fly(entry, access)
      const acquired = await untilAborted(entry.flight, signal)
      if (acquired.kind === 'acquired') return acquired.token
      return acquired.kind === 'needs-attention' ? acquired : (usable() ?? acquired)
    },
    drop(tenantId, value) {
      const entry = entries.get(keyOf(tenantId))
      if (entry?.token?.value === value) entry.endsAtMs = 0
    },
    forget(tenantId) {
      entries.delete(keyOf(tenantId))
    },
    grant(tenantId) {
      return entries.get(keyOf(tenantId))?.token?.grant ?? null
    },
    close() {
      closing.abort(new Error('closed'))
      entries.clear()
    },
  }
}

function keyOf(tenantId: string): string {
  return tenantId.toLowerCase()
}

/** The work goes on for others; only this caller leaves. */
async function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>()
  const leave = () => reject(signal.reason as Error)
  signal.addEventListener('abort', leave, { once: true })
  try {
    return await Promise.race([work, promise])
  } finally {
    signal.removeEventListener('abort', leave)
  }
}
