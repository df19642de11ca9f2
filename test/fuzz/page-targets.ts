/**
 * What Graph answers: a page, cut without parsing it and compared with what JSON.parse makes of it; and whole answers.
 * Longer than the rule: a target is its samples, what is called, and what must hold, and they are read together.
 */
import { isUtf8 } from 'node:buffer'
import { codecOf } from '../../platform/avro/codec.ts'
import { systemClock } from '../../platform/clock.ts'
import type { AlertSource, TenantAccess } from '../../producers/graph/clouds.ts'
import { answerFrom, type PageAnswer } from '../../producers/graph/pages.ts'
import { httpDateMs } from '../../producers/graph/retry-after.ts'
import { SLICE_LIMITS, type SlicedAlert, type SliceLimits, slicePage } from '../../producers/graph/slice.ts'
import { judge } from '../../producers/publish.ts'
import { normaliseTime } from '../../producers/window.ts'
import { alertMembers, newAlertId } from '../../sandbox/graph/alerts.ts'
import { seededRandom } from '../../sandbox/graph/chance.ts'
import { hostileId, renderHostile } from '../../sandbox/graph/hostile.ts'
import { legacyMembers } from '../../sandbox/graph/legacy.ts'
import type { GraphAlert } from '../../schemas/types.ts'
import { fakeRegistry, schemaFile } from '../unit/fakes/codecs.ts'
import type { Target } from './loop.ts'
import { headerOf, isObject, joined, must, mustBeWords, oneOf, PLANTED, parsed, partsOf } from './oracle.ts'

const TENANT = '11111111-2222-4333-8444-555555555555'
export const ACCESS: TenantAccess = {
  tenantId: TENANT,
  clientId: '99999999-2222-4333-8444-555555555555',
  cloud: 'global',
  source: 'alerts_v2',
  credential: { kind: 'secretFile', file: 'one.secret' },
}
const alerts = codecOf<GraphAlert>(1, schemaFile('graph-alert'), fakeRegistry(), systemClock)

/** Small ones, so that what is small is past them too. */
const SMALL: SliceLimits = {
  maxPageBytes: 24_000,
  maxAlerts: 6,
  maxAlertBytes: 6_000,
  maxDepth: 12,
  maxKeys: 150,
  maxIdChars: 400,
  maxTitleChars: 40,
  maxMemberBytes: 60,
}

/** Pages as the simulator writes them, ordinary and hostile; the first byte says which list and which limits. */
function pages(): readonly Buffer[] {
  const page = (mode: number, texts: readonly string[], rest = ''): Buffer =>
    Buffer.from(
      `${mode}{"@odata.context":"https://graph.microsoft.com/v1.0/$metadata#x","value":[${texts.join(',')}]${rest}}`,
    )
  const members = (seed: number, revision: number) => ({
    seed,
    tenantId: TENANT,
    alertId: hostileId(newAlertId(seededRandom(seed)), seed),
    revision,
    createdText: '2026-11-23T09:00:00.1234567Z',
    updatedText: '2026-11-23T10:11:12.12Z',
  })
  const next = ',"@odata.nextLink":"https://graph.microsoft.com/v1.0/security/alerts_v2?$skiptoken=abc"'
  return [
    page(0, []),
    page(1, [], ',"@odata.nextLink":null'),
    page(0, ['{"id":"a","tenantId":"x","lastUpdateDateTime":"2026-11-23T10:11:12Z"}'], next),
    page(2, ['{"id":"a"}', '{"id":"b","title":"t\\u0061"}', '1', '[[]]', '{"id":""}']),
    ...[1, 2, 3].map(seed => page(seed % 2, [JSON.stringify(alertMembers(members(seed, seed)))], next)),
    ...[4, 5].map(seed => page(2, [JSON.stringify(legacyMembers(members(seed, 1)))])),
    ...Array.from({ length: 10 }, (_, trick) => {
      const text = renderHostile(alertMembers(members(trick, 1)), trick)
      return page(trick % 4, [text.length > 20_000 ? `${text.slice(0, 9_000)}"}` : text, '{"id":"after"}'])
    }),
  ]
}

const WORDS = ['"id"', '"value"', '"@odata.nextLink"', '"tenantId"', '"lastUpdateDateTime"', '"title":', '"i\\u0064"']

/** What JSON.parse makes of the page, in the terms of the slicer. */
function reference(body: Buffer): { readonly alerts: readonly unknown[]; readonly nextLink: string | null } | null {
  const page = isUtf8(body) ? parsed(body.toString()) : undefined
  if (!isObject(page)) return null
  const value = Object.hasOwn(page, 'value') ? page['value'] : undefined
  const link = (Object.hasOwn(page, '@odata.nextLink') ? page['@odata.nextLink'] : null) ?? null
  return Array.isArray(value) && (link === null || typeof link === 'string') ? { alerts: value, nextLink: link } : null
}

