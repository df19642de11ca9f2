import type { KafkaClient } from '../../platform/kafka/kafkajs.ts'
import { freePorts } from '../../sandbox/kafka/ports.ts'
import type { Site } from '../case.ts'
import { TENANTS } from '../case.ts'
import { benchClient, benchPrefix, committedOf, recordsOf } from '../ground.ts'
import type { Environment, Program } from '../process.ts'
import { startCommand, startProgram, until } from '../process.ts'
import type { PeerName } from './build.ts'

/** A topic of its own for one run of one peer, and the stand-in that it reads its tenants from. */
export interface PeerGround extends AsyncDisposable {
  readonly kafka: KafkaClient
  readonly topic: string
  readonly enginePort: number
  readonly env: Environment
  records(): Promise<number>
  committed(): Promise<number>
  start(peer: PeerName, work: 'A' | 'B'): Promise<Program>
}

export const PEER_PARTITIONS = 4
const LEADERS_MS = 30_000

export async function openPeerGround({ stack, env, peers }: Site, alertsPerTenant: number): Promise<PeerGround> {
  await using undo = new AsyncDisposableStack()
  const kafka = benchClient(stack)
  const topic = `${benchPrefix()}peer`
  const [graphPort = 0, enginePort = 0] = await freePorts(2)
  const own: Environment = { PATH: env['PATH'], HOME: env['HOME'] }
  const admin = kafka.admin()
  await admin.connect()
  undo.defer(() => admin.disconnect())
  // the client's own waiting for leaders gives up too early
  await admin.createTopics({
    waitForLeaders: false,
    topics: [{ topic, numPartitions: PEER_PARTITIONS, replicationFactor: -1 }],
  })
  undo.defer(() => admin.deleteTopics({ topics: [topic] }))
  await until(async () => (await recordsOf(admin, topic).catch(() => -1)) === 0, LEADERS_MS)
  const graph = await startProgram(['bench/graph-standin.ts', `${graphPort}`, `${TENANTS}`, `${alertsPerTenant}`], {
    env: own,
    measured: false,
    untilReady: true,
  })
  undo.defer(() => graph.stop())
  const environment: Environment = {
    ...own,
    BROKERS: stack.brokers.join(','),
    GRAPH: `http://127.0.0.1:${graphPort}`,
    ENGINE: `http://127.0.0.1:${enginePort}`,
    TOPIC: topic,
    GROUP: topic,
    // it has one core
    GOMAXPROCS: '1',
  }
  const opened = undo.move()
  return {
    kafka,
    topic,
    enginePort,
    env: own,
    records: () => recordsOf(admin, topic),
    committed: () => committedOf(admin, topic, topic),
    async start(name, work) {
      const peer = peers?.[name]
      if (peer?.kind !== 'built') throw new Error(`not measured: ${peer?.why ?? 'it was not built'}`)
      return startCommand(peer.command(work), { env: environment, measured: true, untilReady: false })
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  }
}
