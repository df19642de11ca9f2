import { createHash, createHmac } from 'node:crypto'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { type EngineSimOptions, startEngineSim } from '../../sandbox/engine/sim.ts'
import { batchOf, itemJson, post, postBody, TENANT } from './sim-engine-kit.ts'

async function engine(options: EngineSimOptions = {}) {
  const sim = await startEngineSim(options)
  return { sim, [Symbol.asyncDispose]: () => sim.stop() }
}

const sha = (text: string): string => createHash('sha256').update(text).digest('hex')

describe('the ledger', () => {
  test('has every item with the hash of its alert’s very bytes', async () => {
    await using kit = await engine({ now: () => 1234 })
    const alert = '{ "id":"x/y\\u002f", "n":9007199254740993,"n":-0.0,\r\n"t":"\u2028" }'
    const item = itemJson(1, { alertId: 'x/y', alert })
    const reply = await post(kit.sim, item)
    expect([...reply.byId]).toEqual([[item.id, 200]])
    expect(kit.sim.ledger.items).toEqual([
      {
        request: 0,
        id: item.id,
        tenantId: TENANT,
        tenant: { id: TENANT, name: 'Société Exemple', tier: 'gold' },
        alertId: 'x/y',
        version: '2026-11-23T11:01:00.0000000Z',
        source: 'alerts_v2',
        sha256: sha(alert),
        atMs: 1234,
        status: 200,
        accepted: true,
        repeat: false,
        stale: false,
        replay: false,
        answered: true,
      },
    ])
    expect(kit.sim.ledger.requests).toMatchObject([
      { atMs: 1234, status: 200, items: 1, encoding: 'identity', fault: null },
    ])
  })

  test('has a finding by the hash of the bytes that it was made from', async () => {
    await using kit = await engine()
    const value = sha('{"id":"x"}')
    await post(kit.sim, itemJson(1, { alert: `{"activity_id":1,"raw_data_hash":{"value":"${value}"}}` }))
    await post(kit.sim, itemJson(2, { alert: '{"raw_data_hash":{"value":"claimed by an alert"}}' }))
    expect(kit.sim.ledger.items.map(({ sha256 }) => sha256)).toEqual([
      value,
      sha('{"raw_data_hash":{"value":"claimed by an alert"}}'),
    ])
  })

  test('the answers come in another order than the items', async () => {
    await using kit = await engine()
    const items = Array.from({ length: 30 }, (_, minute) => itemJson(minute))
    const { order } = await post(kit.sim, ...items)
    const ids = items.map(item => item.id)
    expect(order).not.toEqual(ids)
    expect(order.toSorted()).toEqual(ids.toSorted())
  })

  test('a repeat is accepted again and shows as one', async () => {
    await using kit = await engine()
    const item = itemJson(1)
    await post(kit.sim, item)
    expect((await post(kit.sim, item)).byId.get(item.id)).toBe(200)
    expect(kit.sim.ledger.items.map(each => [each.accepted, each.repeat])).toEqual([
      [true, false],
      [true, true],
    ])
    expect(kit.sim.ledger.counters).toMatchObject({
      requests: 2,
      items: 2,
      accepted: 2,
      repeats: 1,
      staleAfterNew: 0,
      unstableIds: 0,
    })
  })

  test('with dedupe, what is there already and what is older gets 409', async () => {
    await using kit = await engine({ dedupe: true })
    const [older, newer] = [itemJson(1, { alertId: 'a' }), itemJson(2, { alertId: 'a' })]
    const statuses: (number | undefined)[] = []
    for (const item of [newer, newer, older]) statuses.push((await post(kit.sim, item)).byId.get(item.id))
    expect(statuses).toEqual([200, 409, 409])
    expect(kit.sim.ledger.counters).toMatchObject({ accepted: 1, repeats: 0, staleAfterNew: 1 })
  })

  test('an older version after a newer one is counted, for the same alert of the same tenant only', async () => {
    await using kit = await engine()
    const other = '11111111-1111-4111-8111-111111111111'
    await post(kit.sim, itemJson(5, { alertId: 'a' }))
    await post(kit.sim, itemJson(4, { alertId: 'b' }), itemJson(4, { alertId: 'a', tenantId: other }))
    expect(kit.sim.ledger.counters.staleAfterNew).toBe(0)
    await post(kit.sim, itemJson(4, { alertId: 'a' }))
    await post(kit.sim, itemJson(6, { alertId: 'a' }), itemJson(5, { alertId: 'a' }))
    expect(kit.sim.ledger.counters).toMatchObject({ staleAfterNew: 2, staleReplays: 0 })
    await post(kit.sim, itemJson(3, { alertId: 'a', replay: true }))
    expect(kit.sim.ledger.counters).toMatchObject({ staleAfterNew: 2, staleReplays: 1 })
    expect(kit.sim.ledger.items.at(-1)).toMatchObject({ stale: true, replay: true, accepted: true })
  })

  test('an id that changes for the same revision, or stands for two, is counted', async () => {
    await using kit = await engine()
    const id = itemJson(9).id
    await post(kit.sim, itemJson(1), itemJson(1, { id }))
    expect(kit.sim.ledger.counters.unstableIds).toBe(1)
    await post(kit.sim, itemJson(2, { id }))
    expect(kit.sim.ledger.counters.unstableIds).toBe(2)
  })

  test('keeps counters only when told so, and forgets when cleared', async () => {
    await using kit = await engine({ keepItems: false })
    const item = itemJson(1)
    await post(kit.sim, item)
    await post(kit.sim, item)
    expect(kit.sim.ledger).toMatchObject({ items: [], counters: { accepted: 2, repeats: 1 } })
    kit.sim.clear()
    await post(kit.sim, item)
    expect(kit.sim.ledger.counters).toMatchObject({ requests: 1, accepted: 1, repeats: 0 })
  })
})

