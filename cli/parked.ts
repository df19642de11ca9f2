/** Longer than the rule: listing, showing, retrying and discarding share one reading of what is open. */
import { randomUUID } from 'node:crypto'
import { decodeLearning } from '../platform/avro/codec.ts'
import { systemClock } from '../platform/clock.ts'
import { laneOf } from '../platform/kafka/lane-of.ts'
import type { OutRecord } from '../platform/kafka/producer.ts'
import { PARK_REASONS } from '../schemas/parking.ts'
import type { Delivery, GraphAlert, Parked } from '../schemas/types.ts'
import { auditEntries, openAudit, whoActs } from './audit.ts'
import type { Connection } from './connect.ts'
import { withConnection } from './connect.ts'
import type { Format, Io } from './io.ts'
import { EXIT, printRows, Refusal } from './io.ts'
import { isReason, type ParkedRow, rowOf, shownParked } from './parked-record.ts'
import { memberIn } from './lenient.ts'
import { readTable, scan } from './tables.ts'
import { readSpan } from './times.ts'

export interface ParkedFilter {
  readonly tenant?: readonly string[]
  readonly parkedReason?: readonly string[]
  /** Alert ids, or `lane:offset` of the parked record. */
  readonly id?: readonly string[]
  readonly since?: string
  readonly until?: string
}

interface Open {
  readonly row: ParkedRow
  readonly parked: Parked
}

const NEEDS = ['kafkaBrokers', 'schemaRegistryUrl'] as const
/** A record that comes back this often has a cause that retrying does not mend. */
const ATTEMPTS_MAX = 5
const RETRY_BATCH = 100

export function listParked(
  io: Io,
  format: Format,
  filter: ParkedFilter,
  options: { readonly rows: boolean; readonly all: boolean },
): Promise<number> {
  return withConnection(io, NEEDS, async connection => {
    const rows = (await readOpen(connection, io, filter, options.all)).map(({ row }) => row)
    if (format === 'table' && !options.rows) {
      printGroups(io, rows)
      return EXIT.ok
    }
    printRows(io, format, rows, [
      { title: 'ID', of: row => row.id },
      { title: 'REASON', of: row => row.reason },
      { title: 'TENANT', of: row => row.tenantId },
      { title: 'ALERT', of: row => row.alertId },
      { title: 'VERSION', of: row => row.version },
      { title: 'PARKED', of: row => row.parkedAt },
      { title: 'TRIES', of: row => row.attempts, right: true },
      { title: 'DETAIL', of: row => row.detail },
    ])
    return EXIT.ok
  })
}

/** One parked record with its alert, the reason in words and what to do. */
export function showParked(io: Io, id: string): Promise<number> {
  return withConnection(io, NEEDS, async connection => {
    const found = await readOpen(connection, io, { id: [id] }, true)
    const last = found.at(-1)
    if (!last) throw new Refusal(`Nothing parked has the id ${id}. See \`socos parked list --rows\`.`, EXIT.notFound)
    const { row, parked } = last
    io.out(shownParked(parked, row.lane, row.offset, await alertOf(connection, parked)))
    return EXIT.ok
  })
}

/** Sends parked alerts the normal way again; a newer version already delivered makes them stale, not a step back. */
export function retryParked(
  io: Io,
  filter: ParkedFilter,
  options: { readonly yes: boolean; readonly rate: number; readonly force: boolean; readonly by?: string },
): Promise<number> {
  return withConnection(io, NEEDS, async connection => {
    const open = await readOpen(connection, io, filter, false)
    const spent = options.force ? [] : open.filter(({ parked }) => parked.attempts >= ATTEMPTS_MAX)
    const candidates = open.filter(one => !spent.includes(one))
    const retried: { one: Open; alert: GraphAlert }[] = []
    const cannot: Open[] = []
    for (const one of candidates) {
      const alert = await graphAlertOf(connection, one.parked)
      if (alert) retried.push({ one, alert })
      else cannot.push(one)
    }
    printGroups(
      io,
      retried.map(({ one }) => one.row),
    )
    for (const { row } of spent) io.say(`${row.id} was tried ${row.attempts} times: mend the cause, or add --force\n`)
    for (const { row } of cannot)
      io.say(`${row.id} (${row.reason}) is no alert that can be sent: show it, then discard it\n`)
    const someFailed = spent.length + cannot.length > 0 ? EXIT.someFailed : EXIT.ok
    if (!options.yes) {
      io.say(`PLAN, nothing is sent: ${retried.length} records; repeat with --yes\n`)
      return EXIT.ok
    }
    if (retried.length === 0) {
      io.say('nothing parked matches that can be sent again\n')
      return filter.id && open.length === 0 ? EXIT.notFound : someFailed
    }
    const audit = await openAudit(connection, {
      id: `p-${randomUUID()}`,
      operation: 'parked retry',
      by: whoActs(options.by),
      reason: 'retry',
      scope: { filter, records: retried.length },
    })
    await audit.note('start', null)
    await publishRetries(connection, retried, options.rate, coordinates => audit.note('progress', { coordinates }))
    await audit.note('end', { outcome: 'done', records: retried.length })
    io.out(`${retried.length} records sent again\n`)
    return someFailed
  })
}

