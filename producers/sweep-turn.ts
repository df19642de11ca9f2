import { murmur2 } from '../platform/kafka/lane-of.ts'
import type { Log } from '../platform/log.ts'
import { TransientError } from '../platform/retry.ts'
import type { Sweep, Tenant } from '../schemas/types.ts'
import type { TurnEnd } from './poll.ts'
import type { Known, SweepDeps, Swept } from './sweep.ts'
import { joined, provenAfter, SWEEP_SLICE_MS, sweep } from './sweep.ts'
import type { Window } from './window.ts'
import { addMs, slices } from './window.ts'

/** A tenant's sweep in progress: one slice a turn, so that polling goes first. It is not durable; a new owner begins anew. */
export interface SweepRun {
  readonly known: Known
  readonly rest: Window[]
  /** Update times from here on are listed again by the next poll: the sweep ends there. */
  readonly openFrom: string
  done: Swept | null
}

export interface SweepLimits {
  readonly everyMs: number
  readonly windowMs: number
}

/** Graph asked for it during a sweep; polls keep it too. */
export type SweepPause = Extract<TurnEnd, { kind: 'throttled' }>

export interface SweepSubject {
  readonly tenant: Tenant
  readonly source: string
  readonly watermark: string
  /** How far the next poll reaches back. */
  readonly backMs: number
  readonly receipt: Sweep | null
}

export interface SweepHost extends Pick<SweepDeps, 'cover' | 'publish'> {
  readonly limits: SweepLimits
  readonly log: Log
  readonly nowMs: () => number
  /** The tenant is not polled here any more. */
  readonly signal: AbortSignal
  /** Rejects with a TransientError. */
  readonly known: () => Promise<Known>
  readonly swept: (result: Swept) => void
  /** Makes durable what is proven. */
  readonly prove: (proven: Sweep) => Promise<void>
}

export interface SweepShare {
  /** Goes into the next share; null: none is under way. */
  readonly run: SweepRun | null
  readonly pause: SweepPause | null
}

const NOTHING: SweepShare = { run: null, pause: null }

/** One slice of a tenant's sweep, when it is due. Never rejects: a fault puts the sweep off, polling does not suffer. */
export async function sweepShare(begun: SweepRun | null, subject: SweepSubject, host: SweepHost): Promise<SweepShare> {
  const { tenantId } = subject.tenant
  try {
    if (!begun && !isSweepDue(subject.tenant, subject.receipt, host.nowMs(), host.limits)) return NOTHING
    const run = begun ?? begin(await host.known(), subject, host.limits)
    const [slice] = run.rest
    if (slice) {
      const { cover, publish } = host
      const deps = { tenantId, source: subject.source, known: run.known, dryRun: false, cover, publish }
      const end = await sweep(slice, run.openFrom, deps)
      // the same slice is tried in a later turn
      if (end.kind === 'trouble') return { run, pause: pauseOf(end.trouble) }
      run.rest.shift()
      run.done = run.done === null ? end : joined(run.done, end)
    }
    if (run.rest.length > 0 || run.done === null) return { run, pause: null }
    tell(tenantId, run.done, host)
    const proven = provenAfter(subject.receipt, run.done, run.openFrom, host.nowMs())
    if (proven) await host.prove(proven)
    return NOTHING
  } catch (error) {
    if (host.signal.aborted) return NOTHING
    if (error instanceof TransientError) host.log.warn('a sweep is put off', { tenantId, error })
    else host.log.error('a sweep failed by a fault in the poller', { tenantId, error })
    return NOTHING
  }
}

/**
 * Each tenant has a time of day of its own, so that sweeps spread over the day whenever the workers started. Due when
 * none ended since that time last came; a tenant that is new waits for its time.
 */
export function isSweepDue(tenant: Tenant, receipt: Sweep | null, nowMs: number, { everyMs }: SweepLimits): boolean {
  const offsetMs = (murmur2(Buffer.from(tenant.tenantId)) >>> 0) % everyMs
  const slotMs = Math.floor((nowMs - offsetMs) / everyMs) * everyMs + offsetMs
  return Math.max(receipt?.sweptAt ?? 0, tenant.changedAt) < slotMs
}

function begin(known: Known, { watermark, backMs }: SweepSubject, { windowMs }: SweepLimits): SweepRun {
  const openFrom = addMs(watermark, -backMs)
  return { known, rest: [...slices(addMs(openFrom, -windowMs), openFrom, SWEEP_SLICE_MS)], openFrom, done: null }
}

function tell(tenantId: string, swept: Swept, { log, swept: observe }: SweepHost): void {
  observe(swept)
  const { repaired, late, gaps } = swept
  if (late > 0) log.warn('a sweep found alerts that no poll had shown', { tenantId, late, repaired })
  if (gaps.length > 0) log.warn('a sweep left windows that Graph does not give', { tenantId, gaps: gaps.length })
}

function pauseOf(trouble: { readonly kind: string } | SweepPause): SweepPause | null {
  const isPause = (some: { readonly kind: string }): some is SweepPause => some.kind === 'throttled'
  return isPause(trouble) && trouble.retryAfterMs !== null ? trouble : null
}
