import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { EFFECTS } from '../../platform/effects.ts'
import { scrub } from '../../platform/log-scrub.ts'
import { describeSettings, readSettings } from '../../platform/settings.ts'
import { type SettingsSource, settingNames } from '../../platform/settings-layers.ts'
import type { Role } from '../../platform/settings-table.ts'

const poller = { KAFKA_BROKERS: 'kafka:9092', SCHEMA_REGISTRY_URL: 'http://registry:8081', SECRETS_DIR: '/secrets' }
const forwarder = { ...poller, ENGINE_URL: 'https://engine.example/in' }

/** Files by path; everything else does not exist. */
function filesOf(files: Readonly<Record<string, string>>): SettingsSource['readFile'] {
  return path => {
    const text = files[path]
    if (text === undefined) throw Object.assign(new Error(`ENOENT: ${path}`), { code: 'ENOENT' })
    return text
  }
}

function read<R extends Role>(role: R, env: Readonly<Record<string, string>>, more: Partial<SettingsSource> = {}) {
  return readSettings({ env, readFile: filesOf({}), ...more }, role)
}

function settingsOf<R extends Role>(
  role: R,
  env: Readonly<Record<string, string>>,
  more: Partial<SettingsSource> = {},
) {
  const result = read(role, env, more)
  if (result.kind === 'bad') throw new Error(result.problems.join('\n'))
  return result
}

function problemsOf(role: Role, env: Readonly<Record<string, string>>, more: Partial<SettingsSource> = {}) {
  const result = read(role, env, more)
  return result.kind === 'bad' ? result.problems : []
}

describe('values', () => {
  test('a poller with the three settings that it needs gets every default, in the units of the code', () => {
    const { settings, warnings } = settingsOf('poller', poller)
    expect(settings).toMatchObject({
      kafkaBrokers: ['kafka:9092'],
      topicPrefix: 'socos.',
      pollIntervalMs: 60_000,
      overlapMs: 600_000,
      lookbackMs: 168 * 3_600_000,
      pollConcurrency: 64,
      httpPort: 8080,
      httpHost: '0.0.0.0',
      logLevel: 'info',
      sessionTimeoutMs: 10_000,
      shutdownMs: 9_000,
      kafkaTlsEnabled: false,
      kafkaSaslMechanism: null,
      graphSandboxUrl: null,
      nodeEnv: 'development',
    })
    expect(warnings).toEqual([])
  })

  test('a role sees only the settings it uses', () => {
    const { settings } = settingsOf('poller', { ...poller, ENGINE_URL: 'nonsense' })
    expect(settings).not.toHaveProperty('engineUrl')
  })

  test('an empty text counts as not set', () => {
    expect(settingsOf('poller', { ...poller, LOG_LEVEL: '', HTTP_PORT: '  ' }).settings).toMatchObject({
      logLevel: 'info',
      httpPort: 8080,
    })
    expect(problemsOf('poller', { ...poller, KAFKA_BROKERS: '' })).toHaveLength(1)
  })

  test('a registry under a path keeps its path and loses the trailing slash', () => {
    const url = 'https://host.example:8443/registry/v1/'
    const { settings } = settingsOf('poller', { ...poller, SCHEMA_REGISTRY_URL: url })
    expect(settings.schemaRegistryUrl).toBe('https://host.example:8443/registry/v1')
  })

  test('port 0 is a port: any free one', () => {
    expect(settingsOf('poller', { ...poller, HTTP_PORT: '0' }).settings.httpPort).toBe(0)
  })

  test('small values are fine', () => {
    const env = { ...poller, POLL_INTERVAL_SECONDS: '2', OVERLAP_SECONDS: '60', LOOKBACK_HOURS: '1' }
    expect(settingsOf('poller', env).settings).toMatchObject({ pollIntervalMs: 2_000, overlapMs: 60_000 })
    expect(readSettings({ env: { LANES: '6' }, readFile: filesOf({}) }, 'cli')).toMatchObject({
      kind: 'ok',
      settings: { lanes: 6 },
    })
  })

  test('a command names what it cannot do without', () => {
    const source = { env: {}, readFile: filesOf({}) }
    expect(readSettings(source, 'cli').kind).toBe('ok')
    const result = readSettings(source, 'cli', ['kafkaBrokers', 'secretsDir'])
    expect(result).toMatchObject({
      kind: 'bad',
      problems: [expect.stringMatching(/^KAFKA_BROKERS is not set/), expect.stringMatching(/^SECRETS_DIR is not set/)],
    })
  })

  test('no text whatever makes reading throw', () => {
    fc.assert(
      fc.property(fc.constantFrom(...settingNames()), fc.string({ unit: 'binary', maxLength: 80 }), (name, text) => {
        const result = read('forwarder', { ...forwarder, [name]: text })
        expect(['ok', 'bad']).toContain(result.kind)
      }),
    )
  })
})

