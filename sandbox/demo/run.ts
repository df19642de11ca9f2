import { setTimeout as delay } from 'node:timers/promises'
import { ALWAYS } from '../graph/fault-list.ts'
import { countAlertRecords } from './cluster.ts'
import type { Figures } from './figures.ts'
import { openScraper, openTally } from './figures.ts'
import type { DemoPlan, Intended } from './plan.ts'
import { MIN_TENANTS, MIX } from './plan.ts'
import type { Crew } from '../crew.ts'
import { isReady, socos, tailOf } from '../crew.ts'
import type { Proof, StatusRow } from './proof.ts'
import { isStuck, judgeAll, prove, sumFates, total } from './proof.ts'
import type { Screen } from './screen.ts'
import { count, seconds } from './screen.ts'
import type { Stage } from './stage.ts'
import type { Costs } from './table.ts'

/** The run itself: backlog, load, freeze, drain, recovery, and the reading of the ledgers. */
export interface Run {
  readonly plan: DemoPlan
  readonly stage: Stage
  readonly crew: Crew
  readonly screen: Screen
  readonly signal: AbortSignal
}

export interface Finish {
  readonly proof: Proof
  readonly costs: Omit<Costs, 'seconds'>
}

const readyTimeoutMs = 90_000
const tickMs = 250
const redrawMs = 1_000
/** Deliveries may pause (a rebalance, a busy machine), but not for this long. */
const stallMs = 45_000
const rateWindowMs = 3_000
const statusPatienceMs = 30_000
const throttleSeconds = 5

export async function run(it: Run): Promise<Finish> {
  const { plan, stage, screen } = it
  const { graph, engine, intended } = stage
  const slow = intended.find(({ why }) => why === 'throttled')
  if (slow === undefined) throw new Error(`the run needs a tenant to throttle: ${MIN_TENANTS} tenants or more`)
  const lasting = intended.filter(one => one !== slow)
  const watch = openWatch(it, lasting)

  const startedMs = Date.now()
  await watch.until({ name: 'backlog' }, deliveredCheck(it, 'both'))
  const backlogSeconds = secondsSince(startedMs)
  screen.say(`the backlog is through: ${count(engine.ledger.counters.accepted)} alerts in ${backlogSeconds} s`)

  const throttle = { kind: 'throttle', tenant: slow.tenantId, budget: ALWAYS, seconds: throttleSeconds } as const
  const fault = graph.faults.add(throttle)
  const note = () => `Graph throttles ${slow.name} (${fault.fired} times so far)`
  const liveSinceMs = watch.startLatency()
  graph.load.plan.ratePerSecond = plan.rate
  graph.load.plan.updateShare = MIX.updates
  graph.load.start()
  const loadEndMs = liveSinceMs + plan.seconds * 1000
  await watch.until({ name: 'live load', totalSeconds: plan.seconds, note }, () => Date.now() >= loadEndMs)
  graph.load.freeze()
  await watch.until({ name: 'draining', note }, deliveredCheck(it, 'all'))
  screen.say(`no new alerts any more, and all are delivered but those of ${slow.name}`)

  const { rows: during } = await reading(it, ({ rows }) => areStuck(rows, intended))
  graph.faults.remove(fault.id)
  const liftedMs = Date.now()
  await watch.until(
    { name: 'recovery', note: () => 'Graph throttles nobody any more' },
    deliveredCheck(it, 'throttled'),
  )
  screen.say(`${slow.name} was throttled ${fault.fired} times, and caught up in ${seconds(Date.now() - liftedMs)}`)

  const end = await reading(it, ({ rows, records }) => areStuck(rows, lasting) && areCounted(rows, records))
  const { workers } = await watch.figures()
  screen.clear()
  const proof = prove({
    graph: graph.ledger,
    engine: engine.ledger,
    intended,
    tenants: plan.tenants,
    liveSinceMs,
    during,
    after: end.rows,
    records: end.records,
  })
  return { proof, costs: { loadSeconds: plan.seconds, backlogSeconds, workers } }
}

/** Waits until each worker has said once that it is ready. */
export async function untilReady(crew: Crew, signal: AbortSignal): Promise<void> {
  const deadline = Date.now() + readyTimeoutMs
  for (const worker of crew.workers) {
    while (!(await isReady(worker))) {
      await delay(tickMs, undefined, { signal }).catch(() => signal.throwIfAborted())
      if (Date.now() < deadline) continue
      throw new Error(`${worker.name} is not ready after ${readyTimeoutMs / 1000} s:\n${await tailOf(worker.logFile)}`)
    }
  }
}

interface Phase {
  readonly name: string
  readonly totalSeconds?: number
  readonly note?: () => string | null
}

