import { spawn } from 'node:child_process'
import { constants } from 'node:fs'
import { access, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { pathEntries } from './java.ts'
import versions from './versions.json' with { type: 'json' }

/** The servers as jars, fetched once through Maven (and so through the user's mirrors) into a cache folder. */
export type Servers =
  | { readonly kind: 'ready'; readonly kafkaLibs: string; readonly registryJar: string }
  | { readonly kind: 'missing'; readonly why: string; readonly remedy: string }

export interface Fetching {
  readonly cacheDir: string
  readonly env: Readonly<Record<string, string | undefined>>
  /** JAVA_HOME for Maven, when the environment offers it none. */
  readonly javaHome: string
  readonly say: (line: string) => void
  readonly signal: AbortSignal
}

interface Package {
  readonly name: string
  readonly size: string
  readonly goal: string
  /** The folder that the finished package will have been filled from. */
  readonly options: (folder: string) => readonly string[]
}

/** Written last and atomically; a folder without it is a broken download. */
const marker = '.complete'
const fetchTimeoutMs = 1_200_000
const saySomethingMs = 5_000

const kafka: Package = {
  name: `kafka-${versions.kafka}`,
  size: '44 MB',
  goal: 'copy-dependencies',
  options: folder => [
    `-f=${join(import.meta.dirname, 'pom.xml')}`,
    `-Dkafka.version=${versions.kafka}`,
    `-Dscala.version=${versions.scala}`,
    `-Dlog4j.version=${versions.log4j}`,
    '-DincludeScope=runtime',
    `-DoutputDirectory=${join(folder, 'libs')}`,
  ],
}

const tools: Package = {
  name: `kafka-tools-${versions.kafka}`,
  size: '50 MB',
  goal: 'copy-dependencies',
  options: folder => [...kafka.options(folder), '-Ptools'],
}

const registry: Package = {
  name: `apicurio-${versions.apicurio}`,
  size: '160 MB',
  goal: 'unpack',
  options: folder => [
    `-Dartifact=io.apicurio:apicurio-registry-app:${versions.apicurio}:tar.gz:all`,
    `-DoutputDirectory=${join(folder, 'app')}`,
    `-DmarkersDirectory=${join(folder, 'markers')}`,
  ],
}

/** SOCOS_CACHE_DIR, or `.cache` in the project's root. */
export function cacheFolder(env: Readonly<Record<string, string | undefined>>): string {
  return resolve(env['SOCOS_CACHE_DIR'] || join(import.meta.dirname, '../../.cache'))
}

export async function fetchServers(fetching: Fetching): Promise<Servers> {
  for (const wanted of [kafka, registry]) {
    const problem = await ensure(wanted, fetching)
    if (problem !== undefined) return { kind: 'missing', ...problem }
  }
  const registryHome = join(fetching.cacheDir, registry.name)
  // the archive's layout has changed twice between Apicurio's releases
  const jar = (await readdir(registryHome, { recursive: true })).find(file => basename(file) === 'quarkus-run.jar')
  if (jar === undefined) {
    return {
      kind: 'missing',
      why: `no quarkus-run.jar in ${registryHome}`,
      remedy: `delete ${registryHome} and start again`,
    }
  }
  return {
    kind: 'ready',
    kafkaLibs: join(fetching.cacheDir, kafka.name, 'libs'),
    registryJar: join(registryHome, jar),
  }
}

/** Kafka's command line tools, which no broker needs: the folder of their jars. */
export async function fetchTools(
  fetching: Fetching,
): Promise<{ readonly kind: 'ready'; readonly libs: string } | ({ readonly kind: 'missing' } & Problem)> {
  const problem = await ensure(tools, fetching)
  if (problem !== undefined) return { kind: 'missing', ...problem }
  return { kind: 'ready', libs: join(fetching.cacheDir, tools.name, 'libs') }
}

type Problem = { readonly why: string; readonly remedy: string }

async function ensure(wanted: Package, fetching: Fetching): Promise<Problem | undefined> {
  const target = join(fetching.cacheDir, wanted.name)
  const recipe = JSON.stringify(wanted.options('.').filter(option => option.startsWith('-D')))
  if (await isComplete(target, recipe)) return undefined
  const mvn = await findMaven(fetching.env)
  if (mvn === undefined) {
    return {
      why: `Maven (mvn) is neither on PATH nor under MAVEN_HOME, and ${target} is not filled yet`,
      remedy: `install Maven >= 3.6.3, or copy a filled cache folder from another machine to ${fetching.cacheDir}`,
    }
  }
  await mkdir(fetching.cacheDir, { recursive: true })
  await dropDeadParts(fetching.cacheDir)
  // a folder of our own, then one rename: two first starts at once do not disturb each other
  const part = `${target}.part-${process.pid}-${crypto.randomUUID().slice(0, 8)}`
  try {
    await mkdir(part)
    fetching.say(`fetching ${wanted.name} through Maven (about ${wanted.size}, once, into ${fetching.cacheDir})`)
    const problem = await runMaven(mvn, wanted, part, fetching)
    if (problem !== undefined) return problem
    await writeFile(join(part, marker), recipe)
    if (await isComplete(target, recipe)) return undefined
    await rm(target, { recursive: true, force: true })
    await rename(part, target).catch(async (error: unknown) => {
      if (!(await isComplete(target, recipe))) throw error
    })
    return undefined
  } finally {
    await rm(part, { recursive: true, force: true })
  }
}

async function isComplete(target: string, recipe: string): Promise<boolean> {
  return (await readFile(join(target, marker), 'utf8').catch(() => undefined)) === recipe
}

export async function findMaven(env: Readonly<Record<string, string | undefined>>): Promise<string | undefined> {
  const home = env['MAVEN_HOME'] || env['M2_HOME']
  for (const folder of [...pathEntries(env), ...(home ? [join(home, 'bin')] : [])]) {
    const mvn = join(folder, process.platform === 'win32' ? 'mvn.cmd' : 'mvn')
    const usable = await access(mvn, constants.X_OK).then(
      () => true,
      () => false,
    )
    if (usable) return mvn
  }
  return undefined
}

/** Runs in the part folder: in a folder with a pom.xml Maven would take that one for its project. */
async function runMaven(mvn: string, wanted: Package, part: string, fetching: Fetching): Promise<Problem | undefined> {
  const plugin = `org.apache.maven.plugins:maven-dependency-plugin:${versions.mavenDependencyPlugin}`
  const hasJava = fetching.env['JAVA_HOME'] || (await anyJava(fetching.env))
  const child = spawn(mvn, ['-B', `${plugin}:${wanted.goal}`, ...wanted.options(part)], {
    cwd: part,
    env: { ...fetching.env, ...(hasJava ? {} : { JAVA_HOME: fetching.javaHome }) },
    stdio: ['ignore', 'pipe', 'pipe'],
    signal: AbortSignal.any([fetching.signal, AbortSignal.timeout(fetchTimeoutMs)]),
  })
  const started = performance.now()
  const errors: string[] = []
  let files = 0
  const progress = setInterval(() => {
    const seconds = Math.round((performance.now() - started) / 1000)
    fetching.say(`${wanted.name}: ${files} files after ${seconds} s`)
  }, saySomethingMs)
  const read = (line: string) => {
    if (line.includes('Downloaded from') && /\.jar|\.tar\.gz/.test(line)) files++
    if (line.includes('ERROR') && errors.length < 3) errors.push(line.replace(/^\W*ERROR\W*/, '').slice(0, 500))
  }
  createInterface({ input: child.stdout }).on('line', read)
  createInterface({ input: child.stderr }).on('line', read)
  try {
    const ended = await new Promise<string | undefined>(done => {
      child.on('error', error => done(error.message))
      child.on('close', (code, signal) => done(code === 0 ? undefined : `exit ${code ?? signal}`))
    })
    fetching.signal.throwIfAborted()
    if (ended === undefined) return undefined
    return {
      why: `Maven could not fetch ${wanted.name} (${ended}): ${errors.join(' / ') || 'no reason given'}`,
      remedy: `let Maven reach a repository (network, proxy or mirror in its settings.xml), or copy a filled cache folder from another machine to ${fetching.cacheDir}`,
    }
  } finally {
    clearInterval(progress)
  }
}

async function anyJava(env: Readonly<Record<string, string | undefined>>): Promise<boolean> {
  const found = await Promise.all(
    pathEntries(env).map(folder =>
      access(join(folder, 'java'), constants.X_OK).then(
        () => true,
        () => false,
      ),
    ),
  )
  return found.includes(true)
}

/** What starts left that were killed while they fetched. */
async function dropDeadParts(cacheDir: string): Promise<void> {
  for (const name of await readdir(cacheDir)) {
    const pid = Number(/\.part-(\d+)-/.exec(name)?.[1])
    if (!Number.isSafeInteger(pid)) continue
    try {
      process.kill(pid, 0)
    } catch {
      await rm(join(cacheDir, name), { recursive: true, force: true })
    }
  }
}
