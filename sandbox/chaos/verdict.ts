import type { EngineItem, EngineLedger } from '../engine/ledger.ts'
import type { GraphLedger } from '../graph/ledger.ts'
import { judge, type Verdict } from '../oracle.ts'
import type { Readback } from './readback.ts'

/** What the run proves, each with what is wrong; empty: it holds. */
export interface Judgement {
  readonly verdict: Verdict
  /** Items that came again after the engine had them, whatever it said to them. */
  readonly repeats: number
  /** Of these, after an answer that the sender may have missed, or by a worker that cannot know of it. */
  readonly repeatsExplained: number
  /** Older than what the engine had, from a worker that had been frozen; the engine refused them by their version. */
  readonly staleFromZombies: number
  readonly promises: readonly { readonly name: string; readonly problems: readonly string[] }[]
}

export interface Evidence {
  readonly graph: GraphLedger
  readonly engine: EngineLedger
  readonly log: Readback
  readonly mustSeeMs: number
  readonly senderName: (sender: number) => string
  /** Workers whose late requests may be old. */
  readonly zombies: ReadonlySet<string>
  /** Deaths and losses of lanes: each may repeat what was in flight. */
  readonly breaks: number
  /** Of one break at most: a batch of each lane. */
  readonly repeatsPerBreak: number
  readonly rows: readonly Row[]
  readonly complaints: readonly string[]
}

/** Of `socos status -o json`, what is needed here. */
export interface Row {
  readonly tenantId: string
  readonly state: string
  readonly lastPoll: string | null
  readonly counts: {
    readonly seen: number
    readonly delivered: number
    readonly duplicate: number
    readonly stale: number
    readonly parked: number
    readonly waiting: number
  }
}

const TOLD_MAX = 5

export function judgeRun(evidence: Evidence): Judgement {
  const { graph, engine, log, rows } = evidence
  const verdict = judge({ graph, engine, mustSeeMs: evidence.mustSeeMs, owedSince: 'asked' })
  const repeats = repeatsOf(engine.items)
  const stale = staleOf(evidence)
  const bound = evidence.breaks * evidence.repeatsPerBreak
  const missing = verdict.missing.map(({ tenantId, alertId, version, reason }) => {
    return `${tenantId}/${alertId} ${version}: ${reason}`
  })
  const unexplained = repeats.all - repeats.explained
  return {
    verdict,
    repeats: repeats.all,
    repeatsExplained: repeats.explained,
    staleFromZombies: stale.zombies,
    promises: [
      { name: 'P1 nothing is lost', problems: few(missing, verdict.missingCount) },
      { name: 'P2 never an old revision after a new one, by the same worker', problems: stale.problems },
      {
        name: 'P2 the engine keeps no old revision',
        problems: verdict.staleAccepted > 0 ? [`${verdict.staleAccepted} old revisions were taken`] : [],
      },
      {
        name: 'P3 repeats only where an answer or a worker was lost, under the same id',
        problems: [
          ...(unexplained > bound ? [`${unexplained} repeats; ${evidence.breaks} breaks allow ${bound}`] : []),
          ...(verdict.unstableIds > 0 ? [`${verdict.unstableIds} ids changed`] : []),
        ],
      },
      {
        name: 'P3 nothing that Graph did not list',
        problems: few(
          verdict.unexpectedItems.map(one => `${one.tenantId}/${one.alertId} ${one.version}: ${one.reason}`),
          verdict.unexpected,
        ),
      },
      { name: 'P5 every record of the log has its fate, by id', problems: accounted(engine.items, log, rows) },
      { name: 'P5 the ledger says what the engine has', problems: ledgerProblems(engine.items, log) },
      {
        name: 'offsets are committed up to the end of the log',
        problems: [...new Set(log.alerts.map(({ lane }) => lane))].flatMap(lane => {
          const lag = log.lag.get(lane)
          if (lag === undefined) return [`nothing is committed of lane ${lane}`]
          return lag === 0 ? [] : [`lane ${lane} is ${lag} behind`]
        }),
      },
      { name: 'workers end only when they are made to', problems: evidence.complaints },
    ],
  }
}

function few(list: readonly string[], all: number): readonly string[] {
  return all > TOLD_MAX ? [...list.slice(0, TOLD_MAX), `and ${all - TOLD_MAX} more`] : list
}

