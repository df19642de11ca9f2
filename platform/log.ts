import { pino } from 'pino'
import type { Clock } from './clock.ts'
import { systemClock } from './clock.ts'
import { escapeOddCharacters, eventAllowance, presentable } from './log-scrub.ts'

/**
 * info: the course of things. warn: something went wrong, nothing is lost and nobody has to act.
 * error: something is lost, or a human must act.
 */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

/** Data beside the message. Values are bounded and scrubbed; an Error under any name becomes name, code, message. */
type LogFields = Readonly<Record<string, unknown>>

/** The message is a fixed sentence of ours; whatever came from outside goes into the fields. */
export interface Log {
  debug(message: string, fields?: LogFields): void
  info(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
  error(message: string, fields?: LogFields): void
  /** A log whose every event carries `fields` too. */
  child(fields: LogFields): Log
}

export interface LogOptions {
  readonly level: LogLevel
  /** poller, forwarder, socos, … */
  readonly service: string
  /** Where lines go, each ending with a newline: standard output unless given. The CLI gives process.stderr. */
  readonly destination?: { write(line: string): unknown }
  readonly clock?: Pick<Clock, 'now'>
}

/** Fields that pino writes itself; one of ours by that name gets a trailing underscore. */
const RESERVED: ReadonlySet<string> = new Set(['level', 'time', 'service', 'msg'])

/**
 * JSON lines: `{"level":"warn","time":"2026-11-23T10:11:12.123Z","service":"poller",…,"msg":"…"}`. One event is one
 * line for every reader: control characters, U+2028/9 and bidirectional marks are escaped, lone surrogates replaced.
 */
export function createLog(options: LogOptions): Log {
  const clock = options.clock ?? systemClock
  const root = pino(
    {
      level: options.level,
      base: { service: options.service },
      formatters: { level: label => ({ level: label }) },
      timestamp: () => `,"time":"${new Date(clock.now()).toISOString()}"`,
      hooks: { streamWrite: escapeOddCharacters },
    },
    // written at once: a process that exits has said everything
    options.destination ?? pino.destination({ dest: 1, sync: true }),
  )

  function write(level: LogLevel, bound: LogFields, message: string, fields: LogFields | undefined): void {
    if (!root.isLevelEnabled(level)) return
    const left = eventAllowance()
    const withStack = level === 'error'
    // no prototype: a field `__proto__` stays an ordinary one
    const data: Record<string, unknown> = Object.create(null)
    const shown = presentable({ ...bound, ...fields }, withStack, left)
    for (const [name, value] of Object.entries(shown as object)) data[RESERVED.has(name) ? `${name}_` : name] = value
    root[level](data, String(presentable(message, false, eventAllowance())))
  }

  function withFields(bound: LogFields): Log {
    return {
      debug: (message, fields) => write('debug', bound, message, fields),
      info: (message, fields) => write('info', bound, message, fields),
      warn: (message, fields) => write('warn', bound, message, fields),
      error: (message, fields) => write('error', bound, message, fields),
      child: fields => withFields({ ...bound, ...fields }),
    }
  }

  return withFields({})
}
