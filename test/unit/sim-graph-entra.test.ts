import { generateKeyPairSync, sign } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { askToken, getPage, graphSim, listPath, tokenForm, tokenOf } from './sim-graph-kit.ts'

const claimsOf = (token: unknown): Record<string, unknown> =>
  JSON.parse(Buffer.from(String(token).split('.')[1] ?? '', 'base64url').toString()) as Record<string, unknown>

describe('a token', () => {
  test('is given for the right secret, looks like a JWT and carries tenant, app, roles and end', async () => {
    await using kit = await graphSim()
    const { status, body } = await askToken(kit.sim, kit.first.tenantId, tokenForm(kit.first))
    expect(status).toBe(200)
    expect(body).toMatchObject({ token_type: 'Bearer', expires_in: 3599, ext_expires_in: 3599 })
    expect(String(body.access_token).split('.')).toHaveLength(3)
    expect(claimsOf(body.access_token)).toMatchObject({
      tid: kit.first.tenantId,
      appid: kit.first.clientId,
      roles: ['SecurityAlert.Read.All'],
      exp: kit.time.ms / 1000 + 3599,
    })
  })

  test('without consent is given all the same, without roles, and opens nothing', async () => {
    await using kit = await graphSim()
    kit.sim.changeTenant({ tenantId: kit.first.tenantId, consent: false })
    const token = await tokenOf(kit.sim, kit.first)
    expect(claimsOf(token)).not.toHaveProperty('roles')
    const page = await getPage(kit.sim, token, listPath())
    expect(page.status).toBe(403)
    expect(page.error?.code).toBe('Forbidden')
    expect(page.error?.message).toBe(
      'Missing application roles. API required roles: SecurityAlert.Read.All,SecurityAlert.ReadWrite.All,SecurityIncident.Read.All,SecurityIncident.ReadWrite.All, application roles: .',
    )
  })

  test('keeps the roles it was given when consent changes', async () => {
    await using kit = await graphSim()
    const before = await tokenOf(kit.sim, kit.first)
    kit.sim.changeTenant({ tenantId: kit.first.tenantId, consent: false })
    expect((await getPage(kit.sim, before, listPath())).status).toBe(200)
    const without = await tokenOf(kit.sim, kit.first)
    kit.sim.changeTenant({ tenantId: kit.first.tenantId, consent: true })
    expect((await getPage(kit.sim, without, listPath())).status).toBe(403)
    expect((await getPage(kit.sim, await tokenOf(kit.sim, kit.first), listPath())).status).toBe(200)
  })

  test('ends by the simulator’s clock, and at once when it is revoked', async () => {
    await using kit = await graphSim({ tokenLifetimeSeconds: 60 })
    const token = await tokenOf(kit.sim, kit.first)
    kit.time.ms += 59_000
    expect((await getPage(kit.sim, token, listPath())).status).toBe(200)
    kit.time.ms += 1000
    const late = await getPage(kit.sim, token, listPath())
    expect([late.status, late.error?.code]).toEqual([401, 'InvalidAuthenticationToken'])
    expect(late.error?.message).toContain('expired')
    const other = await tokenOf(kit.sim, kit.first)
    kit.sim.changeTenant({ tenantId: kit.first.tenantId, revokeTokens: true })
    expect((await getPage(kit.sim, other, listPath())).status).toBe(401)
  })

  test('that was made elsewhere, or none, is 401', async () => {
    await using kit = await graphSim()
    const forged = `${Buffer.from('{}').toString('base64url')}.${Buffer.from(JSON.stringify({ tid: kit.first.tenantId })).toString('base64url')}.x`
    for (const token of [forged, 'garbage', '']) expect((await getPage(kit.sim, token, listPath())).status).toBe(401)
    expect(kit.sim.ledger.requests.map(request => request.tenantId)).toEqual([kit.first.tenantId, null, null])
  })
})

