import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Chosen } from '../../consumers/replay/scan.ts'
import { lineOf } from '../../consumers/replay/target.ts'
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
