// Longer than a screen or two: one promise a test, and every one about the same lane.
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { EngineFormat } from '../../consumers/format.ts'
import { TransientError } from '../../platform/retry.ts'
import type { Tenant } from '../../schemas/types.ts'
import {
  alertOf,
  alertRecord,
  LANE,
  logRecord,
  TENANT_A,
  TENANT_B,
  TENANT_C,
  TENANT_D,
  tenantOf,
} from './fakes/records.ts'
import type { Forwarder, Plan, World } from './fakes/forwarder-world.ts'
import { forwarderWorld, TOPICS } from './fakes/forwarder-world.ts'
import { schemaFile, valueOf } from './fakes/codecs.ts'

/** Every fate there is, in four windows of five. */
function everyFate(format?: EngineFormat): World {
  const world = forwarderWorld({}, format)
  const refused = new Set(['a2', 'a3'])
  world.engine.judge = item => (refused.has(item.alertId) && item.version.endsWith('1Z') ? 'refuse' : 'accept')
  world.specs(
    { alertId: 'a1', version: 1 },
    { alertId: 'a1', version: 2 },
    { tenantId: TENANT_B, alertId: 'b1', version: 1 },
    { alertId: 'a1', version: 2 }, // duplicate inside the window
    { alertId: 'a2', version: 1 }, // refused, and its next revision in the next window
    { alertId: 'a2', version: 2 },
    { tenantId: TENANT_B, alertId: 'b1', version: 1, content: 'changed at the same version' },
    { tenantId: TENANT_C, alertId: 'c1' }, // off-boarded
    { key: `${TENANT_A}/a9`, raw: Buffer.from('who wrote this?') },
    { alertId: 'a1', version: 1 }, // stale
    { alertId: 'a3', version: 1 }, // refused, its next revision in the same window
    { alertId: 'a3', version: 1, origin: 'backfill' }, // a twin of what is being parked
    { alertId: 'a3', version: 2 },
    { tenantId: TENANT_B, alertId: 'b2', version: 1 },
    { tenantId: TENANT_B, alertId: 'b2', version: 2 },
    { alertId: 'a1', version: 3 },
    { key: null, raw: null },
    { alertId: 'a2', version: 1, origin: 'retry', attempts: 1 },
    { tenantId: TENANT_C, alertId: 'c1' },
    { alertId: 'a4', version: 1 },
  )
  return world
}

/** A run in which nothing goes wrong, with the points that it passed. */
async function undisturbed(): Promise<World> {
  const world = everyFate()
  world.plan({ at: -1, act: 'die' })
  await world.untilDone(world.start())
  return world
}

/** Each tenant's records by fate. */
function countsOf({ ackedTotals }: World): unknown {
  const counts = [...ackedTotals].map(([tenantId, { delivered, duplicate, stale, parked }]) => {
    return [tenantId, { delivered, duplicate, stale, parked }]
  })
  return Object.fromEntries(counts)
}

async function atEveryPoint(act: Plan['act'], story: (world: World, first: Forwarder) => Promise<void>): Promise<void> {
  const calm = await undisturbed()
  const { points } = calm
  expect(points).toBeGreaterThan(30)
  for (let at = 0; at < points; at++) {
    const world = everyFate()
    world.plan({ at, act })
    const first = world.start()
    try {
      await story(world, first)
      if (world.committed === world.stream.length) expect(countsOf(world)).toEqual(countsOf(calm))
    } catch (error) {
      throw new Error(`${act} at point ${at} of ${points}: ${String(error)}`, { cause: error })
    }
  }
}

function repeats(world: World): number {
  return world.engine.accepted.filter(({ known }) => known).length
}

/**
 * What the engine took from this owner must be on the log for whoever owns the lane next. Not what it took from one that
 * had lost the lane by then: that one may not write any more.
 */
function expectAllTold(world: World, { name }: Forwarder): void {
  for (const { key, version, from } of world.engine.accepted) {
    if (from !== name) continue
    expect(world.ackedVersions.get(key) ?? '', `${key} ${version} is in the ledger`).toSatisfy(told => told >= version)
  }
}

