import type { BenchCase, Figures, Site } from '../case.ts'
import { LANES, TENANTS, engineCount } from '../case.ts'
import { fillAlerts, planOf } from '../fill.ts'
import { openGround } from '../ground.ts'
import { meter } from '../meter.ts'
import { startProgram } from '../process.ts'

/** The naive floor is slow: a part of the alerts is enough to see how slow. */
const SHARE = 0.05

export const NAIVE: BenchCase = {
  name: 'G',
  what: 'Kafka → engine as one would write it first: eachMessage, JSON, one request an alert, no ledger',
  subjects: () => [{ name: 'naive', run: forwarded }],
}

async function forwarded({ stack, env, plan }: Site): Promise<Figures> {
  await using ground = await openGround(stack, env, LANES)
  const { engine: port } = ground.ports
  const alerts = planOf(TENANTS, Math.max(500, Math.round(plan.alerts * SHARE)))
  await fillAlerts(ground, alerts)
  const standin = ['bench/engine-standin.ts', `${port}`]
  const engine = await startProgram(standin, { env: ground.env, measured: false, untilReady: true })
  const naive = await startProgram(['bench/naive.ts'], { env: ground.env, measured: true, untilReady: false })
  try {
    // it knows no repeats: every record is an item
    return await meter(naive, {
      alerts: alerts.count,
      goal: alerts.count,
      progress: async () => (await engineCount(port)).items,
      lastMs: async () => (await engineCount(port)).lastMs,
    })
  } finally {
    await Promise.all([naive.stop(), engine.stop()])
  }
}