interface Watch {
  /** Shows how it goes until `done`, or until nothing has been delivered for a long time (not in a timed phase). */
  until(phase: Phase, done: () => boolean): Promise<void>
  figures(): Promise<Figures>
  /** From now on (the result) latency is shown. */
  startLatency(): number
}

function openWatch({ stage, crew, screen, signal }: Run, silent: readonly Intended[]): Watch {
  let latencySinceMs = Infinity
  const tally = openTally(stage.graph.ledger, stage.engine.ledger, {
    exceptTenants: new Set(silent.map(({ tenantId }) => tenantId)),
    latencySinceMs: () => latencySinceMs,
    now: Date.now,
  })
  const scrape = openScraper(() => crew.workers)
  const recent: { readonly atMs: number; readonly delivered: number }[] = []

  async function figures(): Promise<Figures> {
    const counted = tally.read()
    return { ...counted, ...(await scrape()) }
  }

  async function draw(phase: Phase, startedMs: number): Promise<void> {
    const now = await figures()
    recent.push({ atMs: Date.now(), delivered: now.delivered })
    while ((recent[0]?.atMs ?? Infinity) < Date.now() - rateWindowMs) recent.shift()
    const [first, last] = [recent[0], recent.at(-1)]
    const spanMs = (last?.atMs ?? 0) - (first?.atMs ?? 0)
    screen.show({
      phase: phase.name,
      elapsedSeconds: (Date.now() - startedMs) / 1000,
      totalSeconds: phase.totalSeconds ?? null,
      figures: now,
      perSecond: spanMs === 0 ? 0 : (((last?.delivered ?? 0) - (first?.delivered ?? 0)) * 1000) / spanMs,
      note: phase.note?.() ?? null,
    })
  }

  return {
    figures,
    startLatency: () => (latencySinceMs = Date.now()),
    async until(phase, done) {
      const startedMs = Date.now()
      const { counters } = stage.engine.ledger
      let moved = { accepted: -1, atMs: startedMs }
      for (let drawnMs = 0; !done(); ) {
        if (counters.accepted !== moved.accepted) moved = { accepted: counters.accepted, atMs: Date.now() }
        else if (phase.totalSeconds === undefined && Date.now() - moved.atMs > stallMs) {
          screen.say(`${phase.name}: nothing was delivered for ${stallMs / 1000} s; what is missing is listed below`)
          return
        }
        if (Date.now() - drawnMs >= redrawMs) {
          drawnMs = Date.now()
          await draw(phase, startedMs)
        }
        await delay(tickMs, undefined, { signal }).catch(() => signal.throwIfAborted())
      }
    },
  }
}

/** The oracle's word on whether all arrived; asked rarely enough that it costs a tenth of the time at most. */
function deliveredCheck({ stage: { graph, engine, intended } }: Run, who: 'all' | 'throttled' | 'both'): () => boolean {
  let askAgainMs = 0
  return () => {
    const startedMs = Date.now()
    if (startedMs < askAgainMs) return false
    const { all, throttled } = judgeAll({ graph: graph.ledger, engine: engine.ledger, intended, liveSinceMs: 0 })
    askAgainMs = Date.now() + 10 * (Date.now() - startedMs)
    const missing = (who === 'throttled' ? 0 : all.missingCount) + (who === 'all' ? 0 : throttled.missingCount)
    return missing === 0
  }
}

interface Reading {
  readonly rows: readonly StatusRow[]
  /** On the alerts log. */
  readonly records: number
}

/** `socos status` and the log as soon as they are as wanted, or as they are after a while. */
async function reading(it: Run, wanted: (reading: Reading) => boolean): Promise<Reading> {
  const deadline = Date.now() + statusPatienceMs
  for (;;) {
    const text = await socos(['status', '-o', 'json'], it.stage.env, it.signal)
    const { tenants: rows } = JSON.parse(text) as { readonly tenants: readonly StatusRow[] }
    const read = { rows, records: await countAlertRecords(it.stage.env) }
    if (wanted(read) || Date.now() > deadline) return read
    await delay(redrawMs, undefined, { signal: it.signal }).catch(() => it.signal.throwIfAborted())
  }
}

/** These and no others. */
function areStuck(rows: readonly StatusRow[], intended: readonly Intended[]): boolean {
  const states = new Map(intended.map(({ tenantId, state }) => [tenantId, state]))
  return rows.every(row => (states.has(row.tenantId) ? row.state === states.get(row.tenantId) : !isStuck(row)))
}

function areCounted(rows: readonly StatusRow[], records: number): boolean {
  const fates = sumFates(rows)
  return fates.waiting === 0 && total(fates) === records
}

export function secondsSince(startedMs: number): number {
  return Math.round((Date.now() - startedMs) / 100) / 10
}
