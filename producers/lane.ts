/** What a worker knows of the tenants of one lane: who is polled here, and from which checkpoint. */
import type { Codec } from '../platform/avro/codec.ts'
import type { Lane, LaneContext } from '../platform/kafka/lanes.ts'
import { tableIntake, tableOf } from '../platform/kafka/table-intake.ts'
import type { Checkpoint, Sweep, Tenant } from '../schemas/types.ts'
import { createBudget } from './graph/budget.ts'
import type { Cloud, TenantAccess } from './graph/clouds.ts'
import { progressOf } from './poll.ts'
import type { Rota } from './rota.ts'
import { createSeen } from './seen.ts'
import { sweepReceiptKey } from './sweep.ts'
import type { TenantState, TurnDeps } from './turn.ts'
import { openTurns } from './turn.ts'

export interface PollerDeps extends TurnDeps {
  readonly topics: TurnDeps['topics'] & { readonly tenants: string }
  readonly codecs: TurnDeps['codecs'] & { readonly tenants: Codec<Tenant> }
}

export interface PollerLane extends Lane {
  /** One turn of a tenant of this lane; resolves with when the next is due, null for never. Never rejects. */
  turn(tenantId: string, dueMs: number): Promise<number | null>
  has(tenantId: string): boolean
  /** Each tenant as its last turn left it, for the metrics. */
  states(): Iterable<TenantGlance>
}

export interface TenantGlance {
  readonly tenantId: string
  readonly state: string
  readonly polledAtMs: number | null
  /** Update times before it are read; null before the first poll. */
  readonly readUpTo: string | null
  /** As the tenant's record says; null: it does not. */
  readonly credentialExpires: string | null
}

export function openPollerLane(deps: PollerDeps, context: LaneContext, rota: Rota): PollerLane {
  const { lane, signal } = context
  const { clock, log, codecs, topics } = deps
  const tenants = new Map<string, TenantState>()
  const checkpoints = new Map<string, Checkpoint>()
  /** What sweeps have proven, by tenant; also those by hand, which others write. */
  const receipts = new Map<string, Sweep>()
  const takeTurn = openTurns(deps, context, receipts)
  /** Off-boarded before the lane was opened here. */
  const left = new Set<string>()
  let live = false
  const intake = tableIntake(
    {
      [topics.tenants]: tableOf(codecs.tenants, (key, tenant) => (tenant === null ? drop(key) : upsert(tenant))),
      [topics.checkpoints]: tableOf(codecs.checkpoints, (key, checkpoint) => {
        const tenantId = key.slice(0, -sweepReceiptKey('').length)
        if (key === sweepReceiptKey(tenantId)) {
          if (checkpoint?.sweep) receipts.set(tenantId, checkpoint.sweep)
          else receipts.delete(tenantId)
        } else if (live)
          return // our own
        else if (checkpoint === null) checkpoints.delete(key)
        else checkpoints.set(key, checkpoint)
      }),
    },
    { clock, log, signal },
  )
  signal.addEventListener('abort', () => [...tenants.keys()].forEach(drop), { once: true })

  function upsert(tenant: Tenant): void {
    if (tenant.state !== 'active') {
      drop(tenant.tenantId)
      deps.unsent.forget(tenant.tenantId)
      if (live) void forget(tenant.tenantId)
      else left.add(tenant.tenantId)
      return
    }
    left.delete(tenant.tenantId)
    const known = tenants.get(tenant.tenantId)
    const access = accessOf(tenant)
    if (known && JSON.stringify(known.access) === JSON.stringify(access)) {
      known.tenant = tenant // name, metadata, interval: from the next turn on
    } else {
      const budget = known?.budget ?? createBudget(clock.now())
      const sameApp = known?.access.clientId === access.clientId
      if (known) drop(tenant.tenantId)
      tenants.set(tenant.tenantId, {
        tenant,
        access,
        checkpoint: known?.checkpoint,
        written: null,
        budget,
        seen: createSeen(),
        failures: 0,
        abort: new AbortController(),
        notBeforeMs: known && sameApp ? known.notBeforeMs : 0,
        sweeping: null,
        isOverGrantSaid: false,
        waiting: null,
      })
    }
    if (live) schedule(tenant.tenantId)
  }

  function drop(tenantId: string): void {
    const known = tenants.get(tenantId)
    if (!known) return
    known.abort.abort(new Error('the tenant is not polled here any more'))
    tenants.delete(tenantId)
    rota.remove(tenantId)
    deps.graph.forget(tenantId)
  }

  /** A tenant that comes back begins anew. What fails here is done by the next owner of the lane. */
  async function forget(tenantId: string): Promise<void> {
    const keys = [tenantId, ...(receipts.has(tenantId) ? [sweepReceiptKey(tenantId)] : [])]
    receipts.delete(tenantId)
    if (!context.leased()) return
    try {
      await deps.publisher.append(
        topics.checkpoints,
        lane,
        keys.map(key => ({ key, value: null })),
        'checkpoint-forgotten',
      )
    } catch (error) {
      log.warn('the checkpoint of a removed tenant is still there', { tenantId, error })
    }
  }

  function schedule(tenantId: string): void {
    const state = tenants.get(tenantId)
    if (!state) return
    state.waiting = null
    rota.put(tenantId, clock.now())
  }

  async function begin(): Promise<void> {
    await intake.settled()
    live = true
    for (const [tenantId, state] of tenants) {
      state.checkpoint = checkpoints.get(tenantId)
      schedule(tenantId)
    }
    await Promise.all([...left].filter(tenantId => checkpoints.has(tenantId)).map(forget))
    left.clear()
    checkpoints.clear()
  }

  return {
    table: (topic, record) => intake.take(topic, record),
    lost: () => {}, // pollers read tables only
    live: () => void begin(),
    // a turn that is cut is repeated by the next owner: its overlap covers it
    quiesce: async () => {},
    resume: () => {},
    committable: () => null,
    async turn(tenantId, dueMs) {
      const state = tenants.get(tenantId)
      return state ? takeTurn(state, dueMs) : null
    },
    has: tenantId => tenants.has(tenantId),
    *states() {
      for (const { tenant, access, checkpoint } of tenants.values()) {
        yield {
          tenantId: tenant.tenantId,
          state: checkpoint?.state ?? 'catching-up',
          polledAtMs: checkpoint?.polledAt ?? null,
          readUpTo: progressOf(checkpoint, access.source)?.watermark ?? null,
          credentialExpires: tenant.credentialExpires,
        }
      }
    },
  }
}

/** How the tenant of a record is read. */
export function accessOf(tenant: Tenant): TenantAccess {
  return {
    tenantId: tenant.tenantId,
    clientId: tenant.clientId,
    cloud: tenant.cloud as Cloud,
    source: tenant.source === 'alerts' ? 'alerts' : 'alerts_v2',
    credential: {
      kind: tenant.credentialKind as TenantAccess['credential']['kind'],
      file: tenant.credentialFile,
    },
  }
}