describe('a place to die', () => {
  test('is a step and a number, or nowhere', () => {
    expect(settingsOf('poller', poller).settings.crashAt).toBeNull()
    expect(settingsOf('poller', { ...poller, CRASH_AT: 'checkpoint.sent#2' }).settings.crashAt).toEqual({
      step: 'checkpoint.sent',
      nth: 2,
    })
    expect(settingsOf('forwarder', { ...forwarder, CRASH_AT: 'count' }).settings.crashAt).toBe('count')
  })

  test.each(['checkpoint', 'checkpoint.sent', 'checkpoint.sent#0', 'checkpoint.after#1', 'nothing.sent#1'])(
    'that is %s is refused, and every step is named',
    crashAt => {
      const [problem = '', ...more] = problemsOf('poller', { ...poller, CRASH_AT: crashAt })
      expect(more).toEqual([])
      expect(problem).toContain(`CRASH_AT is "${crashAt}" (environment): expected count, or EFFECT.PLACE#N`)
      for (const effect of Object.keys(EFFECTS)) expect(problem).toContain(effect)
      expect(problem).toContain('before, sent, done')
    },
  )

  test.each(['poller', 'forwarder', 'cli'] as const)('is refused in production to a %s', role => {
    const env = { ...forwarder, CRASH_AT: 'ledger.sent#1', NODE_ENV: 'production' }
    expect(problemsOf(role, env)).toEqual(['CRASH_AT is set although NODE_ENV is production: remove it'])
    expect(problemsOf(role, { ...env, CRASH_AT: 'count' })).toHaveLength(1)
  })
})

