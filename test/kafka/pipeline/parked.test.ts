import { expect, test } from 'vitest'
import type { Pipeline } from './kit.ts'
import { startPipeline, sumOf, until } from './kit.ts'

interface ParkedRow {
  readonly id: string
  readonly tenantId: string
  readonly alertId: string
  readonly version: string | null
  readonly reason: string
  readonly attempts: number
}

async function parked(pipeline: Pipeline, ...flags: string[]): Promise<ParkedRow[]> {
  const { code, out, err } = await pipeline.look('parked', 'list', '-o', 'json', ...flags)
  if (code !== 0) throw new Error(`socos parked list exited with ${code}: ${err}`)
  return JSON.parse(out) as ParkedRow[]
}

test.concurrent('what the engine refuses is parked with its reason, shown with what to do, retried the normal way, or discarded', async () => {
  await using pipeline = await startPipeline({ name: 'parked', graph: { tenants: 3, backlogPerTenant: 5 } })
  const { graph, engine } = pipeline
  const [tenant] = graph.tenants
  const tenantId = tenant?.tenantId ?? ''
  const refused = Array.from({ length: 3 }, () => graph.addAlert(tenantId).alertId ?? '')
  const [first, second, third] = refused
  const faults = refused.map(alertId => engine.faults.add({ kind: 'refuse-batch', alertId }))
  const workers = await Promise.all([pipeline.start('poller'), pipeline.start('forwarder')])
  await Promise.all(workers.map(worker => worker.ready()))
  await pipeline.complete({ exceptAlerts: refused })
  await until(async () => (await parked(pipeline)).length === 3, 30_000)

  const rows = await parked(pipeline)
  expect(rows.map(row => row.alertId).toSorted()).toEqual(refused.toSorted())
  for (const row of rows) {
    expect(row).toMatchObject({ tenantId, reason: 'bad-item', attempts: 1 })
    expect(Object.keys(row)).toEqual(
      expect.arrayContaining(['tenantId', 'alertId', 'version', 'reason', 'detail', 'parkedAt', 'lane', 'offset']),
    )
  }
  expect((await pipeline.socos('parked', 'list')).out).toMatch(new RegExp(`bad-item +${tenantId} +\\S+ +3`))
  expect(await parked(pipeline, '--reason', 'rejected')).toEqual([])
  expect((await pipeline.status()).get(tenantId)).toMatchObject({ parkedNow: 3, counts: { parked: 3 } })

  const shown = await pipeline.socos('parked', 'show', rows[0]?.id ?? '')
  const document = JSON.parse(shown.out) as { whatToDo: string; alert: { id: string }; from: object }
  expect(document.alert.id).toBe(rows[0]?.alertId)
  expect(document.whatToDo).toContain('Mend the cause at the engine, then retry')
  expect(document.from).toMatchObject({ topic: `${pipeline.prefix}alerts` })

  // a plan sends nothing; a retry that meets the same trouble is parked again and counted
  expect(await pipeline.socos('parked', 'retry')).toMatchObject({ code: 0, err: expect.stringContaining('PLAN') })
  expect((await parked(pipeline)).map(row => row.attempts)).toEqual([1, 1, 1])
  expect((await pipeline.socos('parked', 'retry', '--yes')).code).toBe(0)
  await until(async () => (await parked(pipeline)).length === 3, 30_000)
  expect((await parked(pipeline)).map(row => row.attempts)).toEqual([2, 2, 2])

  // mended: one is retried by its id, one is overtaken by a newer version, one is discarded
  for (const fault of faults) engine.faults.remove(fault.id)
  expect((await pipeline.socos('parked', 'retry', '--id', first ?? '', '--yes')).code).toBe(0)
  await until(() => engine.ledger.items.some(item => item.alertId === first && item.accepted), 30_000)
  graph.updateAlert(tenantId, second ?? '')
  await until(() => engine.ledger.items.some(item => item.alertId === second && item.accepted), 30_000)
  await until(async () => (await parked(pipeline)).length === 1, 30_000)
  expect((await parked(pipeline)).map(row => row.alertId)).toEqual([third])

  expect(await pipeline.socos('parked', 'discard', '--id', third ?? '', '--yes')).toMatchObject({
    code: 2,
    err: expect.stringContaining('--reason is missing'),
  })
  const discard = ['parked', 'discard', '--id', third ?? '', '--reason', 'a test', '--by', 'tester']
  expect(await pipeline.socos(...discard)).toMatchObject({ code: 0, err: expect.stringContaining('PLAN') })
  expect(await parked(pipeline)).toHaveLength(1)
  expect((await pipeline.socos(...discard, '--yes')).code).toBe(0)
  expect(await parked(pipeline)).toEqual([])
  expect((await parked(pipeline, '--all')).length).toBe(6)
  expect((await pipeline.socos('audit', 'list')).out).toMatch(/parked discard +end +tester +a test/)

  await until(async () => [...(await pipeline.status()).values()].every(({ counts }) => counts.waiting === 0), 30_000)
  const row = (await pipeline.status()).get(tenantId)
  expect(row).toMatchObject({ parkedNow: 0, balanced: true, counts: { parked: 6 } })
  expect(row && sumOf(row)).toBe(row?.counts.seen)
  expect(pipeline.verdict({ exceptAlerts: [second ?? '', third ?? ''] })).toMatchObject({
    missingCount: 0,
    duplicates: 0,
    staleAfterNew: 0,
  })
})