/** Takes parked records off the list for good; they stay on the topic until its retention ends. */
export function discardParked(
  io: Io,
  filter: ParkedFilter,
  options: { readonly yes: boolean; readonly reason?: string; readonly by?: string },
): Promise<number> {
  const reason = options.reason?.trim()
  if (!reason) throw new Refusal('--reason is missing: discarding is audited, say why', EXIT.usage)
  if (Object.values(filter).every(value => value === undefined)) {
    throw new Refusal('say what to discard: --id, --tenant, --parked, --since or --until', EXIT.usage)
  }
  return withConnection(io, NEEDS, async connection => {
    const rows = (await readOpen(connection, io, filter, false)).map(({ row }) => row)
    printGroups(io, rows)
    if (!options.yes) {
      io.say(`PLAN, nothing is discarded: ${rows.length} records; repeat with --yes\n`)
      return EXIT.ok
    }
    if (rows.length === 0) throw new Refusal('nothing parked matches', EXIT.notFound)
    const audit = await openAudit(connection, {
      id: `p-${randomUUID()}`,
      operation: 'parked discard',
      by: whoActs(options.by),
      reason,
      scope: { filter, records: rows.length },
    })
    await audit.note('start', null)
    // so that they are not retried by themselves either, should their tenant come back; before they leave the list, for
    // who repeats a discard that was killed
    const publisher = await connection.publisher()
    for (const [lane, own] of Map.groupBy(rows, row => row.lane)) {
      const keys = new Set(own.map(row => `${row.tenantId}/${row.alertId}`))
      const tombstones = [...keys].map(key => ({ key, value: null }))
      await publisher.append(connection.topic('parked'), lane, tombstones, 'parked-discarded')
    }
    for (let at = 0; at < rows.length; at += 1_000) {
      await audit.note('progress', { coordinates: rows.slice(at, at + 1_000).map(({ id }) => id) })
    }
    await audit.note('end', { outcome: 'done', records: rows.length })
    io.out(`${rows.length} records discarded\n`)
    return EXIT.ok
  })
}

/** How many parked records of each tenant wait now, by reason. */
export async function parkedNow(
  connection: Connection,
  io: Io,
): Promise<ReadonlyMap<string, ReadonlyMap<string, number>>> {
  const open = await readOpen(connection, io, {}, false)
  const byTenant = new Map<string, Map<string, number>>()
  for (const { row } of open) {
    const reasons = byTenant.get(row.tenantId) ?? new Map<string, number>()
    byTenant.set(row.tenantId, reasons)
    reasons.set(row.reason, (reasons.get(row.reason) ?? 0) + 1)
  }
  return byTenant
}

/**
 * What is parked and not settled since: not retried or discarded (that stands in the audit log), and not overtaken by a
 * delivery of the same or a newer version (that stands in the ledger).
 */
async function readOpen(connection: Connection, io: Io, filter: ParkedFilter, all: boolean): Promise<readonly Open[]> {
  const wanted = filterOf(filter)
  const codec = await connection.codec<Parked>('parked')
  const found: Open[] = []
  await scan(connection, 'parked', async (record, lane) => {
    if (record.value === null) return
    const decoded = await decodeLearning(codec, record.value)
    if (decoded.kind !== 'value') {
      io.say(`parked record ${lane}:${record.offset} cannot be read: ${decoded.detail}\n`)
      return
    }
    const row = rowOf(decoded.value, lane, record.offset)
    if (wanted(row)) found.push({ row, parked: decoded.value })
  })
  const sorted = found.toSorted((a, b) => a.parked.parkedAt - b.parked.parkedAt || a.row.offset - b.row.offset)
  if (all || sorted.length === 0) return sorted
  const settled = await settledCoordinates(connection, io)
  const keys = new Set(sorted.map(({ row }) => `${row.tenantId}/${row.alertId}`))
  const lanes = new Set(sorted.map(({ row }) => row.lane))
  const ledger = await readTable<Delivery>(connection, 'deliveries', io.say, key => keys.has(key), lanes)
  return sorted.filter(({ row }) => {
    if (settled.has(row.id)) return false
    const delivered = ledger.get(`${row.tenantId}/${row.alertId}`)?.delivered
    return !(delivered && row.version !== null && delivered.version >= row.version)
  })
}

