import type { Checkpoint, Tenant } from '../schemas/types.ts'

const STALE_MIN_MS = 300_000
/** A tenant that was just applied is not yet polled. */
const GRACE_MS = 120_000
/** A tenant that never showed an alert for so long is worth a question. */
const MUTE_MS = 7 * 86_400_000
const DAY_MS = 86_400_000

export type State = 'ok' | 'catching-up' | 'throttled' | 'needs-attention' | 'stale' | 'off-boarded'

/** Silence is never taken for quiet: a tenant that nobody polled lately is stale, whatever it last said. */
export function stateOf(
  tenant: Tenant | undefined,
  checkpoint: Checkpoint | undefined,
  nowMs: number,
): { state: State; problem: string | null } {
  if (!tenant) return { state: 'off-boarded', problem: 'records of a tenant that was never applied' }
  if (tenant.state !== 'active') return { state: 'off-boarded', problem: null }
  if (!checkpoint) {
    return nowMs - tenant.changedAt < GRACE_MS
      ? { state: 'catching-up', problem: 'not polled yet' }
      : { state: 'stale', problem: 'never polled: is a poller running?' }
  }
  const silentMs = nowMs - checkpoint.polledAt
  const patienceMs = Math.max(STALE_MIN_MS, 5_000 * (tenant.intervalSeconds ?? 60))
  if (silentMs > patienceMs) {
    return { state: 'stale', problem: `not polled for ${Math.round(silentMs / 1000)} s: is a poller running?` }
  }
  switch (checkpoint.state) {
    case 'needs-attention':
    case 'throttled':
    case 'catching-up':
      return { state: checkpoint.state, problem: checkpoint.problem }
    case 'ok': {
      const gaps = checkpoint.gaps.length
      if (gaps > 0) {
        return { state: 'ok', problem: `${gaps} windows that Graph does not give: ${checkpoint.gaps[0]?.reason}` }
      }
      // a list that is always empty also belongs to who has no licence, or is read through the retired list
      const isMute = checkpoint.publishedTotal === 0 && nowMs - tenant.changedAt > MUTE_MS
      return {
        state: 'ok',
        problem: isMute ? 'answers, and has never shown an alert: see `socos tenants check`' : null,
      }
    }
    default: {
      // partly answered or not at all: fresh for a while, then stale
      const succeededAt = checkpoint.succeededAt ?? checkpoint.problemSince ?? checkpoint.polledAt
      const state = nowMs - succeededAt > patienceMs ? 'stale' : 'ok'
      return { state, problem: checkpoint.problem ?? checkpoint.state }
    }
  }
}

/** Whole days until the credential ends by the tenants file; null: it does not say. */
export function daysLeft(tenant: Tenant | undefined, nowMs: number): number | null {
  const endMs =
    tenant?.state === 'active' && tenant.credentialExpires !== null ? Date.parse(tenant.credentialExpires) : NaN
  return Number.isNaN(endMs) ? null : Math.floor((endMs - nowMs) / DAY_MS)
}
