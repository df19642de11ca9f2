import { expect, test } from 'vitest'
import { startPipeline, sumOf, until } from './kit.ts'

test('workers killed in mid-flight, joining and leaving: nothing missing, nothing stale, repeats only where an answer was lost', async () => {
  await using pipeline = await startPipeline({
    name: 'kills',
    lanes: 12,
    graph: { tenants: 30, ratePerSecond: 120, updateShare: 0.5, backlogPerTenant: 20, pageSize: 50, seed: 11 },
    engine: { latencyMs: 30 },
  })
  const { graph, engine } = pipeline
  const [poller, forwarder] = await Promise.all([pipeline.start('poller'), pipeline.start('forwarder')])
  await Promise.all([poller.ready(), forwarder.ready()])
  const accepted = () => engine.ledger.items.filter(item => item.accepted).length
  const progress = async (more: number) => {
    const from = accepted()
    await until(
      () => accepted() >= from + more,
      60_000,
      () => `the engine got ${accepted() - from} of ${more} more items`,
    )
  }

  await progress(200)
  poller.kill('SIGKILL')
  forwarder.kill('SIGKILL')
  const atKill = await pipeline.status()
  const [poller2, forwarder2] = await Promise.all([pipeline.start('poller'), pipeline.start('forwarder')])
  await progress(300)
  // a second pair joins, then the first of them leaves in order
  const [poller3, forwarder3] = await Promise.all([pipeline.start('poller'), pipeline.start('forwarder')])
  await Promise.all([poller3.ready(), forwarder3.ready()])
  await progress(200)
  // what the kill repeats was on the log by then: when all of that is counted, no repeat of it can come any more
  const isSettled = async () =>
    [...(await pipeline.status())].every(([tenantId, { counts }]) => {
      const then = atKill.get(tenantId)?.counts
      return counts.seen >= (then ? then.seen + then.waiting : 0)
    })
  await until(isSettled, 60_000)
  const before = pipeline.verdict().duplicates
  expect(await Promise.all([poller2.stop(), forwarder2.stop()])).toEqual([0, 0])
  await progress(200)
  // a graceful leave and the rebalance it brings repeat nothing
  expect(pipeline.verdict().duplicates).toBe(before)
  forwarder3.kill('SIGKILL')
  const forwarder4 = await pipeline.start('forwarder')
  await forwarder4.ready()
  await progress(200)

  graph.load.freeze()
  const verdict = await pipeline.complete({ patienceMs: 120_000 })
  expect(verdict).toMatchObject({ missingCount: 0, staleAfterNew: 0, unexpected: 0, unstableIds: 0 })
  // each kill may repeat what was in flight: one batch of each lane
  expect(verdict.duplicates).toBeLessThanOrEqual(2 * 12 * 500)

  await until(async () => [...(await pipeline.status()).values()].every(row => row.counts.waiting === 0), 60_000)
  const rows = [...(await pipeline.status()).values()]
  for (const row of rows) expect(sumOf(row)).toBe(row.counts.seen)
  const counted = rows.reduce((sum, row) => sum + row.counts.delivered, 0)
  expect(counted).toBe(accepted() - verdict.duplicates)
})
