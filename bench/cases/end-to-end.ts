import { setTimeout as delay } from 'node:timers/promises'
import type { BenchCase, Figures, Site, Subject } from '../case.ts'
import { figuresOf, since, sumOf } from '../case.ts'
import type { Live, Times } from '../live.ts'
import { INTERVAL_SECONDS, between, openLive } from '../live.ts'

/** The engine has them soon after; a worker that was just started is not yet what it will be. */
const WARM_UP_SECONDS = 10
const LOADS = [10, 50, 90]
/** The backlog lies before the live window, in ten minutes that are long past. */
const BACKLOG_AGE_MS = 3_000_000
const BACKLOG_SPAN_SECONDS = 600

/**
 * Of this run, alerts a second. Live takes more than a backlog: what lies in the overlap is read again. So the capacity
 * is what is accepted while as many become visible as a backlog gives, and the loads are shares of that.
 */
let drainedPerSecond = 0
let capacity = 0

export const END_TO_END: BenchCase = {
  name: 'C',
  what: `Graph → Kafka → engine, poller and forwarder together on one core, polled every ${INTERVAL_SECONDS} s: a backlog, then live all it can take, then shares of that`,
  subjects: () => [
    { name: 'backlog drained', run: drained, runs: 1 },
    { name: 'live, all it can take', run: saturated, runs: 1 },
    ...LOADS.map(atLoad),
  ],
}

async function drained(site: Site): Promise<Figures> {
  await using live = await openLive(site)
  const count = site.plan.alerts
  const shown = await live.show(Date.now() - BACKLOG_AGE_MS, count / BACKLOG_SPAN_SECONDS, count)
  const cpu = cpuSeconds(live)
  await live.applyTenants()
  const times = await shown.arrived()
  const figures = figuresOf(count, spanMs(times), since(cpuSeconds(live), cpu), rssMiB(live))
  drainedPerSecond = figures.alertsPerSecond
  return figures
}

async function saturated(site: Site): Promise<Figures> {
  const figures = await loaded(site, drainedPerSecond)
  capacity = figures.alertsPerSecond
  return figures
}

function atLoad(percent: number): Subject {
  return { name: `live at ${percent} %`, run: site => loaded(site, (capacity * percent) / 100), runs: 1 }
}

async function loaded(site: Site, rate: number): Promise<Figures & { readonly alertsPerSecond: number }> {
  if (rate === 0) throw new Error('what it can take is to be measured first')
  await using live = await openLive(site)
  await live.applyTenants()
  await delay(2 * INTERVAL_SECONDS * 1_000) // every tenant is polled before there is anything
  const perSecond = Math.max(1, Math.round(rate))
  const { loadSeconds } = site.plan
  const startMs = Date.now() + INTERVAL_SECONDS * 1_000
  const shown = await live.show(startMs, perSecond, perSecond * (WARM_UP_SECONDS + loadSeconds))
  const fromMs = startMs + WARM_UP_SECONDS * 1_000
  await delay(fromMs - Date.now())
  const cpu = cpuSeconds(live)
  await delay(loadSeconds * 1_000)
  const used = since(cpuSeconds(live), cpu)
  const times = await shown.arrived()
  const accepted = times.acceptedMs.filter(ms => ms >= fromMs && ms < fromMs + loadSeconds * 1_000).length
  const first = perSecond * WARM_UP_SECONDS
  const polled = between(times, k => times.shownMs[k] ?? Number.NaN, first)
  const visible = between(times, times.visibleMs, first)
  return {
    ...figuresOf(accepted, loadSeconds * 1_000, used, rssMiB(live)),
    ...(used === null ? {} : { corePercent: (used / loadSeconds) * 100 }),
    polledToAcceptedP50Ms: polled.p50Ms,
    polledToAcceptedP99Ms: polled.p99Ms,
    visibleToAcceptedP50Ms: visible.p50Ms,
    visibleToAcceptedP99Ms: visible.p99Ms,
  }
}

/** From the first answer of Graph that held one to the last one accepted. */
function spanMs({ shownMs, acceptedMs }: Times): number {
  return acceptedMs.reduce((a, b) => Math.max(a, b)) - shownMs.reduce((a, b) => Math.min(a, b))
}

function cpuSeconds({ poller, forwarder }: Live): number | null {
  return sumOf([poller.cpuSeconds(), forwarder.cpuSeconds()])
}

function rssMiB({ poller, forwarder }: Live): number | null {
  return sumOf([poller.peakRssMiB(), forwarder.peakRssMiB()])
}
