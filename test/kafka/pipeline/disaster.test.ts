import { expect, test } from 'vitest'
import type { TopicName } from '../../../schemas/topics.ts'
import { testKafka } from './accounts.ts'
import type { Pipeline } from './kit.ts'
import { startPipeline, sumOf, until } from './kit.ts'

/** The drills of docs/operations.md: a topic is gone, and its row of the table is followed to the letter. */

interface Drill {
  readonly topic: TopicName
  readonly repair: readonly (readonly string[])[]
  /** Is it the memory of what the engine has that is gone? Then the engine gets it again, under the same ids. */
  readonly repeats: boolean
}

const DRILLS: readonly Drill[] = [
  { topic: 'tenants', repair: [['tenants', 'apply', 'FILE']], repeats: false },
  { topic: 'checkpoints', repair: [], repeats: false },
  { topic: 'alerts', repair: [['sweep', '--since', '7d']], repeats: false },
  { topic: 'deliveries', repair: [], repeats: true },
  { topic: 'parked', repair: [['sweep', '--since', '7d']], repeats: false },
]

async function lose(pipeline: Pipeline, topic: TopicName): Promise<void> {
  const admin = testKafka().admin()
  await admin.connect()
  await admin.deleteTopics({ topics: [pipeline.prefix + topic] })
  // the name is free when the last broker has forgotten it
  await until(async () => !(await admin.listTopics()).includes(pipeline.prefix + topic), 30_000)
  await admin.disconnect()
}

test.concurrent.for(DRILLS)(
  'the topic $topic is gone: by the book it is back, and no alert is missing',
  async drill => {
    await using pipeline = await startPipeline({
      name: 'disaster',
      graph: { tenants: 3, backlogPerTenant: 8, seed: 5 },
    })
    const { graph, engine } = pipeline
    const tenantId = graph.tenants[0]?.tenantId ?? ''
    const before = await Promise.all([pipeline.start('poller'), pipeline.start('forwarder')])
    await Promise.all(before.map(worker => worker.ready()))
    await pipeline.complete()
    // one alert lies in `parked`, and one is on the log and not delivered
    const refused = graph.addAlert(tenantId).alertId ?? ''
    const fault = engine.faults.add({ kind: 'refuse-batch', alertId: refused })
    await until(async () => (await pipeline.status()).get(tenantId)?.parkedNow === 1, 60_000)
    const [poller, forwarder] = before
    expect(await forwarder?.stop()).toBe(0)
    graph.addAlert(tenantId)
    await until(async () => (await pipeline.status()).get(tenantId)?.counts.waiting === 1, 60_000)
    expect(await poller?.stop()).toBe(0)
    engine.faults.remove(fault.id)

    await lose(pipeline, drill.topic)
    const refusing = await pipeline.start('forwarder')
    expect(await refusing.exited()).toBe(1)
    expect(refusing.log()).toMatch(new RegExp(`not started: .*${drill.topic} does not exist`, 'i'))
    expect((await pipeline.socos('topics', 'apply')).code).toBe(0)
    const after = await Promise.all([pipeline.start('poller'), pipeline.start('forwarder')])
    await Promise.all(after.map(worker => worker.ready()))
    for (const args of drill.repair) {
      const command = args.map(arg => (arg === 'FILE' ? pipeline.tenantsFile : arg))
      expect({ command, ...(await pipeline.socos(...command)) }).toMatchObject({ command, code: 0 })
    }

    const kept = drill.topic === 'parked' ? [] : [refused]
    if (drill.topic !== 'parked') {
      // what lay in `parked` still does
      await pipeline.complete({ exceptAlerts: kept })
      expect((await pipeline.socos('parked', 'retry', '--yes')).code).toBe(0)
    }
    const verdict = await pipeline.complete()
    expect(verdict).toMatchObject({ missingCount: 0, staleAfterNew: 0, unexpected: 0, unstableIds: 0 })
    if (!drill.repeats) expect(verdict.duplicates).toBe(0)
    await until(async () => [...(await pipeline.status()).values()].every(({ counts }) => counts.waiting === 0), 60_000)
    const rows = [...(await pipeline.status()).values()]
    expect(rows).toHaveLength(3)
    for (const row of rows) expect(sumOf(row)).toBe(row.counts.seen)
  },
)
