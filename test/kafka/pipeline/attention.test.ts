import { expect, test } from 'vitest'
import { startPipeline, until } from './kit.ts'

test('tenants that need someone are said in words, stop nobody, and recover by themselves when the cause is mended', async () => {
  await using pipeline = await startPipeline({
    name: 'attention',
    graph: { tenants: { count: 6, unconsented: 1, expired: 1 }, ratePerSecond: 5 },
  })
  const { graph } = pipeline
  const [, unconsented, expired, throttled] = graph.tenants
  if (!unconsented || !expired || !throttled) throw new Error('too few tenants')
  graph.faults.add({ kind: 'throttle', tenant: throttled.tenantId, seconds: 3, budget: Number.MAX_SAFE_INTEGER })
  const poller = await pipeline.start('poller')
  const forwarder = await pipeline.start('forwarder')
  await Promise.all([poller.ready(), forwarder.ready()])

  const stuck = [unconsented.tenantId, expired.tenantId, throttled.tenantId]
  await pipeline.complete({ exceptTenants: stuck })
  await until(async () => {
    const status = await pipeline.status()
    return (
      status.get(unconsented.tenantId)?.state === 'needs-attention' &&
      status.get(expired.tenantId)?.state === 'needs-attention' &&
      status.get(throttled.tenantId)?.state === 'throttled'
    )
  }, 30_000)
  const status = await pipeline.status()
  expect(status.get(expired.tenantId)?.problem).toContain('AADSTS7000222')
  expect(status.get(unconsented.tenantId)?.problem).toMatch(/consent/i)
  expect(status.get(expired.tenantId)).toMatchObject({
    whoseMove: 'customer',
    page: `entra.microsoft.com > App registrations > ${expired.clientId} > Certificates & secrets`,
    problemSince: expect.stringMatching(/^20/),
  })
  const nextTryMs = Date.parse(status.get(expired.tenantId)?.nextTry ?? '')
  expect(nextTryMs - Date.now()).toBeGreaterThan(-60_000) // a receipt may be almost a minute old
  expect(nextTryMs - Date.now()).toBeLessThan(60_000)
  // asked by hand, as they stand in Kafka, they are told the same
  const asked = await pipeline.look('tenants', 'check', '-o', 'json', '-t', ...stuck.slice(0, 2))
  expect(asked.code).toBe(6)
  const codes = (JSON.parse(asked.out) as { code: string }[]).map(({ code }) => code)
  expect(new Set(codes)).toEqual(new Set(['graph-403', 'AADSTS7000222']))

  for (const secret of graph.tenants.flatMap(tenant => tenant.secrets)) {
    expect(poller.log() + JSON.stringify([...status.values()])).not.toContain(secret.value)
  }

  graph.faults.clear()
  graph.changeTenant({ tenantId: unconsented.tenantId, roles: ['SecurityAlert.Read.All'] })
  graph.changeTenant({
    tenantId: expired.tenantId,
    secrets: expired.secrets.map(({ value }) => ({ value, expiresAtMs: null })),
  })
  graph.load.freeze()
  const verdict = await pipeline.complete({ patienceMs: 75_000 })
  expect(verdict).toMatchObject({ missingCount: 0, staleAfterNew: 0 })
})
