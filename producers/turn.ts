/** Longer than the rule: polling a tenant, sweeping it, and what is written down of both share its state. */
import type { Codec } from '../platform/avro/codec.ts'
import type { Clock, Random } from '../platform/clock.ts'
import { murmur2 } from '../platform/kafka/lane-of.ts'
import type { LaneContext } from '../platform/kafka/lanes.ts'
import type { Publisher } from '../platform/kafka/producer.ts'
import type { Log } from '../platform/log.ts'
import { backoffMs, TransientError } from '../platform/retry.ts'
import { type Span, type Tracer, within } from '../platform/trace.ts'
import { ATTRIBUTES } from '../platform/trace-names.ts'
import type { Checkpoint, GraphAlert, Parked, Sweep, Tenant } from '../schemas/types.ts'
import type { Tally, UnderWay } from './checkpoint.ts'
import { checkpointAfter } from './checkpoint.ts'
import type { Budget } from './graph/budget.ts'
import type { Graph } from './graph/client.ts'
import type { Cloud, TenantAccess } from './graph/clouds.ts'
import type { PageAnswer } from './graph/pages.ts'
import type { SlicedAlert } from './graph/slice.ts'
import type { ListingDeps, ListingLimits } from './listing.ts'
import { bothCovered, cover } from './listing.ts'
import type { Progress, TurnEnd } from './poll.ts'
import { overlapOf, poll, progressOf } from './poll.ts'
import type { Origin, Pending, Published } from './publish.ts'
import { publishPage, publishPending } from './publish.ts'
import type { Seen } from './seen.ts'
import { createSeen } from './seen.ts'
import type { Known, Swept } from './sweep.ts'
import { sweepReceipt, sweepReceiptKey } from './sweep.ts'
import type { SweepLimits, SweepPause, SweepRun } from './sweep-turn.ts'
import { sweepShare } from './sweep-turn.ts'
import type { Unsent } from './unsent.ts'
import { addMs } from './window.ts'

export interface TurnDeps {
  readonly topics: {
    readonly checkpoints: string
    readonly alerts: string
    readonly parked: string
  }
  readonly codecs: {
    readonly checkpoints: Codec<Checkpoint>
    readonly alerts: Codec<GraphAlert>
    readonly parked: Codec<Parked>
  }
  readonly publisher: Publisher
  /** Of the worker, so that it outlives a lane that is given up and comes back. */
  readonly unsent: Unsent
  readonly graph: Graph
  /** What the pipeline has of a tenant of the lane; for sweeps. Rejects with a TransientError. */
  readonly known: (tenantId: string, lane: number) => Promise<Known>
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly tracer?: Tracer | null
  readonly limits: PollerLimits
  readonly observe: PollerObserver
}

interface PollerLimits {
  readonly intervalMs: number
  readonly overlapMs: number
  readonly lookbackMs: number
  readonly listing: ListingLimits
  readonly sweep: SweepLimits
}

export interface PollerObserver {
  turn(outcome: TurnEnd['kind'], lateMs: number): void
  request(answer: PageAnswer['kind']): void
  published(origin: Origin, listed: number, published: number, quarantined: number): void
  swept(result: Swept): void
  /** A revision that was not published lately, as Graph wrote it. */
  fresh(alert: Buffer, source: TenantAccess['source'], cloud: Cloud): void
}

/** What is remembered of a tenant between its turns. */
export interface TenantState {
  tenant: Tenant
  access: TenantAccess
  checkpoint: Checkpoint | undefined
  /** What the log holds, as far as this worker put it there. */
  written: { readonly checkpoint: Checkpoint; readonly atMs: number } | null
  budget: Budget
  seen: Seen
  failures: number
  abort: AbortController
  /** Graph or Entra asked for a pause until then: nothing else may bring a turn forward. */
  notBeforeMs: number
  sweeping: SweepRun | null
  /** That the app may do more than read is said once. */
  isOverGrantSaid: boolean
  /** What a tenant that needs attention waits for. */
  waiting: { readonly credentialVersion: string; readonly untilMs: number } | null
}

