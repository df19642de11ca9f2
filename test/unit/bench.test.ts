import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { paceWatch, quantile } from '../../bench/pace.ts'
import { alertPress, evenly } from '../../bench/shown-alerts.ts'

test('windows that follow one another hold each alert of the tenants once', () => {
  const schedule = evenly(1_000, 70, 500, 3)
  const found = [0, 1, 2].flatMap(tenant => {
    const cuts = Array.from({ length: 900 }, (_, n) => 990 + n * 13)
    return cuts.flatMap(from => [...schedule.between(tenant, from, from + 13, 0, 1_000)])
  })
  expect(found.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 500 }, (_, k) => k))
})

test('a page is cut off at its size and goes on behind it', () => {
  const schedule = evenly(0, 10, 100, 2)
  const first = schedule.between(1, 0, 5_000, 0, 20)
  expect(first).toHaveLength(20)
  expect(schedule.between(1, 0, 5_000, (first.at(-1) ?? 0) + 1, 20)).toEqual([41, 43, 45, 47, 49])
})

test('a printed alert is JSON with its number and its time, also after another one', () => {
  const press = alertPress('a-tenant', 7)
  const into = Buffer.alloc(press.bytesMax)
  press.print(999_999_999, 1_000, into)
  const bytes = press.print(12, Date.UTC(2026, 10, 24), into)
  expect(JSON.parse(into.toString('latin1', 0, bytes))).toMatchObject({
    id: 'da000000012',
    tenantId: 'a-tenant',
    lastUpdateDateTime: '2026-11-24T00:00:00.0000000Z',
  })
})

test('alerts differ within a tenant and between tenants, and one is always the same', () => {
  const printed = (k: number, seed: number): string => {
    const press = alertPress('a-tenant', seed)
    const into = Buffer.alloc(press.bytesMax)
    return into.toString('latin1', 0, press.print(k, 0, into)).replaceAll(/da\d{9}/g, '')
  }
  const all = [0, 1, 60].flatMap(k => [1, 2].map(seed => printed(k, seed)))
  expect(new Set(all).size).toBe(all.length)
  expect(printed(60, 2)).toBe(all.at(-1))
})

test('lateness is what lies beyond the interval, and a poll that has not come is late', () => {
  const watch = paceWatch(3, 60_000)
  watch.polled(0, 1_000)
  watch.polled(0, 61_500)
  watch.polled(1, 1_000)
  expect(watch.read(63_000)).toEqual({ polls: 3, silent: 1, leastPolls: 0, p50Ms: 500, p99Ms: 2_000, maxMs: 2_000 })
  watch.restart()
  watch.polled(1, 63_000)
  expect(watch.read(63_000)).toMatchObject({ polls: 1, leastPolls: 0, maxMs: 2_000 })
})

test('a quantile is a value that occurred', () => {
  expect([0, 0.5, 0.99, 1].map(share => quantile([1, 2, 3, 4], share))).toEqual([1, 2, 4, 4])
  expect(quantile([], 0.5)).toBe(0)
})

test('the top of profiles is by time of their own, over all of them, idle time left out', async () => {
  const frame = (functionName: string, url = ''): object => ({ functionName, url, lineNumber: 4 })
  const node = (id: number, callFrame: object): object => ({ id, callFrame })
  const profile = {
    nodes: [node(1, frame('(idle)')), node(2, frame('a', 'node:x')), node(3, frame('')), node(4, frame('a', 'node:x'))],
    samples: [1, 2, 3, 4, 1],
    timeDeltas: [500, 7_000_000, 1_000_000, 1_000_000, 500_000],
  }
  const folder = await mkdtemp(join(tmpdir(), 'socos-profile-'))
  try {
    const file = join(folder, 'x.cpuprofile')
    await writeFile(file, JSON.stringify(profile))
    const { stdout } = await promisify(execFile)(process.execPath, ['bench/profile-top.ts', file, file])
    expect(stdout.trim().split('\n')).toEqual([
      'busy 5.00 s, idle 14.00 s; share of the busy time, seconds, function',
      ' 60.0 %      3.00  a node:x:5',
      ' 40.0 %      2.00  (anonymous)',
    ])
  } finally {
    await rm(folder, { recursive: true })
  }
})
