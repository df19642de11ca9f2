/** Lives that end at a step of an effect, and what they need to come there. */
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { Io } from '../../../cli/io.ts'
import { runSocos } from '../../../cli/run.ts'
import type { Codec } from '../../../platform/avro/codec.ts'
import { openCodec } from '../../../platform/avro/codec.ts'
import { registryLookup } from '../../../platform/avro/registry.ts'
import { systemClock } from '../../../platform/clock.ts'
import { type Effect, PLACES, type Step } from '../../../platform/effects.ts'
import { laneOf } from '../../../platform/kafka/lane-of.ts'
import { openPublisher } from '../../../platform/kafka/producer.ts'
import { avroSchema } from '../../../platform/worker.ts'
import type { TopicName } from '../../../schemas/topics.ts'
import { testKafka } from './accounts.ts'
import type { Pipeline } from './kit.ts'
import { until } from './kit.ts'

/** What scenes take from; each life has its own, so that what one left undone does not hide the next. */
export interface World {
  readonly pipeline: Pipeline
  readonly hand: Hand
  readonly dir: string
  /** Tenants and alerts of a kind that a life uses up. */
  readonly perLife: number
  /** Polled to the end. */
  readonly staying: readonly string[]
  /** To be removed. */
  readonly leaving: string[]
  readonly removed: Set<string>
  /** Alerts that the engine refuses, with the fault that does it; parked. */
  readonly refused: { readonly alertId: string; readonly fault: number }[]
  readonly discarded: Set<string>
  /** Tenants with an alert on the log and no record yet. */
  readonly late: string[]
}

/** Writes into the topics as a test may. */
export interface Hand extends AsyncDisposable {
  append(name: TopicName, lane: number, key: string, value: Buffer | null): Promise<void>
  codec<T>(name: TopicName): Promise<Codec<T>>
}

export interface Scene {
  /** `setup`: a command on topics and subjects that nobody else uses. */
  readonly by: 'poller' | 'forwarder' | 'command' | 'setup'
  /** Before each life. */
  readonly arm?: (world: World) => Promise<void>
  /** How often a life surely comes to the effect; more may be counted by chance. */
  readonly atMost?: number
  /** The command that comes to the effect, with what it does when its life was `life`. */
  readonly command?: (world: World, life: string) => Promise<readonly string[]> | readonly string[]
  readonly env?: (world: World, life: string) => NodeJS.ProcessEnv
  /** What an operator does after the death of a command; must leave everything as if nobody had died. */
  readonly mend?: (world: World, life: string) => Promise<void>
}

export interface Death {
  readonly at: string
  readonly by: Scene['by']
  readonly seconds: number
}

const PATIENCE_MS = 60_000
const COUNTED_MS = 4_000

export async function openHand({ prefix, stack }: Pipeline): Promise<Hand> {
  const publisher = await openPublisher(testKafka(stack.brokers))
  const registry = registryLookup({ url: stack.registryUrl }, systemClock)
  return {
    append: async (name, lane, key, value) => void (await publisher.append(prefix + name, lane, [{ key, value }])),
    codec: <T>(name: TopicName) => openCodec<T>(`${prefix}${name}-value`, avroSchema(name), registry, systemClock),
    [Symbol.asyncDispose]: () => publisher.close(),
  }
}

export function laneIn({ pipeline }: World, tenantId: string): number {
  return laneOf(tenantId, Number(pipeline.env['LANES']))
}

export function scratch(): Promise<string> {
  return mkdtemp(path.join(tmpdir(), 'socos-lives-'))
}

/** A command within this process, under other settings. */
export async function lookWith(
  { pipeline }: World,
  env: NodeJS.ProcessEnv,
  ...args: readonly string[]
): Promise<{ code: number; out: string; err: string }> {
  let [out, err] = ['', '']
  const io: Io = {
    env: { ...pipeline.env, ...env },
    out: text => void (out += text),
    say: text => void (err += text),
    isErrTty: false,
  }
  return { code: await runSocos(['node', 'socos', ...args], io), out, err }
}

