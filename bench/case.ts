/** What every case has in common: subjects, figures, counting. */
import type { Stack } from '../sandbox/kafka/ladder.ts'
import type { PeerName, Peers } from './peers/build.ts'
import type { Environment } from './process.ts'
import { until } from './process.ts'

/** What one run came to, each figure with its unit in its name. What the machine does not tell is left out. */
export interface Figures {
  readonly alertsPerSecond?: number
  readonly entriesPerSecond?: number
  readonly cpuMsPer1000?: number
  readonly rssMiB?: number
  readonly mbPerCpuSecond?: number
  /** From the start of the process on. */
  readonly wholeAlertsPerSecond?: number
  readonly wholeCpuMsPer1000?: number
  /** From the moment Graph wrote its answer. */
  readonly polledToAcceptedP50Ms?: number
  readonly polledToAcceptedP99Ms?: number
  readonly visibleToAcceptedP50Ms?: number
  readonly visibleToAcceptedP99Ms?: number
  readonly latenessP50Ms?: number
  readonly latenessP99Ms?: number
  readonly latenessMaxMs?: number
  /** Of the core that the worker is held to. */
  readonly corePercent?: number
  readonly rssKiBPerTenant?: number
  readonly heapKiBPerTenant?: number
  readonly tokens?: number
  readonly restoreSeconds?: number
  /** What was visible and not accepted when the engine was slow no more. */
  readonly backlogRecords?: number
  readonly drainedPerSecond?: number
  /** Until the first, and the last, lane had all of its share of the backlog accepted. */
  readonly firstLaneSeconds?: number
  readonly lastLaneSeconds?: number
  readonly rebalances?: number
  readonly rssBytesPerEntry?: number
}

/** What the flags ask for. */
export interface BenchPlan {
  readonly alerts: number
  readonly ledger: number
  readonly entries: readonly number[]
  readonly tenants: readonly number[]
  readonly watchSeconds: number
  readonly loadSeconds: number
  readonly slowSeconds: number
  readonly slowRate: number
}

export interface Site {
  readonly stack: Pick<Stack, 'brokers' | 'registryUrl'>
  readonly env: Environment
  readonly plan: BenchPlan
  /** Null without `--compare`. */
  readonly peers: Peers | null
  /** Where workers write what their CPU did; null without `--profile`. */
  readonly profileFolder: string | null
}

/** Its subjects take turns, so that a machine that slows down slows all of them. */
export interface BenchCase {
  readonly name: string
  readonly what: string
  subjects(plan: BenchPlan): readonly Subject[]
}

export type Subject = Own | Peer

interface Own {
  readonly name: string
  readonly peer?: false
  /** Where `--runs` does not say: what takes minutes sees enough in one. */
  readonly runs?: number
  run: Run
}

/** Only with `--compare`. */
interface Peer {
  readonly name: PeerName
  readonly peer: true
  readonly runs?: number
  run: Run
}

/** Rejects when it could not be measured, or when an alert was lost or came twice. */
type Run = (site: Site) => Promise<Figures>

export const LANES = 48
export const TENANTS = 100
/** For what may take long on a slow machine. */
export const PATIENCE_MS = 600_000

/** Of what meter.ts does not measure: it has a beginning of its own. */
export function figuresOf(
  alerts: number,
  ms: number,
  cpuSeconds: number | null,
  rssMiB: number | null,
): Figures & { readonly alertsPerSecond: number } {
  return {
    alertsPerSecond: alerts / (Math.max(1, ms) / 1_000),
    ...(cpuSeconds === null ? {} : { cpuMsPer1000: (cpuSeconds * 1_000_000) / alerts }),
    ...(rssMiB === null ? {} : { rssMiB }),
  }
}

export function since(now: number | null, before: number | null): number | null {
  return now === null || before === null ? null : now - before
}

export function sumOf(values: readonly (number | null)[]): number | null {
  return values.reduce<number | null>((sum, value) => (sum === null || value === null ? null : sum + value), 0)
}

/** 100K, 10M. */
export function short(count: number): string {
  return count.toLocaleString('en', { notation: 'compact' })
}

/** A run that lost or doubled something is an error, not a figure. */
export function exactly(found: number, wanted: number, what: string): void {
  if (found !== wanted) throw new Error(`${found} ${what}, ${wanted} were expected`)
}

export async function untilReady(port: number, patienceMs = 60_000): Promise<void> {
  await until(
    () =>
      fetch(`http://127.0.0.1:${port}/readyz`).then(
        response => response.ok,
        () => false,
      ),
    patienceMs,
  )
}

/** It was given lanes, and may be restoring them. */
export async function ownsSomething(port: number): Promise<void> {
  const owned = async (): Promise<number> => (await scrape(port)).value('socos_lanes_owned')
  await until(async () => (await owned().catch(() => 0)) > 0, 60_000)
}

export interface Scrape {
  /** Of a series without labels, or with exactly these. */
  value(series: string): number
}

export async function scrape(port: number): Promise<Scrape> {
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
  const values = new Map(
    text.split('\n').flatMap(line => {
      const at = line.lastIndexOf(' ')
      return line.startsWith('#') || at < 0 ? [] : [[line.slice(0, at), Number(line.slice(at + 1))] as const]
    }),
  )
  return { value: series => values.get(series) ?? 0 }
}

export interface EngineCount {
  readonly items: number
  readonly distinct: number
  readonly repeats: number
  /** Items that came with their tenant's name. */
  readonly enriched: number
  /** Of the first and the last request. */
  readonly firstMs: number
  readonly lastMs: number
}

export async function engineCount(port: number): Promise<EngineCount> {
  return (await (await fetch(`http://127.0.0.1:${port}/count`)).json()) as EngineCount
}
