/** The first thousands of inputs of each fuzz target, always the same ones, and everything that was ever found. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { FOUND, openCoverage } from '../fuzz/coverage.ts'
import { fuzz, judge, type Target } from '../fuzz/loop.ts'
import { mustBeWords } from '../fuzz/oracle.ts'
import { TARGETS } from '../fuzz/targets.ts'

const SEED = 20_261_127
const EXECUTIONS = 1_500
/** Those that cost a millisecond or more each. */
const FEWER: Readonly<Record<string, number>> = {
  'entra-answer': 400,
  'tenants-file': 400,
  settings: 300,
  flags: 300,
  'parked-record': 400,
  'ocsf-finding': 300,
  'graph-wire': 250,
  'engine-wire': 250,
}

const untilCount = (count: number) => (executions: number) => executions < count

describe('hostile input', () => {
  test.each(TARGETS)('$name: $about', async target => {
    const goesOn = untilCount(FEWER[target.name] ?? EXECUTIONS)
    const { findings, executions } = await fuzz(target, { seed: SEED, goesOn, coverage: null })
    expect(findings.map(({ what, input }) => `${what}\n${input.toString('latin1')}`)).toEqual([])
    expect(executions).toBeGreaterThanOrEqual(FEWER[target.name] ?? EXECUTIONS)
  })

  test.each(TARGETS)('$name: what was found once is not found again', async target => {
    const folder = join(FOUND, target.name)
    for (const file of existsSync(folder) ? readdirSync(folder) : [])
      expect(await judge(target, readFileSync(join(folder, file))), file).toBeNull()
  })

  test('what was found belongs to a target', () => {
    const names = TARGETS.map(({ name }) => name)
    expect(readdirSync(FOUND).filter(name => !names.includes(name))).toEqual([])
  })
})

describe('the fuzzer', () => {
  const plain: Target = {
    name: 'broken',
    about: 'a reader with a fault',
    samples: () => [Buffer.from('{"title":"a","n":1}')],
    words: ['"title"'],
    run: input => `${input.length}`,
  }
  const found = async (run: Target['run'], count = 4_000) => {
    const { findings } = await fuzz({ ...plain, run }, { seed: 1, goesOn: untilCount(count), coverage: null })
    return findings.map(({ what }) => what).join()
  }

  test('finds a reader that throws', async () => {
    expect(await found(input => JSON.stringify(JSON.parse(input.toString())))).toContain('threw SyntaxError')
  })

  test('finds a reader that lets control characters through', async () => {
    const careless = (input: Buffer): string => {
      mustBeWords(`the title is ${input.toString().replaceAll(/[\r\n]/g, ' ')}`, 1e6, 'the title')
      return ''
    }
    expect(await found(careless)).toContain('the title holds a control character')
  })

  test('finds a reader that merges what it reads into an object of its own', async () => {
    const merge = (into: Record<string, unknown>, from: Record<string, unknown>): void => {
      for (const [key, value] of Object.entries(from)) {
        if (typeof value === 'object' && value !== null && typeof into[key] === 'object')
          merge(into[key] as Record<string, unknown>, value as Record<string, unknown>)
        else into[key] = value
      }
    }
    try {
      const input = '{"__proto__":{"polluted":true}}'
      const run = (): string => {
        merge({}, JSON.parse(input) as Record<string, unknown>)
        return ''
      }
      expect(await judge({ ...plain, run }, Buffer.from(input))).toContain('all objects have a new member')
    } finally {
      Reflect.deleteProperty(Object.prototype, 'polluted')
    }
  })

  test('finds a reader whose answer depends on what came before', async () => {
    let count = 0
    expect(await found(() => String(count++), 1)).toContain('the same input gave two answers')
  })

  test('finds a reader that takes the square of the input, by counting what ran', async () => {
    const square = (input: Buffer): string => {
      // as a platform module would: the fuzzer's own code is not counted
      let sum = 0
      for (const a of input) for (const b of input) sum += a ^ b
      return String(sum)
    }
    const coverage = openCoverage([])
    const work = { base: 2_000, perByte: 200 }
    const target = { ...plain, run: square, work, maxBytes: 600, samples: () => [Buffer.alloc(600, 'x')] }
    const { findings } = await fuzz(target, { seed: 1, goesOn: untilCount(100), coverage })
    coverage.close()
    expect(findings.map(({ what }) => what).join()).toContain('blocks of code ran for')
  })

  test('tries the same inputs for the same seed', async () => {
    const inputs = async (seed: number) => {
      const seen: string[] = []
      const run = (input: Buffer): string => {
        seen.push(input.toString('latin1'))
        return ''
      }
      await fuzz({ ...plain, run }, { seed, goesOn: untilCount(300), coverage: null })
      return seen
    }
    expect(await inputs(7)).toEqual(await inputs(7))
    expect(await inputs(8)).not.toEqual(await inputs(7))
  })

  test('guided by what ran it comes to places that chance alone does not reach', async () => {
    const target = TARGETS.find(({ name }) => name === 'match')
    if (!target) throw new Error('no such target')
    const coverage = openCoverage()
    const { kept, blocks } = await fuzz(target, { seed: 3, goesOn: untilCount(4_000), coverage })
    coverage.close()
    expect(kept).toBeGreaterThan(target.samples().length)
    expect(blocks).toBeGreaterThan(0)
  })
})
