import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { runSocos } from '../../cli/run.ts'
import { AADSTS_KNOWN } from '../../producers/graph/entra-errors.ts'
import type { GraphFaultInput } from '../../sandbox/graph/faults.ts'
import { type GraphSim, startGraphSim } from '../../sandbox/graph/sim.ts'
import { type SimTenant, type TenantChange, writeTenantFiles } from '../../sandbox/graph/tenants.ts'
import { jwt, selfSigned } from './graph-rig.ts'

interface Row {
  readonly tenantId: string
  readonly verdict: string
  readonly words: string
  readonly code: string | null
  readonly whoseMove: string | null
  readonly page: string | null
  readonly traceId: string | null
  readonly correlationId: string | null
  readonly requestId: string | null
  readonly steps: readonly { readonly step: string; readonly result: string; readonly words: string }[]
  readonly permissions: readonly string[] | null
  readonly credentialEnds: string | null
  readonly clockOffSeconds: number | null
}

const DAY_MS = 86_400_000
const GUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
let dir = ''

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tenants-check-'))
})
afterAll(() => rm(dir, { recursive: true, force: true }))

const anHourAgo = () => new Date(Date.now() - 3_600_000).toISOString()

/** One tenant of a simulated Entra and Graph, asked as the command does. */
async function site(change: Omit<TenantChange, 'tenantId'> = {}, alerts = 1) {
  const sim = await startGraphSim({ tenants: 1, lagMs: 0 })
  const [tenant] = sim.tenants
  if (!tenant) throw new Error('no tenant')
  const { tenantId } = tenant
  sim.changeTenant({ tenantId, ...change })
  for (let n = 0; n < alerts; n++) sim.addAlert(tenantId, { visibleInMs: 0, at: anHourAgo() })
  return { sim, tenant, tenantId, [Symbol.asyncDispose]: () => sim.stop() }
}

/** A tenant that is still read through the older list, which shows nothing any more. */
async function retired() {
  const sim = await startGraphSim({ tenants: { count: 1, legacy: 1 } })
  return { url: sim.url, tenants: sim.tenants, [Symbol.asyncDispose]: () => sim.stop() }
}

async function run(url: string, tenants: readonly SimTenant[], ...flags: string[]) {
  const tenantsFile = join(dir, 'tenants.json')
  await writeTenantFiles(tenants, { tenantsFile, secretsDir: dir })
  return ask(url, tenantsFile, ...flags)
}

async function ask(url: string, ...args: string[]) {
  let [out, err] = ['', '']
  const io = {
    env: { SECRETS_DIR: dir, GRAPH_SANDBOX_URL: url },
    out: (text: string) => void (out += text),
    say: (text: string) => void (err += text),
    isErrTty: false,
  }
  const code = await runSocos(['node', 'socos', 'tenants', 'check', ...args], io)
  return { code, out, err }
}

async function checked(url: string, tenants: readonly SimTenant[]): Promise<Row & { readonly exitCode: number }> {
  const { code, out, err } = await run(url, tenants, '-o', 'json')
  const [row] = JSON.parse(out || '[]') as Row[]
  if (!row) throw new Error(`no row: ${err}`)
  for (const { value } of tenants.flatMap(({ secrets }) => secrets)) expect(out + err).not.toContain(value)
  expect(out + err).not.toMatch(/eyJ[\w-]+\.eyJ/) // no token either
  return { ...row, exitCode: code }
}

async function faulty(fault: GraphFaultInput, change: Omit<TenantChange, 'tenantId'> = {}) {
  await using at = await site(change)
  at.sim.faults.add({ budget: 1_000, ...fault })
  const row = await checked(at.sim.url, at.sim.tenants)
  expect(at.sim.faults.all[0]?.fired).toBeGreaterThan(0)
  return row
}

