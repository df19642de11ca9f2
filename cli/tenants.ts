import { existsSync, readFileSync } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'
import { decodeLearning } from '../platform/avro/codec.ts'
import { systemClock } from '../platform/clock.ts'
import { laneOf } from '../platform/kafka/lane-of.ts'
import type { TenantSpec } from '../platform/tenants-file.ts'
import { parseTenantsFile } from '../platform/tenants-file.ts'
import type { Delivery, Tenant } from '../schemas/types.ts'
import type { Connection } from './connect.ts'
import { settingsOf, withConnection } from './connect.ts'
import type { Format, Io } from './io.ts'
import { EXIT, printRows, Refusal } from './io.ts'
import { isoTime, jsonIn } from './lenient.ts'
import { readTable, scan } from './tables.ts'

const TOMBSTONES_BATCH = 1_000
const NEEDS = ['kafkaBrokers', 'schemaRegistryUrl'] as const

/** Upserts every tenant of the file; leaves out nobody's, removes nobody. The whole file or nothing. */
export async function applyTenants(io: Io, file: string, options: { readonly dryRun: boolean }): Promise<number> {
  const wanted = readTenantsFile(io, file)
  return withConnection(io, [...NEEDS, 'secretsDir'], async connection => {
    const known = await readTable<Tenant>(connection, 'tenants', io.say)
    const changes = wanted.flatMap(spec => {
      const before = known.get(spec.tenantId)
      const next = tenantOf(spec)
      const kind = !before
        ? 'added'
        : before.state !== 'active'
          ? 'brought back'
          : sameTenant(before, next)
            ? null
            : 'changed'
      return kind === null ? [] : [{ kind, next }]
    })
    if (!options.dryRun)
      await writeTenants(
        connection,
        changes.map(({ next }) => next),
      )
    const unchanged = wanted.length - changes.length
    for (const { kind, next } of changes)
      io.say(`${options.dryRun ? 'would be ' : ''}${kind}: ${next.tenantId} ${next.name}\n`)
    io.out(
      `${changes.length} of ${wanted.length} tenants ${options.dryRun ? 'would change' : 'applied'}, ${unchanged} unchanged\n`,
    )
    return EXIT.ok
  })
}

export function listTenants(io: Io, format: Format): Promise<number> {
  return withConnection(io, NEEDS, async connection => {
    const known = await readTable<Tenant>(connection, 'tenants', io.say)
    const rows = [...known.values()]
      .toSorted((a, b) => (a.name < b.name ? -1 : 1))
      .map(tenant => ({
        tenantId: tenant.tenantId,
        name: tenant.name,
        state: tenant.state,
        cloud: tenant.cloud,
        source: tenant.source,
        clientId: tenant.clientId,
        credential: { [tenant.credentialKind]: tenant.credentialFile },
        credentialExpires: tenant.credentialExpires,
        intervalSeconds: tenant.intervalSeconds,
        lookbackHours: tenant.lookbackHours,
        metadata: jsonIn(tenant.metadataJson),
        changedAt: isoTime(tenant.changedAt),
      }))
    printRows(io, format, rows, [
      { title: 'TENANT', of: row => row.tenantId },
      { title: 'NAME', of: row => row.name },
      { title: 'STATE', of: row => row.state },
      { title: 'CLOUD', of: row => row.cloud },
      { title: 'SOURCE', of: row => row.source },
      { title: 'EXPIRES', of: row => row.credentialExpires },
      { title: 'CHANGED', of: row => row.changedAt },
    ])
    return EXIT.ok
  })
}

/**
 * Off-boards: polling stops, alerts on the way are parked (or delivered for a minute, then parked), what was delivered is
 * forgotten, counts stay. A tenant that comes back begins anew, with a look-back. Repeated, it completes what was killed.
 */
export function removeTenants(
  io: Io,
  tenantIds: readonly string[],
  options: { readonly dryRun: boolean; readonly waiting: 'park' | 'deliver' },
): Promise<number> {
  return withConnection(io, NEEDS, async connection => {
    const known = await readTable<Tenant>(connection, 'tenants', io.say)
    const wanted = tenantIds.map(id => id.toLowerCase())
    const unknown = wanted.filter(id => !known.has(id))
    if (unknown.length > 0)
      throw new Refusal(`No such tenant: ${unknown.join(', ')}. See \`socos tenants list\`.`, EXIT.notFound)
    const named = wanted.flatMap(id => known.get(id) ?? [])
    const leaving = named.filter(({ state }) => state === 'active')
    for (const { tenantId, name } of leaving)
      io.say(`${options.dryRun ? 'would be removed' : 'removed'}: ${tenantId} ${name}\n`)
    if (!options.dryRun) {
      const nowMs = systemClock.now()
      await writeTenants(
        connection,
        leaving.map(tenant => ({ ...tenant, state: 'off-boarded', offboarding: options.waiting, changedAt: nowMs })),
      )
      await forgetDeliveries(connection, named)
    }
    io.out(`${leaving.length} tenants ${options.dryRun ? 'would be removed' : 'removed'}\n`)
    return EXIT.ok
  })
}

