/**
 * Longer than the rule because it is one state machine: a member of one consumer group that owns whole lanes. A lane is
 * the same partition of several topics; its tables are restored before its stream flows; it is given up before another
 * member can have it. Split, its invariants would have to be told twice.
 *
 *   join ─▶ opening (offsets asked for) ─▶ restoring (tables read to their end) ─▶ live (stream flows)
 *   rejoin, still ours and nobody else's in between ─▶ goes on where it was;  else ─▶ aborted, opened anew
 *   the log is not what was read of it any more, or a restore stands still ─▶ aborted, opened anew
 */

import type { Clock } from '../clock.ts'
import type { Crash } from '../crash.ts'
import { withSteps } from '../crash.ts'
import type { Log } from '../log.ts'
import { backoffMs } from '../retry.ts'
import type { TraceContext } from '../trace.ts'
import { laneAssigner } from './assigner.ts'
import { offsetOf, timestampMsOf } from './batch-decode.ts'
import type { WatchedClient } from './client.ts'
import { METADATA_MAX_AGE_MS } from './client.ts'
import { inWordsIfDenied } from './denied.ts'
import type { Admin, EachBatchPayload, GroupInternals, KafkaClient } from './kafkajs.ts'
import { registerBeforeGivingUp, UNPACKED_BYTES_MAX } from './kafkajs.ts'
import { committedOffsets } from './offsets.ts'
import type { LaneQueue, LogRecord } from './queue.ts'
import { RecordQueue } from './queue.ts'

/** What an application does with a lane. No method may throw; bad data is the application's to park. */
export interface Lane {
  /** A record of a table topic, in offset order: first the whole table, then what is appended to followed tables. */
  table(topic: string, record: LogRecord): void
  /** Stream records of [from, to) were deleted before they were read; nobody will see them. */
  lost(from: number, to: number): void
  /** Everything that the tables held when the lane was opened has been given. Work may begin. */
  live(): void
  /**
   * Start nothing new; resolves when no effect is in flight. Called before every rejoin and before the group is left,
   * also twice in a row.
   */
  quiesce(): Promise<void>
  /** Still ours after the rejoin. */
  resume(): void
  /** Offset of the first stream record that is not settled yet; null: nothing to commit. */
  committable(): number | null
}

export interface LaneContext {
  readonly lane: number
  /** Stream records of the lane; empty for ever when the group has no stream. */
  readonly queue: LaneQueue
  /** Aborts when the lane is lost or the worker ends. */
  readonly signal: AbortSignal
  /** False when another member may own the lane by now: start no effect. */
  leased(): boolean
}

export interface LaneGroupOptions {
  /** One that does not tell how often it tries to connect is taken to stand still whenever nothing is answered. */
  readonly kafka: KafkaClient & Partial<Pick<WatchedClient, 'connectionsBegun'>>
  readonly groupId: string
  readonly stream: string | null
  /** `freeze`: after the restore this worker is the only writer, so the topic is not read any more. */
  readonly tables: readonly { readonly topic: string; readonly afterRestore: 'follow' | 'freeze' }[]
  readonly open: (context: LaneContext) => Lane
  readonly clock: Clock
  readonly log: Log
  readonly sessionTimeoutMs: number
  /** What the headers of a stream record say of the span that brought it; absent: headers are not looked at. */
  readonly readTrace?: ((headers: Readonly<Record<string, unknown>> | undefined) => TraceContext | null) | undefined
  readonly crash?: Crash | null
  /** Time that `stop` has. */
  readonly shutdownMs: number
  /** Bytes of stream records that wait in memory, over all lanes. */
  readonly queueBytesMax: number
  readonly observe: LaneObserver
  /** The consumer is dead and will not come back: the process must end. */
  readonly onFatal: (error: Error) => void
  /** Monotonic milliseconds: leases must not follow clock steps. */
  readonly uptimeMs?: () => number
  readonly random?: () => number
}

export interface LaneObserver {
  restored(lane: number, durationMs: number, records: number): void
  rebalanced(owned: number): void
  /** Stream records of [from, to) that retention deleted before they were read. */
  lostToRetention(lane: number, from: number, to: number): void
}

