import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { findingOf } from '../../consumers/ocsf/finding.ts'
import { parseExactly } from '../../consumers/ocsf/members.ts'
import { alertMembers } from '../../sandbox/graph/alerts.ts'
import { hostileId, renderHostile } from '../../sandbox/graph/hostile.ts'
import { legacyMembers } from '../../sandbox/graph/legacy.ts'
import { KNOWN, problems, sent, sentOf } from './ocsf-kit.ts'

const OTHER_TIME = '2026-11-23T10:00:00Z'
const evidence = (type: string, members: object) => ({
  '@odata.type': `#microsoft.graph.security.${type}Evidence`,
  ...members,
})
const only = (type: string, members: object) => sentOf({ evidence: [evidence(type, members)] })['evidences']?.[0]

describe('the validator', () => {
  const good = () => sentOf({ id: 'da1', evidence: [evidence('url', { url: 'https://a.example/' })] })
  test.each<[string, object]>([
    ['/severity_id', { severity_id: 7 }],
    ['/time', { time: '2026' }],
    ['/assignee', { assignee: { name: 'x' } }],
    ['/raw_data_hash', { raw_data_hash: { algorithm_id: 3, value: 'no hex' } }],
    ['/evidences', { evidences: [{ name: 'x' }] }],
    ['/finding_info', { finding_info: {} }],
    ['/orbit', { orbit: 1 }],
  ])('refuses a wrong %s', (_path, change) => {
    expect(problems(good())).toEqual([])
    expect(problems(Object.assign(good(), change))).not.toEqual([])
  })
})

describe('what happened', () => {
  test.each([
    ['nothing changed since it was made', { createdDateTime: KNOWN.version, status: 'new' }, 1, true],
    ['it was changed', { createdDateTime: OTHER_TIME, status: 'inProgress' }, 2, false],
    ['it was resolved', { createdDateTime: OTHER_TIME, status: 'resolved' }, 3, false],
    ['it was resolved when it was made', { createdDateTime: KNOWN.version, status: 'Resolved' }, 3, false],
    ['the status is news to us', { createdDateTime: OTHER_TIME, status: 'reopenedByCopilot' }, 2, false],
  ])('%s', (_words, alert, activity, isAlert) => {
    const finding = sentOf(alert)
    expect(finding).toMatchObject({ activity_id: activity, type_uid: 200_400 + activity, is_alert: isAlert })
    expect(problems(finding)).toEqual([])
  })

  test.each([
    ['unknown', 0, 'Unknown'],
    ['informational', 1, 'Informational'],
    ['LOW', 2, 'Low'],
    ['medium', 3, 'Medium'],
    ['high', 4, 'High'],
    ['catastrophic', 99, 'catastrophic'],
  ])('severity %s is %i', (severity, id, words) => {
    expect(sentOf({ severity })).toMatchObject({ severity_id: id, severity: words })
  })

  test.each([
    ['truePositive', 2],
    ['falsePositive', 1],
    ['informationalExpectedActivity', 5],
    ['benignPositive', 5],
    ['somethingNew', 99],
  ])('classification %s is verdict %i, of the incident profile', (classification, id) => {
    const finding = sentOf({ classification })
    expect(finding).toMatchObject({ verdict_id: id, metadata: { profiles: ['incident'] } })
    expect(problems(finding)).toEqual([])
  })

  test('an alert that tells nothing is a finding all the same', () => {
    const finding = sentOf({})
    expect(problems(finding)).toEqual([])
    expect(finding).toMatchObject({
      severity_id: 0,
      finding_info: { uid: KNOWN.alertId },
      metadata: { version: '1.6.0', uid: KNOWN.id, tenant_uid: KNOWN.tenantId },
      raw_data_size: 2,
    })
  })

  test('the hash and the size are those of Graph’s bytes', () => {
    expect(findingOf({}, KNOWN)).toMatchObject({ raw_data_hash: { value: KNOWN.sha256 }, raw_data_size: KNOWN.bytes })
  })

  test('techniques carry their parents and the tactic; what is none stays', () => {
    const finding = sentOf({ category: 'Execution', mitreTechniques: ['T1059.001', 'T1486', 'AML.T0051', 7] })
    const tactic = { uid: 'TA0002', name: 'Execution' }
    expect(finding['finding_info']?.['attacks']).toEqual([
      { tactic, technique: { uid: 'T1059' }, sub_technique: { uid: 'T1059.001' } },
      { tactic, technique: { uid: 'T1486' } },
    ])
    expect(finding['unmapped']).toEqual({ graph: { mitreTechniques: ['AML.T0051', 7] } })
  })
})

