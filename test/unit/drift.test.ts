import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createDriftWatch, type Drift, driftIn } from '../../producers/drift.ts'
import { alertMembers } from '../../sandbox/graph/alerts.ts'
import { recordingLog } from './fakes/log.ts'

const KNOWN = {
  id: 'a',
  status: 'new',
  severity: 'High',
  evidence: [{ '@odata.type': '#microsoft.graph.security.userEvidence', verdict: 'malicious', roles: ['attacked'] }],
}
const names = (alert: unknown) => driftIn(alert).map(({ what, name }) => `${what} ${name}`)

describe('drift', () => {
  test('is not found in what the documentation has', () => {
    expect(names(KNOWN)).toEqual([])
    const createdText = '2026-11-23T10:00:00.0000000Z'
    const recipe = { tenantId: 't', alertId: 'da1', createdText, updatedText: createdText }
    const found = Array.from({ length: 200 }, (_, seed) =>
      names(alertMembers({ ...recipe, seed, revision: 1 + (seed % 3) })),
    )
    expect(found.flat()).toEqual([])
  })

  test.each<[string, object, string]>([
    ['a new member', { ...KNOWN, riskNarrative: 'x' }, 'member riskNarrative'],
    ['a new value', { ...KNOWN, severity: 'catastrophic' }, 'value severity=catastrophic'],
    [
      'a value that Graph hides',
      { ...KNOWN, serviceSource: 'unknownFutureValue' },
      'value serviceSource=unknownFutureValue',
    ],
    [
      'a new kind of evidence',
      { evidence: [{ '@odata.type': '#microsoft.graph.security.quantumEvidence' }] },
      'evidence #microsoft.graph.security.quantumEvidence',
    ],
    ['a new role', { evidence: [{ roles: ['bystander'] }] }, 'value evidence.roles=bystander'],
    [
      'a masked text',
      { evidence: [{ userAccount: { accountName: '*****' } }] },
      'masked evidence[].userAccount.accountName',
    ],
  ])('%s is found', (_, alert, expected) => {
    expect(names(alert)).toEqual([expected])
  })

  test('of any JSON is a bounded list, never a throw', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), fc.string(), (value, key) => {
        const all = [...driftIn(value), ...driftIn({ [key]: value, evidence: value, severity: value })]
        expect(all.length).toBeLessThanOrEqual(1_000)
        for (const { name } of all) expect(name.length).toBeLessThanOrEqual(120)
      }),
    )
    const wide = Object.fromEntries(Array.from({ length: 100_000 }, (_, n) => [`m${n}`, '***']))
    expect(driftIn(wide).length).toBeLessThanOrEqual(500)
  })
})

describe('the watch', () => {
  test('counts every time, says each name once and quotes it, and looks at a sample only', () => {
    const log = recordingLog()
    const counted: Drift['what'][] = []
    let nowMs = 5_000
    const clock = { now: () => nowMs, sleep: () => Promise.resolve() }
    const watch = createDriftWatch({ clock, log, count: what => counted.push(what) })
    const alert = Buffer.from(JSON.stringify({ ...KNOWN, 'evil\u001b[31m\n{"level":60}': 1 }))
    for (let n = 0; n < 100; n++) watch.look(alert, 'global')
    expect(counted).toHaveLength(20)
    expect(log.lines).toHaveLength(1)
    expect(Object.values(log.lines[0]?.fields ?? {}).join()).not.toMatch(/\p{Cc}/u)
    nowMs += 1_000
    watch.look(alert, 'global')
    watch.look(Buffer.from('{'), 'global')
    expect(counted).toHaveLength(21)
    expect(log.lines).toHaveLength(1)
  })
})
