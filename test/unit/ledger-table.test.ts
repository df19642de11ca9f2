import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Digest, TableMark } from '../../consumers/ledger-table.ts'
import { LedgerTable } from '../../consumers/ledger-table.ts'

/** Few home slots, so that entries are pushed along and wrap around. */
function digest(n: number): Digest {
  return { a: n % 5 === 0 ? -1 : n % 7, b: -n, c: n * 3, d: 1 }
}

function mark(n: number, day: number): TableMark {
  return { version: { hi: n, lo: n + 1 }, hashHi: n + 2, hashLo: n + 3, offset: n * 100_000_000_007, day }
}

const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('set' as const),
      n: fc.nat(300),
      day: fc.integer({ min: 1, max: 60_000 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('set-unless-older' as const),
      n: fc.nat(300),
      day: fc.integer({ min: 1, max: 60_000 }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('delete' as const), n: fc.nat(300), day: fc.constant(0) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('expire' as const),
      n: fc.constant(0),
      day: fc.integer({ min: 1, max: 60_000 }),
    }),
  },
)

test('the table is a map, whatever is set, deleted and expired, in whatever order', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 400 }), steps => {
      const table = new LedgerTable()
      const model = new Map<number, TableMark>()
      for (const { kind, n, day } of steps) {
        switch (kind) {
          case 'set':
            table.set(digest(n), mark(n, day))
            model.set(n, mark(n, day))
            break
          case 'set-unless-older': {
            // versions around that of the mark itself
            const version = { hi: Math.max(0, n + (day % 3) - 1), lo: n + (day % 5) }
            const known = model.get(n)?.version
            const isNews = !known || version.hi > known.hi || (version.hi === known.hi && version.lo >= known.lo)
            const newer = { ...mark(n, day), version }
            expect(table.setUnlessOlder(digest(n), newer)).toBe(isNews)
            if (isNews) model.set(n, newer)
            break
          }
          case 'delete':
            table.delete(digest(n))
            model.delete(n)
            break
          case 'expire': {
            const gone = [...model].filter(([, entry]) => entry.day < day)
            expect(table.expire(day)).toBe(gone.length)
            for (const [key] of gone) model.delete(key)
          }
        }
        expect(table.count).toBe(model.size)
      }
      for (let n = 0; n <= 300; n++) expect(table.get(digest(n))).toEqual(model.get(n) ?? null)
    }),
    { numRuns: 300 },
  )
})

test('an entry takes at most 70 bytes, however the table has just grown', () => {
  const table = new LedgerTable()
  for (let n = 0; n < 100_000; n++) table.set({ a: Math.imul(n, 0x9e3779b1) >>> 0, b: n, c: 0, d: 0 }, mark(n, 20_000))
  expect(table.count).toBe(100_000)
  expect(table.bytes / table.count).toBeLessThanOrEqual(70)
})
