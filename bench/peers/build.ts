/** Builds the peers from their sources, into a folder that git ignores. What a machine lacks for it is said in words. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, realpath } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { cacheFolder, findMaven } from '../../sandbox/kafka/jars.ts'
import { findJava, usualJavaPlaces } from '../../sandbox/kafka/java.ts'
import type { Environment } from '../process.ts'

export type PeerName = 'camel' | 'direct'
export type Peers = Readonly<Record<PeerName, Peer>>
type Peer =
  | { readonly kind: 'built'; command(work: 'A' | 'B'): readonly string[] }
  /** `why` fits after "not measured:". */
  | { readonly kind: 'missing'; readonly why: string }

const JAVA_AT_LEAST = 17
const JAVA_HEAP = '512m'
const SAID_MAX = 600

export async function buildPeers(env: Environment, say: (line: string) => void): Promise<Peers> {
  const folder = join(cacheFolder(env), 'bench-peers')
  await mkdir(folder, { recursive: true })
  say(`building the peers into ${folder}`)
  const peers = { camel: await buildCamel(env, join(folder, 'camel')), direct: await buildDirect(env, folder) }
  for (const [name, peer] of Object.entries(peers))
    if (peer.kind === 'missing') say(`${name.toUpperCase()} IS NOT MEASURED: ${peer.why}`)
  return peers
}

async function buildDirect(env: Environment, folder: string): Promise<Peer> {
  const program = join(folder, 'direct')
  const built = await build(['go', 'build', '-o', program, '.'], 'direct', env)
  if (built === 'absent') return { kind: 'missing', why: 'no Go on this machine' }
  if (built !== 'done') return { kind: 'missing', why: `go build failed: ${built}` }
  return { kind: 'built', command: work => [program, work.toLowerCase()] }
}

async function buildCamel(env: Environment, folder: string): Promise<Peer> {
  const java = await findJava({ env, places: usualJavaPlaces(), atLeast: JAVA_AT_LEAST })
  if (java.kind === 'missing') return { kind: 'missing', why: `no Java >= ${JAVA_AT_LEAST} on this machine` }
  const mvn = await findMaven(env)
  if (mvn === undefined) return { kind: 'missing', why: 'no Maven on this machine' }
  const lib = join(folder, 'lib')
  const built = await build(
    [
      mvn,
      '-q',
      '-B',
      `-Dbuild.folder=${folder}`,
      'compile',
      'dependency:copy-dependencies',
      `-DoutputDirectory=${lib}`,
    ],
    'camel',
    // Maven compiles with the Java that runs it
    { ...env, JAVA_HOME: dirname(dirname(await realpath(java.java))) },
  )
  if (built !== 'done') return { kind: 'missing', why: `mvn compile failed: ${built}` }
  const options = [`-Xmx${JAVA_HEAP}`, '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn']
  const path = `${join(folder, 'classes')}:${join(lib, '*')}`
  return { kind: 'built', command: work => [java.java, ...options, '-cp', path, `bench.Peer${work}`] }
}

/** What went wrong, unless it is done or the command is not there. */
async function build(words: readonly string[], source: PeerName, env: Environment): Promise<string> {
  const [command = '', ...args] = words
  const cwd = join(import.meta.dirname, source)
  const child = spawn(command, args, { cwd, env: { ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => (said = (said + chunk.toString()).slice(-SAID_MAX)))
  try {
    const [code] = (await once(child, 'close')) as [number | null]
    return code === 0 ? 'done' : said.trim() || `exit ${code}`
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'absent' : String(error)
  }
}
