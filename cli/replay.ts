/** Longer than the rule: the plan, the run and the words that go with both are one conversation with the operator. */
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createCircuit } from '../consumers/engine/circuit.ts'
import { createEngine, ENGINE_DEFAULTS } from '../consumers/engine/client.ts'
import { engineTls } from '../consumers/engine/credentials.ts'
import { engineEndpoint } from '../consumers/engine/endpoint.ts'
import { TenantDirectory } from '../consumers/enrich.ts'
import { createForward, FORWARD_LIMITS } from '../consumers/forward.ts'
import { readMatcher } from '../consumers/replay/matcher.ts'
import type { RunCounts } from '../consumers/replay/run.ts'
import { runReplay } from '../consumers/replay/run.ts'
import type { ScanDeps } from '../consumers/replay/scan.ts'
import { scan } from '../consumers/replay/scan.ts'
import type { Range, Selection } from '../consumers/replay/selection.ts'
import { lanesOf } from '../consumers/replay/selection.ts'
import type { Target } from '../consumers/replay/target.ts'
import { toEngine } from '../consumers/replay/to-engine.ts'
import { toFile, toStream } from '../consumers/replay/to-file.ts'
import { toTopic } from '../consumers/replay/to-topic.ts'
import { systemClock, systemRandom } from '../platform/clock.ts'
import { withSteps } from '../platform/crash.ts'
import { committedOffsets } from '../platform/kafka/offsets.ts'
import type { Delivery, GraphAlert, Tenant } from '../schemas/types.ts'
import type { Audit } from './audit.ts'
import { auditEntries, openAudit, whoActs } from './audit.ts'
import type { Connection } from './connect.ts'
import { usable, withConnection } from './connect.ts'
import type { Io } from './io.ts'
import { EXIT, Refusal } from './io.ts'
import { isoTime, memberIn } from './lenient.ts'
import { offsetsOf, offsetsOfTopic, readTable } from './tables.ts'
import { readSpan } from './times.ts'

export interface ReplayOptions {
  readonly tenant?: readonly string[]
  readonly since?: string
  readonly until?: string
  readonly alert?: string
  readonly severity?: readonly string[]
  readonly match?: string
  readonly to?: string
  readonly versions: 'all' | 'latest'
  readonly as: 'delivered' | 'as-published'
  readonly max?: number
  readonly rate: number
  readonly lagLimit: number
  readonly reason?: string
  readonly by?: string
  readonly resume?: string
  readonly yes: boolean
}

/** All that a resumed run must know; stands in the audit record of the start. */
interface Scope {
  readonly selection: Selection
  readonly ranges: readonly Range[]
  readonly to: string
}

const REPLAY_TOPIC_RETENTION_MS = 7 * 86_400_000
const GROUP_PREFIX = 'replay.'
const NEEDS = ['kafkaBrokers', 'schemaRegistryUrl'] as const

export function replay(io: Io, options: ReplayOptions): Promise<number> {
  if (options.resume !== undefined) {
    const id = options.resume
    return withConnection(io, NEEDS, connection => resume(io, connection, id, options))
  }
  const reason = options.reason?.trim()
  if (!reason) throw new Refusal('--reason is missing: a replay is audited, say why', EXIT.usage)
  const selection = selectionOf(options)
  return withConnection(io, NEEDS, async connection => {
    await knownTenants(connection, io, selection)
    const to = options.to ?? '-'
    checkTarget(connection, to)
    const scope: Scope = { selection, ranges: await freeze(connection, selection), to }
    if (!options.yes) return plan(io, connection, scope)
    const id = `r-${randomUUID()}`
    const by = whoActs(options.by)
    const audit = await openAudit(connection, { id, operation: 'replay', by, reason, scope })
    await audit.note('start', null)
    return run(io, connection, { id, by, reason }, scope, audit, options, false)
  })
}

async function resume(io: Io, connection: Connection, id: string, options: ReplayOptions): Promise<number> {
  const entries = (await auditEntries(connection, io.say)).filter(entry => entry.operationId === id)
  const start = entries.find(entry => entry.phase === 'start' && entry.operation === 'replay')
  if (!start) throw new Refusal(`There is no replay ${id}. See \`socos audit list\`.`, EXIT.notFound)
  const ended = entries.some(entry => entry.phase === 'end' && isDone(entry.resultJson))
  if (ended) {
    io.say(`replay ${id} is done already\n`)
    return EXIT.ok
  }
  const scope = JSON.parse(start.scopeJson.toString()) as Scope
  const audit = await openAudit(connection, { id, operation: 'replay', by: start.by, reason: start.reason, scope })
  return run(io, connection, { id, by: start.by, reason: start.reason }, scope, audit, options, true)
}

