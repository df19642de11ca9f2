import { randomBytes } from 'node:crypto'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import type { Random } from '../../platform/clock.ts'
import { settingNames } from '../../platform/settings-layers.ts'
import { type Crew, isReady, openCrew, type Role, socos, tailOf, type Worker } from '../crew.ts'
import { type EngineSim, startEngineSim } from '../engine/sim.ts'
import { type GraphSim, startGraphSim } from '../graph/sim.ts'
import { writeTenantFiles } from '../graph/tenants.ts'
import { type Stack, type StackOptions, startStack } from '../kafka/ladder.ts'
import { claimFolder, sweepFolders, watchOver } from '../kafka/leftovers.ts'
import { type KafkaTool, openTools } from '../kafka/tools.ts'
import { freePorts } from '../kafka/ports.ts'
import { PACE } from './pace.ts'
import { type Link, openLink } from './proxy.ts'

/** Three brokers, both simulators and the workers, with a proxy on every way between them. */
export interface Site {
  readonly stack: Stack
  /** Kafka's own tools, past the proxies. */
  readonly tool: KafkaTool
  readonly graph: GraphSim
  readonly engine: EngineSim
  readonly crew: Crew
  /** By what is behind them: broker-1, …, graph, engine. */
  readonly links: Readonly<Record<string, Link>>
  readonly registryLink: Link
  readonly topicPrefix: string
  /** For commands: past the proxies, which spoil the workers' ways only. */
  readonly env: Readonly<Record<string, string | undefined>>
  readonly sessionTimeoutMs: number
  readonly folder: string
  /** Names of workers that were frozen: what they had in flight may land late. */
  readonly zombies: Set<string>
  /** Names of workers that are to live through the run, whatever else fails. */
  readonly spared: Set<string>
  readonly complaints: readonly string[]
  /** Workers that answer; frozen ones are among them. */
  running(role: Role): readonly Worker[]
  start(role: Role, env?: Readonly<Record<string, string>>): Promise<Worker>
  ready(worker: Worker): Promise<void>
  /** Bytes that a worker's memory held after its last full collection; null before the first. */
  kept(worker: Worker): Promise<number | null>
  /** Name of the forwarder that a request of the engine's ledger came from. */
  senderName(sender: number): string
  complain(what: string): void
}

export interface SiteShape {
  readonly seed: number
  readonly tenants: number
  readonly stack: Exclude<NonNullable<StackOptions['mode']>, 'given'>
}

export interface SiteRequest {
  readonly plan: SiteShape
  readonly env: Readonly<Record<string, string | undefined>>
  readonly random: Random
  readonly signal: AbortSignal
  readonly say: (line: string) => void
}

const DOOR = 'PROXIED'
const KEPT_MEMORY = pathToFileURL(`${import.meta.dirname}/kept-memory.ts`).href
const PREFIX = 'chaos.'
/** One for each life of a forwarder. */
const TOKENS_MAX = 500
const READY_MS = 120_000
const TICK_MS = 200
/** What the workers are given where nothing else is said: the default. */
const SESSION_TIMEOUT_MS = 10_000