describe('bodies', () => {
  test.each([
    ['gzip', (body: string) => gzipSync(body)],
    ['zstd', (body: string) => zstdCompressSync(body)],
  ] as const)('%s is understood', async (encoding, compress) => {
    await using kit = await engine()
    const item = itemJson(1)
    const reply = await postBody(kit.sim, compress(batchOf(item)), { 'content-encoding': encoding })
    expect(reply.byId.get(item.id)).toBe(200)
    expect(kit.sim.ledger.requests[0]).toMatchObject({ encoding, bytes: Buffer.byteLength(batchOf(item)) })
  })

  test('another encoding or type is 415, damage is 400, an empty batch is 400', async () => {
    await using kit = await engine()
    const statuses = [
      await postBody(kit.sim, batchOf(itemJson(1)), { 'content-encoding': 'br' }),
      await postBody(kit.sim, batchOf(itemJson(1)), { 'content-type': 'text/plain' }),
      await postBody(kit.sim, batchOf(itemJson(1)), { 'content-encoding': 'gzip' }),
      await postBody(kit.sim, batchOf(itemJson(1)).slice(0, -1)),
      await postBody(kit.sim, '{"items":[]}'),
    ].map(reply => reply.status)
    expect(statuses).toEqual([415, 415, 400, 400, 400])
    expect(kit.sim.ledger.counters).toMatchObject({ requests: 5, items: 0 })
  })

  test('too many items or bytes, packed ones too, are 413', async () => {
    await using kit = await engine({ maxItems: 2, maxBytes: 2000 })
    expect((await post(kit.sim, itemJson(1), itemJson(2), itemJson(3))).status).toBe(413)
    const large = batchOf(itemJson(1, { alert: `{"x":"${'a'.repeat(5000)}"}` }))
    expect((await postBody(kit.sim, large)).status).toBe(413)
    expect((await postBody(kit.sim, gzipSync(large), { 'content-encoding': 'gzip' })).status).toBe(413)
    expect((await post(kit.sim, itemJson(1), itemJson(2))).status).toBe(200)
    expect(kit.sim.ledger.counters).toMatchObject({ items: 5, accepted: 2 })
  })

  test.each([
    ['id', itemJson(1, { id: 'short' })],
    ['version', itemJson(1, { version: '2026-11-23T11:01:00Z' })],
    ['alertId', itemJson(1, { alertId: '' })],
    ['alert', itemJson(1, { alert: '"text"' })],
    ['tenant.id', itemJson(1, { tenantId: '' })],
  ])('an item with a bad %s is refused with words, its neighbour is not', async (member, item) => {
    await using kit = await engine()
    const good = itemJson(2)
    const reply = await post(kit.sim, item, good)
    expect([reply.byId.get(item.id), reply.byId.get(good.id)]).toEqual([422, 200])
    expect(reply.text).toContain(`${member} is`)
    expect(kit.sim.ledger.counters).toMatchObject({ invalid: 1, accepted: 1 })
  })

  test('another path is 404, another method 405', async () => {
    await using kit = await engine()
    expect((await fetch(`${kit.sim.url}/v1/alerts`, { method: 'POST', body: '{}' })).status).toBe(404)
    expect((await fetch(`${kit.sim.url}/v1/alerts:batch`)).status).toBe(405)
  })
})

describe('who may send', () => {
  test('only a bearer of the token, when there is one', async () => {
    await using kit = await engine({ token: ['first', 'second'] })
    const send = async (authorization?: string) =>
      (await postBody(kit.sim, batchOf(itemJson(1)), authorization === undefined ? {} : { authorization })).status
    expect([await send(), await send('Bearer third'), await send('Bearer second')]).toEqual([401, 401, 200])
    expect(kit.sim.ledger.counters.items).toBe(1)
  })

  test('only with a fresh signature over the uncompressed body, when there are keys', async () => {
    const [key, nextKey] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)].map(bytes => `whsec_${bytes.toString('base64')}`)
    const nowMs = 1_764_000_000_000
    await using kit = await engine({ signingKeys: [key ?? ''], now: () => nowMs })
    const body = batchOf(itemJson(1))
    const send = async (by: number[], options: { body?: string; ageSeconds?: number } = {}) => {
      const timestamp = String(nowMs / 1000 - (options.ageSeconds ?? 0))
      const signatures = by.map(fill => {
        const mac = createHmac('sha256', Buffer.alloc(32, fill))
        return `v1,${mac.update(`id-1.${timestamp}.${options.body ?? body}`).digest('base64')}`
      })
      return postBody(kit.sim, gzipSync(body), {
        'content-encoding': 'gzip',
        'webhook-id': 'id-1',
        'webhook-timestamp': timestamp,
        'webhook-signature': signatures.join(' '),
      })
    }
    expect(nextKey).toBeDefined()
    expect((await send([1])).status).toBe(200)
    expect((await send([2, 1])).status).toBe(200)
    expect((await send([2])).status).toBe(401)
    expect((await send([1], { body: `${body} ` })).status).toBe(401)
    expect((await send([1], { ageSeconds: 301 })).status).toBe(401)
    expect((await postBody(kit.sim, body)).status).toBe(401)
    expect(kit.sim.ledger.counters.items).toBe(2)
  })
})