describe('one window after the other', () => {
  test('every record gets its fate, an alert’s revisions arrive in order, each record counts once', async () => {
    const world = everyFate()
    const lane = world.start()
    await world.untilDone(lane)
    world.judge()
    const seen = world.engine.accepted.map(({ key, version }) => `${key.slice(37)} v${Number(version.slice(-8, -1))}`)
    expect(seen.toSorted()).toEqual(
      ['a1 v1', 'a1 v2', 'a1 v3', 'a2 v2', 'a3 v2', 'a4 v1', 'b1 v1', 'b1 v1', 'b2 v1', 'b2 v2'].toSorted(),
    )
    expect(world.parkedRecords().map(({ offset, reason }) => [offset, reason])).toEqual([
      [4, 'rejected'],
      [7, 'off-boarded'],
      [8, 'undecodable'],
      [10, 'rejected'],
      [16, 'undecodable'],
    ])
    expect(world.ackedTotals.get(TENANT_A)).toMatchObject({
      upTo: 20,
      seen: 13,
      delivered: 6,
      duplicate: 2,
      stale: 2,
      parked: 3,
    })
    expect(world.ackedTotals.get(TENANT_B)).toMatchObject({ seen: 4, delivered: 4 })
    expect(world.ackedTotals.get(TENANT_C)).toMatchObject({ seen: 2, duplicate: 1, parked: 1, delivered: 0 })
    expect(lane.fates.length).toBe(20)
  })

  test('every record has the same fate where the engine gets findings', async () => {
    const worlds = [everyFate('native'), everyFate('ocsf')] as const
    const classes: unknown[][] = []
    for (const world of worlds) {
      const seen: unknown[] = []
      classes.push(seen)
      const { judge } = world.engine
      world.engine.judge = (item, request) => {
        seen.push((JSON.parse(item.alert.toString()) as { readonly class_uid?: number }).class_uid)
        return judge(item, request)
      }
      await world.untilDone(world.start())
      world.judge()
    }
    const [native, ocsf] = worlds
    expect(new Set(classes[0])).toEqual(new Set([undefined]))
    expect(new Set(classes[1])).toEqual(new Set([2004]))
    expect(ocsf.engine.accepted).toEqual(native.engine.accepted)
    expect(ocsf.parkedRecords()).toEqual(native.parkedRecords())
    expect(ocsf.ackedTotals).toEqual(native.ackedTotals)
  })

  test('each acceptance is timed from the update and from the poll, a drop is not', async () => {
    const world = forwarderWorld()
    world.specs({ alertId: 'a1', version: 1 }, { alertId: 'a2', version: 1 }, { alertId: 'a1', version: 1 })
    const startMs = world.clock.now()
    const forwarder = world.start()
    await world.untilDone(forwarder)
    const { observedAt, version } = alertOf({ version: 1 })
    expect(forwarder.accepted).toHaveLength(2)
    for (const [sinceUpdateMs, sincePolledMs] of forwarder.accepted) {
      expect(sincePolledMs).toBeGreaterThanOrEqual(startMs - observedAt)
      expect(sinceUpdateMs - sincePolledMs).toBe(observedAt - Date.parse(version))
    }
  })

  test('nothing goes to the engine before the lane is live', async () => {
    const world = everyFate()
    const lane = world.start('first', { live: false })
    await world.clock.advance(60_000)
    expect(world.engine.requests).toEqual([])
    lane.lane.live()
    await world.untilDone(lane)
    world.judge()
  })

  test('nothing goes to the engine while a ledger record waits for the registry', async () => {
    const world = everyFate()
    await world.untilDone(world.start())
    const sent = world.engine.accepted.length
    world.registry.schemas.set(77, schemaFile('delivery'))
    world.registry.failures.budget = 5
    const next = world.start('second', { from: 0, live: false })
    const last = world.broker.records(TOPICS.deliveries).at(-1)
    const foreign = Buffer.from(last?.value ?? Buffer.alloc(0))
    foreign.writeInt32BE(77, 1)
    next.lane.table(TOPICS.deliveries, { ...logRecord(999, `${TENANT_A}/`, foreign) })
    next.lane.live()
    await world.clock.advance(200)
    expect(world.registry.failures.fired).toBeGreaterThan(0)
    expect(world.engine.requests.length).toBeGreaterThan(0)
    expect(world.engine.accepted.length).toBe(sent)
    await world.untilDone(next)
    expect(world.registry.failures).toEqual({ budget: 0, fired: 5 })
    expect(repeats(world)).toBe(0)
  })

  test('a changed tenant record enriches what comes after it', async () => {
    const world = forwarderWorld()
    const names: unknown[] = []
    world.engine.judge = item => {
      names.push((JSON.parse(item.tenantJson.toString()) as { name: string }).name)
      return 'accept'
    }
    world.specs({ alertId: 'a1' })
    const lane = world.start()
    await world.untilDone(lane)
    lane.lane.table(
      TOPICS.tenants,
      logRecord(9, TENANT_A, world.codecs.tenants.encode(tenantOf(TENANT_A, { name: 'Neu & Söhne' }))),
    )
    world.feed(lane, { alertId: 'a2' })
    await world.untilDone(lane)
    expect(names).toEqual([tenantOf(TENANT_A).name, 'Neu & Söhne'])
  })

  test('an alert of another lane’s tenant is parked and never sent', async () => {
    const world = forwarderWorld()
    const alert = alertOf({ tenantId: '00000000-0000-4000-8000-999999999999' })
    world.specs({ raw: world.codecs.alerts.encode(alert), key: `${alert.tenantId}/${alert.alertId}` })
    await world.untilDone(world.start())
    expect(world.parkedRecords()).toMatchObject([{ reason: 'misplaced', tenantId: alert.tenantId, offset: 0 }])
    expect(world.engine.requests).toEqual([])
  })
})

