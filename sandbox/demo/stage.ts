import { randomBytes } from 'node:crypto'
import { copyFile, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { EngineSim } from '../engine/sim.ts'
import { startEngineSim } from '../engine/sim.ts'
import type { GraphSim } from '../graph/sim.ts'
import { startGraphSim } from '../graph/sim.ts'
import { writeTenantFiles } from '../graph/tenants.ts'
import type { Stack } from '../kafka/ladder.ts'
import { startStack } from '../kafka/ladder.ts'
import { claimFolder, sweepFolders, watchOver } from '../kafka/leftovers.ts'
import { tidyGiven } from './cluster.ts'
import { settingsScript } from './guide.ts'
import type { DemoPlan, Intended, Site } from './plan.ts'
import { childEnvironment, intendTroubles, MIX, PACE, settingsOf } from './plan.ts'
import { socos } from '../crew.ts'

/** Everything but the workers: Kafka, registry, both simulators, topics, schemas, tenants. */
export interface Stage {
  readonly stack: Stack
  readonly graph: GraphSim
  readonly engine: EngineSim
  readonly intended: readonly Intended[]
  /** A tenant without trouble. */
  readonly healthy: string
  /** Logs, secrets and pid files; deleted with the stage. */
  readonly folder: string
  readonly settings: Readonly<Record<string, string>>
  readonly settingsFile: string
  /** Environment of every process of the run. */
  readonly env: Readonly<Record<string, string | undefined>>
}

export interface StageRequest {
  readonly plan: DemoPlan
  readonly env: Readonly<Record<string, string | undefined>>
  readonly signal: AbortSignal
  readonly say: (line: string) => void
}

/** Whatever is started is also put into `undo`, at once: an end in the middle leaves nothing. */
export async function openStage(request: StageRequest, undo: AsyncDisposableStack): Promise<Stage> {
  const { plan, signal, say } = request
  for (const folder of await sweepFolders()) say(`buried what a crashed run left in ${folder}`)
  const folder = await claimFolder()
  // even when this process is killed: it ends the workers by their pid files and deletes the folder
  const minder = watchOver('folder', folder)
  undo.defer(() => minder.dismiss())
  undo.defer(() => rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 }))

  const stack = await startStack({ mode: plan.stack, say, env: request.env, signal })
  undo.defer(() => stack.stop())
  const site = await openSimulators(plan, folder, stack, undo)
  const settings = settingsOf(site)
  const settingsFile = join(folder, 'settings.sh')
  await writeFile(settingsFile, settingsScript(settings))
  const env = childEnvironment(request.env, site)
  if (stack.kind === 'given') {
    undo.defer(async () => {
      for (const what of await tidyGiven(env)) say(`left in the given cluster: ${what}`)
    })
  }
  const tenantsFile = join(folder, 'tenants.yaml')
  await writeTenantFiles(site.graph.tenants, { tenantsFile, secretsDir: site.secretsDir })
  await Promise.all([socos(['topics', 'apply'], env, signal), socos(['schemas', 'register'], env, signal)])
  await socos(['tenants', 'apply', tenantsFile], env, signal)
  say(`${plan.tenants} tenants are applied, ${plan.backlog} alerts of the past in each`)
  const { graph, engine } = site
  const intended = intendTroubles(graph.tenants)
  const healthy = graph.tenants[0]?.tenantId ?? ''
  return { stack, graph, engine, intended, healthy, folder, settings, settingsFile, env }
}

async function openSimulators(
  plan: DemoPlan,
  folder: string,
  stack: Stack,
  undo: AsyncDisposableStack,
): Promise<Site & { readonly graph: GraphSim; readonly engine: EngineSim }> {
  const graph = await startGraphSim({
    seed: plan.seed,
    tenants: {
      count: plan.tenants,
      legacy: Math.max(1, Math.floor(plan.tenants * MIX.legacyTenants)),
      unconsented: 1,
      expired: 1,
    },
    backlogPerTenant: plan.backlog,
    backlogDays: PACE.backlogDays,
    updateShare: MIX.updates,
    hotTenantShare: MIX.hotTenant,
    hostileShare: MIX.hostile,
    lagMs: PACE.lagMs,
  })
  undo.defer(() => graph.stop())
  const token = randomBytes(24).toString('base64url')
  const engine = await startEngineSim({ seed: plan.seed, token })
  undo.defer(() => engine.stop())
  const secretsDir = join(folder, 'secrets')
  await mkdir(secretsDir, { recursive: true })
  const engineTokenFile = join(folder, 'engine.token')
  await writeFile(engineTokenFile, `${token}\n`, { mode: 0o600 })
  return {
    graph,
    engine,
    stack,
    // in somebody's cluster nothing of theirs can be in the way
    topicPrefix: stack.kind === 'given' ? `demo-${randomBytes(4).toString('hex')}.` : 'socos.',
    graphUrl: graph.url,
    format: plan.format,
    engineUrl: engine.url,
    engineTokenFile,
    secretsDir,
  }
}

/** Copies the logs out of the folder that is about to go. Gives where they are. */
export async function saveLogs(folder: string): Promise<string> {
  const kept = await mkdtemp(join(tmpdir(), 'socos-demo-logs-'))
  for (const name of await readdir(folder)) {
    if (name.endsWith('.log')) await copyFile(join(folder, name), join(kept, name))
  }
  return kept
}
