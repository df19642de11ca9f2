import { randomUUID } from 'node:crypto'
import type { ContainerSpec, Engine } from './engine.ts'
import { useEngine } from './engine.ts'
import { freePorts } from './ports.ts'
import { brokerProblem, registryProblem, untilReady } from './probe.ts'
import type { Properties } from './settings.ts'
import {
  clusterProperties,
  extraProperties,
  newClusterId,
  nodeProperties,
  toEnvironment,
  toPropertiesFile,
} from './settings.ts'
import type { Attempt, BrokerNode, Extra, RungRequest, Stack } from './stack.ts'
import { onceOnly, together } from './together.ts'
import versions from './versions.json' with { type: 'json' }

const readyTimeoutMs = 120_000
const stopGraceSeconds = 30
const remedy = `start or install Docker (or a compatible engine), with the images ${versions.images.kafka} and ${versions.images.registry} in reach; KAFKA_IMAGE and REGISTRY_IMAGE name others`

interface Site {
  readonly engine: Engine
  readonly images: { readonly kafka: string; readonly registry: string }
  /** Label of everything that belongs to this stack, and the name of its network. */
  readonly stackId: string
}

/** Brokers and registry in containers. Ports are opened on the loopback only, and fixed, so that a restart keeps them. */
export async function startOnDocker(request: RungRequest): Promise<Attempt> {
  const { env, say, signal } = request
  const found = await useEngine(env)
  if (found.kind === 'missing') return { kind: 'unavailable', why: found.why, remedy }
  const { engine } = found
  const images = {
    kafka: env['KAFKA_IMAGE'] || versions.images.kafka,
    registry: env['REGISTRY_IMAGE'] || versions.images.registry,
  }
  for (const image of Object.values(images)) {
    const why = await engine.provideImage(image, say, signal)
    if (why !== undefined) return { kind: 'unavailable', why, remedy }
  }
  for (const what of await engine.sweep()) say(`buried ${what}, left by a crashed run`)

  await using undo = new AsyncDisposableStack()
  const site: Site = { engine, images, stackId: `socos-sandbox-${randomUUID().slice(0, 8)}` }
  undo.defer(engine.claim(site.stackId))
  say(`starting ${images.kafka} and ${images.registry} on ${engine.name}`)
  const running = await startContainers(site, request)

  const stop = onceOnly(undo.move())
  const stack: Stack = { kind: 'docker', label: images.kafka, ...running, stop, [Symbol.asyncDispose]: stop }
  return { kind: 'started', stack }
}

async function startContainers(
  site: Site,
  { brokers: count, extra, signal }: RungRequest,
): Promise<Pick<Stack, 'brokers' | 'nodes' | 'registryUrl' | 'doors' | 'tool'>> {
  const ids = Array.from({ length: count }, (_, i) => i + 1)
  const doorNames = Object.keys(extra.listeners)
  const [registryPort = 0, ...all] = await freePorts(1 + count * (1 + doorNames.length))
  const ports = all.slice(0, count)
  const doorPorts = Object.fromEntries(
    doorNames.map((name, door) => [name, all.slice(count * (door + 1), count * (door + 2))]),
  )
  const registryUrl = `http://127.0.0.1:${registryPort}/apis/ccompat/v7`
  const alone = count === 1
  if (!alone) await site.engine.createNetwork(site.stackId)
  const properties = brokerProperties(ids, ports, extra, doorPorts)
  const clusterId = newClusterId()
  const nodes: BrokerNode[] = []
  let firstContainer = ''
  await together(signal, [
    ...ids.map((id, i) => async (signal: AbortSignal) => {
      const port = ports[i] ?? 0
      const network = alone ? {} : { network: site.stackId, alias: `kafka-${id}` }
      const doors = doorNames.map((name, door) => [firstDoorPort + door, doorPorts[name]?.[i] ?? 0])
      const opened = { 9092: port, ...(Object.fromEntries(doors) as Record<number, number>) }
      const spec = { ...brokerSpec(site, properties[i] ?? {}, clusterId, extra), ...network, ports: opened }
      const containerId = await site.engine.run(spec, signal)
      if (i === 0) firstContainer = containerId
      const node = brokerNode(site.engine, containerId, id, port)
      await brokerReady(site.engine, containerId, node, count, signal)
      nodes.push(node)
    }),
    async signal => {
      const environment = { APICURIO_DATASOURCE_JDBC_INITIAL_SIZE: '2', APICURIO_DATASOURCE_JDBC_MIN_SIZE: '2' }
      const { registry: image } = site.images
      const spec = { image, stackId: site.stackId, environment, ports: { 8080: registryPort } }
      const containerId = await site.engine.run(spec, signal)
      const dead = () => site.engine.dead(containerId)
      const limits = { what: `the schema registry (${image})`, timeoutMs: readyTimeoutMs, signal, dead }
      await untilReady(() => registryProblem(registryUrl), limits)
    },
  ])
  nodes.sort((a, b) => a.id - b.id)
  return {
    brokers: nodes.map(({ address }) => address),
    nodes,
    registryUrl,
    doors: Object.fromEntries(doorNames.map(name => [name, doorPorts[name]?.map(port => `127.0.0.1:${port}`) ?? []])),
    tool: (mainClass, args) =>
      site.engine.exec(firstContainer, [...toolCommand, mainClass, '--bootstrap-server', 'localhost:19092', ...args]),
  }
}

