/**
 * Base images made of this machine's own parts, because no image can be pulled in every place where these tests run:
 * the running Node at the place where distroless images have it, the libraries that it needs, and nothing else; and for
 * the build the same with npm, a shell, and npm's cache of exactly the packages that are to be installed.
 */
import { cp, mkdir, mkdtemp, readFile, realpath, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { docker, labelFlags, run } from './docker.ts'

export interface Bases {
  readonly build: string
  readonly runtime: string
}

const ROOT = join(import.meta.dirname, '../..')
const TOOLS = ['sh', 'find', 'chmod', 'mkdir', 'rm']
const MANIFESTS = ['package.json', 'package-lock.json', '.npmrc']

export async function makeBases(runId: string): Promise<Bases> {
  const folder = await mkdtemp(join(tmpdir(), 'socos-bases-'))
  try {
    const bases = { build: `${runId}/build:26`, runtime: `${runId}/runtime:26` }
    await importRuntime(join(folder, 'runtime'), bases.runtime, runId)
    await buildTools(join(folder, 'build'), bases, runId)
    return bases
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function importRuntime(root: string, image: string, runId: string): Promise<void> {
  await emptyRoot(root)
  await copyProgram(process.execPath, root, 'nodejs/bin/node')
  await writeFile(join(root, 'etc/passwd'), 'root:x:0:0:root:/:/none\nnonroot:x:65532:65532:nonroot:/tmp:/none\n')
  await writeFile(join(root, 'etc/group'), 'root:x:0:\nnonroot:x:65532:\n')
  await writeFile(join(root, 'etc/nsswitch.conf'), 'hosts: files dns\n')
  const tar = `${root}.tar`
  await mustRun('tar', ['-C', root, '--owner=0', '--group=0', '--numeric-owner', '-cf', tar, '.'])
  const marks = labelFlags(runId).filter(flag => flag !== '--label')
  const changes = marks.map(mark => `LABEL ${mark.replace(/=(.*)$/, '="$1"')}`)
  await docker('import', ...changes.flatMap(change => ['--change', change]), tar, image)
  await rm(tar)
}

async function buildTools(root: string, bases: Bases, runId: string): Promise<void> {
  const rootfs = join(root, 'rootfs')
  await emptyRoot(rootfs)
  for (const tool of TOOLS) await copyProgram(await which(tool), rootfs, `usr/bin/${tool}`)
  const npm = await npmFolder()
  await cp(npm, join(rootfs, 'npm'), { recursive: true, verbatimSymlinks: true })
  await writeFile(join(rootfs, 'usr/bin/npm'), '#!/bin/sh\nexec /nodejs/bin/node /npm/bin/npm-cli.js "$@"\n', {
    mode: 0o755,
  })
  await cp(await filledCache(), join(rootfs, 'npm-cache'), { recursive: true })
  // entries of the cache are found by the address that they came from
  const source = (await mustRun('npm', ['config', 'get', 'registry'], ROOT)).trim()
  const dockerfile = [
    `FROM ${bases.runtime}`,
    'COPY rootfs/ /',
    'ENV PATH=/nodejs/bin:/usr/bin:/bin npm_config_cache=/npm-cache npm_config_offline=true',
    `ENV npm_config_registry=${source} npm_config_logs_max=0`,
  ]
  await writeFile(join(root, 'Dockerfile'), `${dockerfile.join('\n')}\n`)
  await dockerBuild(root, ['-t', bases.build, ...labelFlags(runId)])
}

/** With BuildKit where its client is there, else with the engine's older builder: the Dockerfile has to suit both. */
export async function dockerBuild(folder: string, flags: readonly string[]): Promise<void> {
  const { code } = await run('docker', ['buildx', 'version'])
  const env = code === 0 ? process.env : { ...process.env, DOCKER_BUILDKIT: '0' }
  const args = ['build', '--pull=false', '--network=none', ...flags, folder]
  const built = await run('docker', args, { env, timeoutMs: 600_000 })
  if (built.code !== 0) throw new Error(`docker build failed:\n${(built.out + built.err).slice(-4_000)}`)
}

/** The cache in the project's own cache folder; after the first time nothing is fetched. */
async function filledCache(): Promise<string> {
  const cache = join(ROOT, '.cache/npm')
  const folder = await mkdtemp(join(tmpdir(), 'socos-packages-'))
  try {
    for (const name of MANIFESTS) await cp(join(ROOT, name), join(folder, name))
    const flags = ['--omit=dev', '--omit=optional', '--ignore-scripts', '--prefer-offline', '--no-progress']
    await mustRun('npm', ['ci', ...flags, '--cache', cache], folder)
    await rm(join(cache, '_logs'), { recursive: true, force: true })
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
  return cache
}

async function npmFolder(): Promise<string> {
  const started = process.env['npm_execpath'] ?? ''
  const cli = started.endsWith('npm-cli.js') ? started : await realpath(await which('npm'))
  const folder = dirname(dirname(cli))
  const { name } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as { name?: string }
  if (name !== 'npm') throw new Error(`npm is not where it should be: ${cli} does not lie in npm's own folder`)
  return folder
}

async function emptyRoot(root: string): Promise<void> {
  for (const name of ['usr/bin', 'usr/lib', 'usr/lib64', 'etc', 'proc', 'sys', 'dev']) {
    await mkdir(join(root, name), { recursive: true })
  }
  await mkdir(join(root, 'tmp'), { mode: 0o777 })
  for (const name of ['bin', 'lib', 'lib64']) await symlink(`usr/${name}`, join(root, name))
}

/** With every library that the loader names, at the same place as here. */
async function copyProgram(program: string, root: string, target: string): Promise<void> {
  await mkdir(dirname(join(root, target)), { recursive: true })
  await cp(await realpath(program), join(root, target))
  const needed = await run('ldd', [program])
  for (const [, library = ''] of needed.out.matchAll(/(?:=> |^\t)(\/\S+) \(/gm)) {
    await mkdir(dirname(join(root, library)), { recursive: true })
    await cp(await realpath(library), join(root, library))
  }
}

async function which(command: string): Promise<string> {
  return (await mustRun('sh', ['-c', `command -v ${command}`])).trim()
}

async function mustRun(command: string, args: readonly string[], cwd?: string): Promise<string> {
  const { code, out, err } = await run(command, args, cwd === undefined ? {} : { cwd })
  if (code !== 0) throw new Error(`${command} ${args[0] ?? ''} exited with ${code}: ${err.slice(-2_000)}`)
  return out
}
