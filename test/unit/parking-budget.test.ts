import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parkingBudget } from '../../consumers/park.ts'

const COUNT_MAX = 20
const SHARE_MAX = 0.1
const SPAN_RECORDS = 1_000

const step = fc.record({ parked: fc.integer({ min: 0, max: 60 }), others: fc.integer({ min: 0, max: 1_200 }) })

/** The last thousand records one by one: 1 for a parked one. */
function oneByOne(steps: readonly { parked: number; others: number }[]): readonly number[] {
  return steps
    .flatMap(({ parked, others }) => [...new Array<number>(others).fill(0), ...new Array<number>(parked).fill(1)])
    .slice(-SPAN_RECORDS)
}

describe('the budget of what may be parked', () => {
  test('goes by the last thousand records, whatever came in whatever portions', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), step, (before, wanted) => {
        const budget = parkingBudget(COUNT_MAX, SHARE_MAX)
        for (const { parked, others } of before) budget.note(parked, others)
        const span = oneByOne([...before, wanted])
        const parked = span.filter(one => one === 1).length
        const fits = wanted.parked === 0 || parked <= COUNT_MAX || parked <= SHARE_MAX * span.length
        expect(budget.allows(wanted.parked, wanted.others)).toBe(fits)
      }),
    )
  })

  test('forgets what was parked once a thousand others came', () => {
    const budget = parkingBudget(COUNT_MAX, SHARE_MAX)
    budget.note(COUNT_MAX, 100)
    expect(budget.allows(1, 0)).toBe(false)
    budget.note(0, SPAN_RECORDS)
    expect(budget.allows(1, 0)).toBe(true)
  })
})
