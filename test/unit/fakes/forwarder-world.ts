/**
 * One lane of a forwarder with everything around it faked, and an oracle that looks after every step. The log, the
 * engine and the committed offset outlive a forwarder; `start` opens the next one as a new owner of the lane would.
 * Longer than a screen or two because the steps and what must hold after each are told together.
 */
import { setImmediate as turn } from 'node:timers/promises'
import { expect } from 'vitest'
import { alertKey } from '../../../consumers/alert-name.ts'
import { itemId } from '../../../consumers/engine/item.ts'
import type { EngineFormat } from '../../../consumers/format.ts'
import type { ForwarderDeps, ForwarderLane, ForwarderLimits } from '../../../consumers/lane.ts'
import { openForwarderLane } from '../../../consumers/lane.ts'
import type { Fate } from '../../../consumers/window.ts'
import type { LogRecord } from '../../../platform/kafka/queue.ts'
import { RecordQueue } from '../../../platform/kafka/queue.ts'
import type { ParkReason } from '../../../schemas/parking.ts'
import type { Delivery, GraphAlert, LedgerMark, Parked, Tenant, Totals } from '../../../schemas/types.ts'
import { handClock } from '../engine-kit.ts'
import { fakeRegistry, realCodecs, valueOf } from './codecs.ts'
import { fakeEngine, fakeForward } from './engine.ts'
import { recordingLog } from './log.ts'
import { fakeBroker } from './publisher.ts'
import type { AlertSpec } from './records.ts'
import { alertRecord, LANE, LANES, logRecord, TENANT_A, TENANT_B, TENANT_C, tenantOf } from './records.ts'

export const TOPICS = { alerts: 'alerts', tenants: 'tenants', deliveries: 'deliveries', parked: 'parked' } as const
const STEPS_MAX = 4_000
const STEP_MS = 50

/** Happens at the n-th point (an append begins, lands; a request begins, is answered, its fates are told). */
export interface Plan {
  readonly at: number
  /** `lose`: another worker has the lane now, but what is in flight still lands. */
  readonly act: 'die' | 'quiesce' | 'lose'
}

export interface Forwarder {
  readonly name: string
  readonly lane: ForwarderLane
  readonly queue: RecordQueue
  readonly abort: AbortController
  /** Effects under way now. */
  inFlight: number
  /** Appends that began when the lane was lost already. */
  lateAppends: number
  dead: boolean
  leased: boolean
  onLeased: () => void
  /** Set when the plan asked for it. */
  quiesced: Promise<void> | null
  readonly fates: Fate[]
  readonly parkedReasons: ParkReason[]
  /** Of alerts, what the log said when this forwarder was opened. */
  readonly restored: ReadonlyMap<string, LedgerMark>
  readonly stops: boolean[]
  readonly returned: number[]
  readonly closed: number[]
  readonly ledgers: number[]
  /** Of each acceptance, milliseconds since the update and since the poll. */
  readonly accepted: (readonly [number, number])[]
}

/** A record of the stream: of an alert, or of whatever somebody wrote there. */
type Spec = AlertSpec | { readonly raw: Buffer | null; readonly key: string | null }

export type World = ReturnType<typeof forwarderWorld>

