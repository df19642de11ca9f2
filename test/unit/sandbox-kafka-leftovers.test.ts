import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { access, mkdir, mkdtemp, readFile, realpath, rm, utimes, writeFile } from 'node:fs/promises'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { createDaemon } from '../../sandbox/kafka/daemon.ts'
import { claimFolder, ownerState, sweepFolders, thisOwner } from '../../sandbox/kafka/leftovers.ts'

async function parentFolder(): Promise<string> {
  const parent = await realpath(await mkdtemp(join(tmpdir(), 'leftovers-test-')))
  onTestFinished(() => rm(parent, { recursive: true, force: true }))
  return parent
}

const exists = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  )

const sleeper = (folder: string) =>
  createDaemon({ name: 'sleeper', command: 'sh', args: ['-c', 'sleep 60; :', folder], folder, env: process.env })

/** A pid that was ours and is nobody's now. */
async function deadPid(): Promise<number> {
  const child = spawn('true')
  await once(child, 'exit')
  return child.pid ?? 0
}

test('this process owns what it claims, a dead one nothing, and of another host nothing is known', async () => {
  expect(ownerState(thisOwner())).toBe('alive')
  expect(ownerState(`${hostname()} ${await deadPid()} -`)).toBe('dead')
  expect(ownerState(`${hostname()} garbage`)).toBe('dead')
  expect(ownerState('another-host 1 1')).toBe('elsewhere')
})

test('a recycled pid is not taken for the owner, where the system tells when a process began', () => {
  expect(ownerState(`${hostname()} ${process.pid} 12345`)).toBe(process.platform === 'linux' ? 'dead' : 'alive')
})

test('the folder of a dead owner is buried with the process that still works in it', async () => {
  const parent = await parentFolder()
  const folder = await claimFolder(parent)
  const daemon = sleeper(folder)
  await daemon.start()
  expect(await daemon.dead()).toBe(undefined)
  await expect.poll(() => exists(join(folder, 'sleeper.pid'))).toBe(true)
  expect(await sweepFolders(parent)).toEqual([])
  await writeFile(join(folder, 'owner'), `${hostname()} ${await deadPid()} -`)
  expect(await sweepFolders(parent)).toEqual([folder])
  expect(await exists(folder)).toBe(false)
  await expect.poll(() => daemon.dead()).toMatch(/^SIGKILL/)
})

test('a pid in a dead folder that now belongs to somebody else is left alone', async () => {
  const parent = await parentFolder()
  const folder = await claimFolder(parent)
  const elsewhere = await claimFolder(parent)
  const stranger = sleeper(elsewhere)
  await stranger.start()
  onTestFinished(() => stranger.kill())
  const pidFile = join(elsewhere, 'sleeper.pid')
  await expect.poll(() => exists(pidFile)).toBe(true)
  await writeFile(join(folder, 'broker-1.pid'), await readFile(pidFile, 'utf8'))
  await writeFile(join(folder, 'owner'), `${hostname()} ${await deadPid()} -`)
  expect(await sweepFolders(parent)).toEqual([folder])
  expect(await stranger.dead()).toBe(undefined)
})

test('a folder that is just being made is left alone; one that never got an owner is not', async () => {
  const parent = await parentFolder()
  const young = join(parent, 'socos-kafka-young')
  const old = join(parent, 'socos-kafka-old')
  const foreign = join(parent, 'something-else')
  for (const folder of [young, old, foreign]) await mkdir(folder)
  await utimes(old, 0, 0)
  await utimes(foreign, 0, 0)
  expect(await sweepFolders(parent)).toEqual([old])
  expect([await exists(young), await exists(foreign)]).toEqual([true, true])
})

test('a daemon that is killed while it starts, or while it is paused, is gone afterwards', async () => {
  const folder = await claimFolder(await parentFolder())
  const daemon = sleeper(folder)
  const starting = daemon.start()
  await daemon.kill()
  await starting
  expect(await daemon.dead()).toMatch(/^SIGKILL/)
  await daemon.start()
  await daemon.pause()
  await daemon.stop(10_000)
  expect(await daemon.dead()).toMatch(/^SIGTERM/)
})

test('a daemon that ends by itself tells how, with the end of its log', async () => {
  const folder = await claimFolder(await parentFolder())
  const signal = new AbortController().signal
  const run = async (script: string) => {
    const daemon = createDaemon({ name: 'tool', command: 'sh', args: ['-c', script], folder, env: process.env })
    await daemon.start()
    await daemon.finish(signal)
  }
  await run('exit 0')
  await expect(run('echo no disk; exit 3')).rejects.toThrow('tool: exit 3\nno disk')
})
