import { describe, expect, test, vi } from 'vitest'
import { emptyGraphLedger, openRequestBook } from '../../sandbox/graph/ledger.ts'
import { openLoad } from '../../sandbox/graph/load.ts'
import { startGraphSim } from '../../sandbox/graph/sim.ts'
import { getPage, graphSim, listAll, listPath, tokenOf } from './sim-graph-kit.ts'

describe('visibility', () => {
  test('a revision shows after the lag, and its end is when the next one shows', async () => {
    await using kit = await graphSim({ lagMs: 5000 })
    const { tenantId } = kit.first
    const start = kit.time.ms
    const first = kit.sim.addAlert(tenantId)
    const token = await tokenOf(kit.sim, kit.first)
    expect((await getPage(kit.sim, token, listPath())).ids).toEqual([])
    kit.time.ms += 5000
    expect((await getPage(kit.sim, token, listPath())).ids).toEqual([first.alertId])
    const second = kit.sim.updateAlert(tenantId, first.alertId ?? '')
    kit.time.ms += 4999
    const before = (await getPage(kit.sim, token, listPath())).text
    kit.time.ms += 1
    const after = (await getPage(kit.sim, token, listPath())).text
    expect([before.includes(first.versionText ?? ''), after.includes(second.versionText ?? '')]).toEqual([true, true])
    expect(kit.sim.ledger.revisions).toMatchObject([
      { createdAtMs: start, visibleAtMs: start + 5000, visibleUntilMs: start + 10_000, askedAtMs: start + 5000 },
      { createdAtMs: start + 5000, visibleAtMs: start + 10_000, visibleUntilMs: null, askedAtMs: start + 10_000 },
    ])
    expect((await getPage(kit.sim, token, listPath())).ids).toEqual([first.alertId])
  })

  test('a revision never shows before the one it replaces, also when the lag shrinks', async () => {
    await using kit = await graphSim({ lagMs: 60_000 })
    const first = kit.sim.addAlert(kit.first.tenantId)
    kit.sim.setLag(0)
    const second = kit.sim.updateAlert(kit.first.tenantId, first.alertId ?? '')
    expect(second.visibleAtMs).toBe(first.visibleAtMs)
    kit.time.ms += 60_000
    const page = await getPage(kit.sim, await tokenOf(kit.sim, kit.first), listPath())
    expect(page.text).toContain(second.versionText)
    expect(page.ids).toHaveLength(1)
  })

  test('a late alert shows with its old time', async () => {
    await using kit = await graphSim()
    kit.sim.addAlert(kit.first.tenantId, { at: '2026-11-20T00:00:00Z', visibleInMs: 1000 })
    const token = await tokenOf(kit.sim, kit.first)
    const window = listPath({
      filter: 'lastUpdateDateTime ge 2026-11-20T00:00:00Z and lastUpdateDateTime lt 2026-11-20T00:00:00.0000001Z',
    })
    expect((await getPage(kit.sim, token, window)).ids).toHaveLength(0)
    kit.time.ms += 1000
    expect((await getPage(kit.sim, token, window)).ids).toHaveLength(1)
  })

  test('the backlog lies in the past, is visible from the start, and some of it was updated', async () => {
    await using kit = await graphSim({ tenants: 2, backlogPerTenant: 100, backlogDays: 2, updateShare: 0.3 })
    const { revisions } = kit.sim.ledger
    expect(revisions).toHaveLength(200)
    const oldest = new Date(kit.time.ms - 2 * 86_400_000 - 2000).toISOString()
    for (const revision of revisions) {
      expect(revision).toMatchObject({ visibleAtMs: kit.time.ms, visibleUntilMs: null })
      expect((revision.version ?? '') > oldest && (revision.version ?? '') < '2026-11-23T12:00:00Z').toBe(true)
    }
    const page = await getPage(kit.sim, await tokenOf(kit.sim, kit.first), listPath())
    const rows = (JSON.parse(page.text) as { value: { createdDateTime: string; lastUpdateDateTime: string }[] }).value
    const updated = rows.filter(row => row.createdDateTime !== row.lastUpdateDateTime).length
    expect(updated).toBeGreaterThan(10)
    expect(updated).toBeLessThan(60)
  })
})

