import type { Clock, Random } from './clock.ts'

/**
 * A dependency (Kafka, Graph, engine, registry) failed in a way that may pass.
 * `retryAfterMs` is what the dependency itself asked for, already clamped by whoever read it.
 */
export class TransientError extends Error {
  readonly code = 'transient'
  readonly retryAfterMs: number | undefined

  constructor(message: string, options: { retryAfterMs?: number; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'TransientError'
    this.retryAfterMs = options.retryAfterMs
  }
}

export interface Backoff {
  readonly firstMs: number
  readonly maxMs: number
}

/**
 * Exponential back-off with full jitter on the upper half: attempt 0 waits firstMs/2..firstMs, each next attempt twice
 * as long, never more than maxMs. `jitter` is in [0, 1).
 */
export function backoffMs(attempt: number, backoff: Backoff, jitter: number): number {
  const ceiling = Math.min(backoff.maxMs, backoff.firstMs * 2 ** Math.min(attempt, 30))
  return Math.round(ceiling / 2 + (ceiling / 2) * jitter)
}

/**
 * Runs `task` until it succeeds, fails with anything but a TransientError, or has been tried `attempts` times; then the
 * last error is thrown. A wait asked for by the dependency wins over the back-off when it is longer.
 */
export async function retry<T>(
  task: (attempt: number) => Promise<T>,
  policy: Backoff & { readonly attempts: number },
  deps: { clock: Clock; random: Random; signal?: AbortSignal },
): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    deps.signal?.throwIfAborted()
    try {
      return await task(attempt)
    } catch (error) {
      if (!(error instanceof TransientError) || attempt + 1 >= policy.attempts) throw error
      const waitMs = Math.max(error.retryAfterMs ?? 0, backoffMs(attempt, policy, deps.random()))
      await deps.clock.sleep(waitMs, deps.signal)
    }
  }
}
