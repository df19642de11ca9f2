/**
 * The floor: a consumer as one would write it first, straight on the client's own API. One message at a time, decoded by
 * the registry client, parsed, and posted on its own. No ledger, no order across a rebalance, no answer per item.
 */
import { createHash } from 'node:crypto'
import { registryLookup } from '../platform/avro/registry.ts'
import { openCodec } from '../platform/avro/codec.ts'
import { systemClock } from '../platform/clock.ts'
import { kafkaClient } from '../platform/kafka/client.ts'
import { createLog } from '../platform/log.ts'
import { processEnvironment } from '../platform/settings.ts'
import { avroSchema } from '../platform/worker.ts'
import type { GraphAlert } from '../schemas/types.ts'

const env = processEnvironment()
const topic = `${env['TOPIC_PREFIX']}alerts`
const registry = registryLookup({ url: env['SCHEMA_REGISTRY_URL'] ?? '' }, systemClock)
const codec = await openCodec<GraphAlert>(`${topic}-value`, avroSchema('alerts'), registry, systemClock)
const access = { brokers: (env['KAFKA_BROKERS'] ?? '').split(','), clientId: 'naive', tls: null, sasl: null }
const consumer = kafkaClient(access, createLog({ level: 'error', service: 'naive' })).consumer({
  groupId: `${topic}-naive`,
})

await consumer.connect()
await consumer.subscribe({ topics: [topic], fromBeginning: true })
await consumer.run({
  eachMessage: async ({ message }) => {
    const decoded = message.value && codec.decode(message.value)
    if (decoded?.kind !== 'value') return
    const { tenantId, alertId, version, alert } = decoded.value
    const id = createHash('sha256').update(`${tenantId}${alertId}${version}`).digest('base64url')
    const item = { id, tenant: { id: tenantId }, alertId, version, alert: JSON.parse(alert.toString()) as unknown }
    const response = await fetch(`${env['ENGINE_URL']}/v1/alerts:batch`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ items: [item] }),
    })
    await response.arrayBuffer()
  },
})
process.once('SIGTERM', () => process.exit(0))