export function forwarderWorld(limits: Partial<ForwarderLimits> = {}, format: EngineFormat = 'native') {
  const clock = handClock()
  const registry = fakeRegistry()
  const codecs = realCodecs(registry, clock)
  const broker = fakeBroker(clock.now)
  const engine = fakeEngine()
  const log = recordingLog()
  const stream: LogRecord[] = []
  const tenants: Tenant[] = [tenantOf(TENANT_A), tenantOf(TENANT_B), tenantOf(TENANT_C, { state: 'off-boarded' })]
  const faults: unknown[] = []
  let committed = 0
  let points = 0
  let plan: Plan | null = null
  let current: Forwarder | null = null
  const forwarders = new Map<string, Forwarder>()

  // what the acked ledger says, kept as it grows
  const ackedVersions = new Map<string, string>()
  const parkedOffsets = new Set<number>()
  const ackedTotals = new Map<string, Totals>()

  function specs(...wanted: readonly Spec[]): void {
    for (const spec of wanted) {
      const offset = stream.length
      stream.push('raw' in spec ? logRecord(offset, spec.key, spec.raw) : alertRecord(codecs.alerts, offset, spec))
    }
  }

  /** Counts a point and lets happen what was planned for it. A dead forwarder never comes back from it. */
  async function point(self: Forwarder): Promise<void> {
    look()
    if (plan !== null && points++ === plan.at) {
      if (plan.act === 'die') self.dead = true
      else if (plan.act === 'lose') lose(self)
      else self.quiesced ??= self.lane.quiesce()
    }
    await (self.dead ? new Promise<never>(() => {}) : turn())
  }

  function lose(forwarder: Forwarder): void {
    forwarder.abort.abort(new Error('the lane was given to another worker'))
  }

  async function begin(self: Forwarder): Promise<void> {
    self.inFlight++
    await point(self)
  }

  /** Opens the lane, gives it its tables, and unless told otherwise lets it live and feeds it the stream. */
  function start(name = 'first', options: { readonly from?: number; readonly live?: boolean } = {}): Forwarder {
    const { from = committed, live = true } = options
    const abort = new AbortController()
    const queue = new RecordQueue(() => {})
    const holder: { self?: Forwarder } = {}
    const self = (): Forwarder => {
      if (!holder.self) throw new Error('an effect before the lane was open')
      return holder.self
    }
    const observed = {
      fates: [] as Fate[],
      parkedReasons: [] as ParkReason[],
      stops: [] as boolean[],
      returned: [] as number[],
    }
    const closed: number[] = []
    const ledgers: number[] = []
    const accepted: (readonly [number, number])[] = []
    const deps: ForwarderDeps = {
      lanes: LANES,
      topics: TOPICS,
      codecs,
      publisher: broker.publisher({
        before() {
          if (self().abort.signal.aborted) self().lateAppends++
          return begin(self())
        },
        landed: () => point(self()),
        over: () => void self().inFlight--,
        acked: (topic, records) => {
          for (const { value } of records) learn(topic, value)
          look()
        },
      }),
      reader: async () => broker.reader(),
      forward: fakeForward(engine, name, clock, {
        request: () => begin(self()),
        answered: () => point(self()),
        told: () => point(self()),
        over: () => void self().inFlight--,
      }),
      format,
      clock,
      random: () => 0.5,
      log,
      limits: { windowRecords: 5, windowBytes: 1_000_000, parkingCount: 20, parkingShare: 0.1, ...limits },
      observe: {
        settled: fates => void observed.fates.push(...fates),
        parked: reason => void observed.parkedReasons.push(reason),
        accepted: (...ms) => void accepted.push(ms),
        ledger: (_lane, entries) => void ledgers.push(entries),
        closed: lane => void closed.push(lane),
        stopped: (_lane, isStopped) => void observed.stops.push(isStopped),
        returned: records => void observed.returned.push(records),
      },
      fault: error => void faults.push(error),
    }
    const lane = openForwarderLane(deps, {
      lane: LANE,
      queue,
      signal: abort.signal,
      leased() {
        holder.self?.onLeased()
        return self().leased
      },
    })
    const restored = new Map<string, LedgerMark>()
    holder.self = {
      name,
      lane,
      queue,
      abort,
      inFlight: 0,
      lateAppends: 0,
      dead: false,
      leased: true,
      onLeased: () => {},
      quiesced: null,
      ...observed,
      restored,
      closed,
      ledgers,
      accepted,
    }
    current = holder.self
    forwarders.set(name, holder.self)
    committed = from
    for (const [offset, tenant] of tenants.entries()) {
      lane.table(TOPICS.tenants, logRecord(offset, tenant.tenantId, codecs.tenants.encode(tenant)))
    }
    for (const { value } of broker.records(TOPICS.parked)) learn(TOPICS.parked, value)
    for (const record of broker.records(TOPICS.deliveries)) {
      learn(TOPICS.deliveries, record.value)
      lane.table(TOPICS.deliveries, record)
      const { tenantId, alertId, delivered } = valueOf(codecs.deliveries, record.value)
      if (delivered) restored.set(alertKey(tenantId, alertId), delivered)
    }
    if (live) lane.live()
    queue.push(stream.slice(from))
    return holder.self
  }

  function learn(topic: string, value: Buffer | null): void {
    if (topic === TOPICS.alerts) return
    if (topic === TOPICS.parked) {
      parkedOffsets.add(valueOf(codecs.parked, value).offset)
      return
    }
    const { tenantId, alertId, delivered, totals } = valueOf(codecs.deliveries, value)
    const key = alertKey(tenantId, alertId)
    if (delivered && delivered.version >= (ackedVersions.get(key) ?? '')) ackedVersions.set(key, delivered.version)
    if (totals) ackedTotals.set(tenantId, totals)
  }

  function alertIn(record: LogRecord): GraphAlert | null {
    const decoded = record.value === null ? null : codecs.alerts.decode(record.value)
    return decoded?.kind === 'value' ? decoded.value : null
  }

  function tenantOfKey(record: LogRecord): string {
    return record.key?.toString().split('/')[0] ?? ''
  }

  /** What must hold at every moment. */
  function look(): void {
    const offset = current === null || isGone(current) ? null : current.lane.committable()
    if (offset !== null) {
      expect(offset, 'progress never moves back').toBeGreaterThanOrEqual(committed)
      for (const record of stream.slice(committed, offset)) {
        const alert = alertIn(record)
        const acked = alert && (ackedVersions.get(alertKey(alert.tenantId, alert.alertId)) ?? '') >= alert.version
        const parkedTwin = alert && stream.some(twin => parkedOffsets.has(twin.offset) && sameRevision(twin, alert))
        const safe = acked === true || parkedTwin === true || parkedOffsets.has(record.offset)
        expect(safe, `offset ${record.offset} is behind the committable ${offset} without an acked effect`).toBe(true)
      }
      committed = offset
    }
    for (const [tenantId, totals] of ackedTotals) {
      const records = stream.filter(each => each.offset < totals.upTo && tenantOfKey(each) === tenantId).length
      expect(totals.seen, `records of ${tenantId} before ${totals.upTo}`).toBe(records)
      expect(totals.delivered + totals.duplicate + totals.stale + totals.parked).toBe(totals.seen)
    }
  }

  function isGone(forwarder: Forwarder): boolean {
    return forwarder.dead || forwarder.abort.signal.aborted
  }

  function sameRevision(record: LogRecord, alert: GraphAlert): boolean {
    const other = alertIn(record)
    return (
      other !== null &&
      other.tenantId === alert.tenantId &&
      other.alertId === alert.alertId &&
      other.version === alert.version &&
      other.contentHash.equals(alert.contentHash)
    )
  }

  /** Lets time pass until `condition` holds; fails when it never does. */
  async function until(condition: () => boolean): Promise<void> {
    for (let step = 0; !condition(); step++) {
      if (step > STEPS_MAX) throw new Error(`it never came to pass; offset ${current?.lane.committable()}`)
      await clock.advance(STEP_MS)
      look()
      if (faults.length > 0) throw faults[0]
    }
  }

  async function untilDone(forwarder: Forwarder): Promise<void> {
    await until(() => current === forwarder && committed === stream.length)
  }

  /** What must be true when everything has its fate: nothing lost, nothing twice without cause, all of it counted. */
  function judge(): void {
    look()
    const acceptedIds = new Set(engine.accepted.map(({ id }) => id))
    const parked = new Set(parkedRecords().map(({ offset }) => offset))
    for (const record of stream) {
      const alert = alertIn(record)
      const twins = alert ? stream.filter(each => sameRevision(each, alert)) : [record]
      const isSafe = (alert && acceptedIds.has(idOf(alert))) || twins.some(({ offset }) => parked.has(offset))
      expect(isSafe, `record ${record.offset} reached neither the engine nor parked`).toBe(true)
    }
    for (const tenantId of new Set(stream.map(tenantOfKey))) {
      const count = stream.filter(each => tenantOfKey(each) === tenantId).length
      expect(ackedTotals.get(tenantId)?.seen, `totals of ${tenantId}`).toBe(count)
    }
    judgeEngine()
    if (faults.length > 0) throw faults[0]
  }

  /**
   * Each owner of the lane goes on from what the ledger told it when it began: nothing older, and nothing twice, unless
   * another content of the same version came in between (the ledger remembers one content of a version).
   */
  function judgeEngine(): void {
    const newest = new Map<string, { readonly id: string; readonly version: string }>()
    for (const { id, key, version, from } of engine.accepted) {
      const mine = `${from} ${key}`
      const told = newest.get(mine) ?? forwarders.get(from)?.restored.get(key)
      newest.set(mine, { id, version })
      if (!told) continue
      expect(version >= told.version, `${from} sent an older version of ${key} after ${told.version}`).toBe(true)
      const isSame = 'id' in told ? told.id === id : told.version === version && isContentOf(told, id)
      expect(isSame, `${from} repeated ${key} ${version}`).toBe(false)
    }
  }

  /** Over all owners; only where none of them was a zombie. */
  function judgeOrder(): void {
    const newest = new Map<string, string>()
    for (const { key, version, from } of engine.accepted) {
      const before = newest.get(key) ?? ''
      expect(version >= before, `${from} sent ${key} ${version} after ${before}`).toBe(true)
      newest.set(key, version)
    }
  }

  function isContentOf({ contentHash }: LedgerMark, id: string): boolean {
    const alert = stream.map(alertIn).find(each => each !== null && idOf(each) === id)
    return alert?.contentHash.subarray(0, contentHash.length).equals(contentHash) === true
  }

  function idOf(alert: GraphAlert): string {
    return itemId(alert.tenantId, alert.alertId, alert.version, alert.contentHash.toString('hex'))
  }

  function parkedRecords(): readonly Parked[] {
    return broker.records(TOPICS.parked).map(({ value }) => valueOf(codecs.parked, value))
  }

  function deliveries(): readonly Delivery[] {
    return broker.records(TOPICS.deliveries).map(({ value }) => valueOf(codecs.deliveries, value))
  }

  return {
    clock,
    registry,
    codecs,
    broker,
    engine,
    log,
    stream,
    tenants,
    faults,
    ackedTotals,
    ackedVersions,
    get committed() {
      return committed
    },
    /** Points passed since the plan was set. */
    get points() {
      return points
    },
    plan(next: Plan | null) {
      plan = next
      points = 0
    },
    specs,
    start,
    /** As `start` does for what is on the log already. */
    feed(forwarder: Forwarder, ...wanted: readonly Spec[]) {
      const from = stream.length
      specs(...wanted)
      forwarder.queue.push(stream.slice(from))
    },
    until,
    untilDone,
    look,
    judge,
    judgeOrder,
    parkedRecords,
    deliveries,
    lose,
  }
}
