import { chmod, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, inject, test } from 'vitest'
import { startEngineSim } from '../../sandbox/engine/sim.ts'
import { startGraphSim } from '../../sandbox/graph/sim.ts'
import { writeTenantFiles } from '../../sandbox/graph/tenants.ts'
import { startStack } from '../../sandbox/kafka/ladder.ts'
import { thisOwner } from '../../sandbox/kafka/leftovers.ts'
import { freePorts } from '../../sandbox/kafka/ports.ts'
import { judge } from '../../sandbox/oracle.ts'
import { until } from '../kafka/pipeline/kit.ts'
import { projectFiles, ROOT } from '../unit/project-files.ts'
import { docker, labelFlags, newRunId, removeLeftovers, removeRun, run } from './docker.ts'

const images = inject('images')
const { production, sandbox, runId } = images.kind === 'built' ? images : { production: '', sandbox: '', runId: '' }
const HARDENED = ['--user=65532:65532', '--cap-drop=ALL', '--security-opt=no-new-privileges'] as const
const FOLDERS = ['cli', 'consumers', 'platform', 'producers', 'schemas']

interface Bom {
  readonly serialNumber?: string
  readonly metadata: { readonly timestamp?: string; readonly component: { readonly name: string } }
  readonly components: readonly { readonly name: string; readonly version: string }[]
}

interface Lockfile {
  readonly packages: Readonly<Record<string, LockedPackage>>
}

interface LockedPackage {
  readonly version?: string
  readonly dev?: boolean
  readonly optional?: boolean
  readonly devOptional?: boolean
}

