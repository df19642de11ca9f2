import { setTimeout as delay } from 'node:timers/promises'

/** The time a worker lives by. Tests pass a clock that they turn by hand. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number
  /** Resolves after `ms`; rejects with the signal's reason as soon as the signal aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

/** Chance as an argument: a number in [0, 1). */
export type Random = () => number

export const systemClock: Clock = {
  now: () => Date.now(),
  sleep: async (ms, signal) => {
    try {
      await delay(Math.max(0, ms), undefined, signal ? { signal } : {})
    } catch (error) {
      // timers/promises wraps the reason in an AbortError; callers compare reasons
      if (signal?.aborted) throw signal.reason
      throw error
    }
  },
}

export const systemRandom: Random = () => Math.random()
