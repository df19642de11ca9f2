/** What the command line prints of what others wrote, and how much a foreign body may cost. */
import { describe, expect, test } from 'vitest'
import { type Io, safeIo } from '../../cli/io.ts'
import { isoTime, jsonIn, memberIn } from '../../cli/lenient.ts'
import { rowOf, shownParked } from '../../cli/parked-record.ts'
import { runSocos } from '../../cli/run.ts'
import { TenantDirectory } from '../../consumers/enrich.ts'
import { readMatcher } from '../../consumers/replay/matcher.ts'
import { registryAdmin } from '../../platform/avro/registry-admin.ts'
import { gatherBody } from '../../platform/body-bytes.ts'
import type { Parked } from '../../schemas/types.ts'
import { tenantOf } from './fakes/records.ts'
import { serveLoopback } from './loopback.ts'

const parked = (change: Partial<Parked>): Parked => ({
  tenantId: 't',
  alertId: 'a',
  version: null,
  reason: 'hostile',
  detail: 'the alert is too-deep',
  parkedAt: 0,
  attempts: 1,
  topic: '',
  lane: 1,
  offset: -1,
  source: 'alerts_v2',
  format: 'json',
  record: Buffer.alloc(0),
  ...change,
})

function recordingIo(): Io & { readonly said: string[]; readonly printed: string[] } {
  const said: string[] = []
  const printed: string[] = []
  return { env: {}, out: text => printed.push(text), say: text => said.push(text), isErrTty: false, said, printed }
}

describe('a parked record', () => {
  test('of 100,000 levels is shown by its bytes, one of 64 by its members', () => {
    const nested = (levels: number) => Buffer.from(`${'['.repeat(levels)}${']'.repeat(levels)}`)
    const shown = (alert: Buffer) => JSON.parse(shownParked(parked({}), 1, 5, alert)) as { readonly alert: unknown }
    expect(shown(nested(64)).alert).toBeInstanceOf(Array)
    expect(shown(nested(65)).alert).toEqual({ base64: nested(65).toString('base64') })
    expect(shown(nested(100_000)).alert).toEqual({ base64: nested(100_000).toString('base64') })
  })

  test('with terminal codes in its alert shows them as JSON escapes', () => {
    const alert = Buffer.from('{"title":"\u009b31m \u2028 \u202e \\u001b[31m"}')
    const shown = shownParked(parked({}), 1, 5, alert)
    expect(shown).toMatch(/^[\x20-\x7e\n]+$/)
    expect(JSON.parse(shown)).toMatchObject({ alert: { title: '\u009b31m \u2028 \u202e \u001b[31m' } })
  })

  test('whose time no calendar has does not hide the others', () => {
    expect(rowOf(parked({ parkedAt: 2 ** 53 - 1 }), 1, 5).parkedAt).toBe('+275760-09-13T00:00:00.000Z')
  })

  test('whose reason is the name of something in JavaScript has a reason that is not known', () => {
    expect(shownParked(parked({ reason: 'constructor' }), 1, 5, null)).toContain('does not know')
  })
})

test('a record of the audit or of a tenant that is no JSON, or has no time, hides no other', () => {
  expect(jsonIn(Buffer.from('{"a":1}'))).toEqual({ a: 1 })
  expect(jsonIn(Buffer.from('no'))).toBe('bm8=')
  expect(memberIn(Buffer.from('{"outcome":"done"}'), 'outcome')).toBe('done')
  for (const odd of ['null', '5', '"x"', '[', '{}']) expect(memberIn(Buffer.from(odd), 'constructor')).toBeUndefined()
  expect(memberIn(null, 'a')).toBeUndefined()
  expect([isoTime(0), isoTime(-(2 ** 53))]).toEqual(['1970-01-01T00:00:00.000Z', '-271821-04-20T00:00:00.000Z'])
})

