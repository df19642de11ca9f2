import type { Checkpoint, Gap } from '../schemas/types.ts'
import { addGap, closeGap, withoutGaps } from './gaps.ts'
import type { Graph } from './graph/client.ts'
import type { TenantAccess } from './graph/clouds.ts'
import type { Problem, Trouble } from './graph/problems.ts'
import type { Cover } from './listing.ts'
import type { Window } from './window.ts'
import { addMs, compare, fromEpochMs } from './window.ts'

/** How far a tenant has been read. Everything in it is durable: it goes into the checkpoint as it is. */
export interface Progress {
  /** Update times before it were listed completely, but for the gaps and the look-back. */
  readonly watermark: string
  readonly backfill: { readonly next: string; readonly until: string } | null
  readonly gaps: readonly Gap[]
}

export type TurnEnd =
  /** `more`: the look-back goes on, ask again soon. */
  | { readonly kind: 'ok'; readonly more: boolean }
  /** Some providers did not answer: what came is published, the watermark stays. */
  | { readonly kind: 'partial'; readonly providers: readonly string[] }
  | { readonly kind: 'throttled'; readonly retryAfterMs: number | null; readonly detail: string }
  | { readonly kind: 'unavailable'; readonly retryAfterMs: number | null; readonly detail: string }
  | { readonly kind: 'needs-attention'; readonly problem: Problem }

export interface Turn {
  readonly end: TurnEnd
  readonly progress: Progress | null
}

export interface PollDeps {
  readonly graph: Graph
  readonly access: TenantAccess
  readonly signal: AbortSignal
  /** Reads a window and makes its new alerts durable. `closed`: no later poll covers it. */
  readonly cover: (window: Window, origin: 'poll' | 'backfill', closed: boolean) => Promise<Cover>
  /** Called as the turn gets on, each time with more that is durable. */
  readonly advanced: (progress: Progress) => Promise<void>
  readonly nowMs: () => number
  readonly limits: PollLimits
}

export interface PollLimits {
  readonly overlapMs: number
  readonly lookbackMs: number
  readonly intervalMs: number
}

/** A catch-up after a long silence, and the look-back, go in windows of at most this. */
const SLICE_MS = 6 * 3_600_000
/** Windows of the look-back in one turn: the live window always comes first. */
const BACKFILL_SLICES = 4
/** A provider that is silent for this long becomes a gap, so that the window does not grow for ever. */
const PARTIAL_PATIENCE_MS = 3_600_000
const GAP_RETRY_FIRST_MS = 60_000
const GAP_RETRY_MAX_MS = 3_600_000

/** Calls `advanced` and keeps what it was called with. */
type Reach = (progress: Progress) => Promise<void>

/** One tenant's turn: live window, then a share of the look-back, then one gap. Rejects only with TransientError (Kafka) or the signal's reason. */
export async function poll(before: Progress | null, deps: PollDeps): Promise<Turn> {
  const time = await deps.graph.now(deps.access, deps.signal)
  if (time.kind !== 'time') return { end: endOf(time), progress: before }
  const estimate = fromEpochMs(time.epochMs)
  // what was listed once is past: a clock that was set back must not pass for a poll that found nothing
  const now = before ? later(estimate, before.watermark) : estimate
  const start = before ?? begin(now, deps.limits)
  const from = before ? addMs(before.watermark, -overlapOf(deps.limits)) : start.watermark
  // a first turn that comes to nothing leaves nothing: its idea of where to begin was never put to the test
  let progress = before
  const reach: Reach = async next => {
    progress = next
    await deps.advanced(next)
  }

  const live = await catchUp(start, { from, to: now }, deps, reach)
  if (live !== null && live.kind !== 'partial') return { end: live, progress }
  let reached: Progress = progress ?? start
  for (let slice = 0; reached.backfill !== null && slice < BACKFILL_SLICES; slice++) {
    const end = await lookBack(reached, deps, reach)
    reached = progress ?? start
    if (end !== null) return { end, progress }
  }
  const end = await retryGap(reached, deps, reach)
  return { end: end ?? live ?? { kind: 'ok', more: reached.backfill !== null }, progress }
}

/** Every instant lies in two or more polls, whatever the interval. */
export function overlapOf({ overlapMs, intervalMs }: Pick<PollLimits, 'overlapMs' | 'intervalMs'>): number {
  return Math.max(overlapMs, 2 * intervalMs)
}

function begin(now: string, limits: PollLimits): Progress {
  const liveFrom = addMs(now, -overlapOf(limits))
  const first = addMs(now, -limits.lookbackMs)
  return {
    watermark: liveFrom,
    backfill: compare(first, liveFrom) < 0 ? { next: first, until: liveFrom } : null,
    gaps: [],
  }
}

