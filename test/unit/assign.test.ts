import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { assignLanes, type Claim } from '../../platform/kafka/assign.ts'

const LANES = fc.integer({ min: 1, max: 64 })
const NAMES = fc.uniqueArray(fc.stringMatching(/^[a-z0-9-]{1,12}$/), { minLength: 1, maxLength: 12 })

/** What members of any state may claim: lanes of old generations, the same lane twice, lanes that do not exist. */
const CLAIMS: fc.Arbitrary<Claim[]> = NAMES.chain(names =>
  fc.tuple(
    ...names.map(memberId =>
      fc.record({
        memberId: fc.constant(memberId),
        lanes: fc.array(fc.integer({ min: -1, max: 70 }), { maxLength: 40 }),
        generation: fc.integer({ min: -1, max: 5 }),
      }),
    ),
  ),
)

/** A group that was assigned once from nothing. */
const SETTLED = fc.record({ laneCount: LANES, names: NAMES }).map(({ laneCount, names }) => {
  const fresh = names.map(memberId => ({ memberId, lanes: [], generation: -1 }))
  return { laneCount, claims: asClaims(assignLanes(laneCount, fresh), 1) }
})

function asClaims(assignment: ReadonlyMap<string, readonly number[]>, generation: number): Claim[] {
  return [...assignment].map(([memberId, lanes]) => ({ memberId, lanes, generation }))
}

function owners(assignment: ReadonlyMap<string, readonly number[]>): Map<number, string> {
  return new Map([...assignment].flatMap(([memberId, lanes]) => lanes.map(lane => [lane, memberId] as const)))
}

/** Lanes whose owner is another one than before. */
function moved(before: readonly Claim[], after: ReadonlyMap<string, readonly number[]>): number {
  const now = owners(after)
  return before.flatMap(({ memberId, lanes }) => lanes.filter(lane => now.get(lane) !== memberId)).length
}

const numbers = (count: number): number[] => Array.from({ length: count }, (_, lane) => lane)

describe('whatever the members claim', () => {
  test('every lane has exactly one owner, and every member an answer', () => {
    fc.assert(
      fc.property(LANES, CLAIMS, (laneCount, claims) => {
        const assignment = assignLanes(laneCount, claims)
        expect([...assignment.values()].flat().toSorted((a, b) => a - b)).toEqual(numbers(laneCount))
        expect([...assignment.keys()].toSorted()).toEqual(claims.map(({ memberId }) => memberId).toSorted())
      }),
    )
  })

  test('no two members differ by more than one lane', () => {
    fc.assert(
      fc.property(LANES, CLAIMS, (laneCount, claims) => {
        const sizes = [...assignLanes(laneCount, claims).values()].map(lanes => lanes.length)
        expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1)
      }),
    )
  })

  test('the order in which Kafka lists the members changes nothing', () => {
    fc.assert(
      fc.property(LANES, CLAIMS, (laneCount, claims) => {
        expect(owners(assignLanes(laneCount, claims.toReversed()))).toEqual(owners(assignLanes(laneCount, claims)))
      }),
    )
  })
})

test('nothing moves when nobody came or went', () => {
  fc.assert(
    fc.property(SETTLED, ({ laneCount, claims }) => {
      expect(moved(claims, assignLanes(laneCount, claims))).toBe(0)
    }),
  )
})

test('a join moves at most ceil(lanes / members), all of them to the new member', () => {
  fc.assert(
    fc.property(SETTLED, fc.stringMatching(/^[A-Z]{1,8}$/), ({ laneCount, claims }, memberId) => {
      const after = assignLanes(laneCount, [...claims, { memberId, lanes: [], generation: -1 }])
      const count = moved(claims, after)
      expect(count).toBeLessThanOrEqual(Math.ceil(laneCount / after.size))
      expect(count).toBe(after.get(memberId)?.length)
    }),
  )
})

test('a leave moves only the lanes of the member that left', () => {
  fc.assert(
    fc.property(SETTLED, fc.nat(), ({ laneCount, claims }, pick) => {
      fc.pre(claims.length > 1)
      const left = claims[pick % claims.length]
      const stayed = claims.filter(claim => claim !== left)
      expect(moved(stayed, assignLanes(laneCount, stayed))).toBe(0)
      expect(left?.lanes.length).toBeLessThanOrEqual(Math.ceil(laneCount / claims.length))
    }),
  )
})

test('of two claims on a lane the younger generation wins', () => {
  const zombie = { memberId: 'a', lanes: [0, 1, 2, 3], generation: 7 }
  const owner = { memberId: 'b', lanes: [2, 3], generation: 8 }
  const assignment = assignLanes(4, [owner, zombie])
  expect(assignment.get('a')).toEqual([0, 1])
  expect(assignment.get('b')).toEqual([2, 3])
})

test('with more members than lanes the surplus waits with none', () => {
  const claims = ['a', 'b', 'c'].map(memberId => ({ memberId, lanes: [], generation: -1 }))
  expect([...assignLanes(2, claims).values()].map(lanes => lanes.length).toSorted((a, b) => a - b)).toEqual([0, 1, 1])
})
