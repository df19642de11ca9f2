/**
 * One look at KafkaJS on a real broker, with a mend on or off: `node test/kafka/mend-probe.ts PROBE BROKERS TOPIC [MEND]`.
 * A process of its own, because mends are made when the client is loaded. Prints one JSON document.
 */
import { randomUUID } from 'node:crypto'
import { createRequire } from 'node:module'
import type { Lane } from '../../platform/kafka/lanes.ts'

const [probe = '', brokerList = '', topic = '', mend = ''] = process.argv.slice(2)
const state = { timers: 0, negative: 0 }
const originalSetTimeout = globalThis.setTimeout
globalThis.setTimeout = Object.assign((...args: Parameters<typeof setTimeout>) => {
  state.timers++
  return originalSetTimeout(...args)
}, originalSetTimeout)
process.on('warning', warning => {
  if (warning.name === 'TimeoutNegativeWarning') state.negative++
})
Object.assign(globalThis, { socosKafkaMendsOff: mend === '' ? [] : [mend] })

const { kafkaClient } = await import('../../platform/kafka/client.ts')
const { joinLanes } = await import('../../platform/kafka/lanes.ts')
const { openPublisher } = await import('../../platform/kafka/producer.ts')
const { openReader } = await import('../../platform/kafka/reader.ts')
const { systemClock } = await import('../../platform/clock.ts')
const { brokerAccess, silentLog } = await import('./lanes-recording.ts')

const client = (name = 'probe') => kafkaClient(brokerAccess(brokerList.split(','), name), silentLog())

const PROBES: Readonly<Record<string, () => Promise<unknown>>> = {
  /** Timers that an idle connection starts while half a second passes. */
  async idle() {
    const publisher = await openPublisher(client())
    await publisher.append(topic, 0, [{ key: 'k', value: Buffer.from('v') }])
    const before = state.timers
    const negativeBefore = state.negative
    await systemClock.sleep(500)
    return { timers: state.timers - before, warned: state.negative > negativeBefore || state.negative > 0 }
  },
  /** Does what is written with zstd come back? */
  async zstd() {
    const publisher = await openPublisher(client())
    try {
      const offset = await publisher.append(topic, 0, [{ key: 'zstd', value: Buffer.alloc(100_000, 'a') }])
      const reader = await openReader(client())
      for await (const records of reader.read(topic, 0, offset, offset + 1)) {
        return { outcome: records[0]?.value?.equals(Buffer.alloc(100_000, 'a')) ? 'same' : 'changed' }
      }
      return { outcome: 'nothing' }
    } catch (error) {
      return { outcome: error instanceof Error ? error.message : String(error) }
    }
  },
  /** How many messages the grouping of a thousand handles on its way: copies of the list count as what they copy. */
  async grouping() {
    const require = createRequire(import.meta.url)
    const group = require('kafkajs/src/producer/groupMessagesPerPartition.js') as (call: object) => unknown
    const messages = Array.from({ length: 1_000 }, () => ({ partition: 0 }))
    const iterator = Array.prototype[Symbol.iterator]
    let handled = 0
    // copying a list, by spread or by concat, begins here or there
    Object.assign(Array.prototype, {
      [Symbol.iterator](this: unknown[]) {
        handled += this.length
        return iterator.call(this)
      },
    })
    try {
      group({ topic, partitionMetadata: [{ partitionId: 0 }], messages, partitioner: () => 0 })
    } finally {
      Object.assign(Array.prototype, { [Symbol.iterator]: iterator })
    }
    return { handled }
  },
  /** The most that one fetch unpacks of 40 batches of one letter. */
  async unpacked() {
    const publisher = await openPublisher(client())
    const first = await publisher.append(topic, 1, [{ key: 'k', value: Buffer.alloc(200_000, 'a') }])
    for (let n = 1; n < 40; n++) await publisher.append(topic, 1, [{ key: 'k', value: Buffer.alloc(200_000, 'a') }])
    const reader = await openReader(client())
    let most = 0
    let records = 0
    for await (const batch of reader.read(topic, 1, first, first + 40)) {
      most = Math.max(
        most,
        batch.reduce((sum, { value }) => sum + (value?.length ?? 0), 0),
      )
      records += batch.length
    }
    return { mostMiB: most / 1_048_576, records }
  },
  /** Reads a lane whose batch has lost its tail to compaction; gives up after so many fetches without headway. */
  async compacted() {
    const reader = await openReader(client())
    const offsets: number[] = []
    const reading = (async () => {
      for await (const records of reader.read(topic, 0, 0, Number.MAX_SAFE_INTEGER)) {
        offsets.push(...records.map(({ offset }) => offset))
      }
      return 'end'
    })()
    const outcome = await Promise.race([reading, systemClock.sleep(5_000).then(() => 'stuck')])
    return { outcome, offsets }
  },
  /** Is a member asked to finish before its lanes can go to another one? */
  async 'giving-up'() {
    let quiesced = 0
    const groupId = `probe-${randomUUID()}`
    const lane = (): Lane => ({
      table() {},
      lost() {},
      live() {},
      quiesce: async () => void quiesced++,
      resume() {},
      committable: () => null,
    })
    const join = (name: string) =>
      joinLanes({
        kafka: client(name),
        groupId,
        stream: topic,
        tables: [],
        open: lane,
        clock: systemClock,
        log: silentLog(),
        sessionTimeoutMs: 6_000,
        queueBytesMax: 1_000_000,
        observe: { restored() {}, rebalanced() {}, lostToRetention() {} },
        onFatal: error => {
          throw error
        },
      })
    const first = await join('a')
    while (!first.ready) await systemClock.sleep(20)
    const all = first.owned
    const second = await join('b')
    while (!second.ready || second.owned === 0 || first.owned === all) await systemClock.sleep(20)
    return { quiesced, first: first.owned, second: second.owned }
  },
}

const answer = await PROBES[probe]?.()
process.stdout.write(`${JSON.stringify(answer)}\n`, () => process.exit(0))
