import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Chosen } from '../../consumers/replay/scan.ts'
import { Lines } from '../../consumers/replay/target.ts'
import { toFile } from '../../consumers/replay/to-file.ts'

let dir = ''
let path = ''
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'socos-replay-'))
  path = join(dir, 'out.ndjson')
})
afterEach(() => rm(dir, { recursive: true, force: true }))

const chosen: Chosen = {
  lane: 0,
  offset: 7,
  timestampMs: 1,
  alert: {
    tenantId: 't',
    alertId: 'a',
    version: '2026-11-23T10:11:12.0000000Z',
    contentHash: Buffer.alloc(32),
    source: 'alerts_v2',
    origin: 'poll',
    observedAt: 1,
    attempts: 0,
    severity: null,
    status: null,
    serviceSource: null,
    alert: Buffer.from('{}'),
  },
}

function lineOf(one: Chosen): Buffer {
  const lines = new Lines(0)
  lines.add(one)
  return lines.take()
}

test("a line is one line whatever the alert holds, its bytes are Graph's, and memory used again keeps nothing", () => {
  const long = JSON.stringify({ id: 'é\u2028', text: '𝄞'.repeat(50_000) })
  const texts = ['{"n":1}', '{\n"n": 2}', '{"n":\r3}', long, '{"n":4}']
  const lines = new Lines(16)
  const write = (): string => {
    for (const [offset, text] of texts.entries()) {
      lines.add({ ...chosen, offset, alert: { ...chosen.alert, alertId: `"é${offset}`, alert: Buffer.from(text) } })
    }
    return lines.take().toString()
  }
  const written = write()
  expect(write()).toBe(written)
  expect(lines.bytes).toBe(0)
  const read = written
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line) as Record<string, unknown>)
  expect(read.map(({ offset }) => offset)).toEqual([0, 1, 2, 3, 4])
  expect(read.map(({ alertId }) => alertId)).toEqual(texts.map((_, n) => `"é${n}`))
  expect(written).toContain(`"alert":${long}}\n`)
  const whole = read.map(({ alert, alertBase64 }) =>
    typeof alertBase64 === 'string' ? Buffer.from(alertBase64, 'base64').toString() : JSON.stringify(alert),
  )
  expect(whole).toEqual(texts)
})

test('a replay to a file that is there writes nothing, whether it is begun or resumed', async () => {
  await writeFile(path, 'mine')
  await expect(toFile(path, false, null)).rejects.toThrow('exists already')
  // its start is in the audit log, so somebody may try
  const resumed = await toFile(path, true, null)
  await expect(resumed.resume('')).rejects.toThrow('exists already')
  await resumed.close()
  expect(await readFile(path, 'utf8')).toBe('mine')
})

test('a replay that was killed before its file was there makes it when it is resumed', async () => {
  const target = await toFile(path, true, null)
  await target.resume('')
  await target.write([chosen])
  expect(await target.flush()).toBe(String(lineOf(chosen).length))
  await target.close()
  expect(await readFile(path)).toEqual(lineOf(chosen))
})

test('what was written and not noted is taken off, and a file that is shorter than what was noted is another', async () => {
  await writeFile(path, `${lineOf(chosen).toString()}half a li`)
  const target = await toFile(path, true, null)
  await target.resume(String(lineOf(chosen).length))
  await target.write([chosen])
  await target.flush()
  await target.close()
  expect(await readFile(path)).toEqual(Buffer.concat([lineOf(chosen), lineOf(chosen)]))
  const other = await toFile(path, true, null)
  await expect(other.resume('100000')).rejects.toThrow('it is another file')
  await other.close()
})

test('a disk that takes only a part of the last chunk refuses the replay', async () => {
  // the system takes what fits into a file, and refuses only what comes after
  const limited = async (kib: number): Promise<string> => {
    const file = join(dir, `${kib}.ndjson`)
    const limit = ['-c', 'ulimit -f "$1"; shift; exec "$@"', 'sh', String(kib * 2)]
    const writer = [process.execPath, 'test/unit/replay-writer.ts', file, String(LINES)]
    const { stdout } = await promisify(execFile)('sh', [...limit, ...writer])
    return stdout
  }
  const bytes = LINES * LINE_BYTES
  expect(await limited(Math.ceil(bytes / 1024))).toBe(`durable ${bytes}`)
  expect(await limited(Math.floor(bytes / 1024))).toBe('refused EFBIG')
  expect(await limited(CHUNK_KIB - 1)).toBe('refused EFBIG')
})

const CHUNK_KIB = 4 * 1024
/** One chunk and a half. */
const LINES = 1_500
const LINE_BYTES = `{"tenantId":"t","alertId":"a","version":"v","lane":0,"offset":0,"alert":"${'x'.repeat(4_000)}"}\n`
  .length
