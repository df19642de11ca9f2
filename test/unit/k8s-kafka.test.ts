import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { manifests } from '../../k8s/generate.ts'
import { ACLS } from '../../schemas/acls.ts'
import { TOPICS, topicConfig } from '../../schemas/topics.ts'
import { K8S, variant } from './k8s-build.ts'
import type { KubeObject } from './k8s-kit.ts'
import { ofKind, one, specOf } from './k8s-kit.ts'

describe('what is generated', () => {
  test.each(Object.keys(manifests()))('%s is up to date (npm run k8s:generate)', path => {
    expect(readFileSync(join(K8S, path), 'utf8')).toBe(manifests()[path])
  })
})

interface KafkaUser {
  readonly authentication: { readonly type: string }
  readonly authorization: {
    readonly type: string
    readonly acls: readonly {
      readonly type: string
      readonly host?: string
      readonly operations: readonly string[]
      readonly resource: { readonly type: string; readonly name: string; readonly patternType: string }
    }[]
  }
}

// read from what is built, not from the generator
describe('topics and rights in the cluster are those of the code', () => {
  const settings = (objects: readonly KubeObject[], name: string): Record<string, string> =>
    one(
      ofKind(objects, 'ConfigMap').filter(({ metadata }) => metadata.name.startsWith(`${name}-`)),
      name,
    ).data ?? {}

  test('every topic of the table, and no other', () => {
    const objects = variant('prod')
    const prefix = settings(objects, 'socos-settings')['TOPIC_PREFIX'] ?? ''
    const lanes = Number(settings(objects, 'socos-operator')['LANES'])
    const topics = ofKind(objects, 'KafkaTopic').map(({ spec }) => spec)
    expect(topics).toHaveLength(TOPICS.length)
    expect(topics).toEqual(
      expect.arrayContaining(
        TOPICS.map(spec => ({
          topicName: prefix + spec.name,
          partitions: spec.partitions === 'lanes' ? lanes : spec.partitions,
          replicas: 3,
          config: topicConfig(spec),
        })),
      ),
    )
  })

  test('every right of the table, and no other', () => {
    const users = ofKind(variant('prod'), 'KafkaUser')
    const rights = users.flatMap(({ metadata, spec }) => {
      const { authentication, authorization } = spec as unknown as KafkaUser
      expect([authentication.type, authorization.type]).toEqual(['scram-sha-512', 'simple'])
      return authorization.acls.map(({ type, host = '*', operations, resource }) => {
        const { type: kind, name, patternType } = resource
        return [metadata.name, type, host, kind, name, patternType, operations.toSorted().join()].join(' ')
      })
    })
    const wanted = ACLS.map(({ role, resource, name, patternType, operations }) =>
      [`socos-${role}`, 'allow', '*', resource, `socos.${name}`, patternType, operations.toSorted().join()].join(' '),
    )
    expect(rights.toSorted()).toEqual(wanted.toSorted())
  })

  test('every client signs in as the user of its role', () => {
    const objects = variant('prod')
    const users = new Set(ofKind(objects, 'KafkaUser').map(({ metadata }) => metadata.name))
    for (const role of ['poller', 'forwarder', 'operator']) {
      const user = settings(objects, `socos-${role}`)['KAFKA_SASL_USERNAME']
      expect(user).toBe(`socos-${role}`)
      expect(users).toContain(user)
    }
  })

  test('everything belongs to the one cluster', () => {
    const objects = variant('prod')
    const { metadata } = one(ofKind(objects, 'Kafka'), 'Kafka')
    for (const { kind, metadata: own } of objects.filter(({ apiVersion }) =>
      apiVersion.startsWith('kafka.strimzi.io/'),
    )) {
      if (kind !== 'Kafka') expect(own.labels?.['strimzi.io/cluster']).toBe(metadata.name)
    }
    expect(settings(objects, 'socos-settings')['KAFKA_BROKERS']).toBe(`${metadata.name}-kafka-bootstrap:9093`)
  })
})

