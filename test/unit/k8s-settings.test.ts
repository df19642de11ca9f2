import { describe, expect, test } from 'vitest'
import { program } from '../../cli/commands.ts'
import { readSettings } from '../../platform/settings.ts'
import { settingNames } from '../../platform/settings-layers.ts'
import type { Role, Settings } from '../../platform/settings-table.ts'
import { parseTenantsFile } from '../../platform/tenants-file.ts'
import { variant, variants } from './k8s-build.ts'
import type { Container, KubeObject, Volume, Workload } from './k8s-kit.ts'
import { containers, ofKind, one, workloads } from './k8s-kit.ts'

type Programs = readonly { readonly workload: Workload; readonly container: Container }[]

/** Everything that runs our code against Kafka: workers and commands. */
function programs(objects: readonly KubeObject[]): Programs {
  return workloads(objects)
    .filter(({ labels }) => labels['app.kubernetes.io/name'] === 'socos')
    .flatMap(workload => containers(workload).map(container => ({ workload, container })))
}

/** As the kubelet would put it together: the last of several sources wins. */
function environment(objects: readonly KubeObject[], { env = [], envFrom = [] }: Container): Record<string, string> {
  const configs = envFrom.map(({ configMapRef }) => configOf(objects, configMapRef?.name ?? '').data)
  return Object.assign({}, ...configs, ...env.map(({ name, value }) => ({ [name]: value }))) as Record<string, string>
}

function configOf(objects: readonly KubeObject[], name: string): KubeObject {
  return one(
    ofKind(objects, 'ConfigMap').filter(({ metadata }) => metadata.name === name),
    `ConfigMap ${name}`,
  )
}

/** The files that a Secret of this name will hold, whoever makes it; null when nobody does. */
function secretFiles(objects: readonly KubeObject[], name: string): readonly string[] | null {
  const named = (kind: string): KubeObject | undefined =>
    ofKind(objects, kind).find(({ metadata }) => metadata.name === name)
  const plain = named('Secret')
  if (plain) return Object.keys(plain.data ?? {})
  if (named('KafkaUser')) return ['password', 'sasl.jaas.config']
  if (ofKind(objects, 'Kafka').some(({ metadata }) => name === `${metadata.name}-cluster-ca-cert`)) return ['ca.crt']
  const external = named('ExternalSecret')?.spec as ExternalSecret | undefined
  return external?.target.name === name ? (external.data ?? []).map(({ secretKey }) => secretKey) : null
}

interface ExternalSecret {
  readonly target: { readonly name: string }
  readonly data?: readonly { readonly secretKey: string }[]
}

/** What a volume holds. Throws for what nobody makes. */
function filesIn(objects: readonly KubeObject[], volume: Volume): readonly string[] {
  const secret = (name: string, optional = false): readonly string[] => {
    const files = secretFiles(objects, name)
    if (files === null && !optional) throw new Error(`nobody makes the Secret ${name}`)
    return files ?? []
  }
  if (volume.configMap) return Object.keys(configOf(objects, volume.configMap.name).data ?? {})
  if (volume.secret) return secret(volume.secret.secretName, volume.secret.optional)
  return (volume.projected?.sources ?? []).flatMap(source => {
    if (source.serviceAccountToken) return [source.serviceAccountToken.path]
    const { name = '', optional, items } = source.secret ?? {}
    const there = secret(name, optional)
    return items === undefined ? there : items.filter(({ key }) => there.includes(key)).map(({ path }) => path)
  })
}

function filesOf(
  objects: readonly KubeObject[],
  { pod }: Workload,
  { volumeMounts = [] }: Container,
): ReadonlySet<string> {
  const paths = volumeMounts.flatMap(({ name, mountPath, readOnly }) => {
    const volume = one(
      (pod.volumes ?? []).filter(volume => volume.name === name),
      `volume ${name}`,
    )
    if (readOnly !== true) throw new Error(`${name} is mounted writable`)
    return filesIn(objects, volume).map(file => `${mountPath}/${file}`)
  })
  return new Set(paths)
}

type Needs = Parameters<
  typeof readSettings<'cli', 'kafkaBrokers' | 'schemaRegistryUrl' | 'secretsDir' | 'engineUrl'>
