import { expect, test } from 'vitest'
import { ALWAYS } from '../../../sandbox/graph/fault-list.ts'
import { startPipeline, until } from './kit.ts'

interface Loss {
  readonly what: string
  readonly code: string
  readonly change?: { readonly roles?: string[]; readonly tokenError?: number }
  readonly fault?: 'forbidden' | 'gone'
}

/** What may be taken from a tenant that worked, how the simulated Microsoft then answers, and what PROBLEM names. */
const LOSSES: readonly Loss[] = [
  { what: 'consent', change: { roles: [] }, code: 'graph-403' },
  { what: 'the application', change: { tokenError: 700016 }, code: 'AADSTS700016' },
  { what: 'the application, disabled', change: { tokenError: 7000112 }, code: 'AADSTS7000112' },
  { what: 'the enterprise application', change: { tokenError: 7000229 }, code: 'AADSTS7000229' },
  { what: 'the directory', change: { tokenError: 90002 }, code: 'AADSTS90002' },
  { what: 'our addresses', change: { tokenError: 53003 }, code: 'AADSTS53003' },
  { what: 'the cloud', change: { tokenError: 90038 }, code: 'AADSTS90038' },
  { what: 'the licence', fault: 'forbidden', code: 'graph-403' },
  { what: 'the older list', fault: 'gone', code: 'graph-410' },
]

test('whatever a running tenant loses is recognised, keeps no other waiting, and is over by itself when it is back', async () => {
  await using pipeline = await startPipeline({
    name: 'losses',
    graph: { tenants: { count: LOSSES.length + 2, legacy: 1 }, backlogPerTenant: 2 },
  })
  const { graph } = pipeline
  const [sound, ...others] = graph.tenants
  // the last one is read through the older list
  const losers = LOSSES.map((loss, at) => {
    const tenant = others.at(at - LOSSES.length)
    if (!tenant) throw new Error('too few tenants')
    return { tenant, loss }
  })
  const poller = await pipeline.start('poller')
  const forwarder = await pipeline.start('forwarder')
  await Promise.all([poller.ready(), forwarder.ready()])
  await pipeline.complete()

  for (const { tenant, loss } of losers) {
    const { tenantId } = tenant
    if (loss.change) graph.changeTenant({ tenantId, revokeTokens: true, ...loss.change })
    if (loss.fault === 'forbidden') graph.faults.add({ kind: 'forbidden', tenant: tenantId, budget: ALWAYS })
    if (loss.fault === 'gone') graph.faults.add({ kind: 'status', status: 410, tenant: tenantId, budget: ALWAYS })
  }
  const said = (status: Awaited<ReturnType<typeof pipeline.status>>) =>
    losers.map(({ tenant, loss }) => {
      const { state, problem } = status.get(tenant.tenantId) ?? {}
      return `${loss.what}: ${state} ${problem?.includes(loss.code) === true ? loss.code : problem}`
    })
  const wanted = losers.map(({ loss }) => `${loss.what}: needs-attention ${loss.code}`)
  await until(
    async () => said(await pipeline.status()).every((line, at) => line === wanted[at]),
    60_000,
    () => poller.log().slice(-2_000),
  ).catch(async () => expect(said(await pipeline.status())).toEqual(wanted))
  // the others go on as if nothing were
  for (const { tenantId } of graph.tenants) graph.addAlert(tenantId)
  await pipeline.complete({ exceptTenants: losers.map(({ tenant }) => tenant.tenantId) })
  expect((await pipeline.status()).get(sound?.tenantId ?? '')).toMatchObject({ state: 'ok' })

  graph.faults.clear()
  for (const { tenant } of losers) {
    graph.changeTenant({
      tenantId: tenant.tenantId,
      tokenError: null,
      roles: tenant.source === 'alerts' ? ['SecurityEvents.Read.All'] : ['SecurityAlert.Read.All'],
    })
  }
  const verdict = await pipeline.complete({ patienceMs: 75_000 })
  expect(verdict).toMatchObject({ missingCount: 0, staleAfterNew: 0 })
  await until(async () => [...(await pipeline.status()).values()].every(({ state }) => state === 'ok'), 30_000)
})
