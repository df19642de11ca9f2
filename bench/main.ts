/** `npm run bench`: measures this machine. Figures of one run compare with each other, not with another machine's. */
import { writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { Command, InvalidArgumentError, Option } from 'commander'
import { processEnvironment } from '../platform/settings.ts'
import { startStack } from '../sandbox/kafka/ladder.ts'
import type { StackOptions } from '../sandbox/kafka/ladder.ts'
import type { BenchCase, Figures, Site, Subject } from './case.ts'
import { BACKPRESSURE } from './cases/backpressure.ts'
import { END_TO_END } from './cases/end-to-end.ts'
import { FORWARD } from './cases/forward.ts'
import { NAIVE } from './cases/naive.ts'
import { POLL } from './cases/poll.ts'
import { REPLAY } from './cases/replay.ts'
import { RESTORE } from './cases/restore.ts'
import { STANDINS } from './cases/standins.ts'
import { TENANTS_PER_POLLER } from './cases/tenants.ts'
import { buildPeers } from './peers/build.ts'
import { CAN_PIN, leaveWorkerCore } from './process.ts'
import type { Row } from './report.ts'
import { jsonOf, report, rowOf, words } from './report.ts'

const CASES: readonly BenchCase[] = [
  POLL,
  FORWARD,
  END_TO_END,
  TENANTS_PER_POLLER,
  RESTORE,
  REPLAY,
  NAIVE,
  BACKPRESSURE,
  STANDINS,
]
const NAMES = CASES.map(({ name }) => name).join(',')
const RUNS = 3

const number = (text: string): number => {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError('a whole number above 0 is expected')
  return value
}

const numbers = (text: string): readonly number[] => text.split(',').map(number)

const cases = (text: string): readonly BenchCase[] => {
  const asked = text.split(',').map(name => name.trim().toUpperCase())
  const unknown = asked.filter(name => !CASES.some(one => one.name === name))
  if (unknown.length > 0)
    throw new InvalidArgumentError(
      `there is no case ${unknown.map(name => `"${name}"`).join(', ')}; there are ${NAMES}`,
    )
  return CASES.filter(({ name }) => asked.includes(name))
}

const options = new Command('bench')
  .description(
    `Measures the pipeline on this machine:\n${CASES.map(({ name, what }) => `  ${name}  ${what}`).join('\n')}`,
  )
  .option('--alerts <count>', 'alerts of one run', number, 100_000)
  .option('--ledger <count>', 'ledger entries of the restored lane', number, 100_000)
  .option(
    '--entries <counts>',
    'ledger entries over all lanes, such as 100000,1000000,10000000',
    numbers,
    [100_000, 1_000_000],
  )
  .option('--tenants <counts>', 'quiet tenants of one poller, such as 1000,10000', numbers, [1_000])
  .option('--watch-seconds <count>', 'how long quiet tenants are watched', number, 130)
  .option('--load-seconds <count>', 'how long each live load is measured', number, 20)
  .option('--slow-seconds <count>', 'how long the engine takes half of what comes', number, 60)
  .option('--slow-rate <count>', 'alerts a second that come meanwhile', number, 1_000)
  .option('--runs <count>', 'runs of each case; not given: 3, and 1 of what takes minutes', number)
  .addOption(new Option('--cases <names>', 'which').argParser(cases).default(CASES, NAMES))
  .option('--compare', 'A and B for the peers, too, in turns with ours', false)
  .option('--profile <folder>', 'workers of ours write CPU profiles there, for bench/profile-top.ts')
  .addOption(
    new Option('--stack <kind>', 'how to run Kafka').choices(['auto', 'given', 'docker', 'jvm']).default('auto'),
  )
  .option('--json <file>', 'write the figures there, too')
  .parse()
  .opts<{
    alerts: number
    ledger: number
    entries: readonly number[]
    tenants: readonly number[]
    watchSeconds: number
    loadSeconds: number
    slowSeconds: number
    slowRate: number
    runs?: number
    cases: readonly BenchCase[]
    compare: boolean
    stack: NonNullable<StackOptions['mode']>
    json?: string
    profile?: string
  }>()

const say = (line: string): void => console.error(line)
const env = processEnvironment()
const isCompared = options.compare && options.cases.some(({ subjects }) => subjects(options).some(({ peer }) => peer))
const peers = isCompared ? await buildPeers(env, say) : null
if (!CAN_PIN) say('taskset or a second core is not there: workers are not held to one core')
// before Kafka starts, which is held to the same core where it is a process of ours
leaveWorkerCore()
await using stack = await startStack({ mode: options.stack, say, env })
if (stack.kind !== 'jvm') say(`Kafka is not ours to hold to a core (${stack.kind}): it may share the worker's`)
const profileFolder = options.profile === undefined ? null : resolve(options.profile)
const site: Site = { stack, env, plan: options, peers, profileFolder }
const runsOf = ({ runs = RUNS }: Subject): number => options.runs ?? runs
const rows: Row[] = []
for (const one of options.cases) {
  const runs = one
    .subjects(options)
    .filter(({ peer }) => options.compare || !peer)
    .map(subject => ({ subject, figures: [] as Figures[], problems: [] as string[] }))
  for (let n = 1; n <= Math.max(...runs.map(({ subject }) => runsOf(subject))); n++) {
    for (const { subject, figures, problems } of runs) {
      if (n > runsOf(subject)) continue
      const peer = subject.peer ? peers?.[subject.name] : null
      if (peer?.kind === 'missing') {
        if (n === 1) problems.push(`not measured: ${peer.why}`)
        continue
      }
      const outcome = await outcomeOf(subject)
      if (typeof outcome === 'string') problems.push(`run ${n}: ${outcome}`)
      else figures.push(outcome)
      say(`${one.name} ${subject.name} run ${n}: ${typeof outcome === 'string' ? outcome : words(outcome)}`)
    }
  }
  rows.push(...runs.map(({ subject, figures, problems }) => rowOf(one.name, subject, figures, problems)))
}
for (const [name, ofCase] of Map.groupBy(rows, row => row.case))
  for (const line of report(name, ofCase)) console.log(line)
if (options.json) await writeFile(options.json, `${JSON.stringify(jsonOf(rows), null, 2)}\n`)

/** What went wrong with a peer stands in its row; ours fails the run. */
async function outcomeOf(subject: Subject): Promise<Figures | string> {
  try {
    return await subject.run(site)
  } catch (error) {
    if (!subject.peer) throw error
    return error instanceof Error ? error.message : String(error)
  }
}
