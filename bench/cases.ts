import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Stack } from '../sandbox/kafka/ladder.ts'
import { fillAlerts, fillLedger, openGround } from './ground.ts'
import type { Environment } from './process.ts'
import { run, startProgram, until } from './process.ts'

/** What one run of a case came to. Null: the machine does not say. */
export interface Figures {
  readonly alertsPerSecond: number
  readonly cpuMsPer1000: number | null
  readonly rssMiB: number | null
}

interface BenchPlan {
  readonly alerts: number
  readonly ledger: number
}

interface Site {
  readonly stack: Stack
  readonly env: Environment
  readonly plan: BenchPlan
}

export interface BenchCase {
  readonly name: string
  readonly subject: 'socos' | 'naive'
  readonly what: string
  run(site: Site): Promise<Figures>
}

const WORKER_CORE = 0
const OTHER_CORE = 1
const LANES = 48
const TENANTS = 100
const PATIENCE_MS = 600_000
/** The naive floor is slow: a part of the alerts is enough to see how slow. */
const NAIVE_SHARE = 0.05

export const CASES: readonly BenchCase[] = [
  {
    name: 'A',
    subject: 'socos',
    what: 'Graph → Kafka: the poller, from the moment the tenants are applied until every alert is acked',
    async run({ stack, env, plan }) {
      await using ground = await openGround(stack, env, LANES)
      const perTenant = Math.ceil(plan.alerts / TENANTS)
      const total = perTenant * TENANTS
      const standin = [`${ground.ports.graph}`, `${TENANTS}`, `${perTenant}`]
      const graph = await startProgram(['bench/graph-standin.ts', ...standin], other(ground.env))
      const poller = await startProgram(['producers/main.ts'], worker(ground.env))
      try {
        await untilReady(ground.ports.worker)
        const cpu = poller.cpuSeconds()
        await ground.applyTenants(TENANTS)
        const startMs = performance.now()
        await until(async () => (await ground.recordsOn('alerts')) >= total, PATIENCE_MS)
        const figures = figuresOf(
          total,
          performance.now() - startMs,
          since(poller.cpuSeconds(), cpu),
          poller.peakRssMiB(),
        )
        await exactly(() => ground.recordsOn('alerts'), total, 'alerts on the log')
        return figures
      } finally {
        await Promise.all([poller.stop(), graph.stop()])
      }
    },
  },
  {
    name: 'B',
    subject: 'socos',
    what: 'Kafka → dedupe → enrich → engine: the forwarder, 20 % duplicates, from the first request to the last alert',
    async run({ stack, env, plan }) {
      await using ground = await openGround(stack, env, LANES)
      await ground.applyTenants(TENANTS)
      const { distinct } = await fillAlerts(ground, TENANTS, plan.alerts)
      const engine = await startProgram(['bench/engine-standin.ts', `${ground.ports.engine}`], other(ground.env))
      const forwarder = await startProgram(['consumers/main.ts'], worker(ground.env))
      try {
        await until(async () => (await engineCount(ground.ports.engine)).distinct > 0, PATIENCE_MS)
        const cpu = forwarder.cpuSeconds()
        await until(async () => (await engineCount(ground.ports.engine)).distinct >= distinct, PATIENCE_MS)
        const { firstMs, lastMs, repeats } = await engineCount(ground.ports.engine)
        if (repeats > 0) throw new Error(`${repeats} alerts were delivered twice`)
        return figuresOf(plan.alerts, lastMs - firstMs, since(forwarder.cpuSeconds(), cpu), forwarder.peakRssMiB())
      } finally {
        await Promise.all([forwarder.stop(), engine.stop()])
      }
    },
  },
  {
    name: 'E',
    subject: 'socos',
    what: 'restore of one lane: ledger entries a second, as the forwarder measures it',
    async run({ stack, env, plan }) {
      await using ground = await openGround(stack, env, 1)
      await fillLedger(ground, plan.ledger)
      const forwarder = await startProgram(['consumers/main.ts'], worker(ground.env))
      try {
        await untilReady(ground.ports.worker)
        const metrics = await (await fetch(`http://127.0.0.1:${ground.ports.worker}/metrics`)).text()
        const metric = (name: string): number => Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(metrics)?.[1])
        await exactly(async () => metric('socos_ledger_entries'), plan.ledger, 'ledger entries')
        const ms = metric('socos_lane_restore_duration_seconds_sum') * 1_000
        return figuresOf(plan.ledger, ms, null, forwarder.peakRssMiB())
      } finally {
        await forwarder.stop()
      }
    },
  },
  {
    name: 'F',
    subject: 'socos',
    what: 'replay of the whole log into a file',
    async run({ stack, env, plan }) {
      await using ground = await openGround(stack, env, LANES)
      await fillAlerts(ground, TENANTS, plan.alerts)
      const folder = await mkdtemp(join(tmpdir(), 'socos-bench-'))
      const file = join(folder, 'out.ndjson')
      try {
        const { err } = await run(['cli/socos.ts', 'replay', '--yes', '--reason', 'bench', '--to', file], ground.env)
        const [, written, seconds] = /(\d+) alerts written of \d+ records read in ([\d.]+) s/.exec(err) ?? []
        await exactly(async () => Number(written), plan.alerts, 'alerts in the file')
        return figuresOf(plan.alerts, Number(seconds) * 1_000, null, null)
      } finally {
        await rm(folder, { recursive: true, force: true })
      }
    },
  },
  {
    name: 'G',
    subject: 'naive',
    what: 'Kafka → engine as one would write it first: eachMessage, JSON, one request an alert, no ledger',
    async run({ stack, env, plan }) {
      await using ground = await openGround(stack, env, LANES)
      const count = Math.max(500, Math.round(plan.alerts * NAIVE_SHARE))
      const { distinct } = await fillAlerts(ground, TENANTS, count)
      const engine = await startProgram(['bench/engine-standin.ts', `${ground.ports.engine}`], other(ground.env))
      const naive = await startProgram(['bench/naive.ts'], worker(ground.env))
      try {
        await until(async () => (await engineCount(ground.ports.engine)).distinct > 0, PATIENCE_MS)
        const cpu = naive.cpuSeconds()
        await until(async () => (await engineCount(ground.ports.engine)).distinct >= distinct, PATIENCE_MS)
        const { firstMs, lastMs } = await engineCount(ground.ports.engine)
        return figuresOf(count, lastMs - firstMs, since(naive.cpuSeconds(), cpu), naive.peakRssMiB())
      } finally {
        await Promise.all([naive.stop(), engine.stop()])
      }
    },
  },
]

