import type { Bookmark } from '../../platform/kafka/bookmark.ts'
import type { Batch, ScanDeps } from './scan.ts'
import { scan } from './scan.ts'
import type { Range, Selection } from './selection.ts'
import type { Target } from './target.ts'

export interface RunCounts {
  read: number
  written: number
  unreadable: number
}

export interface RunDeps extends ScanDeps {
  readonly bookmark: Bookmark
  readonly target: Target
  readonly signal: AbortSignal
  readonly nowMs: () => number
  /** Called often; `done` and `total` count records of the frozen ranges. */
  readonly progress: (counts: Readonly<RunCounts>, done: number, total: number) => void
}

export type RunEnd = { readonly kind: 'done' | 'max' | 'stopped'; readonly counts: RunCounts }

const NOTE_EVERY_MS = 1_000
const LANE_DONE = 'done'

/**
 * Replays frozen ranges, lane after lane, in offset order. What is durable at the target is noted under the replay's own
 * group, so that a killed run goes on from there: a file holds each record once, topic and engine may see the last batch
 * twice (same keys, same item ids).
 */
export async function runReplay(ranges: readonly Range[], selection: Selection, deps: RunDeps): Promise<RunEnd> {
  const total = ranges.reduce((sum, range) => sum + Math.max(0, range.to - range.from), 0)
  const noted = await deps.bookmark.read(
    deps.topics.alerts,
    ranges.map(({ lane }) => lane),
  )
  const counts: RunCounts = { read: 0, written: 0, unreadable: 0 }
  const last = lastNote(ranges, noted)
  counts.written = last?.written ?? 0
  await deps.target.resume(last?.note ?? '')
  const [first] = ranges
  // from here on the target is known to be ours
  if (!last && first) await take([placeIn(first, first.from)], counts, deps)
  const rests = ranges.map(range => {
    const { offset, note } = noted.get(range.lane) ?? { offset: range.from, note: '' }
    return { range, from: offset, isDone: parseNote(note)?.state === LANE_DONE }
  })
  let done = rests.reduce((sum, { range, from }) => sum + from - range.from, 0)
  let notedMs = deps.nowMs()
  /** Read to their end, which is not noted yet: to wait for disk and broker at each takes longer than a small lane does. */
  let ended: At[] = []
  for await (const step of ahead(stepsOf(rests, selection, deps))) {
    ended.push(...step.ended.map(({ lane, to }) => ({ lane, offset: to, state: LANE_DONE })))
    if (step.next === null) break
    const { range, from, batch } = step.next
    if (deps.signal.aborted) {
      await take([...ended, placeIn(range, from)], counts, deps)
      return { kind: 'stopped', counts }
    }
    const room = selection.max === null ? Infinity : selection.max - counts.written
    const chosen = batch.chosen.slice(0, room)
    await deps.target.write(chosen)
    counts.read += batch.read
    counts.unreadable += batch.unreadable
    counts.written += chosen.length
    done += batch.next - from
    deps.progress(counts, done, total)
    if (selection.max !== null && counts.written >= selection.max) {
      await deps.target.flush()
      return { kind: 'max', counts }
    }
    if (deps.nowMs() - notedMs >= NOTE_EVERY_MS) {
      await take([...ended, placeIn(range, batch.next)], counts, deps)
      ended = []
      notedMs = deps.nowMs()
    }
  }
  if (ended.length > 0) await take(ended, counts, deps)
  return { kind: 'done', counts }
}

/** How far a lane was read. */
interface At {
  readonly lane: number
  readonly offset: number
  readonly state: string
}

function placeIn({ lane }: Range, offset: number): At {
  return { lane, offset, state: '' }
}

interface Step {
  /** Read to their end since the step before; not a step of their own, or nothing would be read ahead of it. */
  readonly ended: readonly Range[]
  /** `from`: all of the range before it was in earlier steps. null: all ranges are read. */
  readonly next: { readonly range: Range; readonly from: number; readonly batch: Batch } | null
}

async function* stepsOf(
  rests: readonly { readonly range: Range; readonly from: number; readonly isDone: boolean }[],
  selection: Selection,
  deps: ScanDeps,
): AsyncGenerator<Step, void> {
  let ended: Range[] = []
  for (const { range, from, isDone } of rests) {
    if (isDone) continue
    let position = from
    for await (const batch of scan(range, selection, deps, from)) {
      yield { ended, next: { range, from: position, batch } }
      ended = []
      position = batch.next
    }
    ended.push(range)
  }
  yield { ended, next: null }
}

/** What comes next is read while this is written: also over the end of a lane, whose writing down takes its time. */
async function* ahead<T>(source: AsyncGenerator<T, void>): AsyncGenerator<T, void> {
  try {
    let next = source.next()
    for (;;) {
      const { done, value } = await next
      if (done) return
      next = source.next()
      next.catch(() => {}) // heard above, or nobody wants it any more
      yield value
    }
  } finally {
    await source.return()
  }
}

async function take(places: readonly At[], counts: RunCounts, deps: RunDeps): Promise<void> {
  const target = await deps.target.flush()
  const at = deps.nowMs()
  await deps.bookmark.write(
    deps.topics.alerts,
    places.map(({ lane, offset, state }) => ({
      lane,
      offset,
      note: JSON.stringify({ state, written: counts.written, target, at }),
    })),
  )
}

interface Note {
  readonly state: string
  readonly written: number
  readonly target: string
  readonly at: number
}

function parseNote(text: string | undefined): Note | null {
  try {
    return text ? (JSON.parse(text) as Note) : null
  } catch {
    return null
  }
}

/** Of the notes of all lanes the newest: lanes are done one after the other. */
function lastNote(
  ranges: readonly Range[],
  noted: ReadonlyMap<number, { readonly note: string }>,
): { readonly note: string; readonly written: number } | null {
  const notes = ranges.flatMap(({ lane }) => parseNote(noted.get(lane)?.note) ?? [])
  const last = notes.toSorted((a, b) => a.written - b.written || a.at - b.at).at(-1)
  return last ? { note: last.target, written: last.written } : null
}
