/** `npm run simulate`: worlds from seeds, and what becomes of them when a guard is missing. */
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Command, InvalidArgumentError } from 'commander'
import { printTable, runTable } from './table.ts'
import type { Result } from './world.ts'
import { runSeed } from './world.ts'

interface Options {
  readonly seeds: number
  readonly from: number
  readonly seed?: number
  readonly untilFailure?: boolean
  readonly first?: number
  readonly eagerCompaction?: boolean
  readonly mutations?: boolean
  readonly only?: string
  readonly json?: string
  readonly record?: boolean
}

const options = new Command('simulate')
  .description('the workers, as they are, in worlds that are made of chance alone')
  .option('--seeds <n>', 'how many worlds', whole, 2_000)
  .option('--from <n>', 'the first of them', whole, 1)
  .option('--seed <n>', 'one world, told step by step', whole)
  .option('--mutations', 'take the guards out of the code, one by one: each must be missed')
  .option('--only <name>', 'of these one')
  .option('--json <file>', 'the table of mutations as JSON')
  .option('--record', 'keep the seed that missed each guard, to begin with it the next time')
  .option('--eager-compaction', 'tables are compacted before the owners of a lane saw what goes')
  .option('--until-failure', 'stop at the first world that fails, and tell it in one line of JSON')
  .option('--first <n>', 'a seed that comes before all others', whole)
  .parse()
  .opts<Options>()

function whole(text: string): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 0) throw new InvalidArgumentError('a whole number is needed')
  return value
}

/** Seeds that once failed on the code as it was. */
function regressions(): readonly number[] {
  const text = readFileSync(new URL('./regressions.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { seeds: { seed: number }[] }).seeds.map(({ seed }) => seed)
}

if (options.mutations) process.exitCode = await tellMutations()
else if (options.seed !== undefined) process.exitCode = await tellOne(options.seed)
else process.exitCode = await tellMany()

async function tellMutations(): Promise<number> {
  const rows = await runTable({
    program: fileURLToPath(import.meta.url),
    seeds: options.seeds,
    only: options.only ?? null,
  })
  console.log(printTable(rows))
  if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(rows, null, 2)}\n`)
  if (options.record) {
    const killers = Object.fromEntries(rows.flatMap(row => (row.seed === null ? [] : [[row.name, row.seed]])))
    writeFileSync(new URL('./killers.json', import.meta.url), `${JSON.stringify(killers, null, 2)}\n`)
  }
  return rows.every(row => row.isAsExpected) ? 0 : 1
}

async function tellOne(seed: number): Promise<number> {
  const result = await runSeed(seed, { say: console.log, compactsAtOnce: options.eagerCompaction ?? false })
  console.log(JSON.stringify(result, null, 2))
  return result.violations.length > 0 ? 1 : 0
}

async function tellMany(): Promise<number> {
  Error.stackTraceLimit = 0 // stacks cost more than what they belong to; --seed shows them
  const seeds = Array.from({ length: options.seeds }, (_, n) => options.from + n)
  const startedMs = performance.now()
  const failed: Result[] = []
  const sums: Record<string, number> = {}
  let tried = 0
  for (const seed of [...(options.first === undefined ? [] : [options.first]), ...regressions(), ...seeds]) {
    tried++
    const result = await runSeed(seed, { compactsAtOnce: options.eagerCompaction ?? false })
    for (const [name, value] of Object.entries(result.figures)) sums[name] = (sums[name] ?? 0) + value
    if (result.violations.length === 0) continue
    failed.push(result)
    if (options.untilFailure) break
    console.log(lineOf(result))
  }
  const seconds = (performance.now() - startedMs) / 1_000
  if (options.untilFailure) {
    const [first] = failed
    console.log(JSON.stringify({ tried, seed: first?.seed ?? null, ...first?.violations[0] }))
  } else {
    console.log(
      `${tried} worlds in ${seconds.toFixed(1)} s, ${(tried / seconds).toFixed(0)} a second, ${failed.length} failed`,
    )
    console.log(
      Object.entries(sums)
        .map(([name, sum]) => `${name} ${Math.round(sum)}`)
        .join(' · '),
    )
  }
  return failed.length > 0 ? 1 : 0
}

function lineOf({ seed, violations }: Result): string {
  const [first] = violations
  return `seed ${seed}: ${first?.invariant} at ${first?.atMs} ms: ${first?.detail.slice(0, 300)} (${violations.length} in all)`
}
