import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'

import type { PageAnswer } from '../../producers/graph/client.ts'
import { SLICE_LIMITS } from '../../producers/graph/slice.ts'
import {
  emptyPage,
  entraError,
  handClock,
  jwt,
  never,
  pageOf,
  type Reply,
  rig,
  SENTINEL,
  startServer,
  TENANT,
  tenant,
  tokenReply,
  WINDOW,
} from './graph-rig.ts'

/** The answer to one page request that the server meets with `reply`, and how often it was asked. */
async function answerTo(reply: Reply, link?: string): Promise<{ answer: PageAnswer; asked: number }> {
  await using server = await startServer({ page: () => reply })
  await using one = await rig(server.url)
  const ask = link === undefined ? WINDOW : ({ kind: 'next', link: `${server.url.origin}${link}` } as const)
  const answer = await one.graph.page(one.access, ask, never)
  return { answer, asked: server.gets().length }
}

const NEXT = '/v1.0/security/alerts_v2?$skip=1'

describe('a page', () => {
  test('is asked for with the exact filter, the page size and the headers that Graph needs', async () => {
    await using server = await startServer({})
    await using one = await rig(server.url)
    await one.graph.page(one.access, WINDOW, never)
    await one.graph.page(one.access, { ...WINDOW, by: 'created', top: 5_000 }, never)
    await one.graph.page(tenant({ source: 'alerts' }), { ...WINDOW, top: 0 }, never)
    const [first, created, legacy] = server.gets()
    const asked = (path = '') => new URL(path, server.url)
    expect(asked(first?.path).pathname).toBe('/v1.0/security/alerts_v2')
    expect(asked(first?.path).searchParams.get('$filter')).toBe(
      'lastUpdateDateTime ge 2026-11-23T10:00:00.0000000Z and lastUpdateDateTime lt 2026-11-23T10:10:00.0000000Z',
    )
    expect(asked(first?.path).searchParams.get('$top')).toBe('1000')
    expect(first?.headers).toMatchObject({
      authorization: 'Bearer token-0',
      'accept-encoding': 'gzip',
      prefer: 'include-unknown-enum-members',
      'client-request-id': expect.stringMatching(
        /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
      ),
    })
    expect(asked(created?.path).searchParams.get('$filter')).toMatch(/^createdDateTime ge .* and createdDateTime lt /)
    expect(asked(created?.path).searchParams.get('$top')).toBe('1000')
    expect(asked(legacy?.path).pathname).toBe('/v1.0/security/alerts')
    expect(asked(legacy?.path).searchParams.get('$filter')).toMatch(/^lastModifiedDateTime ge /)
    expect(asked(legacy?.path).searchParams.get('$top')).toBe('1')
  })

  test('brings its alerts byte for byte, its nextLink and the time of the server', async () => {
    const body =
      '{"value":[{"id":"a","n":12345678901234567890,"lastUpdateDateTime":"2026-11-23T10:00:00.1Z"}],"@odata.nextLink":"L"}'
    const { answer } = await answerTo({ headers: { date: 'Mon, 23 Nov 2026 10:11:12 GMT' }, body })
    expect(answer).toMatchObject({
      kind: 'page',
      nextLink: 'L',
      partial: [],
      serverTimeMs: Date.parse('2026-11-23T10:11:12Z'),
      alerts: [{ kind: 'alert', id: 'a', lastUpdate: '2026-11-23T10:00:00.1Z' }],
    })
    expect(answer.kind === 'page' && answer.alerts[0]?.bytes.toString()).toBe(body.slice(10, body.indexOf(']')))
  })

  test.each([
    ['plain', (body: Buffer) => ({ body })],
    ['gzip', (body: Buffer) => ({ body: gzipSync(body), headers: { 'content-encoding': 'gzip' } })],
    [
      'gzip in two members',
      (body: Buffer) => ({
        body: Buffer.concat([gzipSync(body.subarray(0, 9)), gzipSync(body.subarray(9))]),
        headers: { 'content-encoding': 'gzip' },
      }),
    ],
    ['with a byte order mark', (body: Buffer) => ({ body: Buffer.concat([Buffer.from('\ufeff'), body]) })],
  ])('is read when sent %s', async (_, reply) => {
    const { answer } = await answerTo(reply(Buffer.from(JSON.stringify({ value: [{ id: 'é' }] }))))
    expect(answer).toMatchObject({ kind: 'page', alerts: [{ id: 'é' }] })
  })

  test('says which providers are missing from a 206', async () => {
    const { answer } = await answerTo({
      status: 206,
      headers: { warning: ['199 - "Microsoft/WDATP/403/10"', '199 - "Microsoft/IPC/504/10000"'] },
      body: '{"value":[{"id":"a"}]}',
    })
    expect(answer).toMatchObject({
      kind: 'page',
      alerts: [{ id: 'a' }],
      partial: [
        { provider: 'WDATP', permanent: true },
        { provider: 'IPC', permanent: false },
      ],
    })
  })

  test('a next page is fetched by its link, with the headers again', async () => {
    await using server = await startServer({})
    await using one = await rig(server.url)
    const link = `${server.url.origin}/v1.0/security/alerts_v2?$filter=a ge b&$skiptoken=x%2Fy`
    expect(await one.graph.page(one.access, { kind: 'next', link }, never)).toMatchObject({ kind: 'page' })
    expect(server.gets()[0]).toMatchObject({
      path: '/v1.0/security/alerts_v2?$filter=a%20ge%20b&$skiptoken=x%2Fy',
      headers: { prefer: 'include-unknown-enum-members' },
    })
  })

  test('a nextLink to another host is refused before any request, also for a token', async () => {
    await using server = await startServer({})
    await using other = await startServer({})
    await using one = await rig(server.url)
    const links = [
      `${other.url.origin}${NEXT}`,
      `http://localhost:${server.url.port}${NEXT}`,
      `http://u@127.0.0.1:${server.url.port}${NEXT}`,
      `${server.url.origin}/v1.0/users`,
      'https://graph.microsoft.com/v1.0/security/alerts_v2?$skip=1',
      '',
    ]
    for (const link of links) {
      expect(await one.graph.page(one.access, { kind: 'next', link }, never)).toMatchObject({
        kind: 'split',
        reason: 'nextlink-refused',
      })
    }
    expect([...server.seen, ...other.seen]).toEqual([])
  })

  test.each([
    ['cloud', { cloud: 'mars' }],
    ['cloud', { cloud: 'constructor' }],
    ['source', { source: '../users' }],
    ['credential', { credential: { kind: 'toString', file: 'one.secret' } }],
  ])('a tenant record with a %s that nobody knows needs attention, and nothing is sent: %j', async (part, odd) => {
    await using server = await startServer({})
    await using one = await rig(server.url)
    const access = tenant(odd as never)
    for (const answer of [await one.graph.now(access, never), await one.graph.page(access, WINDOW, never)]) {
      expect(answer).toMatchObject({ kind: 'needs-attention', problem: { code: 'tenant-record' } })
      expect(JSON.stringify(answer)).toContain(`no such ${part}`)
    }
    expect(server.seen).toEqual([])
  })

  test('a cloud without alerts_v2 is told at once, without a request', async () => {
    await using server = await startServer({})
    await using one = await rig(server.url)
    const answer = await one.graph.page(tenant({ cloud: 'china' }), WINDOW, never)
    expect(answer).toMatchObject({ kind: 'needs-attention', problem: { code: 'cloud-without-alerts' } })
    expect(server.seen).toEqual([])
  })
})

