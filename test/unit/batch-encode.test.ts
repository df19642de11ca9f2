import { createRequire } from 'node:module'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { encodeBatch, sizedRecord } from '../../platform/kafka/batch-encode.ts'

// not through platform/kafka/kafkajs.ts: here stands the client's own encoding
const require = createRequire(import.meta.url)
const theirRecord = require('kafkajs/src/protocol/recordBatch/record/v0/index.js') as (record: object) => object
const { RecordBatch } = require('kafkajs/src/protocol/recordBatch/v0/index.js') as {
  RecordBatch: (batch: object) => Promise<{ buffer: Buffer; size(): number }>
}
const crc32c = require('kafkajs/src/protocol/recordBatch/crc32C/index.js') as (bytes: Buffer) => number
const { lookupCodec } = require('kafkajs/src/protocol/message/compression/index.js') as {
  lookupCodec: (compression: number) => { compress(body: { readonly buffer: Buffer }): Promise<Buffer> }
}

const GZIP = 1
const parts = { crc32c, codec: (compression: number) => (compression === 0 ? null : lookupCodec(compression)) }

const text = fc.string({ unit: 'grapheme', maxLength: 40 })
const bytes = fc.uint8Array({ maxLength: 300 }).map(array => Buffer.from(array))
const field = fc.oneof(text, bytes)
const record = fc.record(
  {
    key: fc.option(field),
    value: fc.option(field),
    headers: fc.dictionary(text, fc.oneof(field, fc.array(field, { maxLength: 3 })), { noNullPrototype: true }),
    timestampDelta: fc.oneof(fc.nat(), fc.nat({ max: 2 ** 45 }), fc.integer({ min: -1_000, max: 0 })),
  },
  { requiredKeys: ['key', 'value'] },
)
const batch = fc.record({
  compression: fc.constantFrom(0, GZIP),
  records: fc.array(record, { minLength: 1, maxLength: 30 }),
  firstTimestamp: fc.nat({ max: 2 ** 45 }),
  maxTimestamp: fc.nat({ max: 2 ** 45 }),
  transactional: fc.boolean(),
})

test('a batch is byte for byte what the client itself would have sent', async () => {
  await fc.assert(
    fc.asyncProperty(batch, async ({ records, ...rest }) => {
      const numbered = records.map((each, offsetDelta) => ({ ...each, offsetDelta }))
      const shared = { ...rest, lastOffsetDelta: records.length - 1 }
      const theirs = await RecordBatch({ ...shared, records: numbered.map(theirRecord) })
      const ours = await encodeBatch({ ...shared, records: numbered.map(sizedRecord) }, parts)
      expect(ours.buffer.equals(theirs.buffer)).toBe(true)
      expect(ours.size()).toBe(theirs.size())
    }),
  )
})

test('a record of 5 MB, and lengths around every power of 128', async () => {
  for (const length of [0, 63, 64, 8_191, 8_192, 1_048_575, 1_048_576, 5_000_000]) {
    const each = { key: 'k', value: Buffer.alloc(length, 7), offsetDelta: 0 }
    const shared = { firstTimestamp: 1, maxTimestamp: 1, lastOffsetDelta: 0 }
    const theirs = await RecordBatch({ ...shared, records: [theirRecord(each)] })
    const ours = await encodeBatch({ ...shared, records: [sizedRecord(each)] }, parts)
    expect(ours.buffer.equals(theirs.buffer), `${length} bytes`).toBe(true)
  }
})
