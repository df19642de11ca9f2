import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, test } from 'vitest'
import { problems } from '../../unit/ocsf-kit.ts'
import { startPipeline, until } from './kit.ts'

interface Item {
  readonly id: string
  readonly alertId: string
  readonly replay?: { readonly reason: string }
  readonly alert: { readonly class_uid: number; readonly raw_data_hash: { readonly value: string } }
}

test('with ENGINE_FORMAT=ocsf a forwarder and a replay send findings that are valid, each of the bytes that Graph wrote', async () => {
  await using engine = await startTaker()
  const env = { ENGINE_FORMAT: 'ocsf', ENGINE_COMPRESSION: 'identity', ENGINE_URL: engine.url }
  await using pipeline = await startPipeline({ name: 'ocsf', graph: { tenants: 3, backlogPerTenant: 10 }, env })
  const workers = await Promise.all([pipeline.start('poller'), pipeline.start('forwarder')])
  await Promise.all(workers.map(worker => worker.ready()))

  const wanted = () => pipeline.graph.ledger.revisions.map(({ sha256 }) => sha256).toSorted()
  await until(() => engine.items.length >= wanted().length, 60_000)
  expect(engine.items.map(({ alert }) => alert.raw_data_hash.value).toSorted()).toEqual(wanted())

  const live = new Map(engine.items.splice(0).map(item => [item.id, item]))
  const replay = ['replay', '--since', '1h', '--reason', 'again', '--to', 'engine', '--rate', '500', '--yes']
  const { code, err } = await pipeline.look(...replay)
  expect(code, err).toBe(0)
  expect(engine.items.map(({ id }) => id).toSorted()).toEqual([...live.keys()].toSorted())
  for (const { id, replay: mark, alert } of engine.items) {
    expect(mark).toMatchObject({ reason: 'again' })
    expect(alert).toEqual(live.get(id)?.alert)
  }
  for (const { alert } of live.values()) {
    expect(alert.class_uid).toBe(2004)
    expect(problems(alert)).toEqual([])
  }
})

/** An engine that takes everything and keeps it. */
async function startTaker() {
  const items: Item[] = []
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const body = JSON.parse(Buffer.concat(chunks).toString()) as { readonly items: readonly Item[] }
      items.push(...body.items)
      response.writeHead(200, { 'content-type': 'application/json' })
      response.end(JSON.stringify({ items: body.items.map(({ id }) => ({ id, status: 200 })) }))
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    items,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
    },
  }
}
