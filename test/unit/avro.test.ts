import { readdirSync, readFileSync } from 'node:fs'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { codecOf, decodeLearning } from '../../platform/avro/codec.ts'
import { systemClock } from '../../platform/clock.ts'
import { TransientError } from '../../platform/retry.ts'
import type { Checkpoint, GraphAlert } from '../../schemas/types.ts'
import { fakeRegistry, realCodecs, schemaFile } from './fakes/codecs.ts'
import { alertOf } from './fakes/records.ts'

const registry = fakeRegistry()
const codecs = realCodecs(registry, systemClock)

/** What an Avro long of this value looks like. */
function long(value: bigint): Buffer {
  const bytes: number[] = []
  let rest = BigInt.asUintN(64, (value << 1n) ^ (value >> 63n))
  do {
    bytes.push(Number(rest & 0x7fn) | (rest > 0x7fn ? 0x80 : 0))
    rest >>= 7n
  } while (rest > 0n)
  return Buffer.from(bytes)
}

const text = fc.string({ unit: 'grapheme', maxLength: 40 })
const alert: fc.Arbitrary<GraphAlert> = fc.record({
  tenantId: text,
  alertId: text,
  version: text,
  contentHash: fc.uint8Array({ minLength: 32, maxLength: 32 }).map(bytes => Buffer.from(bytes)),
  source: text,
  origin: text,
  observedAt: fc.nat({ max: 2 ** 52 }), // avsc takes no more than it can tell apart
  attempts: fc.nat(1_000),
  severity: fc.option(text),
  status: fc.option(text),
  serviceSource: fc.option(text),
  alert: fc.uint8Array({ maxLength: 200_000 }).map(bytes => Buffer.from(bytes)),
})

describe('what was encoded is decoded', () => {
  test('whatever stands in it, however large', () => {
    fc.assert(
      fc.property(alert, value => {
        expect(codecs.alerts.decode(codecs.alerts.encode(value))).toEqual({ kind: 'value', value })
      }),
      { numRuns: 200 },
    )
  })

  test('an alert is not copied out of its record, also where another schema wrote it', async () => {
    const record = codecs.alerts.encode(alertOf({ content: 'x'.repeat(4_000) }))
    const decoded = codecs.alerts.decode(record)
    expect(decoded.kind === 'value' && decoded.value.alert.buffer === record.buffer).toBe(true)
    const older = Object.assign({}, schemaFile('graph-alert'), { doc: 'as it once was' })
    const lookup = { idOf: async () => 8, schemaOf: async () => older }
    const elsewhere = codecOf<GraphAlert>(9, schemaFile('graph-alert'), lookup, systemClock, 'shared')
    const foreign = Buffer.from(record)
    foreign.writeInt32BE(8, 1)
    expect(await decodeLearning(elsewhere, foreign)).toEqual(decoded)
  })

  test('one value does not show through in the next', () => {
    const long = codecs.alerts.encode(alertOf({ content: 'x'.repeat(300_000) }))
    const short = codecs.alerts.encode(alertOf({ content: 'y' }))
    expect(codecs.alerts.decode(long)).toMatchObject({ value: alertOf({ content: 'x'.repeat(300_000) }) })
    expect(codecs.alerts.decode(short)).toMatchObject({ value: alertOf({ content: 'y' }) })
  })
})

