import { describe, expect, test } from 'vitest'
import type { EngineItem } from '../../sandbox/engine/ledger.ts'
import { startEngineSim } from '../../sandbox/engine/sim.ts'
import type { LedgerRevision } from '../../sandbox/graph/ledger.ts'
import { startGraphSim } from '../../sandbox/graph/sim.ts'
import { type Evidence, judge, readLedgers } from '../../sandbox/oracle.ts'
import { itemJson, post } from './sim-engine-kit.ts'

const version = (minute: number): string => `2026-11-23T11:${String(minute).padStart(2, '0')}:00.0000000Z`

const revision = (minute: number, change: Partial<LedgerRevision> = {}): LedgerRevision => ({
  tenantId: 't1',
  alertId: 'a',
  versionText: version(minute),
  version: version(minute),
  sha256: `hash-${minute}`,
  bytes: 1,
  createdAtMs: minute * 60_000,
  visibleAtMs: minute * 60_000,
  visibleUntilMs: null,
  askedAtMs: minute * 60_000,
  fate: 'deliver',
  ...change,
})

const arrival = (minute: number, change: Partial<EngineItem> = {}): EngineItem => ({
  request: 0,
  id: `id-${minute}`,
  tenantId: 't1',
  tenant: {},
  alertId: 'a',
  version: version(minute),
  source: 'alerts_v2',
  sha256: `hash-${minute}`,
  atMs: minute * 60_000 + 500,
  status: 200,
  accepted: true,
  repeat: false,
  stale: false,
  replay: false,
  answered: true,
  ...change,
})

const verdict = (revisions: LedgerRevision[], items: EngineItem[], more: Partial<Evidence> = {}) =>
  judge({ graph: { revisions }, engine: { items }, mustSeeMs: 60_000, ...more })

describe('the last revision', () => {
  test('must have been accepted with its own bytes', () => {
    expect(verdict([revision(1)], [arrival(1)])).toEqual({
      visible: 1,
      delivered: 1,
      duplicates: 0,
      duplicatesAfterLostAnswer: 0,
      missing: [],
      missingCount: 0,
      staleAfterNew: 0,
      staleAccepted: 0,
      unstableIds: 0,
      latencyMs: { p50: 500, p99: 500, max: 500 },
      unexpected: 0,
      unexpectedItems: [],
    })
  })

  test.each([
    ['never-arrived', []],
    ['never-arrived', [arrival(1, { tenantId: 't2' })]],
    ['never-arrived', [arrival(1, { alertId: 'b' })]],
    ['never-arrived', [arrival(1, { version: version(2) })]],
    ['refused', [arrival(1, { accepted: false, status: 503 })]],
    ['altered', [arrival(1, { sha256: 'other' })]],
    ['never-arrived', [arrival(1, { replay: true })]],
  ] as const)('else it is missing: %s', (reason, items) => {
    const { visible, delivered, missing, missingCount } = verdict([revision(1)], [...items])
    expect({ visible, delivered, missing, missingCount }).toEqual({
      visible: 1,
      delivered: 0,
      missing: [{ tenantId: 't1', alertId: 'a', version: version(1), reason, last: true }],
      missingCount: 1,
    })
  })

  test('owes nothing when its tenant or alert is excepted, or when it is to be parked', () => {
    const owed = (change: Partial<LedgerRevision>, more: Partial<Evidence> = {}) =>
      verdict([revision(1, change)], [], more).visible
    expect(owed({})).toBe(1)
    expect(owed({}, { exceptTenants: ['T1'] })).toBe(0)
    expect(owed({}, { exceptAlerts: ['a'] })).toBe(0)
    expect(owed({ fate: 'park' })).toBe(0)
    expect(owed({ fate: 'quarantine' })).toBe(0)
    expect(owed({}, { untilMs: 59_999 })).toBe(0)
  })
})

