/**
 * A poller's lane and rota, as they are, between a modelled Graph and a modelled log, with a clock turned by hand.
 * Workers come and go, the log and Graph stay. An oracle looks at every append; `lost` says at the end what Graph showed
 * and the log does not have.
 * Longer than a screen or two because who may die where and what must hold all the same are told together.
 */
import type { Codec } from '../../../platform/avro/codec.ts'
import { codecOf } from '../../../platform/avro/codec.ts'
import type { Clock } from '../../../platform/clock.ts'
import type { LogRecord } from '../../../platform/kafka/queue.ts'
import { RecordQueue } from '../../../platform/kafka/queue.ts'
import type { Appender } from '../../../platform/kafka/producer.ts'
import { TransientError } from '../../../platform/retry.ts'
import type { Tracer } from '../../../platform/trace.ts'
import type { Checkpoint, Tenant } from '../../../schemas/types.ts'
import type { PollerDeps, PollerLane } from '../../../producers/lane.ts'
import { openPollerLane } from '../../../producers/lane.ts'
import type { ListingLimits } from '../../../producers/listing.ts'
import { createRota } from '../../../producers/rota.ts'
import type { Known } from '../../../producers/sweep.ts'
import { createUnsent } from '../../../producers/unsent.ts'
import { addMs, fromEpochMs } from '../../../producers/window.ts'
import { handClock } from '../engine-kit.ts'
import { fakeRegistry, realCodecs, schemaFile, valueOf } from './codecs.ts'
import { recordingLog } from './log.ts'
import type { GraphModel, GraphScript, Revision } from './poller-graph.ts'
import { graphModel } from './poller-graph.ts'
import { LANE, logRecord, TENANT_A, tenantOf } from './records.ts'

export const TOPICS = { tenants: 'tenants', checkpoints: 'checkpoints', alerts: 'alerts', parked: 'parked' } as const
const LISTING: ListingLimits = {
  top: 1_000,
  pagesMax: 50,
  tries: 3,
  listingsMax: 5,
  splitRequestsMax: 40,
  splitMs: 120_000,
}

/** How long a zombie goes on before it hears that it lost the lane. */
const BLIND_MS = 60_000

/**
 * At the n-th point since the last act (Graph is asked, has answered; an append begins, has landed) the worker
 * `die`s, is told that it `lose`s the lane, or turns into a `zombie`: it stops there, and goes on later as if it had
 * only blinked, though another owner works since.
 */
export interface Act {
  readonly at: number
  readonly act: 'die' | 'lose' | 'zombie'
  /** How long a zombie stops. */
  readonly holdMs: number
  /** Until the next owner begins. */
  readonly afterMs: number
}

export interface WorldOptions {
  readonly intervalMs?: number
  readonly overlapMs?: number
  readonly lookbackMs?: number
  readonly listing?: Partial<ListingLimits>
  readonly concurrency?: number
  readonly sweepEveryMs?: number
  readonly known?: () => Promise<Known>
  /** Each with its Graph; TENANT_A alone when absent. */
  readonly tenants?: readonly {
    readonly tenant: Partial<Tenant> & { tenantId: string }
    readonly graph?: GraphScript
  }[]
  readonly graph?: GraphScript
  readonly tracer?: Tracer
  readonly acts?: readonly Act[]
  /** Appends that are rejected, before or after they landed, by their number. */
  readonly refusals?: readonly { readonly at: number; readonly when: 'before' | 'after' }[]
  readonly appendMs?: readonly number[]
  readonly unsentBytesMax?: number
  readonly random?: () => number
  /** From then on nobody dies and nothing is refused. */
  readonly calmAfterMs?: number
  /** Stands between the lane and the log: what a broken dependency would do. */
  readonly between?: (publisher: Appender, codecs: PollerDeps['codecs']) => Appender
}

interface Worker {
  readonly name: string
  readonly lane: PollerLane
  readonly abort: AbortController
  leased: boolean
  dead: boolean
  /** Its act has come; there is a next owner, or will be. */
  isOver: boolean
  heldUntilMs: number
  endedMs: number
  /** How the turn under way ended, as the lane told it. */
  outcome: string | null
  /** Revisions that Graph gave it in this turn. */
  readonly given: Set<string>
}

interface Turn {
  readonly worker: Worker
  readonly tenantId: string
  readonly startMs: number
  endMs: number
  outcome: string | null
}

export type World = ReturnType<typeof pollerWorld>

