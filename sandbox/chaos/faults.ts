/**
 * Everything that can go wrong, as data: a name, what it strikes, and how. Longer than the rule: it is one table, and
 * the way from a name to what happens is only short when both stand together.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import type { Random } from '../../platform/clock.ts'
import type { Role, Worker } from '../crew.ts'
import type { EngineFaultInput } from '../engine/faults.ts'
import { ALWAYS } from '../graph/fault-list.ts'
import type { GraphFaultInput } from '../graph/faults.ts'
import type { ApiName } from './frames.ts'
import type { Link, Toxic } from './proxy.ts'
import type { Site } from './site.ts'

/** Faults of one track never overlap; those of different tracks do. */
export type Track = 'workers' | 'brokers' | 'network' | 'graph' | 'engine'

/** Strikes, lasts, heals. Resolves with how often it struck and what it struck, in words. */
type Inject = (site: Site, it: Throw) => Promise<Struck>

interface Throw {
  readonly random: Random
  readonly lastsMs: number
}

export interface Struck {
  readonly fired: number
  readonly what: string
}

interface FaultSpec {
  readonly track: Track
  readonly inject: Inject
}

/** A zombie wakes when others have had its lanes for a while. */
const ZOMBIE_EXTRA_MS = 4_000
const STEPPED_CLOCK = pathToFileURL(`${import.meta.dirname}/stepped-clock.ts`).href

/** A fault goes on for so much longer until it has struck: at that moment perhaps nobody came by. */
const UNTIL_STRUCK_MS = 60_000
const LOOK_MS = 100

async function lasting(lastsMs: number, fired: () => number): Promise<void> {
  await delay(lastsMs)
  for (let waitedMs = 0; fired() === 0 && waitedMs < UNTIL_STRUCK_MS; waitedMs += LOOK_MS) await delay(LOOK_MS)
}

const workers = (inject: Inject): FaultSpec => ({ track: 'workers', inject })
const brokers = (inject: Inject): FaultSpec => ({ track: 'brokers', inject })

function pick<T>(random: Random, items: readonly T[]): T {
  const chosen = items[Math.floor(random() * items.length)]
  if (chosen === undefined) throw new Error('nothing to choose from')
  return chosen
}

async function victim(site: Site, role: Role, random: Random): Promise<Worker> {
  const all = site.running(role)
  const others = all.filter(({ name }) => !site.spared.has(name))
  return pick(random, others.length > 0 ? others : all)
}

function killed(role: Role): FaultSpec {
  return workers(async (site, { random }) => {
    const worker = await victim(site, role, random)
    worker.signal('SIGKILL')
    await worker.gone
    await site.start(role)
    return { fired: 1, what: worker.name }
  })
}

function frozen(role: Role): FaultSpec {
  return workers(async (site, { random }) => {
    const worker = await victim(site, role, random)
    site.zombies.add(worker.name)
    worker.signal('SIGSTOP')
    await delay(site.sessionTimeoutMs + ZOMBIE_EXTRA_MS)
    worker.signal('SIGCONT')
    return { fired: 1, what: worker.name }
  })
}

/** As a rollout does it: one goes in order, the next comes. */
async function replaced(site: Site, worker: Worker, role: Role, env: Readonly<Record<string, string>> = {}) {
  worker.signal('SIGTERM')
  const how = await worker.gone
  if (how !== 'exit 0') site.complain(`${worker.name} was told to end and ended with ${how}`)
  return site.start(role, env)
}

function told(role: Role): FaultSpec {
  return workers(async (site, { random }) => {
    const worker = await victim(site, role, random)
    await replaced(site, worker, role)
    return { fired: 1, what: worker.name }
  })
}

function clocked(role: Role): FaultSpec {
  return workers(async (site, { random, lastsMs }) => {
    const steps = `0:0,${Math.round(lastsMs / 3)}:3600000,${Math.round((lastsMs / 3) * 2)}:-3600000`
    const fresh = await replaced(site, await victim(site, role, random), role, {
      NODE_OPTIONS: `--import=${STEPPED_CLOCK}`,
      CHAOS_CLOCK_STEPS: steps,
    })
    await delay(lastsMs + 2_000)
    await replaced(site, fresh, role)
    return { fired: 2, what: `${fresh.name} an hour ahead, then an hour behind` }
  })
}

const storm: FaultSpec = workers(async site => {
  const turns = 3
  for (let turn = 0; turn < turns; turn++) {
    const fresh = await Promise.all([site.start('poller'), site.start('forwarder')])
    await delay(1_500)
    for (const worker of fresh) worker.signal('SIGTERM')
    await Promise.all(fresh.map(worker => worker.gone))
  }
  return { fired: turns, what: `${turns} workers of each kind joined and left` }
})

