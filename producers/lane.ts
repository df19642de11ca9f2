/** Longer than the rule: it holds all that a worker knows of the tenants of a lane, and the turn that changes it. */
import type { Codec } from '../platform/avro/codec.ts'
import type { Clock, Random } from '../platform/clock.ts'
import type { Lane, LaneContext } from '../platform/kafka/lanes.ts'
import type { Publisher } from '../platform/kafka/producer.ts'
import { tableIntake, tableOf } from '../platform/kafka/table-intake.ts'
import type { Log } from '../platform/log.ts'
import { backoffMs, TransientError } from '../platform/retry.ts'
import type { Checkpoint, GraphAlert, Parked, Tenant } from '../schemas/types.ts'
import type { Tally } from './checkpoint.ts'
import { checkpointAfter } from './checkpoint.ts'
import type { Budget } from './graph/budget.ts'
import { createBudget } from './graph/budget.ts'
import type { Graph } from './graph/client.ts'
import type { Cloud, TenantAccess } from './graph/clouds.ts'
import type { PageAnswer } from './graph/pages.ts'
import type { ListingLimits } from './listing.ts'
import { cover } from './listing.ts'
import type { Progress, TurnEnd } from './poll.ts'
import { poll, progressOf } from './poll.ts'
import { publishPage } from './publish.ts'
import type { Rota } from './rota.ts'
import type { Seen } from './seen.ts'
import { createSeen } from './seen.ts'
import { addMs } from './window.ts'

export interface PollerDeps {
  readonly topics: {
    readonly tenants: string
    readonly checkpoints: string
    readonly alerts: string
    readonly parked: string
  }
  readonly codecs: {
    readonly tenants: Codec<Tenant>
    readonly checkpoints: Codec<Checkpoint>
    readonly alerts: Codec<GraphAlert>
    readonly parked: Codec<Parked>
  }
  readonly publisher: Publisher
  readonly graph: Graph
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly limits: PollerLimits
  readonly observe: PollerObserver
}

export interface PollerLimits {
  readonly intervalMs: number
  readonly overlapMs: number
  readonly lookbackMs: number
  readonly listing: ListingLimits
}

export interface PollerObserver {
  turn(outcome: TurnEnd['kind'], lateMs: number): void
  request(answer: PageAnswer['kind']): void
  published(origin: 'poll' | 'backfill', listed: number, published: number, quarantined: number): void
}

export interface PollerLane extends Lane {
  /** One turn of a tenant of this lane; resolves with when the next is due, null for never. Never rejects. */
  turn(tenantId: string, dueMs: number): Promise<number | null>
  has(tenantId: string): boolean
  /** State of each tenant as its last turn left it, for the metrics. */
  states(): Iterable<{ readonly state: string; readonly polledAtMs: number | null }>
}

interface TenantState {
  tenant: Tenant
  access: TenantAccess
  checkpoint: Checkpoint | undefined
  /** When the checkpoint was last written; it is also written when something happened. */
  writtenAtMs: number
  budget: Budget
  seen: Seen
  backfillSeen: Seen
  failures: number
  abort: AbortController
  /** What a tenant that needs attention waits for. */
  waiting: { readonly credentialVersion: string; readonly untilMs: number } | null
}

const CHECKPOINT_EVERY_MS = 55_000
const AGAIN_MS = { firstMs: 2_000, maxMs: 45_000 }
/** A cause that somebody mended is noticed within a minute, and nobody is hammered. */
const ATTENTION_RETRY_MS = 40_000
const ATTENTION_LOOK_MS = 5_000
const SEEN_MARGIN_MS = 60_000
const THROTTLED_MIN_MS = 1_000

