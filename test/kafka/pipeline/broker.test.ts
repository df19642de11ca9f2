import { expect, test } from 'vitest'
import { ownStack } from '../own-stack.ts'
import { expectEveryRecordAccountedFor } from './accounts.ts'
import { startPipeline, sumOf, until } from './kit.ts'

test('the broker goes away and comes back: workers stay, nothing is missing, nothing is stale', async () => {
  await using stack = await ownStack()
  await using pipeline = await startPipeline({
    name: 'broker',
    stack,
    graph: { tenants: 10, ratePerSecond: 40, updateShare: 0.5, seed: 3 },
    env: { SESSION_TIMEOUT_SECONDS: '10' },
  })
  const { graph, engine } = pipeline
  const logs = () => `no progress:\n${poller.log().slice(-1500)}\n${forwarder.log().slice(-1500)}`
  const [poller, forwarder] = await Promise.all([pipeline.start('poller'), pipeline.start('forwarder')])
  await Promise.all([poller.ready(), forwarder.ready()])
  await until(() => engine.ledger.items.length > 50, 60_000, logs)

  const [node] = stack.nodes
  if (!node) throw new Error('no broker')
  await node.kill()
  const revisions = graph.ledger.revisions.length
  await until(() => graph.ledger.revisions.length > revisions + 100, 60_000)
  expect([poller.child.exitCode, forwarder.child.exitCode]).toEqual([null, null])
  await node.start()

  const count = engine.ledger.items.length
  await until(() => engine.ledger.items.length > count + 100, 90_000, logs)
  graph.load.freeze()
  const verdict = await pipeline.complete({ patienceMs: 120_000 })
  expect(verdict).toMatchObject({ missingCount: 0, staleAfterNew: 0, unexpected: 0 })
  await until(async () => [...(await pipeline.status()).values()].every(row => row.counts.waiting === 0), 60_000, logs)
  for (const row of (await pipeline.status()).values()) expect(sumOf(row)).toBe(row.counts.seen)
  await expectEveryRecordAccountedFor(pipeline)
}, 420_000) // more than its waits together, so that the one that failed speaks
