import { createHash } from 'node:crypto'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { buildBody, ENVELOPE_BYTES } from '../../consumers/engine/body.ts'
import { type EngineItem, itemBytes, itemId } from '../../consumers/engine/item.ts'
import { item, items } from './engine-kit.ts'

interface Parsed {
  items: Record<string, unknown>[]
}

function parse(batch: readonly EngineItem[]): Record<string, unknown>[] {
  return (JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(buildBody(batch).bytes)) as Parsed).items
}

describe('the id of an item', () => {
  test('is the base64url SHA-256 of the JSON array of tenant, alert, version and content', () => {
    const id = itemId('t', 'a"/\u2028', 'v', 'c')
    expect(id).toBe(createHash('sha256').update('["t","a\\"/\u2028","v","c"]', 'utf8').digest('base64url'))
    expect(id).toMatch(/^[\w-]{43}$/)
  })

  test('never changes: this one is in the ledgers of running installations', () => {
    expect(itemId('11111111-1111-1111-1111-111111111111', 'da1', '2026-11-23T10:11:12.1234567Z', 'ab')).toBe(
      'KB-pZEcEiUkiQtDn7PpEtd6KVh4M31BvNi6DTpHRukY',
    )
  })

  test('differs as soon as one part differs, wherever the border between the parts lies', () => {
    fc.assert(
      fc.property(fc.tuple(fc.string(), fc.string()), fc.tuple(fc.string(), fc.string()), (a, b) => {
        fc.pre(a[0] !== b[0] || a[1] !== b[1])
        expect(itemId(a[0], a[1], 'v', 'h')).not.toBe(itemId(b[0], b[1], 'v', 'h'))
      }),
    )
  })
})

describe('the body', () => {
  test('has every member that the contract names, in the right place', () => {
    const replay = { id: 'r-1', reason: 'asked "again"\n', by: 'ops' }
    expect(parse([{ ...item(7), replay }])).toEqual([
      {
        id: item(7).id,
        tenant: { id: '11111111-1111-1111-1111-111111111111', name: 'Ölmühle & Söhne' },
        alertId: 'alert-7',
        version: '2026-11-23T10:11:12.1234567Z',
        source: 'alerts_v2',
        observedAt: '2025-11-24T16:00:00.000Z',
        replay,
        alert: { id: 'alert-7' },
      },
    ])
    expect(parse([item(7)])[0]).not.toHaveProperty('replay')
  })

  test('carries the bytes of an alert untouched: order, white space, escapes, huge numbers, duplicate members', () => {
    const alert = '{ "b":1e400,\t"n":12345678901234567890 ,"a":"\\u00e9é\\ud800","a":null,"__proto__":{"x":1} }'
    const { bytes } = buildBody([item(1), item(2, alert), item(3)])
    expect(bytes.includes(`"alert":${alert}}`)).toBe(true)
    expect(bytes.indexOf(alert)).toBe(bytes.lastIndexOf(alert))
  })

  test('keeps hostile names, ids and reasons inside their strings and inside UTF-8', () => {
    const nasty = fc.string({
      unit: fc.oneof(fc.constantFrom('"', '\\', '\0', '\r', '\u2028', '\ud800', '\udc00', '}'), fc.string()),
    })
    fc.assert(
      fc.property(nasty, nasty, nasty, (alertId, reason, by) => {
        const [first, second] = parse([{ ...item(1), alertId, replay: { id: 'r', reason, by } }, item(2)])
        expect(first?.['alertId']).toBe(alertId)
        expect(first?.['replay']).toEqual({ id: 'r', reason, by })
        expect(second?.['alertId']).toBe('alert-2')
      }),
    )
  })

  test('is as long as the envelope and its items say, less the comma that the first one needs not', () => {
    const batch = [item(1), { ...item(2), alertId: 'ł\ud800"', replay: { id: 'i', reason: 'ü', by: 'b' } }, item(3)]
    const share = batch.reduce((sum, each) => sum + itemBytes(each), 0)
    expect(buildBody(batch).bytes.length).toBe(ENVELOPE_BYTES + share - 1)
    expect(buildBody([]).bytes.toString()).toBe('{"items":[]}')
  })

  test('is exactly so long, whatever the texts and the time in it are', () => {
    const text = fc.string({
      unit: fc.oneof(fc.constantFrom('"', '\\', '\0', '\x7f', ' ', '~', 'ü', '\u2028', '\ud800', '😀'), fc.string()),
    })
    const time = fc.oneof(fc.double(), fc.integer(), fc.constantFrom(253_402_300_799_999, 253_402_300_800_000, -1))
    const mark = fc.option(fc.record({ id: text, reason: text, by: text }))
    fc.assert(
      fc.property(text, text, time, mark, (alertId, source, observedAtMs, replay) => {
        const one = { ...item(1), alertId, source, observedAtMs, ...(replay ? { replay } : {}) }
        expect(buildBody([one]).bytes.length).toBe(ENVELOPE_BYTES + itemBytes(one) - 1)
      }),
    )
  })

  test('is hashed without the alerts that the ids stand for, and with those that were converted', () => {
    const [first, second] = [item(1), { ...item(2), isConverted: true }]
    const text = buildBody([first, second]).bytes.toString()
    const hashed = text.slice('{"items":['.length, -']}'.length - 1).replace(`${first.alert.toString()}}`, '')
    const digest = createHash('sha256').update(hashed).digest('base64url')
    expect(buildBody([first, second]).digest).toBe(digest)
  })

  test('may be larger than the room that is kept to hash it', () => {
    const huge = { ...item(1, JSON.stringify({ text: 'x'.repeat(1024 * 1024) })), isConverted: true }
    const { bytes, digest } = buildBody([huge])
    expect(digest).toBe(createHash('sha256').update(bytes.subarray('{"items":['.length, -3)).digest('base64url'))
    expect(buildBody([item(2)]).digest).toBe(buildBody([item(2)]).digest)
  })

  test('has the same digest when it is built again and another one when anything in it differs', () => {
    const batch = items(3)
    expect(buildBody(items(3))).toEqual(buildBody(batch))
    const others: EngineItem[][] = [
      items(2),
      batch.toReversed(),
      [...batch.slice(0, 2), item(2, '{"id":"other"}')],
      [...batch.slice(0, 2), { ...item(2), observedAtMs: 5 }],
      [...batch.slice(0, 2), { ...item(2), tenantJson: Buffer.from('{"id":"t"}') }],
      [...batch.slice(0, 2), { ...item(2), replay: { id: 'r', reason: '', by: '' } }],
    ]
    const digests = [batch, ...others].map(each => buildBody(each).digest)
    expect(new Set(digests).size).toBe(digests.length)
  })

  test('takes a time that no calendar knows as the nearest one that can be written', () => {
    const times = [Number.NaN, 1e300, -1e300, Number.POSITIVE_INFINITY].map(observedAtMs => ({
      ...item(1),
      observedAtMs,
    }))
    expect(parse(times).map(each => each['observedAt'])).toEqual([
      '1970-01-01T00:00:00.000Z',
      '+275760-09-13T00:00:00.000Z',
      '-271821-04-20T00:00:00.000Z',
      '+275760-09-13T00:00:00.000Z',
    ])
  })
})