async function run(
  io: Io,
  connection: Connection,
  who: { readonly id: string; readonly by: string; readonly reason: string },
  scope: Scope,
  audit: Audit,
  options: ReplayOptions,
  resumed: boolean,
): Promise<number> {
  const stop = new AbortController()
  const onSignal = (): void => stop.abort(new Error('stopped'))
  process.once('SIGINT', onSignal).once('SIGTERM', onSignal)
  const bookmark = await connection.bookmark(`${connection.settings.topicPrefix}${GROUP_PREFIX}${who.id}`)
  const refused: string[] = []
  const startedMs = systemClock.now()
  let target: Target | undefined
  try {
    target = await openTarget(io, connection, who, scope, options, stop.signal, refused, resumed)
    io.say(`replay ${who.id} to ${target.words}\n`)
    const end = await runReplay(scope.ranges, scope.selection, {
      ...(await scanDeps(connection)),
      bookmark,
      target,
      signal: stop.signal,
      nowMs: () => systemClock.now(),
      progress: progressPrinter(io),
    })
    const seconds = (systemClock.now() - startedMs) / 1000
    const result = { outcome: end.kind, ...end.counts, refused: refused.length, seconds: Math.round(seconds) }
    await audit.note('end', result)
    io.say(`${end.counts.written} alerts written of ${end.counts.read} records read in ${seconds.toFixed(1)} s\n`)
    if (end.counts.unreadable > 0) io.say(`${end.counts.unreadable} records could not be read\n`)
    for (const words of refused.slice(0, 20)) io.say(`refused: ${words}\n`)
    if (end.kind === 'stopped') {
      io.say(`stopped; go on with: socos replay --resume ${who.id}\n`)
      return 130
    }
    return refused.length > 0 ? EXIT.someFailed : EXIT.ok
  } catch (error) {
    const words = error instanceof Error ? error.message : String(error)
    if (stop.signal.aborted) {
      io.say(`stopped; go on with: socos replay --resume ${who.id}\n`)
      return 130
    }
    await audit.note('end', { outcome: 'failed', error: words }).catch(() => {})
    throw new Refusal(target ? `${words}\nGo on with: socos replay --resume ${who.id}` : words)
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal)
    await target?.close()
  }
}

async function plan(io: Io, connection: Connection, { selection, ranges, to }: Scope): Promise<number> {
  const deps = await scanDeps(connection)
  const days = new Map<string, { tenantId: string; day: string; alerts: number; bytes: number }>()
  const startedMs = systemClock.now()
  let read = 0
  for (const range of ranges) {
    for await (const batch of scan(range, selection, deps, range.from)) {
      read += batch.read
      for (const { alert, timestampMs } of batch.chosen) {
        const day = isoTime(timestampMs).slice(0, 10)
        const key = `${alert.tenantId} ${day}`
        const row = days.get(key) ?? { tenantId: alert.tenantId, day, alerts: 0, bytes: 0 }
        days.set(key, row)
        row.alerts++
        row.bytes += alert.alert.length
      }
    }
  }
  const rows = [...days.values()].toSorted((a, b) => (`${a.tenantId}${a.day}` < `${b.tenantId}${b.day}` ? -1 : 1))
  const alerts = rows.reduce((sum, row) => sum + row.alerts, 0)
  const bytes = rows.reduce((sum, row) => sum + row.bytes, 0)
  io.say(`PLAN, nothing is written; repeat with --yes to run it\n`)
  io.say(`target: ${to === '-' ? 'standard output' : to}\n`)
  io.say(`record times: ${isoTime(selection.sinceMs)} to ${isoTime(selection.untilMs)}\n`)
  for (const words of await unavailable(connection, selection, ranges)) io.say(`${words}\n`)
  for (const { lane, from, to: end } of ranges)
    io.say(`lane ${lane}: offsets ${from} to ${end} (${end - from} records)\n`)
  for (const row of rows) io.out(`${row.tenantId}  ${row.day}  ${row.alerts} alerts  ${row.bytes} bytes\n`)
  io.out(`total  ${alerts} alerts  ${bytes} bytes of ${read} records\n`)
  const perSecond = read / Math.max(0.001, (systemClock.now() - startedMs) / 1000)
  io.say(`estimate: ${Math.ceil(read / Math.max(1, perSecond))} s at ${Math.round(perSecond)} records/s for a file\n`)
  return EXIT.ok
}

