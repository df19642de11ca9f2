import { systemRandom } from '../platform/clock.ts'
import { laneOf } from '../platform/kafka/lane-of.ts'
import { joinLanes } from '../platform/kafka/lanes.ts'
import { openWorker, refuse } from '../platform/worker.ts'
import type { Checkpoint, Delivery, GraphAlert, Parked, Tenant } from '../schemas/types.ts'
import { createGraph } from './graph/client.ts'
import { wayOf } from './graph/network.ts'
import { openKnownSource } from './known.ts'
import type { PollerDeps, PollerLane } from './lane.ts'
import { openPollerLane } from './lane.ts'
import { LISTING_LIMITS } from './listing.ts'
import { pollerObserver, tokenObserver, watchTenants } from './observe.ts'
import { createRota } from './rota.ts'
import { createUnsent } from './unsent.ts'

/** Small beside a worker's memory, large beside what tenants have to tell in the seconds before Kafka is missed. */
const UNSENT_BYTES_MAX = 32 * 1024 * 1024

const worker = await openWorker('poller')
const { settings, log, clock, shutdown, topic } = worker

try {
  const topics = {
    tenants: topic('tenants'),
    checkpoints: topic('checkpoints'),
    alerts: topic('alerts'),
    parked: topic('parked'),
  }
  const codecs = {
    tenants: await worker.codec<Tenant>('tenants'),
    checkpoints: await worker.codec<Checkpoint>('checkpoints'),
    alerts: await worker.codec<GraphAlert>('alerts'),
    parked: await worker.codec<Parked>('parked'),
  }

  const sandboxUrl = settings.graphSandboxUrl === null ? null : new URL(settings.graphSandboxUrl)
  const graph = createGraph({
    sandboxUrl,
    way: wayOf(settings),
    secretsDir: settings.secretsDir,
    clock,
    random: systemRandom,
    tokenFailed: tokenObserver(worker.metrics),
  })
  worker.releaseFirst('graph', async () => graph[Symbol.asyncDispose]())

  const known = openKnownSource({
    kafka: () => worker.kafka(),
    forwarders: worker.group('forwarders'),
    topics: { ...topics, deliveries: topic('deliveries') },
    codecs: { ...codecs, deliveries: await worker.codec<Delivery>('deliveries') },
  })
  worker.releaseFirst('readers of the sweeps', () => known.close())

  const deps: PollerDeps = {
    known: (tenantId, lane) => known.of(tenantId, lane),
    topics,
    codecs,
    publisher: worker.publisher,
    unsent: createUnsent(UNSENT_BYTES_MAX),
    graph,
    clock,
    random: systemRandom,
    log,
    tracer: worker.tracer,
    observe: pollerObserver(worker.metrics, log, clock),
    limits: {
      intervalMs: settings.pollIntervalMs,
      overlapMs: settings.overlapMs,
      lookbackMs: settings.lookbackMs,
      listing: LISTING_LIMITS,
      sweep: { everyMs: settings.sweepEveryMs, windowMs: settings.sweepWindowMs },
    },
  }

  const lanes = new Map<number, PollerLane>()
  const rota = createRota(
    { clock, concurrency: settings.pollConcurrency, signal: shutdown.signal },
    async (tenantId, dueMs) => {
      const owner = lanes.get(laneOf(tenantId, worker.lanes))
      return owner ? owner.turn(tenantId, dueMs) : null
    },
  )
  const group = await joinLanes({
    kafka: worker.kafka(),
    groupId: worker.group('pollers'),
    stream: null,
    tables: [
      { topic: topics.tenants, afterRestore: 'follow' },
      // also what a sweep by hand has proven
      { topic: topics.checkpoints, afterRestore: 'follow' },
    ],
    open(context) {
      const lane = openPollerLane(deps, context, rota)
      lanes.set(context.lane, lane)
      context.signal.addEventListener('abort', () => lanes.get(context.lane) === lane && lanes.delete(context.lane))
      return lane
    },
    clock,
    log,
    sessionTimeoutMs: settings.sessionTimeoutMs,
    crash: worker.crash,
    shutdownMs: settings.shutdownMs,
    queueBytesMax: 0,
    observe: watchTenants(worker.metrics, log, lanes, clock),
    onFatal: error => shutdown.fail('the consumer group is gone', error),
  })
  worker.releaseFirst('lanes', () => group.stop())
  worker.metrics.gauge('lanes_owned', () => group.owned)
  worker.metrics.gauge('lanes_restoring', () => group.restoring)
  worker.started({
    ready: () => ({ ok: group.ready, detail: group.ready ? 'polling' : 'joining or restoring' }),
    live: () => ({ ok: group.alive(), detail: group.alive() ? 'moving' : 'the group client stands still' }),
  })
  log.info('poller started', { lanes: worker.lanes, sandbox: sandboxUrl !== null })
} catch (error) {
  refuse(log, error)
}
