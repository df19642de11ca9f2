/**
 * What people write: the tenants file, settings, flags, patterns. And what comes of any data in a log line.
 * Longer than the rule: a target is its samples, what is called, and what must hold, and they are read together.
 */
import { runSocos } from '../../cli/run.ts'
import { readMatcher } from '../../consumers/replay/matcher.ts'
import { createLog } from '../../platform/log.ts'
import { registerSecret } from '../../platform/log-scrub.ts'
import { readSettings } from '../../platform/settings.ts'
import { settingNames } from '../../platform/settings-layers.ts'
import { parseTenantsFile } from '../../platform/tenants-file.ts'
import type { Target } from './loop.ts'
import { isObject, joined, must, mustBeLines, mustBeWords, oneOf, PLANTED, parsed, partsOf } from './oracle.ts'

registerSecret(PLANTED)
const GUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
const ONE = `11111111-1111-4111-8111-111111111111`

export const tenantsFile: Target = {
  name: 'tenants-file',
  about: 'a tenants file, YAML or JSON',
  samples: () =>
    [
      `tenants:\n  - tenantId: ${ONE}\n    clientId: 22222222-2222-4222-8222-222222222222\n    name: "Contoso"\n    credential: { secretFile: a/b.secret }\n    credentialExpires: 2027-03-31\n    intervalSeconds: 60\n    metadata:\n      tier: gold\n      list: [1, 2.5, null]\n`,
      `{"tenants":[{"tenantId":"${ONE}","clientId":"${ONE}","name":"a","cloud":"china","source":"alerts","credential":{"certificateFile":"x.pem"},"metadata":{"__proto__":{"polluted":true}}}]}`,
      `tenants: &all\n- &one {tenantId: ${ONE}, clientId: ${ONE}, name: a, credential: {secretFile: x}}\n- *one\n`,
      'tenants: []\n',
      '%YAML 1.2\n---\n? tenants\n: - |\n    block\n  - >-\n    folded\n  - !!binary aGk=\n...\n',
    ].map(text => Buffer.from(text)),
  words: [
    'tenants:',
    '- ',
    '&a ',
    '*a',
    '!!',
    '? ',
    ': ',
    '|',
    '>-',
    '<<: *a',
    '---\n',
    '...\n',
    '.inf',
    'secretFile:',
    ONE,
  ],
  maxBytes: 12 * 1024,
  // most of it is the library's own reading, some of which looks twice
  work: { base: 400_000, perByte: 2_500 },
  run(input) {
    const read = parseTenantsFile(input, { secretsDir: '/secrets', exists: path => !path.includes('gone') })
    oneOf(read.kind, ['ok', 'bad'], 'the reading')
    if (read.kind === 'bad') {
      must(read.problems.length > 0 && read.problems.length <= 1_001, `${read.problems.length} problems`)
      for (const problem of read.problems) mustBeWords(problem, 2_500, 'a problem')
      return read.problems.join('\n')
    }
    for (const { tenantId, clientId, name, cloud, source, credential, metadata } of read.tenants) {
      must(GUID.test(tenantId) && GUID.test(clientId), 'an id is none')
      mustBeWords(name, 256, 'a name')
      oneOf(cloud, ['global', 'usgov', 'dod', 'china'], 'a cloud')
      oneOf(source, ['alerts_v2', 'alerts'], 'a source')
      oneOf(credential.kind, ['secretFile', 'certificateFile', 'federatedTokenFile'], 'a credential')
      must(!credential.file.split('/').includes('..') && !credential.file.startsWith('/'), 'a file lies elsewhere')
      must(isObject(metadata) && Buffer.byteLength(JSON.stringify(metadata)) <= 16_384, 'the metadata is none')
    }
    must(new Set(read.tenants.map(({ tenantId }) => tenantId)).size === read.tenants.length, 'a tenant stands twice')
    return JSON.stringify(read.tenants)
  },
}

const readFile = (config: string) => (path: string) => {
  if (path.trim() === 'config') return config
  if (path.trim() === 'secret') return `${PLANTED}\n`
  throw Object.assign(new Error('gone'), { code: 'ENOENT' })
}

