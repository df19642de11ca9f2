import { describe, expect, test } from 'vitest'
import type { GraphFaultInput } from '../../sandbox/graph/faults.ts'
import { askToken, getPage, graphSim, listPath, tokenForm, tokenOf } from './sim-graph-kit.ts'

const stamp = (minute: number): string => `2026-11-23T11:${String(minute).padStart(2, '0')}:00Z`

/** A simulator with four alerts on pages of two, a token, and the fault set. */
async function faulty(fault: GraphFaultInput) {
  const kit = await graphSim({ pageSize: 2 })
  const ids = [1, 2, 3, 4].map(minute => kit.sim.addAlert(kit.first.tenantId, { at: stamp(minute) }).alertId ?? '')
  const token = await tokenOf(kit.sim, kit.first)
  const set = kit.sim.faults.add(fault)
  const ask = (query = listPath()) => getPage(kit.sim, token, query)
  return { ...kit, ids, token, fault: set, ask, [Symbol.asyncDispose]: () => kit.sim.stop() }
}

/** When the tenant's alerts were told to whoever asked. */
function askedOf({ sim, first }: Awaited<ReturnType<typeof faulty>>): Set<number | null> {
  const own = sim.ledger.revisions.filter(({ tenantId }) => tenantId === first.tenantId)
  return new Set(own.map(({ askedAtMs }) => askedAtMs))
}

describe('a fault', () => {
  test('strikes as often as its budget says, only the tenant it names, and is in the ledger', async () => {
    await using kit = await graphSim()
    const fault = kit.sim.faults.add({
      kind: 'status',
      status: 503,
      tenant: kit.first.tenantId.toUpperCase(),
      budget: 2,
    })
    const [first, second] = [await tokenOf(kit.sim, kit.first), await tokenOf(kit.sim, kit.second)]
    const statuses: number[] = []
    for (const token of [second, first, first, first]) statuses.push((await getPage(kit.sim, token, listPath())).status)
    expect(statuses).toEqual([200, 503, 503, 200])
    expect(fault.fired).toBe(2)
    expect(kit.sim.faults.firedByKind()).toEqual({ status: 2 })
    expect(kit.sim.ledger.requests.map(request => request.fault)).toEqual([null, null, null, 'status', 'status', null])
  })

  test('with a probability strikes that share of the time, the same for the same seed', async () => {
    const run = async () => {
      await using kit = await graphSim({ limitPerMinute: 1000 })
      kit.sim.faults.add({ kind: 'status', status: 500, budget: 1000, probability: 0.3 })
      const token = await tokenOf(kit.sim, kit.first)
      const statuses: number[] = []
      for (let place = 0; place < 100; place++)
        statuses.push((await getPage(kit.sim, token, listPath({ top: '1' }))).status)
      return statuses
    }
    const statuses = await run()
    const struck = statuses.filter(status => status === 500).length
    expect(struck).toBeGreaterThan(15)
    expect(struck).toBeLessThan(45)
    expect(await run()).toEqual(statuses)
  })

  test('can be kept to first pages or to follow-up pages', async () => {
    await using kit = await faulty({ kind: 'status', status: 500, phase: 'follow-up' })
    const page = await kit.ask()
    expect(page.status).toBe(200)
    expect((await kit.ask(page.next)).status).toBe(500)
    kit.sim.faults.add({ kind: 'status', status: 502, phase: 'first' })
    expect((await kit.ask(page.next)).status).toBe(200)
    expect((await kit.ask()).status).toBe(502)
  })

  test('with a mistake in it is refused in words', async () => {
    await using kit = await graphSim()
    expect(() => kit.sim.faults.add({ kind: 'status', status: 700 })).toThrow(/599/)
    expect(() => kit.sim.faults.add({ kind: 'reset', wen: 'before' } as never)).toThrow(/wen/)
    expect(kit.sim.faults.all).toEqual([])
  })

  test('that was removed strikes no more but stays counted', async () => {
    await using kit = await faulty({ kind: 'status', status: 500, budget: 9 })
    await kit.ask()
    expect(kit.sim.faults.remove(kit.fault.id)).toBe(true)
    expect((await kit.ask()).status).toBe(200)
    expect(kit.sim.faults.firedByKind()).toEqual({ status: 1 })
  })
})