/** Reads from the overlap up to now, oldest first; null when all of it is done. */
async function catchUp(start: Progress, whole: Window, deps: PollDeps, reach: Reach): Promise<TurnEnd | null> {
  const { to: now } = whole
  const overlapMs = overlapOf(deps.limits)
  const open = addMs(now, -overlapMs)
  let progress = start
  let { from } = whole
  // the watermark stays before what they are missing from; the others' newest alerts are read all the same
  let silent: readonly string[] = []
  while (compare(from, now) < 0) {
    const to = endOfSlice(from, now, open, start.watermark)
    const closed = compare(to, open) <= 0
    let asOf = to
    for (const window of withoutGaps({ from, to }, progress.gaps)) {
      const cover = await deps.cover(window, 'poll', closed)
      if (cover.kind === 'trouble') return endOf(cover.trouble)
      if (cover.asOfMs !== null) asOf = earlier(asOf, fromEpochMs(cover.asOfMs))
      if (!closed && compare(asOf, open) < 0) return clockMoved
      progress = { ...progress, gaps: withLeft(progress.gaps, cover, deps.nowMs()) }
      if (cover.missing.length === 0) continue
      const waited = compare(window.from, addMs(open, -PARTIAL_PATIENCE_MS)) < 0
      if (!waited) {
        silent = [...new Set([...silent, ...cover.missing])]
        continue
      }
      const reason = `no answer from ${cover.missing.join(', ')}`
      progress = { ...progress, gaps: addGap(progress.gaps, window, reason, deps.nowMs()) }
    }
    // what Graph dates later than its answer is not in the answer
    if (silent.length === 0) progress = { ...progress, watermark: later(progress.watermark, asOf) }
    await reach(progress)
    from = to
  }
  return silent.length === 0 ? null : { kind: 'partial', providers: silent }
}

/** What was never listed and no later poll will list is a window of its own, so that it is read as a closed one. */
function endOfSlice(from: string, now: string, open: string, watermark: string): string {
  const to = earlier(addMs(from, SLICE_MS), now)
  const splits = compare(watermark, open) < 0 && compare(from, open) < 0 && compare(open, to) < 0
  return splits ? open : to
}

/** Our idea of Graph's clock was wrong by more than the overlap. The answer has set it right for the next turn. */
const clockMoved: TurnEnd = {
  kind: 'unavailable',
  retryAfterMs: null,
  detail: "Graph's clock is not where it was expected: this worker's clock was moved, or Graph's",
}

async function lookBack(progress: Progress, deps: PollDeps, reach: Reach): Promise<TurnEnd | null> {
  if (progress.backfill === null) return null
  const { next, until } = progress.backfill
  const to = earlier(addMs(next, SLICE_MS), until)
  let gaps = progress.gaps
  for (const window of withoutGaps({ from: next, to }, gaps)) {
    const cover = await deps.cover(window, 'backfill', true)
    if (cover.kind === 'trouble') return endOf(cover.trouble)
    gaps = withLeft(gaps, cover, deps.nowMs())
    if (cover.missing.length > 0)
      gaps = addGap(gaps, window, `no answer from ${cover.missing.join(', ')}`, deps.nowMs())
  }
  await reach({ ...progress, gaps, backfill: compare(to, until) < 0 ? { next: to, until } : null })
  return null
}

/** The gap that has waited longest for its next try, if any is due. */
async function retryGap(progress: Progress, deps: PollDeps, reach: Reach): Promise<TurnEnd | null> {
  const nowMs = deps.nowMs()
  const dueMs = (gap: Gap): number => gap.since + gapDelayMs(gap.attempts)
  const [due] = progress.gaps.filter(gap => nowMs >= dueMs(gap)).toSorted((a, b) => dueMs(a) - dueMs(b))
  if (!due) return null
  const cover = await deps.cover(due, 'poll', true)
  if (cover.kind === 'trouble') return endOf(cover.trouble)
  const rest = withLeft(closeGap(progress.gaps, due), cover, nowMs)
  const open = cover.missing.length > 0 ? addGap(rest, due, due.reason, nowMs) : rest
  // what was narrowed down goes on soon, as a new gap does; what was not waits longer each time
  const narrowed = withoutGaps(due, open).length > 0
  const gaps = open.map(gap =>
    !narrowed && compare(gap.from, due.to) < 0 && compare(due.from, gap.to) < 0
      ? { ...gap, since: due.since, attempts: due.attempts + 1 }
      : gap,
  )
  await reach({ ...progress, gaps })
  return null
}

/** Doubles with each try, counted from when the gap was found. */
function gapDelayMs(attempts: number): number {
  return Math.min(GAP_RETRY_MAX_MS * attempts, GAP_RETRY_FIRST_MS * 2 ** Math.min(attempts - 1, 20))
}

function withLeft(gaps: readonly Gap[], cover: Extract<Cover, { kind: 'covered' }>, nowMs: number): readonly Gap[] {
  return cover.left.reduce((all, { window, reason }) => addGap(all, window, reason, nowMs), gaps)
}

function endOf(trouble: Trouble): TurnEnd {
  switch (trouble.kind) {
    case 'throttled':
    case 'unavailable':
    case 'needs-attention':
      return trouble
    case 'split':
      return { kind: 'unavailable', retryAfterMs: null, detail: trouble.detail }
  }
}

/** What a checkpoint says; null when the tenant's source changed, for the other list has a history of its own. */
export function progressOf(checkpoint: Checkpoint | undefined, source: string): Progress | null {
  if (!checkpoint || checkpoint.source !== source || checkpoint.watermark === '') return null
  const { watermark, backfillNext, backfillUntil, gaps } = checkpoint
  const backfill = backfillNext !== null && backfillUntil !== null ? { next: backfillNext, until: backfillUntil } : null
  return { watermark, backfill, gaps }
}

function earlier(a: string, b: string): string {
  return compare(a, b) <= 0 ? a : b
}

function later(a: string, b: string): string {
  return compare(a, b) >= 0 ? a : b
}
