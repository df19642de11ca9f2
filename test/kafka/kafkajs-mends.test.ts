import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { promisify } from 'node:util'
import { describe, expect, inject, test, vi } from 'vitest'
import { systemClock, systemRandom } from '../../platform/clock.ts'
import { kafkaClient } from '../../platform/kafka/client.ts'
import { openPublisher } from '../../platform/kafka/producer.ts'
import { applyTopics } from '../../platform/kafka/topics.ts'
import { TransientError } from '../../platform/retry.ts'
import { expectWholeOwnership, laneGround } from './lanes-kit.ts'
import { brokerAccess, silentLog } from './lanes-recording.ts'

const PATIENCE = { timeout: 60_000, interval: 50 }
const run = promisify(execFile)
let serial = 0

async function withTopic<T>(config: Readonly<Record<string, string>>, use: (topic: string) => Promise<T>): Promise<T> {
  const topic = `mends-${process.pid}-${++serial}`
  const admin = kafkaClient(brokerAccess(inject('stack').brokers), silentLog()).admin()
  await admin.connect()
  try {
    await applyTopics(admin, [{ topic, partitions: 4, config }], { clock: systemClock, random: systemRandom })
    return await use(topic)
  } finally {
    await admin.deleteTopics({ topics: [topic] })
    await admin.disconnect()
  }
}

/** What a probe saw, with every mend on or with one of them off. */
async function look<T>(probe: string, topic: string, off = ''): Promise<T> {
  const brokers = inject('stack').brokers.join(',')
  const args = ['test/kafka/mend-probe.ts', probe, brokers, topic, ...(off === '' ? [] : [off])]
  const { stdout } = await run(process.execPath, args, { cwd: process.cwd(), timeout: 60_000 })
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as T
}

describe('what is mended in KafkaJS is broken without the mend', () => {
  test('K11: an idle connection starts no timers, and Node has nothing to warn of', async () => {
    await withTopic({}, async topic => {
      const mended = await look<{ timers: number; warned: boolean }>('idle', topic)
      expect(mended.timers).toBeLessThan(20)
      expect(mended.warned).toBe(false)
      const bare = await look<{ timers: number; warned: boolean }>('idle', topic, 'idle-timer')
      expect(bare.timers).toBeGreaterThan(40)
      expect(bare.warned).toBe(true)
    })
  })

  test('zstd goes out and comes back', async () => {
    await withTopic({}, async topic => {
      expect(await look('zstd', topic)).toEqual({ outcome: 'same' })
      expect((await look<{ outcome: string }>('zstd', topic, 'zstd')).outcome).toMatch(
        /ZSTD compression not implemented/i,
      )
    })
  })

  test('a topic whose partitions are not known yet is not known yet, for whoever asks again about those', async () => {
    await withTopic({}, async topic => {
      expect(await look('empty-topic', topic)).toEqual({ outcome: 'not known yet' })
      expect(await look('empty-topic', topic, 'empty-topic')).toEqual({ outcome: 'TypeError' })
    })
  })

  test('a connection keeps its broker’s number when the seed is lost while metadata comes', async () => {
    // number of the connection, port of the broker; they were made alike
    expect(await look('mistaken-broker', '')).toEqual({ 1: [1, 1], 2: [2, 2] })
    expect(await look('mistaken-broker', '', 'mistaken-broker')).not.toEqual({ 1: [1, 1], 2: [2, 2] })
  })

  test('a broker whose first answer comes too late is connected again', async () => {
    const first = 'Error: timed out'
    expect(await look('half-connected', '')).toEqual({ first, second: 'asked' })
    expect(await look('half-connected', '', 'half-connected')).toEqual({ first, second: 'Error: Broker not connected' })
  })

  test('K19: grouping grows with the messages, not with their square', async () => {
    await withTopic({}, async topic => {
      expect((await look<{ handled: number }>('grouping', topic)).handled).toBeLessThanOrEqual(2_000)
      expect((await look<{ handled: number }>('grouping', topic, 'grouping')).handled).toBeGreaterThan(100_000)
    })
  })

  test('K21: an append takes about as much memory as it appends', async () => {
    expect((await look<{ times: number }>('packing', '')).times).toBeLessThan(1.2)
    expect((await look<{ times: number }>('packing', '', 'batch-encoding')).times).toBeGreaterThan(3)
  })

  test('K22: reading makes no big integer for each record', async () => {
    interface Read {
      readonly records: number
      readonly made: number
    }
    expect(await look<Read>('reading', '')).toEqual({ records: 1_000, made: 0 })
    const bare = await look<Read>('reading', '', 'batch-decoding')
    expect(bare.records).toBe(1_000)
    expect(bare.made).toBeGreaterThan(2_000)
  })

  test('K23: leaders are found by looking at each partition once', async () => {
    expect(await look('leaders', '')).toEqual({ found: 480, looks: 480 })
    const bare = await look<{ found: number; looks: number }>('leaders', '', 'replica-search')
    expect(bare.found).toBe(480)
    expect(bare.looks).toBeGreaterThan(100_000)
  })

  test('K20: of alerts that one letter fills, a fetch unpacks no more than it may hold', async () => {
    await withTopic({}, async topic => {
      const mended = await look<{ mostMiB: number; records: number }>('unpacked', topic)
      expect(mended).toMatchObject({ records: 40 })
      expect(mended.mostMiB).toBeLessThan(1.5)
      const bare = await look<{ mostMiB: number; records: number }>('unpacked', topic, 'unpacked-size')
      expect(bare.records).toBe(40)
      expect(bare.mostMiB).toBeGreaterThan(4)
    })
  })

  test('K15: a batch that lost its tail to compaction is read past', async () => {
    const config = {
      'cleanup.policy': 'compact',
      'segment.ms': '200',
      'min.cleanable.dirty.ratio': '0.001',
      'min.compaction.lag.ms': '0',
      'max.compaction.lag.ms': '200',
      'delete.retention.ms': '1',
      'max.message.bytes': String(12 * 1_048_576),
    }
    await withTopic(config, async topic => {
      const publisher = await openPublisher(kafkaClient(brokerAccess(inject('stack').brokers), silentLog()))
      const batch = (...keys: string[]) => keys.map(key => ({ key, value: Buffer.from(key) }))
      // so large that a fetch brings nothing but this batch
      const large = { key: 'stays', value: randomBytes(9 * 1_048_576) }
      await publisher.append(topic, 0, [large, ...batch('b', 'c', 'd')])
      // a segment is rolled by a later append, and only rolled ones are cleaned
      let kept: number[] = []
      await vi.waitFor(
        async () => {
          await publisher.append(topic, 0, batch('b', 'c', 'd'))
          kept = (await look<{ offsets: number[] }>('compacted', topic)).offsets
          expect(kept).toContain(0)
          expect(kept).not.toContain(3)
        },
        { timeout: 150_000, interval: 1_000 },
      )
      expect(await look('compacted', topic)).toMatchObject({ outcome: 'end' })
      const bare = await look<{ outcome: string; offsets: number[] }>('compacted', topic, 'compacted-tail')
      expect(bare).toMatchObject({ outcome: 'stuck', offsets: [0] })
      await publisher.close()
    })
  })

  test('a member that was put out and whose join failed joins again, instead of fetching for ever without a lane', async () => {
    await withTopic({}, async topic => {
      expect(await look('put-out', topic)).toEqual({ joins: 2, failing: 'was' })
      expect(await look('put-out', topic, 'giving-up')).toEqual({ joins: 1, failing: 'was' })
    })
  })

  test('a member is asked to finish before its lanes can go to another one', async () => {
    await withTopic({}, async topic => {
      const mended = await look<{ quiesced: number; first: number; second: number }>('giving-up', topic)
      expect(mended).toMatchObject({ first: 2, second: 2 })
      expect(mended.quiesced).toBeGreaterThanOrEqual(4)
      expect(await look('giving-up', topic, 'giving-up')).toMatchObject({ quiesced: 0, first: 2, second: 2 })
    })
  })
})

