import { createServer, request } from 'node:http'
import { connect } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { type Check, type Health, type HealthOptions, startHealth } from '../../platform/health.ts'

const ok: Check = () => ({ ok: true, detail: 'fine' })
const open: Health[] = []

async function start(options: Partial<HealthOptions> = {}): Promise<Health> {
  const health = await startHealth({
    port: 0,
    host: '127.0.0.1',
    checks: { live: { loop: ok }, ready: { kafka: ok }, started: { kafka: ok } },
    scrape: () => Promise.resolve('socos_x 1\n'),
    ...options,
  })
  open.push(health)
  return health
}

afterEach(async () => {
  await Promise.all(open.splice(0).map(health => health.close()))
})

interface Reply {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: string
}

function ask(health: Health, path: string, method = 'GET'): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ port: health.port, host: '127.0.0.1', path, method, agent: false }, response => {
      let body = ''
      response.setEncoding('utf8').on('data', (part: string) => (body += part))
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }))
    })
    outgoing.on('error', reject)
    outgoing.end()
  })
}

describe('probes', () => {
  test('answer 200 with short JSON while every check is fine', async () => {
    const health = await start()
    for (const path of ['/livez', '/readyz', '/startupz', '/readyz?verbose']) {
      const { status, headers, body } = await ask(health, path)
      expect(status).toBe(200)
      expect(headers['content-type']).toBe('application/json; charset=utf-8')
      expect(JSON.parse(body)).toMatchObject({ status: 'ok' })
    }
  })

  test('answer 503 and say which check failed, each probe by its own checks', async () => {
    const failing: Check = () => ({ ok: false, detail: 'joining the group' })
    const health = await start({
      checks: { live: { loop: ok }, ready: { kafka: failing, lanes: ok }, started: { kafka: failing } },
    })
    expect((await ask(health, '/livez')).status).toBe(200)
    expect((await ask(health, '/startupz')).status).toBe(503)
    const ready = await ask(health, '/readyz')
    expect(ready.status).toBe(503)
    expect(JSON.parse(ready.body)).toEqual({
      status: 'not ok',
      checks: { kafka: { ok: false, detail: 'joining the group' }, lanes: { ok: true, detail: 'fine' } },
    })
  })

  test('follow the checks as they change', async () => {
    let joined = false
    const check: Check = () => Promise.resolve({ ok: joined, detail: joined ? 'joined' : 'joining' })
    const health = await start({ checks: { live: {}, ready: { group: check }, started: {} } })
    expect((await ask(health, '/readyz')).status).toBe(503)
    joined = true
    expect((await ask(health, '/readyz')).status).toBe(200)
    expect((await ask(health, '/livez')).status).toBe(200)
  })

  test('a check that throws or rejects is not ok, and what it threw stays inside', async () => {
    const health = await start({
      checks: {
        live: {
          throws: () => {
            throw new Error('password is hunter2')
          },
          rejects: () => Promise.reject(new Error('password is hunter2')),
        },
        ready: {},
        started: {},
      },
    })
    const { status, body } = await ask(health, '/livez')
    expect(status).toBe(503)
    expect(body).not.toContain('hunter2')
    expect(JSON.parse(body)).toMatchObject({ checks: { throws: { ok: false }, rejects: { ok: false } } })
  })

  test('a check that never answers is not ok once its time is over', async () => {
    const asked: number[] = []
    const clock = {
      sleep: (ms: number) => {
        asked.push(ms)
        return Promise.resolve()
      },
    }
    const hangs: Check = () => new Promise(() => undefined)
    const health = await start({ clock, checks: { live: { hangs }, ready: {}, started: {} } })
    const { status, body } = await ask(health, '/livez')
    expect(status).toBe(503)
    expect(JSON.parse(body)).toMatchObject({ checks: { hangs: { ok: false, detail: 'no answer within 2000 ms' } } })
    expect(asked).toEqual([2_000])
  })

  test('details are scrubbed and bounded', async () => {
    const talks: Check = () => ({ ok: true, detail: `https://u:hunter2pw@h ${'x'.repeat(5_000)}` })
    const health = await start({ checks: { live: { talks }, ready: {}, started: {} } })
    const { body } = await ask(health, '/livez')
    expect(body).not.toContain('hunter2pw')
    expect(body.length).toBeLessThan(400)
  })
})

