/** What `socos tenants check` says of credentials beyond what Entra says of them. */
import { X509Certificate } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { runSocos } from '../../cli/run.ts'
import { startGraphSim } from '../../sandbox/graph/sim.ts'
import { jwt, selfSigned } from './graph-rig.ts'

interface Row {
  readonly tenantId: string
  readonly verdict: string
  readonly words: string
  readonly code: string | null
  readonly whoseMove: string | null
  readonly steps: readonly { readonly result: string; readonly words: string }[]
}

const DAY_MS = 86_400_000
const SECRET = 'sim8Q~0123456789012345678901234567890123'
let dir = ''

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tenants-check-credentials-'))
})
afterAll(() => rm(dir, { recursive: true, force: true }))

async function site(count = 1) {
  const sim = await startGraphSim({ tenants: count, lagMs: 0 })
  for (const { tenantId } of sim.tenants) {
    sim.changeTenant({ tenantId, secrets: [{ value: SECRET }] })
    sim.addAlert(tenantId, { visibleInMs: 0, at: new Date(Date.now() - 3_600_000).toISOString() })
  }
  return { sim, [Symbol.asyncDispose]: () => sim.stop() }
}

/** The rows of the tenants of `sim`, each with what is given of it here; `files` by name. */
async function rowsOf(
  sim: Awaited<ReturnType<typeof startGraphSim>>,
  entries: readonly object[],
  files: Readonly<Record<string, string>>,
  ...flags: readonly string[]
) {
  for (const [name, content] of Object.entries(files)) await writeFile(join(dir, name), content)
  const tenants = sim.tenants.map(({ tenantId, clientId }, at) => ({
    tenantId,
    clientId,
    name: `T${at}`,
    ...entries[at],
  }))
  await writeFile(join(dir, 'tenants.json'), JSON.stringify({ tenants }))
  let out = ''
  const io = {
    env: { SECRETS_DIR: dir, GRAPH_SANDBOX_URL: sim.url },
    out: (text: string) => void (out += text),
    say: () => undefined,
    isErrTty: false,
  }
  const args = ['node', 'socos', 'tenants', 'check', join(dir, 'tenants.json'), '-o', 'json', ...flags]
  const exitCode = await runSocos(args, io)
  expect(out).not.toContain(SECRET)
  return { exitCode, rows: JSON.parse(out) as readonly Row[] }
}

/** Of one tenant. */
async function rowOf(entry: object, files: Readonly<Record<string, string>>) {
  await using at = await site()
  const { exitCode, rows } = await rowsOf(at.sim, [entry], files)
  const [row] = rows
  if (row === undefined) throw new Error('no row')
  return { ...row, exitCode, credential: row.steps[0] }
}

const inDays = (days: number) => new Date(Date.now() + days * DAY_MS + 60_000).toISOString()