// skipped without a container engine; images.ts says so loudly, at the beginning and at the end
describe('the images', { skip: images.kind === 'absent' }, () => {
  test('the Dockerfile builds both from bases that are at hand, without a network', () => {
    expect(images).toMatchObject({ kind: 'built' })
  })

  test('run as a numeric user without privileges, and say what they are', async () => {
    const { version } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as { version: string }
    const config = await configOf(production)
    expect(config).toMatchObject({ User: '65532:65532', WorkingDir: '/app', Entrypoint: ['node'] })
    expect(config.Cmd).toEqual(['cli/socos.ts', '--help'])
    expect(config.Env).toContain('NODE_ENV=production')
    expect(config.Labels).toMatchObject({
      'org.opencontainers.image.title': 'socos-graph-pipeline',
      'org.opencontainers.image.licenses': 'Apache-2.0',
      'org.opencontainers.image.version': version,
      'org.opencontainers.image.revision': 'tested',
    })
    expect((await configOf(sandbox)).Labels['org.opencontainers.image.title']).toBe('socos-graph-pipeline-sandbox')
  })

  test('the production image has the programs and the schemas, and nothing else of what lies in the tree', async () => {
    const wanted = projectFiles()
      .map(({ path }) => path)
      .filter(path => FOLDERS.includes(path.split('/')[0] ?? '') && /\.(?:ts|avsc)$/.test(path))
      .filter(path => path !== 'schemas/generate.ts')
    const there = (await filesOf(production)).filter(path => !path.startsWith('app/node_modules/'))
    expect(there.toSorted()).toEqual(
      [...wanted, 'LICENSE', 'package.json', 'sbom.json'].map(path => `app/${path}`).toSorted(),
    )
  })

  test('the sandbox image adds the simulators, and nothing else', async () => {
    const before = new Set(await filesOf(production))
    const added = (await filesOf(sandbox)).filter(path => !before.has(path))
    expect(added.filter(path => !/^app\/sandbox\/(?:(?:engine|graph)\/[\w-]+|welcome)\.ts$/.test(path))).toEqual([])
    expect(added).toContain('app/sandbox/graph/main.ts')
  })

  test('exactly the production packages are installed, and the SBOM lists exactly them', async () => {
    const locked = await productionPackages()
    const files = await filesOf(production)
    const installed = files.flatMap(
      path => /^app\/((?:node_modules\/(?:@[^/]+\/)?[^./][^/]*\/)+)/.exec(path)?.[1] ?? [],
    )
    expect([...new Set(installed)].map(path => path.slice(0, -1)).toSorted()).toEqual([...locked.keys()].toSorted())
    const bom = JSON.parse(await readInImage('sbom.json')) as Bom
    expect(new Set(bom.components.map(({ name, version }) => `${name}@${version}`))).toEqual(new Set(locked.values()))
    expect(bom.metadata.component.name).toBe('socos-graph-pipeline')
    expect(files.filter(path => /^app\/node_modules\/.*\.(?:map|[mc]?ts)$/.test(path))).toEqual([])
  })

  test('the SBOM holds neither time nor chance: the same packages give the same file', async () => {
    const { serialNumber, metadata } = JSON.parse(await readInImage('sbom.json')) as Bom
    expect([serialNumber, metadata.timestamp]).toEqual([undefined, undefined])
  })

  test('without an argument it says what can be run; Node is the pinned one', async () => {
    const help = await once(production, [])
    expect(help).toMatchObject({ code: 0, err: '' })
    expect(help.out).toContain('Usage: socos')
    expect((await once(production, ['--version'])).out.trim()).toBe(process.version)
  })

  test('a worker with bad settings names all of them, each with its remedy, and ends with 2', async () => {
    const poller = await once(production, ['producers/main.ts'], { POLL_INTERVAL_SECONDS: 'soon' })
    expect(poller).toMatchObject({ code: 2, out: '' })
    for (const name of ['KAFKA_BROKERS is not set', 'SECRETS_DIR is not set', 'POLL_INTERVAL_SECONDS is "soon"']) {
      expect(poller.err).toContain(`poller: ${name}`)
    }
    const forwarder = await once(production, ['consumers/main.ts'], { KAFKA_BROKERS: 'kafka' })
    expect(forwarder.code).toBe(2)
    expect(forwarder.err).toContain('forwarder: ENGINE_URL is not set')
  })

  test('it counts as production unless told otherwise: the simulated Graph is refused', async () => {
    const poller = await once(production, ['producers/main.ts'], { GRAPH_SANDBOX_URL: 'http://sim-graph:8080' })
    expect(poller.code).toBe(2)
    expect(poller.err).toMatch(/GRAPH_SANDBOX_URL.*production/)
  })

  test('a worker that still waits for Kafka ends on SIGTERM', async () => {
    const env = { KAFKA_BROKERS: '127.0.0.1:1', SCHEMA_REGISTRY_URL: 'http://127.0.0.1:1', SECRETS_DIR: '/tmp' }
    const id = await start(production, ['producers/main.ts'], { env })
    await until(async () => (await logOf(id)).includes('a dependency is not there yet'), 60_000)
    await docker('stop', '-t', '15', id)
    expect(await exitCode(id), await logOf(id)).toBe(0)
  })

  test('what a killed run left is removed by the next one, and nothing of a living one', async () => {
    const names = { dead: newRunId(), alive: newRunId() }
    await docker('volume', 'create', ...labelFlags(names.alive), names.alive)
    const dead = labelFlags(names.dead).map(flag => flag.replace(thisOwner(), `${hostname()} 99999999 -`))
    await docker('volume', 'create', ...dead, names.dead)
    await removeLeftovers()
    const volumes = (await docker('volume', 'ls', '-q')).split('\n')
    await removeRun(names.alive)
    expect([volumes.includes(names.dead), volumes.includes(names.alive)]).toEqual([false, true])
  })

  test('workers carry every alert with a read-only root and no rights, write nothing, and end with 0 on SIGTERM', async () => {
    await using stack = await startStack({
      mode: 'auto',
      say: line => console.error(`image: ${line}`),
      env: process.env,
    })
    await using undo = new AsyncDisposableStack()
    const graph = await startGraphSim({ tenants: 4, backlogPerTenant: 50, backlogDays: 0.5 })
    undo.defer(() => graph.stop())
    const engine = await startEngineSim()
    undo.defer(() => engine.stop())
    const folder = await mkdtemp(join(tmpdir(), 'socos-image-'))
    undo.defer(() => rm(folder, { recursive: true, force: true }))
    await writeTenantFiles(graph.tenants, {
      secretsDir: join(folder, 'secrets'),
      tenantsFile: join(folder, 'tenants.yaml'),
    })
    await openTo65532(folder)
    const env = {
      NODE_ENV: 'test',
      KAFKA_BROKERS: stack.brokers.join(','),
      SCHEMA_REGISTRY_URL: stack.registryUrl,
      TOPIC_PREFIX: `${runId}.`,
      LANES: '6',
      SECRETS_DIR: '/tenants/secrets',
      GRAPH_SANDBOX_URL: graph.url,
      ENGINE_URL: engine.url,
      POLL_INTERVAL_SECONDS: '2',
      OVERLAP_SECONDS: '60',
      HTTP_HOST: '127.0.0.1',
    }
    const volume = `${folder}:/tenants:ro`
    for (const command of ['topics apply', 'schemas register', 'tenants apply /tenants/tenants.yaml']) {
      const job = await once(production, ['cli/socos.ts', ...command.split(' ')], env, [`--volume=${volume}`])
      expect(job, command).toMatchObject({ code: 0 })
    }

    // of each kind one that cannot write and one that could: what it would write shows in `docker diff`
    const workers: { readonly id: string; readonly url: string }[] = []
    for (const program of ['producers/main.ts', 'consumers/main.ts']) {
      for (const readOnly of [true, false]) {
        const [port = 0] = await freePorts(1)
        const options = { env: { ...env, HTTP_PORT: String(port) }, volume, readOnly }
        workers.push({ id: await start(production, [program], options), url: `http://127.0.0.1:${port}` })
      }
    }
    for (const { id, url } of workers) {
      const ready = async (): Promise<boolean> => {
        expect((await docker('inspect', '--format={{.State.Running}}', id)) === 'true' || (await logOf(id))).toBe(true)
        return fetch(`${url}/readyz`).then(
          ({ ok }) => ok,
          () => false,
        )
      }
      await until(ready, 120_000, () => `a worker is not ready: docker logs ${id}`)
    }
    const verdict = () => judge({ graph: graph.ledger, engine: engine.ledger, mustSeeMs: Number.POSITIVE_INFINITY })
    await until(
      () => verdict().missingCount === 0,
      180_000,
      () => JSON.stringify(verdict()),
    )
    expect(verdict()).toMatchObject({ delivered: 200, staleAfterNew: 0, unexpected: 0 })

    await docker('stop', '-t', '15', ...workers.map(({ id }) => id))
    for (const { id } of workers) {
      expect(await exitCode(id), await logOf(id)).toBe(0)
      // the mount point is Docker's own
      expect((await docker('diff', id)).split('\n').filter(line => line !== '' && line !== 'A /tenants')).toEqual([])
    }
  })
})

