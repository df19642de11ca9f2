import { expect, test } from 'vitest'
import { alertName } from '../../consumers/alert-name.ts'
import { Ledger } from '../../consumers/ledger.ts'
import { retryParkedOf } from '../../consumers/returning.ts'
import { packVersion } from '../../consumers/version.ts'
import { systemClock } from '../../platform/clock.ts'
import type { GraphAlert } from '../../schemas/types.ts'
import { fakeRegistry, realCodecs, valueOf } from './fakes/codecs.ts'
import { fakeBroker } from './fakes/publisher.ts'
import type { AlertSpec } from './fakes/records.ts'
import { alertOf, LANE, TENANT_A, TENANT_B } from './fakes/records.ts'

const codecs = realCodecs(fakeRegistry(), systemClock)
const topics = { alerts: 'alerts', parked: 'parked' }

function ground() {
  const broker = fakeBroker(() => 1_764_000_000_000)
  const ledger = new Ledger()
  const publisher = broker.publisher()
  return {
    ledger,
    async park(spec: AlertSpec, reason: string, attempts = 1): Promise<void> {
      const alert = alertOf(spec)
      const { tenantId, alertId, version, source } = alert
      const value = codecs.parked.encode({
        tenantId,
        alertId,
        version,
        reason,
        detail: '',
        parkedAt: 0,
        attempts,
        topic: 'alerts',
        lane: LANE,
        offset: 0,
        source,
        format: 'graph-alert',
        record: codecs.alerts.encode(alert),
      })
      await publisher.append('parked', LANE, [{ key: `${tenantId}/${alertId}`, value }])
    },
    discard: (key: string) => publisher.append('parked', LANE, [{ key, value: null }]),
    retry: (...tenantIds: string[]) =>
      retryParkedOf(new Set(tenantIds), {
        lane: LANE,
        ledger,
        reader: async () => broker.reader(),
        publisher,
        topics,
        codecs,
      }),
    sent: (): GraphAlert[] => broker.records('alerts').map(({ value }) => valueOf(codecs.alerts, value)),
  }
}

test('what was parked for want of its tenant goes again, and only that', async () => {
  const { park, retry, sent } = ground()
  await park({ alertId: 'a' }, 'unknown-tenant')
  await park({ alertId: 'b' }, 'off-boarded', 2)
  await park({ alertId: 'c' }, 'rejected')
  await park({ alertId: 'd', tenantId: TENANT_B }, 'unknown-tenant')
  expect(await retry(TENANT_A)).toBe(2)
  expect(sent().map(({ alertId, origin, attempts }) => [alertId, origin, attempts])).toEqual([
    ['a', 'retry', 1],
    ['b', 'retry', 2],
  ])
})

test('a revision goes once, however often it was parked; one that was tried too often does not', async () => {
  const { park, retry, sent } = ground()
  await park({ alertId: 'a', version: 1 }, 'unknown-tenant')
  await park({ alertId: 'a', version: 1 }, 'unknown-tenant')
  await park({ alertId: 'a', version: 2 }, 'unknown-tenant')
  await park({ alertId: 'tired' }, 'unknown-tenant', 5)
  expect(await retry(TENANT_A)).toBe(2)
  expect(sent().map(({ alertId, version }) => [alertId, version.slice(-2)])).toEqual([
    ['a', '1Z'],
    ['a', '2Z'],
  ])
})

test('what was delivered since, or discarded, stays where it is', async () => {
  const { park, retry, discard, ledger, sent } = ground()
  await park({ alertId: 'delivered' }, 'unknown-tenant')
  await park({ alertId: 'gone' }, 'off-boarded')
  await discard(`${TENANT_A}/gone`)
  await park({ alertId: 'parked-again' }, 'off-boarded')
  await discard(`${TENANT_A}/parked-again`)
  await park({ alertId: 'parked-again', version: 2 }, 'off-boarded')
  const { version, contentHash } = alertOf({ alertId: 'delivered' })
  const mark = { version: packVersion(version) ?? { hi: 0, lo: 0 }, contentHash, offset: 7, atMs: 1_764_000_000_000 }
  ledger.markDelivered(alertName(TENANT_A, 'delivered'), mark)
  expect(await retry(TENANT_A)).toBe(1)
  expect(sent().map(({ alertId, version }) => [alertId, version.slice(-2)])).toEqual([['parked-again', '2Z']])
})
