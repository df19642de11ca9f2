/**
 * A KafkaClient towards the simulated broker. The member of a group is KafkaJS's own (ConsumerGroup, Runner, Batch and
 * what hangs on them, with our mends); what is written here anew is what it does by real timers, and the connections.
 * Longer than the rule: it is the whole of what `joinLanes` and `openPublisher` ask of a client.
 */
import { createRequire } from 'node:module'
import type { GroupInternals, KafkaClient } from '../../platform/kafka/kafkajs.ts'
import type { Coordinator, Joined, JoinRequest } from './coordinator.ts'
import type { SimLog } from './log.ts'
import type { Connection, EffectKind, Process, Reply } from './process.ts'
import { openConnection } from './process.ts'
import type { Timeline } from './time.ts'

const require = createRequire(import.meta.url)
const ConsumerGroup = require('kafkajs/src/consumer/consumerGroup.js') as new (options: object) => Group
const Runner = require('kafkajs/src/consumer/runner.js') as new (options: object) => RunnerParts
const Batch = require('kafkajs/src/consumer/batch.js') as new (topic: string, from: string, data: object) => object
const errors = require('kafkajs/src/errors.js') as {
  readonly KafkaJSProtocolError: new (error: object) => Error
  readonly KafkaJSConnectionError: new (message: string, at: { broker: string }) => Error
  readonly KafkaJSNumberOfRetriesExceeded: new (error: Error, at: { retryCount: number; retryTime: number }) => Error
  readonly KafkaJSNonRetriableError: new (error: Error, options?: object) => Error
}
const { events } = require('kafkajs/src/consumer/instrumentationEvents.js') as {
  readonly events: Readonly<Record<string, string>>
}

type Retrier = <T>(act: (bail: (error: Error) => void, count: number, timeMs: number) => Promise<T>) => Promise<T>

interface Group extends GroupInternals {
  memberId: string | null
  generationId: number | null
  retrier: Retrier
  readonly groupId: string
  readonly subscriptionState: {
    assigned(): { topic: string; partitions: number[] }[]
    isPaused(topic: string, partition: number): boolean
  }
  readonly offsetManager: { nextOffset(topic: string, partition: number): { toString(): string } }
  readonly seekOffset: { has(topic: string, partition: number): boolean }
  seekOffsets(assigned: readonly object[]): Promise<void>
  pause(partitions: readonly object[]): void
  resume(partitions: readonly object[]): void
  seek(to: object): void
  fetch: () => Promise<readonly object[]>
  heartbeat: () => Promise<void>
}

interface RunnerParts {
  retrier: Retrier
  start(): Promise<void>
  stop(): Promise<void>
}

interface BrokerFaults {
  /** Nobody can reach it now. */
  isAway(): boolean
  /** What becomes of a produce request. */
  produceFate(process: Process, topic: string): 'ok' | 'refused' | 'uncovered' | 'unanswered' | 'twice' | 'slow'
  /** The client of the next one that fetches breaks, and starts again by itself. */
  breaksClient(process: Process): boolean
}

export interface Broker {
  readonly time: Timeline
  readonly lanes: number
  readonly log: SimLog
  readonly faults: BrokerFaults
  readonly groups: ReadonlyMap<string, Coordinator>
  /** A worker learns which lanes it has; also that it has none any more. */
  readonly told: (process: Process, memberId: string, generation: number, assignment: Buffer) => void
  readonly sending: (process: Process, topic: string, values: readonly (Buffer | null)[]) => void
  /** A table record lands, or an alert. */
  readonly landed: (process: Process, topic: string, lane: number, first: number) => void
}

/** Longer than the client's own: heartbeats are what most of the events would be. */
const FETCH_WAIT_MS = 1_500
const FETCH_RECORDS_MAX = 6
const REFUSED_AFTER_MS = 60
const SLOW_MS = 2_500

export function refusal(type: string): Error {
  return new errors.KafkaJSProtocolError({ type, code: 0, message: type, retriable: type === 'NOT_ENOUGH_REPLICAS' })
}

export function simKafka(process: Process, broker: Broker): KafkaClient {
  const client = {
    admin: () => simAdmin(process, broker),
    consumer: (options: ConsumerOptions) => simConsumer(process, broker, options),
    producer: () => simProducer(process, broker),
  }
  return client as unknown as KafkaClient
}

function noConnection(): Error {
  return new errors.KafkaJSConnectionError('Connection timeout', { broker: 'sim:9092' })
}