describe('the date in the tenants file', () => {
  const recorded = (credentialExpires: string) =>
    rowOf({ credential: { secretFile: 'secret' }, credentialExpires }, { secret: SECRET })

  test.each([59, 29, 13, 6, 0])('that is %i days away is told, and fails nothing', async days => {
    const ends = inDays(days)
    const { credential, verdict, exitCode } = await recorded(ends)
    expect({ verdict, exitCode, result: credential?.result }).toEqual({ verdict: 'works', exitCode: 0, result: 'look' })
    expect(credential?.words).toContain(`ends on ${ends}, in ${days} days: ask the customer for the next one now`)
  })

  test('that is past is told, also while Entra still takes the secret', async () => {
    const { credential, verdict } = await recorded(inDays(-3))
    expect({ verdict, result: credential?.result }).toEqual({ verdict: 'works', result: 'look' })
    expect(credential?.words).toMatch(/it ended on .*ask the customer for the next one now, or correct the date/)
  })

  test('that is far away is not spoken of', async () => {
    expect((await recorded(inDays(90))).credential).toMatchObject({
      result: 'ok',
      words: 'The credential in secret can be read.',
    })
  })

  test('is corrected by what the certificate says of itself', async () => {
    const { key, certificate } = selfSigned()
    const entry = { credential: { certificateFile: 'one.pem' }, credentialExpires: inDays(-3) }
    const { credential } = await rowOf(entry, { 'one.pem': key + certificate })
    expect(credential?.result).toBe('look')
    expect(credential?.words).toMatch(/the certificate itself that it ends on 2040-01-01.*correct the tenants file/)
    expect(credential?.words).not.toContain('ask the customer')
  })

  test('is corrected by Entra’s record of the application, where that may be read', async () => {
    await using at = await site()
    const [tenant] = at.sim.tenants
    const expiresAtMs = Date.now() + 300 * DAY_MS
    const roles = ['SecurityAlert.Read.All', 'Application.Read.All']
    at.sim.changeTenant({ tenantId: tenant?.tenantId ?? '', roles, secrets: [{ value: SECRET, expiresAtMs }] })
    const entry = { credential: { secretFile: 'secret' }, credentialExpires: inDays(5) }
    const { rows } = await rowsOf(at.sim, [entry], { secret: SECRET })
    expect(rows[0]?.steps[0]?.words).toMatch(/Entra's record of the application that it ends on .*correct the tenants/)
  })
})

test('a certificate is shown by thumbprint and end; one that is not valid yet is not called ok', async () => {
  const { key, certificate } = selfSigned()
  const entry = { credential: { certificateFile: 'one.pem' } }
  const thumbprint = new X509Certificate(certificate).fingerprint.replaceAll(':', '')
  const { credential } = await rowOf(entry, { 'one.pem': key + certificate })
  expect(credential?.result).toBe('ok')
  expect(credential?.words).toContain(`thumbprint ${thumbprint}, which ends on 2040-01-01`)
  const later = selfSigned({ from: '390101000000Z' })
  expect(await rowOf(entry, { 'one.pem': later.key + later.certificate })).toMatchObject({
    credential: { result: 'failed' },
    code: 'certificate-not-yet-valid',
    whoseMove: 'operator',
    exitCode: 6,
  })
})

describe('a federated token', () => {
  const entry = { credential: { federatedTokenFile: 'token' } }
  /** Of an hour, so many minutes before its end. */
  const token = (minutesLeft: number, more: object = {}) => {
    const exp = Math.floor(Date.now() / 1000) + minutesLeft * 60
    return jwt({ iss: 'https://c.example', sub: 's', aud: 'api://AzureADTokenExchange', iat: exp - 3600, exp, ...more })
  }

  test('of an hour is no warning, and shows what the customer must enter', async () => {
    for (const minutes of [59, 20]) {
      const { credential } = await rowOf(entry, { token: token(minutes) })
      expect(credential?.result).toBe('ok')
      expect(credential?.words).toContain(
        'issuer "https://c.example", subject "s", audience "api://AzureADTokenExchange"',
      )
      expect(credential?.words).not.toMatch(/days|ends on/)
    }
  })

  test('that was not renewed is one', async () => {
    const { credential } = await rowOf(entry, { token: token(3) })
    expect(credential).toMatchObject({ result: 'look', words: expect.stringContaining('should have been renewed') })
    const past = await rowOf(entry, { token: token(-10) })
    expect(past.credential).toMatchObject({ result: 'look', words: expect.stringContaining('was not renewed') })
    expect(past).toMatchObject({ code: 'AADSTS700024', whoseMove: 'operator' })
  })

  test('for another audience is the operator’s, with what was found and what is expected', async () => {
    const row = await rowOf(entry, { token: token(50, { aud: 'vault' }) })
    expect(row.credential).toMatchObject({ result: 'look', words: expect.stringContaining('the audience "vault"') })
    expect(row).toMatchObject({ code: 'AADSTS700212', whoseMove: 'operator' })
    expect(row.words).toContain('and not to "api://AzureADTokenExchange"')
  })
})

describe('one secret of two applications', () => {
  const entries = [{ credential: { secretFile: 'a' } }, { credential: { secretFile: 'b' } }]

  test('is told with both tenants, and the customer is not blamed for it', async () => {
    await using at = await site(2)
    const [first, second] = at.sim.tenants
    at.sim.changeTenant({ tenantId: second?.tenantId ?? '', secrets: [{ value: `${SECRET}x` }] })
    const look = async (...flags: string[]) => {
      const { rows } = await rowsOf(at.sim, entries, { a: SECRET, b: SECRET }, ...flags)
      return rows.find(({ tenantId }) => tenantId === second?.tenantId)
    }
    for (const row of [await look(), await look('-t', second?.tenantId ?? '')]) {
      expect(row).toMatchObject({ verdict: 'fix', code: 'AADSTS7000215', whoseMove: 'operator' })
      for (const part of [first?.tenantId, second?.tenantId, "one of the two files is the other's"])
        expect(row?.words).toContain(part)
      expect(row?.steps[0]?.result).toBe('look')
    }
  })

  test('is said of the tenant alone that Entra gives no token', async () => {
    await using at = await site(2)
    const [, second] = at.sim.tenants
    at.sim.changeTenant({ tenantId: second?.tenantId ?? '', secrets: [{ value: `${SECRET}x` }] })
    const one = [{ credential: { secretFile: 'a' } }, { credential: { secretFile: 'a' } }]
    const { rows } = await rowsOf(at.sim, one, { a: SECRET })
    expect(rows.map(({ steps }) => steps[0]?.result)).toEqual(['ok', 'look'])
    expect(rows[1]?.words).toMatch(/name the same file, a, for different applications: each needs its own/)
  })

  test('is as it should be where the application is one, in two directories', async () => {
    await using at = await site(2)
    const [first] = at.sim.tenants
    const alike = entries.map(entry => ({ ...entry, clientId: first?.clientId }))
    const { rows } = await rowsOf(at.sim, alike, { a: SECRET, b: SECRET })
    expect(rows.map(({ steps }) => steps[0]?.result)).toEqual(['ok', 'ok'])
    expect(rows.map(({ code }) => code)).toEqual([null, 'AADSTS700016'])
  })
})