describe('what the pipeline owes an alert', () => {
  test.each([
    ['without id', { id: undefined }, 'park'],
    ['with an empty id', { id: '' }, 'park'],
    ['with a number for id', { id: 7 }, 'park'],
    ['without update time', { lastUpdateDateTime: undefined }, 'park'],
    ['with an update time that is none', { lastUpdateDateTime: 'soon' }, 'park'],
    ['without tenant', { tenantId: undefined }, 'deliver'],
    ['of another tenant', { tenantId: '11111111-1111-4111-8111-111111111111' }, 'quarantine'],
  ])('%s: %s', async (_, change, fate) => {
    await using kit = await graphSim()
    const alert = { id: 'a', tenantId: kit.first.tenantId, lastUpdateDateTime: '2026-11-23T11:00:00Z', ...change }
    expect(kit.sim.inject(kit.first.tenantId, JSON.stringify(alert)).fate).toBe(fate)
    const page = await getPage(kit.sim, await tokenOf(kit.sim, kit.first), listPath())
    expect((JSON.parse(page.text) as { value: unknown[] }).value).toHaveLength(1)
  })

  test('an update that is older than what it replaces, and what is no object, is refused', async () => {
    await using kit = await graphSim()
    const { tenantId } = kit.first
    const put = (lastUpdateDateTime: string) =>
      kit.sim.inject(tenantId, JSON.stringify({ id: 'a', tenantId, lastUpdateDateTime }))
    put('2026-11-23T11:00:00.5Z')
    expect(() => put('2026-11-23T11:00:00.49Z')).toThrow(/older/)
    expect(put('2026-11-23T11:00:00.50Z').version).toBe('2026-11-23T11:00:00.5000000Z')
    expect(() => kit.sim.inject(tenantId, '[1]')).toThrow('an alert must be a JSON object')
    expect(() => kit.sim.inject(tenantId, '{')).toThrow(SyntaxError)
    expect(() => kit.sim.inject('nobody', '{}')).toThrow(/no tenant nobody/)
    expect(kit.sim.ledger.revisions).toHaveLength(2)
  })
})

describe('the limiter', () => {
  test('lets 150 requests a minute through for each tenant and says how long to wait', async () => {
    await using kit = await graphSim()
    const token = await tokenOf(kit.sim, kit.first)
    const ask = () => getPage(kit.sim, token, listPath({ top: '1' }))
    for (let place = 0; place < 150; place++) {
      kit.time.ms += place === 1 ? 5000 : 100
      expect((await ask()).status).toBe(200)
    }
    const refused = await ask()
    expect([refused.status, refused.error?.code]).toEqual([429, 'TooManyRequests'])
    // the first two must have left the last minute, for the refused one counts as well
    const waitMs = Number(refused.headers.get('retry-after')) * 1000
    expect(waitMs).toBe(46_000)
    expect((await getPage(kit.sim, await tokenOf(kit.sim, kit.second), listPath())).status).toBe(200)
    kit.time.ms += waitMs
    expect((await ask()).status).toBe(200)
    expect(kit.sim.ledger.tenants[kit.first.tenantId]).toMatchObject({
      maxRequestsPerMinute: 151,
      overLimit: 1,
      listRequests: 152,
    })
    expect(kit.sim.ledger.tenants[kit.second.tenantId]?.maxRequestsPerMinute).toBe(1)
  })

  test('the ledger keeps the newest requests and counts the rest', () => {
    const ledger = emptyGraphLedger()
    const book = openRequestBook(ledger, 100)
    for (let place = 0; place < 250; place++) {
      book.note({
        atMs: place,
        tenantId: null,
        kind: 'other',
        method: 'GET',
        path: '/',
        filter: null,
        top: null,
        followUp: false,
        status: 404,
        rows: 0,
        fault: null,
        requestsInLastMinute: 0,
      })
    }
    expect(ledger.requests.length + ledger.counters.requestsDropped).toBe(250)
    expect(ledger.requests.length).toBeLessThanOrEqual(100)
    expect(ledger.requests.at(-1)?.atMs).toBe(249)
  })

  test('every list request is written down with its filter, size and answer', async () => {
    await using kit = await graphSim({ pageSize: 1 })
    for (let place = 0; place < 2; place++) kit.sim.addAlert(kit.first.tenantId)
    const filter = 'lastUpdateDateTime ge 2026-11-01T00:00:00Z'
    await listAll(kit.sim, await tokenOf(kit.sim, kit.first), listPath({ filter, top: '5' }))
    const [token, first, second] = kit.sim.ledger.requests
    const common = {
      kind: 'list',
      method: 'GET',
      path: '/v1.0/security/alerts_v2',
      tenantId: kit.first.tenantId,
      filter,
      top: 5,
      status: 200,
      rows: 1,
      fault: null,
    }
    expect(token).toMatchObject({ kind: 'token', status: 200 })
    expect(first).toMatchObject({ ...common, followUp: false, requestsInLastMinute: 1 })
    expect(second).toMatchObject({ ...common, followUp: true, requestsInLastMinute: 2 })
    expect(kit.sim.ledger.counters).toMatchObject({ alertsServed: 2 })
  })
})

