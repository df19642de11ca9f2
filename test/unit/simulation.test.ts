import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { printTable, runTable } from '../simulation/table.ts'

const MAIN = fileURLToPath(new URL('../simulation/main.ts', import.meta.url))
const SEEDS = 300
/** Most guards are missed in the world that missed them last; the rest is for when worlds have changed since. */
const SEEDS_WITHOUT_A_GUARD = 60

describe('the workers in worlds made of chance (npm run simulate)', () => {
  // a process of its own: vitest has timers and modules of its own
  test(`keep every promise in ${SEEDS} of them, and in those that once found a fault`, async () => {
    const { code, out } = await simulate('--seeds', String(SEEDS))
    expect(out).toMatch(/ 0 failed/)
    expect(code, out).toBe(0)
  }, 120_000)

  test('live the same life twice in the same world', async () => {
    const [one, two] = await Promise.all([simulate('--seed', '7'), simulate('--seed', '7')])
    expect(one.code, one.out.slice(-2_000)).toBe(0)
    expect(one.out).toMatch(/"hash": "[0-9a-f]{8}"/)
    expect(two.out).toBe(one.out)
  }, 60_000)

  test('do not get through without their guards', async () => {
    const rows = await runTable({ program: MAIN, seeds: SEEDS_WITHOUT_A_GUARD, only: null })
    const table = printTable(rows)
    expect(
      rows.filter(({ isAsExpected }) => !isAsExpected).map(({ name }) => name),
      `${table}\nthe code has changed? npm run simulate -- --mutations --record`,
    ).toEqual([])
    expect(rows.filter(({ outcome }) => outcome === 'missed').length, table).toBeGreaterThan(30)
  }, 300_000)
})

function simulate(...args: readonly string[]): Promise<{ code: number | null; out: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
    let out = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        out += text
      })
    }
    child.on('error', reject)
    child.on('close', code => resolve({ code, out }))
  })
}