export interface LaneGroup {
  /** Joined, and every owned lane restored. */
  readonly ready: boolean
  readonly owned: number
  /** Of these, not live yet. */
  readonly restoring: number
  readonly queuedRecords: number
  /** Stream records of each owned lane that are not settled, as far as the client knows the log's end. */
  lag(): readonly { readonly lane: number; readonly records: number }[]
  /**
   * Its client was answered lately, or tried to reach a broker since this was last asked; an outage of Kafka is no reason to
   * end the process.
   */
  alive(): boolean
  /** Finishes what is in flight, commits, leaves the group. */
  stop(): Promise<void>
}

interface Held {
  readonly lane: number
  readonly abort: AbortController
  readonly queue: RecordQueue
  readonly positions: Map<string, number>
  readonly ends: Map<string, number>
  readonly openedMs: number
  phase: 'opening' | 'restoring' | 'live'
  /** When a table last came closer to its end. */
  movedMs: number
  restoredRecords: number
  app: Lane
  committed: number
  /** The offset after the last record of the stream that is known to be there. */
  streamEnd: number
  full: boolean
}

const HEARTBEAT_MS = 1_000
/** Three times what a request may take: a client that neither was answered nor began to connect since stands still. */
const STANDSTILL_MS = 90_000
const FETCH_WAIT_MS = 300 // K18: a stop waits for the running fetch
/** A lane that is read on joins the next fetch: the running one would wait for the quiet ones meanwhile. */
const FETCH_WAIT_WHILE_FULL_MS = 20
const COMMIT_EVERY_MS = 1_000
const ENDS_EVERY_MS = 15_000
const REBALANCE_TIMEOUT_MS = 60_000
const FETCH_BYTES_MAX = 16 * 1024 * 1024
const LANE_FETCH_BYTES_MAX = 1024 * 1024 // as it is on the wire; unpacked it is bounded in kafkajs.ts (K20)
const LANE_QUEUE_BYTES_MIN = 512 * 1024
const LANE_QUEUE_BYTES_MAX = 6 * 1024 * 1024
/** A lane that does nothing else but restore and makes no headway for so long is opened anew. */
const RESTORE_STALL_MS = 30_000
const ADMIN_BACKOFF = { firstMs: 200, maxMs: 5_000 }
/** Of the session timeout: how long a rejoin may wait for effects in flight. */
const QUIESCE_SHARE = 0.5
/** Of the time to stop: what leaving the group takes after the work is done. */
const LEAVING_MS = 3_000