describe('what Graph refuses', () => {
  test.each([
    [429, { 'retry-after': '17' }, { kind: 'throttled', retryAfterMs: 17_000 }],
    [429, {}, { kind: 'throttled', retryAfterMs: null }],
    [429, { 'retry-after': '-3' }, { kind: 'throttled', retryAfterMs: null }],
    [429, { 'retry-after': '86400' }, { kind: 'throttled', retryAfterMs: 900_000 }],
    [
      429,
      { date: 'Mon, 23 Nov 2026 10:00:00 GMT', 'retry-after': 'Mon, 23 Nov 2026 10:00:45 GMT' },
      { kind: 'throttled', retryAfterMs: 45_000 },
    ],
    [503, { 'retry-after': '5' }, { kind: 'throttled', retryAfterMs: 5_000 }],
    [503, {}, { kind: 'unavailable', retryAfterMs: null }],
    [509, {}, { kind: 'throttled' }],
    [500, {}, { kind: 'unavailable' }],
    [502, {}, { kind: 'unavailable' }],
    [504, { 'retry-after': '5' }, { kind: 'unavailable', retryAfterMs: 5_000 }],
    [408, {}, { kind: 'unavailable' }],
    [204, {}, { kind: 'unavailable' }],
    [302, { location: 'https://evil.example/' }, { kind: 'unavailable' }],
    [307, { location: '/v1.0/security/alerts_v2' }, { kind: 'unavailable' }],
    [400, {}, { kind: 'split', reason: 'bad-request' }],
    [422, {}, { kind: 'split', reason: 'bad-request' }],
    [413, {}, { kind: 'split', reason: 'too-large' }],
    [402, {}, { kind: 'needs-attention', problem: { code: 'graph-402' } }],
    [403, {}, { kind: 'needs-attention', problem: { code: 'graph-403' } }],
    [404, {}, { kind: 'needs-attention', problem: { code: 'graph-404' } }],
    [410, {}, { kind: 'needs-attention', problem: { code: 'graph-410' } }],
  ])('a window met with %s %j', async (status, headers, expected) => {
    const { answer, asked } = await answerTo({ status, headers, body: status === 204 ? '' : '{"error":{}}' })
    expect(answer).toMatchObject(expected)
    expect(asked).toBe(1)
  })

  test.each([400, 404, 410, 422])('a nextLink met with %s is rejected, and the window is split', async status => {
    const { answer } = await answerTo({ status, body: '{"error":{}}' }, NEXT)
    expect(answer).toMatchObject({ kind: 'split', reason: 'nextlink-rejected' })
  })

  test('a refusal is told by its headers also when its body breaks off', async () => {
    const { answer } = await answerTo(response => {
      response.writeHead(429, { 'retry-after': '7', 'content-length': '100' })
      response.write('{', () => response.destroy())
    })
    expect(answer).toMatchObject({ kind: 'throttled', retryAfterMs: 7_000 })
  })

  test('a redirect is not followed, and no token goes where it points', async () => {
    await using other = await startServer({})
    const { answer } = await answerTo({ status: 302, headers: { location: `${other.url.origin}${NEXT}` } })
    expect(answer).toMatchObject({ kind: 'unavailable', detail: expect.stringContaining('redirect') })
    expect(other.seen).toEqual([])
  })

  test('a missing permission is named with what the token carries instead, and the next try has a new token', async () => {
    const roles = [['User.Read.All', 'SecurityEvents.ReadWrite.All'], ['SecurityAlert.Read.All']]
    await using server = await startServer({
      token: n => tokenReply(n, undefined, { access_token: jwt({ tid: TENANT.toUpperCase(), roles: roles[n] }) }),
      page: n => (n === 0 ? { status: 403, body: `{"error":{"message":"${SENTINEL}"}}` } : emptyPage()),
    })
    await using one = await rig(server.url)
    expect(one.graph.grant(TENANT)).toBeNull()
    const answer = await one.graph.page(one.access, WINDOW, never)
    expect(answer.kind === 'needs-attention' && answer.problem.words).toMatch(
      /lacks the application permission SecurityAlert\.Read\.All \(its token carries User\.Read\.All, .*administrator must/,
    )
    expect(one.graph.grant(TENANT)?.writeRoles).toEqual(['SecurityEvents.ReadWrite.All'])
    expect(await one.graph.page(one.access, WINDOW, never)).toMatchObject({ kind: 'page' })
    expect(server.posts()).toHaveLength(2)
    expect(one.graph.grant(TENANT)).toEqual({ roles: ['SecurityAlert.Read.All'], writeRoles: [] })
  })

  test('the request-id for support is told, if it is one', async () => {
    const id = '0a0b0c0d-0000-4000-8000-000000000001'
    expect((await answerTo({ status: 500, headers: { 'request-id': id } })).answer).toMatchObject({
      detail: `Graph answered 500 (request-id ${id})`,
    })
    expect((await answerTo({ status: 500, headers: { 'request-id': SENTINEL } })).answer).toMatchObject({
      detail: 'Graph answered 500',
    })
  })
})

describe('what cannot be read', () => {
  const value = (bytes: number) => `{"value":[{"id":"a","x":"${'x'.repeat(bytes)}"}]}`
  const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024, ' '))

  test.each<[string, Reply, object]>([
    ['truncated JSON', { body: '{"value":[{"id":"a"' }, { kind: 'split', reason: 'unreadable' }],
    ['JSON that is no list', { body: '{"id":"a"}' }, { kind: 'split', reason: 'unreadable' }],
    ['an empty body', {}, { kind: 'split', reason: 'unreadable' }],
    [
      'invalid UTF-8',
      { body: Buffer.from('7b2276616c7565223a5b22ff225d7d', 'hex') },
      { kind: 'split', reason: 'unreadable' },
    ],
    ['HTML', { headers: { 'content-type': 'text/html' }, body: '<html>' }, { kind: 'unavailable' }],
    ['JSON called text', { headers: { 'content-type': 'text/plain' }, body: '{"value":[]}' }, { kind: 'unavailable' }],
    ['broken gzip', { headers: { 'content-encoding': 'gzip' }, body: 'not gzip' }, { kind: 'unavailable' }],
    [
      'truncated gzip',
      { headers: { 'content-encoding': 'gzip' }, body: gzipSync('{"value":[]}').subarray(0, 20) },
      { kind: 'unavailable' },
    ],
    [
      'an encoding that was not asked for',
      { headers: { 'content-encoding': 'br' }, body: 'x' },
      { kind: 'unavailable' },
    ],
    ['a gzip bomb', { headers: { 'content-encoding': 'gzip' }, body: bomb }, { kind: 'split', reason: 'too-large' }],
  ])('%s', async (_, reply, expected) => {
    expect((await answerTo(reply)).answer).toMatchObject(expected)
  })

  test('a body past the cap is cut off, with and without a length, and the next page is fine', async () => {
    // never ends: only a client that stops reading gets an answer
    const endless: Reply = response => {
      response.writeHead(200, { 'content-type': 'application/json' })
      response.write(value(3_000))
    }
    const replies: Reply[] = [{ body: value(3_000) }, endless, { body: value(10) }]
    await using server = await startServer({ page: n => replies[n] ?? emptyPage() })
    await using one = await rig(server.url, { limits: { slice: { ...SLICE_LIMITS, maxPageBytes: 2_000 } } })
    const kinds: string[] = []
    for (const _ of replies) kinds.push((await one.graph.page(one.access, WINDOW, never)).kind)
    expect(kinds).toEqual(['split', 'split', 'page'])
  })
})

