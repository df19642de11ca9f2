/** One way to measure for all subjects: from the first output on, so that a start (and a JVM's warm-up) does not count. */
import { setTimeout as delay } from 'node:timers/promises'
import type { Figures } from './case.ts'
import { PATIENCE_MS } from './case.ts'
import type { Program } from './process.ts'
import { until } from './process.ts'

export interface Work {
  /** Alerts that the subject is given. */
  readonly alerts: number
  /** What comes out of them in the end. */
  readonly goal: number
  /** How much of it is out. */
  progress(): Promise<number>
  /** When the last of it came out, where that is known better than by asking again and again. */
  lastMs?(): Promise<number>
  /** Whether what puts nothing out is done, too. Until then the CPU counts. */
  settled?(): Promise<boolean>
}

interface Moment {
  readonly atMs: number
  readonly out: number
  readonly cpuSeconds: number | null
}

/** What should not come would be there by then. */
const LATE_MS = 1_000

export async function meter(program: Program, work: Work): Promise<Figures> {
  const look = async (): Promise<Moment> => {
    program.mustRun()
    // the counter first: what the CPU did after it belongs to what follows
    const out = await work.progress()
    return { atMs: Date.now(), out, cpuSeconds: program.cpuSeconds() }
  }
  let first: Moment | null = null
  let last = await look()
  await until(async () => {
    last = await look()
    if (last.out > 0) first ??= last
    return last.out >= work.goal
  }, PATIENCE_MS)
  const { settled } = work
  if (settled)
    await until(() => {
      program.mustRun()
      return settled()
    }, PATIENCE_MS)
  const cpuSeconds = settled ? program.cpuSeconds() : last.cpuSeconds
  const rssMiB = program.peakRssMiB()
  await delay(LATE_MS)
  const endMs = (await work.lastMs?.()) ?? last.atMs
  return figuresOf(work, first ?? last, { atMs: endMs, out: work.goal, cpuSeconds }, program.startedMs, rssMiB)
}

function figuresOf(work: Work, first: Moment, end: Moment, startedMs: number, rssMiB: number | null): Figures {
  const warm = (work.alerts * (end.out - first.out)) / work.goal
  if (warm <= 0 || end.atMs <= first.atMs) throw new Error('all of it was there at once: measure with more alerts')
  const per = (alerts: number, ms: number): number => alerts / (ms / 1_000)
  const cpu = (alerts: number, seconds: number): number => (seconds * 1_000_000) / alerts
  return {
    alertsPerSecond: per(warm, end.atMs - first.atMs),
    ...(end.cpuSeconds === null || first.cpuSeconds === null
      ? {}
      : {
          cpuMsPer1000: cpu(warm, end.cpuSeconds - first.cpuSeconds),
          wholeCpuMsPer1000: cpu(work.alerts, end.cpuSeconds),
        }),
    wholeAlertsPerSecond: per(work.alerts, end.atMs - startedMs),
    ...(rssMiB === null ? {} : { rssMiB }),
  }
}
