/**
 * Judges a world by what the simulated Graph, log, coordinators and engine saw, never by what the workers think.
 * Longer than the rule: the invariants share one picture of who had which lane, and what was told where by when.
 */
import { AssignerProtocol } from '../../platform/kafka/kafkajs.ts'
import type { Checkpoint } from '../../schemas/types.ts'
import { valueOf } from '../unit/fakes/codecs.ts'
import type { Acceptance } from './engine.ts'
import type { SimGraph } from './graph.ts'
import type { SimLog } from './log.ts'
import type { Effect, Process, Side } from './process.ts'
import type { SlicedAlert } from '../../producers/graph/slice.ts'
import type { Timeline } from './time.ts'
import type { Outside } from './workers.ts'
import { OVERLAP_MS } from './workers.ts'
import { addMs } from '../../producers/window.ts'

export type Invariant =
  | 'missing' // P1: the last revision of an alert neither reached the engine nor lies in `parked`
  | 'stale-after-new' // P2, among those who had the lane
  | 'needless-duplicate' // P3: the sender could know that the engine has it
  | 'checkpoint-ahead' // it covers what its writer was given and the log does not have
  | 'commit-ahead' // it covers a record that the ledger does not tell of
  | 'ledger-ahead' // it tells of a delivery that the engine does not know
  | 'totals' // P5
  | 'no-lease' // work on a lane that the worker does not have
  | 'ledger-tail' // what compaction would leave of an alert is not the newest that was told
  | 'not-alive' // after everything calmed down
  | 'fault' // the code says so itself

export interface Violation {
  readonly invariant: Invariant
  readonly detail: string
  readonly atMs: number
}

interface Tenure {
  memberId: string
  readonly process: Process
  /** What had landed when it began. */
  readonly sinceLanding: number
  generation: number
  isOver: boolean
}

interface Given {
  readonly version: string
  readonly to: string
}

interface Membership {
  readonly memberId: string
  readonly lanes: ReadonlySet<number>
  readonly generation: number
  /** Goes up when it missed a generation: whatever it had in hand is another owner's by then, for all it knows. */
  readonly life: number
}

interface Earlier {
  readonly acceptance: Acceptance
  readonly tenure: Tenure | null
  readonly life: number
}

const GROUP_OF: Readonly<Record<Side, string>> = { poller: 'pollers', forwarder: 'forwarders' }
const OWNERS_BEFORE_COMPACTION = 3
const LEASED: ReadonlySet<string> = new Set(['page', 'post', 'alerts', 'checkpoints'])

