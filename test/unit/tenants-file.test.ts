import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseTenantsFile } from '../../platform/tenants-file.ts'

const A = '11111111-2222-3333-4444-55555555555a'
const B = '11111111-2222-3333-4444-55555555555b'
const tenant = { tenantId: A, clientId: B, name: 'Contoso', credential: { secretFile: 'contoso.txt' } }

function parse(content: string | Uint8Array, exists: (path: string) => boolean = () => true) {
  return parseTenantsFile(content, { secretsDir: '/secrets', exists })
}

/** The problems of a file with this one tenant, changed. */
function problemsWith(change: Readonly<Record<string, unknown>>, exists?: (path: string) => boolean) {
  const result = parse(JSON.stringify({ tenants: [{ ...tenant, ...change }] }), exists)
  return result.kind === 'bad' ? result.problems : []
}

function tenantsOf(content: string) {
  const result = parse(content)
  if (result.kind === 'bad') throw new Error(result.problems.join('\n'))
  return result.tenants
}

describe('a good file', () => {
  test('YAML and JSON with the same content give the same tenants, and defaults are filled in', () => {
    const yaml = `
# customers
tenants:
  - tenantId: ${A.toUpperCase()}
    clientId: ${B}
    name: Contoso
    credential: { secretFile: contoso.txt }
`
    const expected = [
      {
        ...tenant,
        cloud: 'global',
        source: 'alerts_v2',
        credential: { kind: 'secretFile', file: 'contoso.txt' },
        credentialExpires: null,
        intervalSeconds: null,
        lookbackHours: null,
        metadata: {},
      },
    ]
    expect(tenantsOf(yaml)).toEqual(expected)
    expect(tenantsOf(JSON.stringify({ tenants: [tenant] }, null, '\t'))).toEqual(expected)
  })

  test('everything that can be said about a tenant comes through', () => {
    const full = {
      ...tenant,
      name: 'Üñï 日本 👩‍🚀 شركة',
      cloud: 'usgov',
      source: 'alerts',
      credential: { certificateFile: 'gov/cert.pem' },
      credentialExpires: '2027-03-31',
      intervalSeconds: 1,
      lookbackHours: 24,
      metadata: { sla: '4h', tags: ['a', null, 1.5], nested: { x: true } },
    }
    expect(tenantsOf(JSON.stringify({ tenants: [full] }))).toEqual([
      { ...full, credential: { kind: 'certificateFile', file: 'gov/cert.pem' } },
    ])
  })

  test('a key with nothing behind it counts as not given', () => {
    const yaml = `tenants:\n- {tenantId: ${A}, clientId: ${B}, name: C, credential: {secretFile: c}, credentialExpires: , cloud: }`
    expect(tenantsOf(yaml)[0]).toMatchObject({ cloud: 'global', credentialExpires: null })
  })

  test('a byte order mark, an empty list and bytes instead of text are fine', () => {
    expect(tenantsOf('\ufefftenants: []')).toEqual([])
    expect(parse(new TextEncoder().encode('\ufefftenants: []'))).toEqual({ kind: 'ok', tenants: [] })
  })

  test('metadata keeps keys that mean something to JavaScript as plain data', () => {
    const text = `{"tenants":[${JSON.stringify(tenant).slice(0, -1)},"metadata":{"__proto__":{"admin":true},"constructor":1}}]}`
    const [first] = tenantsOf(text)
    expect(JSON.stringify(first?.metadata)).toBe('{"__proto__":{"admin":true},"constructor":1}')
    expect(Object.getPrototypeOf(first?.metadata)).toBe(Object.prototype)
  })
})