describe('what is no record of ours is a value with a reason, never a throw', () => {
  const good = codecs.deliveries.encode({ tenantId: 't', alertId: 'a', delivered: null, parked: null, totals: null })

  test('any bytes at all', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), bytes => {
        for (const codec of Object.values(codecs)) {
          const { kind } = codec.decode(Buffer.from(bytes))
          expect(['undecodable', 'unknown-schema']).toContain(kind === 'value' ? 'undecodable' : kind)
        }
      }),
      { numRuns: 2_000 },
    )
  })

  test('a good record that is cut off or changed in one place', () => {
    for (let length = 0; length < good.length; length++) {
      expect(codecs.deliveries.decode(good.subarray(0, length)).kind).not.toBe('value')
    }
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.nat(255), (at, byte) => {
        const changed = Buffer.from(good)
        changed[at] = byte
        codecs.deliveries.decode(changed)
      }),
    )
  })

  test('a wrong first byte, nothing at all, and bytes after the end', () => {
    const magic = Buffer.from(good)
    magic[0] = 1
    expect(codecs.deliveries.decode(magic)).toMatchObject({
      kind: 'undecodable',
      detail: expect.stringContaining('first byte is 1'),
    })
    expect(codecs.deliveries.decode(Buffer.alloc(0))).toMatchObject({
      kind: 'undecodable',
      detail: expect.stringContaining('only 0 bytes'),
    })
    expect(codecs.deliveries.decode(Buffer.concat([good, Buffer.from([0])])).kind).toBe('undecodable')
  })

  test('an array that claims more than there is does not get the memory for it', () => {
    const codec = codecOf<Checkpoint>(3, schemaFile('checkpoint'), registry, systemClock)
    const good = codec.encode(EMPTY)
    expect([...good.subarray(-3)]).toEqual([0, 0, 0]) // no providers, no gaps, no sweep
    const before = process.memoryUsage().heapUsed
    for (const count of [2n ** 40n, -(2n ** 40n), 2n ** 62n, 1_000_000_000n, 3n]) {
      const bomb = Buffer.concat([good.subarray(0, -3), long(count), long(count), Buffer.alloc(2)])
      expect(codec.decode(bomb).kind).toBe('undecodable')
    }
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(100_000_000)
  })

  test('a length of very many digits is refused, and the next record is read as ever', () => {
    const alert = alertOf()
    const value = codecs.alerts.encode(alert)
    // all but the length and the bytes of the alert itself, then a length that never ends, which is NaN to avsc
    const head = value.subarray(0, value.length - alert.alert.length - 1)
    for (const digit of [0x80, 0xc2, 0xff]) {
      const bomb = Buffer.concat([head, Buffer.alloc(200, digit), Buffer.from([1]), alert.alert])
      expect(codecs.alerts.decode(bomb).kind).toBe('undecodable')
      expect(codecs.alerts.decode(value)).toEqual({ kind: 'value', value: alert })
    }
  })

  test('an int that could not be written again is refused', () => {
    const value = codecs.alerts.encode(alertOf({ attempts: 7 }))
    const at = value.length - alertOf().alert.length - 5
    expect([...value.subarray(at, at + 4)]).toEqual([14, 0, 0, 0]) // attempts, then three times null
    const huge = Buffer.concat([value.subarray(0, at), long(2n ** 40n), value.subarray(at + 1)])
    expect(codecs.alerts.decode(huge)).toEqual({ kind: 'undecodable', detail: 'a number is out of its range' })
  })

  test('an id that the registry does not know, and a registry that is away, are told apart', async () => {
    const foreign = Buffer.from(codecs.alerts.encode(alertOf()))
    foreign.writeInt32BE(77, 1)
    expect(codecs.alerts.decode(foreign)).toEqual({ kind: 'unknown-schema', id: 77 })
    registry.failures.budget = 1
    await expect(decodeLearning(codecs.alerts, foreign)).rejects.toThrow(TransientError)
    expect(await decodeLearning(codecs.alerts, foreign)).toMatchObject({
      kind: 'undecodable',
      detail: expect.stringContaining('77'),
    })
    foreign.writeInt32BE(78, 1)
    registry.schemas.set(78, schemaFile('graph-alert'))
    expect(await decodeLearning(codecs.alerts, foreign)).toEqual({ kind: 'value', value: alertOf() })
  })
})

const EMPTY: Checkpoint = {
  tenantId: 't',
  source: 'alerts_v2',
  watermark: '',
  backfillNext: null,
  backfillUntil: null,
  state: 'ok',
  problem: null,
  problemSince: null,
  move: null,
  page: null,
  nextTryAt: null,
  polledAt: 0,
  succeededAt: null,
  listed: 0,
  published: 0,
  publishedTotal: 0,
  quarantinedTotal: 0,
  partialProviders: [],
  gaps: [],
  sweep: null,
}

describe('the schemas', () => {
  interface Field {
    readonly name: string
    readonly type: unknown
    readonly doc?: string
  }
  const folder = new URL('../../schemas/', import.meta.url)
  const files = readdirSync(folder).filter(name => name.endsWith('.avsc'))

  function* fieldsOf(schema: unknown): Generator<Field> {
    if (Array.isArray(schema)) for (const branch of schema as unknown[]) yield* fieldsOf(branch)
    if (typeof schema !== 'object' || schema === null) return
    const { fields, items, type } = schema as { fields?: readonly Field[]; items?: unknown; type?: unknown }
    for (const field of fields ?? []) {
      yield field
      yield* fieldsOf(field.type)
    }
    yield* fieldsOf(items)
    if (typeof type === 'object') yield* fieldsOf(type)
  }

  test.each(files)('%s says of every field what it is', name => {
    const fields = [...fieldsOf(JSON.parse(readFileSync(new URL(name, folder), 'utf8')))]
    expect(fields.length).toBeGreaterThan(3)
    for (const { name, doc } of fields) expect(doc ?? '', name).toMatch(/\w.*\.$/)
  })
})
