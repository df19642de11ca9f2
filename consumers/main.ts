import { systemRandom } from '../platform/clock.ts'
import { joinLanes } from '../platform/kafka/lanes.ts'
import { traceparentIn } from '../platform/trace.ts'
import { openWorker, refuse } from '../platform/worker.ts'
import type { Delivery, GraphAlert, Parked, Tenant } from '../schemas/types.ts'
import { CIRCUIT_LIMITS, createCircuit } from './engine/circuit.ts'
import { createEngine, ENGINE_DEFAULTS } from './engine/client.ts'
import { engineTls } from './engine/credentials.ts'
import { engineEndpoint } from './engine/endpoint.ts'
import { createForward, FORWARD_LIMITS } from './forward.ts'
import type { ForwarderDeps } from './lane.ts'
import { openForwarderLane } from './lane.ts'
import { engineObserver, forwarderObserver, watchLanes } from './observe.ts'

const WINDOW_RECORDS = 500
const WINDOW_BYTES = 4 * 1024 * 1024
const QUEUE_BYTES_MAX = 128 * 1024 * 1024

const worker = await openWorker('forwarder')
const { settings, log, clock, shutdown, topic, metrics, tracer } = worker

try {
  const topics = {
    alerts: topic('alerts'),
    tenants: topic('tenants'),
    deliveries: topic('deliveries'),
    parked: topic('parked'),
  }
  const codecs = {
    alerts: await worker.codec<GraphAlert>('alerts'),
    tenants: await worker.codec<Tenant>('tenants'),
    deliveries: await worker.codec<Delivery>('deliveries'),
    parked: await worker.codec<Parked>('parked'),
  }

  const engine = createEngine(
    {
      ...ENGINE_DEFAULTS,
      endpoint: engineEndpoint(settings.engineUrl, { production: settings.nodeEnv === 'production' }),
      tokenFile: settings.engineTokenFile,
      signingKeysFile: settings.engineSigningKeysFile,
      tls: engineTls(settings, log),
      encoding: settings.engineCompression,
      timeoutMs: settings.engineTimeoutMs,
    },
    { clock, crash: worker.crash },
  )
  worker.releaseFirst('engine', () => engine.close())
  const engineMetrics = engineObserver(metrics, log)
  const circuit = createCircuit({ clock, random: systemRandom, limits: CIRCUIT_LIMITS, observe: engineMetrics })
  const forward = createForward({
    engine,
    circuit,
    clock,
    random: systemRandom,
    limits: { ...FORWARD_LIMITS, maxItems: settings.engineBatchItems, maxBytes: settings.engineBatchBytes },
    tracer,
    observe: engineMetrics,
  })

  const deps: ForwarderDeps = {
    lanes: worker.lanes,
    topics,
    codecs,
    publisher: worker.publisher,
    reader: worker.reader,
    forward,
    format: settings.engineFormat,
    clock,
    random: systemRandom,
    log,
    limits: {
      windowRecords: WINDOW_RECORDS,
      windowBytes: WINDOW_BYTES,
      parkingCount: settings.parkingBudgetCount,
      parkingShare: settings.parkingBudgetShare,
    },
    observe: forwarderObserver(metrics),
    fault: error => shutdown.fail('a lane failed by a fault in the forwarder', error),
  }
  const group = await joinLanes({
    kafka: worker.kafka(),
    groupId: worker.group('forwarders'),
    stream: topics.alerts,
    tables: [
      { topic: topics.tenants, afterRestore: 'follow' },
      { topic: topics.deliveries, afterRestore: 'freeze' },
    ],
    open: context => openForwarderLane(deps, context),
    clock,
    log,
    sessionTimeoutMs: settings.sessionTimeoutMs,
    crash: worker.crash,
    shutdownMs: settings.shutdownMs,
    readTrace: tracer === null ? undefined : traceparentIn,
    queueBytesMax: QUEUE_BYTES_MAX,
    observe: watchLanes(metrics, log),
    onFatal: error => shutdown.fail('the consumer group is gone', error),
  })
  worker.releaseFirst('lanes', () => group.stop())
  metrics.gauge('lanes_owned', () => group.owned)
  metrics.gauge('lanes_restoring', () => group.restoring)
  metrics.gauge('lane_lag_records', () =>
    group.lag().map(({ lane, records }) => ({ labels: { lane: String(lane) }, value: records })),
  )
  metrics.gauge('queue_depth_records', () => group.queuedRecords)
  worker.started({
    ready: () => ({ ok: group.ready, detail: group.ready ? 'forwarding' : 'joining or restoring' }),
    live: () => ({ ok: group.alive(), detail: group.alive() ? 'moving' : 'the group client stands still' }),
  })
  log.info('forwarder started', { lanes: worker.lanes })
} catch (error) {
  refuse(log, error)
}