describe('evidence', () => {
  test.each<[string, object, object]>([
    ['user', { userAccount: { accountName: 'ann', userSid: 'S-1' } }, { user: { name: 'ann', uid_alt: 'S-1' } }],
    ['file', { fileDetails: { fileName: 'a', filePath: '/b/' } }, { file: { name: 'a', path: '/b/a' } }],
    ['process', { processId: 4, processCommandLine: 'x' }, { process: { pid: 4, cmd_line: 'x' } }],
    ['ip', { ipAddress: '::1', roles: ['source'] }, { src_endpoint: { ip: '::1' } }],
    ['ip', { ipAddress: '10.0.0.1', roles: ['commandAndControl'] }, { dst_endpoint: { ip: '10.0.0.1' } }],
    ['url', { url: 'https://a.example/x' }, { url: { url_string: 'https://a.example/x', hostname: 'a.example' } }],
    ['dns', { domainName: 'a.example' }, { query: { hostname: 'a.example' } }],
    ['mailbox', { primaryAddress: 'a@b.example' }, { user: { name: 'a@b.example', email_addr: 'a@b.example' } }],
    ['submissionMail', { sender: 'a@b.example', subject: 's' }, { email: { from: 'a@b.example', subject: 's' } }],
    ['registryKey', { registryHive: 'HKCU', registryKey: 'Run' }, { reg_key: { path: 'HKCU\\Run' } }],
    [
      'registryValue',
      { registryKey: 'Run', registryValueName: 'x', registryValueType: 'Dword', registryValue: '1' },
      { reg_value: { path: 'Run', name: 'x', type_id: 2, reg_string_data: '1' } },
    ],
    [
      'networkConnection',
      {
        sourceAddress: { ipAddress: '10.0.0.1' },
        sourcePort: 1,
        destinationAddress: { ipAddress: '10.0.0.2' },
        protocol: 'Tcp',
      },
      {
        src_endpoint: { ip: '10.0.0.1', port: 1 },
        dst_endpoint: { ip: '10.0.0.2' },
        connection_info: { protocol_name: 'tcp' },
      },
    ],
    ['container', { containerId: 'c', image: { imageId: 'i' } }, { container: { uid: 'c', image: { uid: 'i' } } }],
    [
      'hostLogonSession',
      { sessionId: '7', account: { accountName: 'ann' } },
      { actor: { session: { uid: '7' } }, user: { name: 'ann' } },
    ],
    ['ioTDevice', { deviceId: 'd', deviceName: 'n' }, { device: { uid: 'd', name: 'n', type_id: 7 } }],
    ['azureResource', { resourceId: '/s', resourceType: 'VM' }, { resources: [{ uid: '/s', type: 'VM' }] }],
    ['cloudApplication', { appId: 5, displayName: 'n' }, { resources: [{ uid: '5', name: 'n' }] }],
    ['blob', { name: 'b', url: 'https://s.example/b' }, { resources: [{ name: 'b', uid: 'https://s.example/b' }] }],
    [
      'kubernetesPod',
      { name: 'p', namespace: { name: 'n' }, podIp: { ipAddress: '10.0.0.1' } },
      { resources: [{ name: 'p', namespace: 'n', ip: '10.0.0.1' }] },
    ],
  ])('%s has its attributes, and the rest as data', (type, members, expected) => {
    const found = only(type, { ...members, verdict: 'malicious', remediationStatus: 'blocked', future: [1] })
    expect(found).toMatchObject({ ...expected, verdict_id: 2, data: { remediationStatus: 'blocked', future: [1] } })
    expect(found?.['name']).toBe(`#microsoft.graph.security.${type}Evidence`)
    expect(problems(sentOf({ evidence: [evidence(type, members)] }))).toEqual([])
  })

  test('of a type that nobody knows, or of none, is carried whole', () => {
    const whole = [evidence('satellite', { orbit: { km: 550.25 }, verdict: null }), { a: 1 }]
    const finding = sentOf({ evidence: whole })
    expect(finding['evidences']?.map(one => one['data'])).toEqual(whole)
    expect(problems(finding)).toEqual([])
  })

  test('that lacks what OCSF needs, or has it in a wrong type, is carried whole', () => {
    const whole = [evidence('process', { processId: 'four' }), evidence('file', { fileDetails: { fileName: 7 } })]
    expect(sentOf({ evidence: whole })['evidences']?.map(one => one['data'])).toEqual(whole)
  })

  test('that is no object stays where it was', () => {
    expect(sentOf({ evidence: ['x', { a: 1 }, 7] })['unmapped']).toEqual({ graph: { evidence: ['x', 7] } })
    expect(sentOf({ evidence: 'none' })['unmapped']).toEqual({ graph: { evidence: 'none' } })
  })

  test('past 256 goes along unread, and is told; observables are cut and told', () => {
    const many = Array.from({ length: 300 }, (_, at) => evidence('url', { url: `https://h${at}.example/` }))
    const finding = sentOf({ evidence: many })
    expect(finding['evidences']).toHaveLength(256)
    expect(finding['observables']).toHaveLength(256)
    expect(finding['unmapped']).toEqual({
      cut: { observables: 256, evidences: 44 },
      graph: { evidence: many.slice(256) },
    })
    expect(problems(finding)).toEqual([])
  })

  test('a value too long to search for is no observable', () => {
    const finding = sentOf({ evidence: [evidence('url', { url: `https://a.example/${'x'.repeat(2_000)}` })] })
    expect(finding['observables']?.map(one => one['value'])).toEqual(['a.example'])
    expect(finding['unmapped']).toEqual({ cut: { observables: 1 } })
  })
})