describe('the network', () => {
  test.each<[string, Reply]>([
    ['a reset before the headers', response => response.destroy()],
    [
      'a reset in the body',
      response => {
        response.writeHead(200, { 'content-type': 'application/json', 'content-length': '100' })
        response.write('{"value":[', () => response.destroy())
      },
    ],
    [
      'a body shorter than its length',
      response => {
        response.socket?.end(
          'HTTP/1.1 200 OK\r\ncontent-length: 100\r\ncontent-type: application/json\r\n\r\n{"value":[]}',
        )
      },
    ],
    [
      'chunks that end in the middle',
      response => {
        response.socket?.end('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nc\r\n{"value":[]}\r\n')
      },
    ],
    ['something that is not HTTP', response => void response.socket?.end('SSH-2.0-x\r\n')],
    ['20 KB of headers', { headers: { 'x-a': 'x'.repeat(20_000) }, body: '{"value":[]}' }],
  ])('%s is unavailable, said by its code', async (_, reply) => {
    expect((await answerTo(reply)).answer).toMatchObject({
      kind: 'unavailable',
      detail: expect.stringMatching(/^Graph did not answer \(\w+\)$/),
    })
  })

  test('nobody listening is unavailable, for the token and for the page', async () => {
    const server = await startServer({})
    const { url } = server
    await server[Symbol.asyncDispose]()
    await using one = await rig(url)
    expect(await one.graph.page(one.access, WINDOW, never)).toMatchObject({
      kind: 'unavailable',
      detail: 'Entra did not answer (ECONNREFUSED)',
    })
  })

  test.each<[string, Reply]>([
    ['headers that never come', () => undefined],
    [
      'a body that trickles',
      response => {
        response.writeHead(200, { 'content-type': 'application/json' })
        response.write('{"value":[')
      },
    ],
    [
      'a gzip body that trickles',
      response => {
        response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' })
        response.write(gzipSync('{"value":[]}').subarray(0, 15))
      },
    ],
  ])('%s: the deadline ends it', async (_, reply) => {
    const clock = handClock()
    const { promise: asked, resolve } = Promise.withResolvers<void>()
    await using server = await startServer({
      page: () => (response, request) => {
        if (typeof reply === 'function') reply(response, request)
        resolve()
      },
    })
    await using one = await rig(server.url, { clock, limits: { pageDeadlineMs: 60_000 } })
    const answer = one.graph.page(one.access, WINDOW, never)
    await asked
    clock.turn(60_000)
    expect(await answer).toMatchObject({ kind: 'unavailable', detail: 'Graph did not answer (deadline)' })
  })

  test('only the reason of the caller is thrown, whatever was under way', async () => {
    const reason = new Error('lane lost')
    for (const where of ['before', 'token', 'page'] as const) {
      const stop = new AbortController()
      const hang: Reply = () => stop.abort(reason)
      await using server = await startServer({
        token: n => (where === 'token' ? hang : tokenReply(n)),
        page: () => (where === 'page' ? hang : emptyPage()),
      })
      await using one = await rig(server.url)
      if (where === 'before') stop.abort(reason)
      await expect(one.graph.page(one.access, WINDOW, stop.signal)).rejects.toBe(reason)
    }
  })

  test('a closed client answers, it does not hang', async () => {
    const { promise: asked, resolve } = Promise.withResolvers<void>()
    await using server = await startServer({ token: () => () => resolve() })
    const one = await rig(server.url)
    const answer = one.graph.page(one.access, WINDOW, never)
    await asked
    await one[Symbol.asyncDispose]()
    expect(await answer).toMatchObject({ kind: 'unavailable' })
  })
})

