/**
 * One tenant's share of Graph's limit of 150 requests a minute for the alert entity, per app and tenant. Bucket sizes are chosen so that no 60 s window ever holds more than 150:
 *   one worker            6 in the bucket + 100 refilled             = 106
 *   a move between two    6 + 100·x at the old, 2 + 100·(1−x) at the new = 108
 *   a sweep by hand       6 + 32 beside it                           = 146
 * What is left over covers the clients' own second tries after a 401, each at most one in 30 s (client.ts).
 */
export interface Budget {
  /** Takes one request: 0 if it may go now, else the milliseconds to wait before asking again (nothing is taken). */
  take(nowMs: number): number
}

interface Share {
  readonly start: number
  readonly capacity: number
  readonly refillPerMinute: number
}

/** `command`: whoever sweeps by hand, beside the poller that owns the tenant and knows nothing of it. */
const SHARES: Readonly<Record<'poller' | 'command', Share>> = {
  poller: { start: 2, capacity: 6, refillPerMinute: 100 },
  command: { start: 6, capacity: 6, refillPerMinute: 32 },
}

export function createBudget(nowMs: number, whose: keyof typeof SHARES = 'poller'): Budget {
  const { start, capacity, refillPerMinute } = SHARES[whose]
  const msPerRequest = 60_000 / refillPerMinute
  let held = start
  let lastMs = nowMs
  return {
    take(nowMs) {
      // a clock that was set back grants nothing
      held = Math.min(capacity, held + Math.max(0, nowMs - lastMs) / msPerRequest)
      lastMs = nowMs
      if (held < 1) return Math.ceil((1 - held) * msPerRequest)
      held -= 1
      return 0
    },
  }
}