/** Whatever is started is also put into `undo`, at once. */
export async function openSite(request: SiteRequest, undo: AsyncDisposableStack): Promise<Site> {
  const { plan, signal, say, random } = request
  for (const folder of await sweepFolders()) say(`buried what a crashed run left in ${folder}`)
  const folder = await claimFolder()
  const minder = watchOver('folder', folder)
  undo.defer(() => minder.dismiss())
  undo.defer(() => rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 }))

  const [ports, graph] = await Promise.all([freePorts(6), openGraph(plan)])
  undo.defer(() => graph.stop())
  const [registryPort = 0, graphPort = 0, enginePort = 0, ...brokerPorts] = ports
  const link = async (port: number, protocol: 'kafka' | 'bytes'): Promise<Link> => {
    const opened = await openLink({ port, random, protocol })
    undo.defer(() => opened[Symbol.asyncDispose]())
    return opened
  }
  const brokerLinks = await Promise.all(brokerPorts.map(port => link(port, 'kafka')))
  const registryLink = await link(registryPort, 'bytes')
  const graphLink = await link(graphPort, 'bytes')
  const engineLink = await link(enginePort, 'bytes')

  const announced = brokerPorts.map(port => `127.0.0.1:${port}`)
  const stack = await startStack({
    mode: plan.stack,
    brokers: 3,
    extra: { listeners: { [DOOR]: 'PLAINTEXT' }, announce: { [DOOR]: announced }, properties: {}, files: {} },
    say,
    env: request.env,
    signal,
  })
  undo.defer(() => stack.stop())
  const tool = await openTools(stack, request)
  const tokens = Array.from({ length: TOKENS_MAX }, () => randomBytes(24).toString('base64url'))
  const engine = await startEngineSim({ seed: plan.seed, token: tokens, dedupe: true })
  undo.defer(() => engine.stop())
  for (const [place, address] of (stack.doors[DOOR] ?? []).entries()) brokerLinks[place]?.connectTo(address)
  registryLink.connectTo(new URL(stack.registryUrl).host)
  graphLink.connectTo(new URL(graph.url).host)
  engineLink.connectTo(new URL(engine.url).host)

  const secretsDir = join(folder, 'secrets')
  await mkdir(secretsDir, { recursive: true })
  const tenantsFile = join(folder, 'tenants.yaml')
  await writeTenantFiles(graph.tenants, { tenantsFile, secretsDir })
  const direct = {
    ...withoutSettings(request.env),
    KAFKA_BROKERS: stack.brokers.join(','),
    SCHEMA_REGISTRY_URL: stack.registryUrl,
    TOPIC_PREFIX: PREFIX,
    LANES: String(PACE.lanes),
    SECRETS_DIR: secretsDir,
    GRAPH_SANDBOX_URL: graph.url,
    NODE_ENV: 'development',
  }
  const through = (url: string, port: number): string => {
    const changed = new URL(url)
    changed.port = String(port)
    return changed.href
  }
  const workerEnv = {
    ...direct,
    KAFKA_BROKERS: announced.join(','),
    SCHEMA_REGISTRY_URL: through(stack.registryUrl, registryPort),
    GRAPH_SANDBOX_URL: through(graph.url, graphPort).replace(/\/$/, ''),
    ENGINE_URL: through(engine.url, enginePort).replace(/\/$/, ''),
    POLL_INTERVAL_SECONDS: String(PACE.pollIntervalSeconds),
    OVERLAP_SECONDS: String(PACE.overlapSeconds),
    LOOKBACK_HOURS: String(PACE.lookbackHours),
    SESSION_TIMEOUT_SECONDS: String(SESSION_TIMEOUT_MS / 1000),
    ENGINE_TIMEOUT_SECONDS: '10',
    HTTP_HOST: '127.0.0.1',
    PARKING_BUDGET_COUNT: '1000',
  }
  await Promise.all([socos(['topics', 'apply'], direct, signal), socos(['schemas', 'register'], direct, signal)])
  await socos(['tenants', 'apply', tenantsFile], direct, signal)

  const complaints: string[] = []
  const crew = openCrew({
    folder,
    env: workerEnv,
    onDeath: (worker, how) => {
      complaints.push(`${worker.name} ended by itself (${how})`)
      void tailOf(worker.logFile).then(tail => say(`${worker.name} ended by itself (${how}):\n${tail}`))
    },
  })
  undo.defer(() => crew.stop())
  const senders: string[] = []
  const keptFiles = new Map<string, string>()
  let lives = 0

  const site: Site = {
    stack,
    tool,
    graph,
    engine,
    crew,
    links: {
      ...Object.fromEntries(brokerLinks.map((each, place) => [`broker-${place + 1}`, each])),
      graph: graphLink,
      engine: engineLink,
    },
    registryLink,
    topicPrefix: PREFIX,
    env: direct,
    sessionTimeoutMs: SESSION_TIMEOUT_MS,
    folder,
    zombies: new Set(),
    spared: new Set(),
    complaints,
    running: role => crew.workers.filter(worker => worker.running && worker.name.startsWith(role)),
    async start(role, env = {}) {
      const keptFile = join(folder, `kept-${lives++}`)
      const own: Record<string, string> = {
        ...env,
        CHAOS_KEPT_FILE: keptFile,
        NODE_OPTIONS: `--import=${KEPT_MEMORY} ${env['NODE_OPTIONS'] ?? ''}`,
      }
      let named = (_name: string): void => {}
      if (role === 'forwarder') {
        const place = senders.length
        const token = tokens[place]
        if (token === undefined) throw new Error(`more than ${TOKENS_MAX} lives of forwarders`)
        senders.push('') // its name is known in a moment; its place is taken now
        own['ENGINE_TOKEN_FILE'] = join(folder, `token-${place}`)
        await writeFile(own['ENGINE_TOKEN_FILE'], `${token}\n`, { mode: 0o600 })
        named = name => void (senders[place] = name)
      }
      const [worker] = await crew.start(role, 1, own)
      if (!worker) throw new Error('the run is over')
      named(worker.name)
      keptFiles.set(worker.name, keptFile)
      return worker
    },
    async kept(worker) {
      const text = await readFile(keptFiles.get(worker.name) ?? '', 'utf8').catch(() => null)
      return text === null ? null : Number(text)
    },
    async ready(worker) {
      const deadline = Date.now() + READY_MS
      while (!(await isReady(worker))) {
        if (Date.now() > deadline || !worker.running) {
          throw new Error(`${worker.name} is not ready:\n${await tailOf(worker.logFile)}`)
        }
        await delay(TICK_MS, undefined, { signal })
      }
    },
    senderName: sender => senders[sender] ?? '',
    complain: what => void complaints.push(what),
  }
  return site
}

function openGraph(plan: SiteShape): Promise<GraphSim> {
  return startGraphSim({
    seed: plan.seed,
    tenants: { count: plan.tenants, legacy: Math.max(1, Math.floor(plan.tenants / 10)) },
    backlogPerTenant: PACE.backlogPerTenant,
    backlogDays: PACE.backlogDays,
    updateShare: PACE.updateShare,
    hotTenantShare: PACE.hotTenantShare,
    hostileShare: PACE.hostileShare,
    lagMs: PACE.lagMs,
  })
}

/** The caller's environment without any setting of ours that happens to stand there. */
function withoutSettings(env: SiteRequest['env']): SiteRequest['env'] {
  const ours = new Set(settingNames())
  return Object.fromEntries(Object.entries(env).filter(([name]) => !ours.has(name)))
}
