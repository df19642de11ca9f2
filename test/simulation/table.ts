/** Each guard is taken out in a process of its own, and worlds are run until one of them fails. */
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import type { Mutation } from './mutations.ts'
import { MUTATIONS } from './mutations.ts'

export interface Row {
  readonly name: string
  readonly guard: string
  readonly file: string
  /** `missed`: a world failed without it. `covered`, `not reached`: none did, as expected, and the reason is known. */
  readonly outcome: 'missed' | 'survived' | 'covered' | 'not reached' | 'hangs' | 'broken'
  readonly seed: number | null
  readonly worlds: number
  readonly invariant: string | null
  readonly detail: string
  readonly isAsExpected: boolean
}

interface Told {
  readonly tried: number
  readonly seed: number | null
  readonly invariant?: string
  readonly detail?: string
}

const AT_ONCE = 2
const PATIENCE_MS = 240_000
const MUTATE = new URL('./mutate.ts', import.meta.url).href
const KILLERS = new URL('./killers.json', import.meta.url)

interface Wanted {
  /** main.ts, as a path. */
  readonly program: string
  readonly seeds: number
  readonly only: string | null
}

export async function runTable(wanted: Wanted): Promise<Row[]> {
  const killers = JSON.parse(readFileSync(KILLERS, 'utf8')) as Record<string, number>
  const queue = MUTATIONS.filter(({ name }) => wanted.only === null || name === wanted.only)
  const rows = new Map<string, Row>()
  let next = 0
  async function work(): Promise<void> {
    for (let mutation = queue[next++]; mutation; mutation = queue[next++]) {
      rows.set(mutation.name, await runWithout(mutation, wanted, killers[mutation.name] ?? null))
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
  return queue.flatMap(({ name }) => rows.get(name) ?? [])
}

async function runWithout(mutation: Mutation, { program, seeds }: Wanted, first: number | null): Promise<Row> {
  const { name, guard, file, covered, notReached } = mutation
  const reason = covered ?? notReached
  const args = ['--import', MUTATE, program, '--until-failure', '--seeds', String(seeds)]
  if (first !== null) args.push('--first', String(first))
  const { code, out, isLate } = await run(args, name)
  const about = { name, guard, file, seed: null, worlds: 0, invariant: null }
  if (isLate) return { ...about, outcome: 'hangs', detail: '', isAsExpected: false }
  const told = code === 0 || code === 1 ? readLast(out) : null
  if (told === null) return { ...about, outcome: 'broken', detail: out.slice(-600), isAsExpected: false }
  const found = { ...about, seed: told.seed, worlds: told.tried, invariant: told.invariant ?? null }
  if (told.seed !== null) {
    return { ...found, outcome: 'missed', detail: told.detail ?? '', isAsExpected: reason === undefined }
  }
  if (reason === undefined) return { ...found, outcome: 'survived', detail: '', isAsExpected: false }
  return { ...found, outcome: covered === undefined ? 'not reached' : 'covered', detail: reason, isAsExpected: true }
}

function run(
  args: readonly string[],
  mutation: string,
): Promise<{ code: number | null; out: string; isLate: boolean }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, {
      env: { ...process.env, SIMULATION_MUTATION: mutation },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let out = ''
    let isLate = false
    const patience = setTimeout(() => {
      isLate = true
      child.kill('SIGKILL')
    }, PATIENCE_MS)
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        out += text
      })
    }
    child.on('error', reject)
    child.on('close', code => {
      clearTimeout(patience)
      resolve({ code, out, isLate })
    })
  })
}

function readLast(out: string): Told | null {
  try {
    return JSON.parse(out.trim().split('\n').at(-1) ?? '') as Told
  } catch {
    return null
  }
}

export function printTable(rows: readonly Row[]): string {
  const lines = rows.map(({ name, guard, outcome, seed, invariant, worlds, detail }) => {
    const found =
      outcome === 'missed' ? `${invariant}, seed ${seed}` : `none of ${worlds} worlds${detail ? `: ${detail}` : ''}`
    return `| ${name} | ${guard} | ${outcome} | ${found} |`
  })
  return [
    '| guard | what holds as long as it is there | | what fails without it |',
    '|---|---|---|---|',
    ...lines,
  ].join('\n')
}