function worker(env: Environment): Parameters<typeof startProgram>[1] {
  return { core: WORKER_CORE, env, untilReady: false }
}

function other(env: Environment): Parameters<typeof startProgram>[1] {
  return { core: OTHER_CORE, env, untilReady: true }
}

function figuresOf(alerts: number, ms: number, cpuSeconds: number | null, rssMiB: number | null): Figures {
  return {
    alertsPerSecond: alerts / (Math.max(1, ms) / 1_000),
    cpuMsPer1000: cpuSeconds === null ? null : (cpuSeconds * 1_000_000) / alerts,
    rssMiB,
  }
}

function since(now: number | null, before: number | null): number | null {
  return now === null || before === null ? null : now - before
}

/** A run that lost or doubled something is an error, not a figure. */
async function exactly(count: () => Promise<number>, wanted: number, what: string): Promise<void> {
  const found = await count()
  if (found !== wanted) throw new Error(`${found} ${what}, ${wanted} were expected`)
}

async function untilReady(port: number): Promise<void> {
  await until(
    () =>
      fetch(`http://127.0.0.1:${port}/readyz`).then(
        response => response.ok,
        () => false,
      ),
    60_000,
  )
}

interface EngineCount {
  readonly distinct: number
  readonly repeats: number
  readonly firstMs: number
  readonly lastMs: number
}

async function engineCount(port: number): Promise<EngineCount> {
  return (await (await fetch(`http://127.0.0.1:${port}/count`)).json()) as EngineCount
}
