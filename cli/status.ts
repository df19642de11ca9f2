import { systemClock } from '../platform/clock.ts'
import type { Checkpoint, Delivery, Tenant, Totals } from '../schemas/types.ts'
import type { Connection } from './connect.ts'
import { withConnection } from './connect.ts'
import type { Format, Io } from './io.ts'
import { EXIT, printRows } from './io.ts'
import { readTable, scan } from './tables.ts'

const STALE_MIN_MS = 300_000
/** A tenant that was just applied is not yet polled. */
const GRACE_MS = 120_000

type State = 'ok' | 'catching-up' | 'throttled' | 'needs-attention' | 'stale' | 'off-boarded'

interface StatusRow {
  readonly tenantId: string
  readonly name: string
  readonly state: State
  readonly problem: string | null
  readonly problemSince: string | null
  readonly lastPoll: string | null
  /** Seconds since the last complete poll; null before the first. */
  readonly freshness: number | null
  readonly provenUpTo: string | null
  readonly openGaps: number
  readonly published: number
  readonly quarantined: number
  readonly counts: {
    readonly seen: number
    readonly delivered: number
    readonly duplicate: number
    readonly stale: number
    readonly parked: number
    readonly waiting: number
  }
}

/** What every tenant's poll and delivery look like now. Reads tables, offsets and the uncounted tail of each lane. */
export function showStatus(io: Io, format: Format, only: readonly string[]): Promise<number> {
  return withConnection(io, ['kafkaBrokers', 'schemaRegistryUrl'], async connection => {
    const rows = await statusRows(connection, io)
    const wanted = new Set(only.map(id => id.toLowerCase()))
    const shown = rows.filter(row => wanted.size === 0 || wanted.has(row.tenantId))
    printRows(
      io,
      format,
      shown,
      [
        { title: 'NAME', of: row => row.name },
        { title: 'TENANT', of: row => row.tenantId },
        { title: 'STATE', of: row => row.state },
        { title: 'LAST POLL', of: row => row.lastPoll },
        { title: 'FRESH s', of: row => row.freshness, right: true },
        { title: 'PUBLISHED', of: row => row.published, right: true },
        { title: 'SEEN', of: row => row.counts.seen, right: true },
        { title: 'DELIVERED', of: row => row.counts.delivered, right: true },
        { title: 'DUPLICATE', of: row => row.counts.duplicate, right: true },
        { title: 'STALE', of: row => row.counts.stale, right: true },
        { title: 'PARKED', of: row => row.counts.parked, right: true },
        { title: 'WAITING', of: row => row.counts.waiting, right: true },
        { title: 'PROBLEM', of: row => row.problem },
      ],
      tenants => ({ tenants }),
    )
    return EXIT.ok
  })
}

async function statusRows(connection: Connection, io: Io): Promise<readonly StatusRow[]> {
  const [tenants, checkpoints, ledger] = await Promise.all([
    readTable<Tenant>(connection, 'tenants', io.say),
    readTable<Checkpoint>(connection, 'checkpoints', io.say),
    readTable<Delivery>(connection, 'deliveries', io.say, isTotalsKey),
  ])
  const totals = new Map([...ledger.values()].map(({ tenantId, totals }) => [tenantId, totals]))
  const waiting = await countWaiting(connection, totals)
  const nowMs = systemClock.now()
  const ids = new Set([...tenants.keys(), ...totals.keys(), ...waiting.keys()])
  return [...ids]
    .map(id => rowOf(id, tenants.get(id), checkpoints.get(id), totals.get(id) ?? null, waiting.get(id) ?? 0, nowMs))
    .toSorted((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : a.tenantId < b.tenantId ? -1 : 1))
}

/** Totals stand under `tenantId/`, alerts under `tenantId/alertId`. */
function isTotalsKey(key: string): boolean {
  return key.endsWith('/') && key.indexOf('/') === key.length - 1
}

/** Records behind the forwarders' offset that no totals count yet. */
async function countWaiting(
  connection: Connection,
  totals: ReadonlyMap<string, Totals | null>,
): Promise<Map<string, number>> {
  const admin = await connection.admin()
  const groupId = `${connection.settings.topicPrefix}forwarders`
  const [committed] = await admin.fetchOffsets({ groupId, topics: [connection.topic('alerts')] })
  const settled = new Map(committed?.partitions.map(part => [part.partition, Number(part.offset)]))
  const waiting = new Map<string, number>()
  await scan(
    connection,
    'alerts',
    record => {
      const key = record.key?.toString() ?? ''
      const slash = key.indexOf('/')
      const tenantId = slash < 0 ? key : key.slice(0, slash)
      if (record.offset < (totals.get(tenantId)?.upTo ?? 0)) return
      waiting.set(tenantId, (waiting.get(tenantId) ?? 0) + 1)
    },
    (lane, low) => Math.max(low, settled.get(lane) ?? 0),
  )
  return waiting
}

function rowOf(
  tenantId: string,
  tenant: Tenant | undefined,
  checkpoint: Checkpoint | undefined,
  totals: Totals | null,
  waiting: number,
  nowMs: number,
): StatusRow {
  const { state, problem } = stateOf(tenant, checkpoint, nowMs)
  return {
    tenantId,
    name: tenant?.name ?? '(unknown tenant)',
    state,
    problem,
    problemSince: problem === null ? null : isoOf(checkpoint?.problemSince ?? null),
    lastPoll: isoOf(checkpoint?.polledAt ?? null),
    freshness:
      checkpoint?.succeededAt == null ? null : Math.max(0, Math.round((nowMs - checkpoint.succeededAt) / 1000)),
    provenUpTo: checkpoint?.sweep?.to ?? null,
    openGaps: checkpoint?.gaps.length ?? 0,
    published: checkpoint?.publishedTotal ?? 0,
    quarantined: checkpoint?.quarantinedTotal ?? 0,
    counts: {
      seen: totals?.seen ?? 0,
      delivered: totals?.delivered ?? 0,
      duplicate: totals?.duplicate ?? 0,
      stale: totals?.stale ?? 0,
      parked: totals?.parked ?? 0,
      waiting,
    },
  }
}

/** Silence is never taken for quiet: a tenant that nobody polled lately is stale, whatever it last said. */
function stateOf(
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
      return {
        state: 'ok',
        problem: gaps > 0 ? `${gaps} windows that Graph does not give: ${checkpoint.gaps[0]?.reason}` : null,
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

function isoOf(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString()
}