export function pollerWorld(options: WorldOptions = {}) {
  const { intervalMs = 60_000, overlapMs = 600_000, lookbackMs = 48 * 3_600_000, concurrency = 8 } = options
  const clock = handClock()
  const startMs = clock.now()
  const registry = fakeRegistry()
  const checkpointCodec: Codec<Checkpoint> = codecOf(5, schemaFile('checkpoint'), registry, clock)
  const codecs = { ...realCodecs(registry, clock), checkpoints: checkpointCodec }
  const log = recordingLog()
  const topics = new Map<string, LogRecord[]>()
  const landed = new Set<string>()
  const acked = new Set<string>()
  const violations: string[] = []
  const turns: Turn[] = []
  const checkpoints: { readonly atMs: number; readonly value: Checkpoint }[] = []
  const receiptsMs: { readonly tenantId: string; readonly atMs: number }[] = []
  const workers: Worker[] = []
  const acts = [...(options.acts ?? [])]
  const faults = { appends: 0, points: 0, busiest: 0, running: new Set<string>() }
  const tenants = (options.tenants ?? [{ tenant: { tenantId: TENANT_A } }]).map(({ tenant, graph }) => ({
    record: tenantOf(tenant.tenantId, { changedAt: startMs, ...tenant }),
    model: graphModel(clock, tenant, graph ?? options.graph ?? {}),
  }))
  const models = new Map(tenants.map(({ record, model }) => [record.tenantId, model]))
  const [first] = tenants
  if (!first) throw new Error('a world needs a tenant')

  function modelOf(tenantId: string): GraphModel {
    const model = models.get(tenantId)
    if (!model) throw new Error(`nobody told Graph of ${tenantId}`)
    return model
  }

  const isCalm = (): boolean => clock.now() - startMs >= (options.calmAfterMs ?? Infinity)

  async function point(self: Worker): Promise<void> {
    const act = acts[0]
    if (self === workers.at(-1) && !self.isOver && act && !isCalm() && faults.points++ >= act.at) {
      self.isOver = true
      acts.shift()
      faults.points = 0
      if (act.act === 'die') self.dead = true
      self.leased = act.act === 'lose'
      self.heldUntilMs = clock.now() + act.holdMs
      if (act.act !== 'die') void retire(self, act.act === 'lose' ? 0 : act.holdMs + BLIND_MS)
      void after(act.afterMs, start)
    }
    if (!self.dead && !self.leased && self.heldUntilMs > clock.now()) {
      await clock.sleep(self.heldUntilMs - clock.now())
    }
    if (!self.dead) return
    if (self.endedMs === Infinity) self.endedMs = clock.now()
    await new Promise<never>(() => {})
  }

  async function after(ms: number, act: () => void): Promise<void> {
    await clock.sleep(ms)
    act()
  }

  function retire(self: Worker, ms: number): Promise<void> {
    return after(ms, () => {
      self.abort.abort(new Error('the lane was given to another worker'))
      self.endedMs = clock.now()
    })
  }

  function publisherOf(worker: () => Worker): Appender {
    const real: Appender = {
      async append(topic, _partition, records) {
        const self = worker()
        const number = faults.appends++
        const refused = isCalm() ? undefined : options.refusals?.find(({ at }) => at === number)?.when
        await point(self)
        await clock.sleep(options.appendMs?.[number % options.appendMs.length] ?? 2)
        if (refused === 'before') throw new TransientError('Kafka did not take it')
        const at = topics.get(topic) ?? []
        topics.set(topic, at)
        const before = at.length
        for (const { key, value } of records) at.push(logRecord(at.length, key, value))
        if (topic === TOPICS.checkpoints) for (const { value } of records) checkpointLands(self, value)
        const revisions = topic === TOPICS.alerts ? at.slice(before).map(revisionOf) : []
        for (const { key } of revisions) landed.add(key)
        for (const [n, { version }] of revisions.entries()) {
          const previous = revisions[n - 1]
          if (previous && previous.version > version)
            violations.push(`${version} after ${previous.version} in one append`)
        }
        await point(self)
        if (refused === 'after') throw new TransientError('Kafka did not answer')
        return before
      },
    }
    const between = options.between?.(real, codecs) ?? real
    return {
      async append(topic, partition, records) {
        const offset = await between.append(topic, partition, records)
        if (topic === TOPICS.alerts) {
          for (const { key, value } of records) acked.add(revisionOf(logRecord(0, key, value)).key)
        }
        return offset
      },
    }
  }

  function revisionOf({ value }: LogRecord): { key: string; version: string } {
    const { tenantId, alertId, version } = valueOf(codecs.alerts, value)
    return { key: keyOf(tenantId, { id: alertId, version }), version }
  }

  /** What a checkpoint says is done must be on the log. */
  function checkpointLands(self: Worker, value: Buffer | null): void {
    const checkpoint = valueOf(codecs.checkpoints, value)
    receiptsMs.push({ tenantId: checkpoint.tenantId, atMs: clock.now() })
    if (checkpoint.watermark === '') return
    const { tenantId, watermark } = checkpoint
    const model = modelOf(tenantId)
    const before = checkpoints.findLast(each => each.value.tenantId === tenantId)?.value
    checkpoints.push({ atMs: clock.now(), value: checkpoint })
    const closed = addMs(watermark, -Math.max(overlapMs, 2 * intervalMs))
    for (const revision of model.current()) {
      const key = keyOf(tenantId, revision)
      if ((landed.has(key) && acked.has(key)) || !covers(checkpoint, revision.version)) continue
      if (revision.version < closed && !mayHide(tenantId, revision)) violations.push(`${key} is covered, and lost`)
      if (self.given.has(key) && !(before && covers(before, revision.version))) {
        violations.push(`${key} was given and is covered, but not on the log`)
      }
    }
  }

  function covers({ watermark, backfillNext, backfillUntil, gaps }: Checkpoint, version: string): boolean {
    if (version >= watermark || gaps.some(({ from, to }) => from <= version && version < to)) return false
    return !(backfillNext !== null && backfillUntil !== null && backfillNext <= version && version < backfillUntil)
  }

  /** Rows that moved while pages were read, in two polls of an open window: the one way that is left to a later sweep. */
  function mayHide(tenantId: string, revision: Revision): boolean {
    const until = checkpoints.find(each => each.value.tenantId === tenantId)?.value.backfillUntil ?? ''
    if (revision.version < until) return false
    const model = modelOf(tenantId)
    const sinceMs = ourMs(tenantId, revision.visibleMs)
    const moved = turns.filter(
      turn => turn.tenantId === tenantId && turn.endMs >= sinceMs && movesWithin(model, tenantId, turn) > 0,
    )
    return moved.length >= 2
  }

  function movesWithin(model: GraphModel, tenantId: string, { startMs, endMs, worker }: Turn): number {
    const end = Math.min(endMs, worker.endedMs)
    return model.movesMs.map(ms => ourMs(tenantId, ms)).filter(ms => startMs <= ms && ms <= end).length
  }

  function scriptOf(tenantId: string): GraphScript {
    return options.tenants?.find(({ tenant }) => tenant.tenantId === tenantId)?.graph ?? options.graph ?? {}
  }

  function ourMs(tenantId: string, graphMs: number): number {
    return graphMs - (scriptOf(tenantId).skewMs ?? 0)
  }

  function isEverSilent(tenantId: string, provider: string): boolean {
    return scriptOf(tenantId).spans?.some(({ what }) => typeof what === 'object' && what.silent === provider) ?? false
  }

  function start(): Worker {
    const holder: { self?: Worker } = {}
    const worker = (): Worker => {
      if (!holder.self) throw new Error('an effect before the lane was open')
      return holder.self
    }
    const abort = new AbortController()
    const graph: PollerDeps['graph'] = {
      async now(access, signal) {
        await point(worker())
        return modelOf(access.tenantId).now(access, signal)
      },
      async page(access, ask, signal) {
        const self = worker()
        await point(self)
        const answer = await modelOf(access.tenantId).page(self.name, ask, signal)
        await point(self)
        if (answer.kind !== 'page') return answer
        for (const { id, lastUpdate } of answer.alerts) {
          const given = modelOf(access.tenantId).revisions.find(
            ({ row }) => row.id === id && row.lastUpdate === lastUpdate,
          )
          if (given) self.given.add(keyOf(access.tenantId, given))
        }
        return answer
      },
      credentialVersion: () => Promise.resolve('same'),
      grant: () => null,
      forget: () => {},
    }
    const deps: PollerDeps = {
      topics: TOPICS,
      codecs,
      publisher: publisherOf(worker),
      unsent: createUnsent(options.unsentBytesMax ?? 1_000_000),
      graph,
      known: options.known ?? (() => Promise.reject(new Error('no sweep is due here'))),
      clock,
      random: options.random ?? (() => 0.5),
      log,
      tracer: options.tracer ?? null,
      limits: {
        intervalMs,
        overlapMs,
        lookbackMs,
        listing: { ...LISTING, ...options.listing },
        sweep: { everyMs: options.sweepEveryMs ?? 1e15, windowMs: 6 * 3_600_000 },
      },
      observe: {
        turn(outcome) {
          worker().outcome = outcome
        },
        request: () => {},
        published: () => {},
        swept: () => {},
        fresh: () => {},
      },
    }
    const rota = createRota({ clock, concurrency, signal: abort.signal }, async (tenantId, dueMs) => {
      const self = worker()
      if (faults.running.has(`${self.name} ${tenantId}`)) violations.push(`two turns of ${tenantId} at once`)
      faults.running.add(`${self.name} ${tenantId}`)
      faults.busiest = Math.max(faults.busiest, faults.running.size)
      const turn: Turn = { worker: self, tenantId, startMs: clock.now(), endMs: Infinity, outcome: null }
      turns.push(turn)
      self.outcome = null
      self.given.clear()
      const next = await self.lane.turn(tenantId, dueMs)
      turn.endMs = clock.now()
      turn.outcome = self.outcome
      faults.running.delete(`${self.name} ${tenantId}`)
      return next
    })
    const lane = openPollerLane(
      deps,
      { lane: LANE, queue: new RecordQueue(() => {}), signal: abort.signal, leased: () => worker().leased },
      rota,
    )
    const self: Worker = {
      name: `worker ${workers.length}`,
      lane,
      abort,
      leased: true,
      dead: false,
      isOver: false,
      heldUntilMs: 0,
      endedMs: Infinity,
      outcome: null,
      given: new Set(),
    }
    holder.self = self
    workers.push(self)
    for (const [offset, { record }] of tenants.entries()) {
      lane.table(TOPICS.tenants, logRecord(offset, record.tenantId, codecs.tenants.encode(record)))
    }
    for (const record of topics.get(TOPICS.checkpoints) ?? []) lane.table(TOPICS.checkpoints, record)
    lane.live()
    return self
  }

  function lastCheckpoint(tenantId: string): Checkpoint | undefined {
    return checkpoints.findLast(each => each.value.tenantId === tenantId)?.value
  }

  /** What Graph showed for long enough and the log does not have, and no open gap stands for. */
  function lost(tenantId: string = TENANT_A): string[] {
    const model = modelOf(tenantId)
    const checkpoint = lastCheckpoint(tenantId)
    return model.revisions
      .filter(revision => !landed.has(keyOf(tenantId, revision)) && isPromised(tenantId, revision))
      .filter(({ version }) => !checkpoint?.gaps.some(({ from, to }) => from <= version && version < to))
      .map(revision => keyOf(tenantId, revision))
  }

  /** The last revision of an alert always; another one when a whole poll passed while it stood and nothing moved. */
  function isPromised(tenantId: string, revision: Revision): boolean {
    const model = modelOf(tenantId)
    if (model.current().includes(revision)) return !mayHide(tenantId, revision)
    const span = model.standing(revision)
    if (!span) return false
    const fromMs = ourMs(tenantId, span.fromMs)
    const untilMs = ourMs(tenantId, span.untilMs)
    const mine = turns.filter(turn => turn.tenantId === tenantId)
    if (!mine.some(({ outcome, endMs }) => outcome === 'ok' && endMs < fromMs)) return false
    // whoever was not the silent one was listed in a partial answer too
    const counts = (outcome: string | null): boolean =>
      outcome === 'ok' || (outcome === 'partial' && !isEverSilent(tenantId, revision.provider))
    const poll = mine.find(({ outcome, startMs }) => counts(outcome) && startMs >= fromMs + 1_000)
    if (!poll || poll.endMs >= untilMs) return false
    if (
      checkpoints.some(({ value }) => value.gaps.some(gap => gap.from <= revision.version && revision.version < gap.to))
    )
      return false
    return mine.every(
      turn => turn.endMs < fromMs || turn.startMs > poll.endMs || movesWithin(model, tenantId, turn) === 0,
    )
  }

  return {
    clock: clock as Clock,
    startMs,
    log,
    tenantId: first.record.tenantId,
    graph: first.model,
    nowText: () => fromEpochMs(clock.now()),
    modelOf,
    checkpoints,
    turns,
    workers,
    codecs,
    start,
    /** Time goes on; so do the workers. */
    pass: (ms: number) => clock.advance(ms),
    /** Every revision on the log, in order, as often as it is there. */
    published: () => (topics.get(TOPICS.alerts) ?? []).map(record => revisionOf(record).key),
    /** The longest time without a checkpoint, from the start until now. */
    longestSilenceMs(tenantId: string = TENANT_A): number {
      const mine = receiptsMs.filter(receipt => receipt.tenantId === tenantId).map(({ atMs }) => atMs)
      const times = [startMs, ...mine, clock.now()]
      return Math.max(...times.slice(1).map((atMs, n) => atMs - (times[n] ?? 0)))
    },
    receipts: () => receiptsMs.length,
    lastCheckpoint,
    lost,
    isPromised,
    has: (id: string, version: string, tenantId: string = TENANT_A) => landed.has(keyOf(tenantId, { id, version })),
    get busiest() {
      return faults.busiest
    },
    /** What broke at the moment it did: of the oracle here, and of Graph. */
    get violations(): readonly string[] {
      return [...violations, ...[...models.values()].flatMap(model => model.violations)]
    },
  }
}

function keyOf(tenantId: string, { id, version }: { id: string; version: string }): string {
  return `${tenantId}/${id} ${version}`
}
