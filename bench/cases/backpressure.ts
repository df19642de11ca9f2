import { setTimeout as delay } from 'node:timers/promises'
import { laneOf } from '../../platform/kafka/lane-of.ts'
import { tenantIdOf } from '../alerts.ts'
import type { BenchCase, Figures, Site } from '../case.ts'
import { LANES, TENANTS, scrape } from '../case.ts'
import type { Times } from '../live.ts'
import { INTERVAL_SECONDS, openLive } from '../live.ts'

const BEFORE_SECONDS = 10
/** Of new alerts, that come while the backlog is drained. */
const AFTER_SECONDS = 20

export const BACKPRESSURE: BenchCase = {
  name: 'H',
  what: 'the engine takes half of what comes for a while, then all again: memory, rebalances, and how fair the backlog is drained',
  subjects: () => [{ name: 'socos', run: slowed, runs: 1 }],
}

async function slowed(site: Site): Promise<Figures> {
  const { slowRate, slowSeconds } = site.plan
  await using live = await openLive(site)
  await live.applyTenants()
  await delay(2 * INTERVAL_SECONDS * 1_000) // every tenant is polled before there is anything
  const joins = async (): Promise<number> => (await scrape(live.forwarderPort)).value('socos_group_joins_total')
  const before = await joins()
  const seconds = BEFORE_SECONDS + slowSeconds + AFTER_SECONDS
  const shown = await live.show(Date.now(), slowRate, slowRate * seconds)
  await delay(BEFORE_SECONDS * 1_000)
  await live.pace(slowRate / 2)
  await delay(slowSeconds * 1_000)
  await live.pace(0)
  const releasedMs = Date.now()
  const times = await shown.arrived()
  const { backlog, lanes } = recovered(times, releasedMs)
  const [first, last] = [Math.min(...lanes), Math.max(...lanes)]
  const drained = times.acceptedMs.filter(ms => ms > releasedMs && ms <= last).length
  const rssMiB = live.forwarder.peakRssMiB()
  return {
    ...(rssMiB === null ? {} : { rssMiB }),
    rebalances: (await joins()) - before,
    backlogRecords: backlog,
    drainedPerSecond: drained / ((last - releasedMs) / 1_000),
    firstLaneSeconds: (first - releasedMs) / 1_000,
    lastLaneSeconds: (last - releasedMs) / 1_000,
  }
}

/** When each lane that had a backlog had none of it left. */
function recovered(
  { visibleMs, acceptedMs }: Times,
  releasedMs: number,
): { readonly backlog: number; readonly lanes: readonly number[] } {
  const laneOfTenant = Array.from({ length: TENANTS }, (_, n) => laneOf(tenantIdOf(n), LANES))
  const doneMs = new Map<number, number>()
  let backlog = 0
  for (const [k, ms] of acceptedMs.entries()) {
    if (visibleMs(k) > releasedMs || ms <= releasedMs) continue
    const lane = laneOfTenant[k % TENANTS] ?? 0
    doneMs.set(lane, Math.max(doneMs.get(lane) ?? 0, ms))
    backlog++
  }
  if (backlog === 0) throw new Error('there was no backlog: the engine was not slow enough')
  return { backlog, lanes: [...doneMs.values()] }
}
