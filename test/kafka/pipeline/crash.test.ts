import { rm } from 'node:fs/promises'
import { expect, onTestFinished, test } from 'vitest'
import { EFFECTS, type Effect, STEPS } from '../../../platform/effects.ts'
import type { GraphAlert } from '../../../schemas/types.ts'
import { expectEveryRecordAccountedFor, readAll } from './accounts.ts'
import { startPipeline, until } from './kit.ts'
import { type Death, livesOf, openHand, type Scene, scratch, tableOf, type World } from './lives.ts'
import { ALSO, alertOf, arrive, SCENES } from './scenes.ts'

/** `npm run chaos:steps` dies at each step the first time, in the middle and the last time; a test run the first time. */
const which = process.env['CRASH_STEPS'] === 'all' ? 'all' : 'first'
const PER_LIFE = which === 'all' ? 3 : 1
/** Of an effect: three places, in the long form each at three times and once counted. */
const LIVES = which === 'all' ? 10 : 3
const STAYING = 6

test('workers and commands killed at every step of every effect: nothing missing, nothing stale, everything accounted for', {
  timeout: which === 'all' ? 3_600_000 : 900_000,
}, async () => {
  const leaving = 2 * LIVES * PER_LIFE
  await using pipeline = await startPipeline({
    name: 'crash',
    lanes: 6,
    graph: { tenants: STAYING + leaving, ratePerSecond: 8, updateShare: 0.5, backlogPerTenant: 3, seed: 23 },
    env: {
      // a life follows a death when the session has ended
      SESSION_TIMEOUT_SECONDS: '2',
      POLL_INTERVAL_SECONDS: '1',
      // what a checkpoint skips is not brought back by the next polls
      OVERLAP_SECONDS: '1',
      SWEEP_INTERVAL_HOURS: '1',
      SWEEP_WINDOW_HOURS: '1',
      PARKING_BUDGET_COUNT: '1000',
    },
  })
  await using hand = await openHand(pipeline)
  const { graph, engine } = pipeline
  graph.load.freeze()
  const ids = graph.tenants.map(({ tenantId }) => tenantId)
  const world: World = {
    pipeline,
    hand,
    dir: await scratch(),
    perLife: PER_LIFE,
    staying: ids.slice(0, STAYING),
    leaving: ids.slice(STAYING),
    removed: new Set(),
    refused: [],
    discarded: new Set(),
    late: [],
  }
  for (let n = 0; n < 2 * LIVES * PER_LIFE; n++) {
    const tenantId = world.staying[n % STAYING] ?? ''
    const { alertId, bytes } = alertOf(tenantId, graph.simNow())
    graph.inject(tenantId, bytes)
    world.refused.push({ alertId, fault: engine.faults.add({ kind: 'refuse-batch', alertId }).id })
  }
  const refused = world.refused.map(({ alertId }) => alertId)

  // so that there is something to sweep, to forget, to retry and to replay
  const first = await Promise.all([pipeline.start('poller'), pipeline.start('forwarder')])
  await pipeline.complete({ exceptAlerts: refused })
  await until(async () => {
    const { out } = await pipeline.look('parked', 'list', '-o', 'json')
    return (JSON.parse(out) as object[]).length === refused.length
  }, 60_000)
  expect(await Promise.all(first.map(worker => worker.stop()))).toEqual([0, 0])
  graph.load.start()

  const deaths: Death[] = []
  // also when the time is up: how far did it come?
  onTestFinished(() => console.log(tableOf(deaths)))
  const chain = async (by: Scene['by']): Promise<void> => {
    const scenes = [...(Object.keys(EFFECTS) as Effect[]).map(effect => [effect, SCENES[effect]] as const), ...ALSO]
    for (const [effect, scene] of scenes) {
      if (scene.by !== by) continue
      for await (const death of livesOf(world, effect, scene, which)) deaths.push(death)
    }
  }
  const ended = Promise.all([
    // somebody has to poll until the others are done
    chain('poller')
      .then(() => pipeline.start('poller'))
      .then(() => chain('setup')),
    chain('forwarder').then(() => pipeline.start('forwarder')),
    chain('command'),
  ])
  await ended
  expect(new Set(deaths.map(({ at }) => at.split('#')[0]))).toEqual(new Set(STEPS))

  // whoever shared a lane with others is late still
  await arrive(world, [...world.late])
  graph.load.freeze()
  const removed = [...world.removed]
  const exceptAlerts = [...world.discarded, ...world.refused.map(({ alertId }) => alertId)]
  const verdict = await pipeline.complete({ exceptTenants: removed, exceptAlerts })
  console.log(`${verdict.delivered} revisions delivered, ${verdict.duplicates} repeated, ${deaths.length} deaths`)
  expect(verdict).toMatchObject({ missingCount: 0, staleAfterNew: 0, unexpected: 0, unstableIds: 0 })
  // a death repeats at most what was under way: one request of each lane
  const largest = Math.max(...engine.ledger.requests.map(({ items }) => items))
  const forwarders = deaths.filter(({ by }) => by === 'forwarder').length
  expect(verdict.duplicates).toBeLessThanOrEqual(forwarders * 6 * largest)

  await until(async () => [...(await pipeline.status()).values()].every(row => row.counts.waiting === 0), 60_000)
  await expectEveryRecordAccountedFor(pipeline, world.removed)
  // nothing that a checkpoint covers had to be found by a sweep
  const swept = (await readAll<GraphAlert>(pipeline, 'alerts')).filter(({ value }) => value.origin === 'sweep')
  expect(swept.map(({ key, value }) => `${key} ${value.version}`)).toEqual([])
  await rm(world.dir, { recursive: true, force: true })
})
