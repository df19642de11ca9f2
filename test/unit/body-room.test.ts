import { spawnSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { openBodyRoom } from '../../consumers/engine/body-room.ts'

const MIB = 1024 * 1024

test('room that was given back is taken again, and nobody has it twice', () => {
  const room = openBodyRoom()
  const first = room.take(MIB)
  const second = room.take(MIB)
  expect(second).not.toBe(first)
  room.give(first)
  expect(room.take(MIB - 5)).toBe(first)
  expect(room.take(MIB)).not.toBe(first)
})

test('room is at least as large as was asked for, whatever lies there', () => {
  const room = openBodyRoom()
  room.give(room.take(10))
  for (const bytes of [1, 300_000, MIB, 5 * MIB]) expect(room.take(bytes).length).toBeGreaterThanOrEqual(bytes)
})

test('little is kept: sixteen of them, the largest, and none of a single huge alert', () => {
  const room = openBodyRoom()
  const huge = room.take(5 * MIB)
  room.give(huge)
  expect(room.take(5 * MIB)).not.toBe(huge)
  const small = Array.from({ length: 16 }, () => room.take(1))
  const large = Array.from({ length: 16 }, () => room.take(MIB))
  for (const one of [...small, ...large]) room.give(one)
  const again = Array.from({ length: 17 }, () => room.take(1))
  expect(new Set(again.slice(0, 16))).toEqual(new Set(large))
  expect(small).not.toContain(again[16])
})

test('the Node that is pinned knows the flag that a worker sets for its collector', () => {
  const script = "import { countBuffersAsHeap } from './platform/collector.ts'; countBuffersAsHeap()"
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script])
  expect([status, stdout.toString(), stderr.toString()]).toEqual([0, '', ''])
})