test('a skewed clock shows in Date header and alerts, never in the ledger’s times', async () => {
  await using kit = await graphSim()
  kit.sim.setSkew(-3_600_000)
  const revision = kit.sim.addAlert(kit.first.tenantId)
  expect(revision.version?.slice(0, 16)).toBe('2026-11-23T11:00')
  expect(revision.createdAtMs).toBe(kit.time.ms)
  const page = await getPage(kit.sim, await tokenOf(kit.sim, kit.first), listPath())
  expect(page.headers.get('date')).toBe('Mon, 23 Nov 2026 11:00:00 GMT')
  expect(kit.sim.ledger.requests[0]?.atMs).toBe(kit.time.ms)
})

describe('the load generator', () => {
  function run(seed: number, seconds: number) {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] })
    try {
      const events: string[] = []
      const load = openLoad(
        { seed, ratePerSecond: 100, updateShare: 0.5, hotTenantShare: 0 },
        {
          tenantIds: () => ['a', 'b'],
          create: id => events.push(`new ${id}`),
          update: id => events.push(`update ${id}`),
        },
      )
      load.start()
      vi.advanceTimersByTime(seconds * 1000)
      load.freeze()
      const frozen = events.length
      vi.advanceTimersByTime(5000)
      return { events, frozen }
    } finally {
      vi.useRealTimers()
    }
  }

  test('keeps its rate, its share of updates, and stops when frozen', () => {
    const { events, frozen } = run(1, 20)
    expect(events).toHaveLength(frozen)
    const created = events.filter(event => event.startsWith('new')).length
    expect(created).toBeGreaterThan(1800)
    expect(created).toBeLessThan(2200)
    const updated = events.length - created
    expect(updated).toBeGreaterThan(850)
    expect(updated).toBeLessThan(1150)
    expect(events.filter(event => event.endsWith('a')).length / events.length).toBeCloseTo(0.5, 1)
  })

  test('plays the same sequence for the same seed', () => {
    expect(run(5, 3).events).toEqual(run(5, 3).events)
    expect(run(5, 3).events).not.toEqual(run(6, 3).events)
  })

  test('fills a running simulator', async () => {
    const sim = await startGraphSim({ tenants: 2, ratePerSecond: 2000, updateShare: 0.5 })
    try {
      await vi.waitFor(() => expect(sim.ledger.revisions.some(revision => revision.visibleUntilMs !== null)).toBe(true))
      sim.load.freeze()
      expect(sim.load.running).toBe(false)
      expect(new Set(sim.ledger.revisions.map(revision => revision.tenantId)).size).toBe(2)
    } finally {
      await sim.stop()
    }
  })
})
