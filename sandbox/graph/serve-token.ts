import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { type Answer, jsonAnswer, reachesClient, readBody } from './answer.ts'
import { judgeTokenRequest } from './entra.ts'
import { entraError } from './entra-errors.ts'
import { appliesAt } from './faults.ts'
import { spoilAnswer } from './spoil.ts'
import { type GraphState, simNow } from './state.ts'

const MAX_FORM_BYTES = 65_536

/** `POST /{tenant}/oauth2/v2.0/token`. The form, which holds the secret, is kept nowhere. */
export async function serveToken(
  state: GraphState,
  request: IncomingMessage,
  url: URL,
  tenantPath: string,
): Promise<Answer> {
  const form = new URLSearchParams((await readBody(request, MAX_FORM_BYTES)).toString())
  const tenant = state.directories.get(tenantPath.toLowerCase())?.tenant
  const tenantId = tenant?.tenantId ?? null
  if (tenantId !== null) state.book.countersOf(tenantId).tokenRequests++
  const correlationId = url.searchParams.get('client-request-id') ?? randomUUID()
  const verdict = judgeTokenRequest(tenantPath, tenant, form, simNow(state))
  const context = { simNowMs: simNow(state), tenant: tenantPath, app: form.get('client_id') ?? '', correlationId }
  let answer: Answer
  if (verdict.kind === 'refused' || tenant === undefined) {
    answer = entraError(verdict.kind === 'refused' ? verdict.code : 90002, context)
  } else {
    const { token, lifetimeSeconds } = state.desk.issue(tenant, simNow(state))
    const times = { expires_in: lifetimeSeconds, ext_expires_in: lifetimeSeconds }
    answer = jsonAnswer(
      200,
      { token_type: 'Bearer', ...times, access_token: token },
      { 'cache-control': 'no-store, no-cache', pragma: 'no-cache' },
    )
  }
  const spot = { where: 'token' as const, followUp: false, rows: 0, covers: () => false }
  const fault = state.faults.take([tenantId], candidate => appliesAt(candidate, spot))
  if (fault !== undefined) answer = spoilAnswer(state, request, answer, fault)
  state.book.note({
    atMs: state.now(),
    tenantId,
    kind: 'token',
    method: 'POST',
    path: url.pathname,
    filter: null,
    top: null,
    followUp: false,
    status: reachesClient(answer) ? answer.status : 0,
    rows: 0,
    fault: fault?.kind ?? null,
    requestsInLastMinute: 0,
  })
  return answer
}
