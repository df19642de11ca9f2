/** The one topic table. Names carry TOPIC_PREFIX; every topic keyed by tenant has one partition per lane. */

const DAY_MS = 86_400_000
const MIB = 1_048_576

export type TopicName = 'tenants' | 'checkpoints' | 'alerts' | 'deliveries' | 'parked' | 'audit'
export type SchemaName = 'tenant' | 'checkpoint' | 'graph-alert' | 'delivery' | 'parked' | 'audit-entry'

export interface TopicSpec {
  readonly name: TopicName
  /** What the key of a record is. */
  readonly key: string
  /** File `<schema>.avsc`; subject `<topic>-value` (TopicNameStrategy). */
  readonly schema: SchemaName
  readonly partitions: 'lanes' | number
  readonly cleanup: 'compact' | 'delete' | 'compact,delete'
  /** null: kept for ever (compacted). */
  readonly retentionMs: number | null
  readonly maxMessageBytes: number
  /** Nothing younger is compacted away. */
  readonly compactionLagMs?: number
  readonly purpose: string
}

export const TOPICS: readonly TopicSpec[] = [
  {
    name: 'tenants',
    key: 'tenantId',
    schema: 'tenant',
    partitions: 'lanes',
    cleanup: 'compact',
    retentionMs: null,
    maxMessageBytes: MIB,
    purpose: 'the customers: how they are polled, what their alerts are enriched with',
  },
  {
    name: 'checkpoints',
    key: 'tenantId',
    schema: 'checkpoint',
    partitions: 'lanes',
    cleanup: 'compact',
    retentionMs: null,
    maxMessageBytes: MIB,
    purpose: 'how far each tenant is polled, and the receipt of its last poll',
  },
  {
    name: 'alerts',
    key: 'tenantId/alertId',
    schema: 'graph-alert',
    partitions: 'lanes',
    cleanup: 'delete',
    retentionMs: 30 * DAY_MS,
    maxMessageBytes: 8 * MIB,
    purpose: 'every revision of every alert, verbatim',
  },
  {
    name: 'deliveries',
    key: 'tenantId/alertId',
    schema: 'delivery',
    partitions: 'lanes',
    cleanup: 'compact,delete',
    retentionMs: 35 * DAY_MS,
    maxMessageBytes: MIB,
    // what a woken zombie wrote last must not stand alone before the owner, who writes totals once a day, wrote again
    compactionLagMs: 1.25 * DAY_MS,
    purpose: 'the ledger: what the engine has, and the totals of each tenant',
  },
  {
    name: 'parked',
    key: 'tenantId/alertId',
    schema: 'parked',
    partitions: 'lanes',
    cleanup: 'delete',
    retentionMs: 90 * DAY_MS,
    maxMessageBytes: 8 * MIB,
    purpose: 'what could not be delivered, verbatim, with its reason',
  },
  {
    name: 'audit',
    key: 'operationId',
    schema: 'audit-entry',
    partitions: 1,
    cleanup: 'delete',
    retentionMs: 400 * DAY_MS,
    maxMessageBytes: MIB,
    purpose: 'who did what and why',
  },
]

export function topicSpec(name: TopicName): TopicSpec {
  const found = TOPICS.find(topic => topic.name === name)
  if (!found) throw new Error(`no topic ${name} in schemas/topics.ts`)
  return found
}

/** Topic-level settings as Kafka spells them. */
export function topicConfig(spec: TopicSpec): Readonly<Record<string, string>> {
  return {
    'cleanup.policy': spec.cleanup,
    'retention.ms': String(spec.retentionMs ?? -1),
    'max.message.bytes': String(spec.maxMessageBytes),
    // producers compress with zstd; the broker keeps what they sent
    'compression.type': 'producer',
    // a tombstone or an old revision must outlive the longest outage of a reader
    ...(spec.cleanup === 'delete' ? {} : { 'delete.retention.ms': String(7 * DAY_MS) }),
    ...(spec.compactionLagMs === undefined ? {} : { 'min.compaction.lag.ms': String(spec.compactionLagMs) }),
  }
}