export async function joinLanes(options: LaneGroupOptions): Promise<LaneGroup> {
  const { kafka, groupId, stream, tables, clock, log, observe, sessionTimeoutMs } = options
  const uptimeMs = options.uptimeMs ?? (() => performance.now())
  const random = options.random ?? Math.random
  const topics = [...tables.map(({ topic }) => topic), ...(stream === null ? [] : [stream])]
  const lanes = new Map<number, Held>()
  let group: GroupInternals | null = null
  let generation = -1
  let joined = false
  let spokeMs = uptimeMs()
  let contactMs = spokeMs
  let stopping = false
  const pendingOpens = new Set<Held>()
  let opening = false

  const admin = kafka.admin({ retry: { retries: 3, initialRetryTime: 200, maxRetryTime: 2_000 } })
  await admin.connect()

  const consumer = kafka.consumer({
    groupId,
    sessionTimeout: sessionTimeoutMs,
    rebalanceTimeout: Math.max(REBALANCE_TIMEOUT_MS, sessionTimeoutMs),
    heartbeatInterval: Math.min(HEARTBEAT_MS, sessionTimeoutMs / 4),
    maxWaitTimeInMs: FETCH_WAIT_MS,
    maxBytes: FETCH_BYTES_MAX,
    maxBytesPerPartition: LANE_FETCH_BYTES_MAX,
    metadataMaxAge: METADATA_MAX_AGE_MS,
    allowAutoTopicCreation: false,
    readUncommitted: true, // nobody writes transactions here, and the client's filter for them is faulty (K4)
    // K12: no rackId. K16: restarts are the client's own for network trouble; anything else ends the process below.
    retry: { retries: 10, initialRetryTime: 200, maxRetryTime: 5_000 },
    partitionAssigners: [
      laneAssigner(
        () => ({ lanes: [...lanes.keys()], generation }),
        cluster => registerBeforeGivingUp(cluster, beforeGivingUp),
      ),
    ],
  })

  const { GROUP_JOIN, HEARTBEAT, CRASH, STOP, END_BATCH_PROCESS, FETCH, REQUEST, REQUEST_TIMEOUT } = consumer.events
  let movedMs = uptimeMs()
  /** At the last look: who asks whether the client is alive asks regularly. */
  let connectionsSeen = 0
  // the broker counts a session from when it hears us: an answer may be old when it is read, so what counts is when we asked
  consumer.on(REQUEST, ({ payload: { apiName, duration } }) => {
    if (apiName === 'Heartbeat' || apiName === 'SyncGroup') spokeMs = uptimeMs() - Math.max(0, duration)
  })
  consumer.on(HEARTBEAT, () => {
    contactMs = spokeMs
    movedMs = uptimeMs()
  })
  for (const event of [FETCH, REQUEST_TIMEOUT, CRASH]) {
    consumer.on(event, () => {
      movedMs = uptimeMs()
    })
  }
  // K16: the client takes what a listener throws for trouble on the network, and goes on
  consumer.on(GROUP_JOIN, ({ payload }) => orEnd(() => onJoin(payload.memberAssignment)))
  // it left the group, also when it crashed and will come back
  consumer.on(STOP, () => {
    contactMs = Number.NEGATIVE_INFINITY
  })
  consumer.on(CRASH, ({ payload }) => {
    joined = false
    if (!payload.restart) end(payload.error)
  })
  // also where nothing of a batch was left to show: the position still moves, unless it was set elsewhere meanwhile
  consumer.on(END_BATCH_PROCESS, ({ payload: { batchSize, topic, partition, lastOffset } }) => {
    if (batchSize === 0 && !group?.hasSeekOffset({ topic, partition })) moveTo(topic, partition, Number(lastOffset) + 1)
  })

  await consumer.connect()
  // K13: a position that is not known begins at the start, never at the end
  await consumer.subscribe({ topics, fromBeginning: true })
  await consumer.run({
    autoCommit: false,
    eachBatchAutoResolve: false,
    // K16: what the handler throws would stop the client silently
    eachBatch: async payload => orEnd(() => receive(payload)),
  })
  const committing = commitRegularly()

  function orEnd(act: () => void): void {
    try {
      act()
    } catch (error) {
      end(error)
    }
  }

  function end(error: unknown): void {
    const shown = inWordsIfDenied(error)
    options.onFatal(shown instanceof Error ? shown : new Error(String(shown)))
  }

  /** The last moment at which what we hold is certainly ours. */
  async function beforeGivingUp(member: GroupInternals, next: 'join' | 'leave'): Promise<void> {
    group = member
    paceFetches()
    await quiesceAll(sessionTimeoutMs * QUIESCE_SHARE)
    await commitNow()
    // the answer to a LeaveGroup may be long in coming, or lost
    if (next === 'leave') contactMs = Number.NEGATIVE_INFINITY
  }

  async function quiesceAll(limitMs: number): Promise<void> {
    const late = new AbortController()
    const idle = Promise.all([...lanes.values()].map(async held => held.app.quiesce())).catch(end)
    const deadline = clock.sleep(limitMs, late.signal).then(
      () => log.warn('some lanes still have work in flight and are not waited for any longer'),
      () => {},
    )
    await Promise.race([idle, deadline])
    late.abort()
  }

  function onJoin(assignment: Readonly<Record<string, readonly number[]>>): void {
    contactMs = spokeMs
    const nextGeneration = group?.generationId ?? generation + 2
    // someone else may have owned our lanes in a generation that we were no part of
    const unbroken = nextGeneration === generation + 1
    generation = nextGeneration
    const ours = new Set(topics.length === 0 ? [] : assignment[topics[0] ?? ''])
    for (const [lane, held] of lanes) {
      if (ours.has(lane) && unbroken) continue
      held.abort.abort(new Error(`lane ${lane} was given to another worker`))
      lanes.delete(lane)
    }
    if (stopping) return // what is left stays quiet until the group is left
    for (const lane of ours) {
      const held = lanes.get(lane)
      if (held) retain(held)
      else open(lane)
    }
    joined = true
    observe.rebalanced(lanes.size)
    log.info('joined the group', { group: groupId, generation, lanes: lanes.size, kept: unbroken })
  }

  /** The client forgets positions, and after a restart pauses too. */
  function retain(held: Held): void {
    for (const [topic, position] of held.positions) seek(topic, held.lane, position)
    applyPauses(held)
    held.app.resume()
  }

  function open(lane: number): void {
    const abort = new AbortController()
    const queue: RecordQueue = new RecordQueue(() => relieve(lane))
    let held: Held | undefined
    const context: LaneContext = {
      lane,
      queue,
      signal: abort.signal,
      leased: () => leased() && lanes.get(lane) === held,
    }
    held = {
      lane,
      abort,
      queue,
      positions: new Map(),
      ends: new Map(),
      openedMs: uptimeMs(),
      movedMs: uptimeMs(),
      phase: 'opening',
      restoredRecords: 0,
      app: options.open(context),
      committed: -1,
      streamEnd: -1,
      full: false,
    }
    lanes.set(lane, held)
    applyPauses(held)
    pendingOpens.add(held)
    if (opening) return
    opening = true
    void openPending()
  }

  function reopen(held: Held, why: string): void {
    log.warn('a lane is opened anew', { lane: held.lane, why })
    held.abort.abort(new Error(`lane ${held.lane} is opened anew: ${why}`))
    lanes.delete(held.lane)
    open(held.lane)
  }

  /** Lanes that came in one join are asked for in one round of requests. */
  async function openPending(): Promise<void> {
    for (let attempt = 0; pendingOpens.size > 0 && !stopping; ) {
      await Promise.resolve() // let the join finish naming its lanes
      const batch = [...pendingOpens]
      try {
        const offsets = await askOffsets(admin, groupId, topics, stream)
        for (const held of batch) {
          begin(held, offsets)
          pendingOpens.delete(held)
        }
        attempt = 0
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error)
        log.warn('the offsets of new lanes are not known yet, trying again', { lanes: batch.length, reason })
        await clock.sleep(backoffMs(attempt++, ADMIN_BACKOFF, random()))
      }
    }
    opening = false // in the same breath as the last look at what is pending
  }

  function begin(held: Held, offsets: Offsets): void {
    const { lane } = held
    // lost meanwhile, perhaps even given back: these offsets are older than the new lane
    if (lanes.get(lane) !== held) return
    for (const { topic } of tables) {
      const { low, high } = offsets.of(topic, lane)
      held.positions.set(topic, low)
      held.ends.set(topic, high)
    }
    if (stream !== null) {
      const { low, high } = offsets.of(stream, lane)
      const committed = offsets.committed(lane)
      const from = committed === null || committed > high ? low : Math.max(committed, low)
      if (committed !== null && committed < low) lose(held, committed, low)
      if (committed !== null && committed > high) {
        log.error('the group is ahead of the log: the topic was made anew, its lane is read from the start', { lane })
      }
      held.positions.set(stream, from)
      held.committed = from
      held.streamEnd = high
    }
    held.phase = 'restoring'
    held.movedMs = uptimeMs()
    for (const [topic, position] of held.positions) seek(topic, lane, position)
    applyPauses(held)
    checkRestored(held)
  }

  function receive({ batch, resolveOffset, isStale }: EachBatchPayload): void {
    const { topic, partition, messages } = batch
    const held = lanes.get(partition)
    if (!held || held.phase === 'opening' || isStale()) return
    if (held.phase === 'live' && isFrozen(topic)) return // was on its way when the lane went live
    const from = held.positions.get(topic) ?? 0
    if (Number(batch.highWatermark) < from) return reopen(held, `${topic} ends before ${from}, it was made anew`)
    const first = Number(batch.firstOffset() ?? from)
    if (topic === stream && first > from) lose(held, from, first)
    const records: LogRecord[] = []
    for (const message of messages) {
      const offset = offsetOf(message)
      if (offset < from) continue // a seek landed inside a batch
      const { key, value } = message
      const timestampMs = timestampMsOf(message)
      const trace = topic === stream ? options.readTrace?.(message.headers) : undefined
      records.push(trace ? { offset, timestampMs, key, value, trace } : { offset, timestampMs, key, value })
    }
    const next = Number(batch.lastOffset()) + 1
    resolveOffset(batch.lastOffset())
    if (topic === stream) {
      held.streamEnd = Number(batch.highWatermark)
      held.queue.push(records)
      held.positions.set(topic, next)
      if (held.queue.bytes > laneQueueBytes() && !held.full) {
        held.full = true
        applyPauses(held)
      }
      return
    }
    for (const record of records) held.app.table(topic, record)
    held.restoredRecords += held.phase === 'restoring' ? records.length : 0
    moveTo(topic, partition, next)
  }

  function lose(held: Held, from: number, to: number): void {
    observe.lostToRetention(held.lane, from, to)
    held.app.lost(from, to)
  }

  function moveTo(topic: string, partition: number, next: number): void {
    const held = lanes.get(partition)
    if (!held || held.phase === 'opening') return
    if (next > (held.positions.get(topic) ?? 0)) held.positions.set(topic, next)
    checkRestored(held)
  }

  function isFrozen(topic: string): boolean {
    return tables.some(table => table.topic === topic && table.afterRestore === 'freeze')
  }

  function checkRestored(held: Held): void {
    if (held.phase !== 'restoring') return
    held.movedMs = uptimeMs()
    for (const [topic, end] of held.ends) if ((held.positions.get(topic) ?? 0) < end) return
    held.phase = 'live'
    observe.restored(held.lane, uptimeMs() - held.openedMs, held.restoredRecords)
    applyPauses(held)
    orEnd(() => held.app.live())
  }

  /** Which partitions of a lane are read follows from its phase alone. */
  function applyPauses(held: Held): void {
    for (const { topic, afterRestore } of tables) {
      const read = held.phase === 'restoring' || (held.phase === 'live' && afterRestore === 'follow')
      setPaused(topic, held.lane, !read)
    }
    if (stream === null) return
    setPaused(stream, held.lane, held.phase !== 'live' || held.full)
    paceFetches()
  }

  function paceFetches(): void {
    if (group === null) return
    const someFull = [...lanes.values()].some(({ full }) => full)
    group.maxWaitTime = someFull ? FETCH_WAIT_WHILE_FULL_MS : FETCH_WAIT_MS
  }

  function setPaused(topic: string, lane: number, paused: boolean): void {
    const partitions = [{ topic, partitions: [lane] }]
    whileRunning(() => (paused ? consumer.pause(partitions) : consumer.resume(partitions)))
  }

  function seek(topic: string, lane: number, position: number): void {
    whileRunning(() => consumer.seek({ topic, partition: lane, offset: String(position) }))
  }

  /** Between a crash and the client's own restart it refuses; the next join sets positions and pauses again. */
  function whileRunning(act: () => void): void {
    try {
      act()
    } catch (error) {
      log.debug('the client is between two lives', { reason: error instanceof Error ? error.message : '' })
    }
  }

  function relieve(lane: number): void {
    const held = lanes.get(lane)
    if (!held?.full || held.queue.bytes > laneQueueBytes() / 2 || stopping) return
    held.full = false
    applyPauses(held)
  }

  function laneQueueBytes(): number {
    const share = options.queueBytesMax / Math.max(1, lanes.size)
    // what one more fetch brings has to fit as well
    return Math.min(LANE_QUEUE_BYTES_MAX, Math.max(LANE_QUEUE_BYTES_MIN, share - 2 * UNPACKED_BYTES_MAX))
  }

  function leased(): boolean {
    return uptimeMs() - contactMs < sessionTimeoutMs
  }

  async function commitRegularly(): Promise<void> {
    for (let endsDueMs = 0; !stopping; ) {
      await clock.sleep(COMMIT_EVERY_MS)
      await commitNow()
      orEnd(reopenStalled)
      if (uptimeMs() < endsDueMs) continue
      endsDueMs = uptimeMs() + ENDS_EVERY_MS
      void askEnds()
    }
  }

  /** A full lane is not fetched, so nothing else would say how far behind it falls. */
  async function askEnds(): Promise<void> {
    if (stream === null || ![...lanes.values()].some(held => held.full)) return
    try {
      for (const { partition, high } of await admin.fetchTopicOffsets(stream)) {
        const held = lanes.get(partition)
        if (held) held.streamEnd = Math.max(held.streamEnd, Number(high))
      }
    } catch (error) {
      log.debug('the ends of full lanes are not known, trying again', {
        reason: error instanceof Error ? error.message : '',
      })
    }
  }

  /** Retention may empty a table between the answer about its end and the first fetch: its end would never be reached. */
  function reopenStalled(): void {
    for (const held of lanes.values()) {
      const stalled = held.phase === 'restoring' && uptimeMs() - held.movedMs > RESTORE_STALL_MS
      if (stalled && !stopping) reopen(held, 'its restore stands still')
    }
  }

  /** Offsets are a convenience: what is settled and not committed is recognised by the ledger. So a failure only waits. */
  async function commitNow(): Promise<void> {
    const member = group
    if (member === null || stream === null) return
    const due = [...lanes.values()].flatMap(held => {
      const offset = held.phase === 'live' ? held.app.committable() : null
      return offset !== null && offset > held.committed ? [{ held, offset }] : []
    })
    if (due.length === 0) return
    try {
      const partitions = due.map(({ held, offset }) => ({ partition: held.lane, offset: String(offset) }))
      const topics = [{ topic: stream, partitions }]
      await withSteps(options.crash, 'offsets', () => member.commitOffsets({ topics }))
      for (const { held, offset } of due) held.committed = offset
    } catch (error) {
      log.debug('offsets were not committed, trying again', { reason: error instanceof Error ? error.message : '' })
    }
  }

  return {
    get ready() {
      return joined && [...lanes.values()].every(held => held.phase === 'live')
    },
    get owned() {
      return lanes.size
    },
    get restoring() {
      return [...lanes.values()].filter(held => held.phase !== 'live').length
    },
    lag: () =>
      [...lanes.values()].flatMap(({ lane, streamEnd, committed, app }) =>
        streamEnd < 0 ? [] : [{ lane, records: Math.max(0, streamEnd - Math.max(committed, app.committable() ?? 0)) }],
      ),
    get queuedRecords() {
      return [...lanes.values()].reduce((sum, held) => sum + held.queue.count, 0)
    },
    alive() {
      const begun = kafka.connectionsBegun?.() ?? 0
      if (begun !== connectionsSeen) movedMs = uptimeMs()
      connectionsSeen = begun
      return uptimeMs() - movedMs < STANDSTILL_MS
    },
    async stop() {
      if (stopping) return
      stopping = true
      // the client still runs, so the session does not end meanwhile
      await quiesceAll(options.shutdownMs - LEAVING_MS)
      await commitNow()
      for (const held of lanes.values()) held.abort.abort(new Error('the worker is stopping'))
      await consumer.disconnect()
      await admin.disconnect()
      await committing
    },
  }
}

interface Offsets {
  of(topic: string, lane: number): { readonly low: number; readonly high: number }
  committed(lane: number): number | null
}

async function askOffsets(
  admin: Admin,
  groupId: string,
  topics: readonly string[],
  stream: string | null,
): Promise<Offsets> {
  // first, for the log only grows: asked later, an offset that was committed meanwhile looks as if it lay behind the end
  const committed = stream === null ? new Map<number, number>() : await committedOffsets(admin, groupId, stream)
  const byTopic = new Map<string, Map<number, { low: number; high: number }>>()
  await Promise.all(
    topics.map(async topic => {
      const parts = await admin.fetchTopicOffsets(topic)
      byTopic.set(
        topic,
        new Map(parts.map(part => [part.partition, { low: Number(part.low), high: Number(part.high) }])),
      )
    }),
  )
  return {
    of(topic, lane) {
      const found = byTopic.get(topic)?.get(lane)
      if (!found) throw new Error(`${topic} has no partition ${lane}`)
      return found
    },
    committed: lane => committed.get(lane) ?? null,
  }
}
