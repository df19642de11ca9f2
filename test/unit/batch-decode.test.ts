import { createRequire } from 'node:module'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { decodeBatch, offsetOf, timestampMsOf } from '../../platform/kafka/batch-decode.ts'

// not through platform/kafka/kafkajs.ts: here stands the client's own decoding
const require = createRequire(import.meta.url)
interface Source {
  readonly buffer: Buffer
  offset: number
}
const Decoder = require('kafkajs/src/protocol/decoder.js') as new (bytes: Buffer) => Source
const theirDecode = require('kafkajs/src/protocol/recordBatch/v0/decoder.js') as (source: Source) => Promise<object>
const theirRecord = require('kafkajs/src/protocol/recordBatch/record/v0/index.js') as (record: object) => object
const { RecordBatch } = require('kafkajs/src/protocol/recordBatch/v0/index.js') as {
  RecordBatch: (batch: object) => Promise<{ buffer: Buffer }>
}
const { lookupCodecByAttributes } = require('kafkajs/src/protocol/message/compression/index.js') as {
  lookupCodecByAttributes: (attributes: number) => { decompress(packed: Buffer): Promise<Buffer> } | null
}
const parts = { codec: lookupCodecByAttributes, partial: (message: string) => new Error(`partial: ${message}`) }

const LOG_APPEND_TIME = 0x8
const CONTROL = 0x20
const ATTRIBUTES_AT = 22

const name = fc.string({ unit: 'grapheme-ascii', maxLength: 20 }).filter(text => !(text in {})) // theirs mixes those up with what every object has
const bytes = fc.uint8Array({ maxLength: 300 }).map(array => Buffer.from(array))
const record = fc.record({
  key: fc.option(bytes),
  value: fc.option(bytes),
  headers: fc.dictionary(name, fc.oneof(bytes, fc.array(bytes, { minLength: 1, maxLength: 3 })), {
    noNullPrototype: true,
  }),
  timestampDelta: fc.oneof(fc.nat(), fc.nat({ max: 2 ** 40 })),
  gap: fc.nat({ max: 3 }),
})
const batch = fc.record({
  compression: fc.constantFrom(0, 1),
  records: fc.array(record, { minLength: 1, maxLength: 30 }),
  firstOffset: fc.nat({ max: 2 ** 50 }),
  firstTimestamp: fc.nat({ max: 2 ** 41 }),
  transactional: fc.boolean(),
  producerId: fc.nat(),
  flags: fc.constantFrom(0, LOG_APPEND_TIME, CONTROL),
})

/** With the texts that are only made when they are asked for, in the place of the numbers behind them. */
function plain({ records, ...batch }: Awaited<ReturnType<typeof decodeBatch>>): object {
  return {
    ...batch,
    records: records.map(each => {
      const { at, timestampMs, ...rest } = each
      expect([offsetOf(each), timestampMsOf(each)]).toEqual([at, timestampMs])
      return { ...rest, offset: each.offset, timestamp: each.timestamp }
    }),
  }
}

test('a batch reads as the client itself would have read it, wherever in an answer it lies', async () => {
  await fc.assert(
    fc.asyncProperty(batch, fc.nat({ max: 40 }), async ({ records, flags, ...rest }, before) => {
      let offsetDelta = 0
      const numbered = records.map(({ gap, ...each }) => ({ ...each, offsetDelta: (offsetDelta += gap) }))
      const { buffer } = await RecordBatch({
        ...rest,
        lastOffsetDelta: offsetDelta,
        maxTimestamp: rest.firstTimestamp + 5,
        records: numbered.map(theirRecord),
      })
      const answer = Buffer.concat([Buffer.alloc(before, 9), buffer, buffer])
      answer.writeInt16BE(answer.readInt16BE(before + ATTRIBUTES_AT - 1) | flags, before + ATTRIBUTES_AT - 1)
      const [theirs, ours] = [new Decoder(answer), new Decoder(answer)]
      theirs.offset = ours.offset = before
      for (let n = 0; n < 2; n++) {
        expect(plain(await decodeBatch(ours, parts))).toEqual(await theirDecode(theirs))
        expect(ours.offset).toBe(theirs.offset)
      }
    }),
  )
})

test('a batch that is cut off anywhere is told as such', async () => {
  const { buffer } = await RecordBatch({ records: [theirRecord({ key: 'k', value: Buffer.from('v') })] })
  for (let length = 12; length < buffer.length; length++) {
    await expect(decodeBatch({ buffer: buffer.subarray(0, length), offset: 0 }, parts)).rejects.toThrow('partial')
  }
})

test('bytes that are no records end, whatever they claim', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uint8Array({ maxLength: 400 }),
      fc.integer({ min: -5, max: 2 ** 31 - 1 }),
      async (body, count) => {
        const buffer = Buffer.concat([Buffer.alloc(61), body])
        buffer.writeInt32BE(buffer.length - 12, 8)
        buffer.writeInt32BE(count, 57)
        const { records } = await decodeBatch({ buffer, offset: 0 }, parts)
        expect(records.length).toBeLessThanOrEqual(Math.max(0, Math.min(count, body.length)))
      },
    ),
  )
})

test('a header named as a member of every object is a header', async () => {
  const headers = Object.defineProperty({}, '__proto__', { value: Buffer.from('x'), enumerable: true })
  const { buffer } = await RecordBatch({ records: [theirRecord({ key: 'k', value: null, headers })] })
  const { records } = await decodeBatch({ buffer, offset: 0 }, parts)
  expect(Object.entries(records[0]?.headers ?? {})).toEqual([['__proto__', Buffer.from('x')]])
  expect(Object.getPrototypeOf(records[0]?.headers)).toBe(Object.prototype)
})
