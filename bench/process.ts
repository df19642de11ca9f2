import type { ChildProcess } from 'node:child_process'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'

export type Environment = Readonly<Record<string, string | undefined>>

export interface Program {
  readonly child: ChildProcess
  /** CPU seconds, user and system, since it started; null where the system does not say. */
  cpuSeconds(): number | null
  /** The most memory it ever held. */
  peakRssMiB(): number | null
  stop(): Promise<void>
}

const ROOT = new URL('..', import.meta.url)
const TICKS_PER_SECOND = 100
export const CAN_PIN = spawnSync('taskset', ['-c', '0', 'true']).status === 0

/** Starts `node FILE …` on one core (where the system can pin); resolves when it prints `ready`, or at once without `untilReady`. */
export async function startProgram(
  args: readonly string[],
  options: { readonly core: number; readonly env: Environment; readonly untilReady: boolean },
): Promise<Program> {
  const [command, ...rest] = CAN_PIN
    ? ['taskset', '-c', String(options.core), process.execPath, ...args]
    : [process.execPath, ...args]
  const child = spawn(command ?? '', rest, { cwd: ROOT, env: { ...options.env }, stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (chunk: Buffer) => (said = (said + chunk.toString()).slice(-4_000)))
  const program: Program = {
    child,
    cpuSeconds() {
      const fields = procFile(child.pid, 'stat')?.split(') ')[1]?.split(' ')
      return fields ? (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND : null
    },
    peakRssMiB() {
      const kib = /VmHWM:\s+(\d+)/.exec(procFile(child.pid, 'status') ?? '')?.[1]
      return kib === undefined ? null : Number(kib) / 1024
    },
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return
      child.kill('SIGTERM')
      await once(child, 'exit')
    },
  }
  await until(() => {
    if (child.exitCode !== null) throw new Error(`${args[0]} ended with ${child.exitCode}:\n${said}`)
    return !options.untilReady || said.includes('ready')
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

function procFile(pid: number | undefined, name: string): string | null {
  try {
    return readFileSync(`/proc/${pid ?? 0}/${name}`, 'utf8')
  } catch {
    return null
  }
}
