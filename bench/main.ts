/** `npm run bench`: measures this machine. Figures of one run compare with each other, not with another machine's. */
import { writeFile } from 'node:fs/promises'
import { Command, InvalidArgumentError, Option } from 'commander'
import { processEnvironment } from '../platform/settings.ts'
import { startStack } from '../sandbox/kafka/ladder.ts'
import type { StackOptions } from '../sandbox/kafka/ladder.ts'
import type { Figures } from './cases.ts'
import { CASES } from './cases.ts'
import { CAN_PIN } from './process.ts'

const number = (text: string): number => {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError('a whole number above 0 is expected')
  return value
}

const options = new Command('bench')
  .description(
    `Measures the pipeline on this machine:\n${CASES.map(({ name, what }) => `  ${name}  ${what}`).join('\n')}`,
  )
  .option('--alerts <count>', 'alerts of one run', number, 100_000)
  .option('--ledger <count>', 'ledger entries of the restored lane', number, 100_000)
  .option('--runs <count>', 'runs of each case', number, 3)
  .option('--cases <names>', 'which', CASES.map(({ name }) => name).join(','))
  .addOption(
    new Option('--stack <kind>', 'how to run Kafka').choices(['auto', 'given', 'docker', 'jvm']).default('auto'),
  )
  .option('--json <file>', 'write the figures there, too')
  .parse()
  .opts<{
    alerts: number
    ledger: number
    runs: number
    cases: string
    stack: NonNullable<StackOptions['mode']>
    json?: string
  }>()

interface Row {
  readonly case: string
  readonly subject: string
  readonly alertsPerSecond: Spread | null
  readonly cpuMsPer1000: Spread | null
  readonly rssMiB: Spread | null
}

interface Spread {
  readonly min: number
  readonly median: number
  readonly max: number
}

const wanted = new Set(options.cases.toUpperCase().split(','))
const say = (line: string): void => console.error(line)
const env = processEnvironment()
await using stack = await startStack({ mode: options.stack, say, env })
if (!CAN_PIN) say('taskset is not there: workers are not held to one core')
const rows: Row[] = []
for (const one of CASES.filter(({ name }) => wanted.has(name))) {
  const runs: Figures[] = []
  for (let n = 1; n <= options.runs; n++) {
    const figures = await one.run({ stack, env, plan: options })
    runs.push(figures)
    say(`${one.name} ${one.subject} run ${n}: ${words(figures)}`)
  }
  rows.push({
    case: one.name,
    subject: one.subject,
    alertsPerSecond: spread(runs.map(run => run.alertsPerSecond)),
    cpuMsPer1000: spread(runs.map(run => run.cpuMsPer1000)),
    rssMiB: spread(runs.map(run => run.rssMiB)),
  })
}
print(rows)
if (options.json) await writeFile(options.json, `${JSON.stringify(rows, null, 2)}\n`)

function words({ alertsPerSecond, cpuMsPer1000, rssMiB }: Figures): string {
  const cpu = cpuMsPer1000 === null ? '' : `, ${cpuMsPer1000.toFixed(1)} ms CPU per 1,000`
  return `${Math.round(alertsPerSecond).toLocaleString('en')} a second${cpu}${rssMiB === null ? '' : `, ${Math.round(rssMiB)} MiB`}`
}

function spread(values: readonly (number | null)[]): Spread | null {
  const sorted = values.filter(value => value !== null).toSorted((a, b) => a - b)
  const round = (at: number): number => Math.round((sorted[at] ?? 0) * 10) / 10
  if (sorted.length === 0) return null
  return { min: round(0), median: round(sorted.length >> 1), max: round(sorted.length - 1) }
}

function print(rows: readonly Row[]): void {
  const cell = (value: Spread | null): string =>
    value === null
      ? '-'
      : `${value.min.toLocaleString('en')} / ${value.median.toLocaleString('en')} / ${value.max.toLocaleString('en')}`
  const table = [
    ['case', 'subject', 'a second (min / median / max)', 'CPU ms per 1,000', 'peak RSS MiB'],
    ...rows.map(row => [row.case, row.subject, cell(row.alertsPerSecond), cell(row.cpuMsPer1000), cell(row.rssMiB)]),
  ]
  const widths = (table[0] ?? []).map((_, at) => Math.max(...table.map(row => row[at]?.length ?? 0)))
  for (const row of table)
    console.log(
      row
        .map((text, at) => text.padEnd(widths[at] ?? 0))
        .join('  ')
        .trimEnd(),
    )
}
