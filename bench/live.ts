/** The whole way, live: Graph stand-in → poller → Kafka → forwarder → engine stand-in, both workers on one core. */
import { freePorts } from '../sandbox/kafka/ports.ts'
import type { Site } from './case.ts'
import { LANES, PATIENCE_MS, TENANTS, exactly, ownsSomething, untilReady } from './case.ts'
import type { Ground } from './ground.ts'
import { openGround } from './ground.ts'
import { quantile } from './pace.ts'
import type { Program } from './process.ts'
import { startProgram, until } from './process.ts'
import { startWorker } from './worker.ts'

/** The smallest that is sensible: Graph allows a tenant's app 150 requests a minute, and each poll may need some. */
export const INTERVAL_SECONDS = 2
/** The least that the poller makes of it: each instant lies in two polls. More of it is the same alerts read again. */
const OVERLAP_SECONDS = 2 * INTERVAL_SECONDS

export interface Live extends AsyncDisposable {
  readonly poller: Program
  readonly forwarder: Program
  readonly forwarderPort: number
  applyTenants(): Promise<void>
  /** `count` alerts, `perSecond` of them a second from `startMs` on. */
  show(startMs: number, perSecond: number, count: number): Promise<Shown>
  /** Alerts a second that the engine takes; 0: as fast as it can. */
  pace(perSecond: number): Promise<void>
}

interface Shown {
  readonly accepted: () => Promise<number>
  /** When all have arrived, each once; otherwise it is an error and no figure. */
  arrived(): Promise<Times>
}

/** Of each alert, by its number, in milliseconds since the epoch. */
export interface Times {
  readonly visibleMs: (k: number) => number
  readonly shownMs: Float64Array
  readonly acceptedMs: Float64Array
}

export async function openLive(site: Site): Promise<Live> {
  const { stack, env } = site
  const ground = await openGround(stack, env, LANES)
  const programs: Program[] = []
  const close = async (): Promise<void> => {
    await Promise.all(programs.map(program => program.stop()))
    await ground[Symbol.asyncDispose]()
  }
  try {
    const [forwarderPort = 0] = await freePorts(1)
    const started = async (starting: Promise<Program>): Promise<Program> => {
      const program = await starting
      programs.push(program)
      return program
    }
    const standin = (...args: readonly string[]): Promise<Program> =>
      started(startProgram(args, { env: ground.env, measured: false, untilReady: true }))
    const { graph, engine } = ground.ports
    await standin('bench/live-graph-standin.ts', `${graph}`, `${TENANTS}`, `${INTERVAL_SECONDS * 1_000}`)
    await standin('bench/paced-engine-standin.ts', `${engine}`)
    const settings = { POLL_INTERVAL_SECONDS: `${INTERVAL_SECONDS}`, OVERLAP_SECONDS: `${OVERLAP_SECONDS}` }
    const poller = await started(startWorker('poller', site, { ...ground.env, ...settings }))
    const port = { HTTP_PORT: `${forwarderPort}` }
    const forwarder = await started(startWorker('forwarder', site, { ...ground.env, ...port }))
    for (const at of [ground.ports.worker, forwarderPort]) {
      await ownsSomething(at)
      await untilReady(at)
    }
    return {
      poller,
      forwarder,
      forwarderPort,
      applyTenants: () => ground.applyTenants(TENANTS),
      show: (startMs, perSecond, count) => show(ground, startMs, perSecond, count),
      pace: async perSecond => void (await control(engine, `pace?rate=${perSecond}`, 'POST')),
      [Symbol.asyncDispose]: close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

async function show(ground: Ground, startMs: number, perSecond: number, count: number): Promise<Shown> {
  const { graph, engine } = ground.ports
  await control(engine, `expect?count=${count}`, 'POST')
  await control(graph, `show?start=${startMs}&rate=${perSecond}&count=${count}`, 'POST')
  const counted = async (): Promise<{ readonly distinct: number; readonly repeats: number }> =>
    (await (await control(engine, 'count')).json()) as { readonly distinct: number; readonly repeats: number }
  const times = async (port: number, name: string): Promise<Float64Array> =>
    new Float64Array(await (await control(port, name)).arrayBuffer())
  const accepted = async (): Promise<number> => (await counted()).distinct
  return {
    accepted,
    async arrived() {
      await until(async () => (await accepted()) >= count, PATIENCE_MS)
      const { repeats } = await counted()
      exactly(repeats, 0, 'alerts that came twice')
      exactly(await ground.recordsOn('alerts'), count, 'alerts on the log')
      const visibleMs = (k: number): number => startMs + (k * 1_000) / perSecond
      return { visibleMs, shownMs: await times(graph, 'shown'), acceptedMs: await times(engine, 'accepted') }
    },
  }
}

function control(port: number, what: string, method = 'GET'): Promise<Response> {
  return fetch(`http://127.0.0.1:${port}/control/${what}`, { method })
}

/** Quantiles of what lies between two instants of the alerts from `first` on. */
export function between(
  { acceptedMs }: Times,
  since: (k: number) => number,
  first: number,
): { readonly p50Ms: number; readonly p99Ms: number } {
  const sorted = acceptedMs
    .subarray(first)
    .map((ms, n) => ms - since(first + n))
    .toSorted()
  return { p50Ms: quantile(sorted, 0.5), p99Ms: quantile(sorted, 0.99) }
}
