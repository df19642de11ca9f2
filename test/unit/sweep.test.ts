import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { slicePage, SLICE_LIMITS } from '../../producers/graph/slice.ts'
import type { SlicedAlert } from '../../producers/graph/slice.ts'
import type { Cover } from '../../producers/listing.ts'
import type { Known, SweepDeps, Swept } from '../../producers/sweep.ts'
import { joined, provenAfter, sweep } from '../../producers/sweep.ts'
import { isSweepDue } from '../../producers/sweep-turn.ts'
import { fromEpochMs } from '../../producers/window.ts'
import type { Sweep, Tenant } from '../../schemas/types.ts'

const TENANT = '11111111-2222-4333-8444-555555555555'
const at = (minutes: number): string => fromEpochMs(Date.UTC(2026, 10, 20) + minutes * 60_000)

function alertsOf(...alerts: readonly { id?: string; updated?: number; tenantId?: string }[]): readonly SlicedAlert[] {
  const value = alerts.map(({ id, updated, tenantId }) => ({
    ...(id === undefined ? {} : { id }),
    tenantId: tenantId ?? TENANT,
    ...(updated === undefined ? {} : { lastUpdateDateTime: at(updated) }),
  }))
  const page = slicePage(Buffer.from(JSON.stringify({ value })), 'alerts_v2', SLICE_LIMITS)
  if (page.kind !== 'page') throw new Error('the test made no page')
  return page.alerts
}

const covered: Cover = { kind: 'covered', left: [], fresh: 0, missing: [], asOfMs: null }

interface Ground {
  readonly deps: SweepDeps
  readonly published: string[]
  readonly log: Map<string, string>
}

function ground(
  lists: Readonly<Record<'lastUpdate' | 'created', readonly SlicedAlert[]>>,
  log: Readonly<Record<string, string>>,
  more: Partial<SweepDeps> & { readonly whileListing?: (log: Map<string, string>) => void } = {},
): Ground {
  const written = new Map(Object.entries(log))
  let seen = new Map<string, string>()
  const published: string[] = []
  const known: Known = {
    refresh: async () => {
      seen = new Map(written)
    },
    has: (alertId, version) => (seen.get(alertId) ?? '') >= version,
    hasQuarantined: async () => false,
  }
  const { whileListing, ...rest } = more
  const deps: SweepDeps = {
    tenantId: TENANT,
    source: 'alerts_v2',
    known,
    dryRun: false,
    cover: async (_, by, take) => {
      await take(lists[by])
      whileListing?.(written)
      return covered
    },
    publish: async alerts => {
      for (const alert of alerts) published.push(alert.id ?? '(none)')
      return { listed: alerts.length, published: alerts.length, quarantined: 0 }
    },
    ...rest,
  }
  return { deps, published, log: written }
}

const WINDOW = { from: at(0), to: at(100) }

async function swept(deps: SweepDeps, openFrom = at(100)): Promise<Swept> {
  const end = await sweep(WINDOW, openFrom, deps)
  if (end.kind !== 'swept') throw new Error('trouble')
  return end
}

describe('a sweep', () => {
  test('publishes what Graph has and the log has not, and nothing else', async () => {
    const lists = {
      lastUpdate: alertsOf({ id: 'has', updated: 10 }, { id: 'older', updated: 20 }, { id: 'lost', updated: 30 }),
      created: alertsOf({ id: 'has', updated: 10 }, { id: 'lost', updated: 30 }),
    }
    const { deps, published } = ground(lists, { has: at(10), older: at(19) })
    expect(await swept(deps)).toMatchObject({ listed: 3, known: 1, repaired: 2, late: 2, gaps: [] })
    expect(published).toEqual(['older', 'lost'])
  })

  test('does not take for lost what a poll published while it listed', async () => {
    const lists = { lastUpdate: alertsOf({ id: 'a', updated: 10 }, { id: 'b', updated: 20 }), created: [] }
    const { deps, published } = ground(lists, {}, { whileListing: log => void log.set('a', at(10)) })
    expect(await swept(deps)).toMatchObject({ listed: 2, known: 1, repaired: 1 })
    expect(published).toEqual(['b'])
  })

  test('finds by creation what was never listed by update, and leaves newer updates to the polls', async () => {
    const created = alertsOf({ id: 'never-polled', updated: -5_000 }, { id: 'updated-since', updated: 150 })
    const { deps, published } = ground({ lastUpdate: [], created }, {})
    expect(await swept(deps)).toMatchObject({ listed: 1, repaired: 1 })
    expect(published).toEqual(['never-polled'])
  })

  test('counts as late only what no poll would list again', async () => {
    const lists = { lastUpdate: alertsOf({ id: 'early', updated: 10 }, { id: 'open', updated: 95 }), created: [] }
    expect(await swept(ground(lists, {}).deps, at(90))).toMatchObject({ repaired: 2, late: 1 })
  })

  test('tells and publishes nothing in a dry run', async () => {
    const lists = { lastUpdate: alertsOf({ id: 'a', updated: 10 }), created: [] }
    const { deps, published } = ground(lists, {}, { dryRun: true })
    expect((await swept(deps)).missing).toEqual([{ alertId: 'a', version: at(10) }])
    expect(published).toEqual([])
  })

  test('parks what names another tenant once, not with every sweep', async () => {
    const foreign = alertsOf({ id: 'f', updated: 10, tenantId: '99999999-2222-4333-8444-555555555555' })
    const first = ground({ lastUpdate: foreign, created: foreign }, {})
    expect(await swept(first.deps)).toMatchObject({ repaired: 1, late: 0 })
    const known = { ...first.deps.known, hasQuarantined: async () => true }
    expect(await swept({ ...first.deps, known })).toMatchObject({ repaired: 0, known: 1 })
  })

  test('says what Graph did not give, and which providers were silent', async () => {
    const left = [{ window: { from: at(40), to: at(41) }, reason: 'HTTP 500' }]
    const cover = async (): Promise<Cover> => ({ ...covered, left, missing: ['Microsoft/MCAS (504)'] })
    const { gaps } = await swept(ground({ lastUpdate: [], created: [] }, {}, { cover }).deps)
    expect(gaps).toContainEqual(left[0])
    expect(gaps).toContainEqual({ window: WINDOW, reason: 'no answer from Microsoft/MCAS (504)' })
  })

  test('publishes nothing when Graph is in trouble', async () => {
    const trouble = { kind: 'trouble', trouble: { kind: 'throttled', retryAfterMs: null, detail: '429' } } as const
    const { deps, published } = ground({ lastUpdate: [], created: [] }, {}, { cover: async () => trouble })
    expect(await sweep(WINDOW, at(100), deps)).toEqual(trouble)
    expect(published).toEqual([])
  })
})