/** One request to the broker, which may be away. */
function ask<T>(
  process: Process,
  broker: Broker,
  effect: { readonly kind: EffectKind; readonly lane?: number },
  connection: Connection,
  serve: (reply: Reply<T>) => void,
): Promise<T> {
  return process
    .ask<T>(effect, connection, reply => {
      if (broker.faults.isAway()) return reply.fail(noConnection(), REFUSED_AFTER_MS)
      serve({
        // it went away while the answer was on its way
        ok: (value, delayMs) =>
          broker.faults.isAway() ? reply.fail(noConnection(), delayMs) : reply.ok(value, delayMs),
        fail: reply.fail,
      })
    })
    .catch((error: unknown) => {
      throw error instanceof Error && error.constructor.name === 'AnswerLost' ? noConnection() : error
    })
}

function simAdmin(process: Process, broker: Broker): object {
  const connection = openConnection()
  const { lanes, log } = broker
  return {
    connect: () => Promise.resolve(),
    disconnect: () => Promise.resolve(),
    fetchTopicOffsets: (topic: string) =>
      ask(process, broker, { kind: 'offsets' }, connection, reply =>
        reply.ok(
          Array.from({ length: lanes }, (_, partition) => {
            const high = String(log.high(topic, partition))
            return { partition, offset: high, high, low: '0' }
          }),
        ),
      ),
    fetchOffsets: ({ groupId, topics }: { groupId: string; topics: string[] }) =>
      ask(process, broker, { kind: 'offsets' }, connection, reply =>
        reply.ok(
          topics.map(topic => ({
            topic,
            partitions: Array.from({ length: lanes }, (_, partition) => ({
              partition,
              offset: String(broker.groups.get(groupId)?.offsets.get(partition) ?? -1),
            })),
          })),
        ),
      ),
  }
}

function simProducer(process: Process, broker: Broker): object {
  const connection = openConnection()
  return {
    connect: () => Promise.resolve(),
    disconnect: () => Promise.resolve(),
    send({ topic, messages }: { topic: string; messages: { partition: number; key: string; value: Buffer | null }[] }) {
      const lane = messages[0]?.partition ?? 0
      broker.sending(
        process,
        topic,
        messages.map(({ value }) => value),
      )
      return ask<object[]>(process, broker, { kind: topic as EffectKind, lane }, connection, reply => {
        const write = (): object[] => {
          const first = broker.log.append(topic, lane, messages, process.clock.now())
          broker.landed(process, topic, lane, first)
          return [{ topicName: topic, partition: lane, errorCode: 0, baseOffset: String(first) }]
        }
        switch (broker.faults.produceFate(process, topic)) {
          case 'ok':
            return reply.ok(write())
          case 'slow':
            return reply.ok(write(), SLOW_MS)
          case 'refused':
            return reply.fail(refusal('NOT_ENOUGH_REPLICAS'), REFUSED_AFTER_MS)
          case 'uncovered': // K1, K2
            return reply.ok([])
          case 'unanswered':
            write()
            return reply.fail(noConnection(), REFUSED_AFTER_MS)
          case 'twice': // the answer was lost, and the client's own second try was answered
            write()
            return reply.ok(write())
        }
      })
    },
  }
}

interface ConsumerOptions {
  readonly groupId: string
  readonly sessionTimeout: number
  readonly rebalanceTimeout: number
  readonly heartbeatInterval: number
  readonly retry: { readonly retries: number; readonly initialRetryTime: number; readonly maxRetryTime: number }
  readonly partitionAssigners: readonly ((given: object) => object)[]
}