describe('what attackers write', () => {
  test('numbers that no double holds go on as they were written', () => {
    const text =
      '{"exact":9007199254740993,"huge":1e400,"tiny":0.1000000000000000055511151231257827,"list":[1.5,12345678901234567890]}'
    const bytes = JSON.stringify(findingOf(parseExactly(text), KNOWN))
    expect(bytes).toContain(`"graph":${text}`)
  })

  test('a number that no double holds is not taken for an id or a size', () => {
    const text =
      '{"evidence":[{"@odata.type":"#microsoft.graph.security.processEvidence","processId":9007199254740993}]}'
    expect(JSON.stringify(findingOf(parseExactly(text), KNOWN))).toContain('"processId":9007199254740993')
    expect(problems(sent(text))).toEqual([])
  })

  test('names of prototypes are names', () => {
    const text =
      '{"__proto__":{"polluted":true},"constructor":1,"severity":"__proto__","category":"constructor","evidence":[{"__proto__":{"x":1}}]}'
    const finding = sent(text)
    expect(JSON.stringify(finding)).toContain('"__proto__":{"polluted":true}')
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined()
    expect(finding['severity_id']).toBe(99)
    expect(problems(finding)).toEqual([])
  })

  test('the last of two members of a name counts', () => {
    expect(sent('{"title":"first","title":"last"}')['finding_info']?.['title']).toBe('last')
  })

  test('another id or tenant than the record’s is not believed and not thrown away', () => {
    const finding = sentOf({ id: 'forged', tenantId: 'forged' })
    expect(finding).toMatchObject({ finding_info: { uid: KNOWN.alertId }, metadata: { tenant_uid: KNOWN.tenantId } })
    expect(finding['unmapped']).toEqual({ graph: { id: 'forged', tenantId: 'forged' } })
  })

  test('Graph’s members are never taken for notes of ours', () => {
    expect(sentOf({ cut: { evidences: 9 } })['unmapped']).toEqual({ graph: { cut: { evidences: 9 } } })
  })

  test.each(Array.from({ length: 40 }, (_, seed) => seed))('hostile alert %i is a valid finding', seed => {
    const alertId = hostileId('da1', seed)
    const members = alertMembers({
      seed,
      tenantId: KNOWN.tenantId,
      alertId,
      revision: 1 + (seed % 3),
      createdText: OTHER_TIME,
      updatedText: KNOWN.version,
    })
    expect(problems(sent(renderHostile(members, seed), { alertId }))).toEqual([])
  })
})

