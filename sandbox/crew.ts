import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { freePorts } from './kafka/ports.ts'

/** The real programs of the project, run as people run them. */

export type Role = 'poller' | 'forwarder'

type Environment = Readonly<Record<string, string | undefined>>

export interface Worker {
  readonly name: string
  readonly pid: number
  /** Probes and metrics. */
  readonly url: string
  readonly logFile: string
  readonly running: boolean
  /** How it ended: a signal's name or `exit N`. */
  readonly gone: Promise<string>
  /** Not told to `onDeath`, should it end of it. */
  signal(name: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT' | 'SIGTERM'): void
}

export interface Crew {
  readonly workers: readonly Worker[]
  /** `env`: on top of what all have. None is started any more once `stop` was called. */
  start(role: Role, count: number, env?: Environment): Promise<readonly Worker[]>
  /** SIGTERM to all, SIGKILL to who is still there after ten seconds. Resolves when all are gone; may be called twice. */
  stop(): Promise<void>
}

const root = resolve(import.meta.dirname, '..')
const programs = { poller: 'producers/main.ts', forwarder: 'consumers/main.ts' } as const
const graceMs = 10_000
const tailLines = 15
const maxErrorChars = 4_000

interface Member extends Worker {
  readonly child: ChildProcess
}

/** `onDeath` is told of a worker that ends before `stop`, with how it ended. Logs and pid files go into `folder`. */
export function openCrew(options: {
  readonly folder: string
  readonly env: Environment
  readonly onDeath: (worker: Worker, how: string) => void
}): Crew {
  const members: Member[] = []
  const started: Record<Role, number> = { poller: 0, forwarder: 0 }
  let stopping = false

  async function start(role: Role, count: number, env: Environment = {}): Promise<readonly Worker[]> {
    const ports = await freePorts(count)
    if (stopping) return []
    const fresh = ports.map(port => launch(`${role}-${++started[role]}`, programs[role], port, env))
    members.push(...fresh)
    return fresh
  }

  function launch(name: string, program: string, port: number, env: Environment): Member {
    const logFile = join(options.folder, `${name}.log`)
    const log = openSync(logFile, 'a')
    // a session of its own: a terminal's Ctrl-C reaches only us, and we decide how it ends; the folder in the command
    // line is what lets a minder recognise the process after our own death
    const child = spawn(process.execPath, [`--diagnostic-dir=${options.folder}`, program], {
      cwd: root,
      env: { ...options.env, ...env, HTTP_PORT: String(port) },
      detached: true,
      stdio: ['ignore', log, log],
    })
    closeSync(log)
    if (child.pid !== undefined) writeFileSync(join(options.folder, `${name}.pid`), `${child.pid}\n`)
    let running = true
    let meant = false
    const { promise: gone, resolve: ended } = Promise.withResolvers<string>()
    child.once('error', error => ended(error.message))
    child.once('exit', (code, signal) => ended(signal ?? `exit ${code}`))
    void gone.then(how => {
      running = false
      if (!stopping && !meant) options.onDeath(member, how)
    })
    const member: Member = {
      name,
      pid: child.pid ?? 0,
      url: `http://127.0.0.1:${port}`,
      logFile,
      get running() {
        return running
      },
      child,
      gone,
      signal(name) {
        meant ||= name === 'SIGKILL' || name === 'SIGTERM'
        child.kill(name)
      },
    }
    return member
  }

  async function stop(): Promise<void> {
    stopping = true
    for (const { child } of members) {
      child.kill('SIGCONT')
      child.kill('SIGTERM')
    }
    const all = Promise.all(members.map(({ gone }) => gone))
    const late = new AbortController()
    const deadline = delay(graceMs, undefined, { signal: late.signal }).catch(() => undefined)
    await Promise.race([all, deadline])
    late.abort()
    for (const { child, running } of members) if (running) child.kill('SIGKILL')
    await all
  }

  return { workers: members, start, stop }
}

/** Whether a worker has joined and restored its lanes; `false` also while its port is not open yet. */
export async function isReady(worker: Worker): Promise<boolean> {
  try {
    const response = await fetch(`${worker.url}/readyz`, { signal: AbortSignal.timeout(2_000) })
    await response.body?.cancel()
    return response.ok
  } catch {
    return false
  }
}

/** The end of a log, for people; what others wrote into it may carry terminal codes. */
export async function tailOf(logFile: string): Promise<string> {
  const text = await readFile(logFile, 'utf8').catch(() => '')
  return printable(text.trimEnd().split('\n').slice(-tailLines).join('\n'))
}

export function printable(text: string): string {
  return text.replace(/[^\P{C}\n]|[\u2028\u2029]/gu, ' ')
}

/** Runs `node cli/socos.ts …` and gives its stdout. Rejects with what it said on stderr, or the signal's reason. */
export async function socos(args: readonly string[], env: Environment, signal: AbortSignal): Promise<string> {
  signal.throwIfAborted()
  const child = spawn(process.execPath, ['cli/socos.ts', ...args], {
    cwd: root,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const abort = () => child.kill('SIGKILL')
  signal.addEventListener('abort', abort, { once: true })
  let out = ''
  let said = ''
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (out += chunk))
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (said = (said + chunk).slice(-maxErrorChars)))
  try {
    const [code, killed] = (await once(child, 'close')) as [number | null, string | null]
    signal.throwIfAborted()
    // 6: `socos status` says that somebody must act, and some tenants of the demo are meant to be in trouble
    if (code === 0 || (code === 6 && args[0] === 'status')) return out
    const how = killed ?? `exit ${code}`
    throw new Error(
      `socos ${args.join(' ')} failed (${how}):\n${printable((said + out).slice(-maxErrorChars).trimEnd())}`,
    )
  } finally {
    signal.removeEventListener('abort', abort)
  }
}
