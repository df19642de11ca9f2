import { systemClock } from './clock.ts'
import type { CrashAt, Effect, Step } from './effects.ts'

/** For tests of what a death costs: ends the process at a step that CRASH_AT names. */
export interface Crash {
  /** Resolves at once, or never. */
  at(step: Step): Promise<void>
}

interface CrashDeps {
  /** How long the rest of the process goes on while the effect has not begun, or its answer is not seen. */
  readonly heldMs: number
  readonly sleep: (ms: number) => Promise<void>
  readonly die: () => void
  readonly atExit: (tell: () => void) => void
}

/** By then a request is on the wire; it may also be answered, but nobody has looked. */
const COMMAND_HELD_MS = 3
/** Longer than the interval at which offsets are committed: whatever does not wait for the effect overtakes it. */
const WORKER_HELD_MS = 1_500

const COMMAND: CrashDeps = {
  heldMs: COMMAND_HELD_MS,
  sleep: ms => systemClock.sleep(ms),
  // not to be caught, and nothing is tidied up
  die: () => void process.kill(process.pid, 'SIGKILL'),
  atExit: tell => void process.once('exit', tell),
}

const WORKER: CrashDeps = { ...COMMAND, heldMs: WORKER_HELD_MS }

/** Null unless it is asked for: then nothing is wrapped. */
export function openCrash(
  crashAt: CrashAt | null,
  of: 'worker' | 'command',
  say: (words: string) => void,
  deps: CrashDeps = of === 'worker' ? WORKER : COMMAND,
): Crash | null {
  if (crashAt === null) return null
  const passed = new Map<Step, number>()
  if (crashAt === 'count') deps.atExit(() => say(`steps passed: ${JSON.stringify(Object.fromEntries(passed))}`))
  return {
    async at(step) {
      const nth = (passed.get(step) ?? 0) + 1
      passed.set(step, nth)
      if (crashAt === 'count' && nth === 1) say(`comes to ${step}`)
      if (crashAt === 'count' || crashAt.step !== step || crashAt.nth !== nth) return
      if (!step.endsWith('.done')) await deps.sleep(deps.heldMs)
      say(`dies as it was told to, at ${step}#${nth}`)
      deps.die()
      await new Promise<never>(() => {})
    },
  }
}

/** Every effect goes through here; without a crash it is the bare call. */
export function withSteps<T>(crash: Crash | null | undefined, effect: Effect, perform: () => Promise<T>): Promise<T> {
  return crash ? stepThrough(crash, effect, perform) : perform()
}

async function stepThrough<T>(crash: Crash, effect: Effect, perform: () => Promise<T>): Promise<T> {
  await crash.at(`${effect}.before`)
  const performing = perform()
  performing.catch(() => {}) // seen by the await below
  await crash.at(`${effect}.sent`)
  const result = await performing
  await crash.at(`${effect}.done`)
  return result
}
