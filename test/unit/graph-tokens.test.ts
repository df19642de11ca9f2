import { createHash, verify, X509Certificate } from 'node:crypto'
import { mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { MockAgent } from 'undici'
import { describe, expect, test } from 'vitest'

import type { TenantAccess } from '../../producers/graph/clouds.ts'
import {
  emptyPage,
  entraError,
  handClock,
  jwt,
  never,
  type Reply,
  rig,
  type Seen,
  SENTINEL,
  selfSigned,
  startServer,
  TENANT,
  tenant,
  tokenReply,
  WINDOW,
} from './graph-rig.ts'

const HOUR_MS = 3_599_000
const HTML = { 'content-type': 'text/html' }

describe('tokens', () => {
  test('100 callers at once cause one request', async () => {
    const { promise: ready, resolve: release } = Promise.withResolvers<void>()
    await using server = await startServer({
      token: n => response => {
        void ready.then(() => {
          const reply = tokenReply(n)
          if (typeof reply === 'object') response.end(reply.body)
        })
      },
    })
    await using one = await rig(server.url)
    const answers = Array.from({ length: 100 }, () => one.graph.now(one.access, never))
    release()
    expect(new Set((await Promise.all(answers)).map(answer => answer.kind))).toEqual(new Set(['time']))
    expect(server.posts()).toHaveLength(1)
  })

  test('a caller who leaves does not end the request of the others', async () => {
    const { promise: asked, resolve } = Promise.withResolvers<void>()
    const { promise: ready, resolve: release } = Promise.withResolvers<void>()
    await using server = await startServer({
      token: n => response => {
        resolve()
        void ready.then(() => {
          const reply = tokenReply(n)
          if (typeof reply === 'object') response.end(reply.body)
        })
      },
    })
    await using one = await rig(server.url)
    const stop = new AbortController()
    const leaver = one.graph.now(one.access, stop.signal)
    const stayer = one.graph.now(one.access, never)
    await asked
    stop.abort(new Error('lane lost'))
    await expect(leaver).rejects.toThrow('lane lost')
    release()
    expect(await stayer).toMatchObject({ kind: 'time' })
    expect(server.posts()).toHaveLength(1)
  })

  test('are renewed five minutes ahead of their end, not before', async () => {
    await using server = await startServer({})
    const clock = handClock()
    await using one = await rig(server.url, { clock })
    const posts = async () => {
      await one.graph.now(one.access, never)
      return server.posts().length
    }
    expect(await posts()).toBe(1)
    clock.turn(HOUR_MS - 300_001)
    expect(await posts()).toBe(1)
    clock.turn(1)
    expect(await posts()).toBe(2)
  })

  test('of a short life are not renewed at every call', async () => {
    await using server = await startServer({ token: n => tokenReply(n, undefined, { expires_in: 60 }) })
    const clock = handClock()
    await using one = await rig(server.url, { clock })
    for (const ms of [0, 20_000, 20_000]) {
      clock.turn(ms)
      await one.graph.now(one.access, never)
    }
    expect(server.posts()).toHaveLength(1)
    clock.turn(8_000)
    await one.graph.now(one.access, never)
    expect(server.posts()).toHaveLength(2)
  })

  test('serve until their end while Entra is in trouble, which is asked again every 30 s only', async () => {
    await using server = await startServer({ token: n => (n === 0 ? tokenReply() : { status: 503 }) })
    const clock = handClock()
    await using one = await rig(server.url, { clock })
    const kindNow = async () => (await one.graph.page(one.access, WINDOW, never)).kind
    expect(await kindNow()).toBe('page')
    clock.turn(HOUR_MS - 300_000)
    for (const _ of [1, 2, 3]) expect(await kindNow()).toBe('page')
    expect(server.posts()).toHaveLength(2)
    clock.turn(30_000)
    expect(await kindNow()).toBe('page')
    expect(server.posts()).toHaveLength(3)
    clock.turn(270_000)
    expect(await kindNow()).toBe('unavailable')
  })

  test('a secret that expired is told as soon as the renewal meets it', async () => {
    await using server = await startServer({
      token: n => (n === 0 ? tokenReply() : entraError(401, 7000222, 'invalid_client')),
    })
    const clock = handClock()
    await using one = await rig(server.url, { clock })
    await one.graph.now(one.access, never)
    clock.turn(HOUR_MS - 300_000)
    expect(await one.graph.now(one.access, never)).toMatchObject({
      kind: 'needs-attention',
      problem: { code: 'AADSTS7000222' },
    })
  })

  test('belong to one tenant, one client and one cloud: a changed record asks anew', async () => {
    await using server = await startServer({})
    await using one = await rig(server.url)
    const others: TenantAccess[] = [
      tenant({ clientId: 'other' }),
      tenant({ cloud: 'dod' }),
      tenant({ tenantId: TENANT.replace('1', '2') }),
    ]
    await one.graph.now(tenant(), never)
    await one.graph.now(tenant({ tenantId: TENANT.toUpperCase() }), never)
    expect(server.posts()).toHaveLength(1)
    for (const other of others) await one.graph.now(other, never)
    expect(server.posts()).toHaveLength(4)
    expect(server.posts().map(post => new URLSearchParams(post.body).get('scope'))).toContain(
      'https://dod-graph.microsoft.us/.default',
    )
  })

  test('of another directory are never sent to Graph', async () => {
    await using server = await startServer({
      token: n => tokenReply(n, undefined, { access_token: jwt({ tid: TENANT.replace('1', '2'), roles: [] }) }),
    })
    await using one = await rig(server.url)
    const answer = await one.graph.page(one.access, WINDOW, never)
    expect(answer).toMatchObject({ kind: 'needs-attention', problem: { code: 'token-of-another-tenant' } })
    expect(server.gets()).toEqual([])
  })

  test.each(['opaque', 'a.b.c', 'x'.repeat(9_000), jwt(null), jwt({ tid: 5, roles: 'x' })])(
    'that cannot be read are used all the same: %s',
    async access_token => {
      await using server = await startServer({ token: n => tokenReply(n, undefined, { access_token }) })
      await using one = await rig(server.url)
      expect(await one.graph.page(one.access, WINDOW, never)).toMatchObject({ kind: 'page' })
    },
  )
})

describe('the token request', () => {
  test.each([
    ['global', 'https://login.microsoftonline.com', 'https://graph.microsoft.com'],
    ['usgov', 'https://login.microsoftonline.us', 'https://graph.microsoft.us'],
    ['dod', 'https://login.microsoftonline.us', 'https://dod-graph.microsoft.us'],
    ['china', 'https://login.partner.microsoftonline.cn', 'https://microsoftgraph.chinacloudapi.cn'],
  ] as const)('in the cloud %s is one POST to %s, without any discovery', async (cloud, login, graph) => {
    const dispatcher = new MockAgent()
    dispatcher.disableNetConnect()
    const json = { headers: { 'content-type': 'application/json', date: 'Mon, 23 Nov 2026 10:00:00 GMT' } }
    let form = ''
    dispatcher
      .get(login)
      .intercept({ method: 'POST', path: path => path.startsWith(`/${TENANT}/oauth2/v2.0/token`) })
      .reply(
        200,
        ({ body }) => {
          form = typeof body === 'string' ? body : ''
          return { access_token: 't', expires_in: 3599 }
        },
        json,
      )
    dispatcher
      .get(graph)
      .intercept({ method: 'GET', path: path => path.startsWith('/v1.0/security/alerts?') })
      .reply(200, { value: [] }, json)
    await using one = await rig(null, { dispatcher })
    const access = tenant({ cloud, source: 'alerts' })
    expect(await one.graph.now(access, never)).toMatchObject({ kind: 'time' })
    expect(await one.graph.page(access, WINDOW, never)).toMatchObject({ kind: 'page' })
    expect(Object.fromEntries(new URLSearchParams(form))).toMatchObject({
      grant_type: 'client_credentials',
      scope: `${graph}/.default`,
      client_secret: SENTINEL,
    })
    await dispatcher.close()
  })

  test.each([
    ['a newline', `${SENTINEL}\n`, SENTINEL],
    ['a Windows newline', `${SENTINEL}\r\n`, SENTINEL],
    ['nothing', SENTINEL, SENTINEL],
    ['two newlines', `${SENTINEL}\n\n`, SENTINEL],
    ['blanks that came along when it was copied', `  ${SENTINEL}\u00a0 \n`, SENTINEL],
  ])('carries a secret whose file ends with %s', async (_, text, secret) => {
    await using server = await startServer({})
    await using one = await rig(server.url)
    await writeFile(join(one.secretsDir, 'one.secret'), text)
    await one.graph.now(one.access, never)
    expect(new URLSearchParams(server.posts()[0]?.body).get('client_secret')).toBe(secret)
  })

  test('is signed with the certificate of the file, found among several', async () => {
    const mine = selfSigned()
    const other = selfSigned()
    await using server = await startServer({})
    await using one = await rig(server.url)
    await writeFile(join(one.secretsDir, 'one.pem'), `${other.certificate}${mine.key}${mine.certificate}`)
    const access = tenant({ credential: { kind: 'certificateFile', file: 'one.pem' } })
    expect(await one.graph.now(access, never)).toMatchObject({ kind: 'time' })
    const form = new URLSearchParams(server.posts()[0]?.body)
    const [head = '', claims = '', signature = ''] = (form.get('client_assertion') ?? '').split('.')
    const certificate = new X509Certificate(mine.certificate)
    const thumbprint = createHash('sha256').update(certificate.raw).digest('base64url')
    const read = (part: string) => JSON.parse(Buffer.from(part, 'base64url').toString()) as Record<string, unknown>
    expect(read(head)).toMatchObject({ alg: 'PS256', 'x5t#S256': thumbprint })
    expect(read(claims)).toMatchObject({ iss: access.clientId, sub: access.clientId })
    const padding = { key: certificate.publicKey, padding: 6, saltLength: 32 }
    expect(verify('sha256', Buffer.from(`${head}.${claims}`), padding, Buffer.from(signature, 'base64url'))).toBe(true)
    expect(form.has('client_secret')).toBe(false)
  })

  test('carries a federated token as it stands in its file now', async () => {
    await using server = await startServer({ token: n => tokenReply(n, undefined, { expires_in: 1 }) })
    const clock = handClock()
    await using one = await rig(server.url, { clock })
    const access = tenant({ credential: { kind: 'federatedTokenFile', file: 'token' } })
    const [first, second] = [jwt({ sub: 'first' }), jwt({ sub: 'second' })]
    for (const assertion of [first, second]) {
      await writeFile(join(one.secretsDir, 'token'), `${assertion}\n`)
      await one.graph.now(access, never)
      clock.turn(1_000)
    }
    expect(server.posts().map(post => new URLSearchParams(post.body).get('client_assertion'))).toEqual([first, second])
  })

  test.each(['common', 'organizations', 'Consumers', '', 'a/b', '../x', 'a b', 'a?b', 'ключ', '.a'])(
    'is not made for the tenant ID %j',
    async tenantId => {
      await using server = await startServer({})
      await using one = await rig(server.url)
      expect(await one.graph.now(tenant({ tenantId }), never)).toMatchObject({
        kind: 'needs-attention',
        problem: { code: 'tenant-id' },
      })
      expect(server.seen).toEqual([])
    },
  )

  test('follows no redirect with a secret in its body', async () => {
    await using other = await startServer({})
    await using server = await startServer({
      token: () => ({ status: 307, headers: { location: `${other.url.origin}/x` } }),
    })
    await using one = await rig(server.url)
    expect(await one.graph.now(one.access, never)).toMatchObject({ kind: 'unavailable' })
    expect(other.seen).toEqual([])
  })
})

describe('credential files', () => {
  const file = (name: string, kind: TenantAccess['credential']['kind'] = 'secretFile') =>
    tenant({ credential: { kind, file: name } })
  const { key, certificate } = selfSigned()

  test.each([
    ['a file that is not there', 'none', {}, 'secret-file-missing'],
    ['an empty file', 'a', { a: '' }, 'secret-file-unusable'],
    ['a file of white space', 'a', { a: '\r\n ' }, 'secret-file-unusable'],
    ['a file of 65 KiB', 'a', { a: 'x'.repeat(65 * 1024 + 1) }, 'secret-file-unusable'],
    ['a directory', 'sub', { 'sub/a': 'x' }, 'secret-file-unusable'],
    ['a step up', '../one', {}, 'secret-file-outside'],
    ['a step up inside', 'sub/../one.secret', { 'sub/a': 'x' }, 'secret-file-outside'],
    ['an absolute path', '/etc/passwd', {}, 'secret-file-outside'],
    ['a backslash step', '..\\one', {}, 'secret-file-outside'],
    ['a NUL', 'one.secret\0', {}, 'secret-file-outside'],
    ['no name', '', {}, 'secret-file-outside'],
    ['the directory itself', '.', {}, 'secret-file-outside'],
  ])('%s needs attention, and nothing is sent', async (_, name, files, code) => {
    await using server = await startServer({})
    await using one = await rig(server.url)
    for (const [path, text] of Object.entries(files)) {
      await mkdir(join(one.secretsDir, path, '..'), { recursive: true })
      await writeFile(join(one.secretsDir, path), text)
    }
    expect(await one.graph.now(file(name), never)).toMatchObject({ kind: 'needs-attention', problem: { code } })
    expect(server.seen).toEqual([])
  })

  test('a link out of the directory is refused, links within (as Kubernetes makes them) are followed', async () => {
    await using server = await startServer({})
    await using one = await rig(server.url)
    await using elsewhere = await rig(server.url)
    await symlink(join(elsewhere.secretsDir, 'one.secret'), join(one.secretsDir, 'out'))
    await symlink(elsewhere.secretsDir, join(one.secretsDir, 'dir'))
    for (const name of ['out', 'dir/one.secret']) {
      expect(await one.graph.now(file(name), never)).toMatchObject({ problem: { code: 'secret-file-outside' } })
    }
    await mkdir(join(one.secretsDir, '..data'))
    await writeFile(join(one.secretsDir, '..data', 'k8s'), 'x')
    await symlink('..data/k8s', join(one.secretsDir, 'k8s'))
    expect(await one.graph.now(file('k8s'), never)).toMatchObject({ kind: 'time' })
  })

  test.each([
    ['no key', certificate, 'certificate-file-incomplete'],
    ['no certificate', key, 'certificate-file-incomplete'],
    ['somebody else’s certificate', `${key}${selfSigned().certificate}`, 'certificate-unusable'],
    ['a broken key', `${key.replace(/\n[A-Za-z]/, '\n!')}${certificate}`, 'certificate-unusable'],
    [
      'an encrypted key',
      `${key.replaceAll('PRIVATE', 'ENCRYPTED PRIVATE')}${certificate}`,
      'certificate-key-encrypted',
    ],
  ])('a certificate file with %s needs attention', async (_, text, code) => {
    await using server = await startServer({})
    await using one = await rig(server.url)
    await writeFile(join(one.secretsDir, 'one.pem'), text)
    const answer = await one.graph.now(file('one.pem', 'certificateFile'), never)
    expect(answer).toMatchObject({ kind: 'needs-attention', problem: { code } })
    expect(JSON.stringify(answer)).not.toContain('BEGIN')
    expect(server.seen).toEqual([])
  })

  test('of two secrets in the file the one that Entra takes is found, and is asked with first from then on', async () => {
    const sentBy = (seen: Seen | undefined) => new URLSearchParams(seen?.body).get('client_secret')
    await using server = await startServer({
      token: (n, seen) => (sentBy(seen) === 'next' ? tokenReply(n) : entraError(401, 7000222, 'invalid_client')),
      page: () => ({ status: 403 }), // which drops the token
    })
    await using one = await rig(server.url)
    await writeFile(join(one.secretsDir, 'one.secret'), 'present\nnext\n')
    expect(await one.graph.now(one.access, never)).toMatchObject({ kind: 'time' })
    expect(server.posts().map(sentBy)).toEqual(['present', 'next'])
    await one.graph.page(one.access, WINDOW, never)
    expect(await one.graph.now(one.access, never)).toMatchObject({ kind: 'time' })
    expect(server.posts().map(sentBy)).toEqual(['present', 'next', 'next'])
    // the old one is taken out: what was second is the only one
    await writeFile(join(one.secretsDir, 'one.secret'), 'next\n')
    await one.graph.page(one.access, WINDOW, never)
    expect(await one.graph.now(one.access, never)).toMatchObject({ kind: 'time' })
    expect(server.posts().map(sentBy).slice(3)).toEqual(['next'])
  })

  test.each([
    ['both are refused', 7000215, 'invalid_client', 2],
    ['a number that is not known refuses the client', 9_999_999, 'invalid_client', 2],
    ['the trouble is another', 700016, 'unauthorized_client', 1],
    ['it may pass', 90033, 'temporarily_unavailable', 1],
  ])('with two secrets in the file, when %s, there are no more requests than that', async (_, number, error, posts) => {
    await using server = await startServer({ token: () => entraError(400, number, error) })
    await using one = await rig(server.url)
    await writeFile(join(one.secretsDir, 'one.secret'), `${SENTINEL}\nnext`)
    expect(await one.graph.now(one.access, never)).toMatchObject({ kind: expect.stringMatching(/needs|unav/) })
    expect(server.posts()).toHaveLength(posts)
  })

  test('more than two secrets are refused before anything is sent', async () => {
    await using server = await startServer({})
    await using one = await rig(server.url)
    await writeFile(join(one.secretsDir, 'one.secret'), 'a\nb\nc\n')
    expect(await one.graph.now(one.access, never)).toMatchObject({
      problem: { code: 'secret-file-unusable', move: 'operator' },
    })
    expect(server.seen).toEqual([])
  })

  test('a rotated secret is used for the next token, and its version tells of the change', async () => {
    const replies: Reply[] = [entraError(401, 7000215, 'invalid_client'), tokenReply()]
    await using server = await startServer({ token: n => replies[n] ?? tokenReply() })
    await using one = await rig(server.url)
    const version = () => one.graph.credentialVersion(one.access)
    const before = await version()
    expect(await one.graph.now(one.access, never)).toMatchObject({ kind: 'needs-attention' })
    expect(await version()).toBe(before)
    // as kubelet does it: a new file takes the old one's name
    await writeFile(join(one.secretsDir, 'new'), 'rotated')
    await rename(join(one.secretsDir, 'new'), join(one.secretsDir, 'one.secret'))
    expect(await version()).not.toBe(before)
    expect(await one.graph.now(one.access, never)).toMatchObject({ kind: 'time' })
    expect(new URLSearchParams(server.posts()[1]?.body).get('client_secret')).toBe('rotated')
    await rm(join(one.secretsDir, 'one.secret'))
    expect(await version()).toBe('missing')
    expect(await one.graph.credentialVersion(file('../x'))).toBe('outside')
  })
})

describe('what Entra refuses', () => {
  /** The answer to one token request that the endpoint meets with `reply`. */
  async function refusal(reply: Reply, secret = SENTINEL) {
    await using server = await startServer({ token: () => reply, page: emptyPage })
    await using one = await rig(server.url)
    await writeFile(join(one.secretsDir, 'one.secret'), secret)
    const answer = await one.graph.now(one.access, never)
    expect(server.posts()).toHaveLength(1)
    expect(JSON.stringify(answer)).not.toContain(SENTINEL)
    return answer
  }

  test.each([
    [7000222, 'invalid_client', /secret in one\.secret has expired.*must create a new one.*one\.secret/],
    [7000215, 'invalid_client', /rejects the client secret in one\.secret/],
    [700016, 'unauthorized_client', /99999999-2222-4333-8444-555555555555 does not exist in the directory 1111/],
    [90002, 'invalid_request', /knows no directory 11111111-2222-4333-8444-555555555555 in the cloud "global"/],
    [900023, 'invalid_request', /not take 11111111-2222-4333-8444-555555555555 for the ID of a directory/],
    [7000229, 'unauthorized_client', /no service principal/],
    [7000112, 'unauthorized_client', /missing or disabled/],
    [700027, 'invalid_client', /certificate/],
    [53003, 'access_denied', /Conditional Access/],
    [65001, 'invalid_grant', /consent/],
    [700212, 'invalid_client', /federated/],
    [90038, 'invalid_request', /national cloud/],
    [500011, 'invalid_resource', /scope/],
    [9_999_999, 'invalid_client', /rejects the credential in one\.secret/],
    [9_999_999, 'brand_new', /sign-in log/],
  ])('AADSTS%i is told in words, with its code and the trace', async (number, error, words) => {
    expect(await refusal(entraError(400, number, error))).toEqual({
      kind: 'needs-attention',
      problem: {
        code: `AADSTS${number}`,
        words: expect.stringMatching(words),
        move: expect.stringMatching(/^(customer|operator|maintainer)$/),
        page: expect.toSatisfy((page: unknown) => page === null || typeof page === 'string'),
        traceId: '0a0b0c0d-0000-4000-8000-000000000001',
        correlationId: '0a0b0c0d-0000-4000-8000-000000000002',
      },
    })
  })

  test('a tenant ID that is no GUID is said to be neither that nor a domain', async () => {
    await using server = await startServer({ token: () => entraError(400, 900023, 'invalid_request') })
    await using one = await rig(server.url)
    expect(await one.graph.now(tenant({ tenantId: 'contoso.example' }), never)).toMatchObject({
      problem: { words: expect.stringMatching(/contoso\.example is neither a GUID nor a verified domain/) },
    })
  })

  test.each<[string, Reply, boolean]>([
    ['HTML with 403', { status: 403, headers: HTML, body: '<html>' }, true],
    ['HTML with 200', { headers: HTML, body: '<html>' }, true],
    ['a redirect', { status: 302, headers: { location: 'https://portal.example/' } }, true],
    ['a page by what it begins with', { status: 403, headers: {}, body: '\n<!doctype html>' }, true],
    ['a refusal that is no page', { status: 403, body: '{"blocked":true}' }, false],
    ["Entra's own page, by its request id", { status: 500, headers: { ...HTML, 'x-ms-request-id': 'x' } }, false],
    ['JSON with its kind of error', { status: 500, body: '{"error":"server_error"}' }, false],
  ])('%s is told from Entra', async (_, reply, isBetween) => {
    const answer = await refusal(reply)
    expect(answer).toMatchObject({ kind: 'unavailable' })
    expect('isBetween' in answer).toBe(isBetween)
  })

  test('the number is also found in the description, and without any the OAuth error decides', async () => {
    expect(await refusal(entraError(401, 7000222, 'invalid_client', { error_codes: undefined }))).toMatchObject({
      problem: { code: 'AADSTS7000222' },
    })
    expect(await refusal({ status: 400, body: '{"error":"invalid_scope"}' })).toMatchObject({
      problem: { code: 'entra-invalid_scope' },
    })
    expect(await refusal({ status: 400, body: `{"error":"${SENTINEL}"}` })).toMatchObject({
      problem: { code: 'entra-unlisted-error' },
    })
  })

  test('a rejected secret of the shape of a GUID gets the hint that it is the Secret ID', async () => {
    const hint = /Secret ID was sent instead of the secret's Value/
    const guid = '0a0b0c0d-0000-4000-8000-000000000009'
    expect(await refusal(entraError(401, 7000215, 'invalid_client'), guid)).toMatchObject({
      problem: { words: expect.stringMatching(hint) },
    })
    expect(await refusal(entraError(401, 7000215, 'invalid_client'))).toMatchObject({
      problem: { words: expect.not.stringMatching(hint) },
    })
    expect(await refusal(entraError(401, 700016, 'unauthorized_client'), guid)).toMatchObject({
      problem: { words: expect.not.stringMatching(hint) },
    })
  })

  test.each<[string, Reply, object]>([
    [
      '429 with a wait',
      { status: 429, headers: { 'retry-after': '9' }, body: '{}' },
      { kind: 'throttled', retryAfterMs: 9_000 },
    ],
    ['429 with HTML', { status: 429, body: '<html>' }, { kind: 'throttled', retryAfterMs: null }],
    ['AADSTS90055', entraError(400, 90055, 'invalid_request'), { kind: 'throttled' }],
    ['AADSTS50196', entraError(400, 50196, 'invalid_grant'), { kind: 'throttled' }],
    ['AADSTS90033', entraError(400, 90033, 'invalid_request'), { kind: 'unavailable' }],
    ['temporarily_unavailable', { status: 400, body: '{"error":"temporarily_unavailable"}' }, { kind: 'unavailable' }],
    [
      '503 with a wait',
      { status: 503, headers: { 'retry-after': '9' }, body: '{}' },
      { kind: 'throttled', retryAfterMs: 9_000 },
    ],
    ['503 with HTML', { status: 503, body: '<html>' }, { kind: 'unavailable' }],
    ['500', { status: 500, body: '{"error":"invalid_client"}' }, { kind: 'unavailable' }],
    [
      '403 of a proxy',
      { status: 403, headers: { 'content-type': 'text/html' }, body: '<html>' },
      { kind: 'unavailable' },
    ],
    ['200 with HTML', { headers: { 'content-type': 'text/html' }, body: '<html>' }, { kind: 'unavailable' }],
    ['200 without a token', { body: '{}' }, { kind: 'unavailable' }],
    ['200 with null', { body: 'null' }, { kind: 'unavailable' }],
    ['a token without a life', { body: '{"access_token":"t"}' }, { kind: 'unavailable' }],
    ['a token that ended', { body: '{"access_token":"t","expires_in":0}' }, { kind: 'unavailable' }],
    [
      'a token that breaks a header',
      { body: '{"access_token":"t\\r\\nx: y","expires_in":60}' },
      { kind: 'unavailable' },
    ],
    ['a token that is no text', { body: '{"access_token":{},"expires_in":60}' }, { kind: 'unavailable' }],
    ['a token in a list', { body: '{"access_token":["t"],"expires_in":60}' }, { kind: 'unavailable' }],
    ['just a long text', { body: JSON.stringify('t'.repeat(1_000_000)) }, { kind: 'unavailable' }],
    ['a prototype', { body: '{"__proto__":{"access_token":"t","expires_in":60}}' }, { kind: 'unavailable' }],
    ['100,000 levels', { body: `${'['.repeat(100_000)}${']'.repeat(100_000)}` }, { kind: 'unavailable' }],
    ['20 KB of headers', { headers: { 'x-a': 'x'.repeat(20_000) }, body: '{}' }, { kind: 'unavailable' }],
    [
      '2 MiB of token',
      { body: `{"access_token":"${'t'.repeat(2 * 1024 * 1024)}","expires_in":60}` },
      { kind: 'unavailable' },
    ],
    ['a reset', response => response.destroy(), { kind: 'unavailable' }],
  ])('%s passes by itself', async (_, reply, expected) => {
    expect(await refusal(reply)).toMatchObject(expected)
  })

  test('silence ends at the deadline', async () => {
    const clock = handClock()
    const { promise: asked, resolve } = Promise.withResolvers<void>()
    await using server = await startServer({ token: () => () => resolve() })
    await using one = await rig(server.url, { clock })
    const answer = one.graph.now(one.access, never)
    await asked
    clock.turn(15_000)
    expect(await answer).toMatchObject({ kind: 'unavailable', detail: 'Entra did not answer (deadline)' })
  })

  test('two tenants do not wait for each other', async () => {
    await using server = await startServer({
      token: (n, seen) => (seen.path.startsWith(`/${TENANT}/`) ? () => undefined : tokenReply(n)),
    })
    await using one = await rig(server.url)
    const stuck = one.graph.now(one.access, never)
    expect(await one.graph.now(tenant({ tenantId: 'other.example' }), never)).toMatchObject({ kind: 'time' })
    await one[Symbol.asyncDispose]()
    expect(await stuck).toMatchObject({ kind: 'unavailable' })
  })
})

describe('token requests that fail', () => {
  /** What was counted while the tenant asked for a token as often as told. */
  async function failures(replies: readonly Reply[], file = 'one.secret'): Promise<readonly string[]> {
    const told: string[] = []
    await using server = await startServer({ token: n => replies[n] ?? tokenReply() })
    await using one = await rig(server.url, { tokenFailed: failure => void told.push(failure) })
    const access = tenant({ credential: { kind: 'secretFile', file } })
    for (const _ of replies) await one.graph.now(access, never)
    return told
  }

  test.each<[string, Reply, readonly string[]]>([
    ['an expired secret', entraError(401, 7000222, 'invalid_client'), ['AADSTS7000222']],
    ['a number that Entra calls passing', entraError(400, 90033, 'invalid_request'), ['AADSTS90033']],
    ['a number that nobody knows', entraError(400, 123456, 'invalid_client'), ['other']],
    ['the known one of several numbers', entraError(400, 1, 'x', { error_codes: [4711, 700016] }), ['AADSTS700016']],
    ['an answer that is none', { status: 502, body: '<html>' }, ['other']],
    ['a 200 without a token', { body: '{}' }, ['other']],
    ['no answer', response => void response.destroy(), ['network']],
    ['a token', tokenReply(), []],
  ])('%s', async (_, reply, told) => {
    expect(await failures([reply])).toEqual(told)
  })

  test('count one by one; a credential that cannot be read is no request', async () => {
    const refusal = entraError(401, 7000215, 'invalid_client')
    expect(await failures([refusal, refusal, tokenReply()])).toEqual(['AADSTS7000215', 'AADSTS7000215'])
    expect(await failures([refusal], 'missing.secret')).toEqual([])
  })
})

describe('the secret and the token', () => {
  test('are in no answer and no error, whatever the servers echo', async () => {
    const token = `${SENTINEL}-token`
    const echo = (seen: { headers: object; body: string }) =>
      JSON.stringify({ ...seen, error: { code: token, message: token } })
    const pages = [400, 401, 402, 403, 404, 409, 410, 413, 429, 500, 503, 302, 206].map(
      (status): Reply => ({
        status,
        headers: { 'request-id': token, warning: '199 - "x"', location: token, 'retry-after': token },
        body: token,
      }),
    )
    await using server = await startServer({
      token: n =>
        n % 3 !== 2
          ? tokenReply(n, undefined, { access_token: token })
          : {
              status: 400,
              body: JSON.stringify({ error: token, error_codes: [token], trace_id: token, error_description: token }),
            },
      page: (n, seen) => pages[n] ?? { headers: { 'content-type': 'text/html' }, body: echo(seen) },
    })
    await using one = await rig(server.url)
    const answers: unknown[] = []
    for (const _ of Array.from({ length: 30 })) {
      answers.push(await one.graph.page(one.access, WINDOW, never), await one.graph.now(one.access, never))
      one.graph.forget(TENANT)
    }
    expect(JSON.stringify(answers)).not.toContain(SENTINEL)
    expect(server.gets().length).toBeGreaterThan(pages.length)
  })
})
