/**
 * Attribute names of spans, once. The messaging conventions of OpenTelemetry are still in development: when they change,
 * they change here. Values are ids, names of ours and counts; nothing of an alert, no name of a customer.
 */
export const ATTRIBUTES = {
  // as in the semantic conventions 1.44
  system: 'messaging.system',
  operationName: 'messaging.operation.name',
  operationType: 'messaging.operation.type',
  destination: 'messaging.destination.name',
  partition: 'messaging.destination.partition.id',
  offset: 'messaging.kafka.offset',
  messages: 'messaging.batch.message_count',
  method: 'http.request.method',
  errorType: 'error.type',
  // our own
  tenant: 'socos.tenant.id',
  lane: 'socos.lane',
  origin: 'socos.alerts.origin',
  listed: 'socos.alerts.listed',
  published: 'socos.alerts.published',
  quarantined: 'socos.alerts.quarantined',
  outcome: 'socos.outcome',
} as const

type AttributeName = (typeof ATTRIBUTES)[keyof typeof ATTRIBUTES]
export type SpanAttributes = Readonly<Partial<Record<AttributeName, string | number>>>

/** Of a record on Kafka and of a request to the engine: W3C Trace Context. */
export const TRACEPARENT = 'traceparent'
