import { hash } from 'node:crypto'
import { request } from 'node:http'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { applyFilter, readFilter } from '../../sandbox/graph/filter.ts'
import { emptyGraphLedger } from '../../sandbox/graph/ledger.ts'
import { cutPage, type ListQuery, readQuery, writeToken } from '../../sandbox/graph/list.ts'
import type { GraphSim } from '../../sandbox/graph/sim.ts'
import { stampOfTicks } from '../../sandbox/graph/stamp.ts'
import { openStore } from '../../sandbox/graph/store.ts'
import { getPage, graphSim, listAll, listPath, tokenOf } from './sim-graph-kit.ts'

const stamp = (minute: number): string => `2026-11-23T11:${String(minute).padStart(2, '0')}:00.0000000Z`
const addAt = (sim: GraphSim, tenantId: string, minute: number): string =>
  sim.addAlert(tenantId, { at: stamp(minute) }).alertId ?? ''
const between = (from: number, to: number) => ({
  filter: `lastUpdateDateTime ge ${stamp(from)} and lastUpdateDateTime lt ${stamp(to)}`,
})

describe('pages', () => {
  test.each(['skiptoken', 'skip'] as const)('in the form %s show every row once, the newest first', async paging => {
    await using kit = await graphSim({ paging, pageSize: 7 })
    const ids = Array.from({ length: 40 }, (_, minute) => addAt(kit.sim, kit.first.tenantId, minute))
    const token = await tokenOf(kit.sim, kit.first)
    expect(await listAll(kit.sim, token, listPath())).toEqual(ids.toReversed())
    expect(await listAll(kit.sim, token, listPath({ ...between(5, 20), top: '4' }))).toEqual(
      ids.slice(5, 20).toReversed(),
    )
    const first = await getPage(kit.sim, token, listPath({ top: '4' }))
    expect(new URL(first.next ?? '').searchParams.has(`$${paging}`)).toBe(true)
    expect(new URL(first.next ?? '').searchParams.get('$top')).toBe('4')
  })

  test('by $skip go past a row that was not read when a row before it moves away, by $skiptoken they do not', async () => {
    const read = async (paging: 'skip' | 'skiptoken') => {
      await using kit = await graphSim({ paging, pageSize: 2 })
      const ids = Array.from({ length: 6 }, (_, minute) => addAt(kit.sim, kit.first.tenantId, minute))
      const token = await tokenOf(kit.sim, kit.first)
      let moved = false
      const seen = await listAll(kit.sim, token, listPath(between(0, 6)), () => {
        if (!moved) kit.sim.updateAlert(kit.first.tenantId, ids[5] ?? '', { at: stamp(30) })
        moved = true
      })
      return ids.filter(id => !seen.includes(id)).map(id => ids.indexOf(id))
    }
    expect(await read('skip')).toEqual([3])
    expect(await read('skiptoken')).toEqual([])
  })

  test('hold the bytes that were put in, whatever they are', async () => {
    await using kit = await graphSim()
    const { tenantId } = kit.first
    const alert = `{ "id" : "a\\u002fb", "lastUpdateDateTime":"2026-11-23T11:00:00.1Z",\r\n "n": 9007199254740993, "n": -0.0E+0, "tenantId":"${tenantId.toUpperCase()}", "t":"\u2028" }`
    kit.sim.inject(tenantId, alert)
    const page = await getPage(kit.sim, await tokenOf(kit.sim, kit.first), listPath())
    expect(page.text).toContain(`"value":[${alert}]`)
    expect(page.ids).toEqual(['a/b'])
    expect(kit.sim.ledger.revisions[0]).toMatchObject({
      alertId: 'a/b',
      version: '2026-11-23T11:00:00.1000000Z',
      versionText: '2026-11-23T11:00:00.1Z',
      sha256: hash('sha256', alert, 'hex'),
      fate: 'deliver',
    })
  })

  test('link to the host they were asked at, as the client wrote it', async () => {
    await using kit = await graphSim({ pageSize: 1 })
    for (const minute of [1, 2]) addAt(kit.sim, kit.first.tenantId, minute)
    const token = await tokenOf(kit.sim, kit.first)
    const { port } = new URL(kit.sim.url)
    const text = await new Promise<string>((resolve, reject) => {
      const headers = { host: `graph-sim:${port}`, authorization: `Bearer ${token}` }
      const asked = request({ port, host: '127.0.0.1', path: listPath(), headers }, response => {
        let body = ''
        response.on('data', chunk => (body += String(chunk)))
        response.on('end', () => resolve(body))
      })
      asked.on('error', reject)
      asked.end()
    })
    const { '@odata.nextLink': next } = JSON.parse(text) as Record<string, string>
    expect(next?.startsWith(`http://graph-sim:${port}/v1.0/security/alerts_v2?`)).toBe(true)
  })

  test('count what matches and turn round when asked', async () => {
    await using kit = await graphSim({ pageSize: 3 })
    const ids = Array.from({ length: 8 }, (_, minute) => addAt(kit.sim, kit.first.tenantId, minute))
    const token = await tokenOf(kit.sim, kit.first)
    const page = await getPage(kit.sim, token, listPath({ ...between(0, 6), count: 'true' }))
    expect([page.count, page.ids.length]).toEqual([6, 3])
    expect(await listAll(kit.sim, token, listPath({ orderby: 'lastUpdateDateTime asc' }))).toEqual(ids)
    expect(await listAll(kit.sim, token, listPath({ orderby: 'createdDateTime desc' }))).toEqual(ids.toReversed())
  })
})

