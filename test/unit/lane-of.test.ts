import * as fc from 'fast-check'
import kafkajs from 'kafkajs'
import { expect, test } from 'vitest'
import { laneOf, murmur2 } from '../../platform/kafka/lane-of.ts'

test.each([
  ['21', -973_932_308],
  ['foobar', -790_332_482],
  ['a-little-bit-long-string', -985_981_536],
  ['a-little-bit-longer-string', -1_486_304_829],
  ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58_897_971],
  ['abc', 479_470_107],
])('murmur2 of %s is the value in the tests of Apache Kafka (UtilsTest.testMurmur2)', (text, hash) => {
  expect(murmur2(Buffer.from(text))).toBe(hash)
})

test('the lane of a key is the partition that the default partitioner gives it', () => {
  const partitioner = kafkajs.Partitioners.DefaultPartitioner()
  const key = fc.oneof(fc.string({ unit: 'binary' }), fc.uuid(), fc.string({ maxLength: 8 }))
  fc.assert(
    fc.property(key, fc.integer({ min: 1, max: 256 }), (tenantId, lanes) => {
      fc.pre(tenantId !== '') // no key at all is another case for the partitioner, and no tenant
      const partitionMetadata = Array.from({ length: lanes }, (_, partitionId) => ({
        partitionId,
        partitionErrorCode: 0,
        leader: 1,
        replicas: [1],
        isr: [1],
      }))
      const partition = partitioner({ topic: 'any', partitionMetadata, message: { key: tenantId, value: null } })
      expect(laneOf(tenantId, lanes)).toBe(partition)
    }),
    { numRuns: 500 },
  )
})

test('a key of any bytes has a lane within the bounds', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.integer({ min: 1, max: 4_096 }), (key, lanes) => {
      const lane = laneOf(key, lanes)
      expect(Number.isInteger(lane) && lane >= 0 && lane < lanes).toBe(true)
    }),
  )
})
