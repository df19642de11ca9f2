/**
 * A worker as a process: nothing of it moves but by what is delivered to it, a timer or an answer. So it can stand still
 * between any two steps and go on later as if it had only blinked, or end there, while its requests are on their way.
 */
import type { Clock } from '../../platform/clock.ts'
import type { Chance } from './chance.ts'
import type { Timeline } from './time.ts'

/** The wall clock at the beginning of a world. */
export const EPOCH_MS = 1_764_000_000_000

export type Side = 'poller' | 'forwarder'

export type EffectKind =
  | 'alerts'
  | 'checkpoints'
  | 'deliveries'
  | 'parked'
  | 'page'
  | 'post'
  | 'commit'
  | 'join'
  | 'sync'
  | 'heartbeat'
  | 'leave'
  | 'fetch'
  | 'offsets'
  | 'read'

/** What a worker asks of the outside; `lane` where it is done for one. */
export interface Effect {
  readonly kind: EffectKind
  readonly lane?: number
}

export interface Reply<T> {
  ok(value: T, delayMs?: number): void
  fail(error: unknown, delayMs?: number): void
}

/** Requests of one connection reach the other end in order. */
export interface Connection {
  lastLandsAtMs: number
}

export interface Process {
  readonly name: string
  readonly side: Side
  readonly state: 'running' | 'paused' | 'ended'
  /** It is asked to leave in order. */
  isStopping: boolean
  readonly clock: Clock
  readonly uptimeMs: () => number
  readonly random: () => number
  pause(): void
  wake(): void
  end(): void
  deliver(act: () => void): void
  /** Rejects with the signal's reason at once when it aborts; what is on its way lands all the same. */
  ask<T>(effect: Effect, connection: Connection, serve: (reply: Reply<T>) => void, signal?: AbortSignal): Promise<T>
}

/** What stands between a request and its server. */
export interface Traffic {
  /** Null: it is never sent. Else how much later than usual it lands. */
  sent(process: Process, effect: Effect): number | null
  landed(process: Process, effect: Effect): void
  /** False: the answer is lost on its way. */
  answered(process: Process, effect: Effect): boolean
}

const LOST_AFTER_MS = 1_500

export class AnswerLost extends Error {}

export function openConnection(): Connection {
  return { lastLandsAtMs: 0 }
}

export function openProcess(
  name: string,
  side: Side,
  { time, chance, traffic }: { readonly time: Timeline; readonly chance: Chance; readonly traffic: Traffic },
): Process {
  let state: Process['state'] = 'running'
  let inbox: (() => void)[] = []
  const clock: Clock = {
    now: () => EPOCH_MS + time.nowMs,
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason as Error)
        const stop = (): void => {
          timer.cancel()
          reject(signal?.reason as Error)
        }
        const timer = time.after(ms, () =>
          self.deliver(() => {
            signal?.removeEventListener('abort', stop)
            resolve()
          }),
        )
        signal?.addEventListener('abort', stop, { once: true })
      }),
  }
  const latencyMs = (): number => chance.between(1, chance.happens(0.1) ? 120 : 12)

  const self: Process = {
    name,
    side,
    get state() {
      return state
    },
    isStopping: false,
    clock,
    uptimeMs: () => time.nowMs,
    random: chance.next,
    pause() {
      if (state === 'running') state = 'paused'
    },
    wake() {
      if (state !== 'paused') return
      state = 'running'
      const waiting = inbox
      inbox = []
      for (const act of waiting) time.after(0, () => self.deliver(act))
    },
    end() {
      state = 'ended'
      inbox = []
    },
    deliver(act) {
      if (state === 'running') act()
      else if (state === 'paused') inbox.push(act)
    },
    ask(effect, connection, serve, signal) {
      return new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason as Error)
        const lateMs = traffic.sent(self, effect)
        if (lateMs === null) return
        const cut = (): void => reject(signal?.reason as Error)
        signal?.addEventListener('abort', cut, { once: true })
        const give = (delayMs: number, settle: () => void): void => {
          time.after(delayMs, () =>
            self.deliver(() => {
              signal?.removeEventListener('abort', cut)
              settle()
            }),
          )
        }
        const landsAtMs = Math.max(time.nowMs + latencyMs() + lateMs, connection.lastLandsAtMs)
        connection.lastLandsAtMs = landsAtMs
        const land = (): void => {
          serve({
            ok(value, delayMs = 0) {
              if (traffic.answered(self, effect)) give(delayMs + latencyMs(), () => resolve(value))
              else give(LOST_AFTER_MS, () => reject(new AnswerLost('the answer was lost')))
            },
            fail: (error, delayMs = 0) => give(delayMs + latencyMs(), () => reject(error)),
          })
          traffic.landed(self, effect)
        }
        time.after(landsAtMs - time.nowMs, land, true)
      })
    },
  }
  return self
}
