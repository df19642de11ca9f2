import { createRequire } from 'node:module'
import { describe, expect, test, vi } from 'vitest'
import type { LaneGround, Member } from './lanes-kit.ts'
import { doneOffsets, expectOneWriterPerLane, expectWholeOwnership, laneGround, numbers } from './lanes-kit.ts'

const PATIENCE = { timeout: 30_000, interval: 20 }

/** The tests wait for what they are about; what the group says meanwhile is shown when they fail. */
async function settled(members: readonly Member[], ground: LaneGround): Promise<void> {
  await vi.waitFor(() => expectWholeOwnership(members, ground.lanes), PATIENCE)
}

test('a lone member restores every lane, tables first, then the stream, each record once and in order', async () => {
  await using ground = await laneGround({ name: 'lanes-lone' })
  await ground.fill('follow', 5)
  await ground.fill('freeze', 7)
  await ground.fill('stream', 9)
  const a = await ground.join('a')
  await settled([a], ground)
  await vi.waitFor(() => {
    for (const lane of numbers(ground.lanes)) expect(doneOffsets(ground.journal, lane)).toEqual(numbers(9))
  }, PATIENCE)
  for (const lane of numbers(ground.lanes)) {
    const own = ground.journal.filter(entry => entry.lane === lane)
    const live = own.findIndex(entry => entry.what === 'live')
    const tables = own.slice(0, live).filter(entry => entry.what === 'table')
    expect(tables.filter(({ topic }) => topic === ground.topics.follow).map(({ offset }) => offset)).toEqual(numbers(5))
    expect(tables.filter(({ topic }) => topic === ground.topics.freeze).map(({ offset }) => offset)).toEqual(numbers(7))
    expect(own.findIndex(entry => entry.what === 'start')).toBeGreaterThan(live)
  }
})

test('lanes without any record go live', async () => {
  await using ground = await laneGround({ name: 'lanes-empty' })
  const a = await ground.join('a')
  await settled([a], ground)
  expect(ground.journal.filter(entry => entry.what === 'live')).toHaveLength(ground.lanes)
  await ground.fill('stream', 3)
  await vi.waitFor(() => {
    for (const lane of numbers(ground.lanes)) expect(doneOffsets(ground.journal, lane)).toEqual(numbers(3))
  }, PATIENCE)
})

test('after the restore a frozen table is not read any more, a followed one is', async () => {
  await using ground = await laneGround({ name: 'lanes-frozen' })
  await ground.fill('freeze', 2)
  const a = await ground.join('a')
  await settled([a], ground)
  await ground.fill('freeze', 3)
  await ground.fill('follow', 3)
  await vi.waitFor(() => {
    for (const lane of a.lanes.values()) {
      expect(lane.tables.filter(({ topic }) => topic === ground.topics.follow)).toHaveLength(3)
    }
  }, PATIENCE)
  for (const lane of a.lanes.values()) {
    expect(lane.tables.filter(({ topic }) => topic === ground.topics.freeze)).toHaveLength(2)
  }
})

test('members that come and go: whole lanes, few moves, kept memory, no stream record missed or done twice', async () => {
  await using ground = await laneGround({ name: 'lanes-moves', lanes: 6 })
  const { journal, lanes } = ground
  const share = (members: number) => Math.ceil(lanes / members)
  await ground.fill('freeze', 10)
  const ends = await ground.fill('stream', 1)
  let filling = true
  const filler = (async () => {
    while (filling) for (const [lane, end] of (await ground.fill('stream', 2)).entries()) ends[lane] = end
  })()

  const a = await ground.join('a')
  await settled([a], ground)
  const b = await ground.join('b')
  await settled([a, b], ground)
  expect(b.owned().length).toBeLessThanOrEqual(share(2))

  const before = new Map([a, b].map(member => [member, member.owned()]))
  const c = await ground.join('c')
  await settled([a, b, c], ground)
  expect(c.owned().length).toBeLessThanOrEqual(share(3))
  for (const [member, lanes] of before) expect(lanes).toEqual(expect.arrayContaining(member.owned()))

  const keptByA = a.owned()
  const keptByC = c.owned()
  await b.stop()
  await settled([a, c], ground)
  expect(a.owned()).toEqual(expect.arrayContaining(keptByA))
  expect(c.owned()).toEqual(expect.arrayContaining(keptByC))
  filling = false
  await filler

  await vi.waitFor(() => {
    for (const lane of numbers(lanes)) expect(doneOffsets(journal, lane)).toEqual(numbers((ends[lane] ?? 0) + 1))
  }, PATIENCE)
  expectOneWriterPerLane(journal)
  // a lane that stays is opened once: memory is kept, the table is not read again
  for (const lane of keptByA) {
    const own = journal.filter(entry => entry.member === 'a' && entry.lane === lane)
    expect(own.filter(({ what }) => what === 'open')).toHaveLength(1)
    expect(own.filter(({ what }) => what === 'table')).toHaveLength(10)
    expect(own.filter(({ what }) => what === 'resume').length).toBeGreaterThan(1)
  }
  // a lane that went is told so
  for (const lane of numbers(lanes).filter(lane => !a.owned().includes(lane))) {
    const context = a.lanes.get(lane)?.context
    expect([context?.signal.aborted, context?.leased()]).toEqual([true, false])
  }
})