describe('an answer that is not of Graph', () => {
  const html = { 'content-type': 'text/html' }

  test.each<[string, Reply]>([
    ['HTML with 401', { status: 401, headers: html, body: '<html>' }],
    ['HTML with 404', { status: 404, headers: html, body: '<html>' }],
    ['a page with 502', { status: 502, headers: { 'content-type': 'text/plain' }, body: ' <html>' }],
  ])('%s is tried again, and says what to do', async (_, reply) => {
    const { answer, asked } = await answerTo(reply)
    expect(answer).toMatchObject({ kind: 'unavailable', isBetween: true })
    expect(answer.kind === 'unavailable' && answer.detail).toMatch(/something in between.*The operator must/)
    expect(asked).toBe(1)
  })

  test.each<[string, Reply]>([
    ['an error in JSON without a request-id', { status: 403, body: '{"error":{"code":"Forbidden"}}' }],
    ['that error called text', { status: 403, headers: html, body: '{"error":{"code":"Forbidden"}}' }],
    ['nothing at all', { status: 403, headers: { 'content-type': 'text/plain' } }],
    ['a word', { status: 403, headers: { 'content-type': 'text/plain' }, body: 'Forbidden' }],
    ['an error that is a text', { status: 403, body: '{"error":"forbidden"}' }],
    ['a page with a request-id', { status: 403, headers: { ...html, 'request-id': 'x' }, body: '<html>' }],
  ])('but %s is', async (_, reply) => {
    expect((await answerTo(reply)).answer).toMatchObject({ kind: 'needs-attention', problem: { code: 'graph-403' } })
  })

  test('costs no token and moves no clock', async () => {
    await using server = await startServer({
      token: () => ({
        headers: { date: 'Mon, 23 Nov 2026 12:00:00 GMT' },
        body: '{"access_token":"t","expires_in":3600}',
      }),
      page: () => ({ status: 403, headers: { ...html, date: 'Mon, 23 Nov 2026 15:00:00 GMT' }, body: '<html>' }),
    })
    await using one = await rig(server.url, { clock: handClock() })
    for (const _ of [1, 2, 3]) await one.graph.page(one.access, WINDOW, never)
    expect(server.posts()).toHaveLength(1)
    expect(await one.graph.now(one.access, never)).toEqual({
      kind: 'time',
      epochMs: Date.parse('2026-11-23T12:00:00Z'),
    })
  })
})

