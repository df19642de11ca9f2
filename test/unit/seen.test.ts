import { hash } from 'node:crypto'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Seen } from '../../producers/seen.ts'
import { createSeen } from '../../producers/seen.ts'
import { versionAt } from './fakes/records.ts'

const content = (text: string): Buffer => hash('sha256', text, 'buffer')

const revision = fc.record({
  id: fc.constantFrom('a', 'b', 'a/b', '', '/', '1/a', 'é', 'x'.repeat(300)),
  version: fc.nat({ max: 50 }),
  text: fc.constantFrom('one', 'two'),
})

describe('a revision', () => {
  test('is known when this very one was noted: same alert, version and content', () => {
    fc.assert(
      fc.property(fc.array(revision), revision, (noted, asked) => {
        const seen = createSeen()
        for (const { id, version, text } of noted) seen.note(id, versionAt(version), content(text))
        const isNoted = noted.some(
          each => each.id === asked.id && each.version === asked.version && each.text === asked.text,
        )
        expect(seen.has(asked.id, versionAt(asked.version), content(asked.text))).toBe(isNoted)
      }),
    )
  })

  test('may have two contents in turns: both stay known', () => {
    const seen = createSeen()
    for (const text of ['one', 'two']) seen.note('a', versionAt(1), content(text))
    expect(['one', 'two', 'three'].map(text => seen.has('a', versionAt(1), content(text)))).toEqual([true, true, false])
  })
})

/** Revisions in the order of time; each time, what is more than `span` back may be forgotten. */
function run(seen: Seen, count: number, span: number): number {
  let most = 0
  for (let n = 0; n < count; n++) {
    seen.note(`a${n}`, versionAt(n), content('x'))
    seen.forgetBefore(versionAt(Math.max(0, n - span)))
    most = Math.max(most, seen.size)
  }
  return most
}

describe('forgetting', () => {
  test('never takes what a later poll can list again', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2_000 }), fc.integer({ min: 1, max: 300 }), (count, span) => {
        const seen = createSeen()
        run(seen, count, span)
        for (let n = Math.max(0, count - 1 - span); n < count; n++) {
          expect(seen.has(`a${n}`, versionAt(n), content('x')), `${n} of ${count}`).toBe(true)
        }
      }),
      { numRuns: 30 },
    )
  })

  test('bounds what is remembered, however long it goes on', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 300 }), span => {
        // it walks when it has doubled, and never for less than 64
        expect(run(createSeen(), 5_000, span)).toBeLessThanOrEqual(Math.max(64, 2 * (span + 1)))
      }),
      { numRuns: 20 },
    )
  })

  test('without it everything stays, and it shows', () => {
    const seen = createSeen()
    expect(
      run(
        {
          ...seen,
          forgetBefore: () => {},
          get size() {
            return seen.size
          },
        },
        5_000,
        10,
      ),
    ).toBe(5_000)
  })

  test('goes by the given instant where the version is none', () => {
    const seen = createSeen()
    seen.note('late', 'foreign-tenant', content('x'), versionAt(900))
    for (let n = 0; n < 100; n++) seen.note(`q${n}`, 'foreign-tenant', content('x'), versionAt(n))
    seen.forgetBefore(versionAt(500))
    expect(seen.size).toBe(1)
    expect(seen.has('late', 'foreign-tenant', content('x'))).toBe(true)
  })
})