function text(alert: unknown, name: string): string | null {
  const member = isObject(alert) && Object.hasOwn(alert, name) ? alert[name] : null
  return typeof member === 'string' ? member : null
}

/** Containers inside one another, and members, counted without recursion. Duplicates are gone already. */
function measured(root: unknown): { readonly depth: number; readonly keys: number } {
  let [depth, keys] = [0, 0]
  const open: { readonly value: unknown; readonly at: number }[] = [{ value: root, at: 1 }]
  for (let one = open.pop(); one; one = open.pop()) {
    if (typeof one.value !== 'object' || one.value === null) continue
    depth = Math.max(depth, one.at)
    const inner = Object.values(one.value)
    if (!Array.isArray(one.value)) keys += inner.length
    for (const value of inner) open.push({ value, at: one.at + 1 })
  }
  return { depth, keys }
}

const REASONS = ['not-an-object', 'no-id', 'bad-id', 'too-deep', 'too-many-keys', 'too-large']

function checkAlert(alert: SlicedAlert, seen: unknown, source: AlertSource, limits: SliceLimits): void {
  const { depth, keys } = measured(seen)
  const isPast = alert.bytes.length > limits.maxAlertBytes || depth > limits.maxDepth || keys > limits.maxKeys
  if (alert.kind === 'hostile') oneOf(alert.reason, REASONS, 'a reason')
  must(!(isPast || !isObject(seen)) || alert.kind === 'hostile', 'an alert past the bounds passes')
  const id = text(seen, 'id')
  if (alert.kind === 'alert') must(alert.id === id && id !== '' && id.length <= limits.maxIdChars, 'another id')
  const pairs = [
    [alert.tenantId, source === 'alerts' ? 'azureTenantId' : 'tenantId'],
    [alert.lastUpdate, 'lastUpdateDateTime'],
    [alert.lastModified, 'lastModifiedDateTime'],
    [alert.created, 'createdDateTime'],
    [alert.severity, 'severity'],
    [alert.status, 'status'],
    [alert.serviceSource, 'serviceSource'],
  ] as const
  for (const [got, name] of pairs) {
    const expected = text(seen, name)
    const isLong = expected !== null && got === null && Buffer.byteLength(JSON.stringify(expected)) > 8
    must(got === expected || isLong, `${name} is ${JSON.stringify(got)}, JSON.parse says ${JSON.stringify(expected)}`)
    must(got === null || Buffer.byteLength(got) <= limits.maxMemberBytes * 3, `${name} is longer than it may be`)
  }
  const title = text(seen, 'title')
  must((alert.title === null) === (title === null), 'another title')
  must(alert.title === null || alert.title.length <= limits.maxTitleChars, 'the title is longer than it may be')
  must(alert.title === null || title?.startsWith(alert.title) === true, 'the title is not how it begins')
}

function checkJudgement(alert: SlicedAlert, source: AlertSource): string {
  const judgement = judge(alert, TENANT, source)
  if (judgement.kind === 'quarantine') {
    must(alert.kind === 'hostile' || judgement.detail.length <= 200, 'the detail is too long')
    return `${judgement.reason} ${judgement.detail}`
  }
  must(alert.kind === 'alert' && normaliseTime(judgement.version) === judgement.version, 'the version is no instant')
  const { alertId, version, contentHash } = judgement
  const { severity, status, serviceSource, bytes } = alert
  const named = { tenantId: TENANT, alertId, version, contentHash, source, origin: 'poll', observedAt: 1, attempts: 0 }
  const value = alerts.encode({ ...named, severity, status, serviceSource, alert: bytes })
  const again = alerts.decode(value)
  must(again.kind === 'value' && again.value.alertId === alertId && again.value.alert.equals(bytes), 'Avro changed it')
  return version
}