describe('refusals', () => {
  test.each([
    ['seconds', '7'],
    ['http-date', 'Mon, 23 Nov 2026 12:00:07 GMT'],
    ['absent', null],
    ['absurd', '315360000'],
    ['negative', '-5'],
    ['garbage', 'soon'],
  ] as const)('429 with Retry-After %s', async (retryAfter, header) => {
    await using kit = await faulty({ kind: 'throttle', retryAfter, seconds: 7 })
    const page = await kit.ask()
    expect([page.status, page.headers.get('retry-after'), page.error?.code]).toEqual([429, header, 'TooManyRequests'])
  })

  test('5xx as Graph’s JSON or as a gateway’s HTML', async () => {
    await using kit = await faulty({ kind: 'status', status: 504, retryAfterSeconds: 3 })
    const json = await kit.ask()
    expect([json.status, json.headers.get('retry-after'), json.error?.code]).toEqual([504, '3', 'serviceNotAvailable'])
    kit.sim.faults.add({ kind: 'status', status: 502, html: true })
    const html = await kit.ask()
    expect([html.status, html.headers.get('content-type')]).toEqual([502, 'text/html; charset=utf-8'])
  })

  test('403 in both wordings, a redirect, and 401 for a token that stays refused', async () => {
    await using kit = await faulty({ kind: 'forbidden' })
    expect((await kit.ask()).error?.message).toContain('Missing application roles')
    kit.sim.faults.add({ kind: 'forbidden', code: 'Authorization_RequestDenied' })
    expect((await kit.ask()).error?.code).toBe('Authorization_RequestDenied')
    kit.sim.faults.add({ kind: 'redirect', to: 'http://elsewhere.example/' })
    const redirected = await kit.ask()
    expect([redirected.status, redirected.headers.get('location')]).toEqual([302, 'http://elsewhere.example/'])
    kit.sim.faults.add({ kind: 'unauthorized', phase: 'follow-up' })
    const { next } = await kit.ask()
    expect((await kit.ask(next)).status).toBe(401)
    expect((await kit.ask(next)).status).toBe(401)
    expect((await getPage(kit.sim, await tokenOf(kit.sim, kit.first), next ?? '')).status).toBe(200)
  })

  test('a poison alert fails every window that covers it and no other, until it is taken away', async () => {
    await using kit = await faulty({ kind: 'status', status: 500 })
    await kit.ask()
    const poison = kit.sim.faults.add({ kind: 'poison', alertId: kit.ids[1] ?? '' })
    const window = (from: number, to: number) =>
      listPath({ filter: `lastUpdateDateTime ge ${stamp(from)} and lastUpdateDateTime lt ${stamp(to)}` })
    const statuses = async () => [
      (await kit.ask(window(0, 9))).status,
      (await kit.ask(window(3, 9))).status,
      (await kit.ask(window(2, 3))).status,
    ]
    expect(await statuses()).toEqual([500, 200, 500])
    expect(await statuses()).toEqual([500, 200, 500])
    kit.sim.faults.remove(poison.id)
    expect(await statuses()).toEqual([200, 200, 200])
  })
})

