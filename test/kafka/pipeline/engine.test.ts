import { expect, test } from 'vitest'
import type { EngineFaultInput } from '../../../sandbox/engine/faults.ts'
import { expectEveryRecordAccountedFor } from './accounts.ts'
import { startPipeline, sumOf, until } from './kit.ts'

const PASSING: readonly EngineFaultInput[] = [
  { kind: 'throttle', seconds: 1, budget: 3, probability: 0.2 },
  { kind: 'status', status: 500, budget: 5, probability: 0.2 },
  { kind: 'status', status: 401, budget: 2, probability: 0.2 },
  { kind: 'no-items', budget: 3, probability: 0.2 },
  { kind: 'unreadable', form: 'html', budget: 3, probability: 0.2 },
  { kind: 'missing-items', budget: 5, probability: 0.2 },
  { kind: 'unknown-ids', budget: 5, probability: 0.2 },
  { kind: 'item-status', status: 503, share: 0.3, budget: 20, probability: 0.3 },
  { kind: 'item-status', status: 409, share: 0.2, budget: 5, probability: 0.2 },
  { kind: 'reset', when: 'before-accept', budget: 5, probability: 0.2 },
  { kind: 'too-large', overItems: 3, budget: 20, probability: 0.3 },
]

test('the trouble of the engine is never the record’s: all is delivered, nothing is parked, one bad item is', async () => {
  await using pipeline = await startPipeline({
    name: 'engine',
    graph: { tenants: 8, ratePerSecond: 60, updateShare: 0.3, backlogPerTenant: 30, seed: 5 },
  })
  const { graph, engine } = pipeline
  const [tenant] = graph.tenants
  const bad = graph.addAlert(tenant?.tenantId ?? '')
  const badId = bad.alertId ?? ''
  engine.faults.add({ kind: 'refuse-batch', alertId: badId })
  for (const fault of PASSING) engine.faults.add(fault)
  const [poller, forwarder] = await Promise.all([pipeline.start('poller'), pipeline.start('forwarder')])
  await Promise.all([poller.ready(), forwarder.ready()])

  const kinds = new Set(PASSING.map(fault => fault.kind))
  await until(
    () => [...kinds].every(kind => (engine.faults.firedByKind()[kind] ?? 0) > 0),
    120_000,
    () => `not every fault fired: ${JSON.stringify(engine.faults.firedByKind())}\n${forwarder.log().slice(-1500)}`,
  )
  graph.load.freeze()
  const verdict = await pipeline.complete({ exceptAlerts: [badId], patienceMs: 120_000 })
  expect(verdict).toMatchObject({ missingCount: 0, staleAfterNew: 0, duplicates: 0 })

  await until(async () => [...(await pipeline.status()).values()].every(row => row.counts.waiting === 0), 60_000)
  const rows = [...(await pipeline.status()).values()]
  for (const row of rows) expect(sumOf(row)).toBe(row.counts.seen)
  // only revisions of the bad alert, each once
  const revisions = graph.ledger.revisions.filter(revision => revision.alertId === badId).length
  const parked = (await pipeline.status()).get(tenant?.tenantId ?? '')?.counts.parked ?? 0
  expect(parked).toBeGreaterThanOrEqual(1)
  expect(parked).toBeLessThanOrEqual(revisions)
  expect(rows.reduce((sum, row) => sum + row.counts.parked, 0)).toBe(parked)
  await expectEveryRecordAccountedFor(pipeline)
})
