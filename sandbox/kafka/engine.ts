import type * as TestcontainersModule from 'testcontainers'
import type { Claimed, Dockerode } from './containers.ts'
import { claimed, labels, removeStack, sweep, tolerate, whyDead } from './containers.ts'
import { watchOver } from './leftovers.ts'

/**
 * A container engine as far as a stack needs it. Testcontainers is loaded on first use: it is a development dependency,
 * and an installation without it still has the other rungs.
 */
export interface Engine {
  readonly name: string
  /** Pulls what is not local. Gives why the image cannot be had, or undefined. */
  provideImage(image: string, say: (line: string) => void, signal: AbortSignal): Promise<string | undefined>
  /** Containers and networks of all stacks, with the owners that claimed them. */
  claimed(): Promise<Claimed[]>
  /** Removes what dead owners left; gives names for people. */
  sweep(): Promise<string[]>
  /** From here on everything labelled `stackId` dies with this process; the function given back removes it at once. */
  claim(stackId: string): () => Promise<void>
  createNetwork(stackId: string): Promise<void>
  /** Resolves with the container's id when it runs, which is before anything in it is ready. */
  run(spec: ContainerSpec, signal: AbortSignal): Promise<string>
  start(id: string): Promise<void>
  stop(id: string, graceSeconds: number): Promise<void>
  kill(id: string): Promise<void>
  pause(id: string): Promise<void>
  resume(id: string): Promise<void>
  /** Runs a command in a container that runs; gives what it printed, rejects with that when it fails. */
  exec(id: string, command: readonly string[]): Promise<string>
  /** Why the container does not run, with the end of its log; undefined while it runs. */
  dead(id: string): Promise<string | undefined>
}

export interface ContainerSpec {
  readonly image: string
  readonly stackId: string
  readonly environment: Readonly<Record<string, string>>
  /** Instead of the image's own start: a script for `sh -c`. */
  readonly script?: string
  /** Text files to put into the container, by absolute path. */
  readonly files?: Readonly<Record<string, string>>
  /** Port on 127.0.0.1 of the host, by the container's. */
  readonly ports: Readonly<Record<number, number>>
  readonly network?: string
  readonly alias?: string
}

type Testcontainers = typeof TestcontainersModule
type ContainerRuntimeClient = TestcontainersModule.ContainerRuntimeClient

const pullTimeoutMs = 600_000

export async function useEngine(
  env: Readonly<Record<string, string | undefined>>,
): Promise<{ kind: 'found'; engine: Engine } | { kind: 'missing'; why: string }> {
  const remote = remoteEngine(env['DOCKER_HOST'])
  if (remote !== undefined) {
    return {
      kind: 'missing',
      why: `DOCKER_HOST is another machine (${remote}), and ports are opened on its loopback only`,
    }
  }
  // Testcontainers reads these from the process, nowhere else. Its reaper is one more image to pull, and we clean up
  // ourselves; the host override keeps it from guessing a bridge address when this machine looks like a container.
  process.env['TESTCONTAINERS_RYUK_DISABLED'] ??= 'true'
  process.env['TESTCONTAINERS_HOST_OVERRIDE'] ??= '127.0.0.1'
  const testcontainers = await import('testcontainers').catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ERR_MODULE_NOT_FOUND') return undefined
    throw error
  })
  if (testcontainers === undefined) {
    return {
      kind: 'missing',
      why: 'the npm package testcontainers is not installed (npm ci without --omit=dev brings it)',
    }
  }
  try {
    return { kind: 'found', engine: createEngine(testcontainers, await testcontainers.getContainerRuntimeClient()) }
  } catch (error) {
    return { kind: 'missing', why: `no container engine answers (${words(error)})` }
  }
}

function remoteEngine(dockerHost: string | undefined): string | undefined {
  if (dockerHost === undefined || !URL.canParse(dockerHost)) return undefined
  const { protocol, hostname } = new URL(dockerHost)
  if (!['tcp:', 'http:', 'https:', 'ssh:'].includes(protocol)) return undefined
  return ['localhost', '127.0.0.1', '[::1]'].includes(hostname) ? undefined : hostname
}