describe('metrics', () => {
  test('come as Prometheus text', async () => {
    const { status, headers, body } = await ask(await start(), '/metrics')
    expect([status, headers['content-type'], body]).toEqual([
      200,
      'text/plain; version=0.0.4; charset=utf-8',
      'socos_x 1\n',
    ])
  })

  test('a scrape that fails is a 500 without details, and the server lives on', async () => {
    const health = await start({ scrape: () => Promise.reject(new Error('internal detail')) })
    const { status, body } = await ask(health, '/metrics')
    expect(status).toBe(500)
    expect(body).not.toContain('internal detail')
    expect((await ask(health, '/livez')).status).toBe(200)
  })
})

describe('the server', () => {
  test.each(['POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH'])('refuses %s', async method => {
    const { status, headers } = await ask(await start(), '/livez', method)
    expect([status, headers['allow']]).toEqual([405, 'GET, HEAD'])
  })

  test('answers HEAD with the headers of GET and no body', async () => {
    const health = await start()
    const [get, head] = [await ask(health, '/metrics'), await ask(health, '/metrics', 'HEAD')]
    expect(head.status).toBe(200)
    expect(head.headers['content-length']).toBe(get.headers['content-length'])
    expect(head.body).toBe('')
  })

  test.each(['/', '/livez/', '/metrics/x', '/../livez', '//livez', '/LIVEZ', '/healthz'])(
    'knows nothing of %s',
    async path => {
      expect((await ask(await start(), path)).status).toBe(404)
    },
  )

  test('refuses large headers and survives what is no HTTP', async () => {
    const health = await start()
    const replies = await Promise.all(
      [`GET /livez HTTP/1.1\r\nhost: x\r\nx: ${'a'.repeat(20_000)}\r\n\r\n`, '\u0000\u0001 nonsense\r\n\r\n'].map(
        bytes =>
          new Promise<string>((resolve, reject) => {
            let text = ''
            const socket = connect(health.port, '127.0.0.1', () => socket.write(bytes))
            socket.on('data', data => (text += data.toString('latin1')))
            socket.on('close', () => resolve(text))
            socket.on('error', reject)
          }),
      ),
    )
    expect(replies[0]).toMatch(/^HTTP\/1\.1 431 /)
    expect(replies[1]).toMatch(/^HTTP\/1\.1 400 /)
    expect((await ask(health, '/livez')).status).toBe(200)
  })

  test('says in words that its port is taken', async () => {
    const blocker = createServer()
    await new Promise<void>(resolve => blocker.listen(0, '127.0.0.1', resolve))
    const address = blocker.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    await expect(start({ port })).rejects.toThrow(
      `port ${port} on 127.0.0.1 (HTTP_PORT, HTTP_HOST) is taken by another process: stop it, or set another HTTP_PORT (0 takes any free one)`,
    )
    await new Promise(resolve => blocker.close(resolve))
  })

  test('says in words that the machine has no such address', async () => {
    await expect(start({ host: '192.0.2.1' })).rejects.toThrow('this machine has no such address')
  })

  test('closes at once though an answer is still awaited, and frees the port', async () => {
    const asked = new AbortController()
    const hangs: Check = () => {
      asked.abort()
      return new Promise(() => undefined)
    }
    const clock = { sleep: () => new Promise<void>(() => undefined) }
    const health = await start({ clock, checks: { live: { hangs }, ready: {}, started: {} } })
    const unanswered = expect(ask(health, '/livez')).rejects.toThrow('socket hang up')
    await expect.poll(() => asked.signal.aborted, { timeout: 10_000 }).toBe(true)
    await health.close()
    await unanswered
    const again = await start({ port: health.port })
    expect(again.port).toBe(health.port)
  })
})
