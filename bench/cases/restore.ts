import { setTimeout as delay } from 'node:timers/promises'
import type { BenchCase, Figures, Site, Subject } from '../case.ts'
import { LANES, PATIENCE_MS, exactly, ownsSomething, scrape, short, untilReady } from '../case.ts'
import type { Ground } from '../ground.ts'
import { openGround } from '../ground.ts'
import { fillLedger } from '../ledger-fill.ts'
import { startWorker } from '../worker.ts'
import { grown } from './grown.ts'

export const RESTORE: BenchCase = {
  name: 'E',
  what: 'restore of the ledger: entries a second and memory of one; and forwarding as ledger, lanes and workers grow',
  subjects: plan => [{ name: 'socos', run: restoredOneLane }, ...plan.entries.map(restored), ...grown(plan)],
}

/** One lane, as the forwarder itself measures it. */
async function restoredOneLane(site: Site): Promise<Figures> {
  const { stack, env, plan } = site
  await using ground = await openGround(stack, env, 1)
  await fillLedger(ground, plan.ledger)
  const forwarder = await startWorker('forwarder', site, ground.env)
  try {
    await untilReady(ground.ports.worker)
    const metrics = await scrape(ground.ports.worker)
    exactly(metrics.value('socos_ledger_entries'), plan.ledger, 'ledger entries')
    const rssMiB = forwarder.peakRssMiB()
    return {
      entriesPerSecond: plan.ledger / metrics.value('socos_lane_restore_duration_seconds_sum'),
      ...(rssMiB === null ? {} : { rssMiB }),
    }
  } finally {
    await forwarder.stop()
  }
}

/** All lanes at once in one worker, from being given the lanes until the last one is live. */
function restored(entries: number): Subject {
  return {
    name: `restore ${short(entries)}, ${LANES} lanes`,
    runs: 1,
    async run(site) {
      await using ground = await openGround(site.stack, site.env, LANES)
      const empty = await restore(site, ground, 0)
      await fillLedger(ground, entries)
      const full = await restore(site, ground, entries)
      return {
        entriesPerSecond: entries / full.seconds,
        restoreSeconds: full.seconds,
        ...(full.peakRssMiB === null ? {} : { rssMiB: full.peakRssMiB }),
        ...(full.rssMiB === null || empty.rssMiB === null
          ? {}
          : { rssBytesPerEntry: ((full.rssMiB - empty.rssMiB) * 1_048_576) / entries }),
      }
    },
  }
}

/** How long the garbage of a restore may lie before memory is read. */
const SETTLE_MS = 5_000

async function restore(
  site: Site,
  ground: Ground,
  entries: number,
): Promise<{ readonly seconds: number; readonly rssMiB: number | null; readonly peakRssMiB: number | null }> {
  const forwarder = await startWorker('forwarder', site, ground.env)
  try {
    await ownsSomething(ground.ports.worker)
    const startMs = performance.now()
    await untilReady(ground.ports.worker, PATIENCE_MS)
    const seconds = (performance.now() - startMs) / 1_000
    const metrics = await scrape(ground.ports.worker)
    exactly(metrics.value('socos_ledger_entries'), entries, 'ledger entries')
    await delay(SETTLE_MS)
    return { seconds, rssMiB: forwarder.rssMiB(), peakRssMiB: forwarder.peakRssMiB() }
  } finally {
    await forwarder.stop()
  }
}