describe('the Kafka cluster', () => {
  const kafka = () =>
    one(ofKind(variant('prod'), 'Kafka'), 'Kafka').spec?.['kafka'] as {
      readonly listeners: readonly Readonly<Record<string, unknown>>[]
      readonly authorization: Readonly<Record<string, unknown>>
      readonly config: Readonly<Record<string, unknown>>
    }

  test('keeps three copies, acknowledges with two, and makes no topic by accident', () => {
    expect(kafka().config).toMatchObject({
      'auto.create.topics.enable': false,
      'default.replication.factor': 3,
      'min.insync.replicas': 2,
      'offsets.topic.replication.factor': 3,
      'unclean.leader.election.enable': false,
    })
    const brokers = ofKind(variant('prod'), 'KafkaNodePool').filter(pool =>
      (specOf(pool) as { readonly roles: readonly string[] }).roles.includes('broker'),
    )
    expect(brokers.map(({ spec }) => spec?.['replicas'])).toEqual([3])
  })

  test('takes the largest record of the table', () => {
    const largest = Math.max(...TOPICS.map(({ maxMessageBytes }) => maxMessageBytes))
    expect(kafka().config['message.max.bytes']).toBeGreaterThanOrEqual(largest)
    expect(kafka().config['replica.fetch.max.bytes']).toBeGreaterThanOrEqual(largest)
    const [broker] = ofKind(variant('dev'), 'StatefulSet')
    const text = JSON.stringify(broker)
    for (const name of ['KAFKA_MESSAGE_MAX_BYTES', 'KAFKA_REPLICA_FETCH_MAX_BYTES']) {
      expect(text).toContain(`{"name":"${name}","value":"${largest}"}`)
    }
  })

  test('remembers offsets for longer than it keeps alerts', () => {
    const kept = Math.max(...TOPICS.filter(({ name }) => name === 'alerts').map(({ retentionMs }) => retentionMs ?? 0))
    expect(Number(kafka().config['offsets.retention.minutes']) * 60_000).toBeGreaterThan(kept)
  })

  test('lets nobody in without TLS and a password, and has no super user', () => {
    expect(kafka().listeners).toMatchObject([{ port: 9093, tls: true, authentication: { type: 'scram-sha-512' } }])
    expect(kafka().authorization).toEqual({ type: 'simple' })
  })
})

describe('KEDA', () => {
  interface ScaledObject {
    readonly minReplicaCount: number
    readonly maxReplicaCount: number
    readonly scaleTargetRef: { readonly name: string }
    readonly triggers: readonly { readonly metadata: Readonly<Record<string, string>> }[]
  }

  test('asks with the rights of the scaler, for what the forwarders read, never to zero and never past the lanes', () => {
    const objects = variant('prod with keda')
    const { minReplicaCount, maxReplicaCount, scaleTargetRef, triggers } = one(
      ofKind(objects, 'ScaledObject'),
      'ScaledObject',
    ).spec as unknown as ScaledObject
    const lanes = ofKind(objects, 'KafkaTopic').find(({ metadata }) => metadata.name === 'socos-alerts')?.spec?.[
      'partitions'
    ]
    expect(minReplicaCount).toBeGreaterThan(1)
    expect(maxReplicaCount).toBeLessThanOrEqual(Number(lanes))
    expect(ofKind(objects, 'Deployment').map(({ metadata }) => metadata.name)).toContain(scaleTargetRef.name)
    const { topic, consumerGroup, bootstrapServers, version } = one(triggers, 'triggers').metadata
    const names = (resource: string) =>
      ACLS.filter(acl => acl.role === 'scaler' && acl.resource === resource).map(({ name }) => `socos.${name}`)
    expect([topic]).toEqual(names('topic'))
    expect([consumerGroup]).toEqual(names('group'))
    expect(bootstrapServers).toMatch(/^socos-kafka-bootstrap\.socos\.svc:9093$/)
    expect(Number(version?.split('.')[0])).toBeGreaterThanOrEqual(4)
    const kinds = JSON.stringify(ofKind(objects, 'TriggerAuthentication'))
    for (const name of ['socos-scaler', 'socos-cluster-ca-cert']) expect(kinds).toContain(`"name":"${name}"`)
  })
})