export function openPollerLane(deps: PollerDeps, context: LaneContext, rota: Rota): PollerLane {
  const { lane, signal } = context
  const { clock, log, codecs, topics, limits } = deps
  const tenants = new Map<string, TenantState>()
  const checkpoints = new Map<string, Checkpoint>()
  let live = false
  const intake = tableIntake(
    {
      [topics.tenants]: tableOf(codecs.tenants, (key, tenant) => (tenant === null ? drop(key) : upsert(tenant))),
      [topics.checkpoints]: tableOf(codecs.checkpoints, (key, checkpoint) => {
        if (checkpoint !== null) checkpoints.set(key, checkpoint)
      }),
    },
    { clock, log, signal },
  )
  signal.addEventListener('abort', () => [...tenants.keys()].forEach(drop), { once: true })

  function upsert(tenant: Tenant): void {
    if (tenant.state !== 'active') {
      drop(tenant.tenantId)
      return
    }
    const known = tenants.get(tenant.tenantId)
    const access = accessOf(tenant)
    if (known && JSON.stringify(known.access) === JSON.stringify(access)) {
      known.tenant = tenant // name, metadata, interval: from the next turn on
    } else {
      const budget = known?.budget ?? createBudget(clock.now())
      if (known) drop(tenant.tenantId)
      tenants.set(tenant.tenantId, {
        tenant,
        access,
        checkpoint: known?.checkpoint,
        writtenAtMs: 0,
        budget,
        seen: createSeen(),
        backfillSeen: createSeen(),
        failures: 0,
        abort: new AbortController(),
        waiting: null,
      })
    }
    if (live) schedule(tenant.tenantId)
  }

  function drop(tenantId: string): void {
    const known = tenants.get(tenantId)
    if (!known) return
    known.abort.abort(new Error('the tenant is not polled here any more'))
    tenants.delete(tenantId)
    rota.remove(tenantId)
    deps.graph.forget(tenantId)
  }

  function schedule(tenantId: string): void {
    const state = tenants.get(tenantId)
    if (!state) return
    state.waiting = null
    rota.put(tenantId, clock.now())
  }

  async function turn(tenantId: string, dueMs: number): Promise<number | null> {
    const state = tenants.get(tenantId)
    if (!state || signal.aborted) return null
    if (!context.leased()) return clock.now() + THROTTLED_MIN_MS
    if (state.waiting && !(await worthATry(state))) return clock.now() + ATTENTION_LOOK_MS
    const startedMs = clock.now()
    const tally: Tally = { listed: 0, published: 0, quarantined: 0 }
    let reached = progressOf(state.checkpoint, state.access.source)
    try {
      const { end, progress } = await pollOnce(state, reached, tally, at => (reached = at))
      deps.observe.turn(end.kind, startedMs - dueMs)
      await remember(state, end, progress, tally)
      return nextTurnMs(state, end, startedMs)
    } catch (error) {
      if (state.abort.signal.aborted || signal.aborted) return null
      return await afterFault(state, error, reached, tally)
    }
  }

  function pollOnce(
    state: TenantState,
    before: Progress | null,
    tally: Tally,
    advanced: (progress: Progress) => void,
  ): ReturnType<typeof poll> {
    const { access, tenant } = state
    const intervalMs = (tenant.intervalSeconds ?? limits.intervalMs / 1000) * 1000
    const lookbackMs = tenant.lookbackHours === null ? limits.lookbackMs : tenant.lookbackHours * 3_600_000
    const turnSignal = AbortSignal.any([signal, state.abort.signal])
    return poll(before, {
      graph: deps.graph,
      access,
      signal: turnSignal,
      advanced,
      nowMs: () => clock.now(),
      limits: { overlapMs: limits.overlapMs, lookbackMs, intervalMs },
      cover: (window, origin, closed) => {
        const seen = origin === 'backfill' ? (state.backfillSeen = createSeen()) : state.seen
        return cover(window, closed, {
          graph: deps.graph,
          access,
          budget: state.budget,
          clock,
          random: deps.random,
          signal: turnSignal,
          by: 'lastUpdate',
          limits: limits.listing,
          observe: { request: deps.observe.request },
          take: async alerts => {
            turnSignal.throwIfAborted()
            if (!context.leased()) throw new TransientError('the lane may belong to another worker')
            const scope = { tenantId: tenant.tenantId, source: access.source, lane, origin, seen, nowMs: clock.now() }
            const done = await publishPage(alerts, scope, deps)
            tally.listed += done.listed
            tally.published += done.published
            tally.quarantined += done.quarantined
            deps.observe.published(origin, done.listed, done.published, done.quarantined)
            return done.published
          },
        })
      },
    })
  }

  /** The checkpoint follows the acks of all that it covers; it is written at least once a minute, and when something happened. */
  async function remember(
    state: TenantState,
    end: TurnEnd,
    progress: Progress | null,
    tally: Readonly<Tally>,
  ): Promise<void> {
    const { tenantId } = state.tenant
    const nowMs = clock.now()
    const before = state.checkpoint
    const next = checkpointAfter(before, { tenantId, source: state.access.source, end, progress }, tally, nowMs)
    const eventful =
      !before ||
      before.state !== next.state ||
      before.problem !== next.problem ||
      tally.published + tally.quarantined > 0 ||
      before.gaps.length !== next.gaps.length
    state.checkpoint = next
    if (before?.state !== next.state) {
      log.info('tenant state', { tenantId, state: next.state, problem: next.problem })
    }
    state.seen.forgetBefore(
      addMs(next.watermark || '1970-01-02T00:00:00.0000000Z', -(limits.overlapMs + SEEN_MARGIN_MS)),
    )
    if (!eventful && nowMs - state.writtenAtMs < CHECKPOINT_EVERY_MS) return
    if (!context.leased()) return
    const value = codecs.checkpoints.encode(next)
    await deps.publisher.append(topics.checkpoints, lane, [{ key: tenantId, value }])
    state.writtenAtMs = nowMs
  }

  /** Kafka does not take what was read: the turn is repeated. Anything else is a fault of the code, kept to its tenant. */
  async function afterFault(
    state: TenantState,
    error: unknown,
    reached: Progress | null,
    tally: Readonly<Tally>,
  ): Promise<number> {
    const { tenantId } = state.tenant
    const detail = error instanceof Error ? error.message : String(error)
    if (error instanceof TransientError)
      log.warn('a turn could not be made durable and is repeated', { tenantId, error })
    else log.error('a turn failed by a fault in the poller and is repeated', { tenantId, error })
    deps.observe.turn('unavailable', 0)
    const end: TurnEnd = { kind: 'unavailable', retryAfterMs: null, detail: detail.slice(0, 300) }
    await remember(state, end, reached, tally).catch(() => {})
    return clock.now() + backoffMs(state.failures++, AGAIN_MS, deps.random())
  }

  function nextTurnMs(state: TenantState, end: TurnEnd, startedMs: number): number {
    const nowMs = clock.now()
    const intervalMs = (state.tenant.intervalSeconds ?? limits.intervalMs / 1000) * 1000
    if (end.kind === 'ok' || end.kind === 'partial') state.failures = 0
    switch (end.kind) {
      case 'ok':
        return end.more ? nowMs : Math.max(nowMs, startedMs + intervalMs)
      case 'partial':
        return Math.max(nowMs, startedMs + intervalMs)
      case 'throttled':
        return (
          nowMs + Math.max(THROTTLED_MIN_MS, end.retryAfterMs ?? backoffMs(state.failures++, AGAIN_MS, deps.random()))
        )
      case 'unavailable':
        return nowMs + Math.max(end.retryAfterMs ?? 0, backoffMs(state.failures++, AGAIN_MS, deps.random()))
      case 'needs-attention':
        void rememberCredential(state, nowMs + ATTENTION_RETRY_MS * (1 + 0.2 * deps.random()))
        return nowMs + ATTENTION_LOOK_MS
    }
  }

  async function rememberCredential(state: TenantState, untilMs: number): Promise<void> {
    state.waiting = { credentialVersion: '', untilMs }
    const credentialVersion = await deps.graph.credentialVersion(state.access)
    if (state.waiting?.untilMs === untilMs) state.waiting = { credentialVersion, untilMs }
  }

  async function worthATry(state: TenantState): Promise<boolean> {
    if (!state.waiting || clock.now() >= state.waiting.untilMs) return true
    const { credentialVersion } = state.waiting
    return credentialVersion !== '' && (await deps.graph.credentialVersion(state.access)) !== credentialVersion
  }

  async function begin(): Promise<void> {
    await intake.settled()
    live = true
    for (const [tenantId, state] of tenants) {
      state.checkpoint = checkpoints.get(tenantId)
      schedule(tenantId)
    }
    checkpoints.clear()
  }

  return {
    table: (topic, record) => intake.take(topic, record),
    live: () => void begin(),
    // a turn that is cut is repeated by the next owner: its overlap covers it
    quiesce: async () => {},
    resume: () => {},
    committable: () => null,
    turn,
    has: tenantId => tenants.has(tenantId),
    *states() {
      for (const { checkpoint } of tenants.values()) {
        yield { state: checkpoint?.state ?? 'catching-up', polledAtMs: checkpoint?.polledAt ?? null }
      }
    },
  }
}

function accessOf(tenant: Tenant): TenantAccess {
  return {
    tenantId: tenant.tenantId,
    clientId: tenant.clientId,
    cloud: tenant.cloud as Cloud,
    source: tenant.source === 'alerts' ? 'alerts' : 'alerts_v2',
    credential: {
      kind: tenant.credentialKind as TenantAccess['credential']['kind'],
      file: tenant.credentialFile,
    },
  }
}
