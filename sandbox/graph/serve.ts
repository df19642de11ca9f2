import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { type Answer, BodyTooLarge, deliver, jsonAnswer } from './answer.ts'
import { serveList } from './serve-list.ts'
import { serveToken } from './serve-token.ts'
import { type GraphState, graphError, simNow } from './state.ts'

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
    'request-id': randomUUID(),
    'x-ms-ags-diagnostic': '{"ServerInfo":{"DataCenter":"Simulated","Slice":"E","Ring":"5","ScaleUnit":"001"}}',
  }
  const sent = request.headers['client-request-id']
  if (typeof sent === 'string' && /^[\w-]{1,64}$/.test(sent)) headers['client-request-id'] = sent
  await deliver({ ...answer, headers }, request, response)
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
  return refuseOther(state, request, url, list !== null || login !== null)
}

/** 405 or 404, counted as a breach of read-only when it was anything but GET. */
function refuseOther(state: GraphState, request: IncomingMessage, url: URL, known: boolean): Answer {
  request.resume()
  const token = /^Bearer (.+)$/i.exec(request.headers.authorization ?? '')?.[1] ?? ''
  const tenantId = state.desk.find(token)?.tenantId ?? null
  if (request.method !== 'GET') state.book.countersOf(tenantId ?? 'unknown').nonGetRequests++
  const answer = known
    ? graphError(state, request, 405, 'BadRequest', `Method not allowed: ${request.method}.`)
    : graphError(state, request, 404, 'UnknownError', 'Resource not found.')
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
  return answer
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
