/**
 * A lane that behaves as the contract of platform/kafka/lanes.ts wants it, and writes down all that happens to it. One
 * journal serves all members of a test, because the contract is about order across members. It knows nothing of vitest,
 * so that a member can also be a process of its own (lanes-member.ts).
 */
import { systemClock } from '../../platform/clock.ts'
import type { KafkaAccess } from '../../platform/kafka/client.ts'
import type { Lane, LaneContext } from '../../platform/kafka/lanes.ts'
import type { LogRecord } from '../../platform/kafka/queue.ts'
import type { Log } from '../../platform/log.ts'

export interface Entry {
  readonly member: string
  readonly lane: number
  readonly what: 'open' | 'table' | 'live' | 'start' | 'done' | 'quiesce' | 'quiesced' | 'resume' | 'abort' | 'lost'
  readonly topic?: string
  readonly offset?: number
  readonly to?: number
  readonly leased?: boolean
}

export type Journal = Entry[]

export interface Topics {
  readonly stream: string
  readonly follow: string
  readonly freeze: string
}

export interface LaneBehaviour {
  /** False: nothing is taken from the queue. */
  readonly takes?: (lane: number) => boolean
  /** Runs for each window of records; what it does is an effect in flight. */
  readonly effect?: (lane: number, records: readonly LogRecord[], signal: AbortSignal) => Promise<void>
  readonly windowRecords?: number
  /** Changes the lane before the group has it. */
  readonly spoil?: (lane: Lane, context: LaneContext) => Lane
}

export interface RecordedLane {
  readonly context: LaneContext
  /** Table records given, in order. */
  readonly tables: { readonly topic: string; readonly offset: number }[]
  /** Offsets of stream records whose effect is done. */
  readonly done: number[]
  live: boolean
  settled: number | null
}

/** A lane as the contract wants it: one window at a time, nothing new between quiesce and resume, nothing without a lease. */
export function recordingLane(
  member: string,
  context: LaneContext,
  journal: { push(entry: Entry): unknown },
  behaviour: LaneBehaviour,
): { lane: Lane; recorded: RecordedLane } {
  const { lane, signal, queue } = context
  const recorded: RecordedLane = { context, tables: [], done: [], live: false, settled: null }
  let halted = false
  let wake: () => void = () => {}
  let inFlight: Promise<void> | undefined
  const note = (what: Entry['what'], more: Partial<Entry> = {}) => void journal.push({ member, lane, what, ...more })
  note('open')
  signal.addEventListener('abort', () => {
    note('abort')
    wake()
  })

  async function work(): Promise<void> {
    for (;;) {
      const records = await queue.take(behaviour.windowRecords ?? 100, 1024 * 1024, signal)
      while (halted || !context.leased()) {
        signal.throwIfAborted()
        if (halted) await new Promise<void>(resolve => (wake = resolve))
        else await systemClock.sleep(20, signal)
      }
      signal.throwIfAborted()
      inFlight = affect(records)
      await inFlight
      inFlight = undefined
    }
  }

  async function affect(records: readonly LogRecord[]): Promise<void> {
    for (const { offset } of records) note('start', { offset, leased: context.leased() })
    await behaviour.effect?.(lane, records, signal)
    for (const { offset } of records) {
      note('done', { offset })
      recorded.done.push(offset)
    }
    recorded.settled = (records.at(-1)?.offset ?? -1) + 1
  }

  return {
    recorded,
    lane: {
      table(topic, record) {
        note('table', { topic, offset: record.offset })
        recorded.tables.push({ topic, offset: record.offset })
      },
      lost() {}, // the group's observer writes it down
      live() {
        note('live')
        recorded.live = true
        if (behaviour.takes?.(lane) === false) return
        work().catch((error: unknown) => {
          if (!signal.aborted) throw error
        })
      },
      async quiesce() {
        note('quiesce')
        halted = true
        await inFlight
        note('quiesced')
      },
      resume() {
        note('resume')
        halted = false
        wake()
      },
      committable: () => recorded.settled,
    },
  }
}

export function brokerAccess(brokers: readonly string[], clientId = 'test'): KafkaAccess {
  return { brokers, clientId, tls: null, sasl: null }
}

export function silentLog(): Log {
  return arrayLog([])
}

export function arrayLog(lines: string[]): Log {
  const write = (level: string) => (message: string, fields?: object) =>
    void lines.push(`${level}: ${message} ${fields === undefined ? '' : JSON.stringify(fields)}`)
  const log: Log = {
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    child: () => log,
  }
  return log
}