/** As kafkajs/src/consumer/index.js: starts, stops and restarts what it is given. */
function simConsumer(process: Process, broker: Broker, options: ConsumerOptions): object {
  const { groupId, retry } = options
  const { clock } = process
  const coordinator = broker.groups.get(groupId)
  if (!coordinator) throw new Error(`there is no group ${groupId}`)
  const listeners = new Map<string, ((event: { payload: object }) => void)[]>()
  const emit = (name: string | undefined, payload: object = {}): void => {
    for (const listener of listeners.get(name ?? '') ?? []) listener({ payload })
  }
  const cluster = simCluster(process, broker, options, coordinator, emit)
  const logger = { namespace: () => logger, debug() {}, info() {}, warn() {}, error() {} }
  const assigners = options.partitionAssigners.map(create => create({ cluster, groupId, logger }))
  const retrier = virtualRetrier(process, retry)
  let topics: readonly string[] = []
  let handler: object = {}
  let group: Group | null = null
  let runner: RunnerParts | null = null
  let isOver = false

  function start(): Promise<void> {
    const made = new ConsumerGroup({
      ...options,
      logger,
      topics,
      topicConfigurations: Object.fromEntries(topics.map(topic => [topic, { fromBeginning: true }])),
      retry,
      cluster,
      assigners,
      instrumentationEmitter: { emit },
      autoCommit: false,
      maxBytesPerPartition: 1,
    })
    made.retrier = retrier
    made.fetch = () => fetch(made, cluster, clock)
    made.heartbeat = () => heartbeat(made)
    group = made
    runner = new Runner({
      ...handler,
      logger,
      consumerGroup: made,
      instrumentationEmitter: { emit },
      heartbeatInterval: options.heartbeatInterval,
      retry,
      onCrash,
      concurrency: 1,
    })
    runner.retrier = retrier
    return runner.start()
  }

  let heartbeatDueMs = 0
  async function heartbeat(member: Group): Promise<void> {
    if (member.memberId === null || clock.now() < heartbeatDueMs) return
    heartbeatDueMs = clock.now() + options.heartbeatInterval
    try {
      await cluster.heartbeat(member.memberId, member.generationId ?? -1)
    } catch (error) {
      heartbeatDueMs = 0
      throw error
    }
    emit(events['HEARTBEAT'])
  }

  async function stop(): Promise<void> {
    if (!runner) return
    await runner.stop()
    runner = null
    group = null
    emit(events['STOP'])
  }

  async function onCrash(error: Error): Promise<void> {
    await stop()
    const { retriable } = originOf(error) as { retriable?: boolean }
    const restart = error.name === 'KafkaJSNumberOfRetriesExceeded' || retriable === true
    emit(events['CRASH'], { error, groupId, restart })
    if (!restart) return
    await clock.sleep(retry.initialRetryTime)
    if (!isOver) await start()
  }

  return {
    events,
    connect: () => Promise.resolve(),
    subscribe(wanted: { topics: readonly string[] }) {
      topics = wanted.topics
      return Promise.resolve()
    },
    run(wanted: object) {
      handler = wanted
      return start()
    },
    on(name: string, listener: (event: { payload: object }) => void) {
      listeners.set(name, [...(listeners.get(name) ?? []), listener])
    },
    pause: (partitions: readonly object[]) => running(group).pause(partitions),
    resume: (partitions: readonly object[]) => running(group).resume(partitions),
    seek: (to: object) => running(group).seek(to),
    async disconnect() {
      isOver = true
      await stop()
    },
  }
}

function originOf(error: Error): Error {
  return error.cause instanceof Error ? originOf(error.cause) : error
}

function running(group: Group | null): Group {
  if (group === null) throw new errors.KafkaJSNonRetriableError(new Error('Consumer group was not initialized'))
  return group
}

/** As KafkaJS's, which sleeps in real time when there is nothing to ask for. */
async function fetch(group: Group, cluster: SimCluster, clock: Process['clock']): Promise<readonly object[]> {
  const assigned = group.subscriptionState.assigned()
  await group.seekOffsets(assigned)
  const wanted = assigned.flatMap(({ topic, partitions }) =>
    partitions
      .filter(partition => !group.subscriptionState.isPaused(topic, partition))
      .map(lane => ({ topic, lane, from: group.offsetManager.nextOffset(topic, lane).toString() })),
  )
  if (wanted.length === 0) {
    await clock.sleep(FETCH_WAIT_MS)
    return []
  }
  const parts = await cluster.fetch(wanted)
  return parts
    .filter(({ topic, lane }) => !group.seekOffset.has(topic, lane) && !group.subscriptionState.isPaused(topic, lane))
    .map(({ topic, lane, from, high, messages }) => {
      return new Batch(topic, from, { partition: lane, highWatermark: String(high), messages, abortedTransactions: [] })
    })
}

interface Wanted {
  readonly topic: string
  readonly lane: number
  readonly from: string
}

type Fetched = Wanted & { readonly high: number; readonly messages: readonly object[] }

type SimCluster = ReturnType<typeof simCluster>

