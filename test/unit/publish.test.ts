import { hash } from 'node:crypto'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { TransientError } from '../../platform/retry.ts'
import type { SlicedAlert } from '../../producers/graph/slice.ts'
import { slicePage } from '../../producers/graph/slice.ts'
import type { PublishDeps } from '../../producers/publish.ts'
import { judge, publishPage } from '../../producers/publish.ts'
import type { Seen } from '../../producers/seen.ts'
import { createSeen } from '../../producers/seen.ts'
import { handClock } from './engine-kit.ts'
import { fakeRegistry, realCodecs, valueOf } from './fakes/codecs.ts'
import { LANE, TENANT_A, TENANT_B, versionAt } from './fakes/records.ts'

const TIME = '2026-11-23T10:11:12.1234567Z'

/** What a page with this one alert is cut into. */
function sliced(alert: unknown, source: 'alerts_v2' | 'alerts' = 'alerts_v2'): SlicedAlert {
  const page = slicePage(Buffer.from(JSON.stringify({ value: [alert] })), source)
  const [first] = page.kind === 'page' ? page.alerts : []
  if (!first) throw new Error('not a page')
  return first
}

describe('an alert of alerts_v2', () => {
  const whole = { id: 'a1', tenantId: TENANT_A, lastUpdateDateTime: TIME, createdDateTime: '2026-01-01T00:00:00Z' }
  const judged = (alert: unknown) => judge(sliced(alert), TENANT_A, 'alerts_v2')

  test('is a revision: its id, its update time with seven digits, the hash of its bytes', () => {
    expect(judged(whole)).toEqual({
      kind: 'revision',
      alertId: 'a1',
      version: TIME,
      contentHash: hash('sha256', JSON.stringify(whole), 'buffer'),
    })
    expect(judged({ ...whole, lastUpdateDateTime: '2026-11-23T11:11:12.5+01:00' })).toMatchObject({
      version: '2026-11-23T10:11:12.5000000Z',
    })
  })

  test("belongs to the polled tenant when it names none, or names it in other letters' case", () => {
    expect(judged({ ...whole, tenantId: undefined }).kind).toBe('revision')
    expect(judge(sliced({ ...whole, tenantId: 'ABCDEF' }), 'abcdef', 'alerts_v2').kind).toBe('revision')
  })

  test('that names another tenant is set aside as foreign', () => {
    expect(judged({ ...whole, tenantId: TENANT_B })).toMatchObject({
      kind: 'quarantine',
      alertId: 'a1',
      reason: 'foreign-tenant',
      detail: `the alert names tenant ${TENANT_B}`,
    })
    expect(judged({ ...whole, tenantId: '' })).toMatchObject({ reason: 'foreign-tenant' })
  })

  test.each([
    ['no id', { ...whole, id: undefined }, 'no-id'],
    ['an empty id', { ...whole, id: '' }, 'no-id'],
    ['an id that is no text', { ...whole, id: 7 }, 'no-id'],
    ['half a surrogate pair for an id', { ...whole, id: '\ud800' }, 'no-id'],
    ['no update time', { ...whole, lastUpdateDateTime: undefined }, 'no-version'],
    ['an update time that is none', { ...whole, lastUpdateDateTime: 'yesterday' }, 'no-version'],
    ['the times of the other list only', { id: 'a1', lastModifiedDateTime: TIME }, 'no-version'],
    ['no members at all, being a number', 7, 'hostile'],
    ['more nesting than any alert has', { ...whole, deep: nested(80) }, 'hostile'],
  ])('with %s is set aside', (_, alert, reason) => {
    expect(judged(alert)).toMatchObject({ kind: 'quarantine', reason })
  })
})

test('an alert of the legacy list goes by its last change, else by its creation, else it is set aside', () => {
  const judged = (alert: object) => judge(sliced({ id: 'a1', ...alert }, 'alerts'), TENANT_A, 'alerts')
  const created = { createdDateTime: '2026-11-23T08:00:00Z' }
  expect(judged({ ...created, lastModifiedDateTime: TIME })).toMatchObject({ version: TIME })
  expect(judged(created)).toMatchObject({ kind: 'revision', version: '2026-11-23T08:00:00.0000000Z' })
  expect(judged({ lastUpdateDateTime: TIME })).toMatchObject({ kind: 'quarantine', reason: 'no-version' })
  expect(judged({ ...created, azureTenantId: TENANT_B })).toMatchObject({ reason: 'foreign-tenant' })
})

function nested(depth: number): unknown {
  return depth === 0 ? 1 : [nested(depth - 1)]
}

/** A log that takes what it is given, until it is told to fail. */
function logOf(seen: Seen = createSeen()) {
  const codecs = realCodecs(fakeRegistry(), handClock())
  const appends: { topic: string; lane: number; keys: string[]; values: Buffer[]; bytes: number }[] = []
  const log = { failAt: Infinity }
  const deps: PublishDeps = {
    codecs,
    topics: { alerts: 'alerts', parked: 'parked' },
    publisher: {
      append(topic, lane, records) {
        if (appends.length >= log.failAt) return Promise.reject(new TransientError('no'))
        const values = records.flatMap(({ value }) => (value === null ? [] : [value]))
        const keys = records.map(({ key }) => key)
        appends.push({ topic, lane, keys, values, bytes: values.reduce((sum, { length }) => sum + length, 0) })
        return Promise.resolve(0)
      },
    },
  }
  const publish = (alerts: readonly unknown[]) => {
    const scope = { tenantId: TENANT_A, source: 'alerts_v2', lane: LANE, origin: 'poll' as const, seen, nowMs: 1_000 }
    return publishPage(
      alerts.map(alert => sliced(alert)),
      scope,
      deps,
    )
  }
  const valuesOf = (topic: string) => appends.filter(each => each.topic === topic).flatMap(({ values }) => values)
  return {
    log,
    publish,
    appends,
    alerts: () => valuesOf('alerts').map(value => valueOf(codecs.alerts, value)),
    parked: () => valuesOf('parked').map(value => valueOf(codecs.parked, value)),
  }
}

