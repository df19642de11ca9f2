/** What brings each effect about, and what mends a command that died there. Longer than the rule: it is a table. */
import { hash, randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { expect } from 'vitest'
import type { Effect } from '../../../platform/effects.ts'
import { sweepReceiptKey } from '../../../producers/sweep.ts'
import { normaliseTime } from '../../../producers/window.ts'
import { writeTenantFiles } from '../../../sandbox/graph/tenants.ts'
import type { Delivery, GraphAlert, Tenant } from '../../../schemas/types.ts'
import { readAll, readLog, testKafka } from './accounts.ts'
import { until } from './kit.ts'
import type { Scene, World } from './lives.ts'
import { laneIn, lookWith } from './lives.ts'

const HOUR_MS = 3_600_000

/** Every effect there is: the type checker asks for one that is new. */
export const SCENES: Readonly<Record<Effect, Scene>> = {
  'alerts-polled': { by: 'poller', arm: async world => world.staying.forEach(id => world.pipeline.graph.addAlert(id)) },
  'alerts-quarantined': {
    by: 'poller',
    arm: async world => world.staying.slice(0, world.perLife).forEach(foreignAlert(world)),
  },
  checkpoint: { by: 'poller' },
  'checkpoint-forgotten': { by: 'poller', arm: async world => remove(world, takeLeaving(world)) },
  // a tenant's own time of the hour may come in between
  'sweep-receipt': { by: 'poller', arm: world => makeSweepsDue(world, world.staying.slice(0, 3)), atMost: 3 },

  'engine-post': { by: 'forwarder' },
  ledger: { by: 'forwarder' },
  offsets: { by: 'forwarder' },
  parked: { by: 'forwarder', arm: alertsOfLateTenants },
  'parked-returned': { by: 'forwarder', arm: lateTenantsArrive },

  tenants: {
    by: 'command',
    command: async (world, life) => ['tenants', 'apply', await changedTenants(world, life)],
    async mend(world, life) {
      await succeeds(world, ['tenants', 'apply', await changedTenants(world, life)])
      const { out } = await world.pipeline.look('tenants', 'list', '-o', 'json')
      const rows = JSON.parse(out) as { tenantId: string; metadata: { life?: string } }[]
      const changed = rows.filter(({ tenantId }) => changing(world).includes(tenantId))
      expect(changed.map(({ metadata }) => metadata.life)).toEqual(changing(world).map(() => life))
    },
  },
  'deliveries-forgotten': {
    by: 'command',
    command: (world, life) => ['tenants', 'remove', ...leavingOf(world, life)],
    async mend(world, life) {
      const ids = leavingOf(world, life)
      await succeeds(world, ['tenants', 'remove', ...ids])
      const { out } = await world.pipeline.look('tenants', 'list', '-o', 'json')
      const rows = JSON.parse(out) as { tenantId: string; changedAt: string; state: string }[]
      const goneMs = new Map(rows.map(row => [row.tenantId, Date.parse(row.changedAt)]))
      const ledger = new Map((await readLog<Delivery>(world.pipeline, 'deliveries')).map(each => [each.key, each]))
      // what was under way may be written down a little later
      const kept = [...ledger.values()].filter(
        ({ value, atMs }) =>
          value?.delivered && ids.includes(value.tenantId) && atMs < (goneMs.get(value.tenantId) ?? 0),
      )
      expect(kept.map(({ key }) => key)).toEqual([])
    },
  },
  'parked-retried': {
    by: 'command',
    arm: async world =>
      world.refused.slice(0, world.perLife).forEach(({ fault }) => world.pipeline.engine.faults.remove(fault)),
    command: (world, life) => ['parked', 'retry', '--by', 'test', '--yes', '--id', ...refusedOf(world, life)],
    mend: (world, life) =>
      succeeds(world, ['parked', 'retry', '--by', 'test', '--yes', '--id', ...refusedOf(world, life)], [0, 5]),
  },
  'parked-discarded': {
    by: 'command',
    command(world, life) {
      const ids = refusedOf(world, life)
      for (const id of ids) world.discarded.add(id)
      return ['parked', 'discard', '--reason', life, '--by', 'test', '--yes', '--id', ...ids]
    },
    async mend(world, life) {
      const ids = refusedOf(world, life)
      await succeeds(world, ['parked', 'discard', '--reason', life, '--by', 'test', '--yes', '--id', ...ids], [0, 5])
      expect(JSON.parse((await world.pipeline.look('parked', 'list', '-o', 'json', '--id', ...ids)).out)).toEqual([])
      const keys = (await readLog(world.pipeline, 'parked')).filter(({ value }) => value === null).map(({ key }) => key)
      for (const id of ids) expect(keys.some(key => key.endsWith(`/${id}`))).toBe(true)
    },
  },
  audit: replayTo(fileOf, linesAreComplete),
  'replay-topic-made': replayTo(topicOf, topicIsComplete),
  'replay-to-topic': replayTo(topicOf, topicIsComplete),
  'replay-file-opened': replayTo(fileOf, linesAreComplete),
  'replay-file-cut': replayTo(fileOf, linesAreComplete),
  'replay-to-file': replayTo(fileOf, linesAreComplete),
  'replay-noted': replayTo(fileOf, linesAreComplete),
  'replay-to-stream': replayTo(
    () => '-',
    async () => {},
  ),
  'sweep-receipt-by-hand': {
    by: 'command',
    command: world => ['sweep', '--since', '1h', '--tenant', ...swept(world)],
    mend: world => succeeds(world, ['sweep', '--since', '1h', '--tenant', ...swept(world)]),
  },

  'topics-made': onItsOwn(['topics', 'apply'], ['topics', 'check']),
  'topics-changed': {
    ...onItsOwn(['topics', 'apply'], ['topics', 'check']),
    env: () => ownTopics('changed'),
    async arm(world) {
      const made = await lookWith(world, ownTopics('changed'), 'topics', 'apply')
      expect(made).toMatchObject({ code: 0 })
      const admin = testKafka(world.pipeline.stack.brokers).admin()
      await admin.connect()
      const configEntries = [{ name: 'retention.ms', value: '60000' }]
      const resources = [{ type: 2, name: `${ownTopics('changed').TOPIC_PREFIX}alerts`, configEntries }]
      await admin.alterConfigs({ validateOnly: false, resources })
      await admin.disconnect()
    },
    mend: world => succeeds(world, ['topics', 'apply'], [0], ownTopics('changed')),
  },
  'schema-registered': onItsOwn(['schemas', 'register'], ['schemas', 'check']),
  'schema-level': onItsOwn(['schemas', 'register'], ['schemas', 'check']),
}

/** Who comes to the same place in another process. */
export const ALSO: readonly (readonly [Effect, Scene])[] = [['engine-post', replayTo(() => 'engine', engineHasThem)]]

async function succeeds(
  world: World,
  args: readonly string[],
  codes = [0],
  env: NodeJS.ProcessEnv = {},
): Promise<void> {
  const { code, out, err } = await lookWith(world, env, ...args)
  if (!codes.includes(code)) throw new Error(`socos ${args.join(' ')} exited with ${code}: ${err}${out}`)
}

/** A life and its mending speak of the same things. */
function keptBy<T>(make: (world: World) => T): (world: World, life: string) => T {
  const made = new WeakMap<World, Map<string, T>>()
  return (world, life) => {
    const lives = made.get(world) ?? new Map<string, T>()
    made.set(world, lives)
    const value = lives.get(life) ?? make(world)
    lives.set(life, value)
    return value
  }
}

const leavingOf = keptBy(takeLeaving)
const refusedOf = keptBy(world => world.refused.splice(0, world.perLife).map(({ alertId }) => alertId))

function takeLeaving(world: World): readonly string[] {
  const ids = world.leaving.splice(0, world.perLife)
  for (const id of ids) world.removed.add(id)
  return ids
}

async function remove(world: World, ids: readonly string[]): Promise<void> {
  await succeeds(world, ['tenants', 'remove', ...ids])
}

/** Of the tenants that stay, so that what one chain of lives does to a record does not touch another's. */
const changing = ({ staying }: World): readonly string[] => staying.slice(3)
const swept = ({ staying, perLife }: World): readonly string[] => staying.slice(3, 3 + perLife)

async function changedTenants({ pipeline, dir, staying }: World, life: string): Promise<string> {
  const tenants = pipeline.graph.tenants.filter(({ tenantId }) => staying.slice(3).includes(tenantId))
  for (const tenant of tenants) tenant.metadata = { ...tenant.metadata, life }
  const tenantsFile = path.join(dir, `${life}.yaml`)
  await writeTenantFiles(tenants, { tenantsFile })
  return tenantsFile
}

/** One that nothing updates. */
export function alertOf(tenantId: string, nowMs: number): { alertId: string; bytes: Buffer; version: string } {
  const alertId = randomUUID()
  const time = new Date(nowMs).toISOString()
  const alert = { id: alertId, tenantId, title: 'by hand', createdDateTime: time, lastUpdateDateTime: time }
  return { alertId, bytes: Buffer.from(JSON.stringify(alert)), version: normaliseTime(time) ?? '' }
}

function foreignAlert({ pipeline: { graph } }: World): (tenantId: string) => void {
  return tenantId => void graph.inject(tenantId, alertOf(randomUUID(), graph.simNow()).bytes)
}

/** As if none had been swept lately, and each had been a customer for long. */
async function makeSweepsDue(world: World, ids: readonly string[]): Promise<void> {
  const { pipeline, hand } = world
  const codec = await hand.codec<Tenant>('tenants')
  const records = new Map((await readAll<Tenant>(pipeline, 'tenants')).map(({ key, value }) => [key, value]))
  for (const id of ids) {
    const lane = laneIn(world, id)
    const tenant = records.get(id)
    if (!tenant) throw new Error(`no tenant ${id}`)
    await hand.append('checkpoints', lane, sweepReceiptKey(id), null)
    const changedAt = Date.now() - 2 * HOUR_MS
    if (tenant.changedAt > changedAt) await hand.append('tenants', lane, id, codec.encode({ ...tenant, changedAt }))
  }
}

/** Tenants of different lanes that Graph has, the log has an alert of, and nobody has told us of. */
async function alertsOfLateTenants(world: World): Promise<void> {
  const { pipeline, hand, dir, perLife, late } = world
  const codec = await hand.codec<GraphAlert>('alerts')
  const lanes = new Set<number>()
  while (lanes.size < perLife) {
    const tenantId = randomUUID()
    const lane = laneIn(world, tenantId)
    if (lanes.has(lane)) continue
    lanes.add(lane)
    const tenant = pipeline.graph.changeTenant({ tenantId })
    await writeTenantFiles([tenant], {
      tenantsFile: path.join(dir, `${tenantId}.yaml`),
      secretsDir: pipeline.env['SECRETS_DIR'] ?? '',
    })
    const { alertId, bytes, version } = alertOf(tenantId, pipeline.graph.simNow())
    pipeline.graph.inject(tenantId, bytes)
    const value: GraphAlert = {
      tenantId,
      alertId,
      version,
      contentHash: hash('sha256', bytes, 'buffer'),
      source: tenant.source,
      origin: 'poll',
      observedAt: Date.now(),
      attempts: 0,
      severity: null,
      status: null,
      serviceSource: null,
      alert: bytes,
    }
    await hand.append('alerts', lane, `${tenantId}/${alertId}`, codec.encode(value))
    late.push(tenantId)
  }
}

/** Their alerts are parked for want of them; then their records come, while no forwarder lives. */
async function lateTenantsArrive(world: World): Promise<void> {
  const { pipeline, late, perLife } = world
  const parked = async (): Promise<ReadonlySet<string>> => {
    const { out } = await pipeline.look('parked', 'list', '-o', 'json', '--reason', 'unknown-tenant')
    return new Set((JSON.parse(out) as { tenantId: string }[]).map(({ tenantId }) => tenantId))
  }
  if (late.length < perLife) throw new Error('no tenant is late')
  const isSettled = async (): Promise<boolean> => {
    const [waiting, rows] = [await parked(), await pipeline.status()]
    return late.every(id => waiting.has(id) && rows.get(id)?.counts.waiting === 0)
  }
  if (!(await isSettled())) {
    const forwarder = await pipeline.start('forwarder')
    await until(isSettled, 60_000, () => `what is late is not parked:\n${forwarder.log().slice(-2_000)}`, 250)
    expect(await forwarder.stop()).toBe(0)
  }
  const lanes = new Map(late.map(id => [laneIn(world, id), id]))
  await arrive(world, [...lanes.values()].slice(0, perLife))
}

export async function arrive(world: World, ids: readonly string[]): Promise<void> {
  for (const id of ids) {
    world.late.splice(world.late.indexOf(id), 1)
    await succeeds(world, ['tenants', 'apply', path.join(world.dir, `${id}.yaml`)])
  }
}

interface ReplayScope {
  readonly selection: { readonly untilMs: number }
  readonly ranges: readonly { readonly lane: number; readonly from: number; readonly to: number }[]
  readonly to: string
}

function fileOf({ dir }: World, life: string): string {
  return path.join(dir, `${life}.ndjson`)
}

function topicOf({ pipeline }: World, life: string): string {
  return `topic:${pipeline.prefix}replayed-${life.replaceAll('#', '-')}`
}

const RATE = ['--rate', '100000', '--lag-limit', '100000']

/** The replay is told from others by its reason. One that left no trace is begun again, any other is resumed. */
function replayTo(
  to: (world: World, life: string) => string,
  check: (world: World, target: string, wanted: readonly string[]) => Promise<void>,
): Scene {
  const args = (world: World, life: string): string[] => {
    return ['replay', '--to', to(world, life), ...RATE, '--reason', life, '--by', 'test', '--yes']
  }
  return {
    by: 'command',
    command: args,
    async mend(world, life) {
      const { pipeline } = world
      const started = async () => {
        const { out } = await pipeline.look('audit', 'list', '-o', 'json')
        const entries = JSON.parse(out) as {
          operationId: string
          reason: string
          scope: ReplayScope
        }[]
        return entries.find(entry => entry.reason === life && entry.scope.to === to(world, life))
      }
      const again = await started()
      const repeat = again ? ['replay', ...RATE, '--resume', again.operationId] : args(world, life)
      // its data would go to our own standard output
      if (to(world, life) === '-') expect(await pipeline.socos(...repeat)).toMatchObject({ code: 0 })
      // the engine refuses what it refused before, and what is of nobody
      else await succeeds(world, repeat, to(world, life) === 'engine' ? [0, 3] : [0])
      await check(world, to(world, life), await wantedBy(world, (await started())?.scope))
    },
  }
}

/** Each record of the log exactly once. */
async function linesAreComplete(_: World, file: string, wanted: readonly string[]): Promise<void> {
  const lines = (await readFile(file, 'utf8')).split('\n').filter(line => line !== '')
  const found = lines.map(line => JSON.parse(line) as { lane: number; offset: number })
  expect(found.map(({ lane, offset }) => `${lane}:${offset}`)).toEqual(wanted)
}

/** Each record at least once, and no more than the batch that was under way twice. */
async function topicIsComplete({ pipeline }: World, target: string, wanted: readonly string[]): Promise<void> {
  const topic = target.slice('topic:'.length)
  const kafka = testKafka(pipeline.stack.brokers)
  const admin = kafka.admin()
  await admin.connect()
  const consumer = kafka.consumer({ groupId: `${topic}-read` })
  const total = (await admin.fetchTopicOffsets(topic)).reduce((sum, { high }) => sum + Number(high), 0)
  const found: string[] = []
  await consumer.connect()
  await consumer.subscribe({ topics: [topic], fromBeginning: true })
  await consumer.run({
    eachBatch: async ({ batch }) => {
      for (const { headers } of batch.messages) found.push(`${batch.partition}:${String(headers?.['replay-offset'])}`)
    },
  })
  await until(() => found.length >= total, 20_000)
  await Promise.all([consumer.disconnect(), admin.disconnect()])
  expect(new Set(found)).toEqual(new Set(wanted))
  expect(found.length).toBeLessThanOrEqual(2 * wanted.length)
}

/** Each record of a tenant that stays, but what it refuses. */
async function engineHasThem(world: World, _: string, wanted: readonly string[]): Promise<void> {
  const { pipeline, staying, discarded, refused } = world
  const replayed = pipeline.engine.ledger.items.filter(({ replay, accepted }) => replay && accepted)
  const there = new Set(replayed.map(({ tenantId, alertId, version }) => `${tenantId}/${alertId} ${version}`))
  const isWanted = new Set(wanted)
  const isRefused = new Set([...discarded, ...refused.map(({ alertId }) => alertId)])
  const missing = (await readAll<GraphAlert>(pipeline, 'alerts')).filter(
    ({ lane, offset, key, value }) =>
      isWanted.has(`${lane}:${offset}`) &&
      staying.includes(value.tenantId) &&
      !isRefused.has(value.alertId) &&
      !there.has(`${key} ${value.version}`),
  )
  expect(missing.map(({ key, value }) => `${key} ${value.version}`)).toEqual([])
}

/** `lane:offset` of what the replay froze, in its order. */
async function wantedBy({ pipeline }: World, scope: ReplayScope | undefined): Promise<readonly string[]> {
  if (!scope) throw new Error('the replay is not in the audit log')
  const { ranges, selection } = scope
  const log = await readAll(pipeline, 'alerts')
  return ranges.flatMap(({ lane, from, to }) =>
    log
      .filter(each => each.lane === lane && each.offset >= from && each.offset < to && each.atMs < selection.untilMs)
      .map(({ offset }) => `${lane}:${offset}`),
  )
}

function ownTopics(name: string): { TOPIC_PREFIX: string; LANES: string } {
  return { TOPIC_PREFIX: `lives-${process.pid}-${name.replaceAll('#', '-')}.`, LANES: '2' }
}

/** A deployment of its own for each life, so that there is something to make. */
function onItsOwn(command: readonly string[], check: readonly string[]): Scene {
  return {
    by: 'setup',
    command: () => command,
    env: (_, life) => ownTopics(life),
    async mend(world, life) {
      await succeeds(world, command, [0], ownTopics(life))
      await succeeds(world, check, [0], ownTopics(life))
    },
  }
}
