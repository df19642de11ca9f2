import type { Gap } from '../schemas/types.ts'
import type { Window } from './window.ts'
import { compare } from './window.ts'

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
  let merged = mergeWhere(sorted, (a, b) => compare(b.from, a.to) <= 0)
  for (let end = merged.length - 1; merged.length > GAPS_MAX && end > 0; end--) {
    merged = [...merged.slice(0, end - 1), join(merged[end - 1], merged[end]), ...merged.slice(end + 1)].filter(
      gap => gap !== undefined,
    )
  }
  return merged
}

/** Takes a window out again: it was read. */
export function closeGap(gaps: readonly Gap[], window: Window): readonly Gap[] {
  return gaps.flatMap(gap => [
    ...nonEmpty(gap.from, earlier(gap.to, window.from)).map(part => ({ ...gap, ...part })),
    ...nonEmpty(later(gap.from, window.to), gap.to).map(part => ({ ...gap, ...part })),
  ])
}

function mergeWhere(sorted: readonly Gap[], touch: (a: Gap, b: Gap) => boolean): Gap[] {
  const merged: Gap[] = []
  for (const gap of sorted) {
    const last = merged.at(-1)
    if (last && touch(last, gap)) merged[merged.length - 1] = join(last, gap) ?? gap
    else merged.push(gap)
  }
  return merged
}

function join(a: Gap | undefined, b: Gap | undefined): Gap | undefined {
  if (!a || !b) return a ?? b
  return {
    from: earlier(a.from, b.from),
    to: later(a.to, b.to),
    reason: a.reason,
    since: Math.min(a.since, b.since),
    attempts: Math.max(a.attempts, b.attempts),
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