describe('broken transport', () => {
  test.each(['before', 'within'] as const)('a connection reset %s the answer', async when => {
    await using kit = await faulty({ kind: 'reset', when })
    await expect(kit.ask()).rejects.toThrow()
    expect(kit.sim.ledger.requests.at(-1)).toMatchObject({ fault: 'reset', status: when === 'before' ? 0 : 200 })
    expect(askedOf(kit)).toEqual(new Set([null]))
    expect((await kit.ask()).ids).toHaveLength(2)
  })

  test('a request that is never answered ends only with the client or the simulator', async () => {
    await using kit = await faulty({ kind: 'hang' })
    const headers = { authorization: `Bearer ${kit.token}` }
    const cut = new AbortController()
    const asked = fetch(`${kit.sim.url}${listPath()}`, { headers, signal: cut.signal })
    while (kit.fault.fired === 0) await new Promise(resolve => setImmediate(resolve))
    cut.abort()
    await expect(asked).rejects.toThrow()
    // nobody was told anything, so nothing is owed because of it
    expect(askedOf(kit)).toEqual(new Set([null]))
    kit.sim.faults.add({ kind: 'hang' })
    const hanging = fetch(`${kit.sim.url}${listPath()}`, { headers })
    const ended = expect(hanging).rejects.toThrow()
    while (kit.sim.faults.firedByKind().hang !== 2) await new Promise(resolve => setImmediate(resolve))
    await kit.sim.stop()
    await ended
  })

  test('late headers and a slow body still arrive whole', async () => {
    await using kit = await faulty({ kind: 'slow-headers', delayMs: 30 })
    expect((await kit.ask()).ids).toHaveLength(2)
    kit.sim.faults.add({ kind: 'slow-body', bytesPerSecond: 100_000 })
    expect((await kit.ask()).ids).toHaveLength(2)
    expect(askedOf(kit)).toContain(kit.time.ms)
  })
})

describe('broken bodies', () => {
  test('JSON that stops, HTML with 200, a wrong type, a byte order mark', async () => {
    await using kit = await faulty({ kind: 'truncated-body' })
    const cut = await kit.ask()
    expect(cut.status).toBe(200)
    expect(() => JSON.parse(cut.text) as unknown).toThrow(SyntaxError)
    kit.sim.faults.add({ kind: 'html' })
    expect((await kit.ask()).text).toContain('<html>')
    kit.sim.faults.add({ kind: 'content-type' })
    const plain = await kit.ask()
    expect([plain.headers.get('content-type'), plain.ids.length]).toEqual(['text/plain', 2])
    kit.sim.faults.add({ kind: 'bom' })
    const response = await fetch(`${kit.sim.url}${listPath()}`, { headers: { authorization: `Bearer ${kit.token}` } })
    expect([...new Uint8Array(await response.arrayBuffer()).subarray(0, 4)]).toEqual([0xef, 0xbb, 0xbf, 0x7b])
  })

  test('bytes that are no UTF-8, inside a string', async () => {
    await using kit = await faulty({ kind: 'invalid-utf8' })
    const response = await fetch(`${kit.sim.url}${listPath()}`, { headers: { authorization: `Bearer ${kit.token}` } })
    const bytes = Buffer.from(await response.arrayBuffer())
    expect(() => new TextDecoder('utf-8', { fatal: true }).decode(bytes)).toThrow(TypeError)
    expect(JSON.parse(bytes.toString())).toHaveProperty('value')
  })

  test('a page that is too large only when it has several rows', async () => {
    await using kit = await faulty({ kind: 'huge-page', megabytes: 2, budget: 9 })
    const huge = await kit.ask()
    expect(huge.text.length).toBeGreaterThan(2 * 1024 * 1024)
    expect(huge.ids).toHaveLength(2)
    expect((await kit.ask(listPath({ top: '1' }))).text.length).toBeLessThan(10_000)
  })

  test('a gzip bomb: a page of its announced size when it is let through', async () => {
    await using kit = await faulty({ kind: 'gzip-bomb', megabytes: 3 })
    const page = await kit.ask()
    expect(page.headers.get('content-encoding')).toBe('gzip')
    expect(page.text.length).toBeGreaterThan(3 * 1024 * 1024)
    expect(page.ids).toHaveLength(2)
  })
})