function simCluster(
  process: Process,
  broker: Broker,
  { groupId }: ConsumerOptions,
  coordinator: Coordinator,
  emit: (name: string | undefined, payload: object) => void,
) {
  // one for requests that wait at the broker, so that no heartbeat waits behind them
  const [calls, fetches] = [openConnection(), openConnection()]
  const { lanes, log, time } = broker
  const committed = {}
  const partitions = Array.from({ length: lanes }, (_, partitionId) => ({
    partitionId,
    leader: 0,
    offlineReplicas: [],
  }))

  async function timed<T>(apiName: string, call: Promise<T>): Promise<T> {
    const askedMs = time.nowMs
    const answered = (): void => emit(events['REQUEST'], { apiName, duration: time.nowMs - askedMs })
    try {
      const answer = await call
      answered()
      return answer
    } catch (error) {
      if (error instanceof errors.KafkaJSProtocolError) answered()
      throw error
    }
  }

  const heartbeat = (memberId: string, generation: number): Promise<void> =>
    timed(
      'Heartbeat',
      ask(process, broker, { kind: 'heartbeat' }, calls, reply => coordinator.heartbeat(memberId, generation, reply)),
    )

  const asCoordinator = {
    isConnected: () => true,
    joinGroup: (request: JoinRequest) =>
      ask<Joined>(process, broker, { kind: 'join' }, calls, reply => coordinator.join(process, request, reply)),
    async syncGroup(request: Parameters<Coordinator['sync']>[0] & { readonly generationId: number }) {
      const answer = await timed(
        'SyncGroup',
        ask<{ memberAssignment: Buffer }>(process, broker, { kind: 'sync' }, calls, reply =>
          coordinator.sync(request, reply),
        ),
      )
      broker.told(process, request.memberId, request.generationId, answer.memberAssignment)
      return answer
    },
    leaveGroup: ({ memberId }: { memberId: string }) =>
      ask<void>(process, broker, { kind: 'leave' }, calls, reply => coordinator.leave(memberId, reply)),
    offsetCommit: ({ memberId, groupGenerationId, topics }: CommitRequest) =>
      ask<void>(process, broker, { kind: 'commit' }, calls, reply => {
        const offsets = topics.flatMap(({ partitions }) =>
          partitions.map(part => [part.partition, Number(part.offset)]),
        )
        coordinator.commit(memberId, groupGenerationId, new Map(offsets as [number, number][]), reply)
      }),
    offsetFetch: ({ topics }: { topics: readonly { topic: string; partitions: readonly { partition: number }[] }[] }) =>
      ask(process, broker, { kind: 'offsets' }, calls, reply =>
        reply.ok({
          responses: topics.map(({ topic, partitions }) => ({
            topic,
            partitions: partitions.map(({ partition }) => ({
              partition,
              offset: topic === 'alerts' ? String(coordinator.offsets.get(partition) ?? -1) : '-1',
            })),
          })),
        }),
      ),
  }

  return {
    heartbeat,
    fetch: (wanted: readonly Wanted[]) =>
      ask<readonly Fetched[]>(process, broker, { kind: 'fetch' }, fetches, reply => {
        const found = (): readonly Fetched[] =>
          wanted.flatMap(part => {
            const records = log.read(part.topic, part.lane, Number(part.from), FETCH_RECORDS_MAX)
            if (records.length === 0) return []
            const high = log.high(part.topic, part.lane)
            return [{ ...part, high, messages: records.map(({ message }) => message) }]
          })
        if (broker.faults.breaksClient(process))
          return reply.fail(new errors.KafkaJSNumberOfRetriesExceeded(noConnection(), { retryCount: 10, retryTime: 1 }))
        const now = found()
        if (now.length > 0) return reply.ok(now)
        let isOver = false
        const end = (): void => {
          if (isOver) return
          isOver = true
          wait.cancel()
          reply.ok(found())
        }
        const wait = time.after(FETCH_WAIT_MS, end, true)
        log.onAppend(wanted, end)
      }),
    connect: () => Promise.resolve(),
    refreshMetadata: () => Promise.resolve(),
    refreshMetadataIfNecessary: () => Promise.resolve(),
    getNodeIds: () => [0],
    findTopicPartitionMetadata: () => partitions,
    findGroupCoordinator: () => Promise.resolve(asCoordinator),
    committedOffsets: () => committed,
    defaultOffset: () => -2,
    removeBroker() {},
    fetchTopicsOffset: (topics: readonly { topic: string; partitions: readonly { partition: number }[] }[]) =>
      Promise.resolve(
        topics.map(({ topic, partitions }) => ({
          topic,
          partitions: partitions.map(({ partition }) => ({ partition, offset: '0' })),
        })),
      ),
    groupId,
  }
}

interface CommitRequest {
  readonly memberId: string
  readonly groupGenerationId: number
  readonly topics: readonly { readonly partitions: readonly { partition: number; offset: string }[] }[]
}

/** As kafkajs/src/retry: what may pass is tried again, longer apart each time. */
function virtualRetrier(process: Process, retry: ConsumerOptions['retry']): Retrier {
  return async act => {
    let timeMs = retry.initialRetryTime
    for (let count = 0; ; count++) {
      let bailed: Error | null = null as Error | null
      try {
        const done = await act(error => (bailed ??= error), count, timeMs)
        if (bailed !== null) throw bailed
        return done
      } catch (error) {
        if (bailed !== null) throw bailed
        if (!(error instanceof Error)) throw error
        if ((error as { retriable?: boolean }).retriable === false) {
          throw new errors.KafkaJSNonRetriableError(error, { cause: error.cause ?? error })
        }
        if (count >= retry.retries)
          throw new errors.KafkaJSNumberOfRetriesExceeded(error, { retryCount: count, retryTime: timeMs })
        await process.clock.sleep(timeMs)
        timeMs = Math.round(Math.min(timeMs * (1.6 + 0.8 * process.random()), retry.maxRetryTime))
      }
    }
  }
}