function broker(how: (node: Site['stack']['nodes'][number], lastsMs: number) => Promise<void>): FaultSpec {
  return brokers(async (site, { random, lastsMs }) => {
    const node = pick(random, site.stack.nodes)
    await how(node, lastsMs)
    return { fired: 1, what: `broker ${node.id}` }
  })
}

const electLeaders: FaultSpec = brokers(async site => {
  const out = await site.tool('org.apache.kafka.tools.LeaderElectionCommand', [
    '--election-type',
    'preferred',
    '--all-topic-partitions',
  ])
  const moved = /Successfully completed leader election[^\n]*/.exec(out)?.[0] ?? 'all led as preferred'
  return { fired: 1, what: moved.slice(0, 80) }
})

async function spoiled(links: readonly Link[], toxic: Toxic, lastsMs: number): Promise<number> {
  const fired = () => links.reduce((sum, link) => sum + link.fired, 0)
  for (const link of links) link.set(toxic)
  await lasting(lastsMs, fired)
  const struck = fired()
  for (const link of links) link.set(null)
  return struck
}

/** On the way to one broker, to Graph or to the engine. */
function network(toxic: Toxic | 'cut' | 'half-close'): FaultSpec {
  return {
    track: 'network',
    async inject(site, { random, lastsMs }) {
      const [name, link] = pick(random, Object.entries(site.links))
      if (typeof toxic !== 'string') return { fired: await spoiled([link], toxic, lastsMs), what: `the way to ${name}` }
      link.set(null)
      const strike = () => {
        if (toxic === 'cut') link.cut()
        else link.halfClose()
        return link.fired
      }
      await lasting(0, strike)
      return { fired: link.fired, what: `the way to ${name}` }
    },
  }
}

/** By what Kafka is asked; on the ways to all brokers, for only one of them coordinates a group. */
function answers(kind: 'lose-answer' | 'delay-answer', api: ApiName, ms = 0): FaultSpec {
  return {
    track: 'network',
    async inject(site, { lastsMs }) {
      const links = Object.entries(site.links).flatMap(([name, link]) => (name.startsWith('broker') ? [link] : []))
      const toxic: Toxic = kind === 'lose-answer' ? { kind, api } : { kind, api, ms }
      return { fired: await spoiled(links, toxic, lastsMs), what: `answers to ${api}` }
    },
  }
}

const registryDown: FaultSpec = {
  track: 'network',
  async inject(site, { lastsMs }) {
    site.registryLink.cut()
    const spoiling = spoiled([site.registryLink], { kind: 'refuse' }, lastsMs)
    // somebody has to ask: a worker that starts
    const fresh = await site.start('forwarder')
    const fired = await spoiling
    await site.ready(fresh)
    fresh.signal('SIGTERM')
    await fresh.gone
    return { fired, what: `${fresh.name} started without a registry` }
  },
}

function graph(input: GraphFaultInput, probability = 0.5): FaultSpec {
  return {
    track: 'graph',
    async inject({ graph: { faults } }, { lastsMs }) {
      const fault = faults.add({ budget: ALWAYS, probability, ...input })
      await lasting(lastsMs, () => fault.fired)
      faults.remove(fault.id)
      return { fired: fault.fired, what: 'any tenant' }
    },
  }
}

/** Tokens live for an hour: something has to ask for one, and a poller that starts does. */
function tokens(input: GraphFaultInput): FaultSpec {
  return {
    track: 'graph',
    async inject(site, { lastsMs }) {
      const fault = site.graph.faults.add({ budget: ALWAYS, probability: 0.7, ...input })
      for (const { tenantId } of site.graph.tenants) site.graph.changeTenant({ tenantId, revokeTokens: true })
      await lasting(lastsMs, () => fault.fired)
      site.graph.faults.remove(fault.id)
      return { fired: fault.fired, what: 'any tenant, all tokens revoked' }
    },
  }
}

function engine(input: EngineFaultInput, probability = 0.5): FaultSpec {
  return {
    track: 'engine',
    async inject({ engine: { faults } }, { lastsMs }) {
      const fault = faults.add({ budget: ALWAYS, probability, ...input })
      await lasting(lastsMs, () => fault.fired)
      faults.remove(fault.id)
      return { fired: fault.fired, what: 'any batch' }
    },
  }
}

const slowTenant: FaultSpec = {
  track: 'engine',
  async inject({ engine: { faults }, graph: { tenants } }, { lastsMs }) {
    const [busiest] = tenants
    const { tenantId, name } = busiest ?? { tenantId: '*', name: 'all' }
    const fault = faults.add({ kind: 'slow', delayMs: 2_000, budget: ALWAYS, tenant: tenantId })
    await lasting(lastsMs, () => fault.fired)
    faults.remove(fault.id)
    return { fired: fault.fired, what: name }
  },
}

