import { expect, test } from 'vitest'
import { openKnown } from '../../producers/known.ts'
import type { Delivery, GraphAlert, LedgerMark, Parked } from '../../schemas/types.ts'
import { handClock } from './engine-kit.ts'
import { fakeRegistry, realCodecs } from './fakes/codecs.ts'
import { fakeBroker } from './fakes/publisher.ts'
import type { AlertSpec } from './fakes/records.ts'
import { alertOf, LANE, TENANT_A, versionAt } from './fakes/records.ts'

const topics = { alerts: 'alerts', deliveries: 'deliveries', parked: 'parked' } as const

function open() {
  const clock = handClock()
  const codecs = realCodecs(fakeRegistry(), clock)
  const broker = fakeBroker(clock.now)
  const publisher = broker.publisher()
  const mark = (version: number): LedgerMark => ({
    version: versionAt(version),
    contentHash: alertOf({ version }).contentHash.subarray(0, 8),
    offset: 0,
    at: 0,
  })
  const append = async (topic: string, alertId: string, value: Buffer) =>
    void (await publisher.append(topic, LANE, [{ key: `${TENANT_A}/${alertId}`, value }]))
  return {
    onLog: (spec: AlertSpec) => {
      const alert: GraphAlert = alertOf(spec)
      return append(topics.alerts, alert.alertId, codecs.alerts.encode(alert))
    },
    ledger: (alertId: string, marks: { readonly delivered?: number; readonly parked?: number }) => {
      const delivery: Delivery = {
        tenantId: TENANT_A,
        alertId,
        delivered: marks.delivered === undefined ? null : mark(marks.delivered),
        parked: marks.parked === undefined ? null : mark(marks.parked),
        totals: null,
      }
      return append(topics.deliveries, alertId, codecs.deliveries.encode(delivery))
    },
    parked: (alertId: string, version: number) => {
      const parked: Parked = {
        tenantId: TENANT_A,
        alertId,
        version: versionAt(version),
        reason: 'rejected',
        detail: '',
        parkedAt: 0,
        attempts: 1,
        topic: topics.alerts,
        lane: LANE,
        offset: 0,
        source: 'alerts_v2',
        format: 'graph-alert',
        record: Buffer.alloc(0),
      }
      return append(topics.parked, alertId, codecs.parked.encode(parked))
    },
    async known() {
      const reader = broker.reader()
      const known = await openKnown(TENANT_A, LANE, { reader, topics, codecs, settledUpTo: async () => 0 })
      await known.refresh()
      return (alertId: string, version: number) => known.has(alertId, versionAt(version))
    },
  }
}

test('known is what was delivered, what lies in parked, and what is on its way', async () => {
  const it = open()
  await it.ledger('delivered', { delivered: 5 })
  await it.ledger('parked', { parked: 5 })
  await it.parked('parked', 5)
  await it.onLog({ alertId: 'waiting', version: 5 })
  const has = await it.known()
  for (const alertId of ['delivered', 'parked', 'waiting']) {
    expect([has(alertId, 4), has(alertId, 5), has(alertId, 6)]).toEqual([true, true, false])
  }
  expect(has('never', 1)).toBe(false)
})

test('what the ledger says is parked and lies nowhere is missing, also while a poll lists it again', async () => {
  const it = open()
  await it.ledger('gone', { parked: 5 })
  expect((await it.known())('gone', 5)).toBe(false)
  // the forwarder will drop this one: it takes the alert for parked
  await it.onLog({ alertId: 'gone', version: 5 })
  expect((await it.known())('gone', 5)).toBe(false)
  await it.onLog({ alertId: 'gone', version: 5, origin: 'sweep' })
  expect((await it.known())('gone', 5)).toBe(true)
})

test('a newer revision of a parked alert is on its way like any other', async () => {
  const it = open()
  await it.ledger('gone', { parked: 5 })
  await it.onLog({ alertId: 'gone', version: 6 })
  expect((await it.known())('gone', 6)).toBe(true)
})
