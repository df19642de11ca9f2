import { expect, test } from 'vitest'
import type { GraphFaultInput } from '../../../sandbox/graph/faults.ts'
import { expectEveryRecordAccountedFor } from './accounts.ts'
import { startPipeline, sumOf, until } from './kit.ts'

const PASSING: readonly GraphFaultInput[] = [
  { kind: 'throttle', retryAfter: 'seconds', seconds: 1, budget: 20, probability: 0.1 },
  { kind: 'throttle', retryAfter: 'http-date', seconds: 1, budget: 20, probability: 0.1 },
  { kind: 'throttle', retryAfter: 'absent', budget: 10, probability: 0.1 },
  { kind: 'throttle', where: 'token', seconds: 1, budget: 5, probability: 0.1 },
  { kind: 'status', status: 500, budget: 30, probability: 0.1 },
  { kind: 'status', status: 503, html: true, budget: 20, probability: 0.1 },
  { kind: 'status', where: 'token', status: 503, html: true, budget: 5, probability: 0.1 },
  { kind: 'reset', when: 'before', budget: 20, probability: 0.1 },
  { kind: 'reset', when: 'within', budget: 20, probability: 0.1 },
  { kind: 'slow-body', bytesPerSecond: 40_000, budget: 20, probability: 0.1 },
  { kind: 'truncated-body', budget: 10, probability: 0.1 },
  { kind: 'html', budget: 10, probability: 0.1 },
  { kind: 'bom', budget: 10, probability: 0.1 },
  { kind: 'partial', warning: 'transient', budget: 20, probability: 0.1 },
  { kind: 'unauthorized', phase: 'follow-up', budget: 10, probability: 0.3 },
  { kind: 'next-link', variant: 'refused', phase: 'any', budget: 5, probability: 0.1 },
  { kind: 'next-link', variant: 'self-loop', budget: 5, probability: 0.1 },
  { kind: 'next-link', variant: 'other-host', budget: 5, probability: 0.1 },
  { kind: 'empty-page', budget: 10, probability: 0.1 },
  { kind: 'duplicate-rows', budget: 20, probability: 0.1 },
  { kind: 'shuffled-rows', budget: 20, probability: 0.1 },
]

test('200 tenants under every passing fault of Graph: nothing missing, nothing stale, no tenant over its limit', async () => {
  await using pipeline = await startPipeline({
    name: 'faults',
    lanes: 12,
    graph: {
      tenants: { count: 200, legacy: 10 },
      seed: 7,
      backlogPerTenant: 12,
      ratePerSecond: 60,
      updateShare: 0.5,
      pageSize: 5,
      paging: 'skip',
      hostileShare: 0.1,
    },
    env: { POLL_INTERVAL_SECONDS: '5' },
  })
  const { graph, engine } = pipeline
  for (const fault of PASSING) graph.faults.add(fault)
  const poller = await pipeline.start('poller')
  const forwarder = await pipeline.start('forwarder')
  await Promise.all([poller.ready(), forwarder.ready()])

  const kinds = new Set(PASSING.map(fault => fault.kind))
  await until(
    () => [...kinds].every(kind => (graph.faults.firedByKind()[kind] ?? 0) > 0),
    90_000,
    () => `not every fault fired: ${JSON.stringify(graph.faults.firedByKind())}`,
  )
  graph.load.freeze()
  graph.faults.clear()
  const verdict = await pipeline.complete({ patienceMs: 150_000 })
  expect(verdict).toMatchObject({ missingCount: 0, staleAfterNew: 0, duplicates: 0, unexpected: 0 })
  for (const counters of Object.values(graph.ledger.tenants)) {
    expect(counters.nonGetRequests).toBe(0)
    expect(counters.maxRequestsPerMinute).toBeLessThanOrEqual(150)
  }

  await until(async () => [...(await pipeline.status()).values()].every(row => row.counts.waiting === 0), 60_000)
  const rows = [...(await pipeline.status()).values()]
  expect(rows).toHaveLength(200)
  for (const row of rows) expect(sumOf(row)).toBe(row.counts.seen)
  await expectEveryRecordAccountedFor(pipeline)
  const delivered = rows.reduce((sum, row) => sum + row.counts.delivered, 0)
  expect(delivered).toBe(engine.ledger.items.filter(item => item.accepted).length)
})