/** Recovery holds the polling interval and the work itself; what this takes is to be taken off. */
const nothing: FaultSpec = workers(async (_, { lastsMs }) => {
  await delay(lastsMs)
  return { fired: 1, what: 'nothing, for comparison' }
})

export const FAULTS = {
  none: nothing,
  'kill-poller': killed('poller'),
  'kill-forwarder': killed('forwarder'),
  'freeze-poller': frozen('poller'),
  'freeze-forwarder': frozen('forwarder'),
  'replace-poller': told('poller'),
  'replace-forwarder': told('forwarder'),
  'poller-clock': clocked('poller'),
  'forwarder-clock': clocked('forwarder'),
  storm,
  'kill-broker': broker(async (node, lastsMs) => {
    await node.kill()
    await delay(lastsMs)
    await node.start()
  }),
  'stop-broker': broker(async (node, lastsMs) => {
    await node.stop()
    await delay(lastsMs)
    await node.start()
  }),
  'pause-broker': broker(async (node, lastsMs) => {
    await node.pause()
    await delay(lastsMs)
    await node.resume()
  }),
  'disk-full': broker(async (node, lastsMs) => {
    if (node.fillDisk === undefined) throw new Error('disk-full needs brokers that are processes: --stack jvm')
    await node.fillDisk()
    await delay(lastsMs)
    await node.start()
  }),
  'elect-leaders': electLeaders,
  latency: network({ kind: 'latency', ms: 200, jitterMs: 100 }),
  bandwidth: network({ kind: 'bandwidth', bytesPerSecond: 125_000 }),
  'black-hole': network({ kind: 'black-hole' }),
  cut: network('cut'),
  'half-close': network('half-close'),
  'lose-produce': answers('lose-answer', 'Produce'),
  'lose-fetch': answers('lose-answer', 'Fetch'),
  'lose-commit': answers('lose-answer', 'OffsetCommit'),
  'lose-heartbeat': answers('lose-answer', 'Heartbeat'),
  'slow-produce': answers('delay-answer', 'Produce', 3_000),
  'slow-fetch': answers('delay-answer', 'Fetch', 1_500),
  'registry-down': registryDown,
  'graph-500': graph({ kind: 'status', status: 500 }),
  'graph-503-html': graph({ kind: 'status', status: 503, html: true }),
  'graph-throttle': graph({ kind: 'throttle', retryAfter: 'seconds', seconds: 2 }),
  'graph-throttle-date': graph({ kind: 'throttle', retryAfter: 'http-date', seconds: 2 }),
  'graph-reset': graph({ kind: 'reset', when: 'within' }),
  'graph-hang': graph({ kind: 'hang' }, 0.1),
  'graph-slow-body': graph({ kind: 'slow-body', bytesPerSecond: 2_000 }, 0.2),
  'graph-truncated': graph({ kind: 'truncated-body' }),
  'graph-html': graph({ kind: 'html' }),
  'graph-partial': graph({ kind: 'partial' }),
  'graph-401': graph({ kind: 'unauthorized' }, 0.3),
  'graph-next-link': graph({ kind: 'next-link', variant: 'other-host', phase: 'any' }),
  'graph-shuffled': graph({ kind: 'shuffled-rows' }),
  'graph-duplicates': graph({ kind: 'duplicate-rows' }),
  'token-503': tokens({ kind: 'status', status: 503, where: 'token' }),
  'token-throttle': tokens({ kind: 'throttle', where: 'token', seconds: 2 }),
  'token-none': tokens({ kind: 'no-token' }),
  'token-reset': tokens({ kind: 'reset', where: 'token' }),
  'engine-503': engine({ kind: 'status', status: 503 }),
  'engine-429': engine({ kind: 'throttle', seconds: 1 }),
  'engine-hang': engine({ kind: 'hang', accept: true }, 0.1),
  'engine-reset': engine({ kind: 'reset', when: 'after-accept' }),
  'engine-item-503': engine({ kind: 'item-status', status: 503, share: 0.3 }),
  'engine-unreadable': engine({ kind: 'unreadable', form: 'truncated', accept: true }),
  'engine-missing-items': engine({ kind: 'missing-items', share: 0.5, accept: true }),
  'engine-contradiction': engine({ kind: 'contradiction' }),
  'engine-slow-tenant': slowTenant,
} satisfies Readonly<Record<string, FaultSpec>>

export type FaultKind = keyof typeof FAULTS

/** What only brokers that are processes of this machine can suffer. */
export const OF_PROCESSES: readonly FaultKind[] = ['disk-full']

export const FAULT_KINDS: readonly FaultKind[] = Object.keys(FAULTS).filter(name => name in FAULTS) as FaultKind[]
