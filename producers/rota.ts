import type { Clock } from '../platform/clock.ts'

/**
 * Whose turn is it? At most `concurrency` turns at once over the whole worker, one at a time for each tenant, the most
 * overdue first.
 */
export interface Rota {
  /** Due at `dueMs`, or at once when that is earlier than what is planned; a running turn is not disturbed. */
  put(tenantId: string, dueMs: number): void
  /** No further turn; a running one is the caller's to abort. */
  remove(tenantId: string): void
  readonly waiting: number
  readonly running: number
}

interface Entry {
  readonly tenantId: string
  dueMs: number
  /** Where it stands in the heap; -1 while its turn runs. */
  at: number
  /** Set when it was put while running. */
  againAtMs: number | null
  removed: boolean
}

/** `turn` resolves with the time of the next one, or null for none. It must not reject. */
export function createRota(
  deps: { readonly clock: Clock; readonly concurrency: number; readonly signal: AbortSignal },
  turn: (tenantId: string, dueMs: number) => Promise<number | null>,
): Rota {
  const entries = new Map<string, Entry>()
  const heap: Entry[] = []
  let running = 0
  let alarm: AbortController | undefined
  let alarmMs = Infinity
  let seenMs = deps.clock.now()

  /** When the clock is set back, what is planned comes along: nobody waits an hour because of it. */
  function noticeStep(): void {
    const backMs = seenMs - deps.clock.now()
    seenMs -= backMs
    if (backMs <= 0) return
    alarmMs -= backMs
    for (const entry of entries.values()) {
      entry.dueMs -= backMs
      if (entry.againAtMs !== null) entry.againAtMs -= backMs
    }
  }

  function pump(): void {
    if (deps.signal.aborted) return
    noticeStep()
    while (running < deps.concurrency) {
      const next = heap[0]
      if (!next) return
      if (next.dueMs > deps.clock.now()) {
        wakeAt(next.dueMs)
        return
      }
      takeOut(heap, next)
      void run(next)
    }
  }

  async function run(entry: Entry): Promise<void> {
    running++
    const nextMs = await turn(entry.tenantId, entry.dueMs)
    running--
    noticeStep()
    const due = earliest(nextMs, entry.againAtMs)
    entry.againAtMs = null
    if (entry.removed || due === null) {
      entries.delete(entry.tenantId)
    } else {
      entry.dueMs = due
      putIn(heap, entry)
    }
    pump()
  }

  function wakeAt(dueMs: number): void {
    if (alarmMs <= dueMs) return
    alarm?.abort()
    alarm = new AbortController()
    alarmMs = dueMs
    const mine = alarm
    deps.clock.sleep(dueMs - deps.clock.now(), AbortSignal.any([mine.signal, deps.signal])).then(
      () => {
        if (alarm === mine) alarmMs = Infinity
        pump()
      },
      () => {}, // replaced by an earlier alarm, or the worker stops
    )
  }

  return {
    put(tenantId, dueMs) {
      noticeStep()
      let entry = entries.get(tenantId)
      if (!entry) {
        entry = { tenantId, dueMs, at: -1, againAtMs: null, removed: false }
        entries.set(tenantId, entry)
        putIn(heap, entry)
      } else if (entry.at < 0) {
        entry.removed = false
        entry.againAtMs = earliest(entry.againAtMs, dueMs)
      } else if (dueMs < entry.dueMs) {
        takeOut(heap, entry)
        entry.dueMs = dueMs
        putIn(heap, entry)
      }
      pump()
    },
    remove(tenantId) {
      const entry = entries.get(tenantId)
      if (!entry) return
      entry.removed = true
      entry.againAtMs = null
      if (entry.at < 0) return
      entries.delete(tenantId)
      takeOut(heap, entry)
    },
    get waiting() {
      return heap.length
    },
    get running() {
      return running
    },
  }
}

function earliest(a: number | null, b: number | null): number | null {
  if (a === null || b === null) return a ?? b
  return Math.min(a, b)
}

function putIn(heap: Entry[], entry: Entry): void {
  place(heap, heap.length, entry)
  rise(heap, entry)
}

function takeOut(heap: Entry[], entry: Entry): void {
  const at = entry.at
  const last = heap.pop()
  entry.at = -1
  if (!last || last === entry) return
  place(heap, at, last)
  rise(heap, last)
  sink(heap, last)
}

function rise(heap: Entry[], entry: Entry): void {
  for (;;) {
    const parent = heap[(entry.at - 1) >> 1]
    if (entry.at === 0 || !parent || parent.dueMs <= entry.dueMs) return
    const at = entry.at
    place(heap, parent.at, entry)
    place(heap, at, parent)
  }
}

function sink(heap: Entry[], entry: Entry): void {
  for (;;) {
    const left = heap[entry.at * 2 + 1]
    const right = heap[entry.at * 2 + 2]
    const child = right && left && right.dueMs < left.dueMs ? right : left
    if (!child || child.dueMs >= entry.dueMs) return
    const at = entry.at
    place(heap, child.at, entry)
    place(heap, at, child)
  }
}

function place(heap: Entry[], at: number, entry: Entry): void {
  heap[at] = entry
  entry.at = at
}
