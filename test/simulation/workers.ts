/** The two workers as their main.ts puts them together, on the simulated outside. */
import type { EngineItem } from '../../consumers/engine/item.ts'
import { createCircuit } from '../../consumers/engine/circuit.ts'
import type { Engine } from '../../consumers/engine/client.ts'
import { createForward, FORWARD_LIMITS } from '../../consumers/forward.ts'
import { openForwarderLane } from '../../consumers/lane.ts'
import { laneOf } from '../../platform/kafka/lane-of.ts'
import type { LaneGroup, LaneGroupOptions } from '../../platform/kafka/lanes.ts'
import { joinLanes } from '../../platform/kafka/lanes.ts'
import { openPublisher } from '../../platform/kafka/producer.ts'
import type { LogReader } from '../../platform/kafka/reader.ts'
import type { Log } from '../../platform/log.ts'
import type { Checkpoint } from '../../schemas/types.ts'
import type { Codec } from '../../platform/avro/codec.ts'
import type { Graph } from '../../producers/graph/client.ts'
import type { PollerLane } from '../../producers/lane.ts'
import { openPollerLane } from '../../producers/lane.ts'
import { createRota } from '../../producers/rota.ts'
import { createUnsent } from '../../producers/unsent.ts'
import type { Codecs } from '../unit/fakes/codecs.ts'
import type { Broker } from './kafka-client.ts'
import { simKafka } from './kafka-client.ts'
import type { Process } from './process.ts'

export const TOPICS = {
  tenants: 'tenants',
  checkpoints: 'checkpoints',
  alerts: 'alerts',
  deliveries: 'deliveries',
  parked: 'parked',
} as const

const SESSION_MS = 6_000
export const OVERLAP_MS = 20_000
export const LOOKBACK_MS = 120_000
const SHUTDOWN_MS = 10_000
/** So little that a page of some alerts finds no room: both ways are gone. */
const UNSENT_BYTES_MAX = 1_000
const NEVER_MS = 1e15

export interface Outside {
  readonly broker: Broker
  readonly codecs: Codecs & { readonly checkpoints: Codec<Checkpoint> }
  readonly log: Log
  readonly intervalMs: number
  readonly engineItemsMax: number
  readonly graphOf: (process: Process) => Graph
  readonly engineOf: (process: Process) => Engine
  readonly readerOf: (process: Process) => LogReader
  /** The code itself says that it is at fault. */
  readonly fault: (process: Process, what: string, error: unknown) => void
}

export interface Worker {
  readonly process: Process
  /** Null while it has not joined. */
  group: LaneGroup | null
  stop: () => Promise<void>
}

export function startPoller(process: Process, outside: Outside): Worker {
  const { broker, codecs, log, fault } = outside
  const { clock, random, uptimeMs } = process
  const stopping = new AbortController()
  const worker: Worker = { process, group: null, stop: () => Promise.resolve() }
  const lanes = new Map<number, PollerLane>()
  worker.stop = async () => {
    stopping.abort(new Error('stopping'))
    await worker.group?.stop()
  }

  async function run(): Promise<void> {
    const publisher = await openPublisher(simKafka(process, broker), undefined, uptimeMs)
    const deps: Parameters<typeof openPollerLane>[0] = {
      topics: TOPICS,
      codecs,
      publisher,
      unsent: createUnsent(UNSENT_BYTES_MAX),
      graph: outside.graphOf(process),
      known: () => Promise.reject(new Error('no sweep is due here')),
      clock,
      random,
      log,
      limits: {
        intervalMs: outside.intervalMs,
        overlapMs: OVERLAP_MS,
        lookbackMs: LOOKBACK_MS,
        listing: { top: 1_000, pagesMax: 50, tries: 3, listingsMax: 5, splitRequestsMax: 20, splitMs: 20_000 },
        sweep: { everyMs: NEVER_MS, windowMs: 6 * 3_600_000 },
      },
      observe: { turn() {}, request() {}, published() {}, swept() {}, fresh() {} },
    }
    const rota = createRota({ clock, concurrency: 8, signal: stopping.signal }, async (tenantId, dueMs) => {
      const owner = lanes.get(laneOf(tenantId, broker.lanes))
      return owner ? owner.turn(tenantId, dueMs) : null
    })
    worker.group = await joinLanes({
      ...common(process, outside),
      groupId: 'pollers',
      stream: null,
      tables: [
        { topic: TOPICS.tenants, afterRestore: 'follow' },
        { topic: TOPICS.checkpoints, afterRestore: 'follow' },
      ],
      open(context) {
        const lane = openPollerLane(deps, context, rota)
        lanes.set(context.lane, lane)
        context.signal.addEventListener('abort', () => lanes.get(context.lane) === lane && lanes.delete(context.lane))
        return lane
      },
      queueBytesMax: 0,
    })
  }

  run().catch((error: unknown) => fault(process, 'it did not start', error))
  return worker
}