>[2]
const NEEDS: Readonly<Record<string, Needs>> = {
  topics: ['kafkaBrokers'],
  schemas: ['schemaRegistryUrl'],
  tenants: ['kafkaBrokers', 'schemaRegistryUrl', 'secretsDir'],
  sweep: ['kafkaBrokers', 'schemaRegistryUrl', 'secretsDir'],
  replay: ['kafkaBrokers', 'schemaRegistryUrl', 'engineUrl'],
}

/** Reads the settings as the program in the container would, with the files that are mounted there. */
function read(objects: readonly KubeObject[], { workload, container }: Programs[number]) {
  const files = filesOf(objects, workload, container)
  const readFile = (path: string): string => {
    if (files.has(path)) return 'something'
    throw Object.assign(new Error(path), { code: 'ENOENT' })
  }
  const env = environment(objects, container)
  const [script = '', command = ''] = container.args ?? []
  const role: Role = script.startsWith('producers/') ? 'poller' : script.startsWith('consumers/') ? 'forwarder' : 'cli'
  return role === 'cli'
    ? readSettings({ env, readFile }, role, NEEDS[command] ?? [])
    : readSettings({ env, readFile }, role)
}

function allRead(objects: readonly KubeObject[]): readonly string[] {
  return programs(objects).flatMap(entry => {
    const result = read(objects, entry)
    const said = result.kind === 'bad' ? result.problems : result.warnings
    return said.map(words => `${entry.workload.name}/${entry.container.name}: ${words}`)
  })
}

describe('the settings of every program', () => {
  test.each(variants)('are complete, understood and without a warning, and their files are there, in %s', name => {
    const objects = variant(name)
    expect(
      programs(objects)
        .map(({ container }) => container.name)
        .toSorted(),
    ).toEqual(['forwarder', 'poller', 'replay', 'schemas', 'sweep', 'tenants', 'topics'])
    expect(allRead(objects)).toEqual([])
  })

  test.each(variants)('are all known, in %s', name => {
    const objects = variant(name)
    const known = new Set(settingNames())
    const used = programs(objects).flatMap(({ container }) => Object.keys(environment(objects, container)))
    expect(used.length).toBeGreaterThan(20)
    expect(used.filter(name => !known.has(name))).toEqual([])
  })

  test.each(variants)('leave the workers more time to stop than they take, and the engine to answer, in %s', name => {
    const objects = variant(name)
    const workers = programs(objects).filter(({ workload }) => workload.kind === 'Deployment')
    expect(workers).toHaveLength(2)
    for (const worker of workers) {
      const { pod } = worker.workload
      const result = read(objects, worker)
      if (result.kind === 'bad') throw new Error(result.problems.join())
      const settings = result.settings as Partial<Settings<'forwarder'>>
      const [shutdownMs = 0, engineTimeoutMs = 0] = [settings.shutdownMs, settings.engineTimeoutMs]
      expect(shutdownMs).toBeGreaterThan(engineTimeoutMs)
      expect((pod.terminationGracePeriodSeconds ?? 0) * 1_000).toBeGreaterThanOrEqual(shutdownMs + 10_000)
    }
  })

  test('are those of production where it is production', () => {
    for (const name of variants) {
      const objects = variant(name)
      const wanted = name === 'dev' ? 'development' : 'production'
      for (const { container } of programs(objects)) expect(environment(objects, container)['NODE_ENV']).toBe(wanted)
    }
  })

  const breaches: readonly (readonly [string, (objects: KubeObject[]) => void])[] = [
    ['a misspelt setting', o => configs(o).forEach(data => rename(data, 'ENGINE_URL', 'ENGINE_ULR'))],
    ['a setting that is missing', o => configs(o).forEach(data => delete data['KAFKA_BROKERS'])],
    ['a value that is none', o => configs(o).forEach(data => (data['LOG_LEVEL'] = 'loud'))],
    ['plain http to the engine', o => configs(o).forEach(data => (data['ENGINE_URL'] = 'http://engine.example'))],
    ['a simulator in production', o => configs(o).forEach(data => (data['GRAPH_SANDBOX_URL'] = 'http://graph:8080'))],
    ['a Secret that nobody makes', o => o.splice(0, o.length, ...o.filter(({ kind }) => kind !== 'KafkaUser'))],
    [
      'a key that is not in the Secret',
      o => ofKind(o, 'ExternalSecret').forEach(({ spec }) => Object.assign(spec ?? {}, { data: [] })),
    ],
    [
      'a mount that is missing',
      o => workloads(o).forEach(({ pod }) => pod.containers.forEach(container => delete container.volumeMounts)),
    ],
    [
      'a mount that may be written',
      o =>
        workloads(o).forEach(({ pod }) =>
          pod.containers.forEach(({ volumeMounts = [] }) => volumeMounts.forEach(mount => delete mount.readOnly)),
        ),
    ],
  ]
  test.each(breaches)('%s is found', (_, change) => {
    const objects = variant('prod')
    change(objects)
    const found = (): readonly string[] => {
      try {
        return allRead(objects)
      } catch (error) {
        return [String(error)]
      }
    }
    expect(found()).not.toEqual([])
  })

  const configs = (objects: readonly KubeObject[]): Record<string, string>[] =>
    ofKind(objects, 'ConfigMap').map(({ data = {} }) => data)
  const rename = (data: Record<string, string>, from: string, to: string): void => {
    if (data[from] === undefined) return
    data[to] = data[from]
    delete data[from]
  }
})