const row = fc
  .record({ id: fc.constantFrom('a', 'b', 'c'), version: fc.nat({ max: 9 }), text: fc.constantFrom('x', 'y') })
  .map(({ id, version, text }) => ({ id, lastUpdateDateTime: versionAt(version), title: text }))
const pages = fc.array(fc.array(row, { maxLength: 12 }), { maxLength: 4 })

describe('a page', () => {
  test('puts each revision on the log that it does not have, oldest first, and says how many', async () => {
    await fc.assert(
      fc.asyncProperty(pages, async all => {
        const { publish, alerts } = logOf()
        const before = new Set<string>()
        for (const page of all) {
          const count = alerts().length
          const fresh = page.map(alert => JSON.stringify(alert)).filter(text => !before.has(text))
          expect(await publish(page)).toEqual({ listed: page.length, published: fresh.length, quarantined: 0 })
          const put = alerts().slice(count)
          expect(put.map(({ alert }) => alert.toString()).toSorted()).toEqual(fresh.toSorted())
          expect(put.map(({ version }) => version)).toEqual(put.map(({ version }) => version).toSorted())
          for (const text of fresh) before.add(text)
        }
      }),
    )
  })

  test('carries the bytes as they stood, in the lane of the tenant, under tenant and alert', async () => {
    const { publish, appends, alerts } = logOf()
    const alert = { id: 'a/1 ', lastUpdateDateTime: TIME, big: 1e21, severity: 'high' }
    await publish([alert])
    expect(appends).toMatchObject([{ topic: 'alerts', lane: LANE, keys: [`${TENANT_A}/a/1 `] }])
    expect(alerts()).toMatchObject([
      { tenantId: TENANT_A, alertId: 'a/1 ', version: TIME, origin: 'poll', severity: 'high' },
    ])
    expect(alerts()[0]?.alert.toString()).toBe(JSON.stringify(alert))
  })

  test('parks what is set aside, verbatim and once', async () => {
    const { publish, appends, parked } = logOf()
    const foreign = { id: 'a1', tenantId: TENANT_B, lastUpdateDateTime: TIME }
    expect(await publish([foreign, { id: 'a2' }])).toEqual({ listed: 2, published: 0, quarantined: 2 })
    expect(await publish([foreign])).toEqual({ listed: 1, published: 0, quarantined: 0 })
    expect(appends.map(({ topic }) => topic)).toEqual(['parked'])
    expect(parked().map(({ reason, tenantId, offset }) => [reason, tenantId, offset])).toEqual([
      ['foreign-tenant', TENANT_A, -1],
      ['no-version', TENANT_A, -1],
    ])
    expect(parked()[0]?.record.toString()).toBe(JSON.stringify(foreign))
  })

  test('that Kafka did not take is put on the log when it comes again: what was not acked is not known', async () => {
    await fc.assert(
      fc.asyncProperty(pages, fc.nat({ max: 4 }), async (all, failAt) => {
        const { log, publish, alerts } = logOf()
        log.failAt = failAt
        for (const page of all)
          await publish(page).catch((error: unknown) => expect(error).toBeInstanceOf(TransientError))
        log.failAt = Infinity
        for (const page of all) await publish(page)
        const onLog = new Set(alerts().map(({ alert }) => alert.toString()))
        expect(all.flat().filter(alert => !onLog.has(JSON.stringify(alert)))).toEqual([])
      }),
    )
  })

  test('without forgetting what failed the loss is seen', async () => {
    const seen = createSeen()
    const hasty: Seen = {
      ...seen,
      size: 0,
      has(...revision) {
        const isKnown = seen.has(...revision)
        seen.note(...revision) // before the ack
        return isKnown
      },
    }
    const { log, publish, alerts } = logOf(hasty)
    log.failAt = 0
    await publish([{ id: 'a', lastUpdateDateTime: TIME }]).catch(() => {})
    log.failAt = Infinity
    await publish([{ id: 'a', lastUpdateDateTime: TIME }])
    expect(alerts()).toEqual([])
  })

  test('goes in batches that a broker takes: a thousand records or a mebibyte, one large record alone', async () => {
    const { publish, appends } = logOf()
    const small = Array.from({ length: 2_500 }, (_, n) => ({ id: `a${n}`, lastUpdateDateTime: versionAt(n) }))
    await publish(small)
    expect(appends.map(({ values }) => values.length)).toEqual([1_000, 1_000, 500])
    const large = [0.6, 0.6, 1.5, 0.1].map((mebibytes, n) => ({
      id: `l${n}`,
      lastUpdateDateTime: versionAt(n),
      text: 'x'.repeat(mebibytes * 1024 * 1024),
    }))
    await publish(large)
    expect(appends.slice(3).map(({ values }) => values.length)).toEqual([1, 1, 1, 1])
    expect(appends.filter(({ values, bytes }) => values.length > 1 && bytes > 1024 * 1024)).toEqual([])
  })
})