test('a full queue keeps its place over a rejoin', async () => {
  await using ground = await laneGround({ name: 'lanes-full', lanes: 2 })
  const { journal } = ground
  for (const _ of numbers(10)) await ground.fill('stream', 10, { valueBytes: 64 * 1024 })
  const a = await ground.join('a', { queueBytesMax: 1, takes: () => false })
  await settled([a], ground)
  const queueOf = (lane: number) => a.lanes.get(lane)?.context.queue
  const full = () => numbers(2).map(lane => queueOf(lane)?.count ?? 0)
  // beyond its bound a lane is paused in the same breath, so from here on nothing comes
  await vi.waitFor(() => {
    for (const lane of numbers(2)) expect(queueOf(lane)?.bytes).toBeGreaterThan(512 * 1024)
  }, PATIENCE)
  const counts = full()
  expect(Math.max(...counts)).toBeLessThan(100)

  const b = await ground.join('b')
  await settled([a, b], ground)
  expect(full()).toEqual(counts)
  const context = a.lanes.get(a.owned()[0] ?? -1)?.context
  const taken: number[] = []
  while (context && taken.length < 100) {
    for (const { offset } of await context.queue.take(7, 1024 * 1024, context.signal)) taken.push(offset)
  }
  expect(taken).toEqual(numbers(100))
  await vi.waitFor(() => expect(doneOffsets(journal, b.owned()[0] ?? -1)).toEqual(numbers(100)), PATIENCE)
})

test('a full lane is not made to wait for quiet ones: the fetch without it is short, and it joins the next', async () => {
  await using ground = await laneGround({ name: 'lanes-pace', lanes: 2 })
  using fetches = watchFetches(ground.groupId)
  const a = await ground.join('a', { queueBytesMax: 1, takes: () => false })
  await settled([a], ground)
  /** What two fetches that began from now on were told to wait. */
  const waits = async () => {
    fetches.waits.length = 0
    await vi.waitFor(() => expect(fetches.waits.length).toBeGreaterThan(2), PATIENCE)
    return new Set(fetches.waits)
  }
  const quiet = await waits()
  for (const _ of numbers(10)) await ground.fill('stream', 10, { lanes: [0], valueBytes: 64 * 1024 })
  const context = a.lanes.get(0)?.context
  await vi.waitFor(() => expect(context?.queue.bytes).toBeGreaterThan(512 * 1024), PATIENCE)
  const full = await waits()
  expect(quiet.size).toBe(1)
  expect(full.size).toBe(1)
  expect(Math.max(...full)).toBeLessThan(Math.min(...quiet) / 10)

  const taken: number[] = []
  while (context && taken.length < 100) {
    for (const { offset } of await context.queue.take(7, 1024 * 1024, context.signal)) taken.push(offset)
  }
  expect(taken).toEqual(numbers(100))
  expect(await waits()).toEqual(quiet)
})

interface Fetching {
  readonly groupId: string
  readonly maxWaitTime: number
}

/** What this process's members of a group ask their brokers to wait. */
function watchFetches(groupId: string): { readonly waits: number[] } & Disposable {
  const { prototype } = createRequire(import.meta.url)('kafkajs/src/consumer/consumerGroup.js') as {
    prototype: { fetch(this: Fetching, node: unknown): unknown }
  }
  const waits: number[] = []
  const { fetch } = prototype
  prototype.fetch = function (this: Fetching, node) {
    if (this.groupId === groupId) waits.push(this.maxWaitTime)
    return fetch.call(this, node)
  }
  return { waits, [Symbol.dispose]: () => void (prototype.fetch = fetch) }
}

describe('how far a lane is behind', () => {
  const lagOf = ({ group }: Member): number[] =>
    group
      .lag()
      .toSorted((a, b) => a.lane - b.lane)
      .map(({ records }) => records)

  test('is known from the start, grows with what comes, and is gone when all is settled', async () => {
    await using ground = await laneGround({ name: 'lanes-lag', lanes: 2 })
    await ground.fill('stream', 5)
    const idle = await ground.join('idle', { takes: () => false })
    await settled([idle], ground)
    expect(idle.group.restoring).toBe(0)
    expect(lagOf(idle)).toEqual([5, 5])
    await ground.fill('stream', 3, { lanes: [1] })
    await vi.waitFor(() => expect(lagOf(idle)).toEqual([5, 8]), PATIENCE)
    await idle.stop()

    const busy = await ground.join('busy')
    await settled([busy], ground)
    await vi.waitFor(() => expect(lagOf(busy)).toEqual([0, 0]), PATIENCE)
  })

  test('goes on growing when the lane is too full to be fetched', async () => {
    await using ground = await laneGround({ name: 'lanes-lag-full', lanes: 1 })
    for (const _ of numbers(5)) await ground.fill('stream', 10, { valueBytes: 64 * 1024 })
    const idle = await ground.join('idle', { queueBytesMax: 1, takes: () => false })
    await settled([idle], ground)
    const queue = () => idle.lanes.get(0)?.context.queue
    await vi.waitFor(() => expect(queue()?.bytes).toBeGreaterThan(512 * 1024), PATIENCE)
    const held = queue()?.count ?? 0
    expect(held).toBeLessThan(50)
    await ground.fill('stream', 25)
    await vi.waitFor(() => expect(lagOf(idle)).toEqual([75]), PATIENCE)
    expect(queue()?.count).toBe(held)
  })
})