describe('strange pages', () => {
  test('206 with a provider missing drops rows, 206 with one not licensed does not', async () => {
    await using kit = await faulty({ kind: 'partial', warning: 'transient' })
    const transient = await kit.ask()
    expect([transient.status, transient.ids.length]).toEqual([206, 1])
    expect(transient.headers.get('warning')).toContain('Microsoft/MCAS/504/10000')
    kit.sim.faults.add({ kind: 'partial', warning: 'permanent' })
    const permanent = await kit.ask()
    expect([permanent.status, permanent.ids.length, permanent.headers.get('warning')]).toEqual([
      206,
      2,
      '199 - "Microsoft/WDATP/403/228"',
    ])
  })

  test.each(['skiptoken', 'skip'] as const)('an empty page leads on to what was asked for (%s)', async paging => {
    await using kit = await graphSim({ pageSize: 2, paging })
    const ids = [1, 2, 3].map(minute => kit.sim.addAlert(kit.first.tenantId, { at: stamp(minute) }).alertId ?? '')
    const token = await tokenOf(kit.sim, kit.first)
    kit.sim.faults.add({ kind: 'empty-page' })
    const pages: string[][] = []
    for (let next: string | undefined = listPath(); next !== undefined; ) {
      const page: Awaited<ReturnType<typeof getPage>> = await getPage(kit.sim, token, next)
      if (pages.push([...page.ids]) === 2) kit.sim.faults.add({ kind: 'empty-page' })
      next = page.next
    }
    expect(pages).toEqual([[], [ids[2], ids[1]], [], [ids[0]]])
  })

  test('rows twice, rows in another order, rows that nobody asked for', async () => {
    await using kit = await faulty({ kind: 'duplicate-rows' })
    const [, , third, fourth] = kit.ids
    expect((await kit.ask()).ids).toEqual([fourth, fourth, third, third])
    kit.sim.faults.add({ kind: 'filter-ignored' })
    expect((await kit.ask(listPath({ filter: `lastUpdateDateTime lt ${stamp(2)}` }))).ids).toEqual([fourth, third])
    const orders = new Set<string>()
    for (let place = 0; place < 10; place++) {
      kit.sim.faults.add({ kind: 'shuffled-rows' })
      orders.add((await kit.ask()).ids.join())
    }
    expect(orders).toEqual(new Set([[fourth, third].join(), [third, fourth].join()]))
  })

  test('an alert of another tenant, and alerts without id, tenant or time, stay in the list', async () => {
    await using kit = await graphSim()
    const token = await tokenOf(kit.sim, kit.first)
    kit.sim.faults.add({ kind: 'foreign-alert', otherTenantId: kit.second.tenantId })
    for (const member of ['id', 'tenantId', 'time'] as const) kit.sim.faults.add({ kind: 'alert-without', member })
    for (let place = 0; place < 4; place++) await getPage(kit.sim, token, listPath())
    expect(kit.sim.ledger.revisions.map(revision => revision.fate)).toEqual(['quarantine', 'park', 'deliver', 'park'])
    expect((await getPage(kit.sim, token, listPath())).ids).toHaveLength(4)
    expect(kit.sim.ledger.revisions.every(revision => revision.tenantId === kit.first.tenantId)).toBe(true)
  })
})

