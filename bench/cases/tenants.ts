import { setTimeout as delay } from 'node:timers/promises'
import { freePorts } from '../../sandbox/kafka/ports.ts'
import type { BenchCase, Figures, Scrape, Site } from '../case.ts'
import { LANES, PATIENCE_MS, scrape, since, untilReady } from '../case.ts'
import { openGround } from '../ground.ts'
import { heldMemory } from '../held-memory.ts'
import type { Pace } from '../pace.ts'
import { startProgram, until } from '../process.ts'
import { startWorker } from '../worker.ts'

const INTERVAL_SECONDS = 60
/** What a worker costs by itself is told from what tenants cost by a few of them. */
const FEW = 10
const SETTLE_MS = 15_000
const SCRAPE_EVERY_MS = 15_000

export const TENANTS_PER_POLLER: BenchCase = {
  name: 'D',
  what: `quiet tenants of one poller on one core, each polled every ${INTERVAL_SECONDS} s: punctuality, CPU, memory`,
  subjects: ({ tenants }) =>
    tenants.map(count => ({
      name: `${count.toLocaleString('en')} tenants`,
      run: site => watched(count, site),
      runs: 1,
    })),
}

async function watched(count: number, site: Site): Promise<Figures> {
  const { stack, env, plan } = site
  await using ground = await openGround(stack, env, LANES)
  const standin = ['bench/live-graph-standin.ts', `${ground.ports.graph}`, `${count}`, `${INTERVAL_SECONDS * 1_000}`]
  const graph = await startProgram(standin, { env: ground.env, measured: false, untilReady: true })
  const interval = { POLL_INTERVAL_SECONDS: `${INTERVAL_SECONDS}` }
  const [inspect = 0] = await freePorts(1)
  const nodeArgs = [`--inspect=127.0.0.1:${inspect}`]
  const poller = await startWorker('poller', site, { ...ground.env, ...interval }, { nodeArgs })
  const ports = { worker: ground.ports.worker, inspect }
  const watch = `http://127.0.0.1:${ground.ports.graph}/control/watch`
  const pace = async (): Promise<Pace & { readonly tokens: number }> =>
    (await (await fetch(watch)).json()) as Pace & { readonly tokens: number }
  try {
    await untilReady(ground.ports.worker)
    await ground.applyTenants(Math.min(FEW, count))
    await until(async () => (await pace()).silent <= Math.max(0, count - FEW), PATIENCE_MS)
    await delay(SETTLE_MS)
    const few = await heldMemory(poller, ports)
    await ground.applyTenants(count)
    await until(async () => (await pace()).silent === 0, PATIENCE_MS)
    // from then on each poll follows another, and not the rush of the start
    await delay(INTERVAL_SECONDS * 1_000)

    const before = await scrape(ground.ports.worker)
    await fetch(watch, { method: 'POST' })
    const cpu = poller.cpuSeconds()
    const startMs = performance.now()
    await scrapedFor(plan.watchSeconds * 1_000, ground.ports.worker)
    const cpuSeconds = since(poller.cpuSeconds(), cpu)
    const seconds = (performance.now() - startMs) / 1_000
    const seen = await pace()
    agree(seen, before, await scrape(ground.ports.worker), seconds)
    const peakRssMiB = poller.peakRssMiB()
    const many = await heldMemory(poller, ports)

    const perTenant = (now: number, then: number): number => ((now - then) * 1_024) / (count - FEW)
    return {
      latenessP50Ms: seen.p50Ms,
      latenessP99Ms: seen.p99Ms,
      latenessMaxMs: seen.maxMs,
      ...(cpuSeconds === null
        ? {}
        : { cpuMsPer1000: (cpuSeconds * 1_000_000) / seen.polls, corePercent: (cpuSeconds / seconds) * 100 }),
      ...(peakRssMiB === null ? {} : { rssMiB: peakRssMiB }),
      ...(many.rssMiB === null || few.rssMiB === null ? {} : { rssKiBPerTenant: perTenant(many.rssMiB, few.rssMiB) }),
      heapKiBPerTenant: perTenant(many.heapMiB, few.heapMiB),
      tokens: seen.tokens,
    }
  } finally {
    await Promise.all([poller.stop(), graph.stop()])
  }
}

/** As monitoring does: what a scrape of so many tenants costs is part of the figure. */
async function scrapedFor(ms: number, port: number): Promise<void> {
  const endMs = performance.now() + ms
  for (let leftMs = ms; leftMs > 0; leftMs = endMs - performance.now()) {
    await delay(Math.min(SCRAPE_EVERY_MS, leftMs))
    await scrape(port)
  }
}

/** Turns that were under way when one side was read and not the other. */
const UNDER_WAY = 200
const OUTCOMES = ['ok', 'partial', 'throttled', 'unavailable', 'needs-attention']

/** Both sides must have seen the same polls, all of them good, and every tenant its share. */
function agree(seen: Pace, before: Scrape, after: Scrape, seconds: number): void {
  const turns = OUTCOMES.map(outcome => {
    const series = `socos_poll_turns_total{outcome="${outcome}"}`
    return { outcome, count: after.value(series) - before.value(series) }
  })
  const bad = turns.filter(({ outcome, count }) => outcome !== 'ok' && count > 0)
  if (bad.length > 0) throw new Error(bad.map(({ outcome, count }) => `${count} turns ended ${outcome}`).join(', '))
  const good = turns.reduce((sum, { count }) => sum + count, 0)
  if (Math.abs(good - seen.polls) > UNDER_WAY) throw new Error(`${good} turns, but ${seen.polls} polls were seen`)
  const least = Math.floor(seconds / INTERVAL_SECONDS) - 1
  if (seen.leastPolls < least) throw new Error(`a tenant was polled ${seen.leastPolls} times in ${seconds} s`)
}
