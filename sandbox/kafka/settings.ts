import { randomUUID } from 'node:crypto'

/** Broker settings that are the same in a container and as a plain process. */

export type Properties = Readonly<Record<string, string>>

/** The broker's largest record batch; the replica fetcher must be able to carry it. */
const maxMessageBytes = 8_388_608

/**
 * Small and quick instead of big and durable: one heap-friendly log cleaner that comes round once a second,
 * group sessions down to one second, no waiting for a group's first members. A killed broker may come back only when its
 * old session is over, and leaders move only then: three seconds instead of nine.
 * With three brokers everything internal has three copies and needs two.
 */
export function clusterProperties(brokers: 1 | 3): Properties {
  const copies = String(brokers)
  const quorum = brokers === 3 ? '2' : '1'
  const partitions = brokers === 3 ? '3' : '1'
  return {
    'process.roles': 'broker,controller',
    'controller.listener.names': 'CONTROLLER',
    'auto.create.topics.enable': 'false',
    'num.partitions': '1',
    'default.replication.factor': copies,
    'min.insync.replicas': quorum,
    'offsets.topic.replication.factor': copies,
    'offsets.topic.num.partitions': partitions,
    'transaction.state.log.replication.factor': copies,
    'transaction.state.log.min.isr': quorum,
    'transaction.state.log.num.partitions': partitions,
    'share.coordinator.state.topic.replication.factor': copies,
    'share.coordinator.state.topic.min.isr': quorum,
    'share.coordinator.state.topic.num.partitions': partitions,
    'group.initial.rebalance.delay.ms': '0',
    'group.min.session.timeout.ms': '1000',
    'message.max.bytes': String(maxMessageBytes),
    'replica.fetch.max.bytes': String(maxMessageBytes),
    'log.cleaner.backoff.ms': '1000',
    'log.cleaner.dedupe.buffer.size': '16777216',
    'log.retention.check.interval.ms': '2000',
    'broker.heartbeat.interval.ms': '500',
    'broker.session.timeout.ms': '3000',
  }
}

export interface Endpoints {
  /** node.id, 1-based. */
  readonly id: number
  /** `id@host:port,…` of all controllers, the same on every node (a static quorum: Apache's image knows no other). */
  readonly voters: string
  /** Each listener as it is bound and, but for the controller's, as it is announced. */
  readonly listeners: Readonly<
    Record<string, { readonly bind: string; readonly announce?: string; readonly protocol?: string }>
  >
  /** The listener that brokers use among themselves. */
  readonly between: string
  readonly dataDir: string
}

export function nodeProperties(endpoints: Endpoints): Properties {
  const listeners = Object.entries(endpoints.listeners)
  return {
    'node.id': String(endpoints.id),
    'controller.quorum.voters': endpoints.voters,
    listeners: listeners.map(([name, { bind }]) => `${name}://${bind}`).join(','),
    'advertised.listeners': listeners
      .flatMap(([name, { announce }]) => (announce === undefined ? [] : [`${name}://${announce}`]))
      .join(','),
    'inter.broker.listener.name': endpoints.between,
    'listener.security.protocol.map': listeners
      .map(([name, { protocol = 'PLAINTEXT' }]) => `${name}:${protocol}`)
      .join(','),
    'log.dirs': endpoints.dataDir,
  }
}

/** The settings of the extra listeners, with the folder where their files lie. */
export function extraProperties(properties: Properties, folder: string): Properties {
  return Object.fromEntries(
    Object.entries(properties).map(([name, value]) => [name, value.replaceAll('FILES/', `${folder}/`)]),
  )
}

/** 16 bytes in base64url that begin with a hex digit's letter: any others may begin with a dash, an option to the tools. */
export function newClusterId(): string {
  return Buffer.from(randomUUID().replaceAll('-', '').slice(0, 16)).toString('base64url')
}

/** The form of Apache's image: `a.b-c_d` is KAFKA_A_B___C__D. */
export function toEnvironment(properties: Properties): Record<string, string> {
  return Object.fromEntries(
    Object.entries(properties).map(([name, value]) => [
      `KAFKA_${name.replaceAll('_', '__').replaceAll('-', '___').replaceAll('.', '_').toUpperCase()}`,
      value,
    ]),
  )
}

/** The form of server.properties. Backslashes (a Windows path) are escapes there. */
export function toPropertiesFile(properties: Properties): string {
  return Object.entries(properties)
    .map(([name, value]) => `${name}=${value.replaceAll('\\', '\\\\')}\n`)
    .join('')
}