describe('what is contained by how KafkaJS is used', () => {
  test('K2: an append that the client drops in silence is a failure, and no topic appears by itself', async () => {
    await withTopic({}, async topic => {
      const kafka = kafkaClient(brokerAccess(inject('stack').brokers), silentLog())
      const bare = kafka.producer({ allowAutoTopicCreation: false })
      await bare.connect()
      // this is the fault: nothing was written, and nobody is told
      expect(await bare.send({ topic, messages: [{ partition: 99, value: 'lost' }] })).toEqual([])
      await bare.disconnect()

      const publisher = await openPublisher(kafka)
      const record = [{ key: 'k', value: Buffer.from('v') }]
      await expect(publisher.append(topic, 99, record)).rejects.toThrow(TransientError)
      await expect(publisher.append(`${topic}-nowhere`, 0, record)).rejects.toThrow(TransientError)
      await publisher.close()
      const admin = kafka.admin()
      await admin.connect()
      expect(await admin.listTopics()).not.toContain(`${topic}-nowhere`)
      await admin.disconnect()
    })
  })

  test('K13: where retention overtook the group it goes on at the start of what is left, and says what is lost', async () => {
    await using ground = await laneGround({ name: 'mends-overtaken', lanes: 1 })
    const { admin, topics } = ground
    await ground.fill('stream', 10)
    const a = await ground.join('a')
    await vi.waitFor(async () => expect(await ground.committed()).toEqual([10]), PATIENCE)
    await a.stop()
    await ground.fill('stream', 10)
    await admin.deleteTopicRecords({ topic: topics.stream, partitions: [{ partition: 0, offset: '15' }] })
    const b = await ground.join('b')
    await vi.waitFor(() => expectWholeOwnership([b], 1), PATIENCE)
    await vi.waitFor(() => expect(b.lanes.get(0)?.done).toEqual([15, 16, 17, 18, 19]), PATIENCE)
    expect(b.lost).toEqual([{ lane: 0, from: 10, to: 15 }])
  })

  test('K16: a fault in what handles records ends the worker, it does not stop in silence', async () => {
    await using ground = await laneGround({ name: 'mends-fault', lanes: 1 })
    await ground.fill('follow', 1)
    const a = await ground.join('a', {
      spoil: lane => ({
        ...lane,
        table() {
          throw new TypeError('a bug')
        },
      }),
    })
    await vi.waitFor(() => expect(a.fatal[0]).toEqual(new TypeError('a bug')), PATIENCE)
  })

  test('K18: leaving the group waits for no long fetch', async () => {
    await using ground = await laneGround({ name: 'mends-leave', lanes: 1 })
    const a = await ground.join('a')
    await vi.waitFor(() => expectWholeOwnership([a], 1), PATIENCE)
    await a.stop()
    // with a session of six seconds the next one has the lane this soon only because the first one left
    const b = await ground.join('b', { sessionTimeoutMs: 60_000 })
    await vi.waitFor(() => expectWholeOwnership([b], 1), { timeout: 5_000, interval: 20 })
  })
})
