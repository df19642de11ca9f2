import { createHash } from 'node:crypto'
import { setImmediate as turn } from 'node:timers/promises'
import type { EngineAnswer, ItemAnswer } from '../../consumers/engine/answer.ts'
import type { Engine } from '../../consumers/engine/client.ts'
import { type EngineItem, itemId } from '../../consumers/engine/item.ts'
import type { Clock } from '../../platform/clock.ts'

export interface HandClock extends Clock {
  /** Lengths of all sleeps begun so far. */
  readonly slept: number[]
  /** Sleeps that have not ended. */
  readonly sleeping: number
  /** Moves time on, waking sleepers in order. */
  advance(ms: number): Promise<void>
  /** Sets the wall clock without letting time pass. */
  set(nowMs: number): void
  /** Lets time pass, sleep by sleep, until the promise has settled; fails when it hangs on something else. */
  until<T>(promise: Promise<T>): Promise<T>
}

interface Sleeper {
  readonly due: number
  readonly wake: () => void
}

/** Rounds without a sleep that falls due, after which nothing is expected to come any more. */
const CALM = 8

export function handClock(startMs = 1_764_000_000_000): HandClock {
  let elapsed = 0
  let offset = startMs
  const sleepers = new Set<Sleeper>()
  const slept: number[] = []

  async function settle(): Promise<void> {
    for (let i = 0; i < 5; i++) await turn()
  }
  function first(): Sleeper | undefined {
    return [...sleepers].toSorted((a, b) => a.due - b.due)[0]
  }
  function fire(sleeper: Sleeper): void {
    elapsed = Math.max(elapsed, sleeper.due)
    sleepers.delete(sleeper)
    sleeper.wake()
  }
  return {
    slept,
    get sleeping() {
      return sleepers.size
    },
    now: () => offset + elapsed,
    set(nowMs) {
      offset = nowMs - elapsed
    },
    async sleep(ms, signal) {
      signal?.throwIfAborted()
      slept.push(ms)
      const { promise, resolve, reject } = Promise.withResolvers<void>()
      const sleeper = { due: elapsed + ms, wake: resolve }
      sleepers.add(sleeper)
      signal?.addEventListener(
        'abort',
        () => {
          sleepers.delete(sleeper)
          reject(signal.reason)
        },
        { once: true },
      )
      await promise
    },
    async advance(ms) {
      const until = elapsed + ms
      await settle()
      for (let calm = 0; calm < CALM; calm++) {
        for (let next = first(); next && next.due <= until; next = first()) {
          fire(next)
          await settle()
          calm = 0
        }
        await settle() // a longer chain of promises may still end in a sleep
      }
      elapsed = until
    },
    async until(promise) {
      let over = false
      const watched = promise.finally(() => {
        over = true
      })
      watched.catch(() => {})
      for (let idle = 0; !over; ) {
        await turn()
        if (over) break
        const next = first()
        if (next) fire(next)
        // nothing sleeps: something else may still be under way, but not for ever
        idle = next ? 0 : idle + 1
        if (idle > 100) throw new Error('hangs: nothing sleeps and nothing moves')
      }
      return watched
    },
  }
}

/** An item of a made-up alert; `number` makes it distinct. */
export function item(number: number, alert: string | Buffer = JSON.stringify({ id: `alert-${number}` })): EngineItem {
  const bytes = Buffer.isBuffer(alert) ? alert : Buffer.from(alert)
  const hash = createHash('sha256').update(bytes).digest('hex')
  const version = '2026-11-23T10:11:12.1234567Z'
  return {
    id: itemId('11111111-1111-1111-1111-111111111111', `alert-${number}`, version, hash),
    tenantJson: Buffer.from('{"id":"11111111-1111-1111-1111-111111111111","name":"Ölmühle & Söhne"}'),
    alertId: `alert-${number}`,
    version,
    source: 'alerts_v2',
    observedAtMs: 1_764_000_000_000,
    alert: bytes,
  }
}

export function items(count: number): EngineItem[] {
  return Array.from({ length: count }, (_, number) => item(number))
}

/** An engine that answers by a function of the alert ids and of how many requests came before. */
export function scriptedEngine(answer: (ids: readonly string[], request: number) => EngineAnswer): Engine & {
  readonly requests: string[][]
  /** The largest number of requests that were under way at once. */
  readonly busiest: number
} {
  const requests: string[][] = []
  let now = 0
  let busiest = 0
  return {
    requests,
    get busiest() {
      return busiest
    },
    async post(batch, signal) {
      const ids = batch.map(each => each.alertId)
      requests.push(ids)
      busiest = Math.max(busiest, ++now)
      await turn()
      now--
      signal.throwIfAborted()
      return answer(ids, requests.length - 1)
    },
  }
}

export function each(ids: readonly string[], answer: (id: string) => ItemAnswer): EngineAnswer {
  return { kind: 'items', fates: ids.map(answer) }
}

export const ACCEPTED: ItemAnswer = { kind: 'accepted' }

export function acceptAll(ids: readonly string[]): EngineAnswer {
  return each(ids, () => ACCEPTED)
}
