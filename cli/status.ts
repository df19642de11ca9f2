/** Longer than the rule: the row, how it is read and how it is shown belong together. */
import { systemClock } from '../platform/clock.ts'
import { laneOf } from '../platform/kafka/lane-of.ts'
import { sweepReceiptKey } from '../producers/sweep.ts'
import type { Checkpoint, Tenant, Totals } from '../schemas/types.ts'
import type { Unaccounted } from './accounts.ts'
import { countsOf, readAccounts, unaccountedOf } from './accounts.ts'
import type { Connection } from './connect.ts'
import { withConnection } from './connect.ts'
import type { Format, Io } from './io.ts'
import { EXIT, printRows, Refusal } from './io.ts'
import { isoTime } from './lenient.ts'
import { parkedNow } from './parked.ts'
import { daysLeft, type State, stateOf } from './state.ts'
import { readTable } from './tables.ts'

const WATCH_EVERY_MS = 2_000
/** From then on an ending credential is said each time. */
const EXPIRY_SAID_DAYS = 60

interface StatusRow {
  readonly tenantId: string
  readonly name: string
  readonly state: State
  readonly problem: string | null
  readonly problemSince: string | null
  /** Of a tenant that needs attention: customer, operator or maintainer. */
  readonly whoseMove: string | null
  /** The page of Microsoft's admin center on which it is mended. */
  readonly page: string | null
  /** When a tenant with a problem is tried again at the latest. */
  readonly nextTry: string | null
  /** As the tenants file says, with the whole days until then, negative after it; null: it does not say. */
  readonly credentialExpires: string | null
  readonly credentialDaysLeft: number | null
  readonly lastPoll: string | null
  /** Seconds since the last complete poll; null before the first. */
  readonly freshness: number | null
  /** Update times before it are proven complete by a sweep. */
  readonly provenUpTo: string | null
  /** Alerts that only sweeps ever found. */
  readonly foundLate: number
  readonly openGaps: number
  readonly gaps: readonly { readonly from: string; readonly to: string; readonly reason: string }[]
  readonly published: number
  readonly quarantined: number
  readonly lane: number
  /** Records of the whole lane that are not settled yet. */
  readonly laneLag: number
  /** What is parked and neither delivered, retried nor discarded since. */
  readonly parkedNow: number
  readonly parkedByReason: Readonly<Record<string, number>>
  readonly counts: {
    readonly seen: number
    readonly delivered: number
    readonly duplicate: number
    readonly stale: number
    readonly parked: number
    readonly waiting: number
  }
  /** seen = delivered + duplicate + stale + parked. */
  readonly balanced: boolean
}

interface Status {
  readonly tenants: readonly StatusRow[]
  /** Records that were deleted from the log before they were forwarded; a sweep brings them again. */
  readonly lost: readonly { readonly lane: number; readonly records: number }[]
  readonly unaccounted: readonly Unaccounted[]
}

/**
 * What every tenant's poll and delivery look like now. Reads tables, offsets and the uncounted tail of each lane, so it
 * works while no worker runs. Exit 6 when something needs a person.
 */
export async function showStatus(
  io: Io,
  format: Format,
  options: { readonly tenant: readonly string[]; readonly watch: boolean },
): Promise<number> {
  return withConnection(io, ['kafkaBrokers', 'schemaRegistryUrl'], async connection => {
    const stop = new AbortController()
    if (options.watch) process.once('SIGINT', () => stop.abort())
    for (;;) {
      const status = chosen(await readStatus(connection, io), options.tenant)
      if (options.watch && format === 'table') io.out('\u001b[H\u001b[2J')
      print(io, format, status)
      if (!options.watch) return needsSomeone(status) ? EXIT.problem : EXIT.ok
      await systemClock.sleep(WATCH_EVERY_MS, stop.signal).catch(() => {})
      if (stop.signal.aborted) return EXIT.ok
    }
  })
}

function chosen(status: Status, only: readonly string[]): Status {
  if (only.length === 0) return status
  const wanted = new Set(only.map(id => id.toLowerCase()))
  const tenants = status.tenants.filter(row => wanted.has(row.tenantId))
  const unknown = [...wanted].filter(id => !tenants.some(row => row.tenantId === id))
  if (unknown.length > 0) {
    throw new Refusal(`No such tenant: ${unknown.join(', ')}. See \`socos tenants list\`.`, EXIT.notFound)
  }
  const lanes = new Set(tenants.map(row => row.lane))
  return {
    tenants,
    lost: status.lost.filter(({ lane }) => lanes.has(lane)),
    unaccounted: status.unaccounted.filter(({ lane }) => lanes.has(lane)),
  }
}

function needsSomeone({ tenants, unaccounted }: Status): boolean {
  const inNeed = tenants.some(
    row => row.state === 'needs-attention' || row.state === 'stale' || row.openGaps > 0 || !row.balanced,
  )
  return inNeed || unaccounted.length > 0
}