/** Lives that die at each place of an effect, one after the other: the first time, or first, in the middle, and last. */
export async function* livesOf(
  world: World,
  effect: Effect,
  scene: Scene,
  which: 'first' | 'all',
): AsyncGenerator<Death, void> {
  const passes = which === 'first' ? 1 : await countPasses(world, effect, scene)
  for (const place of PLACES) {
    for (const nth of new Set([1, Math.ceil(passes / 2), passes]))
      yield await liveUntil(world, `${effect}.${place}`, nth, scene)
  }
}

async function liveUntil(world: World, step: Step, nth: number, scene: Scene): Promise<Death> {
  const at = `${step}#${nth}`
  await scene.arm?.(world)
  const startedMs = Date.now()
  const { end, said } =
    scene.by === 'poller' || scene.by === 'forwarder'
      ? await workUntil(world, scene.by, at)
      : await runUntil(world, scene, at, at)
  if (end !== 'SIGKILL' || !said.includes(`at ${at}`)) {
    throw new Error(`a life ended with ${end} and not at ${at}:\n${said.slice(-3_000)}`)
  }
  const seconds = (Date.now() - startedMs) / 1000
  await scene.mend?.(world, at)
  return { at, by: scene.by, seconds }
}

/** How often a life that nobody ends comes to the effect. */
async function countPasses(world: World, effect: Effect, scene: Scene): Promise<number> {
  const life = `${effect}-by-${scene.by}-count`
  await scene.arm?.(world)
  const { said } =
    scene.by === 'poller' || scene.by === 'forwarder'
      ? await workFor(world, scene.by, `comes to ${effect}.done`)
      : await runUntil(world, scene, life, 'count')
  const counted = /steps passed: (\{[^}]*\})/.exec(said.replaceAll('\\"', '"'))?.[1] ?? '{}'
  const passes = (JSON.parse(counted) as Record<string, number>)[`${effect}.before`] ?? 0
  if (passes === 0) throw new Error(`no life comes to ${effect}: ${counted}\n${said.slice(-2_000)}`)
  await scene.mend?.(world, life)
  return Math.min(passes, scene.atMost ?? Infinity)
}

interface End {
  readonly end: string | number | null
  readonly said: string
}

async function runUntil(world: World, scene: Scene, life: string, at: string): Promise<End> {
  const args = (await scene.command?.(world, life)) ?? []
  const { code, out, err } = await world.pipeline.socosWith({ ...scene.env?.(world, life), CRASH_AT: at }, ...args)
  return { end: code ?? 'SIGKILL', said: `socos ${args.join(' ')}\n${out.slice(0, 500)}\n${err}` }
}

async function workUntil({ pipeline }: World, role: 'poller' | 'forwarder', at: string): Promise<End> {
  const worker = await pipeline.start(role, { CRASH_AT: at })
  const { child } = worker
  const isOver = (): boolean => child.exitCode !== null || child.signalCode !== null
  await until(isOver, PATIENCE_MS, () => `no life of a ${role} came to ${at}:\n${worker.log().slice(-3_000)}`, 20)
  // what it said last may be read after its end
  await until(() => worker.log().includes(`at ${at}`), 2_000).catch(() => {})
  return { end: child.signalCode ?? child.exitCode, said: worker.log() }
}

async function workFor({ pipeline }: World, role: 'poller' | 'forwarder', words: string): Promise<End> {
  const worker = await pipeline.start(role, { CRASH_AT: 'count' })
  await until(
    () => worker.log().includes(words),
    PATIENCE_MS,
    () => `it never ${words}:\n${worker.log().slice(-3_000)}`,
  )
  await new Promise(resolve => setTimeout(resolve, COUNTED_MS))
  const end = await worker.stop()
  await until(() => worker.log().includes('steps passed'), 2_000).catch(() => {})
  return { end, said: worker.log() }
}

export function tableOf(deaths: readonly Death[]): string {
  const rows = deaths.map(
    ({ at, by, seconds }) => `${at.padEnd(34)} ${by.padEnd(10)} ${seconds.toFixed(1).padStart(5)} s`,
  )
  return ['died at'.padEnd(34) + ' life of    after', ...rows].join('\n')
}