interface TurnRecord {
  /** The checkpoint that the turn began with. */
  readonly base: Checkpoint | undefined
  readonly end: TurnEnd | UnderWay
  readonly progress: Progress | null
  readonly tally: Readonly<Tally>
  /** When the next turn is due. */
  readonly nextMs: number
}

/** A little less than the minute that is promised: a turn takes its time. */
const CHECKPOINT_EVERY_MS = 55_000
const AGAIN_MS = { firstMs: 2_000, maxMs: 45_000 }
/** A cause that somebody mended is noticed within a minute, and nobody is hammered. */
const ATTENTION_RETRY_MS = 40_000
/** How often a tenant that waits is looked at; no request goes out for it. */
const LOOK_MS = 5_000
const SEEN_MARGIN_MS = 60_000
const THROTTLED_MIN_MS = 1_000

/** One turn of a tenant; resolves with when the next is due, null for never. Never rejects. */
export type TakeTurn = (state: TenantState, dueMs: number) => Promise<number | null>

/** `receipts`: what sweeps have proven of the tenants of the lane, which a turn adds to. */
export function openTurns(deps: TurnDeps, context: LaneContext, receipts: Map<string, Sweep>): TakeTurn {
  const { lane, signal } = context
  const { clock, log, codecs, topics, limits } = deps

  async function turn(state: TenantState, dueMs: number): Promise<number | null> {
    const { tenantId } = state.tenant
    if (signal.aborted) return null
    if (!context.leased()) return clock.now() + THROTTLED_MIN_MS
    if (clock.now() < state.notBeforeMs || !(await worthATry(state))) return rest(state)
    state.waiting = null
    const attributes = { [ATTRIBUTES.tenant]: tenantId, [ATTRIBUTES.lane]: lane }
    const span = deps.tracer?.start('poll', 'internal', attributes) ?? null
    return within(span, () => wholeTurn(state, dueMs, span))
  }

  /** Resolves with when the next turn is due. */
  async function wholeTurn(state: TenantState, dueMs: number, span: Span | null): Promise<number | null> {
    const startedMs = clock.now()
    // totals are counted on from here, however often the turn is written down
    const base = state.checkpoint
    const tally: Tally = { listed: 0, published: 0, quarantined: 0 }
    let reached = progressOf(base, state.access.source)
    const advanced = async (progress: Progress): Promise<void> => {
      reached = progress
      const nowMs = clock.now()
      if (nowMs - Math.max(startedMs, state.written?.atMs ?? 0) < CHECKPOINT_EVERY_MS) return
      await remember(state, { end: { kind: 'under-way' }, progress, base, tally, nextMs: Infinity })
    }
    try {
      tally.published += await publishUnsent(state, span)
      const { end, progress } = await pollOnce(state, reached, tally, advanced, span)
      state.abort.signal.throwIfAborted()
      deps.observe.turn(end.kind, startedMs - dueMs)
      if (span !== null) tell(span, end, tally)
      const nextMs = nextTurnMs(state, end, startedMs)
      await remember(state, { end, progress, base, tally, nextMs })
      if (end.kind === 'ok' || end.kind === 'partial') state.failures = 0
      sayOverGrant(state)
      const pause = end.kind === 'ok' && !end.more ? await sweepOn(state, span) : null
      return pause === null ? nextMs : await pauseAfterSweep(state, pause, startedMs)
    } catch (error) {
      if (state.abort.signal.aborted || signal.aborted) return null
      span?.fail(error instanceof Error ? error.constructor.name : 'unknown')
      return await afterFault(state, error, { progress: reached, base, tally })
    }
  }

  function sayOverGrant(state: TenantState): void {
    const { tenantId } = state.tenant
    const needless = deps.graph.grant(tenantId)?.writeRoles ?? []
    if (needless.length === 0 || state.isOverGrantSaid) return
    state.isOverGrantSaid = true
    log.warn('the app of a tenant may do more than read: the customer can take these permissions back', {
      tenantId,
      permissions: needless.join(', '),
    })
  }

  /** Nobody is asked while a tenant waits, but its receipt goes on. */
  async function rest(state: TenantState): Promise<number | null> {
    if (state.abort.signal.aborted || signal.aborted) return null
    const nowMs = clock.now()
    const nextMs = nowMs < state.notBeforeMs ? Math.min(nowMs + LOOK_MS, state.notBeforeMs) : nowMs + LOOK_MS
    if (state.checkpoint) {
      await write(state, { ...state.checkpoint, polledAt: nowMs }, nextMs).catch(error =>
        log.warn('the receipt of a waiting tenant was not written, trying again', { error }),
      )
    }
    return nextMs
  }

  function pollOnce(
    state: TenantState,
    before: Progress | null,
    tally: Tally,
    advanced: (progress: Progress) => Promise<void>,
    span: Span | null,
  ): ReturnType<typeof poll> {
    const { access, tenant } = state
    const lookbackMs = tenant.lookbackHours === null ? limits.lookbackMs : tenant.lookbackHours * 3_600_000
    return poll(before, {
      graph: deps.graph,
      access,
      signal: AbortSignal.any([signal, state.abort.signal]),
      advanced,
      nowMs: () => clock.now(),
      limits: { overlapMs: limits.overlapMs, lookbackMs, intervalMs: intervalMsOf(state) },
      cover: async (window, origin, closed) => {
        const seen = origin === 'backfill' ? createSeen() : state.seen
        const listing = {
          ...listingOf(state),
          take: async (alerts: readonly SlicedAlert[]) => {
            const done = await publish(state, alerts, origin, seen, span)
            tally.listed += done.listed
            tally.published += done.published
            tally.quarantined += done.quarantined
            return done.published
          },
        }
        const updated = await cover(window, closed, { ...listing, by: 'lastUpdate' })
        // alerts of the legacy list may have no update time, and are then found by their creation only
        if (access.source !== 'alerts' || updated.kind !== 'covered') return updated
        const created = await cover(window, closed, { ...listing, by: 'created' })
        return created.kind === 'covered' ? bothCovered(updated, created) : created
      },
    })
  }

  function listingOf(state: TenantState): Omit<ListingDeps, 'take' | 'by'> {
    // two owners at once would spend the tenant's budget twice
    const take: Budget['take'] = nowMs => {
      if (!context.leased()) throw notOurs()
      return state.budget.take(nowMs)
    }
    return {
      graph: deps.graph,
      access: state.access,
      budget: { take },
      clock,
      random: deps.random,
      signal: AbortSignal.any([signal, state.abort.signal]),
      limits: limits.listing,
      observe: { request: answer => deps.observe.request(answer) },
    }
  }

  async function publish(
    state: TenantState,
    alerts: readonly SlicedAlert[],
    origin: Origin,
    seen: Seen,
    span: Span | null,
  ): Promise<Published> {
    const { tenantId } = state.tenant
    const { source, cloud } = state.access
    const fresh = ({ bytes }: SlicedAlert): void => deps.observe.fresh(bytes, source, cloud)
    const scope = { tenantId, source, lane, origin, seen, nowMs: clock.now(), span, fresh, keep: keeperOf(state) }
    const done = await publishPage(alerts, scope, { ...deps, publisher: publisherOf(state) })
    deps.observe.published(origin, done.listed, done.published, done.quarantined)
    return done
  }

  /** What an earlier turn read goes first: resolves with how many revisions. */
  async function publishUnsent(state: TenantState, span: Span | null): Promise<number> {
    const { tenantId } = state.tenant
    const pending = deps.unsent.of(tenantId)
    if (pending.length === 0) return 0
    const scope = { tenantId, lane, origin: 'poll', span, keep: keeperOf(state) } as const
    await publishPending(pending, scope, { ...deps, publisher: publisherOf(state) })
    deps.unsent.forget(tenantId)
    const published = pending.filter(({ to }) => to === 'alerts').length
    deps.observe.published('poll', 0, published, pending.length - published)
    return published
  }

  function keeperOf(state: TenantState): (pending: readonly Pending[]) => void {
    const { tenantId } = state.tenant
    return pending => {
      const lost = deps.unsent.keep(tenantId, pending)
      if (lost === 0) return
      const detail =
        'no room for what Kafka does not take: it is read again, but for revisions that are replaced meanwhile'
      log.warn(detail, { tenantId, revisions: lost, keptBytes: deps.unsent.bytes })
    }
  }

  function publisherOf(state: TenantState): Publisher {
    return {
      async append(topic, partition, records, effect) {
        signal.throwIfAborted()
        state.abort.signal.throwIfAborted()
        if (!context.leased()) throw notOurs()
        return deps.publisher.append(topic, partition, records, effect)
      },
    }
  }

  /** Resolves with the pause that Graph asked for meanwhile, which holds for polls too. */
  async function sweepOn(state: TenantState, span: Span | null): Promise<SweepPause | null> {
    const { tenant, access, checkpoint } = state
    const { tenantId } = tenant
    if (!checkpoint || checkpoint.watermark === '') return null
    const share = await sweepShare(
      state.sweeping,
      {
        tenant,
        source: access.source,
        watermark: checkpoint.watermark,
        backMs: overlapOf({ overlapMs: limits.overlapMs, intervalMs: intervalMsOf(state) }),
        receipt: receipts.get(tenantId) ?? null,
      },
      {
        limits: limits.sweep,
        log,
        nowMs: () => clock.now(),
        signal: AbortSignal.any([signal, state.abort.signal]),
        known: () => deps.known(tenantId, lane),
        cover: (window, by, take) => cover(window, true, { ...listingOf(state), by, take }),
        // what a poll put on the log is remembered in `seen`, and may be lost all the same
        publish: alerts => publish(state, alerts, 'sweep', createSeen(), span),
        swept: result => deps.observe.swept(result),
        async prove(proven) {
          if (!context.leased()) return
          receipts.set(tenantId, proven)
          const value = codecs.checkpoints.encode(sweepReceipt(tenantId, access.source, proven))
          const receipt = { key: sweepReceiptKey(tenantId), value }
          await deps.publisher.append(topics.checkpoints, lane, [receipt], 'sweep-receipt')
        },
      },
    )
    state.sweeping = share.run
    return share.pause
  }

  /** "Nothing new" was true of the poll; of the pause that follows it is not. */
  async function pauseAfterSweep(state: TenantState, pause: SweepPause, startedMs: number): Promise<number> {
    const nextMs = nextTurnMs(state, pause, startedMs)
    if (!state.checkpoint) return nextMs
    const said = {
      state: pause.kind,
      problem: pause.detail,
      problemSince: clock.now(),
      nextTryAt: Math.round(state.notBeforeMs),
    }
    await write(state, { ...state.checkpoint, ...said }, nextMs)
    return nextMs
  }

  /** The checkpoint follows the acks of all that it covers. */
  async function remember(state: TenantState, turn: TurnRecord): Promise<void> {
    const { base, end, progress, tally, nextMs } = turn
    const { tenantId } = state.tenant
    // jitter makes fractions, and the record holds whole milliseconds
    const nextTryMs = Math.round(Math.max(nextMs, state.waiting?.untilMs ?? state.notBeforeMs))
    const { source } = state.access
    const next = checkpointAfter(base, { tenantId, source, end, progress, nextTryMs }, tally, clock.now())
    if (state.checkpoint?.state !== next.state) {
      log.info('tenant state', { tenantId, state: next.state, problem: next.problem })
    }
    if (next.watermark !== '') {
      const backMs = overlapOf({ overlapMs: limits.overlapMs, intervalMs: intervalMsOf(state) }) + SEEN_MARGIN_MS
      state.seen.forgetBefore(addMs(next.watermark, -backMs))
    }
    await write(state, next, nextMs)
  }

  /** When something happened, and else so that the last one is not a minute old when the next may come. */
  async function write(state: TenantState, next: Checkpoint, nextMs: number): Promise<void> {
    state.checkpoint = next
    const nowMs = clock.now()
    const { written } = state
    const isDue = !written || nowMs < written.atMs || nextMs - written.atMs >= CHECKPOINT_EVERY_MS
    if (!isDue && !isNews(written.checkpoint, next)) return
    if (!context.leased()) return
    const value = codecs.checkpoints.encode(next)
    await deps.publisher.append(topics.checkpoints, lane, [{ key: next.tenantId, value }], 'checkpoint')
    state.written = { checkpoint: next, atMs: nowMs }
  }

  function intervalMsOf({ tenant }: TenantState): number {
    return tenant.intervalSeconds === null ? limits.intervalMs : tenant.intervalSeconds * 1000
  }

  /** Kafka does not take what was read: the turn is repeated. Anything else is a fault of the code, kept to its tenant. */
  async function afterFault(
    state: TenantState,
    error: unknown,
    reached: Pick<TurnRecord, 'base' | 'progress' | 'tally'>,
  ): Promise<number> {
    const { tenantId } = state.tenant
    const detail = error instanceof Error ? error.message : String(error)
    if (error instanceof TransientError)
      log.warn('a turn could not be made durable and is repeated', { tenantId, error })
    else log.error('a turn failed by a fault in the poller and is repeated', { tenantId, error })
    deps.observe.turn('unavailable', 0)
    const end: TurnEnd = { kind: 'unavailable', retryAfterMs: null, detail: detail.slice(0, 300) }
    const nextMs = clock.now() + backoffMs(state.failures++, AGAIN_MS, deps.random())
    await remember(state, { ...reached, end, nextMs }).catch(() => {})
    return nextMs
  }

  function nextTurnMs(state: TenantState, end: TurnEnd, startedMs: number): number {
    const nowMs = clock.now()
    const backOffMs = (): number => backoffMs(state.failures++, AGAIN_MS, deps.random())
    switch (end.kind) {
      case 'ok':
        return end.more ? nowMs : Math.max(nowMs, inStep(state.tenant.tenantId, startedMs, intervalMsOf(state)))
      case 'partial':
        return Math.max(nowMs, inStep(state.tenant.tenantId, startedMs, intervalMsOf(state)))
      case 'throttled':
      case 'unavailable':
        // what was asked for holds against whatever would bring the turn forward; our own back-off does not
        if (end.retryAfterMs !== null) state.notBeforeMs = nowMs + Math.max(THROTTLED_MIN_MS, end.retryAfterMs)
        return nowMs < state.notBeforeMs ? Math.min(state.notBeforeMs, nowMs + LOOK_MS) : nowMs + backOffMs()
      case 'needs-attention':
        void rememberCredential(state, nowMs + ATTENTION_RETRY_MS * (1 + 0.2 * deps.random()))
        return nowMs + LOOK_MS
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

  return turn
}

function tell(span: Span, end: TurnEnd, tally: Readonly<Tally>): void {
  span.set({
    [ATTRIBUTES.outcome]: end.kind,
    [ATTRIBUTES.listed]: tally.listed,
    [ATTRIBUTES.published]: tally.published,
    [ATTRIBUTES.quarantined]: tally.quarantined,
  })
  if (end.kind === 'needs-attention') span.fail(end.problem.code)
  else if (end.kind === 'unavailable') span.fail(end.kind)
}

function notOurs(): TransientError {
  return new TransientError('the lane may belong to another worker')
}

function isNews(before: Checkpoint, next: Checkpoint): boolean {
  const { state, problem, nextTryAt, publishedTotal, quarantinedTotal, gaps } = next
  return (
    state !== before.state ||
    problem !== before.problem ||
    nextTryAt !== before.nextTryAt ||
    publishedTotal !== before.publishedTotal ||
    quarantinedTotal !== before.quarantinedTotal ||
    JSON.stringify(gaps) !== JSON.stringify(before.gaps)
  )
}

/**
 * At most one interval on. Each tenant has a place of its own in the interval: a worker's tenants, all asked at once when it
 * starts, would stay together for ever, and each wait for the others.
 */
function inStep(tenantId: string, startedMs: number, intervalMs: number): number {
  const placeMs = (murmur2(Buffer.from(tenantId)) >>> 0) % intervalMs
  const sinceMs = (((startedMs - placeMs) % intervalMs) + intervalMs) % intervalMs
  return startedMs + intervalMs - sinceMs
}
