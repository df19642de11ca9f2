import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import {
  addMs,
  compare,
  fromEpochMs,
  fromTicks,
  halve,
  normaliseTime,
  slices,
  toTicks,
} from '../../producers/window.ts'

const FIRST = toTicks('0001-01-01T00:00:00.0000000Z')
const LAST = toTicks('9999-12-31T23:59:59.9999999Z')
const ticks = fc.bigInt({ min: FIRST, max: LAST })
const instant = ticks.map(fromTicks)

describe('normaliseTime', () => {
  test.each([
    ['2026-11-23T10:11:12Z', '2026-11-23T10:11:12.0000000Z'],
    ['2026-11-23T10:11:12.5Z', '2026-11-23T10:11:12.5000000Z'],
    ['2026-11-23T10:11:12.1234567Z', '2026-11-23T10:11:12.1234567Z'],
    ['2026-11-23t10:11:12.36z', '2026-11-23T10:11:12.3600000Z'],
    ['2026-11-23T10:11:12.12345679999Z', '2026-11-23T10:11:12.1234567Z'],
    ['2026-11-23T10:11:12+00:00', '2026-11-23T10:11:12.0000000Z'],
    ['2026-11-23T10:11:12-00:00', '2026-11-23T10:11:12.0000000Z'],
    ['2026-01-01T00:00:00+13:45', '2025-12-31T10:15:00.0000000Z'],
    ['2026-12-31T23:30:00-01:00', '2027-01-01T00:30:00.0000000Z'],
    ['2024-02-29T12:00:00Z', '2024-02-29T12:00:00.0000000Z'],
    ['9999-12-31T23:59:59.9999999Z', '9999-12-31T23:59:59.9999999Z'],
  ])('%s is %s', (text, normal) => {
    expect(normaliseTime(text)).toBe(normal)
  })

  test.each([
    '',
    'yesterday',
    '2026-11-23',
    '2026-11-23T10:11:12',
    '2026-11-23 10:11:12Z',
    '2026-11-23T10:11:12.Z',
    '2026-11-23T10:11:12,5Z',
    '2026-11-23T24:00:00Z',
    '2026-11-23T10:60:00Z',
    '2026-11-23T10:11:61Z',
    '2026-13-01T00:00:00Z',
    '2026-00-01T00:00:00Z',
    '2026-02-29T00:00:00Z',
    '1900-02-29T00:00:00Z',
    '2026-11-31T00:00:00Z',
    '2026-11-23T10:11:12+24:00',
    '2026-11-23T10:11:12+13:60',
    '2026-11-23T10:11:12Z\n',
    '0000-01-01T00:00:00Z',
    '9999-12-31T23:59:59-00:01',
    '0001-01-01T00:00:00+00:01',
    '+12026-11-23T10:11:12Z',
    `2026-11-23T10:11:12.${'1'.repeat(100)}Z`,
    '２０２６-11-23T10:11:12Z',
  ])('%j is no time', text => {
    expect(normaliseTime(text)).toBeNull()
  })

  test('a leap second keeps its place between its neighbours, in any time zone', () => {
    const leap = normaliseTime('2016-12-31T23:59:60.5Z')
    expect(leap).toBe('2016-12-31T23:59:59.9999999Z')
    expect(normaliseTime('2017-01-01T13:44:60+13:45')).toBe(leap)
    expect(normaliseTime('2016-12-31T23:58:60Z')).toBeNull()
    expect(normaliseTime('2016-12-31T23:59:60+01:00')).toBeNull()
  })

  test('agrees with Date wherever Date can tell', () => {
    const dates = fc.date({
      min: new Date('0001-01-02T00:00:00Z'),
      max: new Date('9999-12-30T00:00:00Z'),
      noInvalidDate: true,
    })
    const offset = fc.integer({ min: -14 * 60, max: 14 * 60 })
    fc.assert(
      fc.property(dates, offset, (date, minutes) => {
        const local = new Date(date.getTime() + minutes * 60_000).toISOString().slice(0, -1)
        const away = Math.abs(minutes)
        const hh = String(Math.floor(away / 60)).padStart(2, '0')
        const mm = String(away % 60).padStart(2, '0')
        const utc = date.toISOString().replace('Z', '0000Z')
        // years past 9999 and before 0 carry a sign that RFC 3339 does not have
        fc.pre(/^\d/.test(local))
        expect(normaliseTime(`${local}${minutes < 0 ? '-' : '+'}${hh}:${mm}`)).toBe(utc)
        expect(fromEpochMs(date.getTime())).toBe(utc)
        expect(toTicks(utc)).toBe(BigInt(date.getTime()) * 10_000n)
      }),
    )
  })

  test('any number of fraction digits is cut to seven, never rounded', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^\d{1,30}$/), digits => {
        expect(normaliseTime(`2026-11-23T10:11:12.${digits}Z`)).toBe(
          `2026-11-23T10:11:12.${digits.padEnd(7, '0').slice(0, 7)}Z`,
        )
      }),
    )
  })

  test('arbitrary text is a normalised time or nothing', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[0-9TZ:.+-]{0,40}$/)), text => {
        const normal = normaliseTime(text)
        if (normal !== null) expect(fromTicks(toTicks(normal))).toBe(normal)
      }),
    )
  })
})

