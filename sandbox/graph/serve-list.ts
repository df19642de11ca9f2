import type { IncomingMessage } from 'node:http'
import { type Answer, JSON_TYPE, reachesClient } from './answer.ts'
import { shuffle } from './chance.ts'
import type { Grant } from './entra.ts'
import { appliesAt, type GraphFault } from './faults.ts'
import { brokenLink, type Here, linkToSamePlace, nextLink, trapNext } from './links.ts'
import { cutPage, type ListQuery, type Page, readQuery } from './list.ts'
import { spoilAnswer } from './spoil.ts'
import { stampOfMs } from './stamp.ts'
import { type Directory, type GraphState, graphError, simNow } from './state.ts'
import type { Row } from './store.ts'
import type { AlertSource } from './tenants.ts'

const ROLES: Readonly<Record<AlertSource, readonly string[]>> = {
  alerts_v2: [
    'SecurityAlert.Read.All',
    'SecurityAlert.ReadWrite.All',
    'SecurityIncident.Read.All',
    'SecurityIncident.ReadWrite.All',
  ],
  alerts: ['SecurityEvents.Read.All', 'SecurityEvents.ReadWrite.All'],
}

/** `GET /v1.0/security/alerts_v2` and `/alerts`: checks as Graph makes them, then the page, then the fault if one is due. */
export function serveList(state: GraphState, request: IncomingMessage, url: URL, source: AlertSource): Answer {
  const token = /^Bearer (.+)$/i.exec(request.headers.authorization ?? '')?.[1] ?? ''
  const grant = state.desk.find(token)
  const tenantId = grant?.tenantId ?? tenantNamedIn(token, state)
  const nowMs = state.now()
  const requestsInLastMinute = tenantId === null ? 0 : state.book.countListRequest(tenantId, nowMs)
  const options = url.searchParams
  const here: Here = {
    origin: `http://${request.headers.host ?? '127.0.0.1'}`,
    target: request.url ?? '',
    path: url.pathname,
    options,
  }
  const served = decide(state, request, here, source, { token, grant, tenantId, nowMs, requestsInLastMinute })
  const top = options.get('$top')
  state.book.note({
    atMs: nowMs,
    tenantId,
    kind: 'list',
    method: request.method ?? '',
    path: url.pathname,
    filter: options.get('$filter'),
    top: top === null ? null : Number(top),
    followUp: isFollowUp(options),
    status: reachesClient(served.answer) ? served.answer.status : 0,
    rows: served.rows,
    fault: served.fault,
    requestsInLastMinute,
  })
  state.ledger.counters.alertsServed += served.rows
  state.ledger.counters.bytesServed += served.answer.body.length
  return served.answer
}

interface Caller {
  readonly token: string
  readonly grant: Grant | undefined
  readonly tenantId: string | null
  readonly nowMs: number
  readonly requestsInLastMinute: number
}

interface Served {
  readonly answer: Answer
  readonly rows: number
  readonly fault: string | null
}

function decide(state: GraphState, request: IncomingMessage, here: Here, source: AlertSource, caller: Caller): Served {
  const refusal = refuse(state, request, source, caller)
  if (refusal !== undefined) return { answer: refusal, rows: 0, fault: null }
  const directory = state.directories.get(caller.tenantId ?? '')
  // a tenant's alerts lie in one list only; the other one is empty for it
  const rows = directory?.tenant.source === source ? directory.store.visible(caller.nowMs) : []
  const read = readQuery(source, here.options, rows, state.issuedSkips)
  if (read.kind === 'bad')
    return { answer: graphError(state, request, 400, 'BadRequest', read.message), rows: 0, fault: null }
  const { query } = read
  if (query.position.kind === 'trap') return trapPage(state, request, here, query, query.position.name)
  const page = cutPage(query, state.settings.pageSize)
  const spot = {
    where: 'list' as const,
    followUp: isFollowUp(here.options),
    rows: page.rows.length,
    covers: (alertId: string) => query.matching.some(row => row.revision.alertId === alertId),
  }
  const fault = state.faults.take([caller.tenantId], candidate => appliesAt(candidate, spot))
  if (fault === undefined) {
    const answer = asked(state, query.matching, pageAnswer(here, query, page.rows, nextLink(state, here, query, page)))
    return { answer, rows: page.rows.length, fault: null }
  }
  if (fault.kind === 'unauthorized') state.desk.revoke(caller.token)
  if (directory !== undefined) plantAlert(state, directory, fault)
  const shaped = shapePage(state, here, query, page, rows, fault)
  const good = pageAnswer(here, query, shaped.rows, shaped.next)
  const answer = spoilAnswer(state, request, good, fault)
  if (answer.body !== good.body) return { answer, rows: 0, fault: fault.kind }
  return { answer: asked(state, shaped.rows, answer), rows: shaped.rows.length, fault: fault.kind }
}

/** Rows count as asked for when whoever asked has the whole answer: one that hangs for a minute told nobody anything. */
function asked(state: GraphState, rows: readonly Row[], answer: Answer): Answer {
  const told = (): void => {
    for (const { revision } of rows) revision.askedAtMs ??= state.now()
  }
  return { ...answer, told }
}