describe('a tenant that works', () => {
  test('is said to, step by step, with exit 0', async () => {
    await using at = await site()
    const row = await checked(at.sim.url, at.sim.tenants)
    expect(row).toMatchObject({ exitCode: 0, verdict: 'works', code: null, whoseMove: null, page: null })
    expect(row.steps.map(({ step, result }) => `${step} ${result}`)).toEqual([
      'credential ok',
      'token ok',
      'permission ok',
      'alerts ok',
    ])
    expect(row.permissions).toEqual(['SecurityAlert.Read.All'])
    expect(Math.abs(row.clockOffSeconds ?? Infinity)).toBeLessThan(5)
    const requests = at.sim.ledger.requests.filter(({ kind }) => kind === 'list')
    expect(requests.length).toBe(1) // on the very list that is polled
  })

  test('and shows no alerts is not called healthy', async () => {
    await using at = await site({}, 0)
    const row = await checked(at.sim.url, at.sim.tenants)
    expect(row).toMatchObject({ exitCode: 0, verdict: 'quiet' })
    expect(row.words).toMatch(/no alert of the last 30 days.*not yet proof.*licensed/)
  })

  test('and shows no alerts on the retired list is told to move on', async () => {
    await using sim = await retired()
    const row = await checked(sim.url, sim.tenants)
    expect(row).toMatchObject({ exitCode: 0, verdict: 'quiet' })
    expect(row.words).toMatch(/retired it on 2026-10-15.*set source: alerts_v2/)
  })

  test('and may do more than read is told what can be taken back', async () => {
    await using at = await site({ roles: ['SecurityAlert.Read.All', 'SecurityAlert.ReadWrite.All'] })
    const row = await checked(at.sim.url, at.sim.tenants)
    expect(row).toMatchObject({ exitCode: 0, verdict: 'works' })
    expect(row.steps[2]).toMatchObject({ step: 'permission', result: 'look' })
    expect(row.steps[2]?.words).toContain('SecurityAlert.ReadWrite.All can be taken back')
  })
})

describe('the end of a secret', () => {
  const records = (sim: GraphSim) => sim.ledger.requests.filter(({ path }) => path.includes('/applications('))
  const inDays = (days: number) => new Date(Math.floor(Date.now() / 1000) * 1000 + days * DAY_MS).toISOString()
  const secret = (value: string, ends: string) => ({ value, expiresAtMs: Date.parse(ends) })

  test('is read from Graph where the permission happens to be there', async () => {
    const [ends, other] = [inDays(200), inDays(2)]
    await using at = await site({
      roles: ['SecurityAlert.Read.All', 'Application.Read.All'],
      secrets: [secret('abc~in-use', ends), secret('xyz~of-somebody-else', other)],
    })
    const row = await checked(at.sim.url, at.sim.tenants)
    expect(row).toMatchObject({ exitCode: 0, verdict: 'works', credentialEnds: ends })
    expect(row.steps[2]).toMatchObject({ step: 'permission', result: 'ok' })
    expect(row.steps[2]?.words).toContain(`the secret ends on ${ends}, in 199 days`)
    expect(records(at.sim).map(({ method, status }) => [method, status])).toEqual([['GET', 200]])
  })

  test('is told with a "look" when it is near, and of two that begin alike the first counts', async () => {
    const [near, far] = [inDays(12), inDays(300)]
    await using at = await site({
      roles: ['SecurityAlert.Read.All', 'Application.ReadWrite.OwnedBy'],
      secrets: [secret('abc~in-use', far), secret('abc~older', near), secret('abc~ended-long-ago', inDays(-40))],
    })
    const row = await checked(at.sim.url, at.sim.tenants)
    expect(row).toMatchObject({ verdict: 'works', credentialEnds: near })
    expect(row.steps[2]).toMatchObject({ step: 'permission', result: 'look' })
    expect(row.steps[2]?.words).toContain('in 11 days')
  })

  test('that the tenants file does not know of is to be recorded there', async () => {
    const ends = inDays(200)
    await using at = await site({
      roles: ['SecurityAlert.Read.All', 'Application.Read.All'],
      secrets: [secret('abc~in-use', ends)],
    })
    const known = await run(at.sim.url, at.sim.tenants)
    expect(known.out).not.toContain('to record')
    const unknowing = at.sim.tenants.map(tenant => ({
      ...tenant,
      secrets: [{ value: 'abc~in-use', expiresAtMs: null }],
    }))
    const { out } = await run(at.sim.url, unknowing)
    expect(out).toContain(`to record    credentialExpires: ${ends} in the tenants file`)
  })

  test('is not asked for without the permission: what the tenants file says is taken', async () => {
    const ends = inDays(90)
    await using at = await site({ secrets: [secret('abc~in-use', ends)] })
    const row = await checked(at.sim.url, at.sim.tenants)
    expect(row).toMatchObject({ verdict: 'works', credentialEnds: ends })
    expect(row.steps[2]?.words).not.toContain('ends on')
    expect(records(at.sim)).toEqual([])
  })
})

