import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { alertKey, alertName } from '../../consumers/alert-name.ts'
import { readDelivered, writeDelivered } from '../../consumers/delivered.ts'
import { Ledger } from '../../consumers/ledger.ts'
import type { Delivery, LedgerMark } from '../../schemas/types.ts'
import { handClock } from './engine-kit.ts'
import { fakeRegistry, realCodecs } from './fakes/codecs.ts'
import { TENANT_A, TENANT_B } from './fakes/records.ts'

const codec = realCodecs(fakeRegistry(), handClock()).deliveries
const version = fc
  .tuple(fc.nat({ max: 3_000_000_000_000 }), fc.nat({ max: 9_999 }))
  .map(([ms, ticks]) => `${new Date(ms).toISOString().slice(0, 23)}${String(ticks).padStart(4, '0')}Z`)
const mark = fc.record<LedgerMark>({
  version: fc.oneof({ weight: 9, arbitrary: version }, { weight: 1, arbitrary: fc.string() }),
  contentHash: fc.uint8Array({ minLength: 8, maxLength: 8 }).map(bytes => Buffer.from(bytes)),
  offset: fc.oneof(fc.nat(), fc.constantFrom(0, 2 ** 31, 2 ** 47)),
  at: fc.oneof(fc.nat(), fc.constantFrom(0, 1_795_000_000_000)),
})
const delivery = fc.record<Delivery>({
  tenantId: fc.constantFrom(TENANT_A, TENANT_B),
  alertId: fc.oneof(fc.constantFrom('a', 'b', 'c', 'ä/ö 木'), fc.string({ minLength: 1 })),
  delivered: fc.option(mark, { freq: 9 }),
  parked: fc.option(mark, { freq: 1 }),
  totals: fc.constant(null),
})

function restored(records: readonly { key: Buffer; value: Buffer }[], inPlace: boolean): Ledger {
  const ledger = new Ledger()
  for (const { key, value } of records) {
    const delivered = inPlace ? readDelivered(key, value, codec.schemaId) : null
    if (delivered !== null && ledger.restoreInPlace(key, delivered)) continue
    const decoded = codec.decode(value)
    if (decoded.kind !== 'value') throw new Error(decoded.kind)
    ledger.restore(decoded.value)
  }
  return ledger
}

function recordOf(value: Delivery): { key: Buffer; value: Buffer } {
  return { key: Buffer.from(alertKey(value.tenantId, value.alertId)), value: codec.encode(value) }
}

describe('a ledger record read where it lies', () => {
  test('comes to what the codec comes to, whatever was written before', () => {
    fc.assert(
      fc.property(fc.array(delivery, { maxLength: 40 }), all => {
        const records = all.map(recordOf)
        const [asBytes, asObjects] = [restored(records, true), restored(records, false)]
        expect(asBytes.entries).toBe(asObjects.entries)
        for (const { tenantId, alertId } of all) {
          const name = alertName(tenantId, alertId)
          expect(asBytes.delivery(name)).toEqual(asObjects.delivery(name))
        }
      }),
      { numRuns: 300 },
    )
  })

  test('is written as the codec writes it', () => {
    const longNames = fc.constantFrom('x'.repeat(63), 'x'.repeat(64), 'ä'.repeat(40), '木'.repeat(9_000))
    fc.assert(
      fc.property(delivery, fc.option(longNames), version, (it, longName, text) => {
        const name = alertName(it.tenantId, longName ?? it.alertId)
        const ledger = new Ledger()
        const { tenantId, alertId } = name
        const at = it.delivered ?? { contentHash: Buffer.alloc(8, 0xff), offset: 3, at: 0 }
        ledger.restore({ tenantId, alertId, delivered: { ...at, version: text }, parked: null, totals: null })
        const found = ledger.onlyDelivered(name)
        if (found === null) throw new Error('nothing was restored')
        expect(writeDelivered(name, found, codec.schemaId)).toEqual(codec.encode(ledger.delivery(name)))
      }),
      { numRuns: 300 },
    )
  })

  test('is not what stands for an alert of which something is parked', () => {
    const at = { version: '2026-11-23T10:11:12.1234567Z', contentHash: Buffer.alloc(8, 5), offset: 7, at: 0 }
    const ledger = new Ledger()
    const name = alertName(TENANT_A, 'a')
    expect(ledger.onlyDelivered(name)).toBe(null)
    ledger.restore({ tenantId: TENANT_A, alertId: 'a', delivered: at, parked: at, totals: null })
    expect(ledger.onlyDelivered(name)).toBe(null)
  })

  test('is what nearly all of them are', () => {
    const at = {
      version: '2026-11-23T10:11:12.1234567Z',
      contentHash: Buffer.alloc(8, 5),
      offset: 7,
      at: 1_795_000_000_000,
    }
    const { key, value } = recordOf({ tenantId: TENANT_A, alertId: 'a', delivered: at, parked: null, totals: null })
    expect(readDelivered(key, value, codec.schemaId)).toMatchObject({ offset: 7, hashHi: 0x05050505, day: 20775 })
    // another writer's schema, another alert's key, and an end that comes too soon are the codec's
    expect(readDelivered(key, value, codec.schemaId + 1)).toBeNull()
    expect(readDelivered(Buffer.from(`${TENANT_A}/b`), value, codec.schemaId)).toBeNull()
    for (let end = 0; end < value.length; end++)
      expect(readDelivered(key, value.subarray(0, end), codec.schemaId)).toBeNull()
    expect(readDelivered(key, Buffer.concat([value, Buffer.of(0)]), codec.schemaId)).toBeNull()
  })

  test('never throws over bytes of others', () => {
    const hostile = fc.tuple(fc.uint8Array({ maxLength: 80 }), fc.uint8Array({ maxLength: 200 }))
    fc.assert(
      fc.property(hostile, ([key, body]) => {
        const header = Buffer.alloc(5)
        header.writeInt32BE(codec.schemaId, 1)
        readDelivered(Buffer.from(key), Buffer.concat([header, body]), codec.schemaId)
      }),
      { numRuns: 2_000 },
    )
  })
})
