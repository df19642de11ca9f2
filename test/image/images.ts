import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { watchOver } from '../../sandbox/kafka/leftovers.ts'
import versions from '../../sandbox/kafka/versions.json' with { type: 'json' }
import type { Bases } from './bases.ts'
import { dockerBuild, makeBases } from './bases.ts'
import { engineProblem, labelFlags, newRunId, removeLeftovers, removeRun, run } from './docker.ts'

/** What the tests of this project run on. A Dockerfile that does not build is a failed test, not the end of all tests. */
export type Images =
  | {
      readonly kind: 'built'
      readonly runId: string
      readonly production: string
      readonly sandbox: string
      /** Variables of docker-compose.yml, or why the images of others are not to be had. */
      readonly others: { readonly KAFKA_IMAGE: string; readonly REGISTRY_IMAGE: string } | { readonly missing: string }
    }
  | { readonly kind: 'failed'; readonly why: string }
  | { readonly kind: 'absent'; readonly why: string }

declare module 'vitest' {
  // oxlint-disable-next-line typescript/no-unused-vars -- it is merged into vitest's
  interface ProvidedContext {
    images: Images
  }
}

const ROOT = join(import.meta.dirname, '../..')
const PULL_TIMEOUT_MS = 600_000

/** What lies about in a working tree and must never get into an image. */
export const DECOYS: Readonly<Record<string, string>> = {
  '.env': 'KAFKA_SASL_PASSWORD=decoy',
  'tenants.yaml': 'tenants: []',
  'secrets/contoso.secret': 'decoy',
  'cli/.env.local': 'decoy',
  'cli/notes.txt': 'decoy',
  'platform/kafka/client.pem': 'decoy',
  'schemas/private.key': 'decoy',
  'node_modules/decoy/index.js': 'decoy',
  '.git/config': 'decoy',
}

/** Once for the whole run. Without an engine it says so loudly, at the beginning and as the last line. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const why = await engineProblem()
  if (why !== undefined) {
    if (process.env['SOCOS_STACK'] === 'docker') throw new Error(`SOCOS_STACK is docker, but ${why}`)
    const words = `!!! THE IMAGES ARE NOT TESTED: ${why} !!!`
    console.error(words)
    project.provide('images', { kind: 'absent', why })
    return async () => console.log(words)
  }
  await removeLeftovers()
  const runId = newRunId()
  const minder = watchOver('containers', runId)
  project.provide('images', await build(runId))
  return async () => {
    await removeRun(runId)
    minder.dismiss()
  }
}

async function build(runId: string): Promise<Images> {
  const folder = await mkdtemp(join(tmpdir(), 'socos-context-'))
  try {
    const bases = await makeBases(runId)
    await copyTree(folder)
    const production = await buildTarget('production', { folder, bases, runId })
    const sandbox = await buildTarget('sandbox', { folder, bases, runId })
    return { kind: 'built', runId, production, sandbox, others: await provideOthers() }
  } catch (error) {
    return { kind: 'failed', why: error instanceof Error ? error.message : String(error) }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Kafka and the registry, local or pulled. */
async function provideOthers(): Promise<{ KAFKA_IMAGE: string; REGISTRY_IMAGE: string } | { missing: string }> {
  const KAFKA_IMAGE = process.env['KAFKA_IMAGE'] || versions.images.kafka
  const REGISTRY_IMAGE = process.env['REGISTRY_IMAGE'] || versions.images.registry
  for (const image of [KAFKA_IMAGE, REGISTRY_IMAGE]) {
    if ((await run('docker', ['image', 'inspect', image])).code === 0) continue
    const pulled = await run('docker', ['pull', '--quiet', image], { timeoutMs: PULL_TIMEOUT_MS })
    if (pulled.code === 0) continue
    const missing = `image ${image} is not local and cannot be pulled (${pulled.err.trim()})`
    if (process.env['SOCOS_STACK'] === 'docker') throw new Error(`SOCOS_STACK is docker, but ${missing}`)
    console.error(`!!! DOCKER-COMPOSE.YML IS NOT RUN: ${missing} !!!`)
    return { missing }
  }
  return { KAFKA_IMAGE, REGISTRY_IMAGE }
}

async function buildTarget(
  target: string,
  { folder, bases, runId }: { readonly folder: string; readonly bases: Bases; readonly runId: string },
): Promise<string> {
  const image = `${runId}/${target}:test`
  const args = { BUILD_IMAGE: bases.build, RUNTIME_IMAGE: bases.runtime, REVISION: 'tested' }
  const flags = Object.entries(args).flatMap(([name, value]) => ['--build-arg', `${name}=${value}`])
  // the production image is what a build without a target gives
  const chosen = target === 'production' ? [] : ['--target', target]
  await dockerBuild(folder, ['-t', image, ...chosen, ...flags, ...labelFlags(runId)])
  return image
}

/** As after a clone by somebody whose files only he may read, with the decoys in it. */
async function copyTree(folder: string): Promise<void> {
  const left = new Set(['node_modules', '.git', '.cache'])
  await cp(ROOT, folder, { recursive: true, filter: source => !left.has(basename(source)) })
  for (const [path, text] of Object.entries(DECOYS)) {
    await mkdir(join(folder, path, '..'), { recursive: true })
    await writeFile(join(folder, path), text)
  }
  await run('chmod', ['-R', 'go-rwx', folder])
}
