import { hash } from 'node:crypto'
import type { Checkpoint, Sweep } from '../schemas/types.ts'
import type { SlicedAlert } from './graph/slice.ts'
import type { Cover, Left } from './listing.ts'
import type { Published } from './publish.ts'
import { judge } from './publish.ts'
import type { Window } from './window.ts'
import { compare } from './window.ts'

/** What the pipeline has of one tenant: delivered, parked, or on the log and on its way. */
export interface Known {
  /** Takes in what was written since; afterwards `has` knows everything that was acked before the call. */
  refresh(): Promise<void>
  /** This revision or a newer one of the alert. */
  has(alertId: string, version: string): boolean
  /** An alert that the poller itself set aside, by the hash of its bytes. */
  hasQuarantined(alertId: string, contentHash: Buffer): Promise<boolean>
}

export interface SweepDeps {
  readonly tenantId: string
  readonly source: string
  readonly known: Known
  /** Lists a closed window; `take` gets each page. */
  readonly cover: (
    window: Window,
    by: 'lastUpdate' | 'created',
    take: (alerts: readonly SlicedAlert[]) => Promise<number>,
  ) => Promise<Cover>
  /** Puts them on the log with origin sweep; resolves after the acks. */
  readonly publish: (alerts: readonly SlicedAlert[]) => Promise<Published>
  /** What is missing is told and not published. */
  readonly dryRun: boolean
}

/** A revision that Graph has and the pipeline has not. */
interface Missing {
  readonly alertId: string
  readonly version: string | null
}

export interface Swept {
  readonly kind: 'swept'
  readonly window: Window
  readonly listed: number
  readonly known: number
  /** Published now (or, in a dry run, what would be). */
  readonly repaired: number
  /** Of these, from before the instant that the next poll reaches back to. */
  readonly late: number
  /** The first of them. */
  readonly missing: readonly Missing[]
  /** What Graph did not give, however small it was cut. */
  readonly gaps: readonly Left[]
}

export type SweepEnd = Swept | Exclude<Cover, { kind: 'covered' }>

/** Windows of a sweep; those that hold too much are cut further. */
export const SWEEP_SLICE_MS = 24 * 3_600_000
/** What is found missing waits for a second look in memory; past this it is published before the listing is done. */
const CANDIDATE_BYTES_MAX = 32 * 1024 * 1024
const MISSING_TOLD_MAX = 1_000

interface Candidate {
  readonly alert: SlicedAlert
  readonly missing: Missing
  readonly contentHash: Buffer
}

/**
 * Lists a closed window again, by update and by creation, and publishes what the pipeline does not have. The log is
 * looked at once more after Graph, so that what a poll published meanwhile is not taken for lost. `openFrom`: update
 * times from here on the next poll lists again anyway, so what is missing there is repaired but not late.
 */
export async function sweep(window: Window, openFrom: string, deps: SweepDeps): Promise<SweepEnd> {
  const found = new Set<string>()
  const missing: Missing[] = []
  let candidates: Candidate[] = []
  let candidateBytes = 0
  let repaired = 0
  let late = 0

  async function repair(): Promise<void> {
    if (candidates.length === 0) return
    await deps.known.refresh()
    const lost: Candidate[] = []
    for (const candidate of candidates) if (!(await isKnown(candidate, deps.known))) lost.push(candidate)
    candidates = []
    candidateBytes = 0
    if (lost.length === 0) return
    if (!deps.dryRun) await deps.publish(lost.map(({ alert }) => alert))
    repaired += lost.length
    late += lost.filter(({ missing: { version } }) => version !== null && compare(version, openFrom) < 0).length
    missing.push(...lost.map(one => one.missing).slice(0, MISSING_TOLD_MAX - missing.length))
  }

  async function take(alerts: readonly SlicedAlert[], concerns: (version: string) => boolean): Promise<number> {
    let fresh = 0
    for (const alert of alerts) {
      const judgement = judge(alert, deps.tenantId, deps.source)
      const version = judgement.kind === 'revision' ? judgement.version : null
      if (version !== null && !concerns(version)) continue
      const key = hash('sha256', JSON.stringify([judgement.alertId, version, judgement.contentHash.toString('hex')]))
      if (found.has(key)) continue
      found.add(key)
      const candidate = { alert, missing: { alertId: judgement.alertId, version }, contentHash: judgement.contentHash }
      if (await isKnown(candidate, deps.known)) continue
      fresh++
      // the bytes are a view of the whole page
      candidates.push({ ...candidate, alert: { ...alert, bytes: Buffer.from(alert.bytes) } })
      candidateBytes += alert.bytes.length
    }
    if (candidateBytes > CANDIDATE_BYTES_MAX) await repair()
    return fresh
  }

  await deps.known.refresh()
  const updated = await deps.cover(window, 'lastUpdate', alerts => take(alerts, () => true))
  if (updated.kind !== 'covered') return updated
  // what was created in the window and updated after it is the business of newer windows
  const isOurs = (version: string): boolean => compare(version, window.to) < 0
  const created = await deps.cover(window, 'created', alerts => take(alerts, isOurs))
  if (created.kind !== 'covered') return created
  await repair()
  const gaps = [...updated.left, ...created.left, ...silent(window, [...updated.missing, ...created.missing])]
  const listed = found.size
  return { kind: 'swept', window, listed, known: listed - repaired, repaired, late, missing, gaps }
}