/** A start before the log's start is said, with the earliest time that is there. */
async function unavailable(
  connection: Connection,
  selection: Selection,
  ranges: readonly Range[],
): Promise<readonly string[]> {
  const offsets = await offsetsOf(connection, 'alerts')
  const reader = await connection.reader()
  let earliestMs = Infinity
  for (const { lane } of ranges) {
    const { low, high } = offsets.get(lane) ?? { low: 0, high: 0 }
    if (low === 0 || low >= high) continue // nothing was deleted from this lane
    for await (const records of reader.read(connection.topic('alerts'), lane, low, low + 1)) {
      earliestMs = Math.min(earliestMs, records[0]?.timestampMs ?? Infinity)
    }
  }
  if (!Number.isFinite(earliestMs) || selection.sinceMs >= earliestMs) return []
  return [`the log begins at ${isoTime(earliestMs)} in these lanes: what was before is deleted by retention`]
}

/** Frozen offsets: what comes later belongs to no replay that was planned before. */
async function freeze(connection: Connection, selection: Selection): Promise<readonly Range[]> {
  const admin = await connection.admin()
  const topic = connection.topic('alerts')
  const wanted = new Set(lanesOf(selection, await connection.lanes()))
  const [ends, starts] = await Promise.all([
    offsetsOf(connection, 'alerts'),
    admin.fetchTopicOffsetsByTimestamp(topic, Math.max(0, selection.sinceMs)),
  ])
  return starts
    .filter(({ partition }) => wanted.has(partition))
    .map(({ partition, offset }) => ({
      lane: partition,
      from: Math.max(Number(offset), ends.get(partition)?.low ?? 0),
      // record times are the producers': a little out of order, so the end is the log's and records are looked at
      to: ends.get(partition)?.high ?? 0,
    }))
    .toSorted((a, b) => a.lane - b.lane)
}

function selectionOf(options: ReplayOptions): Selection {
  if (options.match !== undefined) {
    const read = readMatcher(options.match)
    if (read.kind === 'bad') throw new Refusal(`--match: ${read.problem}`, EXIT.usage)
  }
  return {
    tenants: (options.tenant ?? []).map(id => id.toLowerCase()),
    ...readSpan(options.since, options.until, systemClock.now()),
    alertId: options.alert ?? null,
    severities: (options.severity ?? []).map(severity => severity.toLowerCase()),
    match: options.match ?? null,
    versions: options.versions,
    as: options.as,
    max: options.max ?? null,
  }
}

async function knownTenants(connection: Connection, io: Io, { tenants }: Selection): Promise<void> {
  if (tenants.length === 0) return
  const known = await readTable<Tenant>(connection, 'tenants', io.say)
  const unknown = tenants.filter(id => !known.has(id))
  if (unknown.length > 0) {
    throw new Refusal(`No such tenant: ${unknown.join(', ')}. See \`socos tenants list\`.`, EXIT.notFound)
  }
}

function checkTarget(connection: Connection, to: string): void {
  if (to.startsWith('topic:') && !/^topic:[A-Za-z0-9._-]{1,200}$/.test(to)) {
    throw new Refusal(`--to ${to}: a topic's name has letters, digits, dots, underscores and hyphens`, EXIT.usage)
  }
  if (to === 'engine' && connection.settings.engineUrl === null) {
    throw new Refusal('--to engine needs ENGINE_URL', EXIT.usage)
  }
}

