import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { addGap, closeGap, GAPS_MAX, withoutGaps } from '../../producers/gaps.ts'
import type { Window } from '../../producers/window.ts'
import { fromTicks, toTicks } from '../../producers/window.ts'
import type { Gap } from '../../schemas/types.ts'

const START = toTicks('2026-11-23T10:11:12.0000000Z')
const WIDTH = 60

/** A window of a world of 60 ticks, as gaps and sets of ticks see it. */
const window = fc
  .tuple(fc.nat({ max: WIDTH }), fc.integer({ min: 1, max: 12 }))
  .map(([from, length]): Window => ({ from: at(from), to: at(from + length) }))

function at(tick: number): string {
  return fromTicks(START + BigInt(tick))
}

function ticksOf(windows: readonly Window[]): Set<number> {
  const ticks = new Set<number>()
  for (const { from, to } of windows) {
    for (let tick = toTicks(from); tick < toTicks(to); tick++) ticks.add(Number(tick - START))
  }
  return ticks
}

function without(ticks: ReadonlySet<number>, taken: ReadonlySet<number>): Set<number> {
  return new Set([...ticks].filter(tick => !taken.has(tick)))
}

function isTidy(windows: readonly Window[]): boolean {
  return windows.every(({ from, to }, n) => from < to && (windows[n - 1]?.to ?? '') < from)
}

type Step = { readonly kind: 'add' | 'close'; readonly window: Window }
const steps = fc.array(fc.record<Step>({ kind: fc.constantFrom('add', 'close'), window }), {
  maxLength: 25,
  size: 'max',
})

function play(all: readonly Step[], add: typeof addGap = addGap): { gaps: readonly Gap[]; model: Set<number> } {
  let gaps: readonly Gap[] = []
  let model = new Set<number>()
  for (const [n, { kind, window }] of all.entries()) {
    gaps = kind === 'add' ? add(gaps, window, 'no', n) : closeGap(gaps, window)
    const ticks = ticksOf([window])
    model = kind === 'add' ? new Set([...model, ...ticks]) : without(model, ticks)
  }
  return { gaps, model }
}

describe('gaps', () => {
  test('are the ticks that were added and not closed since, in order and apart', () => {
    fc.assert(
      fc.property(steps, all => {
        const { gaps, model } = play(all)
        expect(ticksOf(gaps)).toEqual(model)
        expect(gaps.every(({ from, to }, n) => from < to && (gaps[n - 1]?.to ?? '') <= from)).toBe(true)
      }),
      { numRuns: 500 },
    )
  })

  test('that touch are one', () => {
    fc.assert(
      fc.property(fc.array(window), all => {
        expect(isTidy(play(all.map(added)).gaps)).toBe(true)
      }),
    )
  })

  test('and what is polled beside them are the whole window, and nothing twice', () => {
    fc.assert(
      fc.property(steps, window, (all, polled) => {
        const { gaps, model } = play(all)
        const parts = withoutGaps(polled, gaps)
        expect(ticksOf(parts)).toEqual(without(ticksOf([polled]), model))
        expect(isTidy(parts)).toBe(true)
      }),
      { numRuns: 500 },
    )
  })

  test('of any number stay few, and cover at least what they covered', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat({ max: 1_000 }), { minLength: 200, maxLength: 400 }), starts => {
        const windows = starts.map(from => ({ from: at(from * 3), to: at(from * 3 + 1) }))
        const { gaps, model } = play(windows.map(added))
        expect(gaps.length).toBeLessThanOrEqual(GAPS_MAX)
        expect(without(model, ticksOf(gaps))).toEqual(new Set())
        expect(isTidy(gaps)).toBe(true)
      }),
      { numRuns: 10 },
    )
  })

  test('that are joined are as old as the older one and as impatient as the younger', () => {
    const old: Gap = { from: at(0), to: at(5), reason: 'first', since: 10, attempts: 7 }
    expect(addGap([old], { from: at(5), to: at(9) }, 'second', 99)).toEqual([
      { from: at(0), to: at(9), reason: 'first', since: 10, attempts: 1 },
    ])
  })

  test('that are closed in the middle leave both ends as they were', () => {
    const gap: Gap = { from: at(0), to: at(9), reason: 'no', since: 10, attempts: 7 }
    expect(closeGap([gap], { from: at(3), to: at(4) })).toEqual([
      { ...gap, to: at(3) },
      { ...gap, from: at(4) },
    ])
  })

  test('without those that come first the set of ticks shows it', () => {
    const forgetful: typeof addGap = (gaps, ...rest) => addGap(gaps.slice(1), ...rest)
    const run = fc.property(steps, all => {
      expect(ticksOf(play(all, forgetful).gaps)).toEqual(play(all).model)
    })
    expect(fc.check(run, { endOnFailure: true }).failed).toBe(true)
  })
})

function added(window: Window): Step {
  return { kind: 'add', window }
}