describe('the commands of jobs', () => {
  const commands = program({ env: {}, out: () => {}, say: () => {}, isErrTty: false }, async () => {})

  /** What `socos` would not understand. */
  const odd = (args: readonly string[]): readonly string[] => {
    let command = commands
    const rest = [...args]
    for (let next = rest[0]; next !== undefined; next = rest[0]) {
      const found = command.commands.find(child => child.name() === next)
      if (!found) break
      command = found
      rest.shift()
    }
    if (command.commands.length > 0) return [`${args.join(' ')} is no command`]
    const { operands, unknown } = command.parseOptions(rest)
    return [...operands, ...unknown]
  }

  test.each(variants)('are understood in %s', name => {
    const jobs = programs(variant(name)).flatMap(({ container }) =>
      container.args?.[0] === 'cli/socos.ts' ? [container] : [],
    )
    expect(jobs.length).toBe(5)
    for (const { args = [] } of jobs) expect(odd(args.slice(1)), args.join(' ')).toEqual([])
  })

  test('and what is not is found', () => {
    for (const wrong of [['topics'], ['topics', 'aply'], ['sweep', '--sinze', '2h'], ['replay', 'now']]) {
      expect(odd(wrong), wrong.join(' ')).not.toEqual([])
    }
  })

  test('that people start run nothing by themselves', () => {
    for (const name of variants) {
      for (const { spec } of ofKind(variant(name), 'CronJob')) expect(spec).toMatchObject({ suspend: true })
    }
  })
})

const tenantsConfig = ({ pod }: Workload): string =>
  pod.volumes?.find(({ name }) => name === 'tenants')?.configMap?.name ?? ''

describe('the tenants file', () => {
  test.each(variants)(
    'makes, once changed, another job of its own, which the API server refuses where it would do nothing else, in %s',
    name => {
      const [job] = programs(variant(name)).filter(({ container }) => container.name === 'tenants')
      expect(job && tenantsConfig(job.workload)).toMatch(/^socos-tenants-[a-z0-9]{10}$/)
    },
  )

  test.each(variants)('is accepted by the job that applies it, each credential being mounted, in %s', name => {
    const objects = variant(name)
    const entry = one(
      programs(objects).filter(({ container }) => container.name === 'tenants'),
      'jobs for tenants',
    )
    const mounted = filesOf(objects, entry.workload, entry.container)
    const [, , , , file = ''] = entry.container.args ?? []
    expect(mounted).toContain(file)
    const content = configOf(objects, tenantsConfig(entry.workload)).data?.['tenants.yaml'] ?? ''
    const secretsDir = environment(objects, entry.container)['SECRETS_DIR'] ?? ''
    const accepted = (exists: (path: string) => boolean): string =>
      parseTenantsFile(content, { secretsDir, exists }).kind
    expect(accepted(path => mounted.has(path))).toBe('ok')
    expect(accepted(() => false)).toBe('bad')
    // whoever polls has the same files in the same place
    for (const reader of programs(objects).filter(({ container }) => ['poller', 'sweep'].includes(container.name))) {
      const own = [...filesOf(objects, reader.workload, reader.container)].filter(path => path.startsWith(secretsDir))
      expect(own).toEqual([...mounted].filter(path => path.startsWith(secretsDir)))
      expect(environment(objects, reader.container)['SECRETS_DIR']).toBe(secretsDir)
    }
  })
})
