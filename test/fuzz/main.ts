/** `npm run fuzz -- --target <name|all> --seconds N --seed S`: see docs/hostile-input.md. Exit 1 when something was found. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Command, Option } from 'commander'
import { systemClock } from '../../platform/clock.ts'
import { FOUND, openCoverage } from './coverage.ts'
import { type Finding, fuzz, nameOf, type Target } from './loop.ts'
import { TARGETS } from './targets.ts'

interface Flags {
  readonly target: readonly string[]
  readonly seconds: number
  readonly seed: number
  readonly list: boolean
}

const flags = new Command('fuzz')
  .description('Throws mutated input at whatever reads what others write.')
  .addOption(
    new Option('--target <name...>', 'which').choices(['all', ...TARGETS.map(({ name }) => name)]).default(['all']),
  )
  .option('--seconds <n>', 'for each target', Number, 30)
  .option('--seed <n>', 'the same seed tries the same inputs', Number, 1)
  .option('--list', 'say which targets there are', false)
  .parse()
  .opts<Flags>()

if (flags.list) for (const { name, about } of TARGETS) console.log(`${name.padEnd(14)} ${about}`)
else process.exitCode = await run(TARGETS.filter(({ name }) => flags.target.some(one => one === 'all' || one === name)))

async function run(targets: readonly Target[]): Promise<number> {
  const stray: string[] = []
  process.on('unhandledRejection', error => stray.push(String(error)))
  process.on('uncaughtException', error => stray.push(String(error)))
  let found = 0
  for (const target of targets) {
    const coverage = openCoverage()
    const startedMs = systemClock.now()
    let peakMs = 0
    let askedMs = startedMs
    const goesOn = (): boolean => {
      const nowMs = systemClock.now()
      peakMs = Math.max(peakMs, nowMs - askedMs)
      askedMs = nowMs
      return nowMs - startedMs < flags.seconds * 1_000
    }
    const outcome = await fuzz(target, { seed: flags.seed, goesOn, coverage, onFinding: keep })
    coverage.close()
    const seconds = (systemClock.now() - startedMs) / 1_000
    found += outcome.findings.length
    console.log(
      `${target.name.padEnd(14)} ${outcome.executions} inputs in ${seconds.toFixed(0)} s, ${outcome.kept} kept, ` +
        `${outcome.blocks} stretches of code, slowest 128: ${peakMs} ms, ${outcome.findings.length} findings`,
    )
  }
  for (const error of new Set(stray)) console.log(`an error that nobody caught: ${error.slice(0, 300)}`)
  return found + stray.length > 0 ? 1 : 0
}

function keep({ target, what, input }: Finding): void {
  const folder = join(FOUND, target)
  mkdirSync(folder, { recursive: true })
  const file = join(folder, nameOf(input))
  writeFileSync(file, input)
  console.log(`FOUND ${target}/${nameOf(input)} (${input.length} bytes): ${what}\n`)
}