describe('the worker dies', () => {
  test('at any point: nothing is lost, repeated is only what the ledger could not tell, counts are exact', async () => {
    await atEveryPoint('die', async (world, first) => {
      await world.until(() => first.dead)
      world.lose(first)
      await world.untilDone(world.start('second'))
      world.judge()
    })
  }, 60_000)

  test('at any point, no offset ever committed: the same', async () => {
    await atEveryPoint('die', async (world, first) => {
      await world.until(() => first.dead)
      world.lose(first)
      await world.untilDone(world.start('second', { from: 0 }))
      world.judge()
    })
  }, 60_000)

  test('at any point, committed or not: the next owner sends nothing older than what the dead one sent', async () => {
    for (const start of [{}, { from: 0 }]) {
      await atEveryPoint('die', async (world, first) => {
        await world.until(() => first.dead)
        world.lose(first)
        await world.untilDone(world.start('second', start))
        world.judgeOrder()
      })
    }
  }, 60_000)

  test('repeats after a death are rare: never more than the window in hand', async () => {
    let most = 0
    await atEveryPoint('die', async (world, first) => {
      await world.until(() => first.dead)
      world.lose(first)
      await world.untilDone(world.start('second'))
      most = Math.max(most, repeats(world))
    })
    expect(most).toBeGreaterThan(0)
    expect(most).toBeLessThanOrEqual(5)
  }, 60_000)
})

describe('the lane goes to another worker', () => {
  test('quiesced at any point: nothing is in flight, the ledger tells all, the next owner repeats nothing', async () => {
    await atEveryPoint('quiesce', async (world, first) => {
      await world.until(() => first.quiesced !== null)
      await world.clock.until(first.quiesced ?? Promise.reject(new Error('not quiesced')))
      expect(first.inFlight).toBe(0)
      expectAllTold(world, first)
      const points = world.points
      await world.clock.advance(120_000)
      expect(world.points, 'no effect begins').toBe(points)
      world.look()
      world.lose(first)
      await world.untilDone(world.start('second'))
      world.judge()
      expect(repeats(world)).toBe(0)
    })
  }, 60_000)

  test('lost at any point with effects in flight that still land: nothing is lost, counts are exact', async () => {
    await atEveryPoint('lose', async (world, first) => {
      await world.until(() => first.abort.signal.aborted)
      await world.clock.advance(1_000)
      const points = world.points
      await world.clock.advance(60_000)
      expect(world.points, 'a lost lane begins nothing').toBe(points)
      expect(first.lateAppends, 'and nothing follows what was in flight').toBe(0)
      expect(first.closed).toEqual([2])
      await world.untilDone(world.start('second'))
      world.judge()
    })
  }, 60_000)

  test('a lost lane leaves no trace in the gauges', async () => {
    await atEveryPoint('lose', async (world, first) => {
      let told = -1
      first.abort.signal.addEventListener('abort', () => (told = first.ledgers.length), { once: true })
      await world.until(() => first.abort.signal.aborted)
      await world.clock.advance(1_000)
      expect(first.ledgers.length).toBe(told)
    })
  }, 60_000)

  test('in the middle of a window: what was delivered of it counts as delivered', async () => {
    const world = forwarderWorld()
    world.specs(...[1, 2, 3, 4].map(version => ({ alertId: 'a1', version })))
    const first = world.start()
    let quiesced: Promise<void> | undefined
    world.engine.judge = (_item, request) => {
      if (request === 1) quiesced = first.lane.quiesce()
      return 'accept'
    }
    await world.until(() => quiesced !== undefined)
    await world.clock.until(quiesced ?? Promise.reject(new Error('not quiesced')))
    expect(world.ackedTotals.get(TENANT_A)).toMatchObject({ upTo: 2, delivered: 2 })
    world.lose(first)
    await world.untilDone(world.start('second'))
    world.judge()
    expect(world.ackedTotals.get(TENANT_A)).toMatchObject({ upTo: 4, delivered: 4, stale: 0 })
  })

  for (const what of [
    { name: 'an alert', records: 1 },
    { name: 'an alert and totals', records: 2 },
  ]) {
    test(`${what.name} that a zombie writes down late hides nothing, and is written over`, async () => {
      const world = forwarderWorld({ windowRecords: 1 })
      world.specs(...[1, 2, 3, 4].map(version => ({ alertId: 'a1', version })))
      const first = world.start()
      await world.untilDone(first)
      world.lose(first)
      const late = world.broker.records(TOPICS.deliveries).slice(0, what.records)
      const again = late.map(({ key, value }) => ({ key: String(key), value }))
      await world.broker.publisher().append(TOPICS.deliveries, LANE, again)
      const second = world.start('second') // with nothing to do but this
      await world.clock.advance(1_000)
      const totals = world.deliveries().findLast(each => each.totals !== null)?.totals
      expect(totals).toMatchObject({ upTo: 4, delivered: 4 })
      const last = world.deliveries().findLast(({ alertId }) => alertId === 'a1')
      expect(last?.delivered).toMatchObject({ offset: 3 })
      world.lose(second)
      await world.untilDone(world.start('third', { from: 0 }))
      world.judge()
      expect(world.engine.accepted.length).toBe(4)
    })
  }
})

