/** What Entra says to a token request and the engine to a batch. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readItems, readRefusal } from '../../consumers/engine/answer.ts'
import { registerSecret } from '../../platform/log-scrub.ts'
import type { Exchange } from '../../producers/graph/exchange.ts'
import { acquireToken } from '../../producers/graph/token-request.ts'
import type { Target } from './loop.ts'
import { headerOf, isObject, joined, must, mustBeWords, oneOf, PLANTED, parsed, partsOf } from './oracle.ts'
import { ACCESS, checkTrouble } from './page-targets.ts'

registerSecret(PLANTED)
const secretsDir = mkdtempSync(join(tmpdir(), 'fuzz-secrets-'))
writeFileSync(join(secretsDir, ACCESS.credential.file), PLANTED)
process.once('exit', () => rmSync(secretsDir, { recursive: true, force: true }))

const claims = (value: unknown): string => `e30.${Buffer.from(JSON.stringify(value)).toString('base64url')}.x`
const never = new AbortController().signal

export const entraAnswer: Target = {
  name: 'entra-answer',
  about: "the token endpoint's answer, through msal to a token or to words",
  samples: () => {
    const token = (more: object) =>
      JSON.stringify({ token_type: 'Bearer', expires_in: 3599, access_token: 't', ...more })
    const refusal = (code: number, error: string) =>
      JSON.stringify({
        error,
        error_description: `AADSTS${code}: ${PLANTED}`,
        error_codes: [code],
        trace_id: ACCESS.tenantId,
        correlation_id: ACCESS.tenantId,
      })
    return [
      joined(['200', '', 'Mon, 23 Nov 2026 10:00:00 GMT', token({})]),
      joined([
        '200',
        '',
        '',
        token({ access_token: claims({ tid: ACCESS.tenantId, roles: ['SecurityAlert.Read.All'] }) }),
      ]),
      joined(['200', '', '', token({ access_token: claims({ tid: 'x', roles: [{}, 'A.ReadWrite.All', PLANTED] }) })]),
      joined(['200', '', '', token({ expires_in: '3599', ext_expires_in: 1e300, refresh_in: -1 })]),
      joined(['200', '', '', '"just text"']),
      joined(['400', '', '', refusal(7000215, 'invalid_client')]),
      joined(['401', '', '', refusal(7000222, 'invalid_client')]),
      joined(['400', '', '', refusal(700016, 'unauthorized_client')]),
      joined(['429', '5', '', refusal(50196, 'temporarily_unavailable')]),
      joined(['503', '120', '', '<html>']),
      joined(['400', '', '', '{"error":5,"error_codes":"x","error_description":{}}']),
    ]
  },
  words: [
    '"access_token"',
    '"expires_in"',
    '"error"',
    '"error_codes"',
    '"AADSTS700027"',
    '200',
    '400',
    '"client_info"',
    '.',
  ],
  maxBytes: 16 * 1024,
  async run(input) {
    const [status, retryAfter, date, body] = partsOf(input, 4) as readonly [Buffer, Buffer, Buffer, Buffer]
    const code = Number.parseInt(status.toString('latin1'), 10)
    const headers = { 'retry-after': headerOf(retryAfter), date: headerOf(date) }
    const answer: Exchange = {
      kind: 'answer',
      status: Number.isNaN(code) ? 200 : code,
      headers,
      body: code === 413 ? 'too-large' : body,
      receivedAtMs: 1_764_000_000_000,
    }
    const failures: string[] = []
    const acquired = await acquireToken(
      {
        clock: { now: () => 1_764_000_000_000, sleep: () => Promise.resolve() },
        secretsDir,
        sandboxUrl: null,
        post: () => Promise.resolve(answer),
        failed: failure => failures.push(failure),
      },
      ACCESS,
      never,
    )
    for (const failure of failures) must(/^(?:AADSTS\d{1,9}|network|other)$/.test(failure), `failed as ${failure}`)
    if (acquired.kind !== 'acquired') {
      checkTrouble(acquired, 'the answer')
      return JSON.stringify(acquired)
    }
    const { token, lifeMs } = acquired
    must(typeof token.value === 'string' && /^[\x21-\x7e]{1,16384}$/.test(token.value), 'the token fits no header')
    must(lifeMs > 0 && lifeMs <= 86_400_000, `the token lives ${lifeMs} ms`)
    must((token.grant?.roles.length ?? 0) <= 64, 'too many roles')
    for (const role of token.grant?.roles ?? []) mustBeWords(role, 90, 'a role')
    return JSON.stringify(acquired)
  },
}

const IDS = ['id-1', '__proto__', 'constructor', 'id-4']

/** The kind of answer that an entry gives, and of several that agree; `again` for everything that is unclear. */
function expectedKind(list: readonly unknown[], id: string): string {
  const kinds = list
    .filter(entry => isObject(entry) && entry['id'] === id)
    .map(entry => kindOf(isObject(entry) ? entry['status'] : null))
  const [first] = kinds
  return first !== undefined && kinds.every(kind => kind === first) ? first : 'again'
}