export function openOracle(deps: {
  readonly time: Timeline
  readonly log: SimLog
  readonly graph: SimGraph
  readonly codecs: Outside['codecs']
  readonly lanes: number
  /** Nothing but orderly comings and goings: then nothing is sent twice at all. */
  readonly isGentle: boolean
}) {
  const { time, log, graph, codecs, lanes } = deps
  const violations: Violation[] = []
  const figures = { zombieStale: 0, zombieRepeats: 0, repeats: 0 }
  const tenures = new Map<string, Tenure>()
  const begun = new Map<string, readonly number[]>()
  const memberships = new Map<Process, Membership>()
  const goneMembers = new Set<string>()
  const onLog = new Set<string>()
  const given = new Map<Process, Map<string, Given>>()
  const acceptedById = new Map<string, Earlier[]>()
  const acceptedVersions = new Map<string, Set<string>>()
  const newest = new Map<string, Acceptance>()
  const toldUpTo = new Map<string, string>()
  const toldOf = new Map<string, { readonly version: string; readonly lane: number; readonly offset: number }[]>()
  const offsetsOf = new Map<string, number[]>()
  const commits = new Map<number, number>()

  function violated(invariant: Invariant, detail: string): void {
    violations.push({ invariant, detail, atMs: time.nowMs })
  }

  function tenureOf(process: Process, lane: number): Tenure | null {
    const tenure = tenures.get(`${GROUP_OF[process.side]}/${lane}`)
    return tenure && tenure.process === process && !tenure.isOver ? tenure : null
  }

  function assigned(
    group: string,
    generation: number,
    assignment: ReadonlyMap<string, { process: Process; bytes: Buffer }>,
  ): void {
    for (const [memberId, { process, bytes }] of assignment) {
      for (const lane of lanesIn(bytes)) {
        const name = `${group}/${lane}`
        const before = tenures.get(name)
        // it was put out and came back, and nobody had the lane in between
        if (before && before.process === process && before.generation === generation - 1) {
          Object.assign(before, { generation, memberId, isOver: false })
        } else {
          tenures.set(name, { memberId, process, sinceLanding: log.landings, generation, isOver: false })
          begun.set(name, [...(begun.get(name) ?? []), log.landings])
        }
      }
    }
  }

  function left(memberId: string): void {
    goneMembers.add(memberId)
    for (const tenure of tenures.values()) if (tenure.memberId === memberId) tenure.isOver = true
  }

  /** The worker hears of its lanes. */
  function told(process: Process, memberId: string, generation: number, bytes: Buffer): void {
    const now = new Set(lanesIn(bytes))
    const before = memberships.get(process)
    // what it was given for a lane that it gets anew is polled again
    if ([...now].some(lane => !before?.lanes.has(lane))) given.delete(process)
    const life = (before?.life ?? 0) + (before?.generation === generation - 1 ? 0 : 1)
    memberships.set(process, { memberId, lanes: now, generation, life })
  }

  function sent(process: Process, { kind, lane }: Effect): void {
    if (lane === undefined) return
    const membership = memberships.get(process)
    if (!membership?.lanes.has(lane)) return violated('no-lease', `${process.name} does ${kind} for lane ${lane}`)
    if (!LEASED.has(kind)) return
    if (!goneMembers.has(membership.memberId)) return
    violated('no-lease', `${process.name} does ${kind} for lane ${lane}, and is not in the group any more`)
  }

  /** Graph answered a question that ends at `to`. */
  function gave(process: Process, tenantId: string, alerts: readonly SlicedAlert[], to: string): void {
    const mine = given.get(process) ?? new Map<string, Given>()
    given.set(process, mine)
    for (const { id, lastUpdate } of alerts) mine.set(`${tenantId}/${id}`, { version: lastUpdate ?? '', to })
  }

  /** A checkpoint goes out: what was given and is covered must be on the log. */
  function checkpointSent(process: Process, checkpoint: Checkpoint): void {
    for (const [key, { version, to }] of given.get(process) ?? []) {
      if (!key.startsWith(checkpoint.tenantId) || onLog.has(`${key} ${version}`) || !covers(checkpoint, version))
        continue
      // the turn that was given it did not get through, and the overlap of the next one lists it again
      const isListedAgain = version >= addMs(checkpoint.watermark, -OVERLAP_MS)
      if (isListedAgain && checkpoint.watermark < to) continue
      // replaced before it could be published
      if (graph.shown(key, time.nowMs)?.version !== version) continue
      violated('checkpoint-ahead', `${process.name} covers ${key} ${version}, which is not on the log`)
    }
  }

  function landed(topic: string, lane: number, first: number): void {
    for (const { key, value, offset } of log.all(topic, lane).slice(first)) {
      if (topic === 'alerts') {
        const { tenantId, version } = valueOf(codecs.alerts, value)
        onLog.add(`${key} ${version}`)
        const offsets = offsetsOf.get(tenantId)
        if (offsets) offsets.push(offset)
        else offsetsOf.set(tenantId, [offset])
      } else if (topic === 'deliveries') delivered(key, value, lane, offset)
    }
  }

  function delivered(key: string, value: Buffer | null, lane: number, offset: number): void {
    const { tenantId, delivered, parked, totals } = valueOf(codecs.deliveries, value)
    if (delivered) {
      if (!acceptedVersions.get(key)?.has(delivered.version)) {
        violated('ledger-ahead', `${key} ${delivered.version} is told of, and the engine never took it`)
      }
      const mine = toldOf.get(key) ?? []
      toldOf.set(key, mine)
      mine.push({ version: delivered.version, lane, offset })
    }
    for (const mark of [delivered, parked]) {
      if (mark && mark.version > (toldUpTo.get(key) ?? '')) toldUpTo.set(key, mark.version)
    }
    if (totals) {
      const there = (offsetsOf.get(tenantId) ?? []).filter(offset => offset < totals.upTo).length
      const { seen, delivered, duplicate, stale, parked } = totals
      if (seen !== there || delivered + duplicate + stale + parked !== seen) {
        violated('totals', `${tenantId} has ${there} records before ${totals.upTo}, told are ${JSON.stringify(totals)}`)
      }
    }
  }

  function committed(offsets: ReadonlyMap<number, number>): void {
    for (const [lane, offset] of offsets) {
      const before = commits.get(lane) ?? 0
      if (offset < before) violated('commit-ahead', `lane ${lane} moved back from ${before} to ${offset}`)
      commits.set(lane, offset)
      for (const record of log.all('alerts', lane).slice(before, offset)) {
        const { version } = valueOf(codecs.alerts, record.value)
        if ((toldUpTo.get(record.key) ?? '') >= version) continue
        violated('commit-ahead', `lane ${lane} is committed up to ${offset}, ${record.key} ${version} is not settled`)
      }
    }
  }

  function accepted(acceptance: Acceptance): void {
    const { key, version, lane, process, isLate, id } = acceptance
    const before = newest.get(key)
    if (before && before.version > version) {
      if (before.isLate || isLate) figures.zombieStale++
      else violated('stale-after-new', `${process.name} sends ${key} ${version} after ${before.version}`)
    } else newest.set(key, acceptance)
    const tenure = isLate ? null : tenureOf(process, lane)
    const earlier = acceptedById.get(id) ?? []
    acceptedById.set(id, earlier)
    const life = memberships.get(process)?.life ?? 0
    if (earlier.length > 0) repeated({ acceptance, tenure, life }, earlier)
    earlier.push({ acceptance, tenure, life })
    const versions = acceptedVersions.get(key)
    if (versions) versions.add(version)
    else acceptedVersions.set(key, new Set([version]))
  }

  function repeated({ acceptance, tenure, life }: Earlier, earlier: readonly Earlier[]): void {
    const { key, version, process } = acceptance
    figures.repeats++
    const what = `${process.name} sends ${key} ${version} again`
    if (deps.isGentle) return violated('needless-duplicate', `${what}, and nothing had gone wrong`)
    if (tenure === null) {
      figures.zombieRepeats++
      return
    }
    if (earlier.some(each => each.tenure === tenure && each.life === life && each.acceptance.isAnswered)) {
      return violated('needless-duplicate', `${what} after it had the answer`)
    }
    const wasTold = (toldOf.get(key) ?? []).some(mark => {
      const record = log.all('deliveries', mark.lane)[mark.offset]
      return mark.version === version && record && record.landing < tenure.sinceLanding && record.goneAt === Infinity
    })
    if (wasTold) violated('needless-duplicate', `${what}, though the ledger told of it`)
  }

  /** After everything calmed down. */
  function judge(): void {
    const parked = new Set<string>()
    for (let lane = 0; lane < lanes; lane++) {
      for (const { key, value } of log.all('parked', lane)) {
        parked.add(`${key} ${valueOf(codecs.parked, value).version ?? ''}`)
      }
    }
    for (const [key, { version }] of graph.last) {
      if (acceptedVersions.get(key)?.has(version) || parked.has(`${key} ${version}`)) continue
      violated('missing', `${key} ${version}${onLog.has(`${key} ${version}`) ? ', though it is on the log' : ''}`)
    }
    for (let lane = 0; lane < lanes; lane++) judgeTables(lane)
  }

  function judgeTables(lane: number): void {
    const lastOf = new Map(log.all('deliveries', lane).map(record => [record.key, record]))
    for (const [key, { value }] of lastOf) {
      const { tenantId, delivered, totals } = valueOf(codecs.deliveries, value)
      const told = (toldOf.get(key) ?? [])
        .filter(({ offset }) => log.all('deliveries', lane)[offset]?.goneAt === Infinity)
        .map(({ version }) => version)
        .toSorted()
      if (told.length > 0 && delivered?.version !== told.at(-1)) {
        violated('ledger-tail', `of ${key} compaction would leave ${delivered?.version}, told was ${told.at(-1)}`)
      }
      const there = offsetsOf.get(tenantId)?.length ?? 0
      if (totals && totals.seen !== there)
        violated('totals', `${tenantId}: ${there} on the log, ${totals.seen} in the end`)
    }
    for (const [tenantId, offsets] of offsetsOf) {
      const isOfLane = log.all('alerts', lane).some(({ key }) => key.startsWith(tenantId))
      if (isOfLane && !lastOf.has(`${tenantId}/`))
        violated('totals', `${tenantId}: ${offsets.length} records, no totals`)
    }
  }

  return {
    violations,
    figures,
    violated,
    assigned,
    left,
    told,
    sent,
    gave,
    checkpointSent,
    landed,
    committed,
    accepted,
    judge,
    tenureOf,
    /** What has landed since is not compacted yet: a few owners of the lane have restored it by then. */
    compactable: (lane: number) => begun.get(`forwarders/${lane}`)?.at(-OWNERS_BEFORE_COMPACTION) ?? 0,
    /** What must come and has not; null when all has come. */
    awaited(): string | null {
      for (const [key, { version }] of graph.last) {
        if ((toldUpTo.get(key) ?? '') < version) return `${key} ${version}`
      }
      for (let lane = 0; lane < lanes; lane++) {
        if ((commits.get(lane) ?? 0) !== log.high('alerts', lane)) return `commits of lane ${lane}`
      }
      return null
    },
  }
}

function lanesIn(bytes: Buffer): readonly number[] {
  if (bytes.length === 0) return []
  return Object.values(AssignerProtocol.MemberAssignment.decode(bytes)?.assignment ?? {})[0] ?? []
}

function covers({ watermark, backfillNext, backfillUntil, gaps }: Checkpoint, version: string): boolean {
  if (version >= watermark || gaps.some(({ from, to }) => from <= version && version < to)) return false
  return !(backfillNext !== null && backfillUntil !== null && backfillNext <= version && version < backfillUntil)
}