function print(io: Io, format: Format, status: Status): void {
  printRows(
    io,
    format,
    status.tenants,
    [
      { title: 'NAME', of: row => row.name },
      { title: 'TENANT', of: row => row.tenantId },
      { title: 'STATE', of: row => row.state },
      { title: 'LAST POLL', of: row => row.lastPoll },
      { title: 'FRESH s', of: row => row.freshness, right: true },
      { title: 'PROVEN UP TO', of: row => row.provenUpTo?.slice(0, 19) ?? null },
      { title: 'SEEN', of: row => row.counts.seen, right: true },
      { title: 'DELIVERED', of: row => row.counts.delivered, right: true },
      { title: 'DUPLICATE', of: row => row.counts.duplicate, right: true },
      { title: 'STALE', of: row => row.counts.stale, right: true },
      { title: 'PARKED', of: row => row.counts.parked, right: true },
      { title: 'NOW', of: row => row.parkedNow, right: true },
      { title: 'WAITING', of: row => row.counts.waiting, right: true },
      { title: 'LANE LAG', of: row => row.laneLag, right: true },
      { title: 'SINCE', of: row => row.problemSince?.slice(0, 19) ?? null },
      { title: 'WHOSE MOVE', of: row => row.whoseMove },
      { title: 'NEXT TRY', of: row => row.nextTry?.slice(11, 19) ?? null },
      { title: 'PROBLEM', of: row => row.problem },
    ],
    () => status,
  )
  if (format === 'json') return
  for (const row of status.tenants) {
    const { seen, delivered, duplicate, stale, parked } = row.counts
    if (!row.balanced) {
      io.say(`${row.tenantId}: ${seen} seen is not ${delivered} + ${duplicate} + ${stale} + ${parked}\n`)
    }
    const reasons = Object.entries(row.parkedByReason).map(([reason, count]) => `${count} ${reason}`)
    if (reasons.length > 0) io.say(`${row.tenantId} parked now: ${reasons.join(', ')}; see \`socos parked list\`\n`)
    const days = row.credentialDaysLeft
    if (days !== null && days <= EXPIRY_SAID_DAYS) {
      const when = days < 0 ? 'has ended by the tenants file' : `ends in ${days} days`
      io.say(`${row.tenantId} credential ${when} (${row.credentialExpires}): ask the customer for the next one\n`)
    }
    for (const gap of row.gaps) io.say(`${row.tenantId} gap ${gap.from} to ${gap.to}: ${gap.reason}\n`)
  }
  for (const { lane, records } of status.lost) {
    io.say(
      `lane ${lane}: ${records} records were deleted from the log before they were forwarded; \`socos sweep\` its tenants\n`,
    )
  }
  for (const { lane, written, accounted } of status.unaccounted) {
    io.say(`lane ${lane}: ${written} records were written, ${accounted} are accounted for\n`)
  }
}

async function readStatus(connection: Connection, io: Io): Promise<Status> {
  const nowMs = systemClock.now()
  const [tenants, checkpoints, parked, accounts] = await Promise.all([
    readTable<Tenant>(connection, 'tenants', io.say),
    readTable<Checkpoint>(connection, 'checkpoints', io.say),
    parkedNow(connection, io),
    readAccounts(connection, nowMs),
  ])
  const counts = countsOf(accounts)
  const rows = [...new Set([...tenants.keys(), ...counts.keys()])].map((id): StatusRow => {
    const lane = laneOf(id, accounts.size)
    const reasons = parked.get(id) ?? new Map<string, number>()
    const proven = checkpoints.get(sweepReceiptKey(id))?.sweep
    const { totals = null, waiting = 0 } = counts.get(id) ?? {}
    return {
      ...rowOf(id, tenants.get(id), checkpoints.get(id), totals, waiting, nowMs),
      provenUpTo: proven?.to ?? null,
      foundLate: proven?.lateTotal ?? 0,
      lane,
      laneLag: accounts.get(lane)?.lag ?? 0,
      parkedNow: [...reasons.values()].reduce((sum, count) => sum + count, 0),
      parkedByReason: Object.fromEntries(reasons),
    }
  })
  return {
    tenants: rows.toSorted((a, b) => order(a.name, b.name) || order(a.tenantId, b.tenantId)),
    lost: [...accounts].map(([lane, { lost }]) => ({ lane, records: lost })).filter(({ records }) => records > 0),
    unaccounted: unaccountedOf(accounts),
  }
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function rowOf(
  tenantId: string,
  tenant: Tenant | undefined,
  checkpoint: Checkpoint | undefined,
  totals: Totals | null,
  waiting: number,
  nowMs: number,
): Omit<StatusRow, 'provenUpTo' | 'foundLate' | 'lane' | 'laneLag' | 'parkedNow' | 'parkedByReason'> {
  const { state, problem } = stateOf(tenant, checkpoint, nowMs)
  return {
    tenantId,
    name: tenant?.name ?? '(unknown tenant)',
    state,
    problem,
    problemSince: problem === null ? null : isoOf(checkpoint?.problemSince ?? null),
    whoseMove: state === 'needs-attention' ? (checkpoint?.move ?? null) : null,
    page: state === 'needs-attention' ? (checkpoint?.page ?? null) : null,
    credentialExpires: tenant?.credentialExpires ?? null,
    credentialDaysLeft: daysLeft(tenant, nowMs),
    nextTry: problem === null || state === 'stale' ? null : isoOf(checkpoint?.nextTryAt ?? null),
    lastPoll: isoOf(checkpoint?.polledAt ?? null),
    freshness:
      checkpoint?.succeededAt == null ? null : Math.max(0, Math.round((nowMs - checkpoint.succeededAt) / 1000)),
    openGaps: checkpoint?.gaps.length ?? 0,
    gaps: (checkpoint?.gaps ?? []).map(({ from, to, reason }) => ({ from, to, reason })),
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
    balanced: !totals || totals.seen === totals.delivered + totals.duplicate + totals.stale + totals.parked,
  }
}

function isoOf(ms: number | null): string | null {
  return ms === null ? null : isoTime(ms)
}
