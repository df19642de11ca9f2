import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import type { Daemon } from './daemon.ts'
import { createDaemon } from './daemon.ts'
import { cacheFolder, fetchServers } from './jars.ts'
import { findJava, usualJavaPlaces } from './java.ts'
import { claimFolder, sweepFolders, watchOver } from './leftovers.ts'
import { freePorts } from './ports.ts'
import { readMetadata, registryStatus, untilReady } from './probe.ts'
import { clusterProperties, nodeProperties, toPropertiesFile } from './settings.ts'
import type { Attempt, BrokerNode, RungRequest, Stack } from './stack.ts'
import { together } from './together.ts'
import versions from './versions.json' with { type: 'json' }

const readyTimeoutMs = 120_000
const stopGraceMs = 30_000
/** Start quickly and stay small: one compiler, one collector thread. */
const jvmFlags = ['-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-Djava.awt.headless=true']

interface Site {
  readonly java: string
  readonly kafkaLibs: string
  readonly registryJar: string
  readonly folder: string
  readonly env: RungRequest['env']
  readonly signal: AbortSignal
}

/** Brokers and registry as plain processes in a temp folder that is deleted with them. */
export async function startOnJvm(request: RungRequest): Promise<Attempt> {
  const { env, say, signal } = request
  const java = await findJava({ env, places: usualJavaPlaces(), atLeast: versions.java })
  if (java.kind === 'missing') {
    return {
      kind: 'unavailable',
      why: `no Java >= ${versions.java}; looked at ${java.looked.join('; ')}`,
      remedy: `install Java >= ${versions.java} (a JRE will do; JAVA_HOME may name it) and Maven >= 3.6.3`,
    }
  }
  const javaHome = dirname(dirname(java.java))
  const servers = await fetchServers({ cacheDir: cacheFolder(env), env, javaHome, say, signal })
  if (servers.kind === 'missing') return { kind: 'unavailable', why: servers.why, remedy: servers.remedy }
  for (const folder of await sweepFolders()) say(`buried what a crashed run left in ${folder}`)

  await using undo = new AsyncDisposableStack()
  const folder = await claimFolder()
  const minder = watchOver('folder', folder)
  undo.defer(() => minder.dismiss())
  undo.defer(() => rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 }))
  say(
    `starting Kafka ${versions.kafka} and Apicurio Registry ${versions.apicurio} on Java ${java.major} (${java.java})`,
  )
  const site: Site = { ...servers, java: java.java, folder, env, signal }
  const running = await startServers(site, request.brokers, undo)

  const undoLater = undo.move()
  const stop = () => undoLater.disposeAsync()
  const stack: Stack = {
    kind: 'jvm',
    label: `Kafka ${versions.kafka} on Java ${java.major}`,
    ...running,
    stop,
    [Symbol.asyncDispose]: stop,
  }
  return { kind: 'started', stack }
}

async function startServers(
  site: Site,
  count: 1 | 3,
  undo: AsyncDisposableStack,
): Promise<Pick<Stack, 'brokers' | 'nodes' | 'registryUrl'>> {
  const ids = Array.from({ length: count }, (_, i) => i + 1)
  const [registryPort = 0, ...ports] = await freePorts(1 + 2 * count)
  const registryUrl = `http://127.0.0.1:${registryPort}/apis/ccompat/v7`
  const registry = registryDaemon(site, registryPort)
  const configs = await writeConfigs(site, ids, ports)
  const brokers = ids.map((id, i) => ({
    id,
    address: `127.0.0.1:${ports[i]}`,
    daemon: brokerDaemon(site, id, configs[i] ?? ''),
  }))
  const daemons = [registry, ...brokers.map(({ daemon }) => daemon)]
  undo.defer(async () => void (await Promise.all(daemons.map(daemon => daemon.kill()))))

  await together(site.signal, [
    async signal => {
      await format({ ...site, signal }, configs)
      await together(
        signal,
        brokers.map(broker => async signal => {
          await broker.daemon.start()
          await brokerReady(broker, count, signal)
        }),
      )
    },
    async signal => {
      await registry.start()
      await ready(signal, registry, 'the schema registry', async () => {
        const status = await registryStatus(registryUrl, 2_000)
        return status === 200 ? undefined : `GET ${registryUrl}/subjects answers ${status}`
      })
    },
  ])
  const nodes = brokers.map(
    (broker): BrokerNode => ({
      id: broker.id,
      address: broker.address,
      kill: () => broker.daemon.kill(),
      stop: () => broker.daemon.stop(stopGraceMs),
      start: async () => {
        await broker.daemon.start()
        await brokerReady(broker, 1, new AbortController().signal)
      },
      pause: async () => broker.daemon.pause(),
      resume: async () => broker.daemon.resume(),
    }),
  )
  return { brokers: brokers.map(({ address }) => address), nodes, registryUrl }
}