describe('Entra refuses', () => {
  test.each([
    ['a wrong secret', { client_secret: 'wrong' }, 401, 'invalid_client', 7000215],
    ['no credential', { client_secret: '' }, 401, 'invalid_client', 7000218],
    ['an unknown app', { client_id: '00000000-0000-0000-0000-000000000000' }, 400, 'unauthorized_client', 700016],
    ['no app', { client_id: '' }, 400, 'invalid_request', 900144],
    ['another grant', { grant_type: 'password' }, 400, 'unsupported_grant_type', 70003],
    ['a scope without /.default', { scope: 'https://graph.microsoft.com/User.Read' }, 400, 'invalid_scope', 1002012],
    ['two scopes', { scope: 'https://graph.microsoft.com/.default openid' }, 400, 'invalid_scope', 70011],
  ])('%s', async (_, change, status, error, code) => {
    await using kit = await graphSim()
    const answer = await askToken(kit.sim, kit.first.tenantId, { ...tokenForm(kit.first), ...change })
    expect(answer.status).toBe(status)
    expect(answer.body).toMatchObject({ error, error_codes: [code] })
    expect(answer.body.error_description).toMatch(
      new RegExp(`^AADSTS${code}: .* Trace ID: [0-9a-f-]{36} Correlation ID: \\S+ Timestamp: 2026-11-23 12:00:00Z$`),
    )
    expect(answer.body.timestamp).toBe('2026-11-23 12:00:00Z')
    expect(answer.body.trace_id).toMatch(/^[0-9a-f-]{36}$/)
    expect(JSON.stringify(answer.body)).not.toContain(tokenForm(kit.first).client_secret)
  })

  test('an expired secret, and takes it again when it is renewed', async () => {
    await using kit = await graphSim()
    kit.sim.changeTenant({ tenantId: kit.first.tenantId, secretsExpired: true })
    expect((await askToken(kit.sim, kit.first.tenantId, tokenForm(kit.first))).body.error_codes).toEqual([7000222])
    const old = tokenForm(kit.first)
    kit.sim.changeTenant({ tenantId: kit.first.tenantId, secrets: [{ value: 'new' }] })
    expect((await askToken(kit.sim, kit.first.tenantId, old)).body.error_codes).toEqual([7000215])
    expect((await askToken(kit.sim, kit.first.tenantId, { ...old, client_secret: 'new' })).status).toBe(200)
  })

  test.each([
    ['ffffffff-ffff-4fff-bfff-ffffffffffff', 90002],
    ['not-a-guid', 900023],
    ['common', 50059],
  ])('the tenant %s with %i', async (path, code) => {
    await using kit = await graphSim()
    expect((await askToken(kit.sim, path, tokenForm(kit.first))).body.error_codes).toEqual([code])
  })

  test('a tenant that is gone, an app that is gone, and whatever code is set', async () => {
    await using kit = await graphSim()
    const { tenantId } = kit.first
    const code = async () => (await askToken(kit.sim, tenantId, tokenForm(kit.first))).body.error_codes
    kit.sim.changeTenant({ tenantId, tokenError: 53003 })
    expect(await code()).toEqual([53003])
    kit.sim.changeTenant({ tenantId, tokenError: null, appKnown: false })
    expect(await code()).toEqual([700016])
    kit.sim.changeTenant({ tenantId, exists: false })
    expect(await code()).toEqual([90002])
    kit.sim.changeTenant({ tenantId, exists: true, appKnown: true })
    expect(await code()).toBeUndefined()
  })
})

describe('a client assertion', () => {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const certificatePem = publicKey.export({ type: 'spki', format: 'pem' })

  async function ask(claims: Record<string, unknown>, options: { key?: typeof privateKey } = {}) {
    await using kit = await graphSim()
    kit.sim.changeTenant({ tenantId: kit.first.tenantId, certificatePem })
    const part = (content: unknown) => Buffer.from(JSON.stringify(content)).toString('base64url')
    const app = { iss: kit.first.clientId, sub: kit.first.clientId, aud: 'x', exp: kit.time.ms / 1000 + 600, ...claims }
    const signed = `${part({ alg: 'RS256' })}.${part(app)}`
    const signature = sign('sha256', Buffer.from(signed), options.key ?? privateKey).toString('base64url')
    const { client_secret: _, ...form } = tokenForm(kit.first)
    const answer = await askToken(kit.sim, kit.first.tenantId, {
      ...form,
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: `${signed}.${signature}`,
    })
    return answer.body.error_codes ?? answer.status
  }

  test('signed with the app’s certificate is as good as a secret', async () => {
    expect(await ask({})).toBe(200)
  })
  test('signed with another key, for another app or too late is not', async () => {
    const stranger = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
    expect(await ask({}, { key: stranger })).toEqual([700027])
    expect(await ask({ sub: 'another' })).toEqual([700027])
    expect(await ask({ exp: 1 })).toEqual([700024])
  })
  test('of another issuer is taken only when it is meant for the exchange', async () => {
    expect(await ask({ iss: 'https://cluster.example', aud: 'api://AzureADTokenExchange' })).toBe(200)
    expect(await ask({ iss: 'https://cluster.example' })).toEqual([700212]) // the audience does not match
  })
})

test('token requests are counted by tenant and their forms kept nowhere', async () => {
  await using kit = await graphSim()
  await tokenOf(kit.sim, kit.first)
  await tokenOf(kit.sim, kit.first)
  expect(kit.sim.ledger.tenants[kit.first.tenantId]).toMatchObject({ tokenRequests: 2, listRequests: 0 })
  expect(JSON.stringify(kit.sim.ledger)).not.toContain(kit.first.secrets[0]?.value)
})