describe('an application that several tenants name', () => {
  const OTHER = TENANT.replace('1', '2')

  test('is taken for ours: its secret is our move, until the other tenant has gone', async () => {
    await using server = await startServer({ token: () => entraError(401, 7000222, 'invalid_client') })
    await using one = await rig(server.url)
    const move = async (tenantId: string) => {
      const answer = await one.graph.now(tenant({ tenantId }), never)
      return answer.kind === 'needs-attention' ? answer.problem.move : answer.kind
    }
    expect(await move(TENANT)).toBe('customer') // nobody else has been seen yet
    expect(await move(OTHER)).toBe('operator')
    expect(await move(TENANT)).toBe('operator')
    one.graph.forget(OTHER)
    expect(await move(TENANT)).toBe('customer')
  })

  test('that moves to an application of its own is not counted with the others any more', async () => {
    await using server = await startServer({ token: () => entraError(401, 7000222, 'invalid_client') })
    await using one = await rig(server.url)
    await one.graph.now(tenant({ tenantId: OTHER }), never)
    await one.graph.now(tenant({ tenantId: OTHER, clientId: '88888888-2222-4333-8444-555555555555' }), never)
    expect(await one.graph.now(one.access, never)).toMatchObject({ problem: { move: 'customer' } })
  })
})

