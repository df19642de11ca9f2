import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { startGraphSim } from '../../sandbox/graph/sim.ts'
import { makeTenants, writeTenantFiles } from '../../sandbox/graph/tenants.ts'

interface TenantsFile {
  readonly tenants: readonly {
    readonly tenantId: string
    readonly clientId: string
    readonly source: string
    readonly credential: { readonly secretFile: string }
  }[]
}

let folder = ''
let child: ChildProcess | undefined
let url = ''

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sim-graph-'))
  const flags = [
    '--port',
    '0',
    '--tenants',
    '4',
    '--legacy',
    '1',
    '--unconsented',
    '1',
    '--expired',
    '1',
    '--backlog',
    '3',
  ]
  const files = ['--secrets-dir', join(folder, 'secrets'), '--tenants-file', join(folder, 'tenants.yaml')]
  child = spawn(process.execPath, ['sandbox/graph/main.ts', ...flags, ...files], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [line] = (await once(child.stdout ?? child, 'data')) as [Buffer]
  url = (JSON.parse(line.toString()) as { listening: string }).listening
})

afterAll(async () => {
  child?.kill('SIGKILL')
  await rm(folder, { recursive: true, force: true })
})

const call = async (method: string, path: string, body?: unknown) => {
  const sent = body === undefined ? {} : { body: JSON.stringify(body) }
  const response = await fetch(`${url}/_sim/${path}`, { method, ...sent })
  return { status: response.status, body: (await response.json()) as Record<string, never> }
}

describe('as a process of its own', () => {
  test('writes a tenants file and secret files with which every tenant gets what it should', async () => {
    const { tenants } = parse(await readFile(join(folder, 'tenants.yaml'), 'utf8')) as TenantsFile
    expect(tenants.map(tenant => tenant.source)).toEqual(['alerts_v2', 'alerts_v2', 'alerts_v2', 'alerts'])
    const got: unknown[] = []
    for (const tenant of tenants) {
      const file = join(folder, 'secrets', tenant.credential.secretFile)
      expect((await stat(file)).mode & 0o777).toBe(0o600)
      const response = await fetch(`${url}/${tenant.tenantId}/oauth2/v2.0/token`, {
        method: 'POST',
        body: new URLSearchParams({
          client_id: tenant.clientId,
          client_secret: (await readFile(file, 'utf8')).trim(),
          scope: `${url}/.default`,
          grant_type: 'client_credentials',
        }),
      })
      const { access_token: token, error_codes: codes } = (await response.json()) as Record<string, string>
      const headers = { authorization: `Bearer ${token}` }
      got.push(codes ?? (await fetch(`${url}/v1.0/security/${tenant.source}`, { headers })).status)
    }
    expect(got).toEqual([200, 403, [7000222], 200])
  })

  test('is controlled under /_sim/: ledger, tenants, alerts, clock, load, faults', async () => {
    const { body: before } = await call('GET', 'ledger')
    expect(before.revisions).toHaveLength(12)
    const { tenants } = (await call('GET', 'tenants')).body as unknown as { tenants: { tenantId: string }[] }
    const tenantId = tenants[0]?.tenantId ?? ''
    expect((await call('POST', 'alerts', { tenantId, create: 2, hostile: true })).body.revisions).toHaveLength(2)
    const json = JSON.stringify({ id: 'given', tenantId, lastUpdateDateTime: '2026-11-23T11:00:00Z' })
    const { body: given } = await call('POST', 'alerts', [
      { tenantId, json },
      { tenantId, base64: Buffer.from(json).toString('base64') },
    ])
    expect(given.revisions).toMatchObject([{ alertId: 'given' }, { alertId: 'given', visibleUntilMs: null }])
    expect((await call('POST', 'tenants', { tenantId, consent: false })).body.tenants).toMatchObject([
      { tenantId, roles: [] },
    ])
    const { body: clock } = await call('POST', 'clock', { skewMs: 86_400_000 * 365, lagMs: 5 })
    expect(Number(String(clock.simNow).slice(0, 4))).toBeGreaterThan(new Date().getFullYear() - 1)
    expect((await call('POST', 'load', { ratePerSecond: 5, running: true })).body).toMatchObject({
      running: true,
      ratePerSecond: 5,
    })
    expect((await call('POST', 'load', { running: false })).body).toMatchObject({ running: false })
    const { body: set } = await call('POST', 'faults', [{ kind: 'hang' }, { kind: 'status', status: 500, budget: 3 }])
    expect(set.faults).toMatchObject([
      { kind: 'hang', budget: 1, fired: 0 },
      { kind: 'status', budget: 3 },
    ])
    expect((await call('DELETE', 'faults')).body.faults).toEqual([])
  })

  test('says in words what is wrong with an order', async () => {
    const wrong = await call('POST', 'faults', { kind: 'statsu', status: 500 })
    expect([wrong.status, String(wrong.body.error)]).toEqual([400, expect.stringContaining('kind')])
    expect((await call('POST', 'alerts', { tenantId: 'nobody', create: 1 })).body.error).toContain('no tenant nobody')
    expect((await call('GET', 'nothing')).status).toBe(404)
  })

  test('ends with code 0 on SIGTERM', async () => {
    if (child === undefined) throw new Error('not started')
    const ended = once(child, 'exit')
    child.kill('SIGTERM')
    expect(await ended).toEqual([0, null])
  })
})

test('the tenants file can be JSON, and a tenant that is added later has a secret too', async () => {
  const tenants = makeTenants({ count: 2, seed: 3 })
  await writeTenantFiles(tenants, { tenantsFile: join(folder, 'more', 'tenants.json') })
  const { tenants: written } = JSON.parse(await readFile(join(folder, 'more', 'tenants.json'), 'utf8')) as TenantsFile
  expect(written.map(tenant => tenant.tenantId)).toEqual(tenants.map(tenant => tenant.tenantId))
  expect(await readdir(join(folder, 'more'))).toEqual(['tenants.json'])
  const sim = await startGraphSim({ tenants: 1 })
  const added = sim.changeTenant({ tenantId: 'ABCDEF00-0000-4000-8000-000000000000', name: 'Late & Co' })
  expect(added).toMatchObject({ tenantId: 'abcdef00-0000-4000-8000-000000000000', name: 'Late & Co', exists: true })
  expect(added.secrets[0]?.value).toMatch(/^sim8Q~/)
  expect(sim.tenants).toHaveLength(2)
  expect(sim.addAlert(added.tenantId).fate).toBe('deliver')
  await sim.stop()
})
