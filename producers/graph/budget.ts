/**
 * One tenant's share of Graph's limit of 150 requests a minute for the alert entity, per app and tenant
 * (graph-api.md §4). Bucket sizes are chosen so that no 60 s window ever holds more than 150:
 *   one worker            10 in the bucket + 136 refilled            = 146
 *   a move between two    10 + 136·x at the old, 2 + 136·(1−x) at the new = 148
 * What is left over covers the client's own second try after a 401, at most one in 30 s (client.ts).
 */
export interface Budget {
  /** Takes one request: 0 if it may go now, else the milliseconds to wait before asking again (nothing is taken). */
  take(nowMs: number): number
}

const CAPACITY = 10
const REFILL_PER_MINUTE = 136
const START = 2
const MS_PER_REQUEST = 60_000 / REFILL_PER_MINUTE

export function createBudget(nowMs: number): Budget {
  let held = START
  let lastMs = nowMs
  return {
    take(nowMs) {
      // a clock that was set back grants nothing
      held = Math.min(CAPACITY, held + Math.max(0, nowMs - lastMs) / MS_PER_REQUEST)
      lastMs = nowMs
      if (held < 1) return Math.ceil((1 - held) * MS_PER_REQUEST)
      held -= 1
      return 0
    },
  }
}