test.concurrent('a tenant that is removed is neither polled nor forwarded, and begins anew when it comes back', async () => {
  await using pipeline = await startPipeline({ name: 'offboard', graph: { tenants: 3, backlogPerTenant: 4 } })
  const { graph, engine } = pipeline
  const [tenant] = graph.tenants
  const tenantId = tenant?.tenantId ?? ''
  const [poller, forwarder] = await Promise.all([pipeline.start('poller'), pipeline.start('forwarder')])
  await Promise.all([poller.ready(), forwarder.ready()])
  await pipeline.complete()
  await until(async () => [...(await pipeline.status()).values()].every(({ counts }) => counts.waiting === 0), 30_000)

  expect(await forwarder.stop()).toBe(0)
  const onTheWay = graph.addAlert(tenantId)
  await until(async () => (await pipeline.status()).get(tenantId)?.counts.waiting === 1, 30_000)
  expect((await pipeline.socos('tenants', 'remove', tenantId)).code).toBe(0)
  const again = await pipeline.start('forwarder')
  await again.ready()
  await until(async () => (await pipeline.status()).get(tenantId)?.parkedNow === 1, 30_000)
  expect(engine.ledger.items.some(item => item.alertId === onTheWay.alertId)).toBe(false)
  expect((await parked(pipeline)).map(row => row.reason)).toEqual(['off-boarded'])
  expect((await pipeline.status()).get(tenantId)?.state).toBe('off-boarded')

  // the others are polled on, this one is not
  const requestsOf = (id: string) => graph.ledger.tenants[id]?.listRequests ?? 0
  const [before, other] = [requestsOf(tenantId), requestsOf(graph.tenants[1]?.tenantId ?? '')]
  await until(() => requestsOf(graph.tenants[1]?.tenantId ?? '') > other + 2, 30_000)
  expect(requestsOf(tenantId)).toBe(before)

  // back: what waited is retried by itself, and the look-back delivers what was delivered before once more
  const delivered = engine.ledger.items.filter(item => item.tenantId === tenantId).length
  expect((await pipeline.socos('tenants', 'apply', pipeline.tenantsFile)).code).toBe(0)
  await pipeline.complete()
  await until(async () => (await pipeline.status()).get(tenantId)?.parkedNow === 0, 30_000)
  await until(() => engine.ledger.items.filter(item => item.tenantId === tenantId).length >= 2 * delivered + 1, 30_000)
  expect(pipeline.verdict()).toMatchObject({ missingCount: 0, staleAfterNew: 0, unexpected: 0 })
  await until(
    async () => [...(await pipeline.status()).values()].every(row => row.balanced && row.counts.waiting === 0),
    30_000,
  )
})

test.concurrent('alerts on the way of a removed tenant are delivered when the operator says so', async () => {
  await using pipeline = await startPipeline({ name: 'drain', graph: { tenants: 2 } })
  const { graph, engine } = pipeline
  const tenantId = graph.tenants[0]?.tenantId ?? ''
  const poller = await pipeline.start('poller')
  await poller.ready()
  const onTheWay = graph.addAlert(tenantId)
  await until(async () => (await pipeline.status()).get(tenantId)?.counts.waiting === 1, 30_000)
  expect((await pipeline.socos('tenants', 'remove', tenantId, '--waiting', 'deliver')).code).toBe(0)
  await (await pipeline.start('forwarder')).ready()
  await until(() => engine.ledger.items.some(item => item.alertId === onTheWay.alertId && item.accepted), 30_000)
  expect(await parked(pipeline)).toEqual([])
})
