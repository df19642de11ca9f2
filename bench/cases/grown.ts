import { freePorts } from '../../sandbox/kafka/ports.ts'
import type { BenchPlan, Figures, Site, Subject } from '../case.ts'
import {
  LANES,
  PATIENCE_MS,
  engineCount,
  exactly,
  figuresOf,
  scrape,
  short,
  since,
  sumOf,
  untilReady,
} from '../case.ts'
import { fillAlerts, planOf } from '../fill.ts'
import { openGround } from '../ground.ts'
import { fillLedger } from '../ledger-fill.ts'
import type { Program } from '../process.ts'
import { CORES, startProgram, until } from '../process.ts'
import { startWorker } from '../worker.ts'

interface Size {
  readonly entries: number
  readonly lanes: number
  readonly workers: number
}

const MANY_LANES = 480
const MANY_WORKERS = 4
/** As many as the most lanes, in all of these subjects: only one thing grows at a time. */
const TENANTS = MANY_LANES

/** Forwarding as in case B, with a ledger in memory before the first alert is on the log. */
export function grown({ entries }: BenchPlan): readonly Subject[] {
  const least: Size = { entries: Math.min(...entries), lanes: LANES, workers: 1 }
  const sizes: readonly Size[] = [
    least,
    ...(entries.length > 1 ? [{ ...least, entries: Math.max(...entries) }] : []),
    { ...least, lanes: MANY_LANES },
    { ...least, workers: MANY_WORKERS },
  ]
  return sizes.map(size => ({
    name: `forward, ledger ${short(size.entries)}, ${size.lanes} lanes, ${size.workers} ${size.workers > 1 ? 'workers' : 'worker'}`,
    run: site => forwarded(size, site),
    runs: 1,
  }))
}

async function forwarded(size: Size, site: Site): Promise<Figures> {
  const { stack, env, plan } = site
  await using ground = await openGround(stack, env, size.lanes)
  await ground.applyTenants(TENANTS)
  await fillLedger(ground, size.entries)
  const standin = ['bench/engine-standin.ts', `${ground.ports.engine}`]
  const engine = await startProgram(standin, { env: ground.env, measured: false, untilReady: true })
  const ports = await freePorts(size.workers)
  const forwarders: Program[] = []
  try {
    for (const [n, port] of ports.entries()) {
      // a worker that stands still must not lose its lanes
      const settings = { ...ground.env, HTTP_PORT: `${port}`, SESSION_TIMEOUT_SECONDS: '300' }
      forwarders.push(await startWorker('forwarder', site, settings, { core: coreOf(n, size.workers) }))
    }
    await restored(ports, size)
    // they stand still while the log is filled, so that nothing is fetched before the clock runs
    for (const forwarder of forwarders) forwarder.signal('SIGSTOP')
    const alerts = planOf(TENANTS, plan.alerts)
    const distinct = alerts.count - alerts.repeats
    await fillAlerts(ground, alerts)
    const cpuSeconds = (): number | null => sumOf(forwarders.map(one => one.cpuSeconds()))
    const before = cpuSeconds()
    const startMs = Date.now()
    for (const forwarder of forwarders) forwarder.signal('SIGCONT')
    await until(async () => (await engineCount(ground.ports.engine)).distinct >= distinct, PATIENCE_MS)
    const found = await engineCount(ground.ports.engine)
    exactly(found.repeats, 0, 'alerts that came twice')
    exactly(found.enriched, found.items, 'alerts with the name of their tenant')
    const rssMiB = sumOf(forwarders.map(one => one.peakRssMiB()))
    return figuresOf(plan.alerts, found.lastMs - startMs, since(cpuSeconds(), before), rssMiB)
  } finally {
    for (const forwarder of forwarders) forwarder.signal('SIGCONT')
    await Promise.all([...forwarders, engine].map(one => one.stop()))
  }
}

/** A core each where there are enough; else all share the one of the worker, and the sum is that of one core. */
function coreOf(worker: number, workers: number): number {
  const isRoomy = CORES > workers
  return worker === 0 || !isRoomy ? 0 : worker + 1
}

async function restored(ports: readonly number[], { entries, lanes }: Size): Promise<void> {
  for (const port of ports) await untilReady(port, PATIENCE_MS)
  await until(async () => {
    const all = await Promise.all(ports.map(scrape))
    const sum = (series: string): number => all.reduce((total, one) => total + one.value(series), 0)
    const isShared = all.every(one => one.value('socos_lanes_owned') > 0) && sum('socos_lanes_owned') === lanes
    return isShared && sum('socos_lanes_restoring') === 0 && sum('socos_ledger_entries') === entries
  }, PATIENCE_MS)
}
