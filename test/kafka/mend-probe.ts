/**
 * One look at KafkaJS on a real broker, with a mend on or off: `node test/kafka/mend-probe.ts PROBE BROKERS TOPIC [MEND]`.
 * A process of its own, because mends are made when the client is loaded. Prints one JSON document. Longer than the rule:
 * it is a list, one look for each mend.
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
const { CompressionTypes } = await import('../../platform/kafka/kafkajs.ts')
const { joinLanes } = await import('../../platform/kafka/lanes.ts')
const { openPublisher } = await import('../../platform/kafka/producer.ts')
const { openReader } = await import('../../platform/kafka/reader.ts')
const { isNotYetKnown } = await import('../../platform/kafka/topics.ts')
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
  /** Offsets of a topic whose partitions the broker has not heard of when it is first asked. */
  async 'empty-topic'() {
    const require = createRequire(import.meta.url)
    const { prototype } = require('kafkajs/src/cluster/index.js') as {
      prototype: { findTopicPartitionMetadata(this: object, topic: string): unknown[] }
    }
    const { findTopicPartitionMetadata } = prototype
    let asked = 0
    prototype.findTopicPartitionMetadata = function (this: object, name) {
      return asked++ === 0 ? [] : findTopicPartitionMetadata.call(this, name)
    }
    const admin = client().admin()
    await admin.connect()
    try {
      const parts = await admin.fetchTopicOffsets(topic)
      return { outcome: `${parts.length} partitions` }
    } catch (error) {
      return { outcome: isNotYetKnown(error) ? 'not known yet' : error instanceof Error ? error.name : String(error) }
    } finally {
      await admin.disconnect()
    }
  },
  /** Which number a connection stands under, after the seed was lost while metadata came; no broker is asked. */
  async 'mistaken-broker'() {
    const require = createRequire(import.meta.url)
    const BrokerPool = require('kafkajs/src/cluster/brokerPool.js') as new (
      options: object,
    ) => {
      seedBroker: object
      brokers: Record<string, { nodeId: number; connectionPool: { port: number } }>
      refreshMetadata(topics: readonly string[]): Promise<void>
    }
    const logger = { namespace: () => logger, error: () => {}, debug: () => {}, info: () => {} }
    const pool = new BrokerPool({
      connectionPoolBuilder: { build: async (at: object) => ({ host: '127.0.0.1', port: 0, ...at }) },
      logger,
      metadataMaxAge: 60_000,
    })
    const brokerAt = (nodeId: number | null) => ({
      nodeId,
      connectionPool: { host: '127.0.0.1', port: nodeId ?? 1 },
      isConnected: () => true,
      disconnect: async () => {},
      async metadata() {
        // as removeBroker does when a request on the seed's connection fails
        if (seedIsLost) pool.seedBroker = Object.values(pool.brokers).find(one => one.nodeId === 2) ?? pool.seedBroker
        const brokers = [1, 2].map(id => ({ nodeId: id, host: '127.0.0.1', port: id, rack: null }))
        return { brokers, topicMetadata: [] }
      },
    })
    let seedIsLost = false
    Object.assign(pool, { seedBroker: brokerAt(null), findConnectedBroker: async () => brokerAt(2) })
    await pool.refreshMetadata([])
    delete pool.brokers['1']
    seedIsLost = true
    await pool.refreshMetadata([])
    return Object.fromEntries(
      Object.entries(pool.brokers).map(([id, { nodeId, connectionPool }]) => [id, [nodeId, connectionPool.port]]),
    )
  },
  /** What is known of a broker whose first answer came too late, once it was connected again; no broker is asked. */
  async 'half-connected'() {
    const require = createRequire(import.meta.url)
    const Broker = require('kafkajs/src/broker/index.js') as new (
      options: object,
    ) => {
      apiVersions: () => Promise<object>
      connect(): Promise<void>
      metadata(): Promise<unknown>
    }
    const logger = { namespace: () => logger, debug: () => {} }
    let isOpen = false
    const connection = { getSupportAuthenticationProtocol: () => true, authenticate: async () => {} }
    const connectionPool = {
      connectionTimeout: 1_000,
      isConnected: () => isOpen,
      getConnection: async () => {
        isOpen = true
        return connection
      },
      setVersions: () => {},
      destroy: async () => void (isOpen = false),
      send: async () => 'asked',
    }
    const broker = new Broker({ connectionPool, logger })
    const answers = [Promise.reject(new Error('timed out')), Promise.resolve({ 3: { minVersion: 0, maxVersion: 6 } })]
    broker.apiVersions = async () => (await answers.shift()) ?? {}
    const first = await broker.connect().catch((error: unknown) => String(error))
    await broker.connect()
    const second = await broker.metadata().catch((error: unknown) => String(error))
    return { first, second }
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
  /** Memory taken to encode an append, as a multiple of what is appended. */
  async packing() {
    const require = createRequire(import.meta.url)
    const produce = require('kafkajs/src/protocol/requests/produce/v3/request.js') as (call: object) => {
      encode(): Promise<unknown>
    }
    const value = Buffer.alloc(4_000, 'a')
    const messages = Array.from({ length: 200 }, (_, n) => ({ partition: 0, key: `alert-${n}`, value }))
    let bytes = 0
    const { alloc, allocUnsafe } = Buffer
    const counted = (take: (size: number) => Buffer) => (size: number) => {
      bytes += size
      return take(size)
    }
    Object.assign(Buffer, { alloc: counted(alloc), allocUnsafe: counted(allocUnsafe) })
    try {
      const topicData = [{ topic, partitions: [{ partition: 0, messages }] }]
      await produce({ acks: -1, timeout: 1_000, compression: CompressionTypes.ZSTD, topicData }).encode()
    } finally {
      Object.assign(Buffer, { alloc, allocUnsafe })
    }
    return { times: bytes / (200 * value.length) }
  },
  /** Big integers that reading a thousand records makes, and steps that looking for 480 leaders takes. */
  async reading() {
    const require = createRequire(import.meta.url)
    const { RecordBatch } = require('kafkajs/src/protocol/recordBatch/v0/index.js') as {
      RecordBatch: (batch: object) => Promise<{ buffer: Buffer }>
    }
    const packRecord = require('kafkajs/src/protocol/recordBatch/record/v0/index.js') as (record: object) => object
    const records = Array.from({ length: 1_000 }, (_, n) => packRecord({ key: `k-${n}`, value: 'v', offsetDelta: n }))
    const { buffer } = await RecordBatch({ records, lastOffsetDelta: 999, firstTimestamp: 1, maxTimestamp: 1 })
    const Decoder = require('kafkajs/src/protocol/decoder.js') as new (bytes: Buffer) => object
    const read = require('kafkajs/src/protocol/recordBatch/v0/decoder.js') as (
      source: object,
    ) => Promise<{ records: object[] }>
    const Batch = require('kafkajs/src/consumer/batch.js') as new (...args: unknown[]) => { messages: object[] }
    let made = 0
    const { asIntN } = BigInt
    BigInt.asIntN = (bits, value) => {
      made++
      return asIntN(bits, value)
    }
    try {
      const messages = (await read(new Decoder(buffer))).records
      const batch = new Batch('t', '0', { partition: 0, highWatermark: '1000', messages })
      return { records: batch.messages.length, made }
    } finally {
      BigInt.asIntN = asIntN
    }
  },
  async leaders() {
    const require = createRequire(import.meta.url)
    const { prototype } = require('kafkajs/src/consumer/consumerGroup.js') as {
      prototype: { findReadReplicaForPartitions(this: object, topic: string, of: number[]): Record<number, number[]> }
    }
    let looks = 0
    const metadata = Array.from({ length: 480 }, (_, n) => ({
      get partitionId() {
        looks++
        return n
      },
      leader: n % 3,
    }))
    const group = {
      cluster: { findTopicPartitionMetadata: () => metadata },
      preferredReadReplicasPerTopicPartition: { t: {} },
    }
    const found = prototype.findReadReplicaForPartitions.call(
      group,
      't',
      metadata.map((_, n) => n),
    )
    return { found: Object.values(found).flat().length, looks }
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
    const join = (name: string) => joinAs(name, groupId, () => quiesced++)
    const first = await join('a')
    while (!first.ready) await systemClock.sleep(20)
    const all = first.owned
    const second = await join('b')
    while (!second.ready || second.owned === 0 || first.owned === all) await systemClock.sleep(20)
    return { quiesced, first: first.owned, second: second.owned }
  },
  /** Of a member that the coordinator does not know any more, and whose join then fails once: how often it joined in a while. */
  async 'put-out'() {
    const require = createRequire(import.meta.url)
    const group = require('kafkajs/src/consumer/consumerGroup.js') as {
      prototype: { joinAndSync(this: Member): Promise<void> }
    }
    const broker = require('kafkajs/src/broker/index.js') as { prototype: { joinGroup(of: object): Promise<unknown> } }
    const { KafkaJSConnectionError } = require('kafkajs/src/errors.js') as {
      KafkaJSConnectionError: new (message: string) => Error
    }
    const { joinAndSync } = group.prototype
    const { joinGroup } = broker.prototype
    const members: Member[] = []
    let joins = 0
    let failing: 'no' | 'next' | 'was' = 'no'
    group.prototype.joinAndSync = async function (this: Member) {
      members.push(this)
      await joinAndSync.call(this)
      joins++
    }
    broker.prototype.joinGroup = async function (this: object, of) {
      if (failing === 'next') {
        failing = 'was'
        throw new KafkaJSConnectionError('the answer was lost')
      }
      return joinGroup.call(this, of)
    }
    await joinAs('a', `probe-${randomUUID()}`, () => {})
    while (joins === 0) await systemClock.sleep(20)
    failing = 'next'
    for (const member of members) member.memberId = 'of-a-former-life'
    for (let looks = 0; joins < 2 && looks < 200; looks++) await systemClock.sleep(50)
    return { joins, failing }
  },
}

interface Member {
  memberId: string | null
}

function joinAs(name: string, groupId: string, onQuiesce: () => void) {
  const lane = (): Lane => ({
    table() {},
    lost() {},
    live() {},
    quiesce: async () => onQuiesce(),
    resume() {},
    committable: () => null,
  })
  return joinLanes({
    kafka: client(name),
    groupId,
    stream: topic,
    tables: [],
    open: lane,
    clock: systemClock,
    log: silentLog(),
    sessionTimeoutMs: 6_000,
    shutdownMs: 9_000,
    queueBytesMax: 1_000_000,
    observe: { restored() {}, rebalanced() {}, lostToRetention() {} },
    onFatal: error => {
      throw error
    },
  })
}

const answer = await PROBES[probe]?.()
process.stdout.write(`${JSON.stringify(answer)}\n`, () => process.exit(0))
