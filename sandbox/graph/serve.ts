import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { type Answer, BodyTooLarge, deliver, jsonAnswer } from './answer.ts'
import type { Grant } from './entra.ts'
import { serveList } from './serve-list.ts'
import { serveToken } from './serve-token.ts'
import { type GraphState, graphError, simNow } from './state.ts'
import type { SimTenant } from './tenants.ts'

/** Answers under `/_sim/`, or undefined for a path it does not know. */
export type AdminHandler = (request: IncomingMessage, url: URL) => Promise<Answer | undefined>

export async function serveGraph(
  state: GraphState,
  admin: AdminHandler,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  let answer: Answer
  try {
    answer = await route(state, admin, request)
  } catch (error) {
    if (request.destroyed && !request.complete) return
    const status = error instanceof BodyTooLarge ? 413 : 500
    answer = jsonAnswer(status, { error: { code: 'simulatorFailed', message: String(error) } })
  }
  const headers: Record<string, string> = {
    ...answer.headers,
    // the simulator's own clock, not the host's
    date: new Date(simNow(state)).toUTCString(),
    ...(answer.isForeign ? {} : ownHeaders(request.url ?? '')),
  }
  const sent = answer.isForeign ? undefined : request.headers['client-request-id']
  if (typeof sent === 'string' && /^[\w-]{1,64}$/.test(sent)) headers['client-request-id'] = sent
  await deliver({ ...answer, headers }, request, response)
}

/** By which an answer of Entra or of Graph is known as such. */
function ownHeaders(target: string): Record<string, string> {
  if (target.includes('/oauth2/v2.0/token')) return { 'x-ms-request-id': randomUUID() }
  return {
    'request-id': randomUUID(),
    'x-ms-ags-diagnostic': '{"ServerInfo":{"DataCenter":"Simulated","Slice":"E","Ring":"5","ScaleUnit":"001"}}',
  }
}

async function route(state: GraphState, admin: AdminHandler, request: IncomingMessage): Promise<Answer> {
  const url = readUrl(request.url ?? '/')
  if (url === undefined) return graphError(state, request, 400, 'BadRequest', 'The request URL is invalid.')
  if (url.pathname.startsWith('/_sim/')) {
    return (
      (await admin(request, url)) ??
      jsonAnswer(404, { error: `the simulator has no ${request.method} ${url.pathname}` })
    )
  }
  const login = /^\/([^/]+)\/oauth2\/v2\.0\/token$/.exec(url.pathname)
  if (login !== null && request.method === 'POST') {
    return serveToken(state, request, url, decodePart(login[1] ?? ''))
  }
  const list = /^\/v1\.0\/security\/(alerts_v2|alerts)$/.exec(url.pathname)
  if (list !== null && request.method === 'GET') {
    request.resume()
    return serveList(state, request, url, list[1] === 'alerts' ? 'alerts' : 'alerts_v2')
  }
  const record = /^\/v1\.0\/applications\(appId='([^']+)'\)$/.exec(decodePart(url.pathname))
  if (record !== null && request.method === 'GET') {
    request.resume()
    return serveRecord(state, request, url, record[1] ?? '')
  }
  return refuseOther(state, request, url, list !== null || login !== null || record !== null)
}

const RECORD_ROLES: readonly string[] = ['Application.Read.All', 'Application.ReadWrite.OwnedBy', 'Directory.Read.All']

/** The application's own record: its secrets told by their first characters and ends, to whoever may read it. */
function serveRecord(state: GraphState, request: IncomingMessage, url: URL, clientId: string): Answer {
  const grant = grantOf(state, request)
  const tenant = state.directories.get(grant?.tenantId ?? '')?.tenant
  let answer: Answer
  if (grant === undefined || tenant === undefined)
    answer = graphError(state, request, 401, 'InvalidAuthenticationToken', 'Access token is empty or not valid.')
  else if (!grant.roles.some(role => RECORD_ROLES.includes(role)))
    answer = graphError(state, request, 403, 'Authorization_RequestDenied', 'Insufficient privileges.')
  else if (clientId.toLowerCase() !== tenant.clientId.toLowerCase())
    answer = graphError(state, request, 404, 'Request_ResourceNotFound', 'Resource does not exist.')
  else answer = jsonAnswer(200, { passwordCredentials: tenant.secrets.map(describeSecret) })
  noteOther(state, request, url, grant?.tenantId ?? null, answer)
  return answer
}

/** Entra shows no more of a secret than its beginning, and gives every one an end. */
function describeSecret({ value, expiresAtMs }: SimTenant['secrets'][number]): Record<string, unknown> {
  return {
    customKeyIdentifier: null,
    displayName: 'SOC.OS',
    endDateTime: new Date(expiresAtMs ?? FAR_MS).toISOString(),
    hint: value.slice(0, 3),
    keyId: randomUUID(),
    secretText: null,
    startDateTime: '2026-01-01T00:00:00Z',
  }
}

const FAR_MS = Date.parse('2199-12-31T00:00:00Z')

function grantOf(state: GraphState, request: IncomingMessage): Grant | undefined {
  return state.desk.find(/^Bearer (.+)$/i.exec(request.headers.authorization ?? '')?.[1] ?? '')
}

/** 405 or 404, counted as a breach of read-only when it was anything but GET. */
function refuseOther(state: GraphState, request: IncomingMessage, url: URL, known: boolean): Answer {
  request.resume()
  const tenantId = grantOf(state, request)?.tenantId ?? null
  if (request.method !== 'GET') state.book.countersOf(tenantId ?? 'unknown').nonGetRequests++
  const answer = known
    ? graphError(state, request, 405, 'BadRequest', `Method not allowed: ${request.method}.`)
    : graphError(state, request, 404, 'UnknownError', 'Resource not found.')
  noteOther(state, request, url, tenantId, answer)
  return answer
}

function noteOther(
  state: GraphState,
  request: IncomingMessage,
  url: URL,
  tenantId: string | null,
  answer: Answer,
): void {
  state.book.note({
    atMs: state.now(),
    tenantId,
    kind: 'other',
    method: request.method ?? '',
    path: url.pathname,
    filter: null,
    top: null,
    followUp: false,
    status: answer.status,
    rows: 0,
    fault: null,
    requestsInLastMinute: 0,
  })
}

function readUrl(target: string): URL | undefined {
  return URL.canParse(target, 'http://sim.invalid') ? new URL(target, 'http://sim.invalid') : undefined
}

function decodePart(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}