describe('the command line', () => {
  test('prints and says nothing that a terminal obeys; JSON stays the same data', () => {
    const io = recordingIo()
    const text = '\u009b31m\u2028\u202e\u007f'
    safeIo(io).out(`${JSON.stringify({ text })}\n`)
    safeIo(io).say(`a ${text}\u001b[2J\u0007\nb\n`)
    expect(io.printed.join('')).toMatch(/^[\x20-\x7e]+\n$/)
    expect(JSON.parse(io.printed.join(''))).toEqual({ text })
    expect(io.said.join('')).toMatch(/^a [\x20-\x7e]+\nb\n$/)
  })

  test.each([
    [['replay', '--since', '9'.repeat(40) + 'd', '--reason', 'x'], /--since is "9+d": expected an ISO time/],
    [['replay', '--max', '1e999', '--reason', 'x'], /--max is "1e999": expected a whole number above 0/],
    [['parked', 'list', '--since', 'a\u001b[31m'], /--since is "a\\u001b\[31m": expected/],
    [['parked', 'a\u001b[31m\u2028'], /^[\x20-\x7e\n]+$/],
    [['x'.repeat(100_000)], /^[\x20-\x7e\n…]{1,20000}$/],
  ])('%j is refused in words', async (args, expected) => {
    const io = recordingIo()
    const env = { KAFKA_BROKERS: '127.0.0.1:1', SCHEMA_REGISTRY_URL: 'http://127.0.0.1:1' }
    expect(await runSocos(['node', 'socos', ...args], { ...io, env })).toBe(2)
    expect(io.said.join('')).toMatch(expected)
  })

  test('a pattern that is none is quoted, bounded', () => {
    const read = readMatcher(`$.a ${'x\u001b'.repeat(5_000)}`)
    expect(read.kind === 'bad' && read.problem).toMatch(/^[\x20-\x7e…]{1,800}$/)
  })
})

test('a tenant record whose metadata nest 100,000 levels deep enriches with id and name, and stops nobody', () => {
  const tenants = new TenantDirectory()
  const metadataJson = Buffer.from(`{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}`)
  tenants.set(tenantOf('t', { name: 'n', metadataJson }))
  const enriched = tenants.enrich('t', 0)
  // how deep is too deep depends on Node
  expect(enriched.kind === 'tenant' && enriched.json.toString('latin1', 0, 20)).toBe('{"id":"t","name":"n"')
})

test('an answer of the registry that never ends is given up, in words', async () => {
  await using server = await serveLoopback((_, response) => {
    const more = (): void => {
      while (!response.destroyed && response.write('x'.repeat(65_536)));
    }
    response.on('drain', more)
    more()
  })
  const registry = registryAdmin({ url: server.url })
  await expect(registry.level('socos.alerts-value')).rejects.toThrow(/The schema registry at .* does not answer/)
  await registry.close()
})

describe('a body that comes', () => {
  test('byte by byte is put together, and costs little more than its bytes', () => {
    const gathered = gatherBody(2_000_000)
    const chunk = new Uint8Array(1)
    const before = process.memoryUsage()
    for (let n = 0; n < 1_000_000; n++) {
      chunk[0] = n & 255
      gathered.add(chunk)
    }
    const after = process.memoryUsage()
    // a million views would keep a hundred megabytes
    expect(after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers).toBeLessThan(50_000_000)
    const whole = gathered.whole()
    expect(whole.length).toBe(1_000_000)
    expect(whole.every((byte, at) => byte === (at & 255))).toBe(true)
  })

  test('in pieces of any size is the same bytes, and refused past the limit', () => {
    const sizes = [0, 1, 4_095, 4_096, 70_000, 5, 65_536, 3]
    const pieces = sizes.map((size, n) => Buffer.alloc(size, n + 1))
    const total = sizes.reduce((sum, size) => sum + size, 0)
    const gathered = gatherBody(total)
    expect(pieces.map(piece => gathered.add(piece))).toEqual(sizes.map(() => true))
    expect(gathered.whole().equals(Buffer.concat(pieces))).toBe(true)
    expect(gathered.add(Buffer.alloc(1))).toBe(false)
    expect(gatherBody(0).whole().length).toBe(0)
  })
})