async function settledCoordinates(connection: Connection, io: Io): Promise<ReadonlySet<string>> {
  const settled = new Set<string>()
  for (const { operation, phase, resultJson } of await auditEntries(connection, io.say)) {
    if (!operation.startsWith('parked ') || phase !== 'progress' || resultJson === null) continue
    const coordinates = memberIn(resultJson, 'coordinates')
    for (const id of Array.isArray(coordinates) ? coordinates : []) settled.add(String(id))
  }
  return settled
}

function filterOf(filter: ParkedFilter): (row: ParkedRow) => boolean {
  const tenants = new Set((filter.tenant ?? []).map(id => id.toLowerCase()))
  const reasons = new Set(filter.parkedReason ?? [])
  const unknown = [...reasons].filter(reason => !isReason(reason))
  if (unknown.length > 0) {
    const known = Object.keys(PARK_REASONS).join(', ')
    throw new Refusal(`No such reason: ${unknown.join(', ')}. Reasons are ${known}.`, EXIT.usage)
  }
  const ids = new Set(filter.id ?? [])
  const { sinceMs, untilMs } = readSpan(filter.since, filter.until, systemClock.now() + 1)
  return row => {
    const atMs = Date.parse(row.parkedAt)
    return (
      (tenants.size === 0 || tenants.has(row.tenantId)) &&
      (reasons.size === 0 || reasons.has(row.reason)) &&
      (ids.size === 0 || ids.has(row.id) || ids.has(row.alertId)) &&
      atMs >= sinceMs &&
      atMs < untilMs
    )
  }
}

function printGroups(io: Io, rows: readonly ParkedRow[]): void {
  const groups = Map.groupBy(rows, row => `${row.reason}\t${row.tenantId}\t${row.parkedAt.slice(0, 13)}:00Z`)
  const counted = [...groups].map(([key, members]) => {
    const [reason = '', tenantId = '', hour = ''] = key.split('\t')
    return { reason, tenantId, hour, count: members.length }
  })
  printRows(
    io,
    'table',
    counted.toSorted((a, b) => b.count - a.count),
    [
      { title: 'REASON', of: row => row.reason },
      { title: 'TENANT', of: row => row.tenantId },
      { title: 'HOUR', of: row => row.hour },
      { title: 'COUNT', of: row => row.count, right: true },
    ],
  )
}

async function publishRetries(
  connection: Connection,
  retried: readonly { readonly one: Open; readonly alert: GraphAlert }[],
  perSecond: number,
  sent: (coordinates: readonly string[]) => Promise<void>,
): Promise<void> {
  const codec = await connection.codec<GraphAlert>('alerts')
  const publisher = await connection.publisher()
  const lanes = await connection.lanes()
  for (let at = 0; at < retried.length; at += RETRY_BATCH) {
    const batch = retried.slice(at, at + RETRY_BATCH)
    for (const [lane, group] of Map.groupBy(batch, ({ alert }) => laneOf(alert.tenantId, lanes))) {
      // the order of the versions of an alert is kept: they were parked in it
      const records: OutRecord[] = group.map(({ one, alert }) => ({
        key: `${alert.tenantId}/${alert.alertId}`,
        value: codec.encode({ ...alert, origin: 'retry', attempts: one.parked.attempts }),
      }))
      await publisher.append(connection.topic('alerts'), lane, records, 'parked-retried')
    }
    await sent(batch.map(({ one }) => one.row.id))
    if (at + RETRY_BATCH < retried.length) await systemClock.sleep((batch.length / perSecond) * 1000)
  }
}

async function graphAlertOf(connection: Connection, parked: Parked): Promise<GraphAlert | null> {
  if (parked.format !== 'graph-alert') return null
  const decoded = await decodeLearning(await connection.codec<GraphAlert>('alerts'), parked.record)
  return decoded.kind === 'value' ? decoded.value : null
}

async function alertOf(connection: Connection, parked: Parked): Promise<Buffer | null> {
  return parked.format === 'json' ? parked.record : ((await graphAlertOf(connection, parked))?.alert ?? null)
}