interface ContainerConfig {
  readonly User: string
  readonly WorkingDir: string
  readonly Entrypoint: readonly string[]
  readonly Cmd: readonly string[]
  readonly Env: readonly string[]
  readonly Labels: Readonly<Record<string, string>>
}

async function configOf(image: string): Promise<ContainerConfig> {
  return JSON.parse(await docker('image', 'inspect', '--format={{json .Config}}', image)) as ContainerConfig
}

/** Files of the image under /app. */
async function filesOf(image: string): Promise<readonly string[]> {
  const id = await docker('create', ...labelFlags(runId), image)
  const { out } = await run('sh', ['-c', 'docker export "$1" | tar -t', 'sh', id])
  await docker('rm', id)
  return out.split('\n').filter(path => path.startsWith('app/') && !path.endsWith('/'))
}

async function readInImage(path: string): Promise<string> {
  const script = `process.stdout.write(fs.readFileSync(${JSON.stringify(path)}))`
  return (await once(production, ['-e', script])).out
}

/** By where they lie, name and version: what the lockfile says is needed to run. */
async function productionPackages(): Promise<ReadonlyMap<string, string>> {
  const { packages } = JSON.parse(await readFile(join(ROOT, 'package-lock.json'), 'utf8')) as Lockfile
  return new Map(
    Object.entries(packages)
      .filter(([path, { dev, optional, devOptional }]) => path !== '' && !(dev || optional || devOptional))
      .map(([path, { version }]) => [path, `${path.replace(/^.*node_modules\//, '')}@${version}`]),
  )
}

type Env = Readonly<Record<string, string>>

function flagsFor(env: Env): readonly string[] {
  return [...HARDENED, ...labelFlags(runId), ...Object.entries(env).map(([name, value]) => `--env=${name}=${value}`)]
}

/** Runs to its end, on the host's network where Kafka and the simulators are. */
function once(image: string, args: readonly string[], env: Env = {}, flags: readonly string[] = []) {
  return run('docker', ['run', '--rm', '--read-only', '--network=host', ...flagsFor(env), ...flags, image, ...args])
}

/** In the background; gives the container's id. */
function start(
  image: string,
  args: readonly string[],
  options: { readonly env: Env; readonly volume?: string; readonly readOnly?: boolean },
): Promise<string> {
  const { env, volume, readOnly = true } = options
  const mounts = volume === undefined ? [] : [`--volume=${volume}`]
  const flags = ['--detach', '--network=host', `--read-only=${readOnly}`, ...mounts, ...flagsFor(env)]
  return docker('run', ...flags, image, ...args)
}

async function logOf(id: string): Promise<string> {
  const { out, err } = await run('docker', ['logs', id])
  return out + err
}

async function exitCode(id: string): Promise<number> {
  return Number(await docker('inspect', '--format={{.State.ExitCode}}', id))
}

/** The image's user is nobody on this machine. */
async function openTo65532(folder: string): Promise<void> {
  await chmod(folder, 0o755)
  await chmod(join(folder, 'secrets'), 0o755)
  for (const name of await readdir(join(folder, 'secrets'))) await chmod(join(folder, 'secrets', name), 0o644)
  await chmod(join(folder, 'tenants.yaml'), 0o644)
}