/** All of the file, at least one tenant, or a refusal that names every mistake in it. */
export function readTenantsFile(io: Io, file: string): readonly TenantSpec[] {
  const { secretsDir } = settingsOf(io, ['secretsDir'])
  let content: Buffer
  try {
    content = readFileSync(file === '-' ? 0 : file)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new Refusal(`The tenants file cannot be read: ${reason}`, EXIT.usage)
  }
  const read = parseTenantsFile(content, { secretsDir: secretsDir ?? '.', exists: existsSync })
  if (read.kind === 'bad') {
    const problems = read.problems.map(problem => `  ${problem}`).join('\n')
    throw new Refusal(`${file} is refused as a whole, nothing was applied:\n${problems}`, EXIT.usage)
  }
  // most likely a file that was cut or made by a script that found nobody; it would look like success
  if (read.tenants.length === 0)
    throw new Refusal(
      `${file} lists no tenant, so there is nothing to do: put the tenants below \`tenants:\`. A file removes nobody; \`socos tenants remove\` does.`,
      EXIT.usage,
    )
  return read.tenants
}

/**
 * Tombstones for what the ledger has of their alerts. The totals stay, and so does what of a tenant that is gone already
 * is only parked: it was parked for that, and is retried should the tenant come back.
 */
async function forgetDeliveries(connection: Connection, tenants: readonly Tenant[]): Promise<void> {
  const lanes = await connection.lanes()
  const publisher = await connection.publisher()
  const codec = await connection.codec<Delivery>('deliveries')
  const wasGone = new Set(tenants.filter(({ state }) => state !== 'active').map(({ tenantId }) => tenantId))
  const gone = new Map(tenants.map(({ tenantId }) => [tenantId, new Set<string>()]))
  await scan(
    connection,
    'deliveries',
    async ({ key, value }) => {
      const text = key?.toString() ?? ''
      const slash = text.indexOf('/')
      if (slash < 0 || slash === text.length - 1) return
      const tenantId = text.slice(0, slash)
      const keys = gone.get(tenantId)
      if (!keys) return
      const decoded = value === null ? null : await decodeLearning(codec, value)
      const isWaiting = wasGone.has(tenantId) && decoded?.kind === 'value' && decoded.value.delivered === null
      if (decoded !== null && !isWaiting) keys.add(text)
      else keys.delete(text)
    },
    (_, low) => low,
    new Set(tenants.map(({ tenantId }) => laneOf(tenantId, lanes))),
  )
  for (const [tenantId, keys] of gone) {
    const tombstones = [...keys].map(key => ({ key, value: null }))
    for (let at = 0; at < tombstones.length; at += TOMBSTONES_BATCH) {
      const batch = tombstones.slice(at, at + TOMBSTONES_BATCH)
      await publisher.append(connection.topic('deliveries'), laneOf(tenantId, lanes), batch, 'deliveries-forgotten')
    }
  }
}

async function writeTenants(connection: Connection, tenants: readonly Tenant[]): Promise<void> {
  if (tenants.length === 0) return
  const codec = await connection.codec<Tenant>('tenants')
  const publisher = await connection.publisher()
  const lanes = await connection.lanes()
  const byLane = Map.groupBy(tenants, ({ tenantId }) => laneOf(tenantId, lanes))
  for (const [lane, group] of byLane) {
    const records = group.map(tenant => ({ key: tenant.tenantId, value: codec.encode(tenant) }))
    await publisher.append(connection.topic('tenants'), lane, records, 'tenants')
  }
}

export function tenantOf(spec: TenantSpec): Tenant {
  return {
    tenantId: spec.tenantId,
    clientId: spec.clientId,
    name: spec.name,
    cloud: spec.cloud,
    source: spec.source,
    credentialKind: spec.credential.kind,
    credentialFile: spec.credential.file,
    credentialExpires: spec.credentialExpires,
    intervalSeconds: spec.intervalSeconds,
    lookbackHours: spec.lookbackHours,
    metadataJson: Buffer.from(JSON.stringify(spec.metadata)),
    state: 'active',
    offboarding: 'park',
    changedAt: systemClock.now(),
  }
}

function sameTenant(a: Tenant, b: Tenant): boolean {
  return isDeepStrictEqual({ ...a, changedAt: 0 }, { ...b, changedAt: 0 })
}
