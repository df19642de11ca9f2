import closeWithGrace from 'close-with-grace'
import type { Clock } from './clock.ts'
import { systemClock } from './clock.ts'
import type { Log } from './log.ts'

/** One thing to let go of at the end: stop taking work, finish what is in hand, leave the group, close the port. */
export interface Releaser {
  readonly name: string
  readonly release: () => Promise<void> | void
}

export interface ShutdownOptions {
  readonly log: Log
  /** Run one after the other, from the first on; taken out as they are run. */
  readonly releasers: Releaser[]
  /** All of them together; then the process exits with 1. Kubernetes must wait longer than this. */
  readonly deadlineMs: number
  readonly clock?: Pick<Clock, 'now'>
}

export interface Shutdown {
  /** Aborted as soon as the process is asked to stop: readiness goes, loops end. */
  readonly signal: AbortSignal
  /** Stops in order as a signal would, and exits with 0. */
  stop(reason: string): void
  /** Something without which the worker is useless ended: stops in order, and exits with 1. */
  fail(reason: string, error: unknown): void
}

/** npm and terminals both pass on a Ctrl-C, so that one press arrives twice. */
const SAME_PRESS_MS = 250

const exitCodes = { SIGINT: 130, SIGTERM: 143 } as const
type StopSignal = keyof typeof exitCodes

/** Of close-with-grace's events: SIGINT and SIGTERM are told apart here, the others keep their default meaning. */
const LEFT_ALONE: closeWithGrace.AllEvents[] = [
  'SIGHUP',
  'SIGINT',
  'SIGQUIT',
  'SIGILL',
  'SIGTRAP',
  'SIGABRT',
  'SIGBUS',
  'SIGFPE',
  'SIGSEGV',
  'SIGUSR2',
  'SIGTERM',
  'beforeExit',
]

/**
 * SIGTERM and SIGINT release everything in order and exit with 0, or with 1 when a releaser failed or the deadline
 * passed. A second signal exits at once with 130 or 143. An uncaught error or rejection is a fault of the code: it is
 * logged and the process exits with 1 at once, without touching a state that nobody can vouch for; what was not
 * finished is done again after the restart.
 */
export function installShutdown(options: ShutdownOptions): Shutdown {
  const { log, clock = systemClock } = options
  const stopping = new AbortController()
  let failed = false
  let firstAt: number | null = null
  let current: string | null = null

  const grace = closeWithGrace(
    {
      delay: options.deadlineMs,
      logger: false,
      skip: LEFT_ALONE,
      onSecondError: error => log.error('fault while stopping', { error: asError(error) }),
      onTimeout: ms => log.error('stopping took too long', { deadlineMs: ms, waitingFor: current }),
    },
    async event => {
      // by key: a promise can be rejected with undefined
      if ('err' in event) {
        log.error('fault: the process ends', { error: asError(event.err) })
        process.exit(1)
      }
      await releaseAll()
      if (failed) process.exit(1)
    },
  )

  async function releaseAll(): Promise<void> {
    // one may be added while others are released: a worker can be told to stop before it has started
    for (let next = options.releasers.shift(); next; next = options.releasers.shift()) {
      const { name, release } = next
      current = name
      try {
        await release()
      } catch (error) {
        failed = true
        log.error('could not be released', { what: name, error: asError(error) })
      }
    }
    log.info('stopped')
  }

  function begin(reason: string): void {
    if (firstAt !== null) return
    firstAt = clock.now()
    log.info('stopping', { reason })
    stopping.abort(new Error(`stopping: ${reason}`))
    grace.close()
  }

  for (const signal of Object.keys(exitCodes) as StopSignal[]) {
    process.on(signal, () => {
      if (firstAt === null) return begin(signal)
      if (Math.abs(clock.now() - firstAt) < SAME_PRESS_MS) return
      log.warn('second signal: exiting at once', { signal, waitingFor: current })
      process.exit(exitCodes[signal])
    })
  }

  return {
    signal: stopping.signal,
    stop: begin,
    fail(reason, error) {
      failed = true
      log.error(reason, { error: asError(error) })
      begin(reason)
    },
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(`not an error object: ${String(error)}`)
}
