/** Longer than the rule: the same lines open Graph for one tenant, sweep it, and say what came of it. */

import { systemClock, systemRandom } from '../platform/clock.ts'
import { laneOf } from '../platform/kafka/lane-of.ts'
import { committedOffsets } from '../platform/kafka/offsets.ts'
import type { LogReader } from '../platform/kafka/reader.ts'
import { createBudget } from '../producers/graph/budget.ts'
import type { Graph } from '../producers/graph/client.ts'
import { createGraph } from '../producers/graph/client.ts'
import { wayOf } from '../producers/graph/network.ts'
import type { Trouble } from '../producers/graph/problems.ts'
import type { KnownDeps } from '../producers/known.ts'
import { openKnown } from '../producers/known.ts'
import { accessOf } from '../producers/lane.ts'
import { cover, LISTING_LIMITS } from '../producers/listing.ts'
import { overlapOf } from '../producers/poll.ts'
import { publishPage } from '../producers/publish.ts'
import { createSeen } from '../producers/seen.ts'
import type { SweepEnd, Swept } from '../producers/sweep.ts'
import { joined, provenAfter, SWEEP_SLICE_MS, sweep, sweepReceipt, sweepReceiptKey } from '../producers/sweep.ts'
import type { Window } from '../producers/window.ts'
import { addMs, compare, fromEpochMs, slices } from '../producers/window.ts'
import type { Checkpoint, Delivery, GraphAlert, Parked, Sweep, Tenant } from '../schemas/types.ts'
import type { Connection } from './connect.ts'
import { eachOf, usable, withConnection } from './connect.ts'
import type { Format, Io } from './io.ts'
import { EXIT, printRows, Refusal } from './io.ts'
import { readTable } from './tables.ts'
import { readSpan, readTime } from './times.ts'

export interface SweepOptions {
  readonly tenant?: readonly string[]
  /** Update times. */
  readonly since?: string
  readonly until?: string
  readonly dryRun: boolean
}

interface SweepRow {
  readonly tenantId: string
  readonly name: string
  readonly from: string
  readonly to: string
  readonly listed: number
  readonly known: number
  readonly repaired: number
  readonly late: number
  readonly missing: readonly { readonly alertId: string; readonly version: string | null }[]
  readonly gaps: readonly { readonly from: string; readonly to: string; readonly reason: string }[]
  /** Update times before it are proven complete; null: nothing is. */
  readonly provenUpTo: string | null
  /** Why the sweep could not be done; null when it was. */
  readonly problem: string | null
}

interface Site {
  readonly io: Io
  readonly connection: Connection
  readonly graph: Graph
  readonly known: KnownDeps
  readonly checkpoints: ReadonlyMap<string, Checkpoint>
  readonly lanes: number
  readonly options: SweepOptions
  readonly signal: AbortSignal
}

const NEEDS = ['kafkaBrokers', 'schemaRegistryUrl', 'secretsDir'] as const
const TENANTS_AT_ONCE = 4
const SINCE_DEFAULT = '72h'

/**
 * Lists what Graph has now, compares it with what the pipeline has, and publishes what is missing. Exit 0 also when
 * something was repaired; 6 when windows are left that Graph does not give.
 */
export function sweepTenants(io: Io, format: Format, options: SweepOptions): Promise<number> {
  readSpan(options.since ?? SINCE_DEFAULT, options.until, systemClock.now())
  return withConnection(io, NEEDS, async connection => {
    const tenants = await chosenTenants(connection, io, options)
    if (tenants.length === 0) io.say('there is no active tenant: see `socos tenants apply`\n')
    const stop = new AbortController()
    const onSignal = (): void => stop.abort(new Error('stopped'))
    process.once('SIGINT', onSignal).once('SIGTERM', onSignal)
    const { graphSandboxUrl, secretsDir } = connection.settings
    const graph = createGraph({
      sandboxUrl: graphSandboxUrl === null ? null : new URL(graphSandboxUrl),
      way: usable(() => wayOf(connection.settings)),
      secretsDir: secretsDir ?? '.',
      clock: systemClock,
      random: systemRandom,
    })
    try {
      const site: Site = {
        io,
        connection,
        graph,
        known: await knownDeps(connection),
        checkpoints: await readTable<Checkpoint>(connection, 'checkpoints', io.say),
        lanes: await connection.lanes(),
        options,
        signal: stop.signal,
      }
      const rows: SweepRow[] = []
      await eachOf(tenants, TENANTS_AT_ONCE, async tenant => {
        const row = await sweepTenant(tenant, site)
        rows.push(row)
        if (io.isErrTty) io.say(`${rows.length} of ${tenants.length}: ${row.name}\n`)
      })
      return report(io, format, rows, options)
    } finally {
      process.off('SIGINT', onSignal).off('SIGTERM', onSignal)
      await graph[Symbol.asyncDispose]()
    }
  })
}