describe('every refusal of Entra', () => {
  test.each([...AADSTS_KNOWN])(
    'AADSTS%i is told with who must do what, and with what support asks for',
    async number => {
      const row = await faulty({ kind: 'aadsts', code: number })
      expect(row.steps.map(({ result }) => result)).toEqual(['ok', 'failed', 'not reached', 'not reached'])
      if (row.verdict === 'unclear') {
        expect(row).toMatchObject({ exitCode: 1, whoseMove: 'operator' })
        expect(row.words).toMatch(/Check again later; the customer has nothing to do/)
        expect(row.words).toContain(`AADSTS${number}`)
        return
      }
      expect(row).toMatchObject({ exitCode: 6, verdict: 'fix', code: `AADSTS${number}` })
      expect(row.traceId).toMatch(GUID)
      expect(row.correlationId).toMatch(GUID)
      expect(row.words).toMatch(/[.!]$/)
      expect(row.words).not.toMatch(/\{|undefined/)
      expect(row.page ?? '').not.toMatch(/\{|undefined/)
      if (row.whoseMove === 'customer')
        expect(row).toMatchObject({ page: expect.stringMatching(/^\w+\.microsoft\.com > /) })
      else expect(['operator', 'maintainer']).toContain(row.whoseMove)
    },
  )

  test('an unknown number still says where to look', async () => {
    const row = await faulty({ kind: 'aadsts', code: 9_876_543 })
    expect(row).toMatchObject({ exitCode: 6, verdict: 'fix', code: 'AADSTS9876543' })
    expect(row.page).not.toBeNull()
  })

  const mistakes: readonly (readonly [string, Omit<TenantChange, 'tenantId'>, string, RegExp])[] = [
    [
      'a directory that is not there',
      { exists: false },
      'AADSTS90002',
      /tenant ID has no typo, that it and the client ID have not changed places/,
    ],
    ['an application that is not there', { appKnown: false }, 'AADSTS700016', /Object ID or Secret ID is often pasted/],
    ['a secret that has ended', { secretsExpired: true }, 'AADSTS7000222', /must create a new one and send its Value/],
    ['Conditional Access', { tokenError: 53003 }, 'AADSTS53003', /egress addresses/],
    ['no consent', { consent: false }, 'graph-403', /carries no permission at all.*grant admin consent/],
    [
      'the two permissions of the old guide',
      { roles: ['SecurityEvents.Read.All', 'SecurityEvents.ReadWrite.All'] },
      'graph-403',
      /lacks the application permission SecurityAlert\.Read\.All/,
    ],
  ]
  test.each(mistakes)('%s is recognised', async (_, change, code, words) => {
    await using at = await site(change)
    const row = await checked(at.sim.url, at.sim.tenants)
    expect(row).toMatchObject({ exitCode: 6, verdict: 'fix', code })
    expect(row.words).toMatch(words)
  })

  test('the Secret ID in place of the Value is seen before it is sent', async () => {
    await using at = await site()
    const wrong = { ...at.tenant, secrets: [{ value: '0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f1', expiresAtMs: null }] }
    const row = await checked(at.sim.url, [wrong])
    expect(row.steps[0]).toMatchObject({ result: 'look', words: expect.stringContaining('the Secret ID was sent') })
    expect(row).toMatchObject({
      exitCode: 6,
      code: 'AADSTS7000215',
      whoseMove: 'customer',
      page: expect.stringContaining('Certificates & secrets'),
    })
  })

  test.each<[string, (secret: string) => string, RegExp]>([
    ['in quotes', secret => `"${secret}"`, /stands in quotes/],
    ['with its name', secret => `CLIENT_SECRET=${secret}`, /begins with a name and an equals sign/],
    ['with a blank in it', secret => `${secret.slice(0, 9)} ${secret.slice(9)}`, /has blanks or invisible characters/],
    ['with a zero-width space in it', secret => `${secret}\u200b.`, /has blanks or invisible characters/],
    ['as base64', secret => Buffer.from(secret).toString('base64'), /is the base64 of a secret.*Kubernetes/],
  ])(
    'a secret that lies there %s is our mistake, and told before and after Entra is asked',
    async (_, spoilt, words) => {
      await using at = await site()
      const value = spoilt(at.tenant.secrets[0]?.value ?? '')
      const row = await checked(at.sim.url, [{ ...at.tenant, secrets: [{ value, expiresAtMs: null }] }])
      expect(row.steps[0]).toMatchObject({ result: 'look', words: expect.stringMatching(words) })
      expect(row).toMatchObject({ exitCode: 6, code: 'AADSTS7000215', whoseMove: 'operator', page: null })
      expect(row.words).toMatch(words)
      expect(row.words).toContain('the operator must')
    },
  )

  test('a credential in a form that is none is told with how it got it', async () => {
    await using at = await site()
    const tenantsFile = join(dir, 'forms.json')
    const secret = join(dir, 'spoilt')
    const look = async (credential: Record<string, string>, bytes: Buffer) => {
      await writeFile(secret, bytes)
      const { tenantId, clientId, name } = at.tenant
      await writeFile(tenantsFile, JSON.stringify({ tenants: [{ tenantId, clientId, name, credential }] }))
      return (await ask(at.sim.url, tenantsFile)).out
    }
    const utf16 = Buffer.from(`\ufeff${at.tenant.secrets[0]?.value}\r\n`, 'utf16le')
    expect(await look({ secretFile: 'spoilt' }, utf16)).toMatch(/is UTF-16 text, as the > of Windows PowerShell/)
    const pfx = Buffer.from('3082099f020103308209', 'hex')
    expect(await look({ certificateFile: 'spoilt' }, pfx)).toMatch(/is not UTF-8 text.*openssl pkcs12/)
    expect(at.sim.ledger.requests).toEqual([])
  })
})

describe('every refusal of Graph', () => {
  test.each([400, 401, 402, 403, 404, 410, 413, 429, 500, 502, 503, 504])(
    'HTTP %i says whose move it is',
    async status => {
      const row = await faulty({ kind: 'status', status })
      expect(row.steps.at(-1)).toMatchObject({ step: 'alerts', result: 'failed' })
      const isTheirs = [401, 402, 403, 404, 410].includes(status)
      expect(row).toMatchObject(
        isTheirs
          ? { exitCode: 6, verdict: 'fix', code: `graph-${status}` }
          : { exitCode: 1, verdict: 'unclear', code: null, whoseMove: 'operator' },
      )
      if (isTheirs) expect(row.requestId).toMatch(GUID)
      else expect(row.words).toMatch(/the customer has nothing to do/)
    },
  )

  test('403 although the permission is there points at licence and Conditional Access', async () => {
    const row = await faulty({ kind: 'status', status: 403 })
    expect(row.words).toMatch(/although the token carries SecurityAlert\.Read\.All.*licence.*Conditional Access/)
  })

  test('403 names the permission that the token really carries', async () => {
    const row = await faulty({ kind: 'status', status: 403 }, { roles: ['SecurityAlert.ReadWrite.All'] })
    expect(row.words).toMatch(/although the token carries SecurityAlert\.ReadWrite\.All/)
  })

  test.each<GraphFaultInput>([
    { kind: 'redirect', to: 'http://portal.example/' },
    { kind: 'html' },
    { kind: 'truncated-body' },
    { kind: 'reset' },
  ])('what somebody in between says or does is not put down to the customer: $kind', async fault => {
    const row = await faulty(fault)
    expect(row).toMatchObject({ exitCode: 1, verdict: 'unclear', code: null })
    expect(row.words).toMatch(/customer has nothing to do/)
  })
})

describe('what is wrong on our side', () => {
  test('a network without a way is told as such', async () => {
    await using at = await site()
    await at.sim.stop()
    const row = await checked(at.sim.url, at.sim.tenants)
    expect(row).toMatchObject({ exitCode: 1, verdict: 'unclear', whoseMove: 'operator' })
    expect(row.words).toMatch(/^No answer from login\.microsoftonline\.com: .*firewall.*proxy.*\(ECONNREFUSED\)/)
  })

  test('a clock that is wrong is told with by how much', async () => {
    await using at = await site()
    at.sim.setSkew(20 * 60_000)
    const row = await checked(at.sim.url, at.sim.tenants)
    expect(row.steps[1]).toMatchObject({ step: 'token', result: 'look' })
    expect(row.steps[1]?.words).toContain('20 minutes behind')
  })

  test('a certificate says when it ends; one without its key, and a missing file, are refused before anything is sent', async () => {
    await using at = await site()
    const { key, certificate } = selfSigned()
    const entry = (credential: object) => ({
      tenants: [{ tenantId: at.tenantId, clientId: at.tenant.clientId, name: 'One', credential }],
    })
    const file = join(dir, 'certificate.json')
    const look = async (): Promise<Row> => {
      const { out } = await ask(at.sim.url, file, '-o', 'json')
      return (JSON.parse(out) as [Row])[0]
    }
    await writeFile(file, JSON.stringify(entry({ certificateFile: 'one.pem' })))
    await writeFile(join(dir, 'one.pem'), key + certificate)
    expect(await look()).toMatchObject({ verdict: 'works', credentialEnds: '2040-01-01T00:00:00.000Z' })
    await writeFile(join(dir, 'one.pem'), certificate)
    const asked = at.sim.ledger.requests.length
    expect(await look()).toMatchObject({ verdict: 'fix', code: 'certificate-file-incomplete', whoseMove: 'operator' })
    expect(at.sim.ledger.requests).toHaveLength(asked)
  })

  test('a federated token that has ended is told', async () => {
    await using at = await site()
    const file = join(dir, 'federated.json')
    const credential = { federatedTokenFile: 'token' }
    const tenants = [{ tenantId: at.tenantId, clientId: at.tenant.clientId, name: 'One', credential }]
    await writeFile(file, JSON.stringify({ tenants }))
    const exp = Math.floor((Date.now() - DAY_MS) / 1000)
    await writeFile(join(dir, 'token'), jwt({ iss: 'https://cluster.example', aud: 'api://AzureADTokenExchange', exp }))
    const { out, code } = await ask(at.sim.url, file, '-o', 'json')
    const [row] = JSON.parse(out) as [Row]
    expect(row.steps[0]).toMatchObject({ result: 'look', words: expect.stringContaining('ended on') })
    expect(row).toMatchObject({ code: 'AADSTS700024', whoseMove: 'operator' })
    expect(code).toBe(6)
  })

  test('a file with mistakes is refused with all of them, and nobody is asked', async () => {
    await using at = await site()
    const file = join(dir, 'bad.yaml')
    await writeFile(file, 'tenants:\n  - tenantId: contoso\n    clientId: 5\n    name: ""\n')
    const { code, err } = await ask(at.sim.url, file)
    expect(code).toBe(2)
    for (const part of ['tenantId (line 2)', 'clientId (line 3)', 'name (line 4)', 'credential'])
      expect(err).toContain(part)
    expect(at.sim.ledger.requests).toHaveLength(0)
  })
})

test('several tenants are told one by one, by name; one that does not work hides no other', async () => {
  const sim: GraphSim = await startGraphSim({ tenants: { count: 6, unconsented: 1, expired: 1 }, lagMs: 0 })
  await using _ = { [Symbol.asyncDispose]: () => sim.stop() }
  for (const { tenantId } of sim.tenants) sim.addAlert(tenantId, { visibleInMs: 0, at: anHourAgo() })
  const { code, out, err } = await run(sim.url, sim.tenants)
  expect(code).toBe(6)
  expect(err).toBe('6 tenants: 4 work, 0 work and show no alerts, 2 do not work, 0 unclear\n')
  const names = out.split('\n').filter(line => /^\S/.test(line))
  expect(names).toHaveLength(6)
  expect(names).toEqual(names.toSorted())
  expect(out).toMatch(
    /whose move {3}the customer's administrator\n {2}where {8}entra\.microsoft\.com > .*\n {2}for support {2}AADSTS7000222, trace /,
  )
  const [one, two] = sim.tenants
  const some = await run(sim.url, sim.tenants, '-t', one?.tenantId ?? '', '-t', (two?.tenantId ?? '').toUpperCase())
  expect(some.err).toMatch(/^2 tenants/)
  expect((await run(sim.url, sim.tenants, '-t', 'nobody')).code).toBe(5)
})
