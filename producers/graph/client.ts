/**
 * The read-only client of Microsoft Graph's alert lists. It can send GET to one list of one host and, where the token
 * happens to allow it, to the application's own record; what went wrong is a value in words (problems.ts), and only the
 * caller's own signal is ever thrown.
 */
import type { Dispatcher } from 'undici'

import type { Clock, Random } from '../../platform/clock.ts'
import { isFromBetween } from './between.ts'
import type { Grant } from './claims.ts'
import { endpoints, type TenantAccess, unknownPart } from './clouds.ts'
import { credentialVersion, readCredential } from './credentials.ts'
import { createGet, createPostForm, type Exchange } from './exchange.ts'
import { endOfSecrets, mayReadOwnRecord, ownRecordUrl } from './expiry.ts'
import { DIRECT, openNetwork, proxyName, type Way } from './network.ts'
import { silenceWords } from './network-errors.ts'
import { type Ask, answerFrom, headersFor, type PageAnswer, targetOf } from './pages.ts'
import { problem, type Trouble, unanswered, unavailable } from './problems.ts'
import { httpDateMs } from './retry-after.ts'
import { SLICE_LIMITS, type SliceLimits } from './slice.ts'
import type { Token, TokenDeps } from './token-request.ts'
import { createTokens } from './tokens.ts'

export type { PageAnswer } from './pages.ts'

export interface Graph {
  /**
   * Graph's clock: its last Date header (before the first page: Entra's), moved on by our clock. Gets a token if needed.
   * Rounded down to a second by the header, and older by the way here, so it is never ahead of Graph.
   */
  now(access: TenantAccess, signal: AbortSignal): Promise<{ readonly kind: 'time'; readonly epochMs: number } | Trouble>
  /**
   * One page. One request to Graph; a second one only if the first met a 401, at most one in 30 s a tenant.
   * Never throws for what the network, Entra or Graph did; throws only the signal's reason.
   */
  page(access: TenantAccess, ask: Ask, signal: AbortSignal): Promise<PageAnswer>
  /** Changes when the tenant's credential file does: a tenant that needs attention may then be tried at once. */
  credentialVersion(access: TenantAccess): Promise<string>
  /** What the tenant's last token says it may do, for warnings about needless write permissions; null: not known. */
  grant(tenantId: string): Grant | null
  /** Drops token and clock: the tenant changed, or its lane was lost. */
  forget(tenantId: string): void
}

/** For who checks a tenant; a poller has no use for it. */
export interface OwnRecord {
  /**
   * When the tenant's client secret ends, ISO, read from Entra's record of the application; null: not to be known, as
   * without a token that happens to carry a permission for that record, for which no request is made. One request.
   */
  secretEnds(access: TenantAccess, signal: AbortSignal): Promise<string | null>
}

interface GraphLimits {
  readonly tokenDeadlineMs: number
  readonly maxTokenBytes: number
  /** For the whole page, from the first byte sent to the last byte read. */
  readonly pageDeadlineMs: number
  readonly connectTimeoutMs: number
  readonly slice: SliceLimits
}

const LIMITS: GraphLimits = {
  tokenDeadlineMs: 15_000,
  maxTokenBytes: 1024 * 1024,
  pageDeadlineMs: 60_000,
  connectTimeoutMs: 10_000,
  slice: SLICE_LIMITS,
}

export interface GraphDeps {
  /** One plain-http simulator for login and Graph of all tenants; null in production. */
  readonly sandboxUrl: URL | null
  readonly secretsDir: string
  readonly clock: Clock
  readonly random: Random
  /** Told of each token request that failed. */
  readonly tokenFailed?: TokenDeps['failed']
  /** Absent: directly, trusting what the system trusts. */
  readonly way?: Way
  /** Given: used and left open, as by tests. Absent: an own pool, closed on dispose. */
  readonly dispatcher?: Dispatcher
  readonly limits?: Partial<GraphLimits>
}

const SECOND_TRY_GAP_MS = 30_000
/**
 * A Date of Graph that runs further ahead of Entra's is not believed: a watermark that followed it would skip whatever
 * comes until then. What a smaller error skips, a sweep finds.
 */
const MAX_AHEAD_MS = 24 * 3_600_000

/** What is remembered of a tenant between pages. */
interface TenantState {
  skewMs: number | null
  secondTryAtMs: number
  /** 401s since Graph last took a token. */
  refusals: number
}