async function chosenTenants(connection: Connection, io: Io, options: SweepOptions): Promise<readonly Tenant[]> {
  const known = await readTable<Tenant>(connection, 'tenants', io.say)
  const wanted = (options.tenant ?? []).map(id => id.toLowerCase())
  const absent = wanted.filter(id => known.get(id)?.state !== 'active')
  if (absent.length > 0) {
    throw new Refusal(`No active tenant: ${absent.join(', ')}. See \`socos tenants list\`.`, EXIT.notFound)
  }
  const ids = new Set(wanted)
  return [...known.values()].filter(
    ({ tenantId, state }) => state === 'active' && (ids.size === 0 || ids.has(tenantId)),
  )
}

async function knownDeps(connection: Connection): Promise<KnownDeps> {
  const admin = await connection.admin()
  const groupId = `${connection.settings.topicPrefix}forwarders`
  const reader: LogReader = await connection.reader()
  return {
    reader,
    topics: {
      alerts: connection.topic('alerts'),
      deliveries: connection.topic('deliveries'),
      parked: connection.topic('parked'),
    },
    codecs: {
      alerts: await connection.codec<GraphAlert>('alerts'),
      deliveries: await connection.codec<Delivery>('deliveries'),
      parked: await connection.codec<Parked>('parked'),
    },
    async settledUpTo(lane) {
      return (await committedOffsets(admin, groupId, connection.topic('alerts'))).get(lane) ?? 0
    },
  }
}

async function sweepTenant(tenant: Tenant, site: Site): Promise<SweepRow> {
  const { connection, graph, options, checkpoints, signal } = site
  const access = accessOf(tenant)
  const blank = { tenantId: tenant.tenantId, name: tenant.name, listed: 0, known: 0, repaired: 0, late: 0 }
  const failed = (window: Window, problem: string): SweepRow => ({
    ...blank,
    ...window,
    missing: [],
    gaps: [],
    provenUpTo: receipt?.to ?? null,
    problem,
  })
  const receipt = checkpoints.get(sweepReceiptKey(tenant.tenantId))?.sweep ?? null
  const time = await graph.now(access, signal)
  if (time.kind !== 'time') {
    return failed({ from: '', to: '' }, wordsOf(time))
  }
  const nowMs = systemClock.now()
  const { window, openFrom, provableTo } = windowOf(tenant, time.epochMs, site)
  if (compare(window.from, window.to) >= 0) return failed(window, 'nothing of that time is polled yet')
  const lane = laneOf(tenant.tenantId, site.lanes)
  const known = await openKnown(tenant.tenantId, lane, site.known)
  const publisher = await connection.publisher()
  const listing = {
    graph,
    access,
    budget: createBudget(systemClock.now(), 'command'),
    clock: systemClock,
    random: systemRandom,
    signal,
    limits: LISTING_LIMITS,
    observe: { request: () => {} },
  }
  const sweepSlice = (slice: Window): Promise<SweepEnd> =>
    sweep(slice, openFrom, {
      tenantId: tenant.tenantId,
      source: access.source,
      known,
      dryRun: options.dryRun,
      cover: (part, by, take) => cover(part, true, { ...listing, by, take }),
      publish: alerts =>
        publishPage(
          alerts,
          {
            tenantId: tenant.tenantId,
            source: access.source,
            lane,
            origin: 'sweep',
            seen: createSeen(),
            nowMs: systemClock.now(),
          },
          {
            publisher,
            codecs: site.known.codecs,
            topics: { alerts: connection.topic('alerts'), parked: connection.topic('parked') },
          },
        ),
    })
  let whole: Swept | null = null
  for (const slice of slices(window.from, window.to, SWEEP_SLICE_MS)) {
    const end = await sweepSlice(slice)
    if (end.kind === 'trouble') return failed(slice, wordsOf(end.trouble))
    whole = whole === null ? end : joined(whole, end)
  }
  if (whole === null) return failed(window, 'nothing of that time is polled yet')
  const proven = options.dryRun ? receipt : provenAfter(receipt, whole, provableTo, nowMs)
  if (!options.dryRun && proven !== null) await writeReceipt(connection, tenant, lane, proven)
  // what pollers could not read before the window is tried too; it proves nothing about the time in between
  let all: Swept = whole
  for (const gap of olderGaps(tenant, window, site)) {
    const end = await sweepSlice(gap)
    if (end.kind === 'trouble') return failed(gap, wordsOf(end.trouble))
    all = joined(all, end)
  }
  return {
    ...blank,
    ...window,
    listed: all.listed,
    known: all.known,
    repaired: all.repaired,
    late: all.late,
    missing: all.missing,
    gaps: all.gaps.map(gap => ({ ...gap.window, reason: gap.reason })),
    provenUpTo: proven?.to ?? null,
    problem: null,
  }
}