describe('the lane stays over a rejoin', () => {
  test('resumed at any point the window goes on and nothing is sent again', async () => {
    await atEveryPoint('quiesce', async (world, first) => {
      await world.until(() => first.quiesced !== null)
      await world.clock.until(first.quiesced ?? Promise.reject(new Error('not quiesced')))
      await world.clock.advance(5_000)
      first.lane.resume()
      await world.untilDone(first)
      world.judge()
      expect(repeats(world)).toBe(0)
      expect(first.lane.committable()).toBe(20)
    })
  }, 60_000)

  test('asked to quiesce in any gap between two effects, it begins none afterwards', async () => {
    for (let look = 1; look <= 4; look++) {
      for (let microtasks = 0; microtasks <= 6; microtasks++) {
        const world = everyFate()
        const first = world.start()
        let looks = 0
        let quiesced = false
        first.onLeased = () => {
          if (++looks !== look) return
          let gap = Promise.resolve()
          for (let i = 0; i < microtasks; i++) gap = gap.then(() => {})
          void gap
            .then(() => first.lane.quiesce())
            .then(() => {
              quiesced = true
              world.plan({ at: -1, act: 'die' })
            })
        }
        await world.until(() => quiesced)
        expect(first.inFlight).toBe(0)
        await world.clock.advance(1_000)
        expect(world.points, `look ${look}, ${microtasks} microtasks`).toBe(0)
        first.lane.resume()
        await world.untilDone(first)
        world.judge()
        expect(repeats(world)).toBe(0)
      }
    }
  })

  test('without a lease nothing begins, not even the next round of a window; with it the lane goes on', async () => {
    const world = forwarderWorld()
    world.specs(...[1, 2, 3, 4].map(version => ({ alertId: 'a1', version })))
    const lane = world.start()
    let told = -1
    world.engine.judge = (_item, request) => {
      if (request !== 1) return 'accept'
      lane.leased = false
      told = world.broker.batches.length
      return 'accept'
    }
    await world.until(() => world.engine.requests.length === 2)
    await world.clock.advance(60_000)
    expect(world.engine.requests.length).toBe(2)
    expect(world.broker.batches.length, 'appends').toBe(told)
    lane.leased = true
    await world.untilDone(lane)
    world.judge()
    expect(repeats(world)).toBe(0)
  })
})

describe('Kafka does not take an append', () => {
  for (const topic of [TOPICS.deliveries, TOPICS.parked]) {
    for (const when of ['before', 'after'] as const) {
      test(`${when} it stands on ${topic}: it is repeated, and counts stay exact`, async () => {
        const world = everyFate()
        const fault = { when, topic, budget: 6, fired: 0 }
        world.broker.faults.push(fault)
        await world.untilDone(world.start())
        expect(fault.fired).toBe(6)
        world.judge()
        expect(repeats(world)).toBe(0)
        expect(world.ackedTotals.get(TENANT_A)).toMatchObject({
          seen: 13,
          delivered: 6,
          duplicate: 2,
          stale: 2,
          parked: 3,
        })
      })
    }
  }

  test('while it is away nothing is committable, and a loss of the lane ends the waiting', async () => {
    const world = everyFate()
    world.broker.faults.push({ when: 'before', budget: Number.POSITIVE_INFINITY, fired: 0 })
    const lane = world.start()
    await world.clock.advance(600_000)
    expect(lane.lane.committable()).toBeNull()
    expect(world.log.count('warn')).toBeGreaterThan(10)
    world.lose(lane)
    await world.clock.advance(1_000)
    expect(world.clock.sleeping).toBe(0)
    expect(world.faults).toEqual([])
  })
})