function createEngine(testcontainers: Testcontainers, client: ContainerRuntimeClient): Engine {
  const { dockerode } = client.container
  const container = (id: string) => dockerode.getContainer(id)
  /** Starts under way, by stack: a container may appear after its start was given up. */
  const pending = new Map<string, Set<Promise<unknown>>>()
  // the engine neither kills nor stops what is paused
  const awake = (id: string) => tolerate([409, 500], container(id).unpause())
  return {
    name: `Docker ${client.info.containerRuntime.serverVersion}`,
    provideImage: (image, say, signal) => provideImage(testcontainers, client, { image, say, signal }),
    claimed: () => claimed(dockerode),
    sweep: () => sweep(dockerode),
    claim: stackId => {
      const minder = watchOver('containers', stackId)
      const starts = new Set<Promise<unknown>>()
      pending.set(stackId, starts)
      return async () => {
        await removeStack(dockerode, stackId, starts)
        pending.delete(stackId)
        minder.dismiss()
      }
    },
    createNetwork: async stackId => {
      await dockerode.createNetwork({ Name: stackId, Labels: labels(stackId) })
    },
    run: (spec, signal) => run(testcontainers, dockerode, { spec, signal, starts: pending.get(spec.stackId) }),
    start: id => tolerate([304], container(id).start()),
    stop: async (id, graceSeconds) => {
      await awake(id)
      await tolerate([304], container(id).stop({ t: graceSeconds }))
    },
    kill: async id => {
      await awake(id)
      await tolerate([409], container(id).kill({ signal: 'SIGKILL' }))
      await container(id).wait()
    },
    pause: id => tolerate([409], container(id).pause()),
    resume: id => awake(id),
    exec: async (id, command) => {
      const { output, exitCode } = await client.container.exec(container(id), [...command])
      if (exitCode !== 0) throw new Error(`${command.join(' ')}: exit ${exitCode}\n${output}`)
      return output
    },
    dead: id => whyDead(dockerode, id),
  }
}

async function provideImage(
  testcontainers: Testcontainers,
  client: ContainerRuntimeClient,
  wanted: { image: string; say: (line: string) => void; signal: AbortSignal },
): Promise<string | undefined> {
  const { image, say, signal } = wanted
  const name = testcontainers.ImageName.fromString(image)
  if (await client.image.exists(name)) return undefined
  say(`pulling ${image} (once)`)
  const limit = AbortSignal.any([signal, AbortSignal.timeout(pullTimeoutMs)])
  try {
    await unlessAborted(limit, client.image.pull(name))
    // the pull's own errors come in its progress stream, which nobody reads
    return (await client.image.exists(name)) ? undefined : `image ${image} is not local and could not be pulled`
  } catch (error) {
    signal.throwIfAborted()
    return `image ${image} is not local and could not be pulled (${words(error)})`
  }
}

async function run(
  testcontainers: Testcontainers,
  dockerode: Dockerode,
  task: { spec: ContainerSpec; signal: AbortSignal; starts: Set<Promise<unknown>> | undefined },
): Promise<string> {
  const { spec, signal, starts } = task
  const ports = Object.entries(spec.ports).map(([container, host]) => ({ container: Number(container), host }))
  let id: string | undefined
  class LoopbackContainer extends testcontainers.GenericContainer {
    protected override async beforeContainerCreated() {
      // Testcontainers would open the port on every interface
      this.hostConfig.PortBindings = Object.fromEntries(
        ports.map(({ container, host }) => [`${container}/tcp`, [{ HostIp: '127.0.0.1', HostPort: String(host) }]]),
      )
    }
    protected override async containerCreated(created: string) {
      id = created
    }
  }
  const wanted = new LoopbackContainer(spec.image)
    .withExposedPorts(...ports)
    .withEnvironment(spec.environment)
    .withLabels(labels(spec.stackId))
    .withPullPolicy(testcontainers.PullPolicy.neverPull())
    .withWaitStrategy(testcontainers.Wait.forAll([])) // readiness is the caller's: it knows the protocol
  if (spec.script !== undefined) wanted.withEntrypoint(['sh', '-c', spec.script])
  const files = Object.entries(spec.files ?? {})
  if (files.length > 0) wanted.withCopyContentToContainer(files.map(([target, content]) => ({ target, content })))
  if (spec.network !== undefined && spec.alias !== undefined) {
    wanted.withNetworkMode(spec.network).withNetworkAliases(spec.alias)
  }
  const starting = wanted.start()
  starts?.add(starting)
  try {
    const started = await unlessAborted(signal, starting)
    return started.getId()
  } catch (error) {
    signal.throwIfAborted()
    const log = id === undefined ? undefined : await whyDead(dockerode, id).catch(words)
    throw new Error(`${spec.image} did not start: ${words(error)}${log === undefined ? '' : `; ${log}`}`, {
      cause: error,
    })
  }
}

/** The promise, or the signal's reason as soon as it aborts; the task itself goes on. */
async function unlessAborted<T>(signal: AbortSignal, task: Promise<T>): Promise<T> {
  signal.throwIfAborted()
  const { promise, reject } = Promise.withResolvers<never>()
  const abort = () => reject(signal.reason instanceof Error ? signal.reason : new Error(String(signal.reason)))
  signal.addEventListener('abort', abort, { once: true })
  try {
    return await Promise.race([task, promise])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

function words(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