export function startForwarder(process: Process, outside: Outside): Worker {
  const { broker, codecs, log, fault } = outside
  const { clock, random, uptimeMs } = process
  const worker: Worker = { process, group: null, stop: () => Promise.resolve() }
  worker.stop = async () => {
    await worker.group?.stop()
  }

  async function run(): Promise<void> {
    const publisher = await openPublisher(simKafka(process, broker), undefined, uptimeMs)
    const backoff = { firstMs: 300, maxMs: 3_000 }
    const circuit = createCircuit({
      clock,
      random,
      limits: { failures: 5, probe: backoff },
      observe: { circuit() {} },
    })
    const forward = createForward({
      engine: outside.engineOf(process),
      circuit,
      clock,
      random,
      limits: { ...FORWARD_LIMITS, maxItems: outside.engineItemsMax, backoff },
      observe: { attempt() {} },
    })
    const deps: Parameters<typeof openForwarderLane>[0] = {
      lanes: broker.lanes,
      topics: TOPICS,
      codecs,
      publisher,
      reader: () => Promise.resolve(outside.readerOf(process)),
      forward,
      format: 'native',
      clock,
      random,
      log,
      limits: { windowRecords: 5, windowBytes: 1_000_000, parkingCount: 1_000, parkingShare: 1 },
      observe: {
        settled() {},
        parked() {},
        accepted() {},
        ledger() {},
        closed() {},
        stopped() {},
        returned() {},
      },
      fault: error => fault(process, 'a lane failed', error),
    }
    worker.group = await joinLanes({
      ...common(process, outside),
      groupId: 'forwarders',
      stream: TOPICS.alerts,
      tables: [
        { topic: TOPICS.tenants, afterRestore: 'follow' },
        { topic: TOPICS.deliveries, afterRestore: 'freeze' },
      ],
      open: context => openForwarderLane(deps, context),
      queueBytesMax: 1_000_000,
    })
  }

  run().catch((error: unknown) => fault(process, 'it did not start', error))
  return worker
}

function common(
  process: Process,
  { broker, log, fault }: Outside,
): Omit<LaneGroupOptions, 'groupId' | 'stream' | 'tables' | 'open' | 'queueBytesMax'> {
  return {
    kafka: simKafka(process, broker),
    clock: process.clock,
    log,
    sessionTimeoutMs: SESSION_MS,
    shutdownMs: SHUTDOWN_MS,
    observe: { restored() {}, rebalanced() {}, lostToRetention: () => fault(process, 'records were lost', null) },
    onFatal: error => fault(process, 'the consumer group is gone', error),
    uptimeMs: process.uptimeMs,
    random: process.random,
  }
}

/** The tenant of an item, as the engine reads it. */
export function tenantOf(item: EngineItem): string {
  let known = tenantIds.get(item.tenantJson)
  if (known === undefined) {
    known = (JSON.parse(item.tenantJson.toString()) as { id: string }).id
    tenantIds.set(item.tenantJson, known)
  }
  return known
}

const tenantIds = new WeakMap<Buffer, string>()