/** An item that was accepted comes again: explained when nobody was told that it was accepted. */
function repeatsOf(items: readonly EngineItem[]): { all: number; explained: number } {
  const told = new Map<string, boolean>()
  let [all, explained] = [0, 0]
  for (const item of items) {
    if (item.replay) continue
    const before = told.get(item.id)
    if (before !== undefined) {
      all++
      if (!before) explained++
    }
    const isThere = item.accepted || item.status === 409
    if (before !== undefined || isThere) told.set(item.id, (before ?? false) || (isThere && item.answered))
  }
  return { all, explained }
}

/** Of one sender an older revision never follows a newer one; of different ones only when the first was a zombie. */
function staleOf({ engine, senderName, zombies }: Evidence): { problems: string[]; zombies: number } {
  const newestOf = new Map<string, Map<string, string>>()
  const newest = new Map<string, string>()
  const problems: string[] = []
  let late = 0
  for (const item of engine.items) {
    if (item.replay) continue
    const key = `${item.tenantId}/${item.alertId}`
    const sender = senderName(engine.requests[item.request]?.sender ?? -1)
    const own = newestOf.get(sender) ?? new Map<string, string>()
    newestOf.set(sender, own)
    if (item.version < (own.get(key) ?? '')) problems.push(`${sender} sent ${key} ${item.version} after a newer one`)
    else own.set(key, item.version)
    const isOld = item.version < (newest.get(key) ?? '')
    if (isOld && zombies.has(sender)) late++
    else if (isOld) problems.push(`${sender} sent ${key} ${item.version} after another had sent a newer one`)
    if (item.accepted && !isOld) newest.set(key, item.version)
  }
  return { problems: [...few(problems, problems.length)], zombies: late }
}

/** P5, from the log as Kafka's own tools read it. */
function accounted(items: readonly EngineItem[], log: Readback, rows: readonly Row[]): string[] {
  const accepted = items.filter(item => (item.accepted || item.status === 409) && !item.replay)
  const contents = new Set(accepted.map(item => contentOf(item)))
  const newest = newestAccepted(items)
  const counts = new Map<string, { delivered: number; dropped: number; parked: number }>()
  const first = new Set<string>()
  const problems: string[] = []
  for (const record of log.alerts) {
    const content = contentOf(record)
    const count = counts.get(record.tenantId) ?? { delivered: 0, dropped: 0, parked: 0 }
    counts.set(record.tenantId, count)
    if (log.parkedAt.has(`${record.lane}:${record.offset}`)) count.parked++
    else if (contents.has(content) && !first.has(content)) count.delivered++
    else if (contents.has(content) || (newest.get(`${record.tenantId}/${record.alertId}`) ?? '') >= record.version)
      count.dropped++
    else problems.push(`record ${record.lane}:${record.offset} (${record.tenantId}/${record.alertId}) has no fate`)
    if (contents.has(content)) first.add(content)
  }
  for (const item of accepted) {
    if (!first.has(contentOf(item))) problems.push(`the engine has ${item.tenantId}/${item.alertId}, the log has not`)
  }
  for (const { tenantId, counts: said } of rows) {
    const { delivered, dropped, parked } = counts.get(tenantId) ?? { delivered: 0, dropped: 0, parked: 0 }
    const sums = { seen: delivered + dropped + parked, dropped: said.duplicate + said.stale }
    if (said.waiting !== 0) problems.push(`${said.waiting} records of ${tenantId} wait`)
    if (said.seen !== sums.seen) problems.push(`${tenantId}: status has seen ${said.seen}, the log has ${sums.seen}`)
    if (said.delivered !== delivered || said.parked !== parked || sums.dropped !== dropped) {
      const here = `${said.delivered}/${sums.dropped}/${said.parked}`
      problems.push(
        `${tenantId}: status says ${here} delivered/dropped/parked, it was ${delivered}/${dropped}/${parked}`,
      )
    }
  }
  return [...few(problems, problems.length)]
}

function ledgerProblems(items: readonly EngineItem[], log: Readback): string[] {
  const problems: string[] = []
  for (const [key, version] of newestAccepted(items)) {
    const said = log.delivered.get(key)
    if (said !== version) problems.push(`${key}: the engine has ${version}, the ledger ${said ?? 'nothing'}`)
  }
  return [...few(problems, problems.length)]
}

function newestAccepted(items: readonly EngineItem[]): Map<string, string> {
  const newest = new Map<string, string>()
  for (const { accepted, replay, tenantId, alertId, version } of items) {
    const key = `${tenantId}/${alertId}`
    if (accepted && !replay && version > (newest.get(key) ?? '')) newest.set(key, version)
  }
  return newest
}

function contentOf(of: {
  readonly tenantId: string
  readonly alertId: string
  readonly version: string
  readonly sha256: string
}): string {
  return JSON.stringify([of.tenantId, of.alertId, of.version, of.sha256])
}
