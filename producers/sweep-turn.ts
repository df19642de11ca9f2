import { murmur2 } from '../platform/kafka/lane-of.ts'
import type { Checkpoint, Sweep, Tenant } from '../schemas/types.ts'
import type { Known, Swept, SweepEnd } from './sweep.ts'
import { joined, provenAfter, SWEEP_SLICE_MS } from './sweep.ts'
import type { Window } from './window.ts'
import { addMs, slices } from './window.ts'

/** A tenant's sweep in progress: one slice a turn, so that polling goes first. It is not durable; a new owner begins anew. */
export interface SweepRun {
  readonly known: Known
  readonly rest: Window[]
  readonly openFrom: string
  done: Swept | null
}

export interface SweepLimits {
  readonly everyMs: number
  readonly windowMs: number
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

/** Update times from `openFrom` on are listed again by the next poll: a sweep ends there. */
export function beginSweep(known: Known, checkpoint: Checkpoint, backMs: number, { windowMs }: SweepLimits): SweepRun {
  const openFrom = addMs(checkpoint.watermark, -backMs)
  const from = addMs(openFrom, -windowMs)
  return { known, rest: [...slices(from, openFrom, SWEEP_SLICE_MS)], openFrom, done: null }
}

export type SweepStep =
  | { readonly kind: 'goes-on' }
  | { readonly kind: 'ended'; readonly swept: Swept; readonly proven: Sweep | null }
  /** Graph is in trouble; the same slice is tried in a later turn. */
  | { readonly kind: 'put-off'; readonly trouble: Extract<SweepEnd, { kind: 'trouble' }>['trouble'] }

/** One slice. Rejects as `sweepSlice` does. */
export async function stepSweep(
  run: SweepRun,
  receipt: Sweep | null,
  sweepSlice: (slice: Window) => Promise<SweepEnd>,
  nowMs: () => number,
): Promise<SweepStep> {
  const [slice] = run.rest
  if (slice) {
    const end = await sweepSlice(slice)
    if (end.kind === 'trouble') return { kind: 'put-off', trouble: end.trouble }
    run.rest.shift()
    run.done = run.done === null ? end : joined(run.done, end)
  }
  if (run.rest.length > 0 || run.done === null) return { kind: 'goes-on' }
  return { kind: 'ended', swept: run.done, proven: provenAfter(receipt, run.done, run.openFrom, nowMs()) }
}