function kindOf(status: unknown): string {
  if (typeof status !== 'number' || !Number.isInteger(status)) return 'again'
  if (status >= 200 && status < 300) return 'accepted'
  if (status === 409) return 'known'
  return status >= 400 && status < 500 && ![408, 425, 429].includes(status) ? 'rejected' : 'again'
}

export const engineAnswer: Target = {
  name: 'engine-answer',
  about: "the engine's answer to a batch, item by item or refused as a whole",
  samples: () => {
    const items = (...list: readonly unknown[]) => JSON.stringify({ items: list })
    return [
      joined([
        '200',
        items({ id: 'id-1', status: 200 }, { id: 'id-4', status: 409 }, { id: '__proto__', status: 422 }),
      ]),
      joined(['207', items({ id: 'constructor', status: 400, error: `no\r\n\u001b[31m ${PLANTED}` })]),
      joined(['200', items({ id: 'id-1', status: 200 }, { id: 'id-1', status: 500 }, { id: 'x', status: 200 }, null)]),
      joined(['202', '']),
      ...['301', '400', '401', '404', '408', '409', '413', '415', '422', '425', '429', '500', '503', '599', '700'].map(
        status => joined([status, `{"error":"${PLANTED}\u2028"}`]),
      ),
    ]
  },
  words: [
    '"items"',
    '"id"',
    '"status"',
    '"error"',
    '"id-1"',
    '200',
    '409',
    '503',
    '{"items":[',
    '{"id":"id-1","status":',
  ],
  run(input) {
    const [status, body] = partsOf(input, 2) as readonly [Buffer, Buffer]
    const code = Number.parseInt(status.toString('latin1'), 10)
    const text = body.toString()
    if (!(code >= 200 && code < 300)) {
      const refusal = readRefusal(code, text, 5)
      oneOf(refusal.kind, ['again', 'blocked', 'too-large', 'bad-batch', 'bad-encoding'], 'a refusal')
      if ('detail' in refusal) mustBeWords(refusal.detail, 700, 'the detail')
      return JSON.stringify(refusal)
    }
    const answer = readItems(code, text, IDS)
    if (answer.kind !== 'items') {
      must(answer.kind === 'again', `a 2xx is ${answer.kind}`)
      mustBeWords(answer.detail, 200, 'the detail')
      return answer.detail
    }
    must(answer.fates.length === IDS.length, `${answer.fates.length} fates for ${IDS.length} items`)
    const all = parsed(text)
    const list = isObject(all) && Array.isArray(all['items']) ? (all['items'] as readonly unknown[]) : []
    for (const [at, fate] of answer.fates.entries()) {
      const expected = expectedKind(list, IDS[at] ?? '')
      must(fate.kind === expected, `${IDS[at]} is ${fate.kind}, the answer says ${expected}`)
      if (fate.kind === 'again') mustBeWords(fate.detail, 520, 'the detail')
      if (fate.kind === 'rejected' && fate.error !== '') mustBeWords(fate.error, 500, 'the error')
    }
    return JSON.stringify(answer.fates)
  },
}
