import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { expect, inject, test } from 'vitest'
import { useEngine } from '../../sandbox/kafka/engine.ts'
import { sweepFolders } from '../../sandbox/kafka/leftovers.ts'
import { readMetadata, registryStatus } from '../../sandbox/kafka/probe.ts'
import { ownStack } from './own-stack.ts'

const { kind, brokers, registryUrl } = inject('stack')

const clusterAt = async (address: string) => (await readMetadata(address, 2_000)).clusterId
const aliveAt = async (address: string) => (await readMetadata(address, 1_000)).brokers.length

test('the shared stack is a real Kafka and a registry that answer on loopback ports', async () => {
  const views = await Promise.all(brokers.map(address => readMetadata(address, 2_000)))
  expect(views.every(view => view.brokers.length === brokers.length)).toBe(true)
  expect(await registryStatus(registryUrl, 2_000)).toBe(200)
  if (kind !== 'given') expect([...brokers, new URL(registryUrl).host]).toSatisfy(onLoopback)
})

const onLoopback = (hosts: string[]) => hosts.every(host => host.startsWith('127.0.0.1:'))

test('a broker that is killed, stopped or paused comes back with its port and its data', async () => {
  await using stack = await ownStack()
  const [node] = stack.nodes
  if (node === undefined) throw new Error('a started stack has nodes')
  const cluster = await clusterAt(node.address)
  expect(cluster).not.toBe(await clusterAt(brokers[0] ?? ''))

  await node.kill()
  await expect(readMetadata(node.address, 1_000)).rejects.toThrow()
  await node.start()
  expect(await clusterAt(node.address)).toBe(cluster)

  await node.stop()
  await expect(readMetadata(node.address, 1_000)).rejects.toThrow()
  await node.start()
  expect(await clusterAt(node.address)).toBe(cluster)

  await node.pause()
  await expect(readMetadata(node.address, 1_000)).rejects.toThrow('no answer within 1000 ms')
  await node.resume()
  expect(await clusterAt(node.address)).toBe(cluster)

  await node.pause() // and a paused one can still be ended
  await stack.stop()
  await expect(readMetadata(node.address, 1_000)).rejects.toThrow()
  await expect(registryStatus(stack.registryUrl, 1_000)).rejects.toThrow()
})

test('of three brokers two go on when one is killed, and take it back when it starts again', async () => {
  await using stack = await ownStack({ brokers: 3 })
  const [first, second] = stack.nodes
  if (first === undefined || second === undefined) throw new Error('a started stack has nodes')
  expect(await aliveAt(second.address)).toBe(3)
  await first.kill()
  await expect.poll(() => aliveAt(second.address), { timeout: 30_000 }).toBe(2)
  await first.start()
  await expect.poll(() => aliveAt(second.address), { timeout: 30_000 }).toBe(3)
})

test('a stack whose owner is killed leaves nothing behind', async () => {
  await using owner = await runMain()
  const address = await owner.said(/^KAFKA_BROKERS=(.+)/)
  const registry = await owner.said(/^SCHEMA_REGISTRY_URL=(.+)/)
  expect(await aliveAt(address)).toBe(1)
  expect(await owner.possessions()).not.toEqual([])
  owner.child.kill('SIGKILL')
  await owner.ended
  const gone = async () => {
    await owner.sweepLikeTheNextStart()
    const answers = await Promise.allSettled([aliveAt(address), registryStatus(registry, 1_000)])
    return [...answers.map(({ status }) => status), ...(await owner.possessions())]
  }
  await expect.poll(gone, { timeout: 30_000 }).toEqual(['rejected', 'rejected'])
})

test('Ctrl-C during a start takes everything back', async () => {
  await using owner = await runMain()
  await owner.said(/^(starting)/)
  await expect.poll(owner.possessions, { timeout: 30_000 }).not.toEqual([])
  owner.child.kill('SIGINT')
  owner.child.kill('SIGINT') // npm passes it on a second time
  expect(await owner.ended).toBe(130)
  expect(await owner.possessions()).toEqual([])
})

/** `npm run stack` on the rung under test, with a temp folder of its own. */
async function runMain() {
  const temp = await mkdtemp(join(tmpdir(), 'ladder-test-'))
  const main = join(import.meta.dirname, '../../sandbox/kafka/main.ts')
  const { KAFKA_BROKERS: _brokers, SCHEMA_REGISTRY_URL: _registry, ...env } = process.env
  const child = spawn(process.execPath, [main, '--mode', kind === 'given' ? 'auto' : kind], {
    env: { ...env, TMPDIR: temp },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const lines: string[] = []
  for (const input of [child.stdout, child.stderr]) createInterface({ input }).on('line', line => lines.push(line))
  const ended = once(child, 'close').then(([code]: unknown[]) => code)
  const found = await useEngine(process.env)
  return {
    child,
    ended,
    said: async (pattern: RegExp) => {
      await expect.poll(() => lines, { timeout: 120_000 }).toContainEqual(expect.stringMatching(pattern))
      return lines.map(line => pattern.exec(line)?.[1]).find(match => match !== undefined) ?? ''
    },
    /** Folders, containers and networks that it has. */
    possessions: async () => {
      const claimed = found.kind === 'found' ? await found.engine.claimed() : []
      const own = claimed.filter(({ owner }) => owner.split(' ')[1] === String(child.pid))
      return [...(await readdir(temp)).filter(name => name.startsWith('socos-')), ...own.map(({ name }) => name)]
    },
    /** The minder does it where it can; without a docker command the containers wait for the next start. */
    sweepLikeTheNextStart: async () => {
      await sweepFolders(temp)
      if (found.kind === 'found') await found.engine.sweep()
    },
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGINT')
      await ended
      await rm(temp, { recursive: true, force: true })
    },
  }
}
