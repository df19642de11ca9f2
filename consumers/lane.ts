/** Longer than the rule: restore, the round of windows and what a tenant record brings back share the state of one lane. */
import type { Codec } from '../platform/avro/codec.ts'
import type { Clock, Random } from '../platform/clock.ts'
import { laneOf } from '../platform/kafka/lane-of.ts'
import type { Lane, LaneContext } from '../platform/kafka/lanes.ts'
import type { Publisher } from '../platform/kafka/producer.ts'
import type { LogRecord } from '../platform/kafka/queue.ts'
import type { LogReader } from '../platform/kafka/reader.ts'
import { tableIntake, tableOf } from '../platform/kafka/table-intake.ts'
import type { Log } from '../platform/log.ts'
import { backoffMs, TransientError } from '../platform/retry.ts'
import type { ParkReason } from '../schemas/parking.ts'
import type { Delivery, GraphAlert, Parked, Tenant } from '../schemas/types.ts'
import { alertName } from './alert-name.ts'
import { readDelivered } from './delivered.ts'
import { TenantDirectory } from './enrich.ts'
import type { EngineFormat } from './format.ts'
import type { Forward, ItemFate } from './forward.ts'
import { LANE_ITSELF, Ledger } from './ledger.ts'
import { parkingBudget } from './park.ts'
import { retryParkedOf } from './returning.ts'
import type { Dirty, OverBudget, SettleDeps } from './settle.ts'
import { flushLedger, park, settle, writeDown } from './settle.ts'
import { instantMs } from './version.ts'
import type { Fate, Round, Window } from './window.ts'
import { nextRound, openWindow } from './window.ts'

export interface ForwarderDeps {
  readonly lanes: number
  readonly topics: {
    readonly alerts: string
    readonly tenants: string
    readonly deliveries: string
    readonly parked: string
  }
  readonly codecs: {
    readonly alerts: Codec<GraphAlert>
    readonly tenants: Codec<Tenant>
    readonly deliveries: Codec<Delivery>
    readonly parked: Codec<Parked>
  }
  readonly publisher: Publisher
  /** For what was parked before a tenant's record arrived; opened when it is first asked for. */
  readonly reader: () => Promise<LogReader>
  readonly forward: Forward
  readonly format: EngineFormat
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly limits: ForwarderLimits
  readonly observe: ForwarderObserver
  /** A fault of the code: the process must end, its lanes go to others. */
  readonly fault: (error: unknown) => void
}

export interface ForwarderLimits {
  readonly windowRecords: number
  readonly windowBytes: number
  readonly parkingCount: number
  readonly parkingShare: number
}

export interface ForwarderObserver {
  /** One settled window. */
  settled(fates: readonly Fate[]): void
  parked(reason: ParkReason): void
  /** Milliseconds from an alert's update time, and from the poll that brought it, to the engine's answer. */
  accepted(latencyMs: number, sincePolledMs: number): void
  ledger(lane: number, entries: number, bytes: number): void
  /** The lane was lost. */
  closed(lane: number): void
  /** The lane stopped (or goes on) because too much would be parked. */
  stopped(lane: number, stopped: boolean): void
  /** Records that were parked for want of their tenant are on the log again. */
  returned(records: number): void
}

export interface ForwarderLane extends Lane {
  readonly ledger: Ledger
}

const BACKOFF = { firstMs: 200, maxMs: 10_000 }
const OVER_BUDGET_RETRY_MS = 30_000
const LEASE_CHECK_MS = 250
const LEDGER_KEPT_MS = 35 * 86_400_000
/** Totals of a quiet tenant are written again, so that whoever wants them needs to read one day of the topic, not all. */
const TOTALS_AGE_MS = 86_400_000
const UPKEEP_EVERY_MS = 3_600_000
const DELIVERED: Fate = { kind: 'delivered', again: false }
const DELIVERED_AGAIN: Fate = { kind: 'delivered', again: true }
/** Without a reason of its own each abort makes an exception with its stack. */
const RECORDS_CAME = new Error('records came')

