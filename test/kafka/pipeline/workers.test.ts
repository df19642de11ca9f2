import { expect, inject, test } from 'vitest'
import { kafkaClient } from '../../../platform/kafka/client.ts'
import type { Admin } from '../../../platform/kafka/kafkajs.ts'
import { createLog } from '../../../platform/log.ts'
import { scrapedNames } from '../../../platform/metrics-table.ts'
import { samplesIn, seriesOf } from '../../unit/scraped.ts'
import { startPipeline, until } from './kit.ts'

async function withAdmin<T>(use: (admin: Admin) => Promise<T>): Promise<T> {
  const log = createLog({ level: 'error', service: 'test' })
  const access = { brokers: inject('stack').brokers, clientId: 'test', tls: null, sasl: null }
  const admin = kafkaClient(access, log).admin()
  await admin.connect()
  try {
    return await use(admin)
  } finally {
    await admin.disconnect()
  }
}

test('a worker refuses topics that are missing or wrong, names them, and makes none', async () => {
  await using pipeline = await startPipeline({ name: 'refuse' })
  const missing = await pipeline.start('forwarder', { TOPIC_PREFIX: 'nowhere.' })
  expect(await missing.exited()).toBe(1)
  expect(missing.log()).toContain('Topic nowhere.alerts does not exist. Run `npx socos topics apply`')

  const deliveries = `${pipeline.prefix}deliveries`
  await withAdmin(async admin => {
    expect((await admin.listTopics()).filter(topic => topic.startsWith('nowhere.'))).toEqual([])
    await admin.createPartitions({ topicPartitions: [{ topic: deliveries, count: 7 }] })
    const partitions = async () => (await admin.fetchTopicMetadata({ topics: [deliveries] })).topics[0]?.partitions
    await until(async () => (await partitions())?.length === 7, 30_000)
  })
  const wrong = await pipeline.start('forwarder')
  expect(await wrong.exited()).toBe(1)
  expect(wrong.log()).toContain(`topic ${deliveries} has 7 partitions, 6 are wanted`)
})

test('a worker refuses a wrong cleanup policy and a schema that is not registered', async () => {
  await using pipeline = await startPipeline({ name: 'policy' })
  const checkpoints = `${pipeline.prefix}checkpoints`
  await withAdmin(admin =>
    admin.alterConfigs({
      validateOnly: false,
      resources: [{ type: 2, name: checkpoints, configEntries: [{ name: 'cleanup.policy', value: 'delete' }] }],
    }),
  )
  const worker = await pipeline.start('poller')
  expect(await worker.exited()).toBe(1)
  expect(worker.log()).toContain(`topic ${checkpoints} cleanup.policy is delete, compact is wanted`)

  expect(await pipeline.socos('topics', 'check')).toMatchObject({ code: 6 })
  const applied = await pipeline.socos('topics', 'apply')
  expect(applied).toMatchObject({ code: 0, out: expect.stringContaining(`changed ${checkpoints}: cleanup.policy`) })
  expect(await pipeline.socos('topics', 'check')).toMatchObject({ code: 0 })

  const bare = `${pipeline.prefix}bare.`
  expect(await pipeline.socosWith({ TOPIC_PREFIX: bare }, 'topics', 'apply')).toMatchObject({ code: 0 })
  const unregistered = await pipeline.start('poller', { TOPIC_PREFIX: bare })
  expect(await unregistered.exited()).toBe(1)
  expect(unregistered.log()).toContain(`Subject ${bare}tenants-value does not hold the schema`)
  expect(await pipeline.socosWith({ TOPIC_PREFIX: bare }, 'schemas', 'check')).toMatchObject({ code: 6 })
})

test('all mistakes of the settings are said at once, without a stack, with exit code 2', async () => {
  await using pipeline = await startPipeline({ name: 'settings' })
  const worker = await pipeline.start('poller', {
    KAFKA_BROKERS: 'no port',
    POLL_INTERVAL_SECONDS: 'often',
    GRAPH_SANDBOX_URL: 'http://graph.example.com',
    SECRETS_DIR: '',
  })
  expect(await worker.exited()).toBe(2)
  for (const name of ['KAFKA_BROKERS', 'POLL_INTERVAL_SECONDS', 'GRAPH_SANDBOX_URL', 'SECRETS_DIR']) {
    expect(worker.log()).toContain(name)
  }
  expect(worker.log()).not.toMatch(/\n\s+at /)
})

test('probes and metrics answer; SIGTERM leaves the group and exits 0, so that another worker has the lanes at once', async () => {
  await using pipeline = await startPipeline({ name: 'probes', env: { SESSION_TIMEOUT_SECONDS: '60' } })
  const workers = await Promise.all([pipeline.start('poller'), pipeline.start('forwarder')])
  for (const worker of workers) {
    await worker.ready()
    for (const path of ['/livez', '/readyz', '/startupz']) {
      expect((await fetch(worker.url + path)).status).toBe(200)
    }
    const metrics = await (await fetch(`${worker.url}/metrics`)).text()
    const names = new Set(scrapedNames())
    const scraped = [...metrics.matchAll(/^(\w+?)(?:\{|\s)/gm)].map(match => match[1] ?? '')
    expect(scraped.filter(name => name !== '' && !names.has(name))).toEqual([])
    expect(metrics).toMatch(/^socos_lanes_owned 6$/m)
    expect(metrics).toMatch(/^socos_lanes_restoring 0$/m)
  }
  const [poller, forwarder] = workers
  const series = async (worker: typeof poller, name: string) => {
    const samples = samplesIn(await (await fetch(`${worker?.url}/metrics`)).text())
    return seriesOf(samples, name)
  }
  // of own lanes: all of them here
  const tenants = pipeline.graph.tenants.map(({ tenantId }) => `{tenant="${tenantId}"}`).toSorted()
  await until(
    async () => Object.keys(await series(poller, 'tenant_freshness_seconds')).length === tenants.length,
    60_000,
  )
  const freshness = await series(poller, 'tenant_freshness_seconds')
  expect(Object.keys(freshness).toSorted()).toEqual(tenants)
  expect(Math.max(...Object.values(freshness))).toBeLessThan(60)
  expect(await series(poller, 'tenant_needs_attention')).toEqual({})
  const lanes = Object.fromEntries([0, 1, 2, 3, 4, 5].map(lane => [`{lane="${lane}"}`, 0]))
  expect(await series(forwarder, 'lane_lag_records')).toEqual(lanes)
  expect(await series(forwarder, 'ledger_headroom_ratio')).toEqual({ '': 1 })
  expect(await poller?.stop()).toBe(0)
  expect(await forwarder?.stop()).toBe(0)
  // with a session of 60 s the lanes can only be had this soon because the first one left
  const next = await pipeline.start('forwarder')
  await until(
    async () => (await fetch(`${next.url}/readyz`).catch(() => null))?.ok === true,
    30_000,
    () => next.log(),
  )
})
