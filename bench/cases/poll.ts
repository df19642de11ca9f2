import type { BenchCase, Figures, Site } from '../case.ts'
import { LANES, TENANTS, exactly } from '../case.ts'
import { openGround } from '../ground.ts'
import { meter } from '../meter.ts'
import type { PeerName } from '../peers/build.ts'
import { openPeerGround } from '../peers/ground.ts'
import { startProgram } from '../process.ts'
import { startWorker } from '../worker.ts'

export const POLL: BenchCase = {
  name: 'A',
  what: 'Graph → Kafka: the poller, from the first records on the log until every alert is acked',
  subjects: () => [
    { name: 'socos', run: polled },
    { name: 'camel', peer: true, run: site => polledByPeer('camel', site) },
    { name: 'direct', peer: true, run: site => polledByPeer('direct', site) },
  ],
}

async function polled(site: Site): Promise<Figures> {
  const { stack, env, plan } = site
  await using ground = await openGround(stack, env, LANES)
  const perTenant = Math.ceil(plan.alerts / TENANTS)
  const total = perTenant * TENANTS
  await ground.applyTenants(TENANTS)
  const standin = ['bench/graph-standin.ts', `${ground.ports.graph}`, `${TENANTS}`, `${perTenant}`]
  const graph = await startProgram(standin, { env: ground.env, measured: false, untilReady: true })
  const poller = await startWorker('poller', site, ground.env)
  try {
    const progress = (): Promise<number> => ground.recordsOn('alerts')
    const figures = await meter(poller, { alerts: total, goal: total, progress })
    exactly(await progress(), total, 'alerts on the log')
    return figures
  } finally {
    await Promise.all([poller.stop(), graph.stop()])
  }
}

async function polledByPeer(name: PeerName, site: Site): Promise<Figures> {
  const perTenant = Math.ceil(site.plan.alerts / TENANTS)
  const total = perTenant * TENANTS
  await using ground = await openPeerGround(site, perTenant)
  const peer = await ground.start(name, 'A')
  try {
    const figures = await meter(peer, { alerts: total, goal: total, progress: ground.records })
    exactly(await ground.records(), total, 'alerts on the log')
    return figures
  } finally {
    await peer.stop()
  }
}
