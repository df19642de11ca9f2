import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { gzipSync } from 'node:zlib'
import { describe, expect, test, vi } from 'vitest'
import type { EngineFaultInput } from '../../sandbox/engine/faults.ts'
import { startEngineSim } from '../../sandbox/engine/sim.ts'
import { batchOf, itemJson, post, postBody } from './sim-engine-kit.ts'

const items = [1, 2, 3, 4].map(minute => itemJson(minute))

async function faulty(fault: EngineFaultInput) {
  const sim = await startEngineSim()
  const set = sim.faults.add(fault)
  const taken = () => sim.ledger.items.filter(item => item.accepted).length
  const told = () => sim.ledger.items.filter(item => item.answered).length
  return { sim, fault: set, taken, told, [Symbol.asyncDispose]: () => sim.stop() }
}

describe('the whole request', () => {
  test.each([
    [{ kind: 'throttle', seconds: 7 }, 429],
    [{ kind: 'status', status: 500 }, 500],
    [{ kind: 'status', status: 503, html: true, retryAfterSeconds: 7 }, 503],
    [{ kind: 'status', status: 401 }, 401],
    [{ kind: 'status', status: 307, to: 'http://elsewhere.example/' }, 307],
    [{ kind: 'too-large', overItems: 3 }, 413],
    [{ kind: 'too-large', overBytes: 100 }, 413],
    [{ kind: 'too-large', alertId: 'alert-3' }, 413],
    [{ kind: 'refuse-batch', alertId: 'alert-3' }, 400],
    [{ kind: 'refuse-batch', alertId: 'alert-3', status: 422 }, 422],
  ] as const)('%j: nothing is taken', async (fault, status) => {
    await using kit = await faulty(fault)
    const reply = await post(kit.sim, ...items)
    expect(reply.status).toBe(status)
    if ('seconds' in fault || 'retryAfterSeconds' in fault) expect(reply.headers.get('retry-after')).toBe('7')
    if ('to' in fault) expect(reply.headers.get('location')).toBe('http://elsewhere.example/')
    expect(kit.sim.ledger.items.map(item => [item.status, item.accepted, item.answered])).toEqual(
      items.map(() => [status, false, true]),
    )
    expect(kit.fault.fired).toBe(1)
  })

  test('too large and unreadable batches are found by halving, for the fault stays', async () => {
    await using kit = await faulty({ kind: 'refuse-batch', alertId: 'alert-3' })
    expect((await post(kit.sim, ...items.slice(0, 2))).status).toBe(200)
    expect((await post(kit.sim, ...items.slice(2))).status).toBe(400)
    expect((await post(kit.sim, ...items.slice(3))).status).toBe(200)
    expect((await post(kit.sim, ...items.slice(2, 3))).status).toBe(400)
    expect(kit.taken()).toBe(3)
  })

  test('compressed is refused, plain is not', async () => {
    await using kit = await faulty({ kind: 'unsupported-encoding' })
    expect((await postBody(kit.sim, gzipSync(batchOf(...items)), { 'content-encoding': 'gzip' })).status).toBe(415)
    expect((await post(kit.sim, ...items)).status).toBe(200)
  })

  test('strikes only a batch that holds the tenant it names', async () => {
    const tenant = '22222222-2222-4222-8222-222222222222'
    await using kit = await faulty({ kind: 'status', status: 500, tenant })
    expect((await post(kit.sim, ...items)).status).toBe(200)
    expect((await post(kit.sim, itemJson(9, { tenantId: tenant }))).status).toBe(500)
  })
})

describe('an answer that says too little', () => {
  test.each([
    [{ kind: 'no-items' }, 202, '{}'],
    [{ kind: 'no-items', status: 200 }, 200, '{}'],
    [{ kind: 'unreadable', form: 'empty' }, 200, ''],
    [{ kind: 'unreadable', form: 'html' }, 200, '<html>'],
    [{ kind: 'unreadable', form: 'garbage' }, 200, '"all of them"'],
    [{ kind: 'unreadable', form: 'truncated' }, 200, '{"items":'],
  ] as const)('%j, and the engine may have the items or not', async (fault, status, text) => {
    for (const accept of [false, true]) {
      await using kit = await faulty({ ...fault, accept })
      const reply = await post(kit.sim, ...items)
      expect([reply.status, reply.byId.size]).toEqual([status, 0])
      expect(reply.text).toContain(text)
      expect([kit.taken(), kit.told()]).toEqual([accept ? 4 : 0, 0])
    }
  })

  test('some items are left out', async () => {
    await using kit = await faulty({ kind: 'missing-items', share: 0.5 })
    expect((await post(kit.sim, ...items)).byId.size).toBe(2)
    expect([kit.taken(), kit.told()]).toEqual([2, 2])
    kit.sim.faults.add({ kind: 'missing-items', share: 0, accept: true })
    expect((await post(kit.sim, ...items)).byId.size).toBe(3)
    expect(kit.sim.ledger.items.slice(4).map(item => [item.accepted, item.answered])).toEqual([
      [true, false],
      [true, true],
      [true, true],
      [true, true],
    ])
  })

  test('ids that nobody sent, and one id with two meanings', async () => {
    await using kit = await faulty({ kind: 'unknown-ids' })
    expect((await post(kit.sim, ...items)).byId.size).toBe(6)
    kit.sim.faults.add({ kind: 'contradiction' })
    const reply = await post(kit.sim, ...items)
    expect(reply.order.filter(id => id === items[0]?.id)).toHaveLength(2)
    expect(kit.sim.ledger.items.slice(4).map(item => item.answered)).toEqual([false, true, true, true])
  })
})

