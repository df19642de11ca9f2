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
  readonly advanced: (progress: Progress) => void
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

/** One tenant's turn: live window, then a share of the look-back, then one gap. Rejects only with TransientError (Kafka) or the signal's reason. */
export async function poll(before: Progress | null, deps: PollDeps): Promise<Turn> {
  const time = await deps.graph.now(deps.access, deps.signal)
  if (time.kind !== 'time') return { end: endOf(time), progress: before }
  const now = fromEpochMs(time.epochMs)
  let progress = before ?? begin(now, deps.limits)
  const reach = (next: Progress): void => {
    progress = next
    deps.advanced(next)
  }

  const live = await catchUp(progress, now, deps, reach)
  if (live !== null) return { end: live, progress }
  for (let slice = 0; progress.backfill !== null && slice < BACKFILL_SLICES; slice++) {
    const end = await lookBack(progress, deps, reach)
    if (end !== null) return { end, progress }
  }
  const end = await retryGap(progress, deps, reach)
  return { end: end ?? { kind: 'ok', more: progress.backfill !== null }, progress }
}

function begin(now: string, { overlapMs, lookbackMs }: PollLimits): Progress {
  const liveFrom = addMs(now, -overlapMs)
  const first = addMs(now, -lookbackMs)
  return {
    watermark: now,
    backfill: compare(first, liveFrom) < 0 ? { next: first, until: liveFrom } : null,
    gaps: [],
  }
}

/** Reads [watermark - overlap, now), oldest first; null when all of it is done. */
async function catchUp(
  start: Progress,
  now: string,
  deps: PollDeps,
  reach: (progress: Progress) => void,
): Promise<TurnEnd | null> {
  // every instant lies in two or more polls, whatever the interval
  const overlapMs = Math.max(deps.limits.overlapMs, 2 * deps.limits.intervalMs)
  let progress = start
  let from = addMs(progress.watermark, -overlapMs)
  while (compare(from, now) < 0) {
    const to = earlier(addMs(from, SLICE_MS), now)
    const closed = compare(to, addMs(now, -overlapMs)) <= 0
    for (const window of withoutGaps({ from, to }, progress.gaps)) {
      const cover = await deps.cover(window, 'poll', closed)
      if (cover.kind === 'trouble') return endOf(cover.trouble)
      progress = { ...progress, gaps: withLeft(progress.gaps, cover, deps.nowMs()) }
      if (cover.missing.length === 0) continue
      const waited = compare(window.from, addMs(now, -PARTIAL_PATIENCE_MS - overlapMs)) < 0
      if (!waited) return { kind: 'partial', providers: cover.missing }
      const reason = `no answer from ${cover.missing.join(', ')}`
      progress = { ...progress, gaps: addGap(progress.gaps, window, reason, deps.nowMs()) }
    }
    progress = { ...progress, watermark: later(progress.watermark, to) }
    reach(progress)
    from = to
  }
  return null
}

async function lookBack(
  progress: Progress,
  deps: PollDeps,
  reach: (progress: Progress) => void,
): Promise<TurnEnd | null> {
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
  reach({ ...progress, gaps, backfill: compare(to, until) < 0 ? { next: to, until } : null })
  return null
}

/** The gap that has waited longest for its next try, if any is due. */
async function retryGap(
  progress: Progress,
  deps: PollDeps,
  reach: (progress: Progress) => void,
): Promise<TurnEnd | null> {
  const nowMs = deps.nowMs()
  const due = progress.gaps.find(gap => nowMs >= gap.since + gapDelayMs(gap.attempts))
  if (!due) return null
  const cover = await deps.cover(due, 'poll', true)
  if (cover.kind === 'trouble') return endOf(cover.trouble)
  const open = withLeft(closeGap(progress.gaps, due), { ...cover, left: cover.left }, nowMs)
  const missing = cover.missing.length > 0 ? addGap(open, due, due.reason, nowMs) : open
  // what is left of it waits longer each time
  const gaps = missing.map(gap =>
    compare(gap.from, due.to) < 0 && compare(due.from, gap.to) < 0
      ? { ...gap, since: due.since, attempts: due.attempts + 1 }
      : gap,
  )
  reach({ ...progress, gaps })
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
