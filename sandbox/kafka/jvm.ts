import { readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Daemon } from './daemon.ts'
import { createDaemon } from './daemon.ts'
import { cacheFolder, fetchServers } from './jars.ts'
import { findJava, usualJavaPlaces } from './java.ts'
import { claimFolder, sweepFolders, watchOver } from './leftovers.ts'
import { freePorts } from './ports.ts'
import { brokerProblem, registryProblem, untilReady } from './probe.ts'
import { clusterProperties, extraProperties, newClusterId, nodeProperties, toPropertiesFile } from './settings.ts'
import type { Attempt, BrokerNode, Extra, RungRequest, Stack } from './stack.ts'
import { onceOnly, together } from './together.ts'
import versions from './versions.json' with { type: 'json' }

const readyTimeoutMs = 120_000
const stopGraceMs = 30_000
const diskFullTimeoutMs = 60_000
/** Start quickly and stay small: one compiler, one collector thread. */
const jvmFlags = ['-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-Djava.awt.headless=true']

interface Site {
  readonly java: string
  readonly kafkaLibs: string
  readonly registryJar: string
  readonly folder: string
  readonly env: RungRequest['env']
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
  const site: Site = { ...servers, java: java.java, folder, env }
  const running = await startServers(site, request, undo)

  const stop = onceOnly(undo.move())
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
  { brokers: count, extra, signal }: RungRequest,
  undo: AsyncDisposableStack,
): Promise<Pick<Stack, 'brokers' | 'nodes' | 'registryUrl' | 'doors' | 'tool'>> {
  const ids = Array.from({ length: count }, (_, i) => i + 1)
  const [registryPort = 0, ...ports] = await freePorts(1 + count * (2 + Object.keys(extra.listeners).length))
  const registryUrl = `http://127.0.0.1:${registryPort}/apis/ccompat/v7`
  const registry = registryDaemon(site, registryPort)
  const configs = await writeConfigs(site, ids, ports, extra)
  const brokers = ids.map((id, i) => ({
    id,
    address: `127.0.0.1:${ports[i]}`,
    daemon: brokerDaemon(site, id, configs[i] ?? ''),
  }))
  const daemons = [registry, ...brokers.map(({ daemon }) => daemon)]
  undo.defer(async () => void (await Promise.all(daemons.map(daemon => daemon.kill()))))

  await together(signal, [
    async signal => {
      await format(site, configs, signal)
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
      const limits = { what: 'the schema registry', timeoutMs: readyTimeoutMs, signal, dead: () => registry.dead() }
      await untilReady(() => registryProblem(registryUrl), limits)
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
      pause: () => broker.daemon.pause(),
      resume: async () => broker.daemon.resume(),
      fillDisk: () => broker.daemon.fillDisk(diskFullTimeoutMs),
    }),
  )
  const addresses = brokers.map(({ address }) => address)
  let tools = 0
  return {
    brokers: addresses,
    nodes,
    registryUrl,
    doors: Object.fromEntries(
      Object.keys(extra.listeners).map((name, door) => [
        name,
        ids.map((_, i) => `127.0.0.1:${ports[count * (2 + door) + i]}`),
      ]),
    ),
    async tool(mainClass, args) {
      const name = `tool-${++tools}`
      const { java: command, folder, env } = site
      const main = ['-Xmx128m', ...jvmFlags, ...classpath(site), mainClass, '--bootstrap-server', addresses.join(',')]
      const daemon = createDaemon({ name, command, args: [...main, ...args], folder, env })
      await daemon.start()
      await daemon.finish(new AbortController().signal)
      return readFile(join(folder, `${name}.log`), 'utf8')
    },
  }
}

/** Client ports first, then controller ports, then those of each extra listener. Gives one properties file a node. */
async function writeConfigs(
  site: Site,
  ids: readonly number[],
  ports: readonly number[],
  extra: Extra,
): Promise<string[]> {
  const voters = ids.map((id, i) => `${id}@127.0.0.1:${ports[ids.length + i]}`).join(',')
  const cluster = clusterProperties(ids.length === 3 ? 3 : 1)
  await writeFile(join(site.folder, 'log4j2.properties'), logging)
  for (const [name, text] of Object.entries(extra.files)) await writeFile(join(site.folder, name), text)
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
          ...Object.fromEntries(
            Object.entries(extra.listeners).map(([name, protocol], door) => {
              const address = `127.0.0.1:${ports[ids.length * (2 + door) + i]}`
              return [name, { bind: address, announce: extra.announce?.[name]?.[i] ?? address, protocol }]
            }),
          ),
        },
        dataDir: join(site.folder, `broker-${id}`),
      })
      await writeFile(file, toPropertiesFile({ ...cluster, ...extraProperties(extra.properties, site.folder), ...own }))
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
async function format(site: Site, configs: readonly string[], signal: AbortSignal): Promise<void> {
  const clusterId = newClusterId()
  const tool = ['-Xmx128m', ...jvmFlags, ...classpath(site), 'kafka.tools.StorageTool', 'format']
  await together(
    signal,
    configs.map((config, i) => async signal => {
      const args = [...tool, `--cluster-id=${clusterId}`, `--config=${config}`]
      const { java: command, folder, env } = site
      const formatting = createDaemon({ name: `format-${i + 1}`, command, args, folder, env })
      await formatting.start()
      await formatting.finish(signal)
    }),
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

function brokerReady(
  broker: { id: number; address: string; daemon: Daemon },
  alive: number,
  signal: AbortSignal,
): Promise<void> {
  const limits = { what: `broker ${broker.id}`, timeoutMs: readyTimeoutMs, signal, dead: () => broker.daemon.dead() }
  return untilReady(() => brokerProblem(broker, alive), limits)
}