async function openTarget(
  io: Io,
  connection: Connection,
  who: { readonly id: string; readonly by: string; readonly reason: string },
  { to }: Scope,
  options: ReplayOptions,
  signal: AbortSignal,
  refused: string[],
  resumed: boolean,
): Promise<Target> {
  const mark = { id: who.id, reason: who.reason, by: who.by }
  if (to === '-') return toStream(writeStdout, connection.crash)
  if (to.startsWith('topic:')) {
    const topic = to.slice('topic:'.length)
    await createTopic(connection, topic)
    return toTopic(topic, mark, {
      publisher: await connection.publisher(),
      codec: await connection.codec<GraphAlert>('alerts'),
    })
  }
  if (to !== 'engine') return toFile(to, resumed, connection.crash)
  const { settings } = connection
  const engine = createEngine(
    {
      ...ENGINE_DEFAULTS,
      endpoint: engineEndpoint(settings.engineUrl ?? '', { production: settings.nodeEnv === 'production' }),
      tokenFile: settings.engineTokenFile,
      signingKeysFile: settings.engineSigningKeysFile,
      tls: usable(() => engineTls(settings, connection.log)),
      encoding: settings.engineCompression,
      timeoutMs: settings.engineTimeoutMs,
    },
    { clock: systemClock, crash: connection.crash },
  )
  const circuit = createCircuit({
    clock: systemClock,
    random: systemRandom,
    observe: {
      circuit: (state, problem) => io.say(`the circuit to the engine is ${state}${problem ? `: ${problem}` : ''}\n`),
    },
  })
  const forward = createForward({
    engine,
    circuit,
    clock: systemClock,
    random: systemRandom,
    limits: FORWARD_LIMITS,
    observe: { attempt: () => {} },
  })
  const tenants = new TenantDirectory()
  for (const tenant of (await readTable<Tenant>(connection, 'tenants', io.say)).values()) tenants.set(tenant)
  return toEngine(mark, {
    forward,
    tenants,
    format: settings.engineFormat,
    clock: systemClock,
    signal,
    perSecond: options.rate,
    mustWait: lagWatcher(connection, options.lagLimit),
    say: text => io.say(`${text}\n`),
    onRefused: ({ alert }, words) => refused.push(`${alert.tenantId} ${JSON.stringify(alert.alertId)}: ${words}`),
  })
}

/** Live records come first. */
function lagWatcher(connection: Connection, limit: number): () => Promise<string | null> {
  let checkedMs = 0
  let words: string | null = null
  return async () => {
    const nowMs = systemClock.now()
    if (nowMs - checkedMs < 2_000) return words
    checkedMs = nowMs
    const admin = await connection.admin()
    const groupId = `${connection.settings.topicPrefix}forwarders`
    const committed = await committedOffsets(admin, groupId, connection.topic('alerts'))
    const offsets = await offsetsOf(connection, 'alerts')
    const lag = [...offsets].reduce(
      (sum, [lane, { low, high }]) => sum + Math.max(0, high - Math.max(low, committed.get(lane) ?? 0)),
      0,
    )
    words = lag > limit ? `the live lag is ${lag} records, the limit is ${limit}` : null
    return words
  }
}

async function createTopic(connection: Connection, topic: string): Promise<void> {
  const admin = await connection.admin()
  if ((await admin.listTopics()).includes(topic)) return
  const wanted = {
    topic,
    numPartitions: await connection.lanes(),
    replicationFactor: -1,
    configEntries: [
      { name: 'cleanup.policy', value: 'delete' },
      { name: 'retention.ms', value: String(REPLAY_TOPIC_RETENTION_MS) },
      { name: 'max.message.bytes', value: String(8 * 1024 * 1024) },
    ],
  }
  await withSteps(connection.crash, 'replay-topic-made', () =>
    // the client's own waiting gives up too early
    admin.createTopics({ waitForLeaders: false, topics: [wanted] }),
  )
  await offsetsOfTopic(connection, topic)
}

async function scanDeps(connection: Connection): Promise<ScanDeps> {
  return {
    reader: await connection.reader(),
    codecs: {
      alerts: await connection.codec<GraphAlert>('alerts'),
      deliveries: await connection.codec<Delivery>('deliveries'),
    },
    topics: { alerts: connection.topic('alerts'), deliveries: connection.topic('deliveries') },
  }
}

function progressPrinter(io: Io): (counts: Readonly<RunCounts>, done: number, total: number) => void {
  let saidMs = systemClock.now()
  const everyMs = io.isErrTty ? 200 : 10_000
  return (counts, done, total) => {
    const nowMs = systemClock.now()
    if (nowMs - saidMs < everyMs) return
    saidMs = nowMs
    const percent = total === 0 ? 100 : Math.floor((done / total) * 100)
    const text = `${percent} % of ${total} records, ${counts.written} alerts written`
    io.say(io.isErrTty ? `\r${text}   ` : `${text}\n`)
  }
}

async function writeStdout(bytes: Buffer): Promise<void> {
  if (!process.stdout.write(bytes)) await once(process.stdout, 'drain')
}

function isDone(resultJson: Buffer | null): boolean {
  const outcome = memberIn(resultJson, 'outcome')
  return outcome === 'done' || outcome === 'max'
}
