import type { ChildProcess } from 'node:child_process'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { open, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'

/** A server process in a folder: its log is `<name>.log`, its pid `<name>.pid` (bury.sh reads that). */
export interface Daemon {
  start(): Promise<void>
  /** SIGTERM, and SIGKILL after `graceMs`. Resolves when the process is gone. */
  stop(graceMs: number): Promise<void>
  kill(): Promise<void>
  /** For a process that ends by itself: resolves when it ended well, rejects with its log when not. Kills it on abort. */
  finish(signal: AbortSignal): Promise<void>
  /** Resolves when all its threads stand: a signal is on its way for a while. */
  pause(): Promise<void>
  resume(): void
  /**
   * No file of it can grow any more, as on a full disk. Resolves when it gave up; rejects when it goes on all the same,
   * and where there is no prlimit (util-linux).
   */
  fillDisk(timeoutMs: number): Promise<void>
  /** Why it is not running, with the end of its log; undefined while it runs. */
  dead(): Promise<string | undefined>
}

export interface DaemonSpec {
  readonly name: string
  readonly command: string
  readonly args: readonly string[]
  readonly folder: string
  readonly env: Readonly<Record<string, string | undefined>>
}

const logTailLines = 15
const STANDS_EVERY_MS = 5

export function createDaemon(spec: DaemonSpec): Daemon {
  const logFile = join(spec.folder, `${spec.name}.log`)
  let child: ChildProcess | undefined
  let ended: string | undefined = 'not started'
  let gone: Promise<void> = Promise.resolve()
  let launching: Promise<void> = Promise.resolve()

  async function start(): Promise<void> {
    if (ended === undefined) return launching
    ended = undefined
    launching = launchAndWatch()
    return launching
  }

  async function launchAndWatch(): Promise<void> {
    const launched = await launch(spec, logFile)
    child = launched.child
    gone = launched.ending.then(words => void (ended = words))
  }

  async function stop(graceMs: number): Promise<void> {
    await launching
    const timer = setTimeout(() => child?.kill('SIGKILL'), graceMs)
    child?.kill('SIGTERM')
    child?.kill('SIGCONT') // a stopped process does not even hear SIGTERM
    await gone
    clearTimeout(timer)
  }

  async function kill(): Promise<void> {
    await launching // a start that is under way must not slip through
    child?.kill('SIGKILL')
    await gone
  }

  async function finish(signal: AbortSignal): Promise<void> {
    const abort = () => child?.kill('SIGKILL')
    signal.addEventListener('abort', abort, { once: true })
    if (signal.aborted) abort()
    await gone
    signal.removeEventListener('abort', abort)
    signal.throwIfAborted()
    if (ended !== 'exit 0') throw new Error(`${spec.name}: ${ended}\n${await tail(logFile)}`)
  }

  return {
    start,
    stop,
    kill,
    finish,
    async pause() {
      await launching
      child?.kill('SIGSTOP')
      while (ended === undefined && !(await stands(child?.pid))) await delay(STANDS_EVERY_MS)
    },
    resume: () => void child?.kill('SIGCONT'),
    async fillDisk(timeoutMs) {
      await launching
      await promisify(execFile)('prlimit', [`--pid=${child?.pid}`, '--fsize=0:'])
      const late = new AbortController()
      const deadline = delay(timeoutMs, undefined, { signal: late.signal }).catch(() => undefined)
      await Promise.race([gone, deadline])
      late.abort()
      if (ended === undefined) throw new Error(`${spec.name} goes on although its disk is full`)
    },
    dead: async () => (ended === undefined ? undefined : `${ended}\n${await tail(logFile)}`),
  }
}

/**
 * The shell writes its own pid and becomes the server: there is no moment in which a server runs whose pid nobody knows.
 * A session of its own keeps a terminal's Ctrl-C from it, so that the owner decides how it ends.
 */
async function launch(
  spec: DaemonSpec,
  logFile: string,
): Promise<{ readonly child: ChildProcess; readonly ending: Promise<string> }> {
  const log = await open(logFile, 'a')
  try {
    const pidFile = join(spec.folder, `${spec.name}.pid`)
    const child = spawn('sh', ['-c', 'echo $$ >"$0" && exec "$@"', pidFile, spec.command, ...spec.args], {
      cwd: spec.folder,
      detached: true,
      stdio: ['ignore', log.fd, log.fd],
      env: Object.fromEntries(['PATH', 'HOME', 'LANG', 'TMPDIR'].map(name => [name, spec.env[name]])),
    })
    // listened for before anything else is waited for: a short-lived process may end meanwhile
    return { child, ending: ending(child) }
  } finally {
    await log.close()
  }
}

/** Where there is no /proc the signal has to do. */
async function stands(pid: number | undefined): Promise<boolean> {
  const threads = await readdir(`/proc/${pid}/task`).catch(() => [])
  const states = await Promise.all(
    threads.map(async thread => {
      const stat = await readFile(`/proc/${pid}/task/${thread}/stat`, 'utf8').catch(() => '')
      return stat.slice(stat.lastIndexOf(')') + 2)[0] // the name before it may hold anything
    }),
  )
  return states.every(state => state === undefined || 'TtZX'.includes(state))
}

async function ending(child: ChildProcess): Promise<string> {
  try {
    const [code, signal] = await once(child, 'exit')
    return String(signal ?? `exit ${code}`)
  } catch (error) {
    return error instanceof Error ? error.message : String(error) // it never began
  }
}

async function tail(logFile: string): Promise<string> {
  const text = await readFile(logFile, 'utf8').catch(() => '')
  return text.trimEnd().split('\n').slice(-logTailLines).join('\n')
}