describe('what is proven', () => {
  const result = (from: number, to: number, gaps: readonly number[] = [], late = 0): Swept => ({
    kind: 'swept',
    window: { from: at(from), to: at(to) },
    listed: 1,
    known: 1,
    repaired: late,
    late,
    missing: [],
    gaps: gaps.map(gap => ({ window: { from: at(gap), to: at(gap + 1) }, reason: 'HTTP 500' })),
  })
  const far = at(1_000_000)

  test('ends at the first gap and never in what Graph may still show', () => {
    expect(provenAfter(null, result(0, 100), far, 1)).toMatchObject({ from: at(0), to: at(100) })
    expect(provenAfter(null, result(0, 100, [60, 30]), far, 1)).toMatchObject({ from: at(0), to: at(30) })
    expect(provenAfter(null, result(0, 100), at(70), 1)).toMatchObject({ to: at(70) })
    expect(provenAfter(null, result(0, 100, [0]), far, 1)).toBeNull()
  })

  test('grows by what adjoins it, and a later one apart takes its place', () => {
    const before = provenAfter(null, result(0, 100, [], 2), far, 1)
    expect(provenAfter(before, result(50, 200), far, 2)).toMatchObject({ from: at(0), to: at(200), lateTotal: 2 })
    expect(provenAfter(before, result(100, 200, [], 1), far, 2)).toMatchObject({ from: at(0), lateTotal: 3 })
    expect(provenAfter(before, result(150, 200), far, 2)).toMatchObject({ from: at(150), to: at(200) })
    expect(provenAfter(before, result(-90, -10), far, 2)).toMatchObject({ from: at(0), to: at(100), sweptAt: 2 })
  })

  test('never claims an instant that no sweep covered without a gap', () => {
    const part = fc.record({ from: fc.nat(60), width: fc.integer({ min: 1, max: 30 }), gap: fc.option(fc.nat(29)) })
    fc.assert(
      fc.property(fc.array(part, { minLength: 1, maxLength: 12 }), parts => {
        const covers = new Set<number>()
        let proven: Sweep | null = null
        for (const { from, width, gap } of parts) {
          const gaps = gap === null || gap >= width ? [] : [from + gap]
          const end = gaps[0] ?? from + width
          for (let minute = from; minute < end; minute++) covers.add(minute)
          proven = provenAfter(proven, result(from, from + width, gaps), far, 1)
        }
        if (proven === null) return
        for (let minute = 0; minute < 100; minute++) {
          if (at(minute) >= proven.from && at(minute) < proven.to) expect(covers).toContain(minute)
        }
      }),
    )
  })

  test('slices of one sweep add up', () => {
    expect(joined(result(0, 10, [3], 1), result(10, 20, [], 2))).toMatchObject({
      window: { from: at(0), to: at(20) },
      listed: 2,
      late: 3,
      gaps: [{ reason: 'HTTP 500' }],
    })
  })
})

test('every tenant is swept once a day at a time of its own, and a new one waits for its time', () => {
  const everyMs = 24 * 3_600_000
  const limits = { everyMs, windowMs: everyMs }
  const hours = new Map<number, number>()
  for (let n = 0; n < 200; n++) {
    const tenant = {
      tenantId: `${String(n).padStart(8, '0')}${TENANT.slice(8)}`,
      changedAt: 10 * everyMs - 1,
    } as Tenant
    let sweptAt = 0
    const sweeps: number[] = []
    for (let nowMs = 10 * everyMs; nowMs < 14 * everyMs; nowMs += 600_000) {
      const receipt = sweptAt === 0 ? null : ({ sweptAt } as Sweep)
      if (!isSweepDue(tenant, receipt, nowMs, limits)) continue
      sweptAt = nowMs
      sweeps.push(nowMs)
    }
    expect([3, 4]).toContain(sweeps.length) // three when its time is the last ten minutes of the day
    for (const [index, nowMs] of sweeps.entries()) expect(nowMs).toBe((sweeps[0] ?? 0) + index * everyMs)
    const hour = Math.floor(((sweeps[0] ?? 0) % everyMs) / 3_600_000)
    hours.set(hour, (hours.get(hour) ?? 0) + 1)
  }
  // spread: no hour of the day has a quarter of them
  expect(Math.max(...hours.values())).toBeLessThan(50)
})