describe('any run of deaths, losses, rejoins and failed appends', () => {
  const alert = fc.record({
    tenantId: fc.constantFrom(TENANT_A, TENANT_B, TENANT_C),
    alertId: fc.constantFrom('x1', 'x2', 'x3'),
    content: fc.constantFrom('x', 'y'),
    origin: fc.constantFrom('poll', 'sweep', 'retry'),
  })
  const trouble = fc.record({ at: fc.nat({ max: 60 }), act: fc.constantFrom<Plan['act']>('die', 'quiesce', 'lose') })
  const fault = fc.record({
    when: fc.constantFrom('before' as const, 'after' as const),
    topic: fc.constantFrom(TOPICS.deliveries, TOPICS.parked),
    budget: fc.integer({ min: 1, max: 3 }),
    fired: fc.constant(0),
  })
  const story = fc.record({
    alerts: fc.array(alert, { minLength: 1, maxLength: 25 }),
    /** How many records share a version. */
    perVersion: fc.integer({ min: 1, max: 4 }),
    refused: fc.array(fc.nat({ max: 24 }), { maxLength: 4 }),
    troubles: fc.array(trouble, { maxLength: 4 }),
    faults: fc.array(fault, { maxLength: 3 }),
    windowRecords: fc.integer({ min: 1, max: 9 }),
    commits: fc.boolean(),
  })

  test('loses nothing, keeps the order, repeats nothing that the ledger told, counts exactly', async () => {
    await fc.assert(
      fc.asyncProperty(story, async ({ alerts, perVersion, refused, troubles, faults, windowRecords, commits }) => {
        const world = forwarderWorld({ windowRecords })
        world.broker.faults.push(...faults)
        const refusals = new Set<string | undefined>(refused.map(n => alerts[n % alerts.length]?.alertId))
        world.engine.judge = item =>
          refusals.has(item.alertId) && Number(item.version.slice(-8, -1)) % 2 === 0 ? 'refuse' : 'accept'
        world.specs(...alerts.map((each, n) => ({ ...each, version: Math.floor(n / perVersion) })))
        let lane = world.start('0')
        for (const [n, plan] of troubles.entries()) {
          world.plan(plan)
          await world.until(() => lane.dead || lane.abort.signal.aborted || lane.quiesced !== null || done(world, lane))
          if (done(world, lane)) break
          if (lane.quiesced) {
            await world.clock.until(lane.quiesced)
            expect(lane.inFlight).toBe(0)
            expectAllTold(world, lane)
            lane.quiesced = null
            if (n % 2 === 0) {
              lane.lane.resume()
              continue
            }
          }
          world.lose(lane)
          lane = world.start(String(n + 1), commits ? {} : { from: 0 })
        }
        world.plan(null)
        await world.untilDone(lane)
        world.judge()
      }),
      { numRuns: 120 },
    )
  }, 120_000)
})

function done(world: World, lane: Forwarder): boolean {
  return !lane.dead && !lane.abort.signal.aborted && lane.lane.committable() === world.stream.length
}

