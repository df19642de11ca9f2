/** No effect without its steps: what a process does to the outside has a name, and that name one place in the code. */
import { describe, expect, test } from 'vitest'
import { openCrash, withSteps } from '../../platform/crash.ts'
import { EFFECTS, readCrashAt, type Step, STEPS } from '../../platform/effects.ts'
import type { Appender } from '../../platform/kafka/producer.ts'
import { publisherOf } from '../../platform/kafka/producer.ts'
import { codeOf, importsOf, projectFiles, type SourceFile } from './project-files.ts'

/** Who hands an append on under the name that it was given. */
const HANDING_ON: Readonly<Record<string, string>> = {
  'producers/turn.ts': 'looks whether the lane is still ours before each append of a turn',
  'consumers/lane.ts': 'the same before each append of a forwarder',
  'platform/kafka/producer.ts': 'puts the steps around it',
}

/** What the Kafka client can do to a cluster, beside a producer's sends. */
const KAFKA_CHANGES =
  /\.(?:commitOffsets|offsetCommit|setOffsets|resetOffsets|create(?:Topics|Partitions|Acls)|alterConfigs|delete(?:Topics|TopicRecords|Groups|Acls)|alterPartitionReassignments|electLeaders)\(/g

/** Modules by which a process reaches the outside. */
const WAYS_OUT = /^(?:undici|node:(?:https?|http2|net|tls|dgram|child_process|fs|fs\/promises))$/

/** Who has such a module, and by which of its calls something changes; null: it only reads or serves. */
const DOORS: Readonly<Record<string, RegExp | null>> = {
  'consumers/engine/client.ts': /\battempt\((?!\w+: )/g,
  'consumers/replay/to-file.ts': /\bopen\(|\bfile\.(?:write\w*|append\w*|truncate)\(|\bout\((?!\w+: )/g,
  'platform/avro/registry-admin.ts': /\bcall\('(?!GET')/g,
  'producers/graph/credentials.ts': null,
  'producers/graph/client.ts': null,
  'producers/graph/exchange.ts': null,
  'producers/graph/network.ts': null,
  'consumers/ocsf/reads.ts': null,
  'consumers/engine/endpoint.ts': null,
  'cli/config.ts': null,
  'cli/tenants.ts': null,
  'cli/tenants-invite.ts': null,
  'cli/connect.ts': null,
  'platform/worker.ts': null,
  'platform/health.ts': null,
  'platform/tls-files.ts': null,
  'platform/secret-file.ts': null,
  'platform/mounted-files.ts': null,
  'platform/kafka/client.ts': null,
  'platform/avro/registry.ts': null,
}
/** No door for reading has these in hand. */
const FILE_CHANGES = /\b(?:write|append|copy|rename|unlink|mk|rm|truncate|symlink|link|chmod|createWriteStream)\w*/

const production = projectFiles().filter(({ path }) => /^(?:producers|consumers|cli|platform)\/.*\.ts$/.test(path))

interface Call {
  readonly where: string
  readonly path: string
  readonly from: number
  readonly to: number
  readonly args: readonly string[]
}

/** Calls of a name, arguments as they are written. */
function callsOf({ path, text }: SourceFile, name: RegExp): readonly Call[] {
  const code = codeOf(text)
  return [...code.matchAll(name)].map(({ index, 0: match }) => {
    const open = index + match.length
    const args: string[] = []
    let from = open
    let at = open
    for (let depth = 1; at < code.length; at++) {
      const char = code[at] ?? ''
      if ('([{'.includes(char)) depth++
      if (')]}'.includes(char)) depth--
      if (depth === 0 || (depth === 1 && char === ',')) {
        args.push(text.slice(from, at).trim())
        from = at + 1
      }
      if (depth === 0) break
    }
    const where = `${path}:${code.slice(0, index).split('\n').length}`
    return { where, path, from: index, to: at, args: args.filter(arg => arg !== '') }
  })
}

const literal = (text: string | undefined): string | null => /^'([a-z-]+)'$/.exec(text ?? '')?.[1] ?? null
const appends = (file: SourceFile) => callsOf(file, /\.append\(/g)
const stepped = (file: SourceFile) => callsOf(file, /\bwithSteps\(/g)

/** Each effect with the places that name it. */
function namedIn(files: readonly SourceFile[]): ReadonlyMap<string, readonly string[]> {
  const sites = files.flatMap(file => [
    ...appends(file).map(call => ({ call, name: literal(call.args[3]) })),
    ...stepped(file).map(call => ({ call, name: literal(call.args[1]) })),
  ])
  const named = sites.flatMap(({ call, name }) => (name === null ? [] : [{ name, where: call.where }]))
  return new Map([...Map.groupBy(named, ({ name }) => name)].map(([name, all]) => [name, all.map(one => one.where)]))
}

/** Effects that go past the steps, as `path:line`. */
function pastTheSteps(files: readonly SourceFile[]): readonly string[] {
  return files.flatMap(file => {
    const covered = stepped(file)
    const isCovered = (index: number): boolean => covered.some(({ from, to }) => index > from && index < to)
    const isDoor = Object.hasOwn(DOORS, file.path)
    const changes = [
      ...callsOf(file, KAFKA_CHANGES),
      ...(isDoor && DOORS[file.path] ? changesOf(file, DOORS[file.path] ?? /$^/g) : []),
    ].filter(({ from }) => !isCovered(from))
    const nameless = [
      ...appends(file).filter(({ args }) => literal(args[3]) === null),
      ...stepped(file).filter(({ args }) => literal(args[1]) === null),
    ].filter(({ path }) => !Object.hasOwn(HANDING_ON, path))
    const producers = callsOf(file, /\.(?:producer|sendBatch|transaction)\(/g).filter(
      ({ path }) => path !== 'platform/kafka/producer.ts',
    )
    const engines = callsOf(file, /\bpool\.(?:request|stream|pipeline|dispatch)\(/g).filter(
      ({ path }) => path !== 'consumers/engine/client.ts',
    )
    const strangers = importsOf(file).filter(({ specifier, isType }) => !isType && WAYS_OUT.test(specifier) && !isDoor)
    const writers = DOORS[file.path] === null && /node:fs/.test(file.text) && fileImports(file).some(isFileChange)
    return [
      ...[...changes, ...nameless, ...producers, ...engines].map(({ where }) => where),
      ...strangers.map(({ specifier }) => `${file.path} imports ${specifier}`),
      ...(writers ? [`${file.path} may write files`] : []),
      ...(/(?<![.\w])fetch\((?!\w+: )/.test(codeOf(file.text)) ? [`${file.path} calls fetch`] : []),
    ]
  })
}

function changesOf(file: SourceFile, pattern: RegExp): readonly Call[] {
  const code = codeOf(file.text)
  const isCode = (index: number): boolean => code[index] === file.text[index] && code[index] !== ' '
  return [...file.text.matchAll(pattern)].flatMap(({ index }) =>
    isCode(index) && !/\bfunction $/.test(code.slice(0, index))
      ? [
          {
            where: `${file.path}:${code.slice(0, index).split('\n').length}`,
            path: file.path,
            from: index,
            to: index,
            args: [],
          },
        ]
      : [],
  )
}

const fileImports = ({ text }: SourceFile): readonly string[] =>
  [...text.matchAll(/import \{([^}]*)\} from 'node:fs(?:\/promises)?'/g)].flatMap(([, names = '']) => names.split(','))
const isFileChange = (name: string): boolean => FILE_CHANGES.test(name.trim())

describe('every effect', () => {
  test('has one place in the code', () => {
    const named = namedIn(production)
    const places = Object.fromEntries([...named].filter(([, all]) => all.length > 1))
    expect(places).toEqual({})
    expect([...named.keys()].toSorted()).toEqual(Object.keys(EFFECTS).toSorted())
  })

  test('goes through its steps', () => {
    expect(pastTheSteps(production)).toEqual([])
  })

  test('each door is there, and hands on what it says', () => {
    const paths = new Set(production.map(({ path }) => path))
    expect([...Object.keys(DOORS), ...Object.keys(HANDING_ON)].filter(path => !paths.has(path))).toEqual([])
    for (const file of production) {
      const pattern = DOORS[file.path]
      if (pattern) expect(changesOf(file, pattern), file.path).not.toEqual([])
    }
  })

  const sample = (path: string, text: string): SourceFile[] => [{ path, text }]
  test.each([
    ['producers/a.ts', 'await publisher.append(topic, lane, [record])'],
    ['producers/a.ts', 'await publisher.append(topic, lane, records.map(a => f(a, b)), effect)'],
    ['cli/a.ts', 'const { append } = x\nawait deps.publisher.append(\n  topic,\n  lane,\n  records,\n)'],
    ['cli/a.ts', 'const producer = kafka.producer({})'],
    ['cli/a.ts', 'await admin.createTopics({ topics: [] })'],
    ['cli/a.ts', "await withSteps(crash, 'audit', () => x())\nawait admin.deleteTopics({ topics: [] })"],
    ['platform/kafka/lanes.ts', 'await group.commitOffsets({ topics })'],
    ['platform/kafka/lanes.ts', 'await withSteps(crash, name, () => group.commitOffsets({ topics }))'],
    ['consumers/a.ts', "import { request } from 'undici'"],
    ['consumers/engine/client.ts', 'return await attempt(items, sender, signal)'],
    ['consumers/replay/to-file.ts', 'await file.write(packed, 0, packed.length, position)'],
    ['platform/avro/registry-admin.ts', "await call('PUT', path, body)"],
    ['cli/a.ts', "import { writeFile } from 'node:fs/promises'"],
    ['cli/config.ts', "import { readFileSync, writeFileSync } from 'node:fs'"],
    ['cli/a.ts', 'await fetch(url)'],
  ])('%s: %s is found', (path, text) => {
    expect(pastTheSteps(sample(path, text))).not.toEqual([])
  })

  test.each([
    ['producers/a.ts', "await publisher.append(topic, lane, records.map(a => f(a, b)), 'ledger')"],
    ['producers/a.ts', "// .append(topic)\nconst s = '.append(x)'"],
    ['platform/kafka/lanes.ts', "await withSteps(options.crash, 'offsets', () => group.commitOffsets({ topics }))"],
    ['platform/avro/registry-admin.ts', "await call('GET', path)"],
    ['cli/config.ts', "import { readFileSync } from 'node:fs'"],
  ])('%s: %s is fine', (path, text) => {
    expect(pastTheSteps(sample(path, text))).toEqual([])
  })
})

describe('a crash', () => {
  /** What had happened when the process died. */
  async function diesAt(step: Step, nth: number, rounds = 1): Promise<string[]> {
    const happened: string[] = []
    const died = Promise.withResolvers<void>()
    const crash = openCrash({ step, nth }, 'worker', words => happened.push(words), {
      heldMs: 5,
      sleep: async ms => void happened.push(`${ms} ms`),
      die: () => died.resolve(),
      atExit: () => {},
    })
    const work = async (): Promise<void> => {
      for (let round = 1; round <= rounds; round++) {
        await withSteps(crash, 'ledger', async () => happened.push(`effect ${round}`))
        happened.push(`after ${round}`)
      }
    }
    await Promise.race([work(), died.promise])
    return happened
  }

  test('comes before the effect, while it is under way, or when nothing else has happened', async () => {
    expect(await diesAt('ledger.before', 1)).toEqual(['5 ms', 'dies as it was told to, at ledger.before#1'])
    expect(await diesAt('ledger.sent', 1)).toEqual(['effect 1', '5 ms', 'dies as it was told to, at ledger.sent#1'])
    expect(await diesAt('ledger.done', 1)).toEqual(['effect 1', 'dies as it was told to, at ledger.done#1'])
  })

  test('comes the n-th time', async () => {
    const happened = await diesAt('ledger.before', 2, 3)
    expect(happened).toEqual(['effect 1', 'after 1', '5 ms', 'dies as it was told to, at ledger.before#2'])
    expect(await diesAt('ledger.before', 4, 3)).not.toContain('dies as it was told to, at ledger.before#4')
  })

  test('counts instead when it is asked to', async () => {
    let tell = (): void => {}
    const said: string[] = []
    const crash = openCrash('count', 'command', words => said.push(words), {
      heldMs: 5,
      sleep: async () => {},
      die: () => said.push('died'),
      atExit: telling => (tell = telling),
    })
    for (let round = 0; round < 2; round++) await withSteps(crash, 'audit', async () => {})
    tell()
    expect(said).toEqual([
      'comes to audit.before',
      'comes to audit.sent',
      'comes to audit.done',
      'steps passed: {"audit.before":2,"audit.sent":2,"audit.done":2}',
    ])
  })

  test('that nobody asks for wraps nothing', () => {
    expect(openCrash(null, 'worker', () => {})).toBeNull()
    const appender: Appender = { append: async () => 0 }
    expect(publisherOf(appender, null)).toBe(appender)
    const given = Promise.resolve(1)
    expect(withSteps(null, 'audit', () => given)).toBe(given)
  })

  test('leaves an effect that fails its error', async () => {
    const crash = openCrash('count', 'worker', () => {}, {
      heldMs: 5,
      sleep: async () => {},
      die: () => {},
      atExit: () => {},
    })
    await expect(withSteps(crash, 'audit', () => Promise.reject(new Error('no')))).rejects.toThrow('no')
  })

  test('is named by a step and a number', () => {
    expect(STEPS).toHaveLength(3 * Object.keys(EFFECTS).length)
    for (const step of STEPS) expect(readCrashAt(`${step}#12`)).toEqual({ step, nth: 12 })
    expect(readCrashAt('count')).toBe('count')
    for (const bad of ['', 'ledger', 'ledger.sent', 'ledger.sent#0', 'ledger.sent#x', 'ledger.after#1', 'x.sent#1']) {
      expect(readCrashAt(bad), bad).toBeNull()
    }
  })
})
