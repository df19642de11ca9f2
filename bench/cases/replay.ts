import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { BenchCase, Figures, Site } from '../case.ts'
import { LANES, TENANTS, exactly } from '../case.ts'
import { fillAlerts, planOf } from '../fill.ts'
import { openGround } from '../ground.ts'
import { run } from '../process.ts'

export const REPLAY: BenchCase = {
  name: 'F',
  what: 'replay of the whole log into a file',
  subjects: () => [{ name: 'socos', run: replayed }],
}

async function replayed({ stack, env, plan }: Site): Promise<Figures> {
  await using ground = await openGround(stack, env, LANES)
  await fillAlerts(ground, planOf(TENANTS, plan.alerts))
  const folder = await mkdtemp(join(tmpdir(), 'socos-bench-'))
  const file = join(folder, 'out.ndjson')
  try {
    const { err } = await run(['cli/socos.ts', 'replay', '--yes', '--reason', 'bench', '--to', file], ground.env)
    const [, written, seconds] = /(\d+) alerts written of \d+ records read in ([\d.]+) s/.exec(err) ?? []
    exactly(Number(written), plan.alerts, 'alerts in the file')
    return { alertsPerSecond: plan.alerts / Number(seconds) }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