describe('what would be parked past the budget', () => {
  function refusing(count: number): World {
    const world = forwarderWorld({ parkingCount: 3, parkingShare: 0.1, windowRecords: 50 })
    world.engine.judge = () => 'refuse'
    world.specs(...Array.from({ length: count }, (_, n) => ({ alertId: `r${n}` })))
    return world
  }

  test('stops the lane, says so, is not parked; what was delivered is told; it goes on by itself', async () => {
    const world = refusing(10)
    world.specs({ tenantId: TENANT_B, alertId: 'good' }, { tenantId: TENANT_C, alertId: 'gone' })
    world.engine.judge = item => (item.alertId === 'good' ? 'accept' : 'refuse')
    const lane = world.start()
    await world.until(() => lane.stops.includes(true))
    await world.clock.advance(100_000)
    expect(world.parkedRecords()).toEqual([])
    expect(lane.lane.committable()).toBeNull()
    expect(lane.stops.at(-1)).toBe(true)
    expect(world.ackedVersions.has(`${TENANT_B}/good`)).toBe(true)
    expect(world.engine.requests.flat().filter(id => id === 'good').length).toBe(1)
    const said = world.log.lines.filter(({ level }) => level === 'error')
    expect(said.at(-1)?.fields).toEqual({ lane: 2, parks: 10, reasons: 'rejected' })
    world.engine.judge = () => 'accept'
    await world.untilDone(lane)
    world.judge()
    expect(lane.stops.at(-1)).toBe(false)
    expect(world.parkedRecords().map(({ reason }) => reason)).toEqual(['off-boarded'])
    expect(repeats(world)).toBe(0)
  })

  test('a lane over its budget can be taken over at once and rejoins without waiting', async () => {
    const world = refusing(10)
    const lane = world.start()
    await world.until(() => lane.stops.includes(true))
    await world.clock.advance(1_000)
    const asked = world.clock.now()
    await world.clock.until(lane.lane.quiesce())
    expect(world.clock.now() - asked).toBeLessThan(1_000)
    lane.lane.resume()
    world.engine.judge = () => 'accept'
    await world.untilDone(lane)
    world.judge()
  })

  test('a refused revision is not forgotten because its next one was taken while the lane was stopped', async () => {
    const world = forwarderWorld({ parkingCount: 3, windowRecords: 50 })
    world.engine.judge = item => (item.version.endsWith('1Z') ? 'refuse' : 'accept')
    world.specs(...Array.from({ length: 8 }, (_, n) => [1, 2].map(version => ({ alertId: `r${n}`, version }))).flat())
    const lane = world.start()
    await world.until(() => lane.stops.includes(true))
    await world.clock.advance(40_000)
    world.engine.judge = () => 'accept'
    await world.untilDone(lane)
    world.judge()
    expect(world.engine.accepted.length).toBe(16)
    expect(world.ackedTotals.get(TENANT_A)).toMatchObject({ delivered: 16, stale: 0 })
  })

  test('alerts of an unknown tenant wait when they are many, and go out when its record arrives', async () => {
    const world = forwarderWorld({ parkingCount: 3, windowRecords: 50 })
    world.specs(...Array.from({ length: 6 }, (_, n) => ({ tenantId: TENANT_D, alertId: `d${n}` })))
    const lane = world.start()
    await world.until(() => lane.stops.includes(true))
    expect(world.log.lines.at(-1)?.fields).toMatchObject({ reasons: 'unknown-tenant' })
    lane.lane.table(TOPICS.tenants, logRecord(9, TENANT_D, world.codecs.tenants.encode(tenantOf(TENANT_D))))
    await world.untilDone(lane)
    expect(world.engine.accepted.length).toBe(6)
    expect(world.parkedRecords()).toEqual([])
  })

  test('a removed tenant’s alerts are parked however many they are', async () => {
    const world = forwarderWorld({ parkingCount: 3, windowRecords: 50 })
    world.specs(...Array.from({ length: 40 }, (_, n) => ({ tenantId: TENANT_C, alertId: `c${n}` })))
    const lane = world.start()
    await world.untilDone(lane)
    expect(world.parkedRecords().length).toBe(40)
    expect(lane.stops).not.toContain(true)
    expect(world.ackedTotals.get(TENANT_C)).toMatchObject({ seen: 40, parked: 40 })
  })
})

describe('a parked revision', () => {
  test('polled again is a duplicate; an operator’s retry, or a sweep that misses it, brings it to the engine', async () => {
    const world = forwarderWorld()
    world.engine.judge = () => 'refuse'
    world.specs({ alertId: 'p1' })
    const lane = world.start()
    await world.untilDone(lane)
    world.feed(lane, { alertId: 'p1', origin: 'backfill' }, { alertId: 'p1', origin: 'poll' })
    await world.untilDone(lane)
    expect(world.engine.requests.length).toBe(1)
    expect(world.ackedTotals.get(TENANT_A)).toMatchObject({ duplicate: 2, parked: 1 })
    world.feed(lane, { alertId: 'p1', origin: 'retry', attempts: 1 })
    await world.untilDone(lane)
    expect(world.parkedRecords().map(({ attempts }) => attempts)).toEqual([1, 2])
    world.feed(lane, { alertId: 'p1', origin: 'sweep' })
    await world.untilDone(lane)
    expect(world.engine.requests.length).toBe(3)
    world.engine.judge = () => 'accept'
    world.feed(lane, { alertId: 'p1', origin: 'retry', attempts: 2 })
    await world.untilDone(lane)
    world.judge()
    expect(world.deliveries().findLast(({ alertId }) => alertId === 'p1')).toMatchObject({
      parked: null,
      delivered: { offset: 5 },
    })
  })

  test('is known after a handover: polled again it is a duplicate there too', async () => {
    const world = forwarderWorld()
    world.engine.judge = () => 'refuse'
    world.specs({ alertId: 'p1' })
    const lane = world.start()
    await world.untilDone(lane)
    world.lose(lane)
    world.specs({ alertId: 'p1', origin: 'poll' })
    await world.untilDone(world.start('second'))
    expect(world.engine.requests.length).toBe(1)
    expect(world.parkedRecords().length).toBe(1)
  })

  test('with a key that names no alert leaves the tenant’s totals in place', async () => {
    const world = forwarderWorld()
    world.specs({ alertId: 'a1' }, { alertId: '' }, { raw: Buffer.from('?'), key: `${TENANT_A}/` })
    world.specs({ raw: null, key: TENANT_A }, { raw: null, key: null }, { raw: null, key: '/' })
    const lane = world.start()
    await world.untilDone(lane)
    world.judge()
    const underTotalsKey = world.deliveries().filter(({ alertId }) => alertId === '')
    expect(underTotalsKey.length).toBeGreaterThan(0)
    for (const { totals } of underTotalsKey) expect(totals).not.toBeNull()
  })
})

