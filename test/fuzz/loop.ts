/** The fuzzer: mutates samples, keeps what reaches new code, tells what breaks an oracle. */
import { hash } from 'node:crypto'
import type { Random } from '../../platform/clock.ts'
import { intBelow, seededRandom } from '../../sandbox/graph/chance.ts'
import type { Coverage } from './coverage.ts'
import { mutated } from './mutate.ts'
import { Broken, must, mustBeUnpolluted } from './oracle.ts'

export interface Target {
  readonly name: string
  /** What is called, with what. */
  readonly about: string
  /** Valid samples to begin with. */
  readonly samples: () => readonly Buffer[]
  /** Words of the format. */
  readonly words: readonly string[]
  /**
   * Gives the input to the code and judges what comes of it: throws when an oracle does not hold. The answer is a text
   * that must be the same when the same input comes again.
   */
  readonly run: (input: Buffer) => string | Promise<string>
  /** A mutation that keeps the format whole where plain ones seldom do; null: none for this input. */
  readonly reshape?: (input: Buffer, random: Random) => Buffer | null
  readonly maxBytes?: number
  /** Blocks of code that an input may cost: so many, and so many more for each byte. */
  readonly work?: { readonly base: number; readonly perByte: number }
}

export interface Finding {
  readonly target: string
  readonly what: string
  readonly input: Buffer
}

export interface Outcome {
  readonly executions: number
  readonly kept: number
  readonly blocks: number
  readonly findings: readonly Finding[]
}

export interface Session {
  readonly seed: number
  /** Asked before each batch. */
  readonly goesOn: (executions: number) => boolean
  /** Null: not guided, each input alone decides. */
  readonly coverage: Coverage | null
  readonly onFinding?: (finding: Finding) => void
}

/** To ask V8 costs milliseconds, so it is asked after so many inputs. */
const BATCH = 128
const MAX_BYTES = 32 * 1024
const MAX_KEPT = 3_000
const MAX_FINDINGS = 20
const MAX_ANSWER_CHARS = 64 * 1024 * 1024
const WORK = { base: 200_000, perByte: 400 }

/** Runs one input, twice, and gives what is wrong with it, or null. */
export async function judge(target: Target, input: Buffer): Promise<string | null> {
  try {
    const first = await target.run(Buffer.from(input))
    mustBeUnpolluted()
    must(first.length <= MAX_ANSWER_CHARS, 'the answer is larger than any input can make it')
    const second = await target.run(Buffer.from(input))
    must(first === second, `the same input gave two answers: ${difference(first, second)}`)
    return null
  } catch (error) {
    if (error instanceof Broken) return error.message
    return `threw ${error instanceof Error ? (error.stack ?? error.message).slice(0, 1_500) : String(error)}`
  }
}

function difference(a: string, b: string): string {
  let at = 0
  while (a[at] === b[at] && at < a.length) at++
  return `${JSON.stringify(a.slice(Math.max(0, at - 20), at + 80))} and ${JSON.stringify(b.slice(Math.max(0, at - 20), at + 80))}`
}

export async function fuzz(target: Target, session: Session): Promise<Outcome> {
  const { coverage } = session
  const random = seededRandom(session.seed)
  const corpus: Buffer[] = []
  const findings: Finding[] = []
  const told = new Set<string>()
  const limit = target.work ?? WORK
  let executions = 0

  function tell(what: string, input: Buffer): void {
    // one cause has many inputs
    const cause = what.replaceAll(/\d+|"(?:[^"\\]|\\.)*"/g, '…').slice(0, 300)
    if (told.has(cause) || findings.length >= MAX_FINDINGS) return
    told.add(cause)
    const finding = { target: target.name, what, input }
    findings.push(finding)
    session.onFinding?.(finding)
  }

  async function one(input: Buffer): Promise<void> {
    executions++
    const what = await judge(target, input)
    if (what !== null) tell(what, input)
  }

  function next(): Buffer {
    const sample = corpus[intBelow(random, corpus.length)] ?? Buffer.alloc(0)
    const other = corpus[intBelow(random, corpus.length)] ?? sample
    if (target.reshape && random() < 0.5) {
      const reshaped = target.reshape(sample, random)
      if (reshaped !== null) return reshaped
    }
    return mutated(sample, random, { words: target.words, other, maxBytes: target.maxBytes ?? MAX_BYTES })
  }

  for (const sample of target.samples()) {
    await one(sample)
    corpus.push(sample)
  }
  coverage?.take(true)

  /** Which of them reaches new code, or costs too much? */
  async function search(batch: readonly Buffer[]): Promise<void> {
    if (coverage === null) return
    const allowed = batch.reduce((sum, { length }) => sum + 2 * (limit.base + limit.perByte * length), 0)
    const [only] = batch
    const isOne = batch.length === 1
    const { isNew, work } = coverage.take(isOne)
    if (isOne && only) {
      if (isNew && corpus.length < MAX_KEPT) corpus.push(only)
      if (work > allowed) tell(`${work} blocks of code ran for ${only.length} bytes, twice`, only)
    } else if (isNew || work > allowed / 4) {
      const middle = batch.length >> 1
      for (const half of [batch.slice(0, middle), batch.slice(middle)]) {
        for (const input of half) await one(input)
        await search(half)
      }
    }
  }

  while (session.goesOn(executions)) {
    const batch = Array.from({ length: BATCH }, next)
    for (const input of batch) await one(input)
    await search(batch)
  }
  return { executions, kept: corpus.length, blocks: coverage?.blocks ?? 0, findings }
}

/** A name for an input that stays the same. */
export function nameOf(input: Buffer): string {
  return hash('sha256', input).slice(0, 16)
}