/** One lane's way from the queue to the engine: decode, dedupe, enrich, forward, settle, one window after the other. */
export function openForwarderLane(deps: ForwarderDeps, context: LaneContext): ForwarderLane {
  const { lane, queue, signal } = context
  const { clock, log, codecs, topics } = deps
  const ledger = new Ledger()
  const tenants = new TenantDirectory()
  const totalsAtMs = new Map<string, number>()
  const dirty: Dirty = { alerts: new Map(), tenants: new Set() }
  /** Nothing is begun once the lane is lost or may be: its next owner has restored it and would not see it. */
  const publisher: Publisher = {
    async append(topic, partition, records, effect) {
      signal.throwIfAborted()
      if (!context.leased()) throw new TransientError('the lane may belong to another worker')
      return deps.publisher.append(topic, partition, records, effect)
    },
  }
  const settling: SettleDeps = {
    lane,
    ledger,
    publisher,
    topics,
    codecs,
    budget: parkingBudget(deps.limits.parkingCount, deps.limits.parkingShare),
    dirty,
    observeParked: reason => deps.observe.parked(reason),
  }
  const intake = tableIntake(
    {
      [topics.tenants]: tableOf(codecs.tenants, (key, tenant) => {
        const tenantId = tenant?.tenantId ?? key
        const wasActive = tenants.isActive(tenantId)
        if (tenant === null) tenants.remove(key)
        else tenants.set(tenant)
        if (!live || wasActive === tenants.isActive(tenantId)) return
        if (wasActive) return ledger.forgetTenant(tenantId)
        ledger.forgetParked(tenantId)
        returned.add(tenantId)
        idle.abort(new Error('a tenant returned'))
      }),
      [topics.deliveries]: tableOf(
        codecs.deliveries,
        (key, delivery, record) => {
          if (delivery === null) return ledger.forget(key)
          const { tenantId, alertId, totals } = delivery
          if (totals !== null) totalsAtMs.set(tenantId, record.timestampMs)
          if (ledger.restore(delivery)) return
          if (totals !== null) dirty.tenants.add(tenantId)
          else dirty.alerts.set(key, alertName(tenantId, alertId))
        },
        (key, value) => {
          const delivered = readDelivered(key, value, codecs.deliveries.schemaId)
          return delivered !== null && ledger.restoreInPlace(key, delivered)
        },
      ),
    },
    { clock, log, signal },
  )

  let live = false
  const losses: { readonly from: number; readonly to: number; readonly afterLive: boolean }[] = []
  /** Tenants whose record arrived (again), for whom what waited is not sent again yet. */
  const returned = new Set<string>()
  /** Wakes the lane when there is work beside the queue. */
  let idle = new AbortController()
  let halt = new AbortController()
  let resumed: (() => void) | undefined
  /** The stretch of work between two points at which nothing is in flight. */
  let inFlight: Promise<void> | undefined
  let settledUpTo: number | null = null
  let nextUpkeepMs = 0
  signal.addEventListener(
    'abort',
    () => {
      resumed?.()
      deps.observe.closed(lane)
    },
    { once: true },
  )

  async function work(): Promise<void> {
    await intake.settled()
    live = true
    deps.observe.ledger(lane, ledger.entries, ledger.bytes)
    for (const tenantId of ledger.tenantsWithParked()) if (tenants.isActive(tenantId)) returned.add(tenantId)
    for (;;) {
      noteLosses()
      await upkeep()
      await retryReturned()
      const records = await next()
      if (records === null) continue
      const window = await patiently(() => openWindow(records, codecs.alerts, id => laneOf(id, deps.lanes) === lane))
      while (!(await stretch(() => advance(window)))) await upkeep() // a lane may stand still for weeks
    }
  }

  /** What was lost is counted when everything before it is, and once the ledger is known. */
  function noteLosses(): void {
    const due = losses.filter(({ from, afterLive }) => !afterLive || (settledUpTo !== null && settledUpTo >= from))
    for (const loss of due) {
      ledger.addLost(loss.from, loss.to)
      losses.splice(losses.indexOf(loss), 1)
      dirty.tenants.add(LANE_ITSELF)
      nextUpkeepMs = 0
    }
  }

  /** Null: something else is to be done first. */
  async function next(): Promise<readonly LogRecord[] | null> {
    const { windowRecords, windowBytes } = deps.limits
    if (queue.count > 0) return queue.take(windowRecords, windowBytes, signal)
    const woken = idle
    const ended = new AbortController()
    clock.sleep(UPKEEP_EVERY_MS, AbortSignal.any([signal, ended.signal])).then(
      () => woken.abort(new Error('the upkeep is due')),
      () => {}, // records came first, or the lane is gone
    )
    try {
      return await queue.take(windowRecords, windowBytes, AbortSignal.any([signal, woken.signal]))
    } catch (error) {
      signal.throwIfAborted()
      if (!woken.signal.aborted) throw error
      idle = new AbortController()
      return null
    } finally {
      ended.abort(RECORDS_CAME)
    }
  }

  async function retryReturned(): Promise<void> {
    if (returned.size === 0) return
    const tenantIds = new Set(returned)
    const count = await stretch(() => patiently(() => retryParkedOf(tenantIds, { ...deps, publisher, lane, ledger })))
    for (const tenantId of tenantIds) returned.delete(tenantId)
    deps.observe.returned(count)
    if (count > 0) log.info('parked records are sent again: their tenant is there now', { lane, records: count })
  }

  /** Effects happen in here only, so that a rejoin can wait for them. */
  async function stretch<T>(task: () => Promise<T>): Promise<T> {
    await clearToStart()
    let done: () => void = () => {}
    inFlight = new Promise(resolve => (done = resolve))
    try {
      return await task()
    } finally {
      inFlight = undefined
      done()
    }
  }

  /** True when the window is settled. */
  async function advance(window: Window): Promise<boolean> {
    for (;;) {
      const round = nextRound(window, ledger, tenants, clock.now(), deps.format)
      if (round.items.length > 0) {
        if (followsUntold(window, round)) {
          if (!context.leased()) return false
          // else the next owner, should this worker die now, would send the old revision after the new one
          await patiently(() => writeDown(window, settling, clock.now()))
        }
        const ended = await deps.forward(round.items, (at, fate) => note(window, round, at, fate), {
          halt: halt.signal,
          abort: signal,
          leased: () => context.leased(),
        })
        if (ended === 'done') continue
        // someone else may own the lane next: what the engine has must be known there
        if (context.leased()) await patiently(() => writeDown(window, settling, clock.now()))
        return false
      }
      const step = await patiently(() => park(window, settling, clock.now()))
      switch (step.kind) {
        case 'parked':
          continue
        case 'over-budget':
          await stopped(window, step)
          return false
        case 'none': {
          if (window.fates.includes(null)) continue // it was parked in a try that failed afterwards
          const upTo = await patiently(() => settle(window, settling, clock.now()))
          signal.throwIfAborted()
          settledUpTo = upTo
          deps.observe.settled(window.fates.filter(fate => fate !== null))
          deps.observe.ledger(lane, ledger.entries, ledger.bytes)
          deps.observe.stopped(lane, false)
          return true
        }
      }
    }
  }

  /** A revision is about to be sent whose predecessor the engine has and the log does not know of yet. */
  function followsUntold(window: Window, { indexes }: Round): boolean {
    return indexes.some(index => {
      const decoding = window.decoded[index]
      return decoding?.kind === 'arrival' && dirty.alerts.has(decoding.arrival.name.key)
    })
  }

  async function stopped(window: Window, { parks, reasons }: OverBudget): Promise<void> {
    deps.observe.stopped(lane, true)
    log.error('a lane stopped: too many of its records would be parked; mend the cause, it goes on by itself', {
      lane,
      parks,
      reasons: reasons.join(', '),
    })
    await patiently(() => writeDown(window, settling, clock.now()))
    await pause(OVER_BUDGET_RETRY_MS)
  }

  function note(window: Window, round: Round, at: number, fate: ItemFate): void {
    const index = round.indexes[at] ?? -1
    const decoding = window.decoded[index]
    if (decoding?.kind !== 'arrival') return
    const { name, alert, version, record } = decoding.arrival
    switch (fate.kind) {
      case 'delivered': {
        const nowMs = clock.now()
        ledger.markDelivered(name, { version, contentHash: alert.contentHash, offset: record.offset, atMs: nowMs })
        dirty.alerts.set(name.key, name)
        window.fates[index] = fate.known ? DELIVERED_AGAIN : DELIVERED
        deps.observe.accepted(nowMs - instantMs(version), nowMs - alert.observedAt)
        break
      }
      case 'park':
        window.fates[index] = fate
    }
  }

  /** Not between a halt and its resume, and not when another worker may own the lane. */
  async function clearToStart(): Promise<void> {
    signal.throwIfAborted()
    while (halt.signal.aborted || !context.leased()) {
      signal.throwIfAborted()
      if (halt.signal.aborted) await new Promise<void>(resolve => (resumed = resolve))
      else await clock.sleep(LEASE_CHECK_MS, signal)
    }
    signal.throwIfAborted()
  }

  /** Kafka or the registry may be away for as long as it takes; the lane waits for them and loses nothing. */
  async function patiently<T>(task: () => Promise<T>): Promise<T> {
    for (let attempt = 0; ; attempt++) {
      signal.throwIfAborted()
      try {
        return await task()
      } catch (error) {
        if (!(error instanceof TransientError)) throw error
        log.warn('a lane waits', { lane, attempt, error })
        await clock.sleep(backoffMs(attempt, BACKOFF, deps.random()), signal)
      }
    }
  }

  async function pause(ms: number): Promise<void> {
    const either = AbortSignal.any([signal, halt.signal])
    await clock.sleep(ms, either).catch(() => signal.throwIfAborted())
  }

  async function upkeep(): Promise<void> {
    const nowMs = clock.now()
    if (nowMs < nextUpkeepMs) return
    nextUpkeepMs = nowMs + UPKEEP_EVERY_MS
    const gone = ledger.expire(nowMs - LEDGER_KEPT_MS)
    if (gone > 0) log.debug('ledger entries expired', { lane, entries: gone })
    for (const tenantId of ledger.tenants()) {
      const writtenMs = totalsAtMs.get(tenantId)
      if (writtenMs !== undefined && nowMs - writtenMs < TOTALS_AGE_MS) continue
      totalsAtMs.set(tenantId, nowMs)
      if (writtenMs !== undefined) dirty.tenants.add(tenantId) // else they were counted since the last upkeep
    }
    if (dirty.alerts.size + dirty.tenants.size > 0) await stretch(() => patiently(() => flushLedger(settling)))
  }

  return {
    ledger,
    table: (topic, record) => intake.take(topic, record),
    lost(from, to) {
      losses.push({ from, to, afterLive: live })
    },
    live() {
      work().catch((error: unknown) => {
        if (signal.aborted) return
        deps.fault(error)
      })
    },
    async quiesce() {
      halt.abort(new Error('the group is rejoined'))
      await inFlight
    },
    resume() {
      halt = new AbortController()
      resumed?.()
    },
    committable: () => settledUpTo,
  }
}
