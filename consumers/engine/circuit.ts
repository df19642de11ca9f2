import type { Clock, Random } from '../../platform/clock.ts'
import { type Backoff, backoffMs } from '../../platform/retry.ts'

export type CircuitState = 'closed' | 'open' | 'half-open'

/** The right to send one request. Exactly one of its methods is called, once, when it is known how the request went. */
export interface Permit {
  /** The engine answered, whatever it said of the items. */
  works(): void
  /** The whole request must be repeated. `retryAfterMs`: what the engine asked for, clamped. */
  fails(detail: string, retryAfterMs: number): void
  /** Refused whatever the items are. */
  blocked(detail: string): void
  /** Nothing was learnt: the request was cut or never sent. */
  release(): void
}

/** One for all lanes of a worker: lanes find out together that the engine is away, and one of them asks after it. */
export interface Circuit {
  readonly state: CircuitState
  /** Why it is not closed, in words; null when it is. */
  readonly problem: string | null
  /** Resolves when the caller may send; rejects with the signal's reason at once when it aborts. */
  enter(signal: AbortSignal): Promise<Permit>
}

export interface CircuitLimits {
  /** This many whole requests failing one after the other open it. */
  readonly failures: number
  /** Pause before a probe; doubles with every opening until as many requests in a row have worked. */
  readonly probe: Backoff
}

export const CIRCUIT_LIMITS: CircuitLimits = { failures: 5, probe: { firstMs: 1_000, maxMs: 30_000 } }

/** A pause before the next probe. A waiter that slept all of it may probe even if the clock was set back. */
interface Hold {
  readonly untilMs: number
  readonly lengthMs: number
  over: boolean
}

export function createCircuit(deps: {
  readonly clock: Clock
  readonly random: Random
  readonly limits?: CircuitLimits
  /** Told of every change of state; `problem` says why it is not closed. */
  readonly observe: { circuit(state: CircuitState, problem: string | null): void }
}): Circuit {
  const { clock, random } = deps
  const { failures, probe } = deps.limits ?? CIRCUIT_LIMITS
  const waiting = new Set<() => void>()
  let state: CircuitState = 'closed'
  let problem: string | null = null
  let hold: Hold = { untilMs: 0, lengthMs: 0, over: true }
  /** Goes up with every opening: what requests sent before it bring home no longer moves the state. */
  let generation = 0
  let openings = 0
  let failed = 0
  let worked = 0

  function turn(next: CircuitState, why: string | null): void {
    state = next
    problem = why
    deps.observe.circuit(next, why)
    for (const resume of waiting) resume()
    waiting.clear()
  }

  function open(why: string, retryAfterMs: number): void {
    const lengthMs = Math.max(backoffMs(openings, probe, random()), retryAfterMs)
    openings++
    generation++
    failed = 0
    worked = 0
    hold = { untilMs: clock.now() + lengthMs, lengthMs, over: false }
    turn('open', why)
  }

  function works(issued: number): void {
    if (issued !== generation) return
    failed = 0
    if (state === 'half-open') turn('closed', null)
    // an engine that falls over as soon as all lanes are back gets longer pauses, not the first one again
    if (++worked >= failures) openings = 0
  }

  function fails(issued: number, detail: string, retryAfterMs: number): void {
    if (issued === generation) {
      worked = 0
      if (state === 'half-open' || ++failed >= failures) open(detail, retryAfterMs)
      return
    }
    // a straggler from before the opening: only what the engine asked for counts
    const untilMs = clock.now() + retryAfterMs
    if (state !== 'open' || untilMs <= hold.untilMs) return
    hold = { untilMs, lengthMs: retryAfterMs, over: false }
  }

  function permit(): Permit {
    const issued = generation
    const probing = state === 'half-open'
    return {
      works: () => works(issued),
      fails: (detail, retryAfterMs) => fails(issued, detail, retryAfterMs),
      blocked: detail => {
        if (issued === generation) open(detail, 0)
      },
      release: () => {
        // the pause is over (`hold` is the one that let the probe through): the next waiting lane probes
        if (probing && issued === generation) turn('open', problem)
      },
    }
  }

  return {
    get state() {
      return state
    },
    get problem() {
      return problem
    },
    async enter(signal) {
      for (;;) {
        signal.throwIfAborted()
        if (state === 'closed') return permit()
        if (state === 'half-open') {
          await changed(waiting, signal)
          continue
        }
        const current = hold
        const restMs = current.over ? 0 : Math.min(current.untilMs - clock.now(), current.lengthMs)
        if (restMs <= 0) {
          current.over = true
          turn('half-open', problem)
          return permit()
        }
        if (await sleptThrough(clock, restMs, waiting, signal)) current.over = true
      }
    },
  }
}

/** Resolves at the next change of state; rejects with the signal's reason. */
async function changed(waiting: Set<() => void>, signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const onAbort = () => reject(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  waiting.add(resolve)
  try {
    await promise
  } finally {
    waiting.delete(resolve)
    signal.removeEventListener('abort', onAbort)
  }
}

/** True after `ms`, false when woken before; rejects with the signal's reason. Leaves no timer behind. */
async function sleptThrough(clock: Clock, ms: number, waiting: Set<() => void>, signal: AbortSignal): Promise<boolean> {
  const stop = new AbortController()
  const onAbort = () => stop.abort()
  const onWake = () => stop.abort()
  signal.addEventListener('abort', onAbort, { once: true })
  waiting.add(onWake)
  try {
    return await clock.sleep(ms, stop.signal).then(
      () => true,
      () => false,
    )
  } finally {
    waiting.delete(onWake)
    signal.removeEventListener('abort', onAbort)
  }
}
