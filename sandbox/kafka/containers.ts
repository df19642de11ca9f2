import { setTimeout as delay } from 'node:timers/promises'
import type { ContainerRuntimeClient } from 'testcontainers'
import { ownerState, thisOwner } from './leftovers.ts'

/** What stacks have in a container engine: found, judged and removed by label. */
export type Dockerode = ContainerRuntimeClient['container']['dockerode']

/** A container or network of some stack. */
export interface Claimed {
  readonly name: string
  readonly owner: string
  readonly createdSeconds: number
  remove(): Promise<void>
}

const stackLabel = 'socos.sandbox.stack'
const ownerLabel = 'socos.sandbox.owner'
/** What an owner on another host left is only taken for dead after a day. */
const foreignAgeSeconds = 86_400
const logTailLines = 15

export function labels(stackId: string): Record<string, string> {
  return { [stackLabel]: stackId, [ownerLabel]: thisOwner() }
}

/** Force-removes until nothing is left and no start is under way any more. */
export async function removeStack(dockerode: Dockerode, stackId: string, starts: Set<Promise<unknown>>): Promise<void> {
  const filters = { label: [`${stackLabel}=${stackId}`] }
  let settled = false
  const all = Promise.allSettled(starts).then(() => (settled = true))
  for (;;) {
    const last = settled
    const found = await dockerode.listContainers({ all: true, filters })
    await Promise.all(found.map(({ Id }) => removeContainer(dockerode, Id)))
    if (last) break
    await Promise.race([all, delay(200)])
  }
  for (const { Id } of await dockerode.listNetworks({ filters })) {
    await tolerate([404], dockerode.getNetwork(Id).remove())
  }
}

async function removeContainer(dockerode: Dockerode, id: string): Promise<void> {
  await tolerate([404, 409], dockerode.getContainer(id).remove({ force: true, v: true }))
}

export async function claimed(dockerode: Dockerode): Promise<Claimed[]> {
  const filters = { label: [ownerLabel] }
  const containers = (await dockerode.listContainers({ all: true, filters })).map(found => ({
    name: `container ${found.Id.slice(0, 12)} (${found.Image})`,
    owner: found.Labels[ownerLabel] ?? '',
    createdSeconds: found.Created,
    remove: () => removeContainer(dockerode, found.Id),
  }))
  const networks = (await dockerode.listNetworks({ filters })).map(found => ({
    name: `network ${found.Name}`,
    owner: found.Labels?.[ownerLabel] ?? '',
    createdSeconds: Date.parse(found.Created) / 1000,
    remove: () => tolerate([403, 404], dockerode.getNetwork(found.Id).remove()),
  }))
  return [...containers, ...networks] // in this order: a network in use cannot be removed
}

export async function sweep(dockerode: Dockerode): Promise<string[]> {
  const swept: string[] = []
  for (const found of await claimed(dockerode)) {
    const state = ownerState(found.owner)
    const ageSeconds = Date.now() / 1000 - found.createdSeconds
    if (state === 'alive' || (state === 'elsewhere' && ageSeconds < foreignAgeSeconds)) continue
    await found.remove()
    swept.push(found.name)
  }
  return swept
}

export async function whyDead(dockerode: Dockerode, id: string): Promise<string | undefined> {
  const container = dockerode.getContainer(id)
  const { State: state } = await container.inspect()
  if (state.Running) return undefined
  const log = await container.logs({ stdout: true, stderr: true, tail: logTailLines })
  const text = withoutStreamHeaders(log).toString('utf8').trimEnd()
  return `exit ${state.ExitCode}${state.Error ? ` (${state.Error})` : ''}\n${text}`
}

/** The engine's log format: each piece has its stream (one byte), three zeros and its length in four bytes before it. */
function withoutStreamHeaders(log: Buffer): Buffer {
  const pieces: Buffer[] = []
  for (let at = 0; at + 8 <= log.length; ) {
    const length = log.readUInt32BE(at + 4)
    pieces.push(log.subarray(at + 8, at + 8 + length))
    at += 8 + length
  }
  return Buffer.concat(pieces)
}

/** The engine answers with an HTTP status: these mean that there was nothing to do. */
export async function tolerate(statuses: readonly number[], task: Promise<unknown>): Promise<void> {
  try {
    await task
  } catch (error) {
    const status = error instanceof Error && 'statusCode' in error ? error.statusCode : undefined
    if (typeof status !== 'number' || !statuses.includes(status)) throw error
  }
}
