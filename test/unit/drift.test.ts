import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createDriftWatch, type Drift, driftIn } from '../../producers/drift.ts'
import { alertMembers } from '../../sandbox/graph/alerts.ts'
import { legacyMembers } from '../../sandbox/graph/legacy.ts'
import { recordingLog } from './fakes/log.ts'

const KNOWN = {
  id: 'a',
  status: 'new',
  severity: 'High',
  evidence: [{ '@odata.type': '#microsoft.graph.security.userEvidence', verdict: 'malicious', roles: ['attacked'] }],
}
const names = (alert: unknown) => driftIn(alert, 'alerts_v2').map(({ what, name }) => `${what} ${name}`)

describe('drift', () => {
  test('is not found in what the documentation has', () => {
    expect(names(KNOWN)).toEqual([])
    const createdText = '2026-11-23T10:00:00.0000000Z'
    const recipe = { tenantId: 't', alertId: 'da1', createdText, updatedText: createdText }
    const found = Array.from({ length: 200 }, (_, seed) =>
      names(alertMembers({ ...recipe, seed, revision: 1 + (seed % 3) })),
    )
    expect(found.flat()).toEqual([])
    const legacy = Array.from({ length: 50 }, (_, seed) => legacyMembers({ ...recipe, seed, revision: 1 + (seed % 3) }))
    expect(legacy.flatMap(alert => driftIn(alert, 'alerts'))).toEqual([])
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

  const device = (members: object) => ({
    evidence: [{ '@odata.type': '#microsoft.graph.security.deviceEvidence', ...members }],
  })

  test.each<[string, object, readonly string[]]>([
    ['a new member', device({ newMember: 1 }), ['member deviceEvidence.newMember']],
    ['a new value', device({ healthStatus: 'zzz' }), ['value deviceEvidence.healthStatus=zzz']],
    [
      'a value that Graph hides',
      device({ verdict: 'unknownFutureValue' }),
      ['value evidence.verdict=unknownFutureValue'],
    ],
    ['a host that is masked in part', device({ hostName: 'h***t' }), ['masked evidence[].hostName']],
    ['a new member of an account', device({ loggedOnUsers: [{ logonCount: 2 }] }), ['member loggedOnUser.logonCount']],
    [
      'a masked account',
      device({ loggedOnUsers: [{ accountName: 'J*** D**' }] }),
      ['masked evidence[].loggedOnUsers[].accountName'],
    ],
    [
      'a new member of evidence within evidence, of a type that only its place tells',
      {
        evidence: [
          {
            '@odata.type': '#microsoft.graph.security.kubernetesPodEvidence',
            namespace: { name: 'shop', cluster: { platform: 'moon', mood: 'x' } },
          },
        ],
      },
      ['value kubernetesClusterEvidence.platform=moon', 'member kubernetesClusterEvidence.mood'],
    ],
    [
      'a new kind within evidence',
      {
        evidence: [
          {
            '@odata.type': '#microsoft.graph.security.kubernetesClusterEvidence',
            cloudResource: { '@odata.type': '#microsoft.graph.security.lunarResourceEvidence', crater: 4 },
          },
        ],
      },
      ['evidence #microsoft.graph.security.lunarResourceEvidence'],
    ],
  ])('%s in evidence is found', (_, alert, expected) => {
    expect(names(alert)).toEqual(expected)
  })

  test('is not what people and attackers write: asterisks in prose, names in open dictionaries', () => {
    expect(
      names({
        title: '*** urgent ***',
        customDetails: { whatever: 'a***b', '\u001b[31m': { deep: 1 } },
        evidence: [
          { '@odata.type': '#microsoft.graph.security.processEvidence', processCommandLine: 'del /q c:\\***' },
          { '@odata.type': '#microsoft.graph.security.kubernetesNamespaceEvidence', labels: { team: 'shop' } },
        ],
      }),
    ).toEqual([])
    expect(names({ customDetails: { a: '***', b: '****', c: ['***'] } })).toEqual([
      'masked customDetails.*',
      'masked customDetails.*[]',
    ])
  })

  test('is found in the legacy list, by that list’s own members and values', () => {
    const legacy = (alert: unknown) => driftIn(alert, 'alerts').map(({ what, name }) => `${what} ${name}`)
    expect(legacy({ eventDateTime: null, status: 'newAlert', feedback: 'benignPositive' })).toEqual([])
    expect(legacy({ status: 'new', lastUpdateDateTime: null })).toEqual([
      'value status=new',
      'member lastUpdateDateTime',
    ])
    expect(legacy({ userStates: [{ emailRole: 'sender', logonType: 'psychic' }] })).toEqual([
      'value userSecurityState.logonType=psychic',
    ])
    expect(legacy({ hostStates: [{ fqdn: '***.contoso.example' }] })).toEqual(['masked hostStates[].fqdn'])
  })

  test('is found in the midst of an alert of a thousand pieces of evidence', () => {
    const much = Array.from({ length: 1_000 }, () => device({ hostName: 'ws' }).evidence[0])
    expect(names({ evidence: [...much, device({ newMember: 1 }).evidence[0], ...much.slice(500)] })).toEqual([
      'member deviceEvidence.newMember',
    ])
  })

  test('of any JSON is a bounded list, never a throw', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), fc.string(), (value, key) => {
        const all = [
          ...driftIn(value, 'alerts_v2'),
          ...driftIn({ [key]: value, evidence: value, severity: value }, 'alerts'),
        ]
        expect(all.length).toBeLessThanOrEqual(1_000)
        for (const { name } of all) expect(name.length).toBeLessThanOrEqual(120)
      }),
    )
    const wide = Object.fromEntries(Array.from({ length: 100_000 }, (_, n) => [`m${n}`, '***']))
    expect(driftIn(wide, 'alerts_v2').length).toBeLessThanOrEqual(500)
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
    for (let n = 0; n < 100; n++) watch.look(alert, 'alerts_v2', 'global')
    expect(counted).toHaveLength(20)
    expect(log.lines).toHaveLength(1)
    expect(Object.values(log.lines[0]?.fields ?? {}).join()).not.toMatch(/\p{Cc}/u)
    nowMs += 1_000
    watch.look(alert, 'alerts_v2', 'global')
    watch.look(Buffer.from('{'), 'alerts_v2', 'global')
    expect(counted).toHaveLength(21)
    expect(log.lines).toHaveLength(1)
  })

  const setUp = () => {
    const log = recordingLog()
    const counted: string[] = []
    const clock = { now: () => 5_000, sleep: () => Promise.resolve() }
    return { log, counted, watch: createDriftWatch({ clock, log, count: (...what) => counted.push(what.join()) }) }
  }
  const saying = (members: object) => Buffer.from(JSON.stringify(members))

  test('counts an alert once for each kind of drift, by source and cloud', () => {
    const { watch, counted } = setUp()
    watch.look(saying({ a: 1, b: 2, severity: 'x' }), 'alerts_v2', 'usgov')
    watch.look(saying({ a: 1 }), 'alerts', 'global')
    expect(counted).toEqual(['member,alerts_v2,usgov', 'value,alerts_v2,usgov', 'member,alerts,global'])
  })

  test('looks at every source and cloud, however loud another one is', () => {
    const { watch, counted } = setUp()
    for (let n = 0; n < 100; n++) watch.look(saying({ a: 1 }), 'alerts_v2', 'global')
    watch.look(saying({ a: 1 }), 'alerts_v2', 'dod')
    expect(counted.filter(what => what.endsWith('dod'))).toHaveLength(1)
  })

  test('spends no more on large alerts than on small ones', () => {
    const { watch, counted } = setUp()
    for (let n = 0; n < 10; n++) watch.look(saying({ a: 'x'.repeat(300_000) }), 'alerts_v2', 'global')
    expect(counted).toHaveLength(3)
  })

  test('says 50 names of a kind and that there are more, and still hears of the other kinds', () => {
    const { watch, log } = setUp()
    watch.look(saying(Object.fromEntries(Array.from({ length: 200 }, (_, n) => [`m${n}`, 1]))), 'alerts_v2', 'global')
    expect(log.lines).toHaveLength(51)
    expect(log.lines.at(-1)?.message).toContain('from now on it is only counted')
    watch.look(saying({ more: 1, severity: 'x' }), 'alerts_v2', 'global')
    expect(log.lines.slice(51).map(({ fields }) => fields)).toEqual([
      { what: 'value', name: expect.stringContaining('severity=x'), source: 'alerts_v2', cloud: 'global' },
    ])
  })
})
