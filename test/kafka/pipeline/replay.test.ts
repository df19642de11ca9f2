import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { gunzipSync, zstdDecompressSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { openReader } from '../../../platform/kafka/reader.ts'
import { testKafka } from './accounts.ts'
import type { Pipeline } from './kit.ts'
import { ROOT, startPipeline, until } from './kit.ts'

interface Line {
  readonly tenantId: string
  readonly alertId: string
  readonly version: string
  readonly lane: number
  readonly offset: number
}

/** The alert's bytes are what stands between the head and the closing brace of its line. */
function sha256Of(line: string): string {
  const at = line.indexOf('"alert":')
  const encoded = /"alertBase64":"([^"]*)"/.exec(line)
  const bytes = encoded ? Buffer.from(encoded[1] ?? '', 'base64') : Buffer.from(line.slice(at + 8, -1))
  return createHash('sha256').update(bytes).digest('hex')
}

function linesOf(text: string): { line: Line; sha256: string }[] {
  return text
    .split('\n')
    .filter(line => line !== '')
    .map(line => ({ line: JSON.parse(line) as Line, sha256: sha256Of(line) }))
}

/** Everything live, byte for byte: offsets of both groups, checkpoints, ledger, the log's ends. */
async function liveState({ prefix }: Pipeline): Promise<string> {
  const kafka = testKafka()
  const admin = kafka.admin()
  await admin.connect()
  const reader = await openReader(kafka)
  const state: unknown[] = []
  for (const group of ['pollers', 'forwarders']) state.push(await admin.fetchOffsets({ groupId: prefix + group }))
  for (const topic of ['alerts', 'tenants', 'parked', 'checkpoints', 'deliveries']) {
    const hash = createHash('sha256')
    for (const { partition, low, high } of await admin.fetchTopicOffsets(prefix + topic)) {
      hash.update(`${partition} ${low} ${high}\n`)
      for await (const records of reader.read(prefix + topic, partition, 0, Number.MAX_SAFE_INTEGER)) {
        for (const { offset, key, value } of records)
          hash
            .update(`${offset}`)
            .update(key ?? '-')
            .update(value ?? '-')
      }
    }
    state.push([topic, hash.digest('hex')])
  }
  await Promise.all([reader.close(), admin.disconnect()])
  return JSON.stringify(state)
}

/** Delivered alerts of a few tenants, with updates; nothing runs any more. */
async function aNight(name: string): Promise<Pipeline> {
  const pipeline = await startPipeline({
    name,
    graph: { tenants: 4, backlogPerTenant: 40, updateShare: 0.5, hostileShare: 0.1 },
  })
  const workers = await Promise.all([pipeline.start('poller'), pipeline.start('forwarder')])
  await Promise.all(workers.map(worker => worker.ready()))
  for (const { tenantId } of pipeline.graph.tenants) {
    const { alertId } = pipeline.graph.addAlert(tenantId)
    await until(() => pipeline.engine.ledger.items.some(item => item.alertId === alertId), 60_000)
    pipeline.graph.updateAlert(tenantId, alertId ?? '')
  }
  await pipeline.complete()
  await until(async () => [...(await pipeline.status()).values()].every(row => row.counts.waiting === 0), 30_000)
  for (const worker of workers) expect(await worker.stop()).toBe(0)
  return pipeline
}