export const settings: Target = {
  name: 'settings',
  about: 'the environment, and the settings file',
  samples: () => [
    joined(['poller', 'KAFKA_BROKERS=a:9092\nSCHEMA_REGISTRY_URL=http://r\nSECRETS_DIR=/s', '']),
    joined([
      'forwarder',
      'KAFKA_BROKERS=a:9092,[::1]:1\nENGINE_URL=https://e.example/x\nSOCOS_CONFIG=config',
      'LOG_LEVEL: debug',
    ]),
    joined(['cli', `KAFKA_SASL_MECHANISM=plain\nKAFKA_SASL_USERNAME=u\nKAFKA_SASL_PASSWORD=${PLANTED}`, '']),
    joined(['cli', 'KAFKA_SASL_PASSWORD_FILE=secret\nSOCOS_CONFIG=config', '{"LOG_LEVEL":"info","LANES":48,"X":[]}']),
    joined(['poller', `OTEL_EXPORTER_OTLP_HEADERS=x=${PLANTED}\nOTEL_EXPORTER_OTLP_ENDPOINT=http://c`, 'a: [']),
  ],
  words: [
    ...settingNames().map(name => `\n${name}=`),
    'config',
    'secret',
    'http://',
    'https://',
    ':9092',
    '0',
    '-1',
    '1e9',
  ],
  maxBytes: 8 * 1024,
  work: { base: 400_000, perByte: 2_500 },
  run(input) {
    const [role, env, config] = partsOf(input, 3) as readonly [Buffer, Buffer, Buffer]
    const texts: Record<string, string> = Object.create(null) as Record<string, string>
    for (const line of env.toString().split('\n')) {
      const [name = '', ...rest] = line.split('=')
      // as an environment is: no empty name, no NUL
      if (name !== '' && !line.includes('\0')) texts[name] = rest.join('=')
    }
    const who = (['poller', 'forwarder', 'cli'] as const).find(one => role.toString() === one) ?? 'sandbox'
    const read = readSettings({ env: texts, readFile: readFile(config.toString()) }, who)
    if (read.kind === 'bad') {
      // a path of 512 characters, each written as an escape
      for (const problem of read.problems) mustBeWords(problem, 3_400, 'a problem')
      return read.problems.join('\n')
    }
    for (const warning of read.warnings) mustBeWords(warning, 1_000, 'a warning')
    for (const { shown } of Object.values(read.origins))
      must(shown === null || (shown.length <= 400 && !shown.includes(PLANTED)), 'a value is shown that may not be')
    return JSON.stringify(read.origins)
  },
}

const COMMANDS = [
  'status -o json',
  'status -t x --watch',
  'tenants list -o ndjson',
  'tenants remove x --waiting deliver --yes',
  'tenants apply nowhere.yaml --dry-run',
  'replay --since 2h --until 1h --match $.a=1 --to - --max 5 --reason x --yes',
  'replay --since 2026-11-23T10:00:00Z --versions latest --as delivered --severity high --to topic:x',
  'parked list --reason rejected --since 1d --rows --all',
  'parked show 3:5',
  'parked retry --tenant a --rate 5 --force --by me',
  'parked discard --parked rejected --reason why --yes',
  'sweep --since 6h --dry-run -o json',
  'acls --principal poller=User:a forwarder=User:b -o commands',
  'config print --role poller -o json',
  'audit list',
  'topics check',
  'schemas check',
  '--help',
  '--version',
  'nothing',
]

export const flags: Target = {
  name: 'flags',
  about: 'the command line of socos, one argument a line',
  samples: () => COMMANDS.map(line => Buffer.from(line.replaceAll(' ', '\n'))),
  words: [...new Set(COMMANDS.flatMap(line => line.split(' ')))].map(word => `\n${word}`),
  maxBytes: 4 * 1024,
  async run(input) {
    // standard input would be waited for, and files of this machine are not for guessing
    const argv = input
      .toString()
      .split('\n')
      .filter(arg => !arg.includes('\0'))
      .map(arg => (arg === '-' || arg.includes('/') ? 'nowhere' : arg))
    const said: string[] = []
    const printed: string[] = []
    const io = {
      env: { KAFKA_SASL_PASSWORD: PLANTED, SCHEMA_REGISTRY_TOKEN: PLANTED },
      out: (text: string) => void printed.push(text),
      say: (text: string) => void said.push(text),
      isErrTty: false,
    }
    const code = await runSocos(['node', 'socos', ...argv], io)
    must([0, 1, 2, 3, 4, 5, 6].includes(code), `exit code ${code}`)
    const text = said.join('')
    mustBeLines(text, 17_000, 'what is said')
    mustBeLines(printed.join(''), 200_000, 'what is printed')
    must(code === 0 || text !== '', 'it fails without a word')
    must(
      !/\n {4}at |\bInvalid time value\b|Cannot read prop|is not (?:a function|iterable)|undefined/.test(text),
      `a fault of the code: ${text.slice(0, 300)}`,
    )
    return `${code} ${text}`
  },
}

