import type { BenchCase, Figures, Site } from '../case.ts'
import { LANES, TENANTS, engineCount, exactly } from '../case.ts'
import type { AlertsPlan } from '../fill.ts'
import { fillAlerts, fillPlain, planOf } from '../fill.ts'
import { openGround } from '../ground.ts'
import { meter } from '../meter.ts'
import type { PeerName } from '../peers/build.ts'
import { PEER_PARTITIONS, openPeerGround } from '../peers/ground.ts'
import type { Environment, Program } from '../process.ts'
import { startProgram } from '../process.ts'
import { startWorker } from '../worker.ts'

export const FORWARD: BenchCase = {
  name: 'B',
  what: 'Kafka → dedupe → enrich → engine: the forwarder, 20 % duplicates, from the first alert at the engine to the last',
  subjects: () => [
    // the peers send plain bodies: like for like
    { name: 'socos', run: site => forwarded(site, { ENGINE_COMPRESSION: 'identity' }) },
    { name: 'socos, gzip', run: site => forwarded(site, {}) },
    { name: 'camel', peer: true, run: site => forwardedByPeer('camel', site) },
    { name: 'direct', peer: true, run: site => forwardedByPeer('direct', site) },
  ],
}

/** As shipped, but for `settings`. */
async function forwarded(site: Site, settings: Environment): Promise<Figures> {
  const { stack, env, plan } = site
  await using ground = await openGround(stack, env, LANES)
  await ground.applyTenants(TENANTS)
  const alerts = planOf(TENANTS, plan.alerts)
  await fillAlerts(ground, alerts)
  const group = `${ground.env['TOPIC_PREFIX']}forwarders`
  return await delivered(alerts, {
    env: ground.env,
    enginePort: ground.ports.engine,
    start: () => startWorker('forwarder', site, { ...ground.env, ...settings }),
    committed: () => ground.committed(group),
  })
}

async function forwardedByPeer(name: PeerName, site: Site): Promise<Figures> {
  await using ground = await openPeerGround(site, 0)
  const alerts = planOf(TENANTS, site.plan.alerts)
  await fillPlain(ground.kafka, ground.topic, PEER_PARTITIONS, alerts)
  return await delivered(alerts, { ...ground, start: () => ground.start(name, 'B') })
}

interface Way {
  readonly env: Environment
  readonly enginePort: number
  start(): Promise<Program>
  committed(): Promise<number>
}

/** Done is who has delivered the last alert, dropped the last repeat and committed both. */
async function delivered({ count, repeats }: AlertsPlan, way: Way): Promise<Figures> {
  const distinct = count - repeats
  const standin = ['bench/engine-standin.ts', `${way.enginePort}`]
  const engine = await startProgram(standin, { env: way.env, measured: false, untilReady: true })
  try {
    const subject = await way.start()
    try {
      const figures = await meter(subject, {
        alerts: count,
        goal: distinct,
        progress: async () => (await engineCount(way.enginePort)).distinct,
        settled: async () => (await way.committed()) >= count,
        lastMs: async () => (await engineCount(way.enginePort)).lastMs,
      })
      const found = await engineCount(way.enginePort)
      exactly(found.repeats, 0, 'alerts that came twice')
      exactly(found.distinct, distinct, 'different alerts at the engine')
      exactly(found.enriched, found.items, 'alerts with the name of their tenant')
      return figures
    } finally {
      await subject.stop()
    }
  } finally {
    await engine.stop()
  }
}
