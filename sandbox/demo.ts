/** `npm run demo`: the whole pipeline on this machine, with made-up customers, and the proof that nothing is lost. */
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { Command, InvalidArgumentError, Option } from 'commander'
import { guideOf } from './demo/guide.ts'
import type { DemoPlan } from './demo/plan.ts'
import { MIN_TENANTS } from './demo/plan.ts'
import type { Crew, Worker } from './crew.ts'
import { openCrew, tailOf } from './crew.ts'
import { run, secondsSince, untilReady } from './demo/run.ts'
import type { Screen } from './demo/screen.ts'
import { openScreen } from './demo/screen.ts'
import type { Stage } from './demo/stage.ts'
import { openStage, saveLogs } from './demo/stage.ts'
import type { Costs } from './demo/table.ts'
import { resultOf, tableOf } from './demo/table.ts'

const exitCodes = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const

const whole =
  (least: number, most: number) =>
  (text: string): number => {
    const number = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN
    if (number >= least && number <= most) return number
    throw new InvalidArgumentError(`It must be a whole number from ${least} to ${most}.`)
  }

const option = (flags: string, words: string, fallback: number, least: number, most: number) =>
  new Option(flags, words).argParser(whole(least, most)).default(fallback)

const plan = new Command('demo')
  .description('Runs Kafka, simulators and the real workers, and proves from the ledgers that no alert was lost.')
  .addOption(option('--tenants <count>', 'customers, three of them in trouble', 50, MIN_TENANTS, 5_000))
  .addOption(option('--rate <count>', 'new alerts a second over all tenants', 50, 0, 20_000))
  .addOption(option('--seconds <count>', 'how long new alerts come', 30, 1, 86_400))
  .addOption(option('--backlog <count>', 'alerts of the past for each tenant', 20, 0, 10_000))
  .addOption(option('--pollers <count>', 'poller processes', 2, 1, 12))
  .addOption(option('--forwarders <count>', 'forwarder processes', 2, 1, 12))
  .addOption(
    new Option('--stack <kind>', 'how to run Kafka').choices(['auto', 'given', 'docker', 'jvm']).default('auto'),
  )
  .addOption(option('--seed <number>', 'the same seed makes up the same customers and alerts', 1, 0, 999_999_999))
  .addOption(
    new Option('--format <format>', "what the engine gets: Graph's own JSON, or OCSF findings made from it")
      .choices(['native', 'ocsf'])
      .default('native'),
  )
  .option('--json <file>', 'write the result there, too')
  .option('--keep', 'leave everything running afterwards, until Ctrl-C', false)
  .exitOverride(error => process.exit(error.exitCode === 0 ? 0 : 2))
  .parse()
  .opts<DemoPlan>()

const startedMs = Date.now()
const stopping = new AbortController()
let stoppedBy: keyof typeof exitCodes | null = null
// npm passes a signal on that the terminal has sent as well: the second one must not cut the clean-up short
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(name, () => {
    stoppedBy ??= name
    stopping.abort(new Error(`stopped by ${name}`))
  })
}
// nobody reads any more: as good as Ctrl-C
process.stdout.on('error', error => stopping.abort(error))

process.exitCode = await main(openScreen(process.stdout, Date.now))

async function main(screen: Screen): Promise<number> {
  try {
    return await demo(screen)
  } catch (error) {
    screen.clear()
    if (stopping.signal.aborted && !(error instanceof SuppressedError)) {
      console.error('stopped; everything that was started is gone')
      return stoppedBy === null ? 1 : exitCodes[stoppedBy]
    }
    for (const one of error instanceof SuppressedError ? [error.suppressed, error.error] : [error]) {
      console.error(one instanceof Error ? one.message : one)
    }
    return 1
  }
}

async function demo(screen: Screen): Promise<number> {
  const broken = new AbortController()
  const signal = AbortSignal.any([stopping.signal, broken.signal])
  await using undo = new AsyncDisposableStack()
  stopping.signal.addEventListener('abort', () => {
    screen.clear()
    screen.say('stopping: workers, simulators and Kafka end now')
  })
  const say = (line: string) => screen.say(line)
  const stage = await openStage({ plan, env: process.env, signal, say }, undo)

  let mourn = (worker: Worker, how: string): void => {
    void tailOf(worker.logFile).then(tail => broken.abort(new Error(`${worker.name} ended (${how}):\n${tail}`)))
  }
  const crew = openCrew({ folder: stage.folder, env: stage.env, onDeath: (worker, how) => mourn(worker, how) })
  undo.defer(() => crew.stop())
  try {
    const good = await perform({ stage, crew, screen, signal })
    if (!plan.keep) return good ? 0 : await blame(stage, say)
    mourn = (worker, how) => say(`${worker.name} ended (${how}); the others take its lanes over`)
    const { settings, settingsFile, intended, healthy } = stage
    say(`\n${guideOf({ settings, settingsFile, intended, healthy, workers: crew.workers })}`)
    if (!stopping.signal.aborted) await once(stopping.signal, 'abort')
    return good ? 0 : await blame(stage, say)
  } catch (error) {
    if (!stopping.signal.aborted) await blame(stage, say)
    throw error
  }
}

/** Everything up to the verdict; whether it is good. */
async function perform(it: {
  readonly stage: Stage
  readonly crew: Crew
  readonly screen: Screen
  readonly signal: AbortSignal
}): Promise<boolean> {
  const { stage, crew, screen, signal } = it
  await Promise.all([crew.start('poller', plan.pollers), crew.start('forwarder', plan.forwarders)])
  await untilReady(crew, signal)
  screen.say(`${plan.pollers} pollers and ${plan.forwarders} forwarders are ready`)
  const { proof, costs: spent } = await run({ plan, stage, crew, screen, signal })
  const costs: Costs = { ...spent, seconds: secondsSince(startedMs) }
  screen.say(`\n${tableOf(proof, costs, process.stdout.isTTY && process.stdout.hasColors())}`)
  if (plan.json !== undefined) await writeFile(plan.json, `${JSON.stringify(resultOf(proof, costs), null, 2)}\n`)
  return proof.complaints.length === 0
}

async function blame(stage: Stage, say: (line: string) => void): Promise<1> {
  say(`the workers' logs are in ${await saveLogs(stage.folder)}`)
  return 1
}
