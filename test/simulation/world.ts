/**
 * One seed's world from its beginning to its judgement. Longer than the rule: who may fail where, and who takes the
 * place of whom, are told together.
 */
import type { EngineItem } from '../../consumers/engine/item.ts'
import { codecOf } from '../../platform/avro/codec.ts'
import { laneOf } from '../../platform/kafka/lane-of.ts'
import type { Log } from '../../platform/log.ts'
import { TransientError } from '../../platform/retry.ts'
import type { Checkpoint, Tenant } from '../../schemas/types.ts'
import { fakeRegistry, realCodecs, schemaFile, valueOf } from '../unit/fakes/codecs.ts'
import { tenantOf as tenantRecord } from '../unit/fakes/records.ts'
import type { Chance } from './chance.ts'
import { chanceOf } from './chance.ts'
import type { Coordinator } from './coordinator.ts'
import { simCoordinator } from './coordinator.ts'
import type { Verdict } from './engine.ts'
import { simEngine } from './engine.ts'
import { simGraph, windowOf } from './graph.ts'
import type { Broker } from './kafka-client.ts'
import { refusal } from './kafka-client.ts'
import { simLog } from './log.ts'
import type { Violation } from './oracle.ts'
import { openOracle } from './oracle.ts'
import type { Plan, SpanKind, TimedAct, Trigger } from './plan.ts'
import { CALM_MS, planOf } from './plan.ts'
import type { Effect, Process, Side, Traffic } from './process.ts'
import { AnswerLost, EPOCH_MS, openConnection, openProcess } from './process.ts'
import { timeline } from './time.ts'
import type { Outside, Worker } from './workers.ts'
import { startForwarder, startPoller, tenantOf, TOPICS } from './workers.ts'

export interface Result {
  readonly seed: number
  readonly violations: readonly Violation[]
  /** The same for the same seed: of all that happened, in order. */
  readonly hash: string
  readonly figures: Readonly<Record<string, number>>
}

const PER_SIDE = 2
const QUIET_MS = 14_000
const PATIENCE_MS = 240_000
const LEAVE_PATIENCE_MS = 30_000
const ENGINE_TIMEOUT_MS = 5_000
/** Less than what a rejoin waits for. */
const ENGINE_SLOW_MS = 1_800
const TABLES = [TOPICS.tenants, TOPICS.checkpoints, TOPICS.deliveries] as const

const clock = { now: () => EPOCH_MS, sleep: () => Promise.resolve() }
const registry = fakeRegistry()
const codecs = {
  ...realCodecs(registry, clock),
  checkpoints: codecOf<Checkpoint>(5, schemaFile('checkpoint'), registry, clock),
}

export interface RunOptions {
  /** Is told what happens, step by step. */
  readonly say?: (line: string) => void
  /** Compaction does not wait until the owners of a lane have seen what it takes. */
  readonly compactsAtOnce?: boolean
}

export async function runSeed(seed: number, options: RunOptions = {}): Promise<Result> {
  const chance = chanceOf(seed)
  const world = openWorld(planOf(chance), chance, options)
  const onRejection = (error: unknown): void => world.fault('a promise was left alone', error)
  process.on('unhandledRejection', onRejection)
  try {
    await world.live()
  } finally {
    process.off('unhandledRejection', onRejection)
  }
  return { seed, ...world.result() }
}

