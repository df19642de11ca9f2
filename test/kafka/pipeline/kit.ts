/**
 * A pipeline of real processes on the shared stack: real CLI, real workers, simulated Graph and engine.
 * Longer than the rule: starting, watching and ending these processes is one thing.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { inject } from 'vitest'
import type { Io } from '../../../cli/io.ts'
import { runSocos } from '../../../cli/run.ts'
import type { EngineSimOptions } from '../../../sandbox/engine/sim.ts'
import { type EngineSim, startEngineSim } from '../../../sandbox/engine/sim.ts'
import type { GraphSimOptions } from '../../../sandbox/graph/sim.ts'
import { type GraphSim, startGraphSim } from '../../../sandbox/graph/sim.ts'
import { writeTenantFiles } from '../../../sandbox/graph/tenants.ts'
import { judge, type Verdict } from '../../../sandbox/oracle.ts'

type Role = 'poller' | 'forwarder'

interface WorkerProcess {
  readonly role: Role
  readonly child: ChildProcess
  readonly url: string
  /** Everything it logged. */
  log(): string
  ready(): Promise<void>
  /** SIGTERM; resolves with the exit code. */
  stop(): Promise<number | null>
  kill(signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): void
  exited(): Promise<number | null>
}

export interface Pipeline extends AsyncDisposable {
  readonly graph: GraphSim
  readonly engine: EngineSim
  readonly stack: { readonly brokers: readonly string[]; readonly registryUrl: string }
  readonly prefix: string
  readonly tenantsFile: string
  readonly env: NodeJS.ProcessEnv
  /** The command as a process. */
  socos(...args: string[]): Promise<{ code: number | null; out: string; err: string }>
  socosWith(env: NodeJS.ProcessEnv, ...args: string[]): Promise<{ code: number | null; out: string; err: string }>
  /** The same within this process: for what is asked again and again until it holds. */
  look(...args: string[]): Promise<{ code: number; out: string; err: string }>
  /** Rows of `socos status -o json`, by tenant id. */
  status(): Promise<Map<string, StatusRow>>
  start(role: Role, env?: NodeJS.ProcessEnv): Promise<WorkerProcess>
  verdict(options?: { exceptTenants?: readonly string[]; exceptAlerts?: readonly string[] }): Verdict
  /** Waits until nothing that the engine must have is missing and nothing waits. */
  complete(options?: {
    exceptTenants?: readonly string[]
    exceptAlerts?: readonly string[]
    patienceMs?: number
  }): Promise<Verdict>
}

export interface StatusRow {
  readonly tenantId: string
  readonly name: string
  readonly state: string
  readonly problem: string | null
  readonly problemSince: string | null
  readonly whoseMove: string | null
  readonly page: string | null
  readonly nextTry: string | null
  readonly lastPoll: string | null
  readonly freshness: number | null
  readonly published: number
  readonly quarantined: number
  readonly openGaps: number
  readonly provenUpTo: string | null
  readonly foundLate: number
  readonly parkedNow: number
  readonly balanced: boolean
  readonly counts: {
    readonly seen: number
    readonly delivered: number
    readonly duplicate: number
    readonly stale: number
    readonly parked: number
    readonly waiting: number
  }
}

export const ROOT = path.resolve(import.meta.dirname, '../../..')
const MAINS: Record<Role, string> = { poller: 'producers/main.ts', forwarder: 'consumers/main.ts' }
let serial = 0
const JUDGED_EVERY_MS = 500
/** A worker that died with a revision has been replaced by then, and has asked once more. */
const MUST_SEE_MS = 30_000