test.concurrent('a replay gives out what came in, byte for byte, and touches nothing that lives', async () => {
  await using pipeline = await aNight('replay')
  const { graph, engine } = pipeline
  const dir = mkdtempSync(path.join(tmpdir(), 'socos-replay-'))
  const [tenant] = graph.tenants
  const tenantId = tenant?.tenantId ?? ''
  const why = ['--reason', 'a test', '--by', 'tester']
  const before = await liveState(pipeline)
  const published = [...(await pipeline.status()).values()]
  const own = published.find(row => row.tenantId === tenantId)?.counts.seen ?? 0

  // the plan writes nothing and says what there is
  const file = path.join(dir, 'night.ndjson')
  const plan = await pipeline.socos('replay', '--tenant', tenantId, '--to', file, ...why)
  expect(plan.code).toBe(0)
  expect(plan.err).toContain('PLAN, nothing is written')
  expect(plan.err.match(/^lane \d+/gm)).toHaveLength(1) // one lane, not the topic
  expect(plan.out).toContain(`total  ${own} alerts`)
  expect(existsSync(file)).toBe(false)

  const run = await pipeline.socos('replay', '--tenant', tenantId, '--to', file, '--yes', ...why)
  expect(run).toMatchObject({ code: 0, out: '' })
  const lines = linesOf(readFileSync(file, 'utf8'))
  expect(lines).toHaveLength(own)
  const known = new Set(
    graph.ledger.revisions.map(revision => `${revision.alertId} ${revision.version} ${revision.sha256}`),
  )
  for (const { line, sha256 } of lines) {
    expect(line.tenantId).toBe(tenantId)
    expect(known).toContain(`${line.alertId} ${line.version} ${sha256}`)
  }
  const again = await pipeline.socos('replay', '--tenant', tenantId, '--to', file, '--yes', ...why)
  expect(again).toMatchObject({ code: 1, err: expect.stringContaining('exists already') })

  // the same on standard output, and packed by name
  const plain = readFileSync(file, 'utf8')
  expect((await pipeline.socos('replay', '--tenant', tenantId, '--yes', ...why)).out).toBe(plain)
  for (const [ending, unpack] of [
    ['.gz', gunzipSync],
    ['.zst', zstdDecompressSync],
  ] as const) {
    expect((await pipeline.socos('replay', '--tenant', tenantId, '--to', file + ending, '--yes', ...why)).code).toBe(0)
    expect(unpack(readFileSync(file + ending)).toString()).toBe(plain)
  }

  // selections
  const out = async (...flags: string[]) =>
    linesOf((await pipeline.socos('replay', '--tenant', tenantId, '--yes', ...why, ...flags)).out)
  const some = lines.find(({ line }) => lines.some(other => other.line.alertId === line.alertId && other !== undefined))
  const alertId = some?.line.alertId ?? ''
  expect((await out('--alert', alertId)).map(({ line }) => line.alertId)).toEqual(
    lines.filter(({ line }) => line.alertId === alertId).map(() => alertId),
  )
  const newest = new Map(lines.map(({ line }) => [line.alertId, line.version]))
  for (const { line } of lines)
    if (line.version > (newest.get(line.alertId) ?? '')) newest.set(line.alertId, line.version)
  const latest = await out('--versions', 'latest')
  expect(new Map(latest.map(({ line }) => [line.alertId, line.version]))).toEqual(newest)
  expect(latest).toHaveLength(newest.size)
  const delivered = await out('--as', 'delivered')
  expect(new Map(delivered.map(({ line }) => [line.alertId, line.version]))).toEqual(newest)
  const severe = await out('--severity', 'high')
  expect(severe.length).toBeGreaterThan(0)
  expect(severe.length).toBeLessThan(lines.length)
  expect(await out('--match', "$.severity = 'high'")).toEqual(severe)
  expect(await out('--match', alertId)).toHaveLength(lines.filter(({ line }) => line.alertId === alertId).length)
  expect(await out('--max', '3')).toEqual(lines.slice(0, 3))
  expect(await out('--since', '1s')).toEqual([])

  // a topic of its own, each record marked
  const topic = `${pipeline.prefix}again`
  expect((await pipeline.socos('replay', '--tenant', tenantId, '--to', `topic:${topic}`, '--yes', ...why)).code).toBe(0)
  const admin = testKafka().admin()
  await admin.connect()
  const copied = (await admin.fetchTopicOffsets(topic)).reduce((sum, { high }) => sum + Number(high), 0)
  await admin.disconnect()
  expect(copied).toBe(own)

  // the engine again: old ids, marked
  const idsBefore = new Set(engine.ledger.items.filter(item => item.tenantId === tenantId).map(item => item.id))
  const toEngine = await pipeline.socos(
    'replay',
    '--tenant',
    tenantId,
    '--to',
    'engine',
    '--rate',
    '1000',
    '--yes',
    ...why,
  )
  expect(toEngine.code).toBe(0)
  const replayed = engine.ledger.items.filter(item => item.replay)
  expect(new Set(replayed.map(item => item.id))).toEqual(idsBefore)
  expect(engine.ledger.counters.staleAfterNew).toBe(0)

  expect(await liveState(pipeline)).toBe(before)
  const audit = JSON.parse((await pipeline.socos('audit', 'list', '-o', 'json')).out) as {
    operationId: string
    phase: string
    by: string
    reason: string
    result: { outcome?: string; written?: number } | null
  }[]
  expect(audit.every(entry => entry.by === 'tester' && entry.reason === 'a test')).toBe(true)
  const starts = audit.filter(entry => entry.phase === 'start').map(entry => entry.operationId)
  const ends = audit.filter(entry => entry.phase === 'end').map(entry => entry.operationId)
  expect(starts.toSorted()).toEqual(ends.toSorted())
})