describe('ticks', () => {
  test('there and back loses nothing, and text order is time order', () => {
    fc.assert(
      fc.property(ticks, ticks, (a, b) => {
        expect(toTicks(fromTicks(a))).toBe(a)
        expect(fromTicks(a)).toHaveLength(28)
        expect(compare(fromTicks(a), fromTicks(b))).toBe(a < b ? -1 : a > b ? 1 : 0)
      }),
    )
  })

  test('what is not normalised is refused, not guessed', () => {
    for (const text of ['2026-11-23T10:11:12Z', '2026-02-30T00:00:00.0000000Z', '', '2026-11-23T10:11:60.0000000Z']) {
      expect(() => toTicks(text)).toThrow(RangeError)
    }
    expect(() => fromTicks(LAST + 1n)).toThrow(RangeError)
    expect(() => fromTicks(FIRST - 1n)).toThrow(RangeError)
  })

  test('addMs goes forth and back', () => {
    expect(addMs('2026-11-23T10:00:00.1234567Z', -600_000)).toBe('2026-11-23T09:50:00.1234567Z')
    expect(addMs('2026-12-31T23:59:59.9999999Z', 1)).toBe('2027-01-01T00:00:00.0009999Z')
    expect(fromEpochMs(1_795_428_672_123.9)).toBe('2026-11-23T10:11:12.1230000Z')
  })
})

describe('windows', () => {
  test('halves adjoin, cover the whole and shrink to one tick, which cannot be halved', () => {
    fc.assert(
      fc.property(instant, instant, (a, b) => {
        const [from, to] = compare(a, b) <= 0 ? [a, b] : [b, a]
        const width = toTicks(to) - toTicks(from)
        const halves = halve({ from, to })
        if (width <= 1n) {
          expect(halves).toBeNull()
          return
        }
        const [older, newer] = halves ?? []
        expect(older?.from).toBe(from)
        expect(older?.to).toBe(newer?.from)
        expect(newer?.to).toBe(to)
        expect(toTicks(older?.to ?? '') - toTicks(from)).toBe(width / 2n)
      }),
    )
    expect(halve({ from: '2026-11-23T10:00:00.0000000Z', to: '2026-11-23T10:00:00.0000001Z' })).toBeNull()
  })

  test('slices adjoin, oldest first, none longer than asked for, and cover exactly the range', () => {
    fc.assert(
      fc.property(
        instant,
        fc.bigInt({ min: 0n, max: 10n ** 12n }),
        fc.integer({ min: 1_000, max: 100_000_000 }),
        (from, width, maxMs) => {
          const end = toTicks(from) + width
          fc.pre(end <= LAST && width / (BigInt(maxMs) * 10_000n) < 2_000n)
          const to = fromTicks(end)
          const all = [...slices(from, to, maxMs)]
          let at = from
          for (const slice of all) {
            expect(slice.from).toBe(at)
            const size = toTicks(slice.to) - toTicks(slice.from)
            expect(size > 0n && size <= BigInt(maxMs) * 10_000n).toBe(true)
            at = slice.to
          }
          expect(at).toBe(to)
        },
      ),
    )
  })

  test('a slice of no length is a mistake of the caller', () => {
    expect(() => [...slices('2026-11-23T10:00:00.0000000Z', '2026-11-23T11:00:00.0000000Z', 0)]).toThrow(RangeError)
  })
})