describe('mistakes', () => {
  test('all of them are reported together, each with its place and line', () => {
    const result = parse(
      `tenants:
  - tenantId: 7
    clientId: ${B}
    name: Contoso
    credential:
      secretFile: gone.txt
  - tenantId: ${A}
    clientid: ${B}
    name: "a\\u0007b"
    credential: { secretFile: ok.txt }
    intervalSeconds: 0
`,
      path => path !== '/secrets/gone.txt',
    )
    expect(result).toEqual({
      kind: 'bad',
      problems: [
        'tenants[0].tenantId (line 2): is 7: expected a GUID such as 11111111-2222-3333-4444-555555555555',
        'tenants[0].credential.secretFile (line 6): the file "gone.txt" does not exist in SECRETS_DIR (/secrets): put the credential there first',
        'tenants[1].clientId (line 7): is missing: expected a GUID such as 11111111-2222-3333-4444-555555555555',
        'tenants[1].name (line 9): is "a\\u0007b": expected 1 to 256 characters of text, no control characters, in quotes if it looks like a number',
        'tenants[1].intervalSeconds (line 11): is 0: expected a whole number of seconds from 1 to 86400',
        'tenants[1].clientid (line 8): is not known here (did you mean clientId?)',
      ],
    })
  })

  test('a tenant that stands twice is found whatever the case, even if one of them has other mistakes', () => {
    const twice = [tenant, { ...tenant, tenantId: A.toUpperCase(), name: '' }]
    const result = parse(JSON.stringify({ tenants: twice }, null, 1))
    expect(result).toMatchObject({
      kind: 'bad',
      problems: [
        expect.stringMatching(/^tenants\[1\]\.name \(line \d+\): is ""/),
        `tenants[1].tenantId (line 12): ${A} stands in the file already, at tenants[0] (line 4)`,
      ],
    })
  })

  test.each([
    [{}, /names 0 files: expected exactly one of/],
    [{ secretFile: 'a', certificateFile: 'b' }, /names 2 files: expected exactly one of/],
    [
      { secret: 'hush-hush' },
      /credential\.secret .*no secret has a place in this file: put it into a file below SECRETS_DIR/,
    ],
    [{ secretFle: 'a' }, /credential\.secretFle .*did you mean secretFile\?/],
    [{ secretFile: `abc8Q~${'h'.repeat(34)}` }, /is the secret itself, where the name of its file is expected/],
    [{ secretFile: '' }, /expected a path relative to SECRETS_DIR/],
    [{ secretFile: '/etc/passwd' }, /expected a path relative to SECRETS_DIR/],
    [{ secretFile: '../x' }, /expected a path relative to SECRETS_DIR/],
    [{ secretFile: 'a/../../x' }, /expected a path relative to SECRETS_DIR/],
    [{ secretFile: '.' }, /expected a path relative to SECRETS_DIR/],
    [{ secretFile: 'a\\b' }, /expected a path relative to SECRETS_DIR/],
    [{ secretFile: 5 }, /is 5: expected a path/],
    ['contoso.txt', /is "contoso.txt": expected exactly one of/],
  ])('the credential %j is refused', (credential, words) => {
    const problems = problemsWith({ credential })
    expect(problems.join('\n')).toMatch(words)
    expect(problems.join('\n')).not.toContain('hush-hush')
    expect(problems.join('\n')).not.toContain('hhhh')
  })

  test.each(['clientSecret', 'client_secret', 'secretValue', 'password', 'appKey', 'value'])(
    'a secret under %s is told to go, and not shown',
    member => {
      const problems = problemsWith({ [member]: 'hush-hush' })
      expect(problems).toEqual([expect.stringMatching(/: no secret has a place in this file/)])
      expect(problems.join()).not.toContain('hush-hush')
    },
  )

  test.each([
    ['appId', '(did you mean clientId?)'],
    ['applicationId', '(did you mean clientId?)'],
    ['client_id', '(did you mean clientId?)'],
    ['directoryId', '(did you mean tenantId?)'],
    ['tenant_id', '(did you mean tenantId?)'],
    ['displayName', '(did you mean name?)'],
    ['expires', '(did you mean credentialExpires?)'],
    ['tags', '(did you mean metadata?)'],
    ['secretFile', ': write credential: {secretFile: …}'],
    ['clientSecretFile', ': write credential: {secretFile: …}'],
    ['certFile', ': write credential: {certificateFile: …}'],
    ['tokenFile', ': write credential: {federatedTokenFile: …}'],
    ['secret', 'no secret has a place in this file'],
    ['__proto__', 'is not known here'],
  ])('a tenant with %s is told what was meant, and where that belongs', (member, words) => {
    const text = `{"tenants":[${JSON.stringify(tenant).slice(0, -1)},"${member}":"hush-hush"}]}`
    const result = parse(text)
    expect(result).toEqual({
      kind: 'bad',
      problems: [expect.stringMatching(new RegExp(`^tenants\\[0\\]\\.${member} \\(line 1\\): `))],
    })
    expect(JSON.stringify(result)).toContain(words)
    expect(JSON.stringify(result)).not.toContain('hush-hush')
  })

  test.each([
    ['certFile', ' (did you mean certificateFile?)'],
    ['appId', ': it belongs to the tenant, beside credential, as clientId'],
    ['expires', ': it belongs to the tenant, beside credential, as credentialExpires'],
  ])('a credential with %s is told what was meant, and where that belongs', (member, words) => {
    expect(problemsWith({ credential: { ...tenant.credential, [member]: 'x' } }).join('\n')).toContain(
      `is not known here${words}`,
    )
  })

  test('the tenant ID in both places is told with where the other one stands', () => {
    expect(problemsWith({ clientId: A.toUpperCase() })).toEqual([
      expect.stringMatching(/clientId .*is the tenant ID once more: expected the Application \(client\) ID/),
    ])
  })

  test.each([
    ['GCC High', 'usgov'],
    ['GCC', 'global'],
    ['AzureUSGovernment', 'usgov'],
    ['21Vianet', 'china'],
  ])('the cloud %s is most likely %s', (cloud, ours) => {
    expect(problemsWith({ cloud })).toEqual([expect.stringContaining(`(most likely ${ours})`)])
  })

  test('China with alerts_v2 is refused in words, said or left to the default; the legacy list is let through', () => {
    const words = /the China cloud has no alerts_v2 .*set source: alerts/
    expect(problemsWith({ cloud: 'china' })).toEqual([expect.stringMatching(words)])
    expect(problemsWith({ cloud: 'china', source: 'alerts_v2' })).toEqual([expect.stringMatching(words)])
    expect(problemsWith({ cloud: 'china', source: 'alerts' })).toEqual([])
  })

  test.each([
    [{ a: 'x'.repeat(17_000) }, /has 17008 bytes as JSON: at most 16384/],
    [['a'], /metadata .* is a list: expected an object/],
    [JSON.parse(`${'{"a":'.repeat(20)}1${'}'.repeat(20)}`), /nested deeper than 16 levels/],
  ])('metadata out of bounds is refused', (metadata, words) => {
    expect(problemsWith({ metadata })).toEqual([expect.stringMatching(words)])
  })

  const SHAPED = {
    'a secret of Entra': `abc8Q~${'h'.repeat(34)}`,
    'a token': `eyJhbGciOiJIUzI1NiJ9.eyJ${'h'.repeat(20)}.${'h'.repeat(20)}`,
    'a private key': `-----BEGIN PRIVATE KEY-----\n${'h'.repeat(64)}\n-----END PRIVATE KEY-----\n`,
  }

  test.each(Object.entries(SHAPED))('%s is refused wherever it stands, and not shown', (_, secret) => {
    const told = (place: string) => [
      expect.stringMatching(
        new RegExp(
          `^tenants\\[0\\]\\.${place} \\(line 1\\): (?:holds a secret|is the secret itself|is a secret).* put it into a file`,
        ),
      ),
    ]
    const everywhere: readonly (readonly [string, Readonly<Record<string, unknown>>])[] = [
      ['name', { name: secret }],
      ['clientId', { clientId: secret }],
      ['tenantId', { tenantId: secret }],
      ['cloud', { cloud: secret }],
      ['credential', { credential: secret }],
      ['credential\\.secretFile', { credential: { secretFile: secret } }],
      ['clientIdd', { clientIdd: secret }],
      ['metadata', { metadata: secret }],
      ['metadata\\.note', { metadata: { note: `it is ${secret}` } }],
      ['metadata\\.a\\.b\\[1\\]', { metadata: { a: { b: ['x', secret] } } }],
      ['metadata\\..*', { metadata: { [secret]: 1 } }],
    ]
    for (const [place, change] of everywhere) {
      const problems = problemsWith(change)
      expect(problems).toEqual(told(place))
      expect(problems.join()).not.toContain('hhhh')
    }
    expect(problemsWith({ metadata: { note: secret } }).join()).toMatch(
      /metadata goes to the engine with every alert: .*ask the customer for a new one, since this one has been in a file that is passed around/,
    )
    const atTop = parse(JSON.stringify({ note: secret, tenants: [] }))
    expect(atTop).toEqual({ kind: 'bad', problems: [expect.stringMatching(/^note \(line 1\): holds a secret/)] })
  })

  test.each(['password', 'clientSecret', 'api_key', 'Access-Token', 'cookies'])(
    'metadata named %s is refused, and not shown',
    name => {
      const problems = problemsWith({ metadata: { contact: { [name]: 'hush-hush' } } })
      expect(problems).toEqual([
        expect.stringMatching(
          /: is a secret by its name, and metadata goes to the engine with every alert: put it into a file/,
        ),
      ])
      expect(problems.join()).not.toContain('hush-hush')
    },
  )

  test('all secrets in metadata are told, each with its line', () => {
    const text = `tenants:\n- tenantId: ${A}\n  clientId: ${B}\n  name: C\n  credential: {secretFile: c}\n  metadata:\n    token: x\n    a:\n    - ${SHAPED['a secret of Entra']}\n`
    expect(parse(text)).toEqual({
      kind: 'bad',
      problems: [
        expect.stringMatching(/^tenants\[0\]\.metadata\.token \(line 7\): is a secret by its name/),
        expect.stringMatching(/^tenants\[0\]\.metadata\.a\[0\] \(line 9\): holds a secret/),
      ],
    })
  })

  test('words about secrets, counts of them, places of them and base64 are harmless', () => {
    const metadata = {
      note: 'password: see vault',
      howTo: 'client_secret=ask the customer',
      passwordPolicy: 'strict',
      secretFile: 'contoso.txt',
      tokenUrl: 'https://example.com/token',
      maxTokens: 5,
      hasPassword: true,
      token: null,
      portal: 'https://user@example.com',
      state: Buffer.from('{"region":"eu-west","tier":"gold"}').toString('base64'),
    }
    expect(problemsWith({ name: 'The Secret Token Company', metadata })).toEqual([])
  })

  test.each(['.inf', '.nan', '12345678901234567890'])('a number %s that JSON would change is refused', number => {
    const text = `tenants:\n- {tenantId: ${A}, clientId: ${B}, name: C, credential: {secretFile: c}, metadata: {n: ${number}}}`
    expect(parse(text)).toEqual({
      kind: 'bad',
      problems: ['tenants[0].metadata.n (line 2): is a number that JSON cannot carry exactly: put it in quotes'],
    })
  })

  test.each(['2027-02-30', 'tomorrow', '2027-03-31T10:00:00', 20270331])(
    '%s is no date of expiry',
    credentialExpires => {
      expect(problemsWith({ credentialExpires })).toEqual([expect.stringMatching(/expected an ISO date such as/)])
    },
  )

  test.each(['a\u2028b', 'a\nb', '\ud800', ' ', 'x'.repeat(257)])('%j is no name', name => {
    expect(problemsWith({ name })).toEqual([expect.stringMatching(/^tenants\[0\]\.name/)])
  })
})

