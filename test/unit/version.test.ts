import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { compareVersions, instantMs, packVersion, packVersionAt, unpackVersion } from '../../consumers/version.ts'

const DAY_MS = 86_400_000
const YEAR_9999_MS = Date.UTC(9999, 11, 31)
const digits = (value: number, width: number): string => String(value).padStart(width, '0')

/** Versions as pollers write them, with as many zeros as there may be. */
const version = fc
  .tuple(
    fc.integer({ min: 0, max: YEAR_9999_MS / DAY_MS }),
    fc.tuple(fc.integer({ min: 0, max: 23 }), fc.integer({ min: 0, max: 59 }), fc.integer({ min: 0, max: 59 })),
    fc.integer({ min: 0, max: 9_999_999 }),
  )
  .map(([day, time, ticks]) => {
    const date = new Date(day * DAY_MS).toISOString().slice(0, 10)
    return `${date}T${time.map(part => digits(part, 2)).join(':')}.${digits(ticks, 7)}Z`
  })

function packed(text: string) {
  const pair = packVersion(text)
  if (pair === null) throw new Error(`${text} is no version`)
  return pair
}

describe('a version in the ledger', () => {
  test('is given back as it was written, to its last digit', () => {
    fc.assert(
      fc.property(version, text => {
        expect(unpackVersion(packed(text))).toBe(text)
      }),
    )
  })

  test('stands for the instant that its text names', () => {
    fc.assert(
      fc.property(version, text => {
        expect(instantMs(packed(text))).toBe(Date.parse(`${text.slice(0, 23)}Z`))
      }),
    )
  })

  test('reads the same where it lies among other bytes', () => {
    fc.assert(
      fc.property(
        fc.oneof(version, fc.string({ minLength: 28, maxLength: 28 })),
        fc.nat({ max: 9 }),
        (text, before) => {
          const bytes = Buffer.concat([Buffer.alloc(before, 0x39), Buffer.from(text, 'latin1'), Buffer.of(0x5a)])
          const asText = bytes.toString('latin1', before, before + text.length)
          expect(packVersionAt(bytes, before)).toEqual(packVersion(asText))
          expect(packVersionAt(bytes.subarray(0, before + text.length - 1), before)).toBe(null)
        },
      ),
    )
  })

  test('fits into 31 bits each, to the last year that there is', () => {
    const { hi, lo } = packed('9999-12-31T23:59:59.9999999Z')
    expect([hi | 0, lo | 0]).toEqual([hi, lo])
  })

  test('compares as its text does', () => {
    fc.assert(
      fc.property(version, version, (a, b) => {
        expect(Math.sign(compareVersions(packed(a), packed(b)))).toBe(a < b ? -1 : a > b ? 1 : 0)
      }),
    )
  })

  test.each(['', '2026-11-23', '2026-11-23T10:11:12Z', '2026-11-23T10:11:12.1234567z', '1969-12-31T23:59:59.9999999Z'])(
    'is never made of %j',
    text => {
      expect(packVersion(text)).toBe(null)
    },
  )
})