function openWorld(plan: Plan, chance: Chance, { say, compactsAtOnce = false }: RunOptions) {
  const time = timeline()
  const log = simLog()
  const graph = simGraph()
  const oracle = openOracle({ time, log, graph, codecs, lanes: plan.lanes, isGentle: plan.isGentle })
  const groups = new Map<string, Coordinator>()
  const workers: Worker[] = []
  const breaking = new Set<Process>()
  const triggers: Trigger[] = plan.triggers.map(trigger => ({ ...trigger }))
  const pending: { process: Process; effect: Effect; trigger: Trigger }[] = []
  const figures = { deaths: 0, pauses: 0, stops: 0 }
  let isCalm = false
  let made = 0
  let hash = 0x811c9dc5

  function trace(line: string): void {
    for (let at = 0; at < line.length; at++) hash = Math.imul(hash ^ line.charCodeAt(at), 0x01000193)
    hash = Math.imul(hash ^ time.nowMs, 0x01000193)
    say?.(`${String(time.nowMs).padStart(7)} ${line}`)
  }

  function fails(kind: SpanKind): boolean {
    if (isCalm) return false
    const span = plan.spans.find(each => each.kind === kind && each.fromMs <= time.nowMs && time.nowMs < each.untilMs)
    return span !== undefined && chance.happens(span.share)
  }

  for (const groupId of ['pollers', 'forwarders']) {
    groups.set(
      groupId,
      simCoordinator({
        time,
        refusal,
        assigned(generation, assignment) {
          trace(`${groupId} ${generation}: ${[...assignment.keys()].join(' ')}`)
          oracle.assigned(groupId, generation, assignment)
        },
        committed(offsets) {
          trace(`commit ${JSON.stringify([...offsets])}`)
          oracle.committed(offsets)
        },
        left(memberId, isExpired) {
          trace(`${memberId} ${isExpired ? 'is put out' : 'leaves'}`)
          oracle.left(memberId)
        },
      }),
    )
  }

  const traffic: Traffic = {
    sent(process, effect) {
      const trigger = triggers.find(
        ({ fromMs, side, kind }) => fromMs <= time.nowMs && side === process.side && kind === effect.kind,
      )
      if (trigger && !isCalm && --trigger.count <= 0) {
        triggers.splice(triggers.indexOf(trigger), 1)
        trace(`${process.name}: ${trigger.act} at ${effect.kind}, ${trigger.where}`)
        if (trigger.where === 'unsent') {
          kill(process)
          return null
        }
        oracle.sent(process, effect)
        if (trigger.where === 'landed') pending.push({ process, effect, trigger })
        else strike(process, trigger)
        return trigger.lateMs
      }
      oracle.sent(process, effect)
      say?.(`${String(time.nowMs).padStart(7)}   ~ ${process.name} ${effect.kind} ${effect.lane ?? ''}`)
      return 0
    },
    landed(process, effect) {
      const at = pending.findIndex(each => each.effect === effect && each.process === process)
      const [struck] = at < 0 ? [] : pending.splice(at, 1)
      if (struck) strike(process, struck.trigger)
    },
    answered(_process, { kind }) {
      if (kind === 'fetch') return true
      if ((kind === 'join' || kind === 'sync') && fails('joins-lost')) return false
      return !fails('answers-lost')
    },
  }

  function strike(process: Process, { act, holdMs }: Pick<Trigger, 'act' | 'holdMs'>): void {
    if (act === 'kill') kill(process)
    else pause(process, holdMs)
  }

  function kill(process: Process): void {
    if (process.state === 'ended') return
    figures.deaths++
    trace(`${process.name} dies`)
    process.end()
    time.after(chance.between(200, 4_000), () => replace(process.side))
  }

  function pause(process: Process, holdMs: number): void {
    if (process.state !== 'running') return
    figures.pauses++
    trace(`${process.name} stands still for ${holdMs}`)
    process.pause()
    time.after(holdMs, () => {
      trace(`${process.name} goes on`)
      process.wake()
    })
  }

  function living(side: Side): Worker[] {
    return workers.filter(({ process }) => process.side === side && process.state !== 'ended' && !process.isStopping)
  }

  function replace(side: Side): void {
    if (living(side).length < PER_SIDE) start(side)
  }

  function start(side: Side): void {
    const process = openProcess(`${side === 'poller' ? 'p' : 'f'}${++made}`, side, { time, chance, traffic })
    trace(`${process.name} starts`)
    workers.push((side === 'poller' ? startPoller : startForwarder)(process, outside))
  }

  function stop(worker: Worker): void {
    figures.stops++
    worker.process.isStopping = true
    trace(`${worker.process.name} is asked to stop`)
    worker.process.deliver(() => {
      worker.stop().then(
        () => {
          trace(`${worker.process.name} has stopped`)
          worker.process.end()
        },
        (error: unknown) => outside.fault(worker.process, 'it did not stop', error),
      )
    })
  }

  function act({ side, act, holdMs }: TimedAct): void {
    const [first, second] = living(side)
    const chosen = second && chance.happens(0.5) ? second : first
    if (act === 'join') return start(side)
    if (!chosen) return
    switch (act) {
      case 'stop':
        stop(chosen)
        time.after(chance.between(0, 6_000), () => replace(side))
        break
      case 'kill':
        kill(chosen.process)
        break
      case 'pause':
        pause(chosen.process, holdMs)
        break
      case 'break':
        breaking.add(chosen.process)
    }
  }

  const broker: Broker = {
    time,
    lanes: plan.lanes,
    log,
    groups,
    faults: {
      isAway: () => fails('away'),
      produceFate() {
        for (const kind of ['refused', 'uncovered', 'unanswered', 'twice', 'slow'] as const)
          if (fails(kind)) return kind
        return 'ok'
      },
      breaksClient: process => breaking.delete(process),
    },
    told: (process, memberId, generation, assignment) => oracle.told(process, memberId, generation, assignment),
    sending(process, topic, values) {
      if (topic !== TOPICS.checkpoints) return
      for (const value of values) if (value) oracle.checkpointSent(process, valueOf(codecs.checkpoints, value))
    },
    landed(process, topic, lane, first) {
      trace(
        `${process.name} ${topic}/${lane} ${first}: ${log
          .all(topic, lane)
          .slice(first)
          .map(({ key }) => key.slice(-6))
          .join(' ')}`,
      )
      oracle.landed(topic, lane, first)
    },
  }

  const engine = simEngine(
    {
      putsOff: () => chance.happens(0.5),
      refuses: (key, version) => plan.refusedShare > 0 && refusedBy(`${key} ${version}`) < plan.refusedShare,
    },
    acceptance => {
      trace(`${acceptance.process.name} delivers ${acceptance.key.slice(-6)} ${acceptance.version}`)
      oracle.accepted(acceptance)
    },
  )

  function engineVerdict(): Verdict {
    if (fails('engine-busy')) return 'busy'
    if (fails('engine-broken')) return 'broken'
    if (fails('engine-lost')) return 'lost'
    return fails('engine-some') ? 'takes-some' : 'takes'
  }

  const quiet: Log = {
    debug() {},
    info() {},
    warn: (message, fields) => say?.(`${String(time.nowMs).padStart(7)}   (${message} ${reasonIn(fields)})`),
    error: (message, fields) => fault(message, fields?.['error'] ?? fields?.['detail']),
    child: () => quiet,
  }

  function fault(what: string, error: unknown): void {
    oracle.violated('fault', `${what}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`)
  }

  const outside: Outside = {
    broker,
    codecs,
    log: quiet,
    intervalMs: plan.intervalMs,
    engineItemsMax: plan.engineItemsMax,
    fault: (process, what, error) => fault(`${process.name}: ${what}`, error),
    graphOf(process) {
      const connection = openConnection()
      return {
        now: () => Promise.resolve({ kind: 'time', epochMs: Math.floor(process.clock.now() / 1_000) * 1_000 }),
        async page({ tenantId }, request, signal) {
          const lane = laneOf(tenantId, plan.lanes)
          const answer = await process
            .ask<Awaited<ReturnType<ReturnType<Outside['graphOf']>['page']>>>(
              { kind: 'page', lane },
              connection,
              reply => {
                if (fails('graph-throttled')) {
                  return reply.ok({
                    kind: 'throttled',
                    retryAfterMs: chance.between(1_000, 6_000),
                    detail: 'status 429',
                  })
                }
                if (fails('graph-away')) {
                  return reply.ok({ kind: 'unavailable', retryAfterMs: null, detail: 'status 503' })
                }
                reply.ok(graph.page(tenantId, request, time.nowMs, EPOCH_MS + time.nowMs))
              },
              signal,
            )
            .catch((error: unknown) => {
              if (!(error instanceof AnswerLost)) throw error
              return { kind: 'unavailable', retryAfterMs: null, detail: 'no answer' } as const
            })
          if (answer.kind === 'page') oracle.gave(process, tenantId, answer.alerts, windowOf(request)[1])
          return answer
        },
        credentialVersion: () => Promise.resolve('same'),
        grant: () => null,
        forget() {},
      }
    },
    engineOf(process) {
      const connection = openConnection()
      return {
        async post(items, signal) {
          const laneOfItem = (item: EngineItem): number => laneOf(tenantOf(item), plan.lanes)
          const lane = items[0] ? laneOfItem(items[0]) : 0
          const tenure = oracle.tenureOf(process, lane)
          // several requests of one worker go side by side
          const own = { ...connection }
          const sent = await process
            .ask<ReturnType<typeof engine.take>>(
              { kind: 'post', lane },
              own,
              reply => {
                const verdict = engineVerdict()
                const taken = engine.take(items, verdict, item => ({
                  key: `${tenantOf(item)}/${item.alertId}`,
                  lane,
                  process,
                  atMs: time.nowMs,
                  isLate: tenure === null || oracle.tenureOf(process, lane) !== tenure,
                }))
                const slowMs = fails('engine-slow') ? chance.between(300, ENGINE_SLOW_MS) : 0
                reply.ok(taken, verdict === 'lost' ? ENGINE_TIMEOUT_MS : slowMs)
              },
              signal,
            )
            .catch((error: unknown) => {
              if (!(error instanceof AnswerLost)) throw error
              return {
                answer: { kind: 'again', busy: false, retryAfterMs: null, detail: 'no answer' } as const,
                taken: [],
              }
            })
          if (sent.answer.kind === 'items') for (const each of sent.taken) each.isAnswered = true
          return sent.answer
        },
      }
    },
    readerOf(process) {
      const connection = openConnection()
      return {
        async *read(topic, lane, from, to) {
          const records = await process
            .ask<ReturnType<typeof log.all>>({ kind: 'read' }, connection, reply =>
              reply.ok(log.read(topic, lane, from, Math.min(to, 1e9))),
            )
            .catch(() => {
              throw new TransientError('the topic cannot be read now')
            })
          if (records.length === 0) return
          yield records.map(({ offset, message }) => {
            return { offset, timestampMs: Number(message.timestamp), key: message.key, value: message.value }
          })
        },
        close: () => Promise.resolve(),
      }
    },
  }

  function setUp(): void {
    for (const { tenantId, fromMs } of plan.tenants) {
      const record: Tenant = tenantRecord(tenantId, { changedAt: EPOCH_MS + fromMs })
      const append = (): void => {
        const value = codecs.tenants.encode(record)
        log.append(TOPICS.tenants, laneOf(tenantId, plan.lanes), [{ key: tenantId, value }], EPOCH_MS + time.nowMs)
      }
      if (fromMs === 0) append()
      else time.after(fromMs, append, true)
    }
    for (const { tenantId, alertId, atMs, tick, delayMs } of plan.updates) {
      const happen = (): void => graph.update(tenantId, alertId, EPOCH_MS + atMs, tick, atMs + 1 + delayMs)
      if (atMs <= 0) happen()
      else time.after(atMs, happen, true)
    }
    for (const side of ['poller', 'forwarder'] as const) {
      for (let n = 0; n < PER_SIDE; n++) time.after(chance.between(0, 1_000), () => start(side))
    }
    for (const timed of plan.acts) time.after(timed.atMs, () => act(timed))
    for (const atMs of plan.compactAtMs) {
      time.after(
        atMs,
        () => {
          for (const topic of TABLES) {
            const lane = chance.between(0, plan.lanes - 1)
            const waits = topic === TOPICS.deliveries && !compactsAtOnce
            if (chance.happens(0.6)) log.compact(topic, lane, waits ? oracle.compactable(lane) : Infinity)
          }
        },
        true,
      )
    }
  }

  /** Nothing goes wrong from here on. */
  function calmDown(): void {
    isCalm = true
    trace('calm')
    triggers.length = 0
    pending.length = 0
    breaking.clear()
    for (const { process } of workers) process.wake()
    for (const side of ['poller', 'forwarder'] as const) while (living(side).length < PER_SIDE) start(side)
  }

  async function untilDone(what: string): Promise<void> {
    const untilMs = time.nowMs + PATIENCE_MS
    while (time.nowMs < untilMs) {
      await time.runTo(time.nowMs + 1_000)
      const current = workers.filter(({ process }) => process.state !== 'ended' && !process.isStopping)
      if (oracle.awaited() === null && current.every(({ group }) => group?.ready)) return
    }
    const idle = workers.filter(({ process, group }) => process.state !== 'ended' && !group?.ready)
    const names = idle.map(({ process }) => process.name).join(' ')
    oracle.violated('not-alive', `${what}; awaited: ${oracle.awaited()}; not ready: ${names}`)
  }

  async function live(): Promise<void> {
    setUp()
    await time.runTo(CALM_MS)
    calmDown()
    await time.runTo(CALM_MS + QUIET_MS)
    await untilDone('it does not come to rest')
    await restart()
    oracle.judge()
  }

  /** Whoever comes after all this finds the tables as they ought to be, and can go on. */
  async function restart(): Promise<void> {
    for (const worker of workers) if (worker.process.state !== 'ended' && !worker.process.isStopping) stop(worker)
    const untilMs = time.nowMs + LEAVE_PATIENCE_MS
    const leaving = (): Worker[] => workers.filter(({ process }) => process.state !== 'ended')
    while (leaving().length > 0 && time.nowMs < untilMs) await time.runTo(time.nowMs + 250)
    for (const { process } of leaving()) oracle.violated('not-alive', `${process.name} does not stop`)
    for (const side of ['poller', 'forwarder'] as const) start(side)
    // of one tenant only: what is told of the others must stand as it is
    const tenantId = plan.tenants[chance.between(0, plan.tenants.length - 1)]?.tenantId ?? ''
    graph.update(tenantId, 'a1', EPOCH_MS + time.nowMs, chance.between(0, 9_999), time.nowMs + 1)
    await untilDone('the new workers do not get on')
    await time.runTo(time.nowMs + 500)
  }

  return {
    live,
    fault,
    result: () => ({
      violations: oracle.violations,
      hash: (hash >>> 0).toString(16).padStart(8, '0'),
      figures: {
        ...figures,
        ...oracle.figures,
        delivered: engine.accepted.length,
        revisions: graph.revisions.length,
        landings: log.landings,
        minutes: time.nowMs / 60_000,
      },
    }),
  }
}

/** In [0, 1), always the same for a text. */
function refusedBy(text: string): number {
  let hash = 0
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  return (Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d) >>> 0) / 4_294_967_296
}

function reasonIn(fields: Readonly<Record<string, unknown>> | undefined): string {
  const { error, reason, why } = fields ?? {}
  return error instanceof Error ? error.message : JSON.stringify(reason ?? why ?? '')
}
