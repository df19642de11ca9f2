import { inject } from 'vitest'
import { systemClock, systemRandom } from '../../platform/clock.ts'
import { kafkaClient } from '../../platform/kafka/client.ts'
import { openPublisher } from '../../platform/kafka/producer.ts'
import { openReader } from '../../platform/kafka/reader.ts'
import { applyTopics } from '../../platform/kafka/topics.ts'
import { brokerAccess, silentLog } from './lanes-recording.ts'
import { portContract } from './port-contract.ts'

let serial = 0

portContract(async () => {
  const kafka = kafkaClient(brokerAccess(inject('stack').brokers), silentLog())
  const topic = `port-${process.pid}-${++serial}`
  const admin = kafka.admin()
  await admin.connect()
  await applyTopics(admin, [{ topic, partitions: 4, config: {} }], { clock: systemClock, random: systemRandom })
  const publisher = await openPublisher(kafka)
  const reader = await openReader(kafka)
  return {
    publisher,
    reader,
    topic,
    async [Symbol.asyncDispose]() {
      await publisher.close()
      await reader.close()
      await admin.deleteTopics({ topics: [topic] })
      await admin.disconnect()
    },
  }
})