describe('any JSON in any place', () => {
  const recipe = { tenantId: KNOWN.tenantId, alertId: 'da1', createdText: OTHER_TIME, updatedText: KNOWN.version }
  const junk = fc.oneof(
    fc.jsonValue(),
    fc.ipV4(),
    fc.ipV6(),
    fc.webUrl(),
    fc.emailAddress(),
    fc.constantFrom('', -1, 1.5),
  )

  /** With one value exchanged somewhere. */
  function exchanged(value: unknown, steps: readonly number[], by: unknown): unknown {
    const [step, ...more] = steps
    if (typeof value !== 'object' || value === null || step === undefined) return by
    const entries = Object.entries(value)
    if (entries.length === 0) return by
    const at = step % entries.length
    const changed = entries.map(([name, inner], place) => [name, place === at ? exchanged(inner, more, by) : inner])
    return Array.isArray(value) ? changed.map(([, inner]) => inner) : Object.fromEntries(changed)
  }

  test.each([
    ['alerts_v2', (seed: number) => alertMembers({ ...recipe, seed, revision: 1 + (seed % 3) })],
    ['alerts', (seed: number) => legacyMembers({ ...recipe, seed, revision: 1 + (seed % 3) })],
  ])('of %s gives a valid finding', (source, members) => {
    const change = fc.tuple(fc.array(fc.nat(60), { minLength: 1, maxLength: 6 }), junk)
    fc.assert(
      fc.property(fc.nat(500), fc.array(change, { maxLength: 12 }), (seed, changes) => {
        const alert = changes.reduce<unknown>((now, [steps, by]) => exchanged(now, steps, by), members(seed))
        if (typeof alert !== 'object' || alert === null || Array.isArray(alert)) return
        expect(problems(sentOf(alert, { source }))).toEqual([])
      }),
      { numRuns: 400 },
    )
  })

  test('that is no object gives none', () => {
    fc.assert(
      fc.property(fc.jsonValue(), value => {
        const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
        expect(findingOf(value, KNOWN) !== null).toBe(isObject)
      }),
    )
  })

  /** Words that OCSF has numbers for, and times, which become milliseconds. */
  const SAID_OTHERWISE =
    /^(?:resolved|high|medium|low|informational|truePositive|falsePositive|unknown|suspicious|malicious|noThreatsFound|\d{4}-\d\d-\d\dT.*Z)$/

  test('loses no word of an ordinary alert', () => {
    fc.assert(
      fc.property(fc.nat(500), seed => {
        const alert = alertMembers({ ...recipe, seed, revision: 3 })
        const told = textsIn(sentOf(alert)).join('\n')
        const gone = textsIn(alert).filter(text => !told.includes(text) && !SAID_OTHERWISE.test(text))
        expect(gone).toEqual([])
      }),
      { numRuns: 60 },
    )
  })

  function textsIn(value: unknown): readonly string[] {
    if (typeof value === 'string') return [value]
    return typeof value === 'object' && value !== null ? Object.values(value).flatMap(textsIn) : []
  }
})