describe('a replaced revision', () => {
  const stood = (ms: number) => [revision(1, { visibleUntilMs: 60_000 + ms }), revision(5)]

  test('must have arrived when it stood longer than agreed, else it may', () => {
    expect(verdict(stood(60_000), [arrival(5)])).toMatchObject({ visible: 1, missingCount: 0 })
    expect(verdict(stood(60_001), [arrival(5)])).toMatchObject({
      visible: 2,
      delivered: 1,
      missing: [{ reason: 'never-arrived', last: false }],
    })
    expect(verdict(stood(60_001), [arrival(1), arrival(5)])).toMatchObject({ visible: 2, delivered: 2 })
    expect(verdict(stood(1), [arrival(1), arrival(5)])).toMatchObject({ visible: 1, unexpected: 0 })
  })

  test('is owed since somebody asked, where that is what is judged, and the last one whether anybody asked or not', () => {
    const owed = (askedAtMs: number | null, more: Partial<Evidence> = {}) =>
      verdict([revision(1, { visibleUntilMs: 900_000, askedAtMs }), revision(5, { askedAtMs: null })], [], more).visible
    const asked = { owedSince: 'asked' } as const
    expect([owed(null, asked), owed(840_000, asked), owed(839_999, asked)]).toEqual([1, 1, 2])
    expect([owed(null), owed(840_000)]).toEqual([2, 2])
  })

  test('is the last as long as its replacement is not visible', () => {
    const revisions = [revision(1, { visibleUntilMs: 61_000 }), revision(5, { visibleAtMs: 61_000 })]
    expect(verdict(revisions, [], { untilMs: 60_500 })).toMatchObject({
      visible: 1,
      missing: [{ version: version(1) }],
    })
  })

  test('with the same version and other bytes is told from its replacement', () => {
    const revisions = [revision(1, { sha256: 'first', visibleUntilMs: 900_000 }), revision(1, { sha256: 'second' })]
    const half = verdict(revisions, [arrival(1, { sha256: 'second' })])
    expect(half).toMatchObject({ visible: 2, delivered: 1, missing: [{ reason: 'never-arrived' }], unexpected: 0 })
  })
})

describe('what should not be there', () => {
  test('duplicates are acceptances of one id again, told apart when an answer was lost', () => {
    expect(verdict([revision(1)], [arrival(1), arrival(1), arrival(1)])).toMatchObject({
      duplicates: 2,
      duplicatesAfterLostAnswer: 0,
      staleAfterNew: 0,
    })
    expect(verdict([revision(1)], [arrival(1, { answered: false }), arrival(1), arrival(1)])).toMatchObject({
      duplicates: 2,
      duplicatesAfterLostAnswer: 1,
    })
    expect(verdict([revision(1)], [arrival(1, { accepted: false, status: 503 }), arrival(1)])).toMatchObject({
      duplicates: 0,
    })
    expect(verdict([revision(1)], [arrival(1), arrival(1, { accepted: false, status: 409 })])).toMatchObject({
      duplicates: 0,
    })
    expect(verdict([revision(1)], [arrival(1), arrival(1, { replay: true })])).toMatchObject({ duplicates: 0 })
  })

  test('the same content under another id is counted as an id that is not stable', () => {
    expect(verdict([revision(1)], [arrival(1), arrival(1, { id: 'another' })])).toMatchObject({
      duplicates: 0,
      unstableIds: 1,
    })
  })

  test('an older version after a newer one, for one alert of one tenant, replays aside', () => {
    const revisions = [1, 2, 3].map(minute => revision(minute))
    expect(verdict(revisions, [arrival(2), arrival(1), arrival(3)])).toMatchObject({
      staleAfterNew: 1,
      staleAccepted: 1,
    })
    expect(verdict(revisions, [arrival(2), arrival(1, { accepted: false, status: 409 })])).toMatchObject({
      staleAfterNew: 1,
      staleAccepted: 0,
    })
    expect(verdict(revisions, [arrival(2), arrival(1, { replay: true })])).toMatchObject({ staleAfterNew: 0 })
    expect(verdict(revisions, [arrival(2, { accepted: false }), arrival(1)])).toMatchObject({ staleAfterNew: 0 })
    expect(
      verdict(revisions, [arrival(2), arrival(1, { tenantId: 't2' }), arrival(1, { alertId: 'b' })]),
    ).toMatchObject({ staleAfterNew: 0 })
  })

  test('items that Graph never listed so', () => {
    const revisions = [
      revision(1),
      revision(2, { fate: 'park', alertId: 'p' }),
      revision(3, { fate: 'quarantine', alertId: 'q' }),
    ]
    const items = [
      arrival(1),
      arrival(1, { sha256: 'other' }),
      arrival(2, { alertId: 'p' }),
      arrival(3, { alertId: 'q' }),
      arrival(4),
    ]
    const { unexpected, unexpectedItems } = verdict(revisions, items)
    expect(unexpected).toBe(4)
    expect(unexpectedItems.map(each => each.reason)).toEqual([
      'altered',
      'to-be-parked',
      'to-be-quarantined',
      'not-listed',
    ])
  })
})

