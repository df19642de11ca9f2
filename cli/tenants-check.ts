import { systemClock, systemRandom } from '../platform/clock.ts'
import { type Check, checkTenant, type Step } from '../producers/graph/check.ts'
import { createGraph } from '../producers/graph/client.ts'
import type { TenantAccess } from '../producers/graph/clouds.ts'
import { wayOf } from '../producers/graph/network.ts'
import type { Move } from '../producers/graph/problems.ts'
import { sharedSecrets } from '../producers/graph/credentials.ts'
import { accessOf } from '../producers/lane.ts'
import type { Tenant } from '../schemas/types.ts'
import type { CliSettings } from './connect.ts'
import { eachOf, settingsOf, usable, withConnection } from './connect.ts'
import type { Format, Io } from './io.ts'
import { EXIT, printRows, Refusal } from './io.ts'
import { readTable } from './tables.ts'
import { withRecordedEnd, withSharedSecret } from './tenants-credential.ts'
import { readTenantsFile, tenantOf } from './tenants.ts'

export interface CheckOptions {
  /** Before they are applied; absent: as they stand in Kafka. */
  readonly file?: string
  readonly tenant?: readonly string[]
}

interface CheckRow {
  readonly tenantId: string
  readonly name: string
  readonly verdict: Check['verdict']
  readonly words: string
  readonly code: string | null
  readonly whoseMove: Move | null
  readonly page: string | null
  readonly traceId: string | null
  readonly correlationId: string | null
  readonly requestId: string | null
  readonly steps: readonly Step[]
  readonly permissions: readonly string[] | null
  /** ISO; as the credential or Entra's record says, else as the tenants file does. */
  readonly credentialEnds: string | null
  /** ISO; what the tenants file should say, by which everybody is warned, and does not. */
  readonly endsToRecord: string | null
  readonly clockOffSeconds: number | null
}

const AT_ONCE = 8
const DAY_MS = 86_400_000
const MOVES: Readonly<Record<Move, string>> = {
  customer: "the customer's administrator",
  operator: 'us: tenants file, secrets, or this machine',
  maintainer: 'whoever maintains this program',
}
const VERDICTS: Readonly<Record<Check['verdict'], string>> = {
  works: 'works',
  quiet: 'works, but shows no alerts',
  fix: 'does not work',
  unclear: 'could not be found out',
}
const SIGNS: Readonly<Record<Step['result'], string>> = {
  ok: 'ok  ',
  look: 'look',
  failed: 'FAIL',
  'not reached': '-   ',
}

/**
 * Asks Entra and Graph as a poller would, for every tenant of a file or of Kafka, and says what somebody has to do.
 * Publishes nothing, changes nothing. Exit 6 when somebody has to act, 3 when some could not be found out.
 */
export async function checkTenants(io: Io, format: Format, options: CheckOptions): Promise<number> {
  if (options.file !== undefined) {
    const settings = settingsOf(io, ['secretsDir'])
    return check(io, format, settings, readTenantsFile(io, options.file).map(tenantOf), options.tenant)
  }
  return withConnection(io, ['kafkaBrokers', 'schemaRegistryUrl', 'secretsDir'], async connection => {
    const known = await readTable<Tenant>(connection, 'tenants', io.say)
    const active = [...known.values()].filter(({ state }) => state === 'active')
    return check(io, format, connection.settings, active, options.tenant)
  })
}

function only(tenants: readonly Tenant[], wanted: readonly string[] = []): readonly Tenant[] {
  if (wanted.length === 0) return tenants
  const ids = wanted.map(id => id.toLowerCase())
  const unknown = ids.filter(id => !tenants.some(({ tenantId }) => tenantId === id))
  if (unknown.length > 0) throw new Refusal(`No such active tenant: ${unknown.join(', ')}.`, EXIT.notFound)
  return tenants.filter(({ tenantId }) => ids.includes(tenantId))
}