function wordsOf(trouble: Trouble): string {
  return trouble.kind === 'needs-attention' ? `${trouble.problem.words} [${trouble.problem.code}]` : trouble.detail
}

function olderGaps({ tenantId }: Tenant, window: Window, { checkpoints, options }: Site): readonly Window[] {
  if (options.since !== undefined) return []
  const gaps = checkpoints.get(tenantId)?.gaps ?? []
  return gaps
    .filter(gap => compare(gap.from, window.from) < 0)
    .map(gap => ({ from: gap.from, to: compare(gap.to, window.from) < 0 ? gap.to : window.from }))
}

/** Never past what the pollers have polled: what is newer is theirs to bring. A tenant that nobody polls is swept up to now. */
function windowOf(
  tenant: Tenant,
  graphNowMs: number,
  { checkpoints, connection, options }: Site,
): { readonly window: Window; readonly openFrom: string; readonly provableTo: string } {
  const { overlapMs, pollIntervalMs } = connection.settings
  const intervalMs = tenant.intervalSeconds === null ? pollIntervalMs : tenant.intervalSeconds * 1_000
  const backMs = overlapOf({ overlapMs, intervalMs })
  const now = fromEpochMs(graphNowMs)
  const watermark = checkpoints.get(tenant.tenantId)?.watermark || now
  const limit = compare(watermark, now) < 0 ? watermark : now
  const nowMs = systemClock.now()
  const since = fromEpochMs(readTime('--since', options.since ?? SINCE_DEFAULT, nowMs))
  // what a look-back has not come to yet is not late; it is swept only when somebody asks for it
  const lookBack = checkpoints.get(tenant.tenantId)?.backfillUntil ?? since
  const from = options.since === undefined && compare(since, lookBack) < 0 ? lookBack : since
  const asked = options.until === undefined ? limit : fromEpochMs(readTime('--until', options.until, nowMs))
  return {
    window: { from, to: compare(asked, limit) < 0 ? asked : limit },
    openFrom: addMs(limit, -backMs),
    provableTo: addMs(now, -backMs),
  }
}

async function writeReceipt(connection: Connection, tenant: Tenant, lane: number, proven: Sweep): Promise<void> {
  const codec = await connection.codec<Checkpoint>('checkpoints')
  const publisher = await connection.publisher()
  const { tenantId, source } = tenant
  const value = codec.encode(sweepReceipt(tenantId, source, proven))
  const receipt = { key: sweepReceiptKey(tenantId), value }
  await publisher.append(connection.topic('checkpoints'), lane, [receipt], 'sweep-receipt-by-hand')
}

function report(io: Io, format: Format, found: readonly SweepRow[], { dryRun }: SweepOptions): number {
  const rows = found.toSorted((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0))
  printRows(io, format, rows, [
    { title: 'NAME', of: row => row.name },
    { title: 'TENANT', of: row => row.tenantId },
    { title: 'FROM', of: row => row.from },
    { title: 'TO', of: row => row.to },
    { title: 'LISTED', of: row => row.listed, right: true },
    { title: 'KNOWN', of: row => row.known, right: true },
    { title: dryRun ? 'MISSING' : 'REPAIRED', of: row => row.repaired, right: true },
    { title: 'LATE', of: row => row.late, right: true },
    { title: 'PROVEN UP TO', of: row => row.provenUpTo },
    { title: 'PROBLEM', of: row => row.problem },
  ])
  for (const row of rows) {
    for (const gap of row.gaps) io.say(`${row.tenantId} gap ${gap.from} to ${gap.to}: ${gap.reason}\n`)
    if (!dryRun || format !== 'table') continue
    for (const { alertId, version } of row.missing) {
      io.say(`${row.tenantId} missing ${JSON.stringify(alertId)} ${version ?? '(to be parked)'}\n`)
    }
  }
  const failures = rows.filter(row => row.problem !== null).length
  if (failures > 0) return failures === rows.length ? EXIT.failed : EXIT.someFailed
  return rows.some(row => row.gaps.length > 0) ? EXIT.problem : EXIT.ok
}