export function createGraph(deps: GraphDeps): Graph & OwnRecord & AsyncDisposable {
  const limits = { ...LIMITS, ...deps.limits }
  const proxy = proxyName(deps.way ?? DIRECT)
  const { dispatcher, close } =
    deps.dispatcher === undefined
      ? openNetwork(deps.way ?? DIRECT, limits)
      : { dispatcher: deps.dispatcher, close: () => Promise.resolve() }
  const network = { clock: deps.clock, dispatcher }
  const get = createGet(network, { deadlineMs: limits.pageDeadlineMs, maxBytes: limits.slice.maxPageBytes })
  const post = createPostForm(network, { deadlineMs: limits.tokenDeadlineMs, maxBytes: limits.maxTokenBytes })
  const tokens = createTokens({ ...deps, proxy, post, failed: failure => deps.tokenFailed?.(failure) })
  const states = new Map<string, TenantState>()
  const sharing = createSharing()

  function stateOf(tenantId: string): TenantState {
    const known = states.get(tenantId.toLowerCase())
    if (known !== undefined) return known
    const state: TenantState = { skewMs: null, secondTryAtMs: Number.NEGATIVE_INFINITY, refusals: 0 }
    states.set(tenantId.toLowerCase(), state)
    return state
  }

  /** Whether a 401 may be answered with a new token: once in a row, and not so often that the budget would not hold. */
  function maySendAgain(state: TenantState): boolean {
    const nowMs = deps.clock.now()
    state.refusals++
    if (state.refusals > 1 || Math.abs(nowMs - state.secondTryAtMs) < SECOND_TRY_GAP_MS) return false
    state.secondTryAtMs = nowMs
    return true
  }

  async function fetchPage(
    access: TenantAccess,
    url: URL,
    isNextLink: boolean,
    signal: AbortSignal,
  ): Promise<PageAnswer> {
    const state = stateOf(access.tenantId)
    const pageFrom = (answer: Extract<Exchange, { kind: 'answer' }>, token: Token, dateMs: number | null) =>
      answerFrom(access, answer, { isNextLink, token, dateMs, slice: limits.slice, clock: deps.clock })
    for (;;) {
      const token = await tokens.get(access, signal)
      if (token.kind !== 'token') return token
      const exchange = await get(url, headersFor(token, deps.random), signal)
      if (exchange.kind === 'failed')
        return unanswered('graph', exchange.code, silenceWords('Graph', exchange.code, proxy))
      // whoever answers in Graph's place knows neither Graph's time nor what the token is worth
      const isBetween = isFromBetween('graph', exchange)
      let dateMs = isBetween ? null : httpDateMs(exchange.headers['date'])
      if (dateMs !== null) state.skewMs = dateMs - exchange.receivedAtMs
      if (state.skewMs !== null && token.skewMs !== null && state.skewMs - token.skewMs > MAX_AHEAD_MS) {
        // nobody's time, or our clock was set back since the token came: Entra is asked again
        state.skewMs = null
        dateMs = null
        tokens.drop(access.tenantId, token.value)
      }
      if (isBetween) return pageFrom(exchange, token, dateMs)
      // a token keeps the permissions it was issued with: whoever grants consent now must not wait an hour for it
      if (exchange.status === 401 || exchange.status === 403) tokens.drop(access.tenantId, token.value)
      if (exchange.status === 401 && maySendAgain(state)) continue
      if (exchange.status === 401 && state.refusals === 1) return unavailable('Graph answered 401 soon after another')
      if (exchange.status !== 401) state.refusals = 0
      return pageFrom(exchange, token, dateMs)
    }
  }

  return {
    async now(given, signal) {
      const misfit = misfitOf(given)
      if (misfit !== null) return misfit
      const access = sharing.mark(given)
      const token = await tokens.get(access, signal)
      if (token.kind !== 'token') return token
      const skewMs = stateOf(access.tenantId).skewMs ?? token.skewMs
      if (skewMs === null) return unavailable('neither Graph nor Entra sent a Date header, so its clock is not known')
      return { kind: 'time', epochMs: deps.clock.now() + skewMs }
    },
    async page(given, ask, signal) {
      signal.throwIfAborted()
      const misfit = misfitOf(given)
      if (misfit !== null) return misfit
      const access = sharing.mark(given)
      const target = targetOf(access, ask, endpoints(access.cloud, deps.sandboxUrl ?? undefined))
      return target instanceof URL ? await fetchPage(access, target, ask.kind === 'next', signal) : target
    },
    credentialVersion: access => credentialVersion(deps.secretsDir, access),
    grant: tenantId => tokens.grant(tenantId),
    async secretEnds(access, signal) {
      if (!mayReadOwnRecord(tokens.grant(access.tenantId)?.roles ?? [])) return null
      const credential = await readCredential(deps.secretsDir, access, deps.clock.now())
      const token = await tokens.get(access, signal)
      if (!('secrets' in credential) || token.kind !== 'token') return null
      const url = ownRecordUrl(endpoints(access.cloud, deps.sandboxUrl ?? undefined), access.clientId)
      const exchange = await get(url, headersFor(token, deps.random), signal)
      const isRecord = exchange.kind === 'answer' && exchange.status === 200 && typeof exchange.body === 'object'
      return isRecord ? endOfSecrets(exchange.body, credential.secrets, deps.clock.now()) : null
    },
    forget(tenantId) {
      tokens.forget(tenantId)
      sharing.forget(tenantId)
      states.delete(tenantId.toLowerCase())
    },
    async [Symbol.asyncDispose]() {
      tokens.close()
      await close()
    },
  }
}

/**
 * Which applications serve several of the tenants that are asked for here. Only for words, so it may come to know late: a
 * worker sees the tenants of its own lanes.
 */
function createSharing() {
  const usersOf = new Map<string, Set<string>>()
  const appOf = new Map<string, string>()
  function forget(tenantId: string): void {
    const clientId = appOf.get(tenantId.toLowerCase())
    if (clientId === undefined) return
    const users = usersOf.get(clientId)
    users?.delete(tenantId.toLowerCase())
    if (users?.size === 0) usersOf.delete(clientId)
    appOf.delete(tenantId.toLowerCase())
  }
  return {
    forget,
    mark(access: TenantAccess): TenantAccess {
      const [tenantId, clientId] = [access.tenantId.toLowerCase(), access.clientId.toLowerCase()]
      if (appOf.get(tenantId) !== clientId) {
        forget(tenantId)
        appOf.set(tenantId, clientId)
        usersOf.set(clientId, (usersOf.get(clientId) ?? new Set()).add(tenantId))
      }
      const isShared = (usersOf.get(clientId)?.size ?? 0) > 1
      return isShared && access.isSharedApp === undefined ? { ...access, isSharedApp: true } : access
    },
  }
}

function misfitOf(access: TenantAccess): Trouble | null {
  const part = unknownPart(access)
  if (part === null) return null
  const words = `This version knows no such ${part} as the record of {tenant} names: apply the tenants file again, or upgrade the poller.`
  return problem(access, 'tenant-record', { words, move: 'operator' })
}