describe('files that are none', () => {
  test.each([
    ['', /expected `tenants:`/],
    ['- a', /expected `tenants:`/],
    [`- tenantId: ${A}`, /expected `tenants:`.*stands here without it, write the line `tenants:` above it/],
    ['customers: []', /customers \(line 1\): is not known here \(did you mean tenants\?\)/],
    [
      `tenant_id: ${A}`,
      /line 1\): is not known here: it belongs to a tenant, in the list below `tenants:`, as tenantId/,
    ],
    ['a: 1\nappId: x', /line 2\): is not known here: it belongs to a tenant, .* as clientId/],
    ['secretFile: x', /it belongs to a tenant, .* as credential: \{secretFile: …\}/],
    ['certFile: x', /it belongs to a tenant, .* as credential: \{certificateFile: …\}/],
    ['secret: x', /secret \(line 1\): no secret has a place in this file/],
    ['tenant: []', /tenant \(line 1\): is not known here \(did you mean tenants\?\)/],
    ['tenants: {}', /tenants \(line 1\): expected a list/],
    ['tenants:\n- 5', /tenants\[0\] \(line 2\): expected a tenant/],
    ['tenants: "x', /line 1: Missing closing "quote/],
    ['tenants: []\ntenants: []', /line 2: Map keys must be unique/],
    ['tenants: []\n---\ntenants: []', /^line 2: the file holds more than one document.*below one `tenants:`/],
    ['a: 1\n...\nb: 1', /^line 3: the file holds more than one document/],
    ['tenants: !!js/function x', /line 1: Unresolved tag/],
    ['tenants: *nobody', /Unresolved alias/],
    ['? [a]\n: 1', /line 1: With stringKeys/],
  ])('%j is refused with the line', (text, words) => {
    const result = parse(text)
    expect(result.kind === 'bad' ? result.problems.join('\n') : '').toMatch(words)
  })

  test('an alias bomb is refused before it goes off', () => {
    const levels = 'bcdefghi'.split('').map((name, i) => `${name}: &${name} [${`*${'abcdefgh'[i]},`.repeat(9)}]`)
    const result = parse(['a: &a [x,x,x,x,x,x,x,x,x]', ...levels, 'tenants: *i'].join('\n'))
    expect(result).toEqual({ kind: 'bad', problems: ['YAML aliases repeat more than 100 values: write them out'] })
  })

  test('nesting that would exhaust the stack is refused', () => {
    const result = parse('['.repeat(20_000))
    expect(result.kind === 'bad' ? result.problems[0] : '').toBe('the tenants file is nested too deeply')
  })

  test('a file of nothing but keys is read in the time of its length, and told at most a thousand times', () => {
    const keys = (indent: string) => Array.from({ length: 100_000 }, (_, n) => `${indent}k${n}: 1\n`).join('')
    for (const text of [keys(''), `tenants:\n- a: 1\n${keys('  ')}`, `tenants:\n- metadata:\n${keys('    ')}`]) {
      const read = parseTenantsFile(text, { secretsDir: '/s', exists: () => true })
      expect(read.kind === 'bad' && read.problems.length).toBeLessThanOrEqual(1_001)
    }
  })

  test('a key that stands twice is refused with the line of the second, wherever it stands', () => {
    const text = 'tenants:\n- name: a\n  metadata:\n    x: 1\n    "x": 2\n  name: b\n'
    expect(parseTenantsFile(text, { secretsDir: '/s', exists: () => true })).toEqual({
      kind: 'bad',
      problems: ['line 5: Map keys must be unique', 'line 6: Map keys must be unique'],
    })
  })

  test('what the reader of YAML quotes is said on one line, without terminal codes', () => {
    const read = parseTenantsFile('%YAML 1.\u001b[31m\u2028s\n---\na: 1\n', { secretsDir: '/s', exists: () => true })
    expect(read.kind === 'bad' && read.problems.join()).toMatch(/^[\x20-\x7e]+$/)
  })

  test('too many bytes, too many tenants and bytes that are no text are refused', () => {
    expect(parse(`tenants: [] #${'x'.repeat(16 * 1_048_576)}`)).toEqual({
      kind: 'bad',
      problems: [expect.stringMatching(/bytes: at most 16777216 are read$/)],
    })
    expect(parse(`tenants: [${'1,'.repeat(20_001)}]`)).toEqual({
      kind: 'bad',
      problems: ['tenants (line 1): lists 20001 tenants: at most 20000 fit one file'],
    })
    expect(parse(Uint8Array.of(0xff, 0xfe, 0x80))).toEqual({
      kind: 'bad',
      problems: ['the tenants file is not UTF-8 text'],
    })
  })

  test('beyond a thousand mistakes the rest is counted', () => {
    const result = parse(`tenants: [${'1,'.repeat(1_500)}]`)
    expect(result.kind === 'bad' ? result.problems.length : 0).toBe(1_001)
    expect(result.kind === 'bad' ? result.problems.at(-1) : '').toBe('… and 500 more')
  })

  test('whatever the text, the answer is a value', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string({ unit: 'binary' }),
          fc.json(),
          fc.json().map(json => `{"tenants":[${json}]}`),
        ),
        text => {
          expect(['ok', 'bad']).toContain(parse(text).kind)
        },
      ),
    )
  })
})