/** A provider that did not answer proves nothing. */
function silent(window: Window, providers: readonly string[]): readonly Left[] {
  if (providers.length === 0) return []
  return [{ window, reason: `no answer from ${[...new Set(providers)].join(', ')}` }]
}

async function isKnown({ missing, contentHash }: Candidate, known: Known): Promise<boolean> {
  if (missing.version === null) return known.hasQuarantined(missing.alertId, contentHash)
  return known.has(missing.alertId, missing.version)
}

/** Several windows that followed one another, as one. */
export function joined(a: Swept, b: Swept): Swept {
  return {
    kind: 'swept',
    window: { from: a.window.from, to: b.window.to },
    listed: a.listed + b.listed,
    known: a.known + b.known,
    repaired: a.repaired + b.repaired,
    late: a.late + b.late,
    missing: [...a.missing, ...b.missing].slice(0, MISSING_TOLD_MAX),
    gaps: [...a.gaps, ...b.gaps],
  }
}

/**
 * What is proven after a sweep: up to its first gap, and never past `provableTo`, for Graph may still show an alert
 * that is younger. A sweep that adjoins what was proven before extends it; one that lies apart replaces it only when it
 * reaches further. Null: nothing is proven.
 */
export function provenAfter(before: Sweep | null, swept: Swept, provableTo: string, nowMs: number): Sweep | null {
  const { window, listed, known, repaired, late } = swept
  const to = [window.to, provableTo, ...swept.gaps.map(gap => gap.window.from)].reduce((a, b) =>
    compare(a, b) <= 0 ? a : b,
  )
  const counts = { sweptAt: nowMs, listed, known, repaired, late, lateTotal: (before?.lateTotal ?? 0) + late }
  const proven = compare(window.from, to) < 0 ? { from: window.from, to } : null
  if (before === null || before.to === '') return proven && { ...proven, ...counts }
  if (proven === null) return { ...before, ...counts }
  const touches = compare(proven.from, before.to) <= 0 && compare(before.from, proven.to) <= 0
  if (!touches) return compare(proven.to, before.to) > 0 ? { ...proven, ...counts } : { ...before, ...counts }
  const from = compare(before.from, proven.from) <= 0 ? before.from : proven.from
  const until = compare(before.to, proven.to) >= 0 ? before.to : proven.to
  return { from, to: until, ...counts }
}

/** Where the result of a tenant's sweeps stands in the checkpoints topic. */
export function sweepReceiptKey(tenantId: string): string {
  return `${tenantId}/sweep`
}

export function sweepReceipt(tenantId: string, source: string, proven: Sweep): Checkpoint {
  return {
    tenantId,
    source,
    watermark: '',
    backfillNext: null,
    backfillUntil: null,
    state: '',
    problem: null,
    problemSince: null,
    move: null,
    page: null,
    nextTryAt: null,
    polledAt: proven.sweptAt,
    succeededAt: null,
    listed: proven.listed,
    published: proven.repaired,
    publishedTotal: 0,
    quarantinedTotal: 0,
    partialProviders: [],
    gaps: [],
    sweep: proven,
  }
}