describe('single items', () => {
  test.each([
    [429, false],
    [503, false],
    [422, false],
    [409, true],
    [202, true],
  ])('get %i: the engine has it: %s', async (status, has) => {
    await using kit = await faulty({ kind: 'item-status', status, alertId: 'alert-2' })
    const reply = await post(kit.sim, ...items)
    expect(items.map(item => reply.byId.get(item.id))).toEqual([200, status, 200, 200])
    expect(kit.sim.ledger.items[1]).toMatchObject({ status, accepted: has, answered: true })
  })

  test('a share of those of one tenant', async () => {
    const tenantId = '22222222-2222-4222-8222-222222222222'
    const theirs = [5, 6, 7, 8].map(minute => itemJson(minute, { tenantId }))
    await using kit = await faulty({ kind: 'item-status', status: 500, tenant: tenantId, share: 0.5 })
    const reply = await post(kit.sim, ...items, ...theirs)
    expect(items.every(item => reply.byId.get(item.id) === 200)).toBe(true)
    expect(theirs.filter(item => reply.byId.get(item.id) === 500)).toHaveLength(2)
  })
})

describe('the connection', () => {
  test.each([
    ['before-accept', 0],
    ['after-accept', 4],
  ] as const)('is reset %s', async (when, taken) => {
    await using kit = await faulty({ kind: 'reset', when })
    await expect(post(kit.sim, ...items)).rejects.toThrow()
    expect([kit.taken(), kit.told(), kit.sim.ledger.requests[0]?.status]).toEqual([taken, 0, 0])
    await post(kit.sim, ...items)
    expect(kit.sim.ledger.counters.repeats).toBe(taken)
  })

  test('is left hanging after the items were taken', async () => {
    await using kit = await faulty({ kind: 'hang' })
    const cut = new AbortController()
    const body = batchOf(...items)
    const headers = { 'content-type': 'application/json' }
    const asked = fetch(`${kit.sim.url}/v1/alerts:batch`, { method: 'POST', body, headers, signal: cut.signal })
    await vi.waitFor(() => expect(kit.taken()).toBe(4))
    cut.abort()
    await expect(asked).rejects.toThrow()
    expect(kit.told()).toBe(0)
  })

  test('an answer that the sender did not wait for does not count as told', async () => {
    await using kit = await faulty({ kind: 'slow', delayMs: 60_000 })
    const cut = new AbortController()
    const headers = { 'content-type': 'application/json' }
    const asked = fetch(`${kit.sim.url}/v1/alerts:batch`, {
      method: 'POST',
      body: batchOf(...items),
      headers,
      signal: cut.signal,
    })
    await vi.waitFor(() => expect(kit.taken()).toBe(4))
    expect(kit.told()).toBe(4)
    cut.abort()
    await expect(asked).rejects.toThrow()
    await vi.waitFor(() => expect(kit.told()).toBe(0))
  })

  test('is slow, and slow for all, without losing anything', async () => {
    await using kit = await faulty({ kind: 'slow', delayMs: 20 })
    kit.sim.setLatency(5)
    expect((await post(kit.sim, ...items)).byId.size).toBe(4)
    expect((await post(kit.sim, ...items)).byId.size).toBe(4)
    expect([kit.taken(), kit.told()]).toEqual([8, 8])
  })
})

test('as a process of its own it is controlled under /_sim/ and ends on SIGTERM', async () => {
  const flags = ['--port', '0', '--token', 't', '--dedupe']
  const child: ChildProcess = spawn(process.execPath, ['sandbox/engine/main.ts', ...flags], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  try {
    const [line] = (await once(child.stdout ?? child, 'data')) as [Buffer]
    const url = (JSON.parse(line.toString()) as { listening: string }).listening
    const call = async (method: string, path: string, body?: unknown) => {
      const sent = body === undefined ? {} : { body: JSON.stringify(body) }
      const response = await fetch(`${url}${path}`, {
        method,
        ...sent,
        headers: { 'content-type': 'application/json', authorization: 'Bearer t' },
      })
      return { status: response.status, body: (await response.json()) as Record<string, unknown> }
    }
    const batch = { items: items.map(item => JSON.parse(item.text) as unknown) }
    expect((await call('POST', '/_sim/faults', { kind: 'status', status: 503 })).body.faults).toHaveLength(1)
    expect((await call('POST', '/v1/alerts:batch', batch)).status).toBe(503)
    expect((await call('POST', '/v1/alerts:batch', batch)).status).toBe(200)
    expect((await call('GET', '/_sim/stats')).body).toMatchObject({ requests: 2, items: 8, accepted: 4 })
    expect((await call('GET', '/_sim/ledger')).body.items).toHaveLength(8)
    expect((await call('GET', '/_sim/faults')).body.firedByKind).toEqual({ status: 1 })
    expect((await call('POST', '/_sim/faults', { kind: 'status' })).body.error).toContain('status')
    expect((await call('POST', '/_sim/latency', { latencyMs: 1 })).status).toBe(200)
    expect((await call('POST', '/_sim/clear')).status).toBe(200)
    expect((await call('GET', '/_sim/stats')).body.items).toBe(0)
    expect((await call('GET', '/_sim/nothing')).status).toBe(404)
    const ended = once(child, 'exit')
    child.kill('SIGTERM')
    expect(await ended).toEqual([0, null])
  } finally {
    child.kill('SIGKILL')
  }
})