describe('the page where licences stand', () => {
  test.each([
    ['global', 'admin.microsoft.com > Billing > Licenses'],
    ['usgov', 'the Microsoft 365 admin center > Billing > Licenses'],
    ['dod', 'the Microsoft 365 admin center > Billing > Licenses'],
    ['china', 'the Microsoft 365 admin center > Billing > Licenses'],
  ] as const)('in the cloud %s is %s', async (cloud, page) => {
    await using server = await startServer({ page: () => ({ status: 402, body: '{"error":{}}' }) })
    await using one = await rig(server.url)
    const answer = await one.graph.page(tenant({ cloud, source: 'alerts' }), WINDOW, never)
    expect(answer).toMatchObject({ problem: { page } })
  })
})

describe('a 401', () => {
  const refused: Reply = { status: 401, body: '{"error":{"code":"InvalidAuthenticationToken"}}' }

  test('gets one new token and one more try', async () => {
    await using server = await startServer({ page: n => (n === 0 ? refused : pageOf([{ id: 'a' }])) })
    await using one = await rig(server.url)
    expect(await one.graph.page(one.access, WINDOW, never)).toMatchObject({ kind: 'page', alerts: [{ id: 'a' }] })
    expect(server.posts()).toHaveLength(2)
    expect(server.gets().map(get => get.headers.authorization)).toEqual(['Bearer token-0', 'Bearer token-1'])
  })

  test('that repeats needs attention, and later tries cost one request each', async () => {
    await using server = await startServer({ page: n => (n < 4 ? refused : emptyPage()) })
    const clock = handClock()
    await using one = await rig(server.url, { clock })
    const next = () => one.graph.page(one.access, WINDOW, never)
    expect(await next()).toMatchObject({ kind: 'needs-attention', problem: { code: 'graph-401' } })
    expect(server.gets()).toHaveLength(2)
    for (const asked of [3, 4]) {
      clock.turn(60_000)
      expect(await next()).toMatchObject({ kind: 'needs-attention', problem: { code: 'graph-401' } })
      expect(server.gets()).toHaveLength(asked)
    }
    clock.turn(60_000)
    expect(await next()).toMatchObject({ kind: 'page' })
  })

  test('now and then does not double the requests: one second try in 30 s', async () => {
    await using server = await startServer({ page: n => (n % 2 === 0 ? refused : emptyPage()) })
    const clock = handClock()
    await using one = await rig(server.url, { clock })
    const next = () => one.graph.page(one.access, WINDOW, never)
    expect(await next()).toMatchObject({ kind: 'page' })
    clock.turn(29_999)
    expect(await next()).toMatchObject({ kind: 'unavailable' })
    expect(await next()).toMatchObject({ kind: 'page' })
    clock.turn(1)
    expect(await next()).toMatchObject({ kind: 'page' })
    expect(server.gets()).toHaveLength(6)
  })
})

