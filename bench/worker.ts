import type { Site } from './case.ts'
import type { Environment, Program } from './process.ts'
import { startProgram } from './process.ts'

const FILES = { poller: 'producers/main.ts', forwarder: 'consumers/main.ts' } as const

let serial = 0

/** Starts a worker of ours to be measured. With `--profile` it writes what its CPU did when it ends. */
export function startWorker(
  role: keyof typeof FILES,
  { profileFolder }: Pick<Site, 'profileFolder'>,
  env: Environment,
  more: { readonly core?: number; readonly nodeArgs?: readonly string[] } = {},
): Promise<Program> {
  const { core, nodeArgs = [] } = more
  const name = `${process.pid}-${String(++serial).padStart(3, '0')}-${role}.cpuprofile`
  const profile = profileFolder === null ? [] : ['--cpu-prof', '--cpu-prof-dir', profileFolder, '--cpu-prof-name', name]
  return startProgram([...profile, ...nodeArgs, FILES[role]], {
    env,
    measured: true,
    untilReady: false,
    ...(core === undefined ? {} : { core }),
  })
}