describe('limits', () => {
  test('$top is cut to 1000, and to the page size of the simulator', async () => {
    await using kit = await graphSim({ backlogPerTenant: 1100, tenants: 1 })
    const token = await tokenOf(kit.sim, kit.first)
    expect((await getPage(kit.sim, token, listPath({ top: '2000' }))).ids).toHaveLength(1000)
    expect((await getPage(kit.sim, token, listPath({ top: '10' }))).ids).toHaveLength(10)
  })

  test('a $skip over 500 is refused unless the simulator gave the link itself', async () => {
    await using kit = await graphSim({ backlogPerTenant: 1300, tenants: 1, paging: 'skip', pageSize: 400 })
    const token = await tokenOf(kit.sim, kit.first)
    expect((await getPage(kit.sim, token, listPath({ skip: '500' }))).ids).toHaveLength(400)
    const refused = await getPage(kit.sim, token, listPath({ skip: '501' }))
    expect([refused.status, refused.error?.message]).toEqual([
      400,
      "The limit of '500' for $skip query has been exceeded.",
    ])
    expect(new Set(await listAll(kit.sim, token, listPath())).size).toBe(1300)
  })

  test.each([
    ['a quoted time', { filter: "lastUpdateDateTime ge '2026-11-23T11:00:00Z'" }],
    ['a name of the other list', { filter: `lastModifiedDateTime ge ${stamp(0)}` }],
    ['a property that cannot be filtered', { filter: 'investigationState eq running' }],
    ['no time at all', { filter: 'lastUpdateDateTime ge yesterday' }],
    ['an operator it does not know', { filter: `lastUpdateDateTime ne ${stamp(0)}` }],
    ['a broken clause', { filter: 'lastUpdateDateTime' }],
    ['$top 0', { top: '0' }],
    ['$top -1', { top: '-1' }],
    ['$skip x', { skip: 'x' }],
    ['an unknown option', { expand: 'evidence' }],
    ['an order by nothing', { orderby: 'severity' }],
    ['a made-up skiptoken', { skiptoken: 'abc' }],
  ])('%s is 400 with Graph’s error body', async (_, options) => {
    await using kit = await graphSim()
    const page = await getPage(kit.sim, await tokenOf(kit.sim, kit.first), listPath(options))
    expect(page.status).toBe(400)
    expect(page.error?.code).toBe('BadRequest')
    expect(JSON.parse(page.text)).toMatchObject({ error: { innerError: { date: '2026-11-23T12:00:00' } } })
  })

  test('a skiptoken is good for its own filter only', async () => {
    await using kit = await graphSim({ pageSize: 1 })
    for (const minute of [1, 2, 3]) addAt(kit.sim, kit.first.tenantId, minute)
    const token = await tokenOf(kit.sim, kit.first)
    const { next } = await getPage(kit.sim, token, listPath(between(0, 9)))
    const skiptoken = new URL(next ?? '').searchParams.get('$skiptoken') ?? ''
    expect((await getPage(kit.sim, token, listPath({ ...between(0, 9), skiptoken }))).status).toBe(200)
    expect((await getPage(kit.sim, token, listPath({ ...between(0, 8), skiptoken }))).status).toBe(400)
  })
})

describe('lists and methods', () => {
  test('a tenant of the retired list is read there and by its names', async () => {
    await using kit = await graphSim({ tenants: { count: 1, legacy: 1 } })
    const alert = { id: 'x', azureTenantId: kit.first.tenantId, createdDateTime: stamp(1), lastModifiedDateTime: null }
    kit.sim.inject(kit.first.tenantId, JSON.stringify(alert))
    const id = addAt(kit.sim, kit.first.tenantId, 5)
    const token = await tokenOf(kit.sim, kit.first)
    const from = { filter: `lastModifiedDateTime ge ${stamp(0)} and lastModifiedDateTime lt ${stamp(9)}` }
    expect(await listAll(kit.sim, token, listPath(from, 'alerts'))).toEqual([id, 'x'])
    expect(kit.sim.ledger.revisions[0]).toMatchObject({ version: stamp(1), fate: 'deliver' })
    expect((await getPage(kit.sim, token, listPath({}, 'alerts_v2'))).status).toBe(403)
    kit.sim.changeTenant({ tenantId: kit.first.tenantId, roles: ['SecurityAlert.Read.All', 'SecurityEvents.Read.All'] })
    expect(await listAll(kit.sim, await tokenOf(kit.sim, kit.first), listPath())).toEqual([])
  })

  test('a tenant sees its own alerts only', async () => {
    await using kit = await graphSim()
    const mine = addAt(kit.sim, kit.first.tenantId, 1)
    addAt(kit.sim, kit.second.tenantId, 2)
    expect(await listAll(kit.sim, await tokenOf(kit.sim, kit.first), listPath())).toEqual([mine])
  })

  test('anything but GET is 405 and counted, an unknown path is 404', async () => {
    await using kit = await graphSim()
    const headers = { authorization: `Bearer ${await tokenOf(kit.sim, kit.first)}` }
    for (const method of ['POST', 'PATCH', 'DELETE']) {
      expect((await fetch(`${kit.sim.url}/v1.0/security/alerts_v2`, { method, headers })).status).toBe(405)
    }
    expect((await fetch(`${kit.sim.url}/v1.0/users`, { headers })).status).toBe(404)
    expect(kit.sim.ledger.tenants[kit.first.tenantId]?.nonGetRequests).toBe(3)
  })

  test('a request id is echoed in the header and in an error', async () => {
    await using kit = await graphSim()
    const asked = '0f0e0d0c-0b0a-4908-8706-050403020100'
    const response = await fetch(`${kit.sim.url}${listPath()}`, { headers: { 'client-request-id': asked } })
    expect(response.headers.get('client-request-id')).toBe(asked)
    expect(response.headers.get('request-id')).toMatch(/^[0-9a-f-]{36}$/)
    expect(await response.json()).toMatchObject({ error: { innerError: { 'client-request-id': asked } } })
  })
})

