import type { Gap } from '../schemas/types.ts'
import type { Window } from './window.ts'
import { compare, toTicks } from './window.ts'

/** Windows that Graph would not give, oldest first, without overlaps. */
export const GAPS_MAX = 100

/** What of a window is no known gap: the rest is polled, the gaps are tried on their own. */
export function withoutGaps(window: Window, gaps: readonly Gap[]): readonly Window[] {
  let rest: Window[] = [window]
  for (const gap of gaps) {
    rest = rest.flatMap(part => [
      ...nonEmpty(part.from, earlier(part.to, gap.from)),
      ...nonEmpty(later(part.from, gap.to), part.to),
    ])
  }
  return rest
}

/** Adds a gap; those that touch become one. Beyond GAPS_MAX the nearest neighbours are joined: nothing is forgotten. */
export function addGap(gaps: readonly Gap[], window: Window, reason: string, nowMs: number): readonly Gap[] {
  const fresh: Gap = { from: window.from, to: window.to, reason, since: nowMs, attempts: 1 }
  const sorted = [...gaps, fresh].toSorted((a, b) => compare(a.from, b.from))
  const merged: Gap[] = []
  for (const gap of sorted) {
    const last = merged.at(-1)
    if (last && compare(gap.from, last.to) <= 0) merged[merged.length - 1] = join(last, gap)
    else merged.push(gap)
  }
  while (merged.length > GAPS_MAX) joinNearest(merged)
  return merged
}

function joinNearest(gaps: Gap[]): void {
  let nearest: { at: number; between: bigint; joined: Gap } | undefined
  for (const [at, gap] of gaps.entries()) {
    const before = gaps[at - 1]
    if (!before) continue
    const between = toTicks(gap.from) - toTicks(before.to)
    if (!nearest || between < nearest.between) nearest = { at: at - 1, between, joined: join(before, gap) }
  }
  if (nearest) gaps.splice(nearest.at, 2, nearest.joined)
}

/** Takes a window out again: it was read. */
export function closeGap(gaps: readonly Gap[], window: Window): readonly Gap[] {
  return gaps.flatMap(gap => [
    ...nonEmpty(gap.from, earlier(gap.to, window.from)).map(part => ({ ...gap, ...part })),
    ...nonEmpty(later(gap.from, window.to), gap.to).map(part => ({ ...gap, ...part })),
  ])
}

/** The younger of the two must not wait for the older one's turn. */
function join(a: Gap, b: Gap): Gap {
  return {
    from: earlier(a.from, b.from),
    to: later(a.to, b.to),
    reason: a.reason,
    since: Math.min(a.since, b.since),
    attempts: Math.min(a.attempts, b.attempts),
  }
}

function nonEmpty(from: string, to: string): Window[] {
  return compare(from, to) < 0 ? [{ from, to }] : []
}

function earlier(a: string, b: string): string {
  return compare(a, b) <= 0 ? a : b
}

function later(a: string, b: string): string {
  return compare(a, b) >= 0 ? a : b
}