test('no more than 20 of the missing are listed, all are counted', () => {
  const revisions = Array.from({ length: 50 }, (_, place) => revision(1, { alertId: `a${place}` }))
  const { missing, missingCount } = verdict(revisions, [])
  expect([missing.length, missingCount]).toEqual([20, 50])
})

test('latency is taken of the first acceptance, of all or of what came since', () => {
  const revisions = Array.from({ length: 100 }, (_, place) => revision(1, { alertId: `a${place}`, visibleAtMs: place }))
  const items = revisions.flatMap((each, place) => [
    arrival(1, { alertId: each.alertId ?? '', id: `i${place}`, atMs: place + place * 10 }),
    arrival(1, { alertId: each.alertId ?? '', id: `i${place}`, atMs: 99_999 }),
  ])
  expect(verdict(revisions, items).latencyMs).toEqual({ p50: 490, p99: 980, max: 990 })
  expect(verdict(revisions, items, { latencySinceMs: 99 }).latencyMs).toEqual({ p50: 990, p99: 990, max: 990 })
})

test('the ledgers of both simulators fit together, in-process and over HTTP', async () => {
  const graph = await startGraphSim({ tenants: 1, hostileShare: 0.5, backlogPerTenant: 40 })
  const engine = await startEngineSim()
  try {
    const { tenantId } = graph.tenants[0] ?? { tenantId: '' }
    const first = graph.addAlert(tenantId)
    graph.updateAlert(tenantId, first.alertId ?? '')
    const token = await fetch(`${graph.url}/${tenantId}/oauth2/v2.0/token`, {
      method: 'POST',
      body: new URLSearchParams({
        client_id: graph.tenants[0]?.clientId ?? '',
        client_secret: graph.tenants[0]?.secrets[0]?.value ?? '',
        scope: 'https://graph.microsoft.com/.default',
        grant_type: 'client_credentials',
      }),
    })
    const { access_token: bearer } = (await token.json()) as { access_token: string }
    const page = await fetch(`${graph.url}/v1.0/security/alerts_v2`, { headers: { authorization: `Bearer ${bearer}` } })
    const text = await page.text()
    // the rows' own bytes: each revision in the ledger is looked up in the page by its hash's owner
    const rows = cutRows(text)
    const byId = new Map(
      graph.ledger.revisions.filter(each => each.visibleUntilMs === null).map(each => [each.alertId, each]),
    )
    const items = rows.map((row, place) => {
      const { id } = JSON.parse(row) as { id: string }
      return itemJson(place, { tenantId, alertId: id, version: byId.get(id)?.version ?? '', alert: row })
    })
    await post(engine, ...items.slice(1))
    const { missing, ...before } = judge({ graph: graph.ledger, engine: engine.ledger, mustSeeMs: 1000 })
    expect(before).toMatchObject({
      visible: 41,
      delivered: 40,
      missingCount: 1,
      duplicates: 0,
      unexpected: 0,
      staleAfterNew: 0,
    })
    expect(missing).toMatchObject([{ reason: 'never-arrived', last: true }])
    await post(engine, ...items.slice(0, 1))
    const ledgers = await readLedgers(graph.url, engine.url)
    expect(judge({ ...ledgers, mustSeeMs: 1000 })).toMatchObject({
      visible: 41,
      delivered: 41,
      missingCount: 0,
      unexpected: 0,
    })
  } finally {
    await Promise.all([graph.stop(), engine.stop()])
  }
})

/** The elements of the page's `value`, cut out by following strings and brackets. */
function cutRows(page: string): string[] {
  const rows: string[] = []
  let depth = 0
  let start = 0
  let inString = false
  for (let at = page.indexOf('[', page.indexOf('"value"')) + 1; at < page.length; at++) {
    const char = page[at]
    if (inString) {
      if (char === '\\') at++
      else if (char === '"') inString = false
    } else if (char === '"') inString = true
    else if (char === '{' || char === '[') {
      if (depth++ === 0) start = at
    } else if (char === '}' || char === ']') {
      if (depth === 0) return rows
      if (--depth === 0) rows.push(page.slice(start, at + 1))
    }
  }
  return rows
}