describe('against a naive model', () => {
  const tick = fc.integer({ min: 0, max: 30 })
  const base = 17_955_000_000_000_000n
  const at = (ticks: number): string => stampOfTicks(base + BigInt(ticks))
  const alertJson = (id: string, ticks: number): Buffer =>
    Buffer.from(JSON.stringify({ id, tenantId: 't', createdDateTime: at(0), lastUpdateDateTime: at(ticks) }))
  const now = { createdAtMs: 0, visibleAtMs: 0 }

  test('a filter lets through exactly the rows it names, to the tick', () => {
    const clause = fc.tuple(fc.constantFrom('ge', 'gt', 'le', 'lt', 'eq'), tick)
    fc.assert(
      fc.property(fc.array(tick), fc.array(clause, { maxLength: 3 }), (rows, clauses) => {
        const store = openStore('t', 'alerts_v2', emptyGraphLedger())
        for (const [place, ticks] of rows.entries()) store.add(alertJson(`a${place}`, ticks), now)
        const text = clauses.map(([operator, ticks]) => `lastUpdateDateTime ${operator} ${at(ticks)}`).join(' and ')
        const filter = readFilter(text, 'alerts_v2')
        if (filter.kind === 'bad') throw new Error(filter.message)
        const passes: Record<string, (have: number, want: number) => boolean> = {
          ge: (have, want) => have >= want,
          gt: (have, want) => have > want,
          le: (have, want) => have <= want,
          lt: (have, want) => have < want,
          eq: (have, want) => have === want,
        }
        const wanted = rows.flatMap((ticks, place) =>
          clauses.every(([operator, want]) => passes[operator]?.(ticks, want)) ? [`a${place}`] : [],
        )
        const got = applyFilter(store.visible(0), filter.clauses).map(row => row.revision.alertId)
        expect(new Set(got)).toEqual(new Set(wanted))
        expect(got).toHaveLength(wanted.length)
      }),
    )
  })

  test('by skiptoken, every row that stays is listed exactly once, however others move between pages', () => {
    const moves = fc.array(fc.tuple(fc.nat({ max: 19 }), tick), { maxLength: 20 })
    const ascending = fc.boolean()
    fc.assert(
      fc.property(
        fc.array(tick, { maxLength: 20 }),
        moves,
        fc.integer({ min: 1, max: 5 }),
        ascending,
        (rows, moves, size, up) => {
          const store = openStore('t', 'alerts_v2', emptyGraphLedger())
          for (const [place, ticks] of rows.entries()) store.add(alertJson(`a${place}`, ticks), now)
          const left = [...moves]
          const moved = new Set<string>()
          const seen: string[] = []
          let later = 31
          const options = new URLSearchParams(up ? { $orderby: 'lastUpdateDateTime asc' } : {})
          for (let more = true; more; ) {
            const read = readQuery('alerts_v2', options, store.visible(0), new Set())
            if (read.kind === 'bad') throw new Error(read.message)
            const query: ListQuery = read.query
            const page = cutPage(query, size)
            seen.push(...page.rows.map(row => row.revision.alertId ?? ''))
            more = page.more
            if (more) options.set('$skiptoken', writeToken(options, page.rows.at(-1) ?? null, query.orderBy.by))
            const move = left.pop()
            const id = `a${move?.[0]}`
            // an update only ever moves a row to a later time
            if (move !== undefined && store.newestVersion(id) !== null) {
              store.add(alertJson(id, later++), now)
              moved.add(id)
            }
          }
          const stayed = seen.filter(id => !moved.has(id))
          const wanted = rows.map((_, place) => `a${place}`).filter(id => !moved.has(id))
          expect(stayed.toSorted()).toEqual(wanted.toSorted())
        },
      ),
    )
  })
})