describe('a tenant', () => {
  function tellTenant(world: World, lane: Forwarder, tenantId: string, change: Partial<Tenant> = {}): void {
    const value = world.codecs.tenants.encode(tenantOf(tenantId, change))
    lane.lane.table(TOPICS.tenants, logRecord(9, tenantId, value))
  }

  function sentAgain(world: World): unknown[] {
    const alerts = world.broker.records(TOPICS.alerts).map(({ value }) => valueOf(world.codecs.alerts, value))
    return alerts.map(({ tenantId, alertId, origin, attempts }) => ({ tenantId, alertId, origin, attempts }))
  }

  const AGAIN = { tenantId: TENANT_D, alertId: 'd1', origin: 'retry', attempts: 1 }

  test('that becomes known has what was parked for want of it sent again', async () => {
    const world = forwarderWorld()
    world.specs({ tenantId: TENANT_D, alertId: 'd1' }, { alertId: 'a1' })
    const lane = world.start()
    await world.untilDone(lane)
    expect(world.parkedRecords().map(({ reason }) => reason)).toEqual(['unknown-tenant'])
    tellTenant(world, lane, TENANT_D)
    await world.clock.advance(1_000)
    expect(sentAgain(world)).toEqual([AGAIN])
    expect(lane.returned).toEqual([1])
    world.feed(lane, AGAIN)
    await world.untilDone(lane)
    world.judge()
    expect(world.ackedTotals.get(TENANT_D)).toMatchObject({ seen: 2, parked: 1, delivered: 1 })
  })

  test('that became known while nobody had the lane: the same', async () => {
    const world = forwarderWorld()
    world.specs({ tenantId: TENANT_D, alertId: 'd1' })
    const first = world.start()
    await world.untilDone(first)
    world.lose(first)
    world.tenants.push(tenantOf(TENANT_D))
    world.start('second')
    await world.clock.advance(1_000)
    expect(sentAgain(world)).toEqual([AGAIN])
    expect(world.faults).toEqual([])
  })

  test('that was removed and comes back begins anew: what it had is delivered again', async () => {
    const world = forwarderWorld()
    world.specs({ alertId: 'a1' })
    const lane = world.start()
    await world.untilDone(lane)
    tellTenant(world, lane, TENANT_A, { state: 'off-boarded' })
    tellTenant(world, lane, TENANT_A)
    world.feed(lane, { alertId: 'a1' })
    await world.untilDone(lane)
    expect(world.engine.accepted.map(({ known }) => known)).toEqual([false, true])
    expect(world.ackedTotals.get(TENANT_A)).toMatchObject({ seen: 2, delivered: 2 })
  })
})

test('records that retention deleted unread are counted once, however often they are missed', async () => {
  const world = forwarderWorld()
  for (const name of ['first', 'second', 'third']) {
    const lane = world.start(name, { live: false })
    lane.lane.lost(0, 3)
    if (name !== 'first') lane.lane.lost(3, 5)
    lane.lane.live()
    await world.clock.advance(1_000)
    world.lose(lane)
  }
  const written = world.deliveries().map(({ tenantId, totals }) => [tenantId, totals?.lost])
  expect(written.at(0)).toEqual(['', 3])
  expect(written.at(-1)).toEqual(['', 5])
})