async function check(
  io: Io,
  format: Format,
  settings: CliSettings,
  all: readonly Tenant[],
  wanted?: readonly string[],
): Promise<number> {
  const tenants = only(all, wanted)
  const isShared = sharedApps(all)
  if (tenants.length === 0) io.say('there is no active tenant: see `socos tenants apply`\n')
  const stop = new AbortController()
  const onSignal = (): void => stop.abort(new Refusal('stopped'))
  process.once('SIGINT', onSignal)
  const secretsDir = settings.secretsDir ?? '.'
  await using graph = createGraph({
    sandboxUrl: settings.graphSandboxUrl === null ? null : new URL(settings.graphSandboxUrl),
    way: usable(() => wayOf(settings)),
    secretsDir,
    clock: systemClock,
    random: systemRandom,
  })
  // with all of them, also when one is asked for: the other one's file is what its secret may be from
  const shared = await sharedSecrets(secretsDir, all.map(accessOf))
  const rows: CheckRow[] = []
  await eachOf(tenants, AT_ONCE, async tenant => {
    const access: TenantAccess = { ...accessOf(tenant), isSharedApp: isShared.has(tenant.clientId) }
    const found = await checkTenant(access, { graph, secretsDir, clock: systemClock, signal: stop.signal })
    const told = withRecordedEnd(
      withSharedSecret(found, access, shared.get(tenant.tenantId)),
      tenant,
      systemClock.now(),
    )
    rows.push(rowOf(tenant, told))
  })
  process.off('SIGINT', onSignal)
  return report(
    io,
    format,
    rows.toSorted((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : a.tenantId < b.tenantId ? -1 : 1)),
  )
}

/** Client IDs that several tenants name: applications of ours, to which customers only consent. */
function sharedApps(tenants: readonly Tenant[]): ReadonlySet<string> {
  const byApp = Map.groupBy(tenants, ({ clientId }) => clientId)
  return new Set([...byApp].flatMap(([clientId, users]) => (users.length > 1 ? [clientId] : [])))
}

function rowOf(tenant: Tenant, found: Check): CheckRow {
  const { problem, skewMs } = found
  return {
    tenantId: tenant.tenantId,
    name: tenant.name,
    verdict: found.verdict,
    words: found.words,
    code: problem?.code ?? null,
    whoseMove: problem?.move ?? (found.verdict === 'unclear' ? 'operator' : null),
    page: problem?.page ?? null,
    traceId: problem?.traceId ?? null,
    correlationId: problem?.correlationId ?? null,
    requestId: problem?.requestId ?? null,
    steps: found.steps,
    permissions: found.roles,
    credentialEnds: found.credentialEnds ?? tenant.credentialExpires,
    endsToRecord: endsToRecord(tenant, found.credentialEnds),
    clockOffSeconds: skewMs === null ? null : Math.round(skewMs / 1000),
  }
}

/** A federated token is renewed every hour by whoever mounts it. */
function endsToRecord({ credentialKind, credentialExpires }: Tenant, ends: string | null): string | null {
  if (ends === null || credentialKind === 'federatedTokenFile') return null
  if (credentialExpires === null) return ends
  return Math.abs(Date.parse(ends) - Date.parse(credentialExpires)) > DAY_MS ? ends : null
}

function report(io: Io, format: Format, rows: readonly CheckRow[]): number {
  if (format === 'table') for (const row of rows) io.out(blockOf(row))
  else printRows(io, format, rows, [])
  const count = (verdict: Check['verdict']) => rows.filter(row => row.verdict === verdict).length
  const [works, quiet, fix, unclear] = [count('works'), count('quiet'), count('fix'), count('unclear')]
  io.say(
    `${rows.length} tenant${rows.length === 1 ? '' : 's'}: ${works} work, ${quiet} work and show no alerts, ${fix} do not work, ${unclear} unclear\n`,
  )
  if (fix > 0) return EXIT.problem
  if (unclear > 0) return unclear === rows.length ? EXIT.failed : EXIT.someFailed
  return EXIT.ok
}

/** A block of lines: what is wrong takes sentences, which no column holds. */
function blockOf(row: CheckRow): string {
  const lines = [
    `${oneLine(row.name)} (${row.tenantId}): ${VERDICTS[row.verdict]}`,
    ...row.steps.map(({ step, result, words }) =>
      `  ${SIGNS[result]}  ${step.padEnd(10)}  ${oneLine(words)}`.trimEnd(),
    ),
  ]
  if (row.whoseMove !== null) lines.push(`  whose move   ${MOVES[row.whoseMove]}`)
  if (row.page !== null) lines.push(`  where        ${oneLine(row.page)}`)
  if (row.endsToRecord !== null)
    lines.push(`  to record    credentialExpires: ${row.endsToRecord} in the tenants file; warnings follow it`)
  const ids = [
    ...(row.code === null ? [] : [row.code]),
    ...(row.traceId === null ? [] : [`trace ${row.traceId}`]),
    ...(row.correlationId === null ? [] : [`correlation ${row.correlationId}`]),
    ...(row.requestId === null ? [] : [`request ${row.requestId}`]),
  ]
  if (ids.length > 0) lines.push(`  for support  ${ids.join(', ')}`)
  return `${lines.join('\n')}\n`
}

function oneLine(text: string): string {
  return text.replace(/[\p{C}\u2028\u2029]/gu, ' ')
}
