import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ValidateFunction } from 'ajv'
import { Ajv } from 'ajv'
import { describe, expect, test } from 'vitest'
import { variant, variants } from './k8s-build.ts'
import type { KubeObject, PodSpec } from './k8s-kit.ts'
import { ofKind, one, workloads } from './k8s-kit.ts'
import { ROOT } from './project-files.ts'

/** Cut from the OpenAPI of Kubernetes and from CRDs, closed to unknown fields: test/data/k8s/README.md. */
interface SchemaFile {
  readonly source: string
  readonly version: string
  readonly licence: string
  readonly kinds: Readonly<Record<string, string>>
  readonly definitions: Readonly<Record<string, unknown>>
}

const FOLDER = join(ROOT, 'test/data/k8s')
const files = readdirSync(FOLDER).filter(name => name.endsWith('.json'))
const validators = new Map<string, ValidateFunction>()
for (const name of files) {
  const { kinds, definitions } = JSON.parse(readFileSync(join(FOLDER, name), 'utf8')) as SchemaFile
  const ajv = new Ajv({ allErrors: true, strict: false })
  ajv.addSchema({ definitions }, name)
  for (const [kind, definition] of Object.entries(kinds)) {
    const validate = ajv.getSchema(`${name}#/definitions/${definition}`)
    if (validate) validators.set(kind, validate)
  }
}

function faults(objects: readonly KubeObject[]): readonly string[] {
  return objects.flatMap(object => {
    const { apiVersion, kind, metadata } = object
    const validate = validators.get(`${apiVersion}/${kind}`)
    if (!validate) return [`${kind} ${metadata.name}: there is no ${apiVersion} ${kind}`]
    if (validate(object)) return []
    return (validate.errors ?? []).map(({ instancePath, message, params }) => {
      return `${kind} ${metadata.name}${instancePath}: ${message} ${JSON.stringify(params)}`
    })
  })
}

describe('every object fits the schema of Kubernetes or of its CRD', () => {
  test.each(variants)('%s', name => {
    const objects = variant(name)
    expect(objects.length).toBeGreaterThan(20)
    expect(faults(objects)).toEqual([])
  })

  test('no object is there twice', () => {
    for (const name of variants) {
      const names = variant(name).map(({ kind, metadata }) => `${kind} ${metadata.name}`)
      expect(names).toEqual([...new Set(names)])
    }
  })
})

describe('what is wrong is found', () => {
  const spoil = (name: string, change: (objects: KubeObject[]) => void): readonly string[] => {
    const objects = variant(name)
    change(objects)
    return faults(objects)
  }
  const pod = (objects: readonly KubeObject[], name: string): PodSpec =>
    one(
      workloads(objects).filter(workload => workload.name === name),
      name,
    ).pod
  const specOf = (objects: readonly KubeObject[], kind: string): Record<string, unknown> =>
    ofKind(objects, kind)[0]?.spec ?? {}
  const rename = (object: object, from: string, to: string): void => {
    const record = object as Record<string, unknown>
    record[to] = record[from]
    delete record[from]
  }

  const cases: readonly (readonly [string, string, (objects: KubeObject[]) => void])[] = [
    [
      'a misspelt field of a pod',
      'prod',
      o => rename(pod(o, 'socos-poller'), 'enableServiceLinks', 'enableServiceLink'),
    ],
    ['a misspelt field of a container', 'dev', o => rename(pod(o, 'kafka').containers[0] ?? {}, 'image', 'imagee')],
    [
      'a misspelt field of a deployment',
      'prod',
      o => rename(specOf(o, 'Deployment'), 'minReadySeconds', 'minReadySecond'),
    ],
    ['a text where a number belongs', 'prod', o => void (specOf(o, 'Deployment')['replicas'] = '2')],
    ['a value that is none', 'prod', o => void (specOf(o, 'CronJob')['concurrencyPolicy'] = 'Never')],
    [
      'a memory that is no quantity',
      'prod',
      o => {
        for (const { resources } of pod(o, 'socos-poller').containers)
          Object.assign(resources?.limits ?? {}, { memory: '1 GB' })
      },
    ],
    [
      'an old API of Strimzi',
      'prod',
      o => ofKind(o, 'KafkaTopic').forEach(topic => (topic.apiVersion = 'kafka.strimzi.io/v1beta2')),
    ],
    [
      'the old singular operation of an ACL',
      'prod',
      o => {
        const { authorization } = specOf(o, 'KafkaUser') as { authorization: { acls: object[] } }
        for (const acl of authorization.acls) rename(acl, 'operations', 'operation')
      },
    ],
    [
      'a field of KEDA that does not exist',
      'prod with keda',
      o => rename(specOf(o, 'ScaledObject'), 'minReplicaCount', 'minReplicas'),
    ],
    [
      'a number among the texts of a trigger',
      'prod with keda',
      o => {
        const { triggers } = specOf(o, 'ScaledObject') as { triggers: { metadata: Record<string, unknown> }[] }
        for (const { metadata } of triggers) metadata['lagThreshold'] = 10
      },
    ],
    ['a misspelt field of a PodMonitor', 'prod', o => rename(specOf(o, 'PodMonitor'), 'jobLabel', 'jobLable')],
    ['a store without a name', 'prod', o => rename(specOf(o, 'ExternalSecret'), 'secretStoreRef', 'storeRef')],
    [
      'a kind that nobody knows',
      'prod',
      o => ofKind(o, 'PodDisruptionBudget').forEach(budget => (budget.apiVersion = 'policy/v1beta1')),
    ],
  ]
  test.each(cases)('%s', (_, name, change) => {
    expect(spoil(name, () => {})).toEqual([])
    expect(spoil(name, change)).not.toEqual([])
  })
})

test('every file of schemas says where it is from', () => {
  expect(files.length).toBe(5)
  for (const name of files) {
    const { source, version, licence } = JSON.parse(readFileSync(join(FOLDER, name), 'utf8')) as SchemaFile
    expect([source, version, licence]).toEqual([
      expect.stringMatching(/\w{4}/),
      expect.stringMatching(/^\d+\.\d+/),
      'Apache-2.0',
    ])
  }
})
