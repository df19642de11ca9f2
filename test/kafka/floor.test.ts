/** The forwarder against the floor of bench/naive.ts, both as processes, at the same time, on the same log. */
import { existsSync } from 'node:fs'
import { expect, inject, test } from 'vitest'
import { engineCount } from '../../bench/case.ts'
import { fillAlerts } from '../../bench/fill.ts'
import { openGround } from '../../bench/ground.ts'
import { meter } from '../../bench/meter.ts'
import { type Environment, type Program, startProgram } from '../../bench/process.ts'
import { freePorts } from '../../sandbox/kafka/ports.ts'

const LANES = 6
const TENANTS = 20
/** Enough for what a process does once, as compiling, to weigh little; the floor is slow and shows itself sooner. */
const ALERTS = 12_000
const NAIVE_ALERTS = 2_500
/** CPU time hardly depends on who else uses the machine, and what is measured lies well below: a wide margin. */
const MOST_OF_THE_FLOOR = 1 / 3

test('an alert costs the forwarder at most a third of the CPU time that it costs a naive consumer', async () => {
  if (!existsSync('/proc/self/stat')) {
    console.error('THE FLOOR IS NOT TESTED: without /proc nobody tells the CPU time of a process')
    return
  }
  await using ground = await openGround(inject('stack'), process.env, LANES)
  await ground.applyTenants(TENANTS)
  await fillAlerts(ground, { tenants: TENANTS, count: ALERTS, repeats: 0 })
  const [naivePort = 0] = await freePorts(1)
  const naiveEnv = { ...ground.env, ENGINE_URL: `http://127.0.0.1:${naivePort}` }
  const programs: Program[] = []
  const start = async (args: readonly string[], env: Environment, untilReady = false): Promise<Program> => {
    const program = await startProgram(args, { env, measured: false, untilReady })
    programs.push(program)
    return program
  }
  try {
    await start(['bench/engine-standin.ts', `${ground.ports.engine}`], ground.env, true)
    await start(['bench/engine-standin.ts', `${naivePort}`], naiveEnv, true)
    const forwarder = await start(['consumers/main.ts'], ground.env)
    const naive = await start(['bench/naive.ts'], naiveEnv)
    const items = async (port: number): Promise<number> => (await engineCount(port)).items
    const [ours, floor] = await Promise.all([
      meter(forwarder, {
        alerts: ALERTS,
        goal: ALERTS,
        progress: () => items(ground.ports.engine),
        settled: async () => (await ground.committed(`${ground.env['TOPIC_PREFIX']}forwarders`)) >= ALERTS,
      }),
      meter(naive, { alerts: NAIVE_ALERTS, goal: NAIVE_ALERTS, progress: () => items(naivePort) }),
    ])
    const { items: sent, distinct } = await engineCount(ground.ports.engine)
    expect({ sent, distinct }).toEqual({ sent: ALERTS, distinct: ALERTS })
    const [oursMs = Infinity, floorMs = 0] = [ours.cpuMsPer1000, floor.cpuMsPer1000]
    console.log(`CPU ms per 1,000 alerts: forwarder ${oursMs.toFixed(0)}, naive ${floorMs.toFixed(0)}`)
    expect(oursMs).toBeLessThanOrEqual(floorMs * MOST_OF_THE_FLOOR)
  } finally {
    await Promise.all(programs.map(program => program.stop()))
  }
})