describe("Graph's clock", () => {
  const at = (text: string) => ({ date: text })
  const epochMs = Date.parse('2026-11-23T12:00:00Z')

  test('is the Date header moved on by our clock, whatever our clock shows', async () => {
    await using server = await startServer({
      token: () => ({ headers: at('Mon, 23 Nov 2026 11:59:00 GMT'), body: '{"access_token":"t","expires_in":3600}' }),
      page: () => ({ headers: at('Mon, 23 Nov 2026 12:00:00 GMT'), body: '{"value":[]}' }),
    })
    const clock = handClock(0)
    await using one = await rig(server.url, { clock })
    const now = () => one.graph.now(one.access, never)
    expect(await now()).toEqual({ kind: 'time', epochMs: epochMs - 60_000 })
    await one.graph.page(one.access, WINDOW, never)
    clock.turn(5_000)
    expect(await now()).toEqual({ kind: 'time', epochMs: epochMs + 5_000 })
    expect(server.posts()).toHaveLength(1)
    one.graph.forget(TENANT)
    expect(await now()).toEqual({ kind: 'time', epochMs: epochMs - 60_000 })
    expect(server.posts()).toHaveLength(2)
  })

  test.each(['Wed, 25 Nov 2026 12:00:01 GMT', 'Fri, 31 Dec 9999 23:59:59 GMT'])(
    'is not %s when Entra says that this is days away, and Entra is asked again',
    async text => {
      await using server = await startServer({
        token: () => ({ headers: at('Mon, 23 Nov 2026 12:00:00 GMT'), body: '{"access_token":"t","expires_in":3600}' }),
        page: () => ({ headers: at(text), body: '{"value":[]}' }),
      })
      await using one = await rig(server.url, { clock: handClock() })
      expect(await one.graph.page(one.access, WINDOW, never)).toMatchObject({ kind: 'page', serverTimeMs: null })
      expect(await one.graph.now(one.access, never)).toEqual({ kind: 'time', epochMs })
    },
  )

  test('also a refusal tells the time', async () => {
    await using server = await startServer({
      page: () => ({ status: 500, headers: at('Mon, 23 Nov 2026 12:00:00 GMT') }),
    })
    await using one = await rig(server.url, { clock: handClock() })
    await one.graph.page(one.access, WINDOW, never)
    expect(await one.graph.now(one.access, never)).toEqual({ kind: 'time', epochMs })
  })

  test('is not guessed when nobody sent it', async () => {
    await using server = await startServer({
      token: () => response => {
        response.sendDate = false
        response.end('{"access_token":"t","expires_in":3600}')
      },
    })
    await using one = await rig(server.url)
    expect(await one.graph.now(one.access, never)).toMatchObject({ kind: 'unavailable' })
  })
})
