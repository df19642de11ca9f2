import { TOPICS, type TopicName } from './topics.ts'

/**
 * What each user of Kafka may do, once; all else is denied. Names are without TOPIC_PREFIX. Nobody needs a right on the
 * cluster or on a transactional id: topics are never made by using them, and producers are plain.
 */

/** scaler is whoever measures the lag of the forwarders, such as KEDA. */
export type KafkaRole = 'poller' | 'forwarder' | 'operator' | 'scaler'
/** Read and Write imply Describe; Describe alone shows offsets and that the topic exists. */
export type KafkaOperation = 'Read' | 'Write' | 'Describe' | 'DescribeConfigs' | 'Create' | 'AlterConfigs'

export interface Acl {
  readonly role: KafkaRole
  readonly resource: 'topic' | 'group'
  readonly name: string
  readonly patternType: 'literal' | 'prefix'
  readonly operations: readonly KafkaOperation[]
  readonly why: string
}

/** Groups and topics of replays begin so; a replay into any other topic needs a rule of its own. */
const REPLAY_PREFIX = 'replay.'

interface Use {
  readonly operations: readonly KafkaOperation[]
  readonly why: string
}

const table: Use = { operations: ['Read'], why: 'its table is restored from here' }

/** Beyond what every worker needs of all six topics. */
const workerUses: Readonly<Record<'poller' | 'forwarder', Partial<Record<TopicName, Use>>>> = {
  poller: {
    tenants: table,
    checkpoints: { operations: ['Read', 'Write'], why: 'restores how far each tenant is polled, and notes it' },
    alerts: { operations: ['Read', 'Write'], why: 'publishes alerts; a sweep reads what waits for the forwarders' },
    deliveries: { operations: ['Read'], why: 'a sweep compares with what was delivered' },
    parked: {
      operations: ['Read', 'Write'],
      why: 'sets foreign and unusable alerts aside; a sweep reads what is parked',
    },
  },
  forwarder: {
    tenants: table,
    alerts: {
      operations: ['Read', 'Write'],
      why: 'reads alerts; puts those of a tenant that came back on the log again',
    },
    deliveries: { operations: ['Read', 'Write'], why: 'restores the ledger, and keeps it' },
    parked: { operations: ['Read', 'Write'], why: 'sets alerts aside; reads those of a tenant that came back' },
  },
}

const operatorUses: Readonly<Record<TopicName, Use>> = {
  tenants: { operations: ['Read', 'Write'], why: 'tenants apply, list, remove' },
  checkpoints: { operations: ['Read', 'Write'], why: 'status reads; a sweep by hand notes what it has proven' },
  alerts: { operations: ['Read', 'Write'], why: 'replay and status read; sweep and parked retry publish' },
  deliveries: { operations: ['Read', 'Write'], why: 'status and sweep read; tenants remove writes' },
  parked: { operations: ['Read', 'Write'], why: 'parked list reads; discard and a sweep by hand write' },
  audit: { operations: ['Read', 'Write'], why: 'every operation is written down before it acts' },
}

export const ACLS: readonly Acl[] = [
  ...workerRows('poller', 'pollers'),
  group('poller', 'forwarders', ['Describe'], 'a sweep asks how far the forwarders have come'),
  ...workerRows('forwarder', 'forwarders'),
  ...TOPICS.map(({ name }) =>
    topic('operator', name, {
      operations: [...operatorUses[name].operations, 'Create', 'AlterConfigs', 'DescribeConfigs'],
      why: `${operatorUses[name].why}; topics apply makes and mends it`,
    }),
  ),
  {
    ...topic('operator', REPLAY_PREFIX, {
      operations: ['Write', 'Create'],
      why: 'replay --to topic: makes and fills it; investigators get a Read of their own',
    }),
    patternType: 'prefix',
  },
  {
    ...group('operator', REPLAY_PREFIX, ['Read'], 'a replay notes where it stands, in a group without members'),
    patternType: 'prefix',
  },
  group('operator', 'forwarders', ['Describe'], 'status and sweep ask how far the forwarders have come'),
  topic('scaler', 'alerts', { operations: ['Describe'], why: 'the end of the log' }),
  group('scaler', 'forwarders', ['Describe'], 'how far the forwarders have come'),
]

/** A worker looks at all topics when it starts, and refuses to run on others than the table's. */
function workerRows(role: 'poller' | 'forwarder', groupName: string): readonly Acl[] {
  return [
    ...TOPICS.map(({ name }) => {
      const use = workerUses[role][name]
      return topic(role, name, {
        operations: [...(use?.operations ?? (['Describe'] as const)), 'DescribeConfigs'],
        why: use ? `${use.why}; the check at the start` : 'the check at the start',
      })
    }),
    group(role, groupName, ['Read'], 'joins its group and commits offsets'),
  ]
}

function topic(role: KafkaRole, name: string, { operations, why }: Use): Acl {
  return { role, resource: 'topic', name, patternType: 'literal', operations, why }
}

function group(role: KafkaRole, name: string, operations: readonly KafkaOperation[], why: string): Acl {
  return { role, resource: 'group', name, patternType: 'literal', operations, why }
}
