/** The container engine by its own command, so that the images are built and run as people do it. */
import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { promisify } from 'node:util'
import { labels } from '../../sandbox/kafka/containers.ts'
import { ownerState } from '../../sandbox/kafka/leftovers.ts'

export interface Result {
  readonly code: number
  readonly out: string
  readonly err: string
}

/** Marks all that these tests make, also what a stack has none of: images and volumes. Its value is the run. */
const TEST_LABEL = 'socos.test'
/** Of whoever starts a stack; `labels` sets it. */
const OWNER_LABEL = 'socos.sandbox.owner'

/** Runs a command; an exit code is a result, only a command that cannot be run at all is an error. */
export async function run(
  command: string,
  args: readonly string[],
  options: { readonly cwd?: string; readonly env?: NodeJS.ProcessEnv; readonly timeoutMs?: number } = {},
): Promise<Result> {
  try {
    const { stdout, stderr } = await promisify(execFile)(command, [...args], {
      maxBuffer: 64 * 1024 * 1024,
      timeout: options.timeoutMs ?? 300_000,
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      ...(options.env === undefined ? {} : { env: options.env }),
    })
    return { code: 0, out: stdout, err: stderr }
  } catch (error) {
    const { code, stdout = '', stderr = '' } = error as { code?: unknown; stdout?: string; stderr?: string }
    if (typeof code !== 'number') throw error
    return { code, out: stdout, err: stderr }
  }
}

/** Rejects, in the engine's words, when the command fails; gives its trimmed output. */
export async function docker(...args: readonly string[]): Promise<string> {
  const { code, out, err } = await run('docker', args)
  if (code !== 0) throw new Error(`docker ${args.slice(0, 3).join(' ')} … exited with ${code}: ${err.slice(-2_000)}`)
  return out.trim()
}

/** Why nothing can be built or run here, or undefined. */
export async function engineProblem(): Promise<string | undefined> {
  try {
    const { code, err } = await run('docker', ['version', '--format', '{{.Server.Version}}'], { timeoutMs: 30_000 })
    return code === 0 ? undefined : `no container engine answers (${err.trim()})`
  } catch (error) {
    return `there is no docker command (${error instanceof Error ? error.message : String(error)})`
  }
}

/** A name for what one run makes: everything under it is found again, by this run or by the next one after a crash. */
export function newRunId(): string {
  return `socos-test-${randomUUID().slice(0, 8)}`
}

/** Flags for `docker run`, `build`, `network create` and `volume create`. */
export function labelFlags(runId: string): readonly string[] {
  const all = labels(runId)
  return [...Object.entries(all), [TEST_LABEL, runId]].flatMap(([name, value]) => ['--label', `${name}=${value}`])
}

/** Containers first, for they hold the rest. */
export async function removeRun(runId: string): Promise<void> {
  const each = async (list: readonly string[], remove: readonly string[]): Promise<void> => {
    const ids = await docker(...list, '--filter', `label=${TEST_LABEL}=${runId}`)
    // what another one in the list still needs goes in the next round
    for (const id of new Set(ids.split('\n'))) if (id !== '') await run('docker', [...remove, id])
  }
  await each(['container', 'ls', '-aq'], ['rm', '-f', '-v'])
  await each(['network', 'ls', '-q'], ['network', 'rm'])
  await each(['volume', 'ls', '-q'], ['volume', 'rm', '-f'])
  for (let round = 0; round < 3; round++) await each(['image', 'ls', '-q'], ['image', 'rm', '-f'])
}

/** What runs left that were killed: their owner is recorded in a label. */
export async function removeLeftovers(): Promise<void> {
  const listed = (what: string, ...flags: readonly string[]) =>
    docker(
      what,
      'ls',
      ...flags,
      '--filter',
      `label=${TEST_LABEL}`,
      '--format',
      `{{.Label "${TEST_LABEL}"}}|{{.Label "${OWNER_LABEL}"}}`,
    )
  const ids = await docker('image', 'ls', '-q', '--filter', `label=${TEST_LABEL}`)
  const format = `{{index .Config.Labels "${TEST_LABEL}"}}|{{index .Config.Labels "${OWNER_LABEL}"}}`
  const lists = [
    await listed('container', '-a'),
    await listed('volume'),
    await listed('network'),
    ids === '' ? '' : await docker('image', 'inspect', '--format', format, ...new Set(ids.split('\n'))),
  ]
  const runs = new Map<string, string>()
  for (const line of lists.join('\n').split('\n')) {
    const [runId = '', owner = ''] = line.split('|')
    if (runId !== '') runs.set(runId, owner)
  }
  for (const [runId, owner] of runs) if (ownerState(owner) === 'dead') await removeRun(runId)
}