/** In the container; the doors after it follow. */
const firstDoorPort = 9192
const dataDir = '/tmp/socos-kafka'
const filesDir = '/tmp/socos-files'
const toolCommand = ['java', '-Xmx128m', '-XX:TieredStopAtLevel=1', '-cp', '/opt/kafka/libs/*']
const propertiesFile = '/tmp/socos-kafka.properties'

/**
 * The first start is the image's own, which formats the storage. Not every image's script bears a storage that is
 * formatted already, so a restart goes straight to the broker where the image has Java.
 */
const startScript = `
if [ -e ${dataDir}/meta.properties ] && [ -d /opt/kafka/libs ] && command -v java >/dev/null; then
  exec java $KAFKA_HEAP_OPTS $KAFKA_JVM_PERFORMANCE_OPTS -cp '/opt/kafka/libs/*' kafka.Kafka ${propertiesFile}
fi
exec /etc/kafka/docker/run`

/** Three listeners each: clients on the host, brokers among themselves, controllers; and the extra ones. */
function brokerProperties(
  ids: readonly number[],
  ports: readonly number[],
  extra: Extra,
  doorPorts: Readonly<Record<string, readonly number[]>>,
): Properties[] {
  const host = (id: number) => (ids.length === 1 ? 'localhost' : `kafka-${id}`)
  const voters = ids.map(id => `${id}@${host(id)}:9093`).join(',')
  return ids.map((id, i) => ({
    ...clusterProperties(ids.length === 3 ? 3 : 1),
    ...extraProperties(extra.properties, filesDir),
    ...nodeProperties({
      id,
      voters,
      between: 'INTERNAL',
      listeners: {
        PLAINTEXT: { bind: ':9092', announce: `127.0.0.1:${ports[i]}` },
        INTERNAL: { bind: ':19092', announce: `${host(id)}:19092` },
        CONTROLLER: { bind: ':9093' },
        ...Object.fromEntries(
          Object.entries(extra.listeners).map(([name, protocol], door) => [
            name,
            {
              bind: `:${firstDoorPort + door}`,
              announce: extra.announce?.[name]?.[i] ?? `127.0.0.1:${doorPorts[name]?.[i]}`,
              protocol,
            },
          ]),
        ),
      },
      dataDir,
    }),
  }))
}

function brokerSpec(
  site: Site,
  properties: Properties,
  clusterId: string,
  extra: Extra,
): Pick<ContainerSpec, 'image' | 'stackId' | 'environment' | 'script' | 'files'> {
  return {
    image: site.images.kafka,
    stackId: site.stackId,
    environment: {
      ...toEnvironment(properties),
      CLUSTER_ID: clusterId,
      KAFKA_HEAP_OPTS: '-Xms128m -Xmx512m',
      KAFKA_JVM_PERFORMANCE_OPTS: '-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xshare:auto',
    },
    script: startScript,
    files: {
      [propertiesFile]: toPropertiesFile(properties),
      ...Object.fromEntries(Object.entries(extra.files).map(([name, text]) => [`${filesDir}/${name}`, text])),
    },
  }
}

function brokerNode(engine: Engine, containerId: string, id: number, port: number): BrokerNode {
  const node: BrokerNode = {
    id,
    address: `127.0.0.1:${port}`,
    kill: () => engine.kill(containerId),
    stop: () => engine.stop(containerId, stopGraceSeconds),
    start: async () => {
      await engine.start(containerId)
      await brokerReady(engine, containerId, node, 1, new AbortController().signal)
    },
    pause: () => engine.pause(containerId),
    resume: () => engine.resume(containerId),
  }
  return node
}

function brokerReady(
  engine: Engine,
  containerId: string,
  node: { id: number; address: string },
  alive: number,
  signal: AbortSignal,
): Promise<void> {
  const limits = { what: `broker ${node.id}`, timeoutMs: readyTimeoutMs, signal, dead: () => engine.dead(containerId) }
  return untilReady(() => brokerProblem(node, alive), limits)
}