describe('mistakes', () => {
  test('all of them come together, each with the setting, what was given and what is expected', () => {
    const problems = problemsOf('poller', {
      KAFKA_BROKERS: 'kafka',
      POLL_INTERVAL_SECONDS: '1m',
      HTTP_PORT: '70000',
      LOG_LEVEL: 'loud',
    })
    expect(problems).toEqual([
      'KAFKA_BROKERS is "kafka" (environment): expected a comma list of host:port, each once, at most 64, such as kafka-0:9092,kafka-1:9092',
      expect.stringMatching(/^SCHEMA_REGISTRY_URL is not set: expected an http or https address/),
      expect.stringMatching(/^SECRETS_DIR is not set: expected the path of a directory/),
      'POLL_INTERVAL_SECONDS is "1m" (environment): expected whole seconds from 1 to 86400',
      'HTTP_PORT is "70000" (environment): expected a whole number from 0 to 65535',
      'LOG_LEVEL is "loud" (environment): expected one of debug, info, warn, error',
    ])
  })

  test('what was given is quoted on one line and bounded', () => {
    const [problem] = problemsOf('poller', { ...poller, LOG_LEVEL: `loud\n\u2028\u009b31m${'x'.repeat(5_000)}` })
    expect(problem).toMatch(/^LOG_LEVEL is "loud\\n\\u2028\\u009b31mx+/)
    expect(problem?.length).toBeLessThan(300)
  })

  test.each(['kafka:0', 'kafka:9092,', 'kafka:9092,kafka:9092', 'http://kafka:9092', 'kafka:65536', 'a b:9092'])(
    '%s is no list of brokers',
    brokers => {
      expect(problemsOf('poller', { ...poller, KAFKA_BROKERS: brokers })).toHaveLength(1)
    },
  )

  test('several brokers, spaces around them and IPv6 are fine', () => {
    const { settings } = settingsOf('poller', { ...poller, KAFKA_BROKERS: 'a:9092, b:9093 ,[::1]:9092' })
    expect(settings.kafkaBrokers).toEqual(['a:9092', 'b:9093', '[::1]:9092'])
  })

  test.each(['10', '1.5', '-0.1', 'half'])('a share of %s is refused', share => {
    expect(problemsOf('forwarder', { ...forwarder, PARKING_BUDGET_SHARE: share })).toHaveLength(1)
  })

  test('credentials within an address are refused and not repeated', () => {
    const problems = problemsOf('poller', { ...poller, SCHEMA_REGISTRY_URL: 'https://user:hunter2hunter@registry/x' })
    expect(problems).toEqual([expect.stringMatching(/without user name, password, query or fragment$/)])
    expect(problems.join()).not.toContain('hunter2hunter')
  })
})

describe('secrets', () => {
  const sasl = { ...poller, KAFKA_TLS_ENABLED: 'true', KAFKA_SASL_MECHANISM: 'SCRAM-SHA-512', KAFKA_SASL_USERNAME: 'u' }

  test('a secret is read from the file that NAME_FILE names, without its last newline', () => {
    const env = { ...sasl, KAFKA_SASL_PASSWORD_FILE: '/run/pw' }
    const { settings, origins } = settingsOf('poller', env, { readFile: filesOf({ '/run/pw': ' pass word \r\n' }) })
    expect(settings.kafkaSaslPassword).toBe(' pass word ')
    expect(settings.kafkaSaslMechanism).toBe('scram-sha-512')
    expect(origins['KAFKA_SASL_PASSWORD']).toEqual({ from: 'environment', shown: '(set)' })
  })

  test('a secret file that is missing or empty is named', () => {
    const env = { ...sasl, KAFKA_SASL_PASSWORD_FILE: '/run/pw' }
    expect(problemsOf('poller', env)).toContain('KAFKA_SASL_PASSWORD_FILE: "/run/pw" does not exist')
    expect(problemsOf('poller', env, { readFile: filesOf({ '/run/pw': '\n' }) })).toContain(
      'KAFKA_SASL_PASSWORD_FILE: "/run/pw" is empty',
    )
  })

  test('both forms of one secret are refused', () => {
    const env = { ...sasl, KAFKA_SASL_PASSWORD: 'abcdefgh', KAFKA_SASL_PASSWORD_FILE: '/run/pw' }
    expect(problemsOf('poller', env)[0]).toBe(
      'KAFKA_SASL_PASSWORD and KAFKA_SASL_PASSWORD_FILE are both set (environment): keep one',
    )
  })

  test('no problem and no description ever shows a secret', () => {
    const secret = 'sentinel\u0007\n9f3a77'
    const bad = problemsOf('poller', { ...sasl, KAFKA_SASL_PASSWORD: secret })
    expect(bad[0]).toMatch(/^KAFKA_SASL_PASSWORD cannot be used \(environment\): expected/)
    const { origins } = settingsOf('poller', { ...sasl, KAFKA_SASL_PASSWORD: 'sentinel-9f3a77' })
    expect(JSON.stringify([bad, describeSettings(origins)])).not.toContain('sentinel')
  })

  test('a secret that was read is masked in every log from then on', () => {
    settingsOf('poller', { ...sasl, KAFKA_SASL_PASSWORD: 'correct horse' })
    expect(scrub('sent correct horse to it')).toBe('sent [secret] to it')
  })
})

describe('the collector', () => {
  const collected = { ...poller, OTEL_EXPORTER_OTLP_ENDPOINT: 'http://localhost:4318/' }

  test('is nobody unless named; a twentieth of the polls is traced then', () => {
    expect(settingsOf('forwarder', forwarder).settings).toMatchObject({ otlpEndpoint: null, otlpHeaders: null })
    expect(settingsOf('poller', collected).settings).toMatchObject({
      otlpEndpoint: 'http://localhost:4318',
      otelServiceName: null,
      traceShare: 0.05,
    })
  })

  test('gets the headers that are listed, percent-decoded', () => {
    const env = { ...collected, OTEL_EXPORTER_OTLP_HEADERS: 'Authorization=Bearer%20a%2Cb==, x-scope = soc' }
    const { settings, origins, warnings } = settingsOf('poller', env)
    expect(settings.otlpHeaders).toEqual({ authorization: 'Bearer a,b==', 'x-scope': 'soc' })
    expect(origins['OTEL_EXPORTER_OTLP_HEADERS']).toEqual({ from: 'environment', shown: '(set)' })
    expect(warnings).toEqual([])
  })

  test.each(['sentinel', '=sentinel', 'a=', 'a b=sentinel', 'a=sentinel,', 'a=%0d%0asentinel', 'a=%zz-sentinel'])(
    '%j is no list of headers, and is not repeated',
    headers => {
      const problems = problemsOf('poller', { ...collected, OTEL_EXPORTER_OTLP_HEADERS: headers })
      expect(problems).toEqual([expect.stringMatching(/^OTEL_EXPORTER_OTLP_HEADERS cannot be used/)])
      expect(problems.join()).not.toContain('sentinel')
    },
  )

  test('gets no headers over plain http from afar, and headers without a collector go nowhere: both are told', () => {
    const headers = { OTEL_EXPORTER_OTLP_HEADERS: 'a=b' }
    const far = { ...collected, ...headers, OTEL_EXPORTER_OTLP_ENDPOINT: 'http://otel.example:4318' }
    expect(settingsOf('poller', far).warnings).toEqual([expect.stringMatching(/is plain http/)])
    expect(settingsOf('poller', { ...poller, ...headers }).warnings).toEqual([expect.stringMatching(/nothing is sent/)])
  })
})

describe('settings that must agree', () => {
  test.each([
    [{ KAFKA_TLS_CERT_FILE: '/c' }, /CERT_FILE and KAFKA_TLS_KEY_FILE go together/],
    [{ KAFKA_TLS_ENABLED: 'false', KAFKA_TLS_SERVERNAME: 'k' }, /KAFKA_TLS_ENABLED is false although/],
    [{ KAFKA_SASL_USERNAME: 'u' }, /KAFKA_SASL_MECHANISM is not set although/],
    [
      { KAFKA_SASL_MECHANISM: 'plain', KAFKA_SASL_USERNAME: 'u' },
      /plain needs KAFKA_SASL_USERNAME and KAFKA_SASL_PASS/,
    ],
    [{ KAFKA_SASL_MECHANISM: 'oauthbearer' }, /oauthbearer needs KAFKA_SASL_OAUTH_TOKEN_FILE/],
    [{ SCHEMA_REGISTRY_USERNAME: 'u' }, /SCHEMA_REGISTRY_USERNAME and SCHEMA_REGISTRY_PASSWORD .* go together/],
    [
      { SCHEMA_REGISTRY_USERNAME: 'u', SCHEMA_REGISTRY_PASSWORD: 'p', SCHEMA_REGISTRY_TOKEN: 't' },
      /exclude each other/,
    ],
  ] as const)('%o is refused', (env, words) => {
    const problems = problemsOf('poller', { ...poller, ...env }, { readFile: () => 'pem' })
    expect(problems).toEqual([expect.stringMatching(words)])
  })

  test('a certificate authority turns TLS on by itself', () => {
    const env = { ...poller, KAFKA_TLS_CA_FILE: '/ca.pem' }
    expect(settingsOf('poller', env, { readFile: filesOf({ '/ca.pem': 'pem' }) }).settings.kafkaTlsEnabled).toBe(true)
  })

  test('a file that a setting names must be readable at the start', () => {
    expect(problemsOf('poller', { ...poller, KAFKA_TLS_CA_FILE: '/ca.pem' })).toEqual([
      'KAFKA_TLS_CA_FILE: "/ca.pem" does not exist',
    ])
  })

  test.each(['http://localhost:1', 'http://127.0.0.1:1', 'http://[::1]:1', 'http://engine:1/x', 'https://e.example'])(
    'the engine may be %s outside production',
    url => {
      expect(problemsOf('forwarder', { ...forwarder, ENGINE_URL: url })).toEqual([])
    },
  )

  test('plain http to the engine is refused elsewhere, and in production always', () => {
    expect(problemsOf('forwarder', { ...forwarder, ENGINE_URL: 'http://engine.example' })).toEqual([
      'ENGINE_URL is "http://engine.example": expected https; plain http is only for localhost or a name without dots, outside production',
    ])
    expect(problemsOf('forwarder', { ...forwarder, ENGINE_URL: 'http://localhost', NODE_ENV: 'production' })).toEqual([
      'ENGINE_URL is "http://localhost": expected https in production',
    ])
  })

  test('the sandbox is refused in production whatever its host', () => {
    const env = { ...poller, GRAPH_SANDBOX_URL: 'http://localhost:4000', NODE_ENV: 'production' }
    expect(problemsOf('poller', env)).toEqual(['GRAPH_SANDBOX_URL is set although NODE_ENV is production: remove it'])
  })

  test.each(['http://graph.example', 'http://10.0.0.1', 'https://127.0.0.1.example', 'http://0x7f.1.example'])(
    'the sandbox may not be %s',
    url => {
      expect(problemsOf('poller', { ...poller, GRAPH_SANDBOX_URL: url })).toEqual([
        expect.stringMatching(/^GRAPH_SANDBOX_URL is .* the secrets of all tenants would go there$/),
      ])
    },
  )

  test('the sandbox may be on this machine or a name without dots', () => {
    for (const url of ['http://localhost:4000', 'http://127.0.0.1:4000', 'http://sim-graph:4000']) {
      expect(settingsOf('poller', { ...poller, GRAPH_SANDBOX_URL: url }).settings.graphSandboxUrl).toBe(url)
    }
  })

  test('an odd NODE_ENV is refused: production must not be missed by a slip', () => {
    expect(problemsOf('poller', { ...poller, NODE_ENV: 'prodution' })).toHaveLength(1)
  })
})

describe('layers', () => {
  const file = {
    '/etc/socos.yaml': 'POLL_INTERVAL_SECONDS: 30\nOVERLAP_SECONDS: 300\nLOG_LEVEL: debug\nKAFKA_BROKERS: [f:1, f:2]\n',
  }

  test('a file is weaker than the environment, and that weaker than flags', () => {
    const env = {
      SCHEMA_REGISTRY_URL: 'http://r',
      SECRETS_DIR: '/s',
      OVERLAP_SECONDS: '400',
      LOG_LEVEL: 'warn',
      SOCOS_CONFIG: '/etc/socos.yaml',
    }
    const { settings, origins } = settingsOf('poller', env, { readFile: filesOf(file), flags: { LOG_LEVEL: 'error' } })
    expect(settings).toMatchObject({
      pollIntervalMs: 30_000,
      overlapMs: 400_000,
      logLevel: 'error',
      kafkaBrokers: ['f:1', 'f:2'],
    })
    expect(origins).toMatchObject({
      POLL_INTERVAL_SECONDS: { from: 'file', shown: '30' },
      OVERLAP_SECONDS: { from: 'environment', shown: '400' },
      LOG_LEVEL: { from: 'flag', shown: 'error' },
      LOOKBACK_HOURS: { from: 'default', shown: '168' },
    })
  })

  test('a JSON file does as well', () => {
    const { settings } = settingsOf('poller', poller, {
      file: '/c.json',
      readFile: filesOf({ '/c.json': '{"HTTP_PORT": 9000}' }),
    })
    expect(settings.httpPort).toBe(9000)
  })

  test('an unknown key in the file fails with the name that was meant', () => {
    const readFile = filesOf({ '/c': 'POLL_INTERVALL_SECONDS: 5\nelephant: 1\n' })
    expect(problemsOf('poller', poller, { file: '/c', readFile })).toEqual([
      '/c: there is no setting "POLL_INTERVALL_SECONDS" (did you mean POLL_INTERVAL_SECONDS?)',
      '/c: there is no setting "elephant"',
    ])
  })

  test('a secret does not belong in the file', () => {
    const readFile = filesOf({ '/c': 'KAFKA_SASL_PASSWORD: hushhush\n' })
    const problems = problemsOf('poller', poller, { file: '/c', readFile })
    expect(problems).toEqual([expect.stringMatching(/is a secret .* KAFKA_SASL_PASSWORD_FILE$/)])
    expect(problems.join()).not.toContain('hushhush')
  })

  test.each([
    ['- a\n', /must hold settings by name/],
    ['HTTP_PORT: {a: 1}\n', /HTTP_PORT must be a text/],
    ['HTTP_PORT: "1\n', /is no YAML/],
    ['a: &a [x]\nb: *a\n', /is no YAML/],
  ])('a file with %j is refused', (text, words) => {
    expect(problemsOf('poller', poller, { file: '/c', readFile: filesOf({ '/c': text }) })[0]).toMatch(words)
  })

  test('a name with a line feed or terminal codes in it is said on one line', () => {
    for (const env of [{ SOCOS_CONFIG: 'a\nb\u001b[31m\u2028' }, { SOCOS_CONFIG: 'x', 'LOG\u2028LEVEL': '1' }]) {
      const read = readSettings({ env, readFile: () => 'LOG_LEVEL: [' }, 'cli')
      expect(read.kind === 'bad' && read.problems.join()).toMatch(/^[\x20-\x7e]+$/)
    }
  })

  test('a file of 32,768 characters is read, a longer one is not', () => {
    const read = (length: number) =>
      readSettings({ env: { SOCOS_CONFIG: 'f' }, readFile: () => 'LOG_LEVEL: debug'.padEnd(length) }, 'cli')
    expect(read(32_768).kind).toBe('ok')
    expect(read(32_769)).toEqual({ kind: 'bad', problems: ['f is longer than 32768 characters'] })
  })

  test('a file that is not there is named', () => {
    expect(problemsOf('poller', { ...poller, SOCOS_CONFIG: '/gone' })).toEqual(['SOCOS_CONFIG: /gone does not exist'])
  })

  test('a variable that is nearly ours is warned of; strangers are not', () => {
    const env = {
      ...poller,
      POLL_INTERVAL_SECOND: '5',
      ENGINE_TOKEN: 'x',
      HTTP_PROXY: 'p',
      KAFKA_PORT: 'tcp://',
      LINES: '50',
    }
    expect(settingsOf('poller', env).warnings).toEqual([
      'the environment variable POLL_INTERVAL_SECOND is not read (did you mean POLL_INTERVAL_SECONDS?)',
      'the environment variable ENGINE_TOKEN is not read (did you mean ENGINE_TOKEN_FILE?)',
    ])
  })
})

describe('the table', () => {
  test('every setting has one name, a sentence of help and an expectation in words', () => {
    const rows = describeSettings()
    expect(new Set(rows.map(row => row.name)).size).toBe(rows.length)
    for (const row of rows) {
      expect(row.name).toMatch(/^[A-Z][A-Z_]+$/)
      expect(row.help).toMatch(/^[A-Z].*\.$/)
      expect(row.expected.length).toBeGreaterThan(5)
      expect(row.usedBy.length).toBeGreaterThan(0)
      expect(row.usedBy).toEqual(expect.arrayContaining([...row.neededBy]))
    }
  })

  test('no name of a secret file collides with a setting', () => {
    expect(new Set(settingNames()).size).toBe(settingNames().length)
  })

  test('every default satisfies its own kind in every role', () => {
    for (const role of ['poller', 'forwarder', 'cli', 'sandbox'] as const) {
      expect(problemsOf(role, forwarder)).toEqual([])
    }
  })
})
