import { expect, test } from 'vitest'
import { startPipeline, sumOf, until } from './kit.ts'

test('the story of one alert: from Graph to the engine with its tenant, once, its update after it, counted', async () => {
  await using pipeline = await startPipeline({ name: 'story', graph: { tenants: 2 } })
  const { graph, engine } = pipeline
  const [tenant] = graph.tenants
  if (!tenant) throw new Error('no tenant')
  const poller = await pipeline.start('poller')
  const forwarder = await pipeline.start('forwarder')
  await Promise.all([poller.ready(), forwarder.ready()])

  const first = graph.addAlert(tenant.tenantId)
  await pipeline.complete()
  const arrived = engine.ledger.items.find(item => item.alertId === first.alertId)
  expect(arrived).toMatchObject({
    tenantId: tenant.tenantId,
    version: first.version,
    sha256: first.sha256,
    accepted: true,
  })

  const second = graph.updateAlert(tenant.tenantId, first.alertId ?? '')
  await pipeline.complete()
  const versions = engine.ledger.items.filter(item => item.alertId === first.alertId).map(item => item.version)
  expect(versions.at(-1)).toBe(second.version)
  expect(versions).toEqual([...versions].toSorted())

  // a new poller knows nothing of the overlap: what it publishes again never reaches the engine
  expect(await poller.stop()).toBe(0)
  const again = await pipeline.start('poller')
  await again.ready()
  await until(async () => (await pipeline.status()).get(tenant.tenantId)?.counts.duplicate !== 0, 30_000)
  const verdict = pipeline.verdict()
  expect(verdict).toMatchObject({ missingCount: 0, duplicates: 0, staleAfterNew: 0, unexpected: 0 })

  const row = (await pipeline.status()).get(tenant.tenantId)
  expect(row?.state).toMatch(/^(ok|catching-up)$/)
  expect(row && sumOf(row)).toBe(row?.counts.seen)
  expect(row?.counts).toMatchObject({ stale: 0, parked: 0 })

  expect(await forwarder.stop()).toBe(0)
  for (const counters of Object.values(graph.ledger.tenants)) {
    expect(counters).toMatchObject({ nonGetRequests: 0, overLimit: 0 })
  }
})
