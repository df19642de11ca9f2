import { describe, expect, test } from 'vitest'
import { daysLeft, stateOf } from '../../cli/state.ts'
import { checkpointAfter } from '../../producers/checkpoint.ts'
import type { Checkpoint } from '../../schemas/types.ts'
import { TENANT_A, tenantOf } from './fakes/records.ts'

const NOW_MS = Date.parse('2026-11-23T10:00:00Z')
const MINUTE_MS = 60_000
const DAY_MS = 86_400_000

function polled(change: Partial<Checkpoint> = {}): Checkpoint {
  const progress = { watermark: '2026-11-23T09:59:00.0000000Z', backfill: null, gaps: [] }
  const turn = {
    tenantId: TENANT_A,
    source: 'alerts_v2',
    end: { kind: 'ok', more: false },
    progress,
    nextTryMs: 0,
  } as const
  const tally = { listed: 3, published: 3, quarantined: 0 }
  return { ...checkpointAfter(undefined, turn, tally, NOW_MS - MINUTE_MS), ...change }
}

const tenantSince = (ms: number) => tenantOf(TENANT_A, { changedAt: NOW_MS - ms })

describe('the state of a tenant', () => {
  test('is stale, never ok, when nobody polled it lately', () => {
    const longAgo = polled({ polledAt: NOW_MS - 10 * MINUTE_MS })
    expect(stateOf(tenantSince(DAY_MS), longAgo, NOW_MS)).toMatchObject({ state: 'stale' })
    expect(stateOf(tenantSince(DAY_MS), undefined, NOW_MS)).toMatchObject({ state: 'stale' })
    expect(stateOf(tenantSince(MINUTE_MS), undefined, NOW_MS)).toMatchObject({ state: 'catching-up' })
  })

  test('of one that works says nothing, unless it never showed an alert in a week', () => {
    const mute = polled({ publishedTotal: 0 })
    const words = { state: 'ok', problem: expect.stringMatching(/never shown an alert.*tenants check/) }
    expect(stateOf(tenantSince(8 * DAY_MS), polled(), NOW_MS)).toEqual({ state: 'ok', problem: null })
    expect(stateOf(tenantSince(6 * DAY_MS), mute, NOW_MS)).toEqual({ state: 'ok', problem: null })
    expect(stateOf(tenantSince(8 * DAY_MS), mute, NOW_MS)).toEqual(words)
  })
})

test('the days of a credential are whole ones, negative when it has ended, and not known without a date', () => {
  const left = (credentialExpires: string | null) => daysLeft(tenantOf(TENANT_A, { credentialExpires }), NOW_MS)
  expect([left('2026-11-24'), left('2026-12-23'), left('2026-11-22'), left(null)]).toEqual([0, 29, -2, null])
  expect(daysLeft(tenantOf(TENANT_A, { credentialExpires: '2026-12-23', state: 'off-boarded' }), NOW_MS)).toBeNull()
})