describe('a dependency', () => {
  test('the registry is away: an unknown schema waits for it and parks nothing', async () => {
    const world = forwarderWorld()
    world.registry.schemas.set(9, schemaFile('graph-alert'))
    world.registry.failures.budget = 12
    const foreign = Buffer.from(world.codecs.alerts.encode(alertOf()))
    foreign.writeInt32BE(9, 1)
    world.specs({ raw: foreign, key: `${TENANT_A}/a1` })
    const lane = world.start()
    await world.untilDone(lane)
    expect(world.registry.failures).toEqual({ budget: 0, fired: 12 })
    expect(world.engine.accepted.length).toBe(1)
    expect(world.parkedRecords()).toEqual([])
  })

  test('a fault of the code is told once and nothing is settled by it', async () => {
    const world = forwarderWorld()
    world.engine.judge = () => {
      throw new TypeError('a bug')
    }
    world.specs({})
    const lane = world.start()
    await world.clock.advance(60_000)
    expect(world.faults).toEqual([new TypeError('a bug')])
    expect(lane.lane.committable()).toBeNull()
    expect(world.broker.batches).toEqual([])
  })

  test('a transient error of a dependency is never taken for a fault of the code', async () => {
    const world = everyFate()
    world.broker.faults.push({ when: 'before', budget: 1, fired: 0 })
    await world.untilDone(world.start())
    expect(world.faults).toEqual([])
    expect(world.log.lines.some(({ fields }) => 'error' in fields && fields.error instanceof TransientError)).toBe(true)
  })
})

describe('a quiet lane', () => {
  const DAY_MS = 86_400_000

  test('writes the totals of a quiet tenant again before the topic forgets them', async () => {
    const world = forwarderWorld()
    world.specs({ alertId: 'a1' }, { tenantId: TENANT_B, alertId: 'b1' })
    const first = world.start()
    await world.untilDone(first)
    const countOf = () => world.deliveries().filter(({ totals }) => totals !== null).length
    expect(countOf()).toBe(2)
    await world.clock.advance(16 * DAY_MS)
    expect(countOf()).toBeGreaterThanOrEqual(6)
    world.lose(first)
    const before = countOf()
    world.start('second')
    await world.clock.advance(8 * DAY_MS)
    expect(countOf()).toBeGreaterThanOrEqual(before + 2)
    expect(world.ackedTotals.get(TENANT_A)).toMatchObject({ seen: 1, delivered: 1 })
  })

  test('writes them also while it stands still because too much would be parked', async () => {
    const world = forwarderWorld({ parkingCount: 1 })
    world.specs({ tenantId: TENANT_B, alertId: 'b1' })
    const lane = world.start()
    await world.untilDone(lane)
    world.engine.judge = () => 'refuse'
    world.feed(lane, { alertId: 'r1' }, { alertId: 'r2' }, { alertId: 'r3' })
    await world.until(() => lane.stops.includes(true))
    const written = () => world.deliveries().filter(({ tenantId, totals }) => tenantId === TENANT_B && totals).length
    expect(written()).toBe(1)
    await world.clock.advance(2 * DAY_MS)
    expect(written()).toBe(2)
  })

  test('forgets alerts when the topic does', async () => {
    const world = forwarderWorld()
    world.engine.judge = ({ alertId }) => (alertId === 'p1' ? 'refuse' : 'accept')
    world.specs({ alertId: 'a1' }, { alertId: 'p1' })
    const lane = world.start()
    await world.untilDone(lane)
    await world.clock.advance(30 * DAY_MS)
    expect(lane.lane.ledger.entries).toBe(1)
    expect([...lane.lane.ledger.tenantsWithParked()]).toEqual([TENANT_A])
    await world.clock.advance(7 * DAY_MS)
    expect(lane.lane.ledger.entries).toBe(0)
    expect([...lane.lane.ledger.tenantsWithParked()]).toEqual([])
  })

  test('wakes at once when a record comes, and ends when it is lost', async () => {
    const world = forwarderWorld()
    const lane = world.start()
    await world.clock.advance(1_000)
    world.feed(lane, { alertId: 'a1' })
    await world.untilDone(lane)
    world.lose(lane)
    await world.clock.advance(100)
    expect(world.clock.sleeping).toBe(0)
    lane.queue.push([alertRecord(world.codecs.alerts, 1)])
    await world.clock.advance(100)
    expect(world.engine.requests.length).toBe(1)
    expect(world.faults).toEqual([])
  })
})

describe('records that were deleted before they were read', () => {
  test('count once for the lane, over restarts, and not where they were settled before', async () => {
    const world = forwarderWorld()
    const lostIn = () => world.deliveries().findLast(({ tenantId }) => tenantId === '')?.totals?.lost
    world.specs({ alertId: 'a1' }, { alertId: 'a2' }, { alertId: 'a3' })
    const first = world.start('first', { live: false })
    first.lane.live()
    await world.untilDone(first)
    world.lose(first)
    // the offset of 1 was committed, everything before 3 settled, and what is before 7 deleted
    const second = world.start('second', { live: false })
    second.lane.lost(1, 7)
    second.lane.live()
    await world.until(() => lostIn() === 4)
    world.lose(second)
    const third = world.start('third', { live: false })
    third.lane.lost(7, 9)
    third.lane.live()
    await world.until(() => lostIn() === 6)
  })
})