test.concurrent('a replay that is killed or stopped goes on where it was', async () => {
  await using pipeline = await aNight('resume')
  const { engine } = pipeline
  const why = ['--reason', 'a test']
  const expected = new Set(engine.ledger.items.map(item => item.id))
  const begin = (...flags: string[]) => {
    const child = spawn(process.execPath, ['cli/socos.ts', 'replay', '--yes', ...why, ...flags], {
      cwd: ROOT,
      env: pipeline.env,
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    let said = ''
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => (said += chunk))
    return { child, said: () => said }
  }
  const replayed = () => engine.ledger.items.filter(item => item.replay).length

  const first = begin('--to', 'engine', '--rate', '20')
  await until(() => replayed() >= 20, 60_000, first.said)
  first.child.kill('SIGKILL')
  await once(first.child, 'close')
  const id = /replay (r-[\w-]+) to/.exec(first.said())?.[1] ?? ''
  expect(replayed()).toBeLessThan(expected.size)

  // once more, and now Ctrl-C
  const second = begin('--resume', id, '--rate', '20')
  const soFar = replayed()
  await until(() => replayed() >= soFar + 20, 60_000, second.said)
  second.child.kill('SIGINT')
  const [code] = (await once(second.child, 'close')) as [number | null]
  expect(code).toBe(130)
  expect(second.said()).toContain(`socos replay --resume ${id}`)

  expect(await pipeline.socos('replay', '--resume', id, '--rate', '5000')).toMatchObject({ code: 0 })
  const ids = new Set(engine.ledger.items.filter(item => item.replay).map(item => item.id))
  expect(ids).toEqual(expected)
  // what was noted is not sent again: less than the whole is repeated
  expect(replayed()).toBeLessThan(expected.size * 2)
  const done = await pipeline.socos('replay', '--resume', id)
  expect(done).toMatchObject({ code: 0, err: expect.stringContaining('done already') })
})

test.concurrent('a wrong flag is named with its remedy, and nothing is replayed', async () => {
  await using pipeline = await startPipeline({ name: 'replay-flags', graph: { tenants: 1 } })
  const nobody = '00000000-0000-0000-0000-000000000000'
  const why = ['--reason', 'a test']
  const cases: readonly (readonly [code: number, words: string, ...flags: string[]])[] = [
    [2, '--reason is missing', '--yes'],
    [2, '--since is "soon"', '--since', 'soon', ...why],
    [2, '--since is not before --until', '--since', '1h', '--until', '2h', ...why],
    [2, '--match', '--match', '$.', ...why],
    [2, '--max is "none"', '--max', 'none', ...why],
    [2, '--versions', '--versions', 'newest', ...why],
    [2, '--to topic:', '--to', 'topic:no spaces', ...why],
    [2, 'unknown option', '--tenants', nobody, ...why],
    [5, 'No such tenant', '--tenant', nobody, ...why],
    [5, 'There is no replay', '--resume', 'r-unknown'],
    [1, 'cannot be opened', '--to', '/nowhere/at/all.ndjson', '--yes', ...why],
  ]
  for (const [code, words, ...flags] of cases) {
    const result = await pipeline.socos('replay', ...flags)
    expect({ flags, code: result.code }).toEqual({ flags, code })
    expect(result.err).toContain(words)
    expect(result.err).not.toMatch(/\n\s+at /)
  }
  expect(pipeline.engine.ledger.items).toEqual([])
})
