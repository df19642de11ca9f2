import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'

export type Environment = Readonly<Record<string, string | undefined>>

export interface Program {
  readonly startedMs: number
  /** Throws, with the end of what it said, when it has ended. */
  mustRun(): void
  /** CPU seconds, user and system, since it started; null where the system does not say. */
  cpuSeconds(): number | null
  /** The most memory it ever held. */
  peakRssMiB(): number | null
  rssMiB(): number | null
  /** Makes it stand still, or go on. */
  signal(name: 'SIGSTOP' | 'SIGCONT'): void
  stop(): Promise<void>
}

const ROOT = new URL('..', import.meta.url)
const TICKS_PER_SECOND = 100
const STOP_GRACE_MS = 15_000
/** What is measured has this core for itself; all else, this process and what it starts included, shares the other. */
const WORKER_CORE = '0'
const OTHER_CORE = '1'
/** Asked before this process is held to one of them. */
export const CORES = availableParallelism()
export const CAN_PIN = [WORKER_CORE, OTHER_CORE].every(core => spawnSync('taskset', ['-c', core, 'true']).status === 0)

interface Start {
  readonly env: Environment
  /** On the core for what is measured; else wherever this process may run. */
  readonly measured: boolean
  /** Where more than one program is measured: another core than the worker's. */
  readonly core?: number
  /** Waits until it prints `ready`. */
  readonly untilReady: boolean
}

/** Leaves the worker's core to the worker. Threads that run already are moved, too. */
export function leaveWorkerCore(): void {
  if (CAN_PIN) spawnSync('taskset', ['-a', '-c', '-p', OTHER_CORE, String(process.pid)])
}

/** Starts `node FILE …`. */
export function startProgram(args: readonly string[], start: Start): Promise<Program> {
  return startCommand([process.execPath, ...args], start)
}

export async function startCommand(words: readonly string[], start: Start): Promise<Program> {
  const core = String(start.core ?? WORKER_CORE)
  const [command = '', ...args] = start.measured && CAN_PIN ? ['taskset', '-c', core, ...words] : words
  const child = spawn(command, args, { cwd: ROOT, env: { ...start.env }, stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (chunk: Buffer) => (said = (said + chunk.toString()).slice(-4_000)))
  const program: Program = {
    startedMs: Date.now(),
    mustRun() {
      if (child.exitCode === null && child.signalCode === null) return
      throw new Error(`${args.at(-1)} ended with ${child.exitCode ?? child.signalCode}:\n${said}`)
    },
    cpuSeconds() {
      const fields = procFile(child.pid, 'stat')?.split(') ')[1]?.split(' ')
      return fields ? (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND : null
    },
    peakRssMiB: () => mebibytes(child.pid, 'VmHWM'),
    rssMiB: () => mebibytes(child.pid, 'VmRSS'),
    signal: name => void child.kill(name),
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return
      const exit = once(child, 'exit')
      child.kill('SIGTERM')
      const hard = setTimeout(() => child.kill('SIGKILL'), STOP_GRACE_MS)
      await exit
      clearTimeout(hard)
    },
  }
  await until(() => {
    program.mustRun()
    return !start.untilReady || said.includes('ready')
  }, 30_000)
  return program
}

export async function run(args: readonly string[], env: Environment): Promise<{ out: string; err: string }> {
  const child = spawn(process.execPath, [...args], { cwd: ROOT, env: { ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  let out = ''
  let err = ''
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()))
  const [code] = (await once(child, 'close')) as [number | null]
  if (code !== 0) throw new Error(`${args.join(' ')} ended with ${code}:\n${err}${out}`)
  return { out, err }
}

export async function until(holds: () => boolean | Promise<boolean>, patienceMs: number): Promise<void> {
  const endMs = performance.now() + patienceMs
  while (!(await holds())) {
    if (performance.now() > endMs) throw new Error(`it did not happen within ${patienceMs / 1000} s`)
    await delay(20)
  }
}

function mebibytes(pid: number | undefined, line: string): number | null {
  const kib = new RegExp(`${line}:\\s+(\\d+)`).exec(procFile(pid, 'status') ?? '')?.[1]
  return kib === undefined ? null : Number(kib) / 1024
}

function procFile(pid: number | undefined, name: string): string | null {
  try {
    return readFileSync(`/proc/${pid ?? 0}/${name}`, 'utf8')
  } catch {
    return null
  }
}
