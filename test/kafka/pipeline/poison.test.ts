import { expect, test } from 'vitest'
import { startPipeline, until } from './kit.ts'

test('a poison alert costs one instant: the rest of its tenant arrives, the gap is told, and is closed when Graph heals', async () => {
  await using pipeline = await startPipeline({ name: 'poison', graph: { tenants: 2 } })
  const { graph } = pipeline
  const [tenant] = graph.tenants
  if (!tenant) throw new Error('no tenant')
  const poison = graph.addAlert(tenant.tenantId)
  const others = Array.from({ length: 20 }, () => graph.addAlert(tenant.tenantId))
  // what has the very update time of the poison alert, to 100 ns, cannot be told from it
  const lost = [poison, ...others.filter(({ version }) => version === poison.version)].map(one => one.alertId ?? '')
  expect(lost.length).toBeLessThan(others.length)
  graph.faults.add({ kind: 'poison', alertId: poison.alertId ?? '' })
  const poller = await pipeline.start('poller')
  const forwarder = await pipeline.start('forwarder')
  await Promise.all([poller.ready(), forwarder.ready()])

  await pipeline.complete({ exceptAlerts: lost, patienceMs: 120_000 })
  await until(async () => (await pipeline.status()).get(tenant.tenantId)?.openGaps === 1, 90_000)
  graph.addAlert(tenant.tenantId)
  await pipeline.complete({ exceptAlerts: lost })

  graph.faults.clear()
  await pipeline.complete({ patienceMs: 200_000 })
  await until(async () => (await pipeline.status()).get(tenant.tenantId)?.openGaps === 0, 30_000)
})