export const graphPage: Target = {
  name: 'graph-page',
  about: "slicePage, judge and the alert's Avro record, against JSON.parse",
  samples: pages,
  words: WORDS,
  run(input) {
    const mode = (input[0] ?? 0) & 3
    const source = mode & 1 ? 'alerts' : 'alerts_v2'
    const limits = mode & 2 ? SMALL : SLICE_LIMITS
    const body = input.subarray(1)
    const page = slicePage(body, source, limits)
    oneOf(page.kind, ['page', 'too-large', 'unreadable'], 'the page')
    const bare = body.subarray(0, 3).equals(Buffer.from([0xef, 0xbb, 0xbf])) ? body.subarray(3) : body
    const expected = reference(bare)
    if (page.kind !== 'page') {
      mustBeWords(page.why, 200, 'the reason')
      must(page.kind === 'too-large' || expected === null, `${page.why}, but JSON.parse reads it`)
      return page.why
    }
    must(expected !== null, 'JSON.parse does not read it')
    must(page.nextLink === expected.nextLink, 'another nextLink')
    must(page.alerts.length === expected.alerts.length && page.alerts.length <= limits.maxAlerts, 'another count')
    return page.alerts
      .map((alert, at) => {
        const seen = expected.alerts[at]
        must(JSON.stringify(parsed(alert.bytes.toString())) === JSON.stringify(seen), 'another alert was cut out')
        checkAlert(alert, seen, source, limits)
        return checkJudgement(alert, source)
      })
      .join()
  },
}

/** Everything that goes on from here is ours, printable and short. */
export function checkTrouble(answer: Exclude<PageAnswer, { kind: 'page' }>, where: string): void {
  switch (answer.kind) {
    case 'throttled':
    case 'unavailable':
      mustBeWords(answer.detail, 400, where)
      must(
        answer.retryAfterMs === null || (answer.retryAfterMs >= 1_000 && answer.retryAfterMs <= 900_000),
        `a pause of ${answer.retryAfterMs} ms`,
      )
      break
    case 'split':
      mustBeWords(answer.detail, 400, where)
      oneOf(
        answer.reason,
        ['nextlink-refused', 'nextlink-rejected', 'too-large', 'unreadable', 'bad-request'],
        'a reason',
      )
      break
    case 'needs-attention':
      mustBeWords(answer.problem.words, 900, where)
      mustBeWords(answer.problem.code, 60, 'the code')
      must(/^[\w-]+$/.test(answer.problem.code), `the code is ${answer.problem.code}`)
      for (const id of [answer.problem.traceId, answer.problem.correlationId])
        must(id === undefined || /^[0-9a-f-]{36}$/i.test(id), 'an id of Microsoft is none')
      break
  }
}

export const graphAnswer: Target = {
  name: 'graph-answer',
  about: 'status, headers and body of an answer of Graph: what the poller makes of it',
  samples: () => [
    joined(['200', '', '', 'Mon, 23 Nov 2026 10:00:00 GMT', 'application/json', '', '{"value":[]}']),
    joined(['206', '', '199 - "Microsoft/MDE/504/1000"', '', 'application/json', '', '{"value":[{"id":"a"}]}']),
    joined(['429', '30', '', 'Mon, 23 Nov 2026 10:00:00 GMT', '', TENANT, '{"error":{}}']),
    joined(['503', 'Mon, 23 Nov 2026 10:00:30 GMT', '', 'Mon, 23 Nov 2026 10:00:00 GMT', '', '', 'x']),
    ...['302', '400', '401', '402', '403', '404', '410', '413', '500', '509', '100', '1'].map(status =>
      joined([status, '', '', '', 'text/html', TENANT, `<html>${PLANTED}`]),
    ),
  ],
  words: ['application/json', 'text/html', '199 - "a/b/403/5"', 'GMT', '{"value":[', '206', '200', TENANT],
  run(input) {
    const [status, retryAfter, warning, date, type, requestId, body] = partsOf(input, 7) as Seven
    const headers = {
      'retry-after': headerOf(retryAfter),
      warning: headerOf(warning),
      date: headerOf(date),
      'content-type': headerOf(type),
      'request-id': headerOf(requestId),
    }
    const code = Number.parseInt(status.toString('latin1'), 10)
    const dateMs = httpDateMs(headers.date)
    const answer = answerFrom(
      ACCESS,
      { kind: 'answer', status: Number.isNaN(code) ? 200 : code, headers, body, receivedAtMs: 0 },
      {
        isNextLink: status.length % 2 === 0,
        token: {
          kind: 'token',
          value: PLANTED,
          grant: { roles: ['SecurityAlert.Read.All'], writeRoles: [] },
          skewMs: 0,
        },
        dateMs,
        slice: SLICE_LIMITS,
        clock: { now: () => 1_764_000_000_000, sleep: () => Promise.resolve() },
      },
    )
    if (answer.kind !== 'page') {
      checkTrouble(answer, 'the answer')
      return JSON.stringify(answer)
    }
    must(code === 200 || code === 206 || Number.isNaN(code), `${code} passes for a page`)
    must(code !== 206 || answer.partial.length > 0, 'a 206 passes for complete')
    return JSON.stringify([answer.partial, answer.serverTimeMs, answer.alerts.length])
  },
}

type Seven = readonly [Buffer, Buffer, Buffer, Buffer, Buffer, Buffer, Buffer]
