/** Virtual time: one line of events, in the order of their instants and, within one, of their making. */
export interface Timeline {
  /** Since the world began. */
  readonly nowMs: number
  /** `isSilent`: nobody waits for what it does, so that what follows from it need not be waited for. */
  after(delayMs: number, act: () => void, isSilent?: boolean): Timer
  /** Runs what is due until then; all that follows from an event has happened when the next one begins. */
  runTo(untilMs: number): Promise<void>
}

export interface Timer {
  cancel(): void
}

interface Entry extends Timer {
  readonly atMs: number
  readonly number: number
  act: (() => void) | null
  readonly isSilent: boolean
}

export function timeline(): Timeline {
  const heap: Entry[] = []
  let nowMs = 0
  let made = 0

  return {
    get nowMs() {
      return nowMs
    },
    after(delayMs, act, isSilent = false) {
      const entry: Entry = {
        atMs: nowMs + Math.max(0, delayMs),
        number: made++,
        act,
        isSilent,
        cancel() {
          entry.act = null
        },
      }
      put(heap, entry)
      return entry
    },
    async runTo(untilMs) {
      await stillness() // of what was begun between two runs
      for (let next = heap[0]; next && next.atMs <= untilMs; next = heap[0]) {
        takeFirst(heap)
        if (next.act === null) continue
        nowMs = next.atMs
        next.act()
        if (!next.isSilent) await stillness()
      }
      nowMs = untilMs
    },
  }
}

/** All promises that can go on have gone on. */
function stillness(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve))
}

function isBefore(a: Entry, b: Entry): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.number < b.number)
}

function put(heap: Entry[], entry: Entry): void {
  let at = heap.length
  while (at > 0) {
    const above = (at - 1) >> 1
    const parent = heap[above]
    if (!parent || !isBefore(entry, parent)) break
    heap[at] = parent
    at = above
  }
  heap[at] = entry
}

function takeFirst(heap: Entry[]): void {
  const last = heap.pop()
  if (!last || heap.length === 0) return
  let at = 0
  for (;;) {
    const left = heap[at * 2 + 1]
    if (!left) break
    const right = heap[at * 2 + 2]
    const isRight = right !== undefined && isBefore(right, left)
    const child = isRight ? right : left
    if (!isBefore(child, last)) break
    heap[at] = child
    at = at * 2 + (isRight ? 2 : 1)
  }
  heap[at] = last
}