export const matchPattern: Target = {
  name: 'match',
  about: 'a pattern of replay --match, and the alert that it is tried on',
  samples: () =>
    [
      '$.severity = high',
      '$.evidence[*].roles[0] ~ x',
      "$['a b'] != 'c'",
      '$.a',
      '$.*',
      'plain',
      '$["@odata.type"] == "x"',
      '$',
    ].map(pattern =>
      joined([pattern, '{"severity":"high","a b":"c","evidence":[{"roles":["x"]}],"@odata.type":"x","a":{"b":[1]}}']),
    ),
  words: ['$', '.', '[*]', '[0]', "['", "']", '~', '!=', '=', ' ', '.*', '@', '-', '"severity"', '{"a":'],
  run(input) {
    const [pattern, alert] = partsOf(input, 2) as readonly [Buffer, Buffer]
    const text = pattern.toString()
    const read = readMatcher(text)
    if (read.kind === 'bad') {
      mustBeWords(read.problem, 800, 'the problem')
      return read.problem
    }
    const matches = read.matcher(alert)
    must(typeof matches === 'boolean', 'neither yes nor no')
    if (!text.startsWith('$')) must(matches === alert.includes(Buffer.from(text)), 'plain text is found otherwise')
    if (parsed(alert.toString()) === undefined && text.startsWith('$'))
      must(matches === /^\$[^=~!]*!=/.test(text) || !matches || text.includes('!='), 'what is no JSON has members')
    return String(matches)
  },
}

export const logLine: Target = {
  name: 'log-line',
  about: 'any data as message and fields of a log line',
  samples: () => [
    joined(['a sentence', '{"tenantId":"x","error":{"message":"m"},"list":[1,2,{"a":null}]}']),
    joined(['forged\n{"level":"error"}', `{"title":"\\u001b[31m\\u2028","authorization":"Bearer ${PLANTED}"}`]),
    joined([PLANTED, `{"deep":{"a":{"b":{"c":{"d":{"token":"${PLANTED}"}}}}},"url":"https://u:${PLANTED}@h/?x=1"}`]),
    joined(['x', '{"level":"fatal","time":0,"msg":"other","service":1,"__proto__":{"polluted":true},"toJSON":1}']),
  ],
  words: [
    '"err"',
    '"error"',
    '"msg"',
    '"level"',
    '"stack"',
    '"__proto__"',
    '"password":"',
    'eyJ0eXAiOiJKV1Qi',
    '-----BEGIN',
  ],
  run(input) {
    const [message, fields] = partsOf(input, 2) as readonly [Buffer, Buffer]
    const lines: string[] = []
    const log = createLog({
      level: 'debug',
      service: 'fuzz',
      destination: { write: line => void lines.push(line) },
      clock: { now: () => 0 },
    })
    const data = parsed(fields.toString())
    const given = isObject(data) ? data : { data: data ?? fields.toString() }
    log.warn(message.toString(), given)
    log.child(given).error(message.toString(), { error: new Error(message.toString(), { cause: given }) })
    must(lines.length === 2, `${lines.length} lines`)
    for (const line of lines) {
      must(line.endsWith('\n') && line.indexOf('\n') === line.length - 1, 'a line is not one line')
      mustBeWords(line.slice(0, -1), 120_000, 'a line')
      const event = parsed(line)
      must(isObject(event) && event['service'] === 'fuzz' && typeof event['msg'] === 'string', 'a line is no event')
      must(event['level'] === 'warn' || event['level'] === 'error', 'another level')
    }
    // a stack names places of this machine
    return lines[0] ?? ''
  },
}