describe('a nextLink', () => {
  test.each([
    ['other-host', /^http:\/\/evil\.example\/v1\.0\/security\/alerts_v2\?/],
    ['other-scheme', /^https:\/\/127\.0\.0\.1:\d+\/v1\.0\//],
    ['other-path', /^http:\/\/127\.0\.0\.1:\d+\/v1\.0\/users\?/],
    ['alias-host', /^http:\/\/localhost:\d+\/v1\.0\//],
    ['userinfo', /^http:\/\/127\.0\.0\.1:\d+@graph\.attacker\.example\//],
    ['protocol-relative', /^\/\/graph\.attacker\.example\//],
    ['relative', /^\/v1\.0\/security\/alerts_v2\?/],
    ['not-a-url', /^http:\/\/\[$/],
  ] as const)('to %s', async (variant, form) => {
    await using kit = await faulty({ kind: 'next-link', variant, to: 'http://evil.example' })
    const page = await kit.ask()
    expect(page.next).toMatch(form)
    expect(page.ids).toHaveLength(2)
  })

  test('to the next port, and to the very page it stands on', async () => {
    await using kit = await faulty({ kind: 'next-link', variant: 'other-port' })
    expect(new URL((await kit.ask()).next ?? '').port).toBe(String(Number(new URL(kit.sim.url).port) + 1))
    kit.sim.faults.add({ kind: 'next-link', variant: 'self-loop' })
    const asked = listPath({ top: '2' })
    expect((await kit.ask(asked)).next).toBe(`${kit.sim.url}${asked}`)
  })

  test('in a cycle of two, endless, and refused when followed, also after the budget is spent', async () => {
    await using kit = await faulty({ kind: 'next-link', variant: 'two-cycle' })
    const links: (string | undefined)[] = [(await kit.ask()).next]
    for (let place = 0; place < 4; place++) links.push((await kit.ask(links.at(-1))).next)
    expect(new Set(links).size).toBe(2)
    kit.sim.faults.add({ kind: 'next-link', variant: 'endless' })
    const fresh = [(await kit.ask()).next]
    for (let place = 0; place < 10; place++) fresh.push((await kit.ask(fresh.at(-1))).next)
    expect(new Set(fresh).size).toBe(11)
    expect(fresh).not.toContain(undefined)
    kit.sim.faults.add({ kind: 'next-link', variant: 'refused' })
    const refused = await kit.ask((await kit.ask()).next)
    expect([refused.status, refused.error?.message]).toEqual([400, 'SkipToken is not allowed.'])
  })
})

describe('the token endpoint', () => {
  test('fails by AADSTS code, by status, by HTML, and without a token', async () => {
    await using kit = await graphSim()
    const { tenantId } = kit.first
    kit.sim.faults.add({ kind: 'aadsts', code: 90033, tenant: tenantId })
    expect((await askToken(kit.sim, kit.second.tenantId, tokenForm(kit.second))).status).toBe(200)
    const busy = await askToken(kit.sim, tenantId, tokenForm(kit.first))
    expect([busy.status, busy.body.error, busy.body.error_codes]).toEqual([503, 'temporarily_unavailable', [90033]])
    kit.sim.faults.add({ kind: 'throttle', where: 'token', seconds: 2 })
    const throttled = await askToken(kit.sim, tenantId, tokenForm(kit.first))
    expect([throttled.status, throttled.headers.get('retry-after')]).toEqual([429, '2'])
    kit.sim.faults.add({ kind: 'html', where: 'token' })
    await expect(askToken(kit.sim, tenantId, tokenForm(kit.first))).rejects.toThrow(SyntaxError)
    kit.sim.faults.add({ kind: 'no-token' })
    expect((await askToken(kit.sim, tenantId, tokenForm(kit.first))).body).not.toHaveProperty('access_token')
    kit.sim.faults.add({ kind: 'reset', where: 'any' })
    await expect(askToken(kit.sim, tenantId, tokenForm(kit.first))).rejects.toThrow()
    expect((await askToken(kit.sim, tenantId, tokenForm(kit.first))).status).toBe(200)
  })

  test('is left alone by faults of the lists, and the lists by faults of the token endpoint', async () => {
    await using kit = await graphSim()
    kit.sim.faults.add({ kind: 'status', status: 500 })
    const token = await tokenOf(kit.sim, kit.first)
    kit.sim.faults.clear()
    kit.sim.faults.add({ kind: 'status', status: 500, where: 'token' })
    expect((await getPage(kit.sim, token, listPath())).status).toBe(200)
  })
})