function refuse(state: GraphState, request: IncomingMessage, source: AlertSource, caller: Caller): Answer | undefined {
  const { grant, tenantId } = caller
  const unauthorized = (message: string): Answer =>
    graphError(state, request, 401, 'InvalidAuthenticationToken', message, {
      'www-authenticate': 'Bearer realm="", error="invalid_token"',
    })
  if (caller.token === '') return unauthorized('Access token is empty.')
  if (grant === undefined) return unauthorized('IDX14100: JWT is not well formed, or its signature is invalid.')
  if (grant.expiresAtMs <= simNow(state)) return unauthorized('Lifetime validation failed, the token is expired.')
  const limit = state.settings.limitPerMinute
  if (tenantId !== null && caller.requestsInLastMinute > limit) {
    state.book.countersOf(tenantId).overLimit++
    // refused requests count too, so waiting this long is the only way out
    const waitMs = state.book.freeAtMs(tenantId, limit) - caller.nowMs
    const retryAfter = String(Math.max(1, Math.ceil(waitMs / 1000)))
    return graphError(state, request, 429, 'TooManyRequests', 'Too many requests.', { 'retry-after': retryAfter })
  }
  const wanted = ROLES[source]
  if (grant.roles.some(role => wanted.includes(role))) return undefined
  const message = `Missing application roles. API required roles: ${wanted.join(',')}, application roles: ${grant.roles.join(',')}.`
  return graphError(state, request, 403, 'Forbidden', message)
}

function trapPage(state: GraphState, request: IncomingMessage, here: Here, query: ListQuery, name: string): Served {
  const next = trapNext(here, name)
  const answer =
    next === null
      ? graphError(state, request, 400, 'BadRequest', 'SkipToken is not allowed.')
      : pageAnswer(here, query, [], next)
  return { answer, rows: 0, fault: 'next-link' }
}

/** Faults that last: an alert that should not be there joins the tenant's list for good. */
function plantAlert(state: GraphState, directory: Directory, fault: GraphFault): void {
  if (fault.kind !== 'foreign-alert' && fault.kind !== 'alert-without') return
  const { tenant, store } = directory
  const legacy = tenant.source === 'alerts'
  const nowMs = state.now()
  const time = stampOfMs(simNow(state))
  const owner =
    fault.kind === 'foreign-alert' ? (fault.otherTenantId ?? '99999999-9999-4999-a999-999999999999') : tenant.tenantId
  const members: Record<string, unknown> = {
    id: `planted-${fault.id}-${fault.fired}`,
    [legacy ? 'azureTenantId' : 'tenantId']: owner,
    title: `Planted by the fault ${fault.kind}`,
    createdDateTime: time,
    [legacy ? 'lastModifiedDateTime' : 'lastUpdateDateTime']: time,
  }
  const without: Record<string, readonly string[]> = {
    id: ['id'],
    tenantId: ['tenantId', 'azureTenantId'],
    time: ['createdDateTime', 'lastUpdateDateTime', 'lastModifiedDateTime'],
  }
  const left = fault.kind === 'alert-without' ? (without[fault.member] ?? []) : []
  const kept = Object.entries(members).filter(([name]) => !left.includes(name))
  store.add(Buffer.from(JSON.stringify(Object.fromEntries(kept))), { createdAtMs: nowMs, visibleAtMs: nowMs })
}

interface ShapedPage {
  readonly rows: readonly Row[]
  readonly next: string | null
}

function shapePage(
  state: GraphState,
  here: Here,
  query: ListQuery,
  page: Page,
  all: readonly Row[],
  fault: GraphFault,
): ShapedPage {
  const next = nextLink(state, here, query, page)
  if (fault.kind === 'next-link') return { rows: page.rows, next: brokenLink(here, fault) }
  if (fault.kind === 'empty-page') return { rows: [], next: linkToSamePlace(state, here, page) }
  if (fault.kind === 'duplicate-rows') return { rows: page.rows.flatMap(row => [row, row]), next }
  if (fault.kind === 'shuffled-rows') return { rows: shuffle(state.random, [...page.rows]), next }
  if (fault.kind === 'filter-ignored') return { rows: all.slice(-state.settings.pageSize).toReversed(), next }
  if (fault.kind === 'partial' && fault.warning === 'transient') {
    return { rows: page.rows.filter((_, place) => place % 2 === 1), next }
  }
  return { rows: page.rows, next }
}

const COMMA = Buffer.from(',')

/** The page's JSON around the rows' own bytes. */
function pageAnswer(here: Here, query: ListQuery, rows: readonly Row[], next: string | null): Answer {
  const context = JSON.stringify(`${here.origin}/v1.0/$metadata#security/${query.source}`)
  const count = query.count ? `"@odata.count":${query.matching.length},` : ''
  const chunks: Buffer[] = [Buffer.from(`{"@odata.context":${context},${count}"value":[`)]
  for (const [place, row] of rows.entries()) {
    if (place > 0) chunks.push(COMMA)
    chunks.push(row.bytes)
  }
  chunks.push(Buffer.from(next === null ? ']}' : `],"@odata.nextLink":${JSON.stringify(next)}}`))
  return {
    status: 200,
    headers: { 'content-type': JSON_TYPE },
    body: Buffer.concat(chunks),
    delivery: { mode: 'whole' },
  }
}

function isFollowUp(options: URLSearchParams): boolean {
  return options.has('$skip') || options.has('$skiptoken')
}

/** For the ledger only: the directory that a refused token claims to be of. */
function tenantNamedIn(token: string, state: GraphState): string | null {
  try {
    const claims: unknown = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())
    const tid = typeof claims === 'object' && claims !== null && 'tid' in claims ? claims.tid : undefined
    return typeof tid === 'string' && state.directories.has(tid) ? tid : null
  } catch {
    return null
  }
}
