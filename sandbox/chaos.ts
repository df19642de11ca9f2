/** `npm run chaos`: the real pipeline on three brokers, faults at random, and the proof that every promise held. */
import { writeFile } from 'node:fs/promises'
import { Command, InvalidArgumentError, Option } from 'commander'
import { FAULT_KINDS, type FaultKind } from './chaos/faults.ts'
import type { ChaosPlan } from './chaos/plan.ts'
import { isGood, reportOf } from './chaos/report.ts'
import { runChaos } from './chaos/run.ts'
import { openSite } from './chaos/site.ts'
import { saveLogs } from './demo/stage.ts'
import { seededRandom } from './graph/chance.ts'

const number = (flags: string, words: string, fallback: number, least: number, most: number) =>
  new Option(flags, words)
    .argParser(text => {
      const value = /^\d{1,9}(\.\d{1,3})?$/.test(text) ? Number(text) : Number.NaN
      if (value >= least && value <= most) return value
      throw new InvalidArgumentError(`It must be a number from ${least} to ${most}.`)
    })
    .default(fallback)

function kindsOf(text: string): readonly FaultKind[] {
  const names = text.split(',')
  const unknown = names.filter(name => !FAULT_KINDS.some(kind => kind === name))
  if (unknown.length > 0) {
    throw new InvalidArgumentError(`There is no ${unknown.join(', ')}. There are: ${FAULT_KINDS.join(', ')}.`)
  }
  return FAULT_KINDS.filter(kind => names.includes(kind))
}

const plan = new Command('chaos')
  .description('Runs the pipeline on three brokers under random faults and proves that every promise held.')
  .addOption(number('--minutes <count>', 'how long faults strike', 5, 0.2, 10_080))
  .addOption(number('--every <seconds>', 'mean time from one fault to the next', 5, 0.5, 600))
  .addOption(number('--seed <number>', 'the same seed plans the same faults', Date.now() % 1_000_000, 0, 999_999_999))
  .addOption(number('--tenants <count>', 'customers', 40, 1, 5_000))
  .addOption(number('--rate <count>', 'new alerts a second over all tenants', 40, 0, 20_000))
  .addOption(number('--pollers <count>', 'poller processes', 2, 1, 12))
  .addOption(number('--forwarders <count>', 'forwarder processes', 2, 1, 12))
  .addOption(new Option('--faults <list>', 'only these, with commas between them').argParser(kindsOf))
  .addOption(new Option('--stack <kind>', 'how to run Kafka').choices(['auto', 'docker', 'jvm']).default('auto'))
  .option('--json <file>', 'write the result there, too')
  .exitOverride(error => process.exit(error.exitCode === 0 ? 0 : 2))
  .parse()
  .opts<ChaosPlan>()

const stopping = new AbortController()
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(name, () => stopping.abort(new Error(`stopped by ${name}`)))
}

process.exitCode = await main()

async function main(): Promise<number> {
  const say = (line: string) => console.log(line)
  say(`seed ${plan.seed}`)
  await using undo = new AsyncDisposableStack()
  const random = seededRandom(plan.seed ^ 0x5eed)
  try {
    const site = await openSite({ plan, env: process.env, random, signal: stopping.signal, say }, undo)
    const blame = async () => say(`the workers' logs are in ${await saveLogs(site.folder)}`)
    try {
      const outcome = await runChaos({ plan, site, say, signal: stopping.signal })
      say(`\n${reportOf(outcome, plan)}`)
      if (plan.json !== undefined) await writeFile(plan.json, `${JSON.stringify({ plan, ...outcome }, null, 2)}\n`)
      if (isGood(outcome)) return 0
      await blame()
      return 1
    } catch (error) {
      if (!stopping.signal.aborted) await blame()
      throw error
    }
  } catch (error) {
    if (stopping.signal.aborted) {
      say('stopped; everything that was started ends now')
      return 130
    }
    console.error(error instanceof Error ? error.message : error)
    return 1
  }
}