export async function startPipeline(options: {
  readonly name: string
  readonly graph?: GraphSimOptions
  readonly engine?: EngineSimOptions
  readonly lanes?: number
  readonly env?: NodeJS.ProcessEnv
  readonly stack?: { readonly brokers: readonly string[]; readonly registryUrl: string }
  /** Before anything is made under the prefix. */
  readonly before?: (prefix: string) => Promise<void>
}): Promise<Pipeline> {
  const stack = options.stack ?? inject('stack')
  const dir = await mkdtemp(path.join(tmpdir(), 'socos-test-'))
  const graph = await startGraphSim({ backlogDays: 0.5, ...options.graph })
  const engine = await startEngineSim(options.engine)
  const prefix = `${options.name}-${process.pid}-${++serial}.`
  const tenantsFile = path.join(dir, 'tenants.yaml')
  await writeTenantFiles(graph.tenants, { secretsDir: path.join(dir, 'secrets'), tenantsFile })
  const env: NodeJS.ProcessEnv = {
    PATH: process.env['PATH'],
    HOME: process.env['HOME'],
    KAFKA_BROKERS: stack.brokers.join(','),
    SCHEMA_REGISTRY_URL: stack.registryUrl,
    TOPIC_PREFIX: prefix,
    LANES: String(options.lanes ?? 6),
    SECRETS_DIR: path.join(dir, 'secrets'),
    GRAPH_SANDBOX_URL: graph.url,
    ENGINE_URL: engine.url,
    POLL_INTERVAL_SECONDS: '2',
    OVERLAP_SECONDS: '60',
    LOOKBACK_HOURS: '24',
    SESSION_TIMEOUT_SECONDS: '6',
    HTTP_HOST: '127.0.0.1',
    LOG_LEVEL: 'info',
    // a process starts in half the time
    NODE_COMPILE_CACHE: path.join(ROOT, '.cache/node-compile'),
    ...options.env,
  }
  const workers: WorkerProcess[] = []

  const pipeline: Pipeline = {
    graph,
    engine,
    stack,
    prefix,
    tenantsFile,
    env,
    socos: (...args) => run(['cli/socos.ts', ...args], env),
    socosWith: (extra, ...args) => run(['cli/socos.ts', ...args], { ...env, ...extra }),
    async look(...args) {
      let [out, err] = ['', '']
      const io: Io = {
        env,
        out: text => void (out += text),
        say: text => void (err += text),
        isErrTty: false,
      }
      return { code: await runSocos(['node', 'socos', ...args], io), out, err }
    },
    async status() {
      const { code, out, err } = await pipeline.look('status', '-o', 'json')
      if (code !== 0 && code !== 6) throw new Error(`socos status exited with ${code}: ${err}`)
      const rows = (JSON.parse(out) as { tenants: StatusRow[] }).tenants
      return new Map(rows.map(row => [row.tenantId, row]))
    },
    async start(role, extra = {}) {
      const worker = await startWorker(role, { ...env, ...extra })
      workers.push(worker)
      return worker
    },
    verdict: (except = {}) =>
      judge({ graph: graph.ledger, engine: engine.ledger, mustSeeMs: MUST_SEE_MS, owedSince: 'asked', ...except }),
    async complete({ patienceMs = 90_000, ...except } = {}) {
      let verdict = pipeline.verdict(except)
      await until(
        () => {
          verdict = pipeline.verdict(except)
          return verdict.visible > 0 && verdict.missingCount === 0
        },
        patienceMs,
        () =>
          `still missing ${verdict.missingCount} of ${verdict.visible}: ${JSON.stringify(verdict.missing.slice(0, 3))}\n${tails(workers)}`,
        JUDGED_EVERY_MS, // over thousands of revisions each time
      )
      return verdict
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(workers.map(worker => worker.stop()))
      await Promise.all([graph.stop(), engine.stop()])
      await rm(dir, { recursive: true, force: true })
    },
  }

  await options.before?.(prefix)
  for (const args of [
    ['topics', 'apply'],
    ['schemas', 'register'],
    ['tenants', 'apply', tenantsFile],
  ]) {
    const { code, err, out } = await pipeline.look(...args)
    if (code !== 0) throw new Error(`socos ${args.join(' ')} exited with ${code}: ${err}${out}`)
  }
  return pipeline
}

/** Polls a condition; a test waits for what it is about, never for a while. */
export async function until(
  holds: () => boolean | Promise<boolean>,
  patienceMs: number,
  words: () => string = () => 'the condition never held',
  everyMs = 100,
): Promise<void> {
  const deadline = Date.now() + patienceMs
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`after ${patienceMs / 1000} s ${words()}`)
    await new Promise(resolve => setTimeout(resolve, everyMs))
  }
}

/** P5: every record on the log has a fate or waits. */
export function sumOf({ counts }: StatusRow): number {
  return counts.delivered + counts.duplicate + counts.stale + counts.parked
}

async function startWorker(role: Role, env: NodeJS.ProcessEnv): Promise<WorkerProcess> {
  const port = await freePort()
  const child = spawn(process.execPath, [MAINS[role]], {
    cwd: ROOT,
    env: { ...env, HTTP_PORT: String(port) },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let text = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8')
    stream.on('data', (chunk: string) => (text += chunk))
  }
  const exit = new Promise<number | null>(resolve => child.once('exit', code => resolve(code)))
  const url = `http://127.0.0.1:${port}`
  return {
    role,
    child,
    url,
    log: () => text,
    exited: () => exit,
    async ready() {
      await until(
        async () => {
          if (child.exitCode !== null) throw new Error(`${role} exited with ${child.exitCode}:\n${text.slice(-3_000)}`)
          return fetch(`${url}/readyz`).then(
            response => response.ok,
            () => false,
          )
        },
        60_000,
        () => `${role} is not ready:\n${text.slice(-3_000)}`,
      )
    },
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return child.exitCode
      child.kill('SIGCONT')
      child.kill('SIGTERM')
      return exit
    },
    kill: signal => void child.kill(signal),
  }
}

async function run(
  args: readonly string[],
  env: NodeJS.ProcessEnv,
): Promise<{ code: number | null; out: string; err: string }> {
  const child = spawn(process.execPath, [...args], { cwd: ROOT, env, stdio: ['ignore', 'pipe', 'pipe'] })
  let out = ''
  let err = ''
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (out += chunk))
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (err += chunk))
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, out, err }
}

async function freePort(): Promise<number> {
  const { createServer } = await import('node:net')
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  return typeof address === 'object' && address !== null ? address.port : 0
}

function tails(workers: readonly WorkerProcess[]): string {
  return workers.map(worker => `--- ${worker.role} ---\n${worker.log().slice(-1_500)}`).join('\n')
}
