import { createRequire } from 'node:module'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { FetchedBatch } from '../../platform/kafka/fetched-batch.ts'

// not through platform/kafka/kafkajs.ts: here stands the client's own
const require = createRequire(import.meta.url)
const Theirs = require('kafkajs/src/consumer/batch.js') as typeof FetchedBatch

const part = fc.record({
  partition: fc.nat({ max: 9 }),
  highWatermark: fc.nat({ max: 60 }).map(String),
  messages: fc
    .array(fc.record({ offset: fc.nat({ max: 60 }), isControlRecord: fc.boolean() }))
    .map(records =>
      records.toSorted((a, b) => a.offset - b.offset).map(record => ({ ...record, offset: String(record.offset) })),
    ),
})

test('a fetched batch says of itself what the client itself would have said', () => {
  fc.assert(
    fc.property(part, fc.nat({ max: 60 }), (it, fetchedOffset) => {
      const ours = new FetchedBatch('t', String(fetchedOffset), it)
      const theirs = new Theirs('t', String(fetchedOffset), it)
      expect(Object.entries(ours)).toEqual(expect.arrayContaining(Object.entries(theirs)))
      for (const name of Object.getOwnPropertyNames(Theirs.prototype) as (keyof FetchedBatch)[]) {
        if (name === ('constructor' as string)) continue
        const answerOf = (batch: FetchedBatch) => (batch[name] as () => unknown).call(batch)
        expect(answerOf(ours), name).toBe(answerOf(theirs))
      }
    }),
  )
})