/** Client ports first, controller ports after them. Gives one properties file a node. */
async function writeConfigs(site: Site, ids: readonly number[], ports: readonly number[]): Promise<string[]> {
  const voters = ids.map((id, i) => `${id}@127.0.0.1:${ports[ids.length + i]}`).join(',')
  const cluster = clusterProperties(ids.length === 3 ? 3 : 1)
  await writeFile(join(site.folder, 'log4j2.properties'), logging)
  return Promise.all(
    ids.map(async (id, i) => {
      const client = `127.0.0.1:${ports[i]}`
      const file = join(site.folder, `broker-${id}.properties`)
      const own = nodeProperties({
        id,
        voters,
        between: 'PLAINTEXT',
        listeners: {
          PLAINTEXT: { bind: client, announce: client },
          CONTROLLER: { bind: `127.0.0.1:${ports[ids.length + i]}` },
        },
        dataDir: join(site.folder, `broker-${id}`),
      })
      await writeFile(file, toPropertiesFile({ ...cluster, ...own }))
      return file
    }),
  )
}

const logging = `rootLogger.level = WARN
rootLogger.appenderRef.out.ref = OUT
appender.out.type = Console
appender.out.name = OUT
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d %p %m (%c)%n
`

/** KRaft never formats by itself; every node of a cluster needs the same cluster id. */
async function format(site: Site, configs: readonly string[]): Promise<void> {
  // 16 bytes that begin with a hex digit: base64 of anything else may begin with a dash
  const clusterId = Buffer.from(randomUUID().replaceAll('-', '').slice(0, 16)).toString('base64url')
  const java = ['-Xmx128m', ...jvmFlags, ...classpath(site), 'kafka.tools.StorageTool', 'format']
  await Promise.all(
    configs.map(config =>
      promisify(execFile)(site.java, [...java, `--cluster-id=${clusterId}`, `--config=${config}`], {
        cwd: site.folder,
        signal: site.signal,
        timeout: readyTimeoutMs,
      }).catch((error: unknown) => {
        site.signal.throwIfAborted()
        throw error
      }),
    ),
  )
}

function classpath(site: Site): string[] {
  const logging = `-Dlog4j2.configurationFile=${join(site.folder, 'log4j2.properties')}`
  return [logging, '-cp', join(site.kafkaLibs, '*')]
}

function brokerDaemon(site: Site, id: number, config: string): Daemon {
  const heap = ['-Xms128m', '-Xmx512m', '-XX:+ExitOnOutOfMemoryError']
  return createDaemon({
    name: `broker-${id}`,
    command: site.java,
    args: [...heap, ...jvmFlags, ...classpath(site), 'kafka.Kafka', config],
    folder: site.folder,
    env: site.env,
  })
}

/** In memory: the registry lives exactly as long as the brokers' data. */
function registryDaemon(site: Site, port: number): Daemon {
  return createDaemon({
    name: 'registry',
    command: site.java,
    args: [
      '-Xmx384m',
      ...jvmFlags,
      `-Djava.io.tmpdir=${site.folder}`,
      '-Dquarkus.http.host=127.0.0.1',
      `-Dquarkus.http.port=${port}`,
      '-Dquarkus.management.host=127.0.0.1',
      '-Dquarkus.management.port=0',
      '-Dapicurio.datasource.jdbc.initial-size=2',
      '-Dapicurio.datasource.jdbc.min-size=2',
      '-Djava.util.logging.manager=org.jboss.logmanager.LogManager',
      '-jar',
      site.registryJar,
    ],
    folder: site.folder,
    env: site.env,
  })
}

/** Ready: the broker itself sees `alive` brokers, and itself among them. */
function brokerReady(
  broker: { id: number; address: string; daemon: Daemon },
  alive: number,
  signal: AbortSignal,
): Promise<void> {
  return ready(signal, broker.daemon, `broker ${broker.id}`, async () => {
    const view = await readMetadata(broker.address, 2_000)
    const listed = view.brokers.some(({ id }) => id === broker.id)
    return listed && view.brokers.length >= alive ? undefined : `it sees ${view.brokers.length} of ${alive} brokers`
  })
}

async function ready(
  signal: AbortSignal,
  daemon: Daemon,
  what: string,
  check: () => Promise<string | undefined>,
): Promise<void> {
  await untilReady(check, { what, timeoutMs: readyTimeoutMs, signal, dead: () => daemon.dead() })
}
