/**
 * Longer than the rule because it is a table: each rule of the house with the reason, its exceptions, and samples that it
 * must catch and must not, so that no rule can go blind unnoticed.
 */
import { posix } from 'node:path'
import { describe, expect, test } from 'vitest'
import { codeOf, importsOf, projectFiles, type SourceFile } from './project-files.ts'

interface Rule {
  readonly name: string
  /** What breaks the rule, as `path: what`. */
  readonly find: (files: readonly SourceFile[]) => readonly string[]
  /** Each breaks the rule by itself. */
  readonly caught: readonly Readonly<Record<string, string>>[]
  /** Close to the border, on the right side of it. */
  readonly fine?: Readonly<Record<string, string>>
}

/** By path, a file or a folder with a slash at the end; the reason is for whoever reads the list. */
type Exceptions = Readonly<Record<string, string>>

const LINES_MAX = 250

/** Who may import whom. Arrows point downwards: `cli bench`, then `producers consumers`, then `platform schemas sandbox`. */
const BELOW: Readonly<Record<string, readonly string[]>> = {
  cli: ['producers', 'consumers', 'platform', 'schemas'],
  // the tables, and the guide that the command line fills in
  docs: ['cli', 'platform', 'schemas'],
  // only names and numbers, to write manifests from
  k8s: ['platform', 'schemas', 'sandbox'],
  bench: ['producers', 'consumers', 'platform', 'schemas', 'sandbox'],
  producers: ['platform', 'schemas'],
  consumers: ['platform', 'schemas'],
  platform: ['schemas'],
  schemas: [],
  // it starts workers and the CLI as processes, and never imports them
  sandbox: ['platform', 'schemas'],
}

/** What `platform` takes from `schemas` beyond types: two tables without behaviour of an alert. */
const SCHEMA_VALUES: Exceptions = {
  'platform/worker.ts': 'no worker starts on topics that differ from the one table',
  'platform/metrics-table.ts': 'the closed set of parking reasons is a label',
}

/** Packages that have one door each, so that their faults and their types stay behind it. */
const DOORS: Readonly<Record<string, readonly string[]>> = {
  kafkajs: ['platform/kafka/'],
  avsc: ['platform/avro/'],
  '@kafkajs/confluent-schema-registry': ['platform/avro/'],
  '@azure/msal-node': ['producers/graph/'],
  pino: ['platform/log.ts'],
  '@opentelemetry/api': ['platform/metrics.ts', 'platform/metrics-gauges.ts', 'platform/trace-otel.ts'],
  '@opentelemetry/resources': ['platform/metrics-gauges.ts', 'platform/trace-otel.ts', 'platform/otlp.ts'],
  '@opentelemetry/sdk-metrics': ['platform/metrics.ts', 'platform/metrics-gauges.ts'],
  '@opentelemetry/exporter-prometheus': ['platform/metrics.ts'],
  '@opentelemetry/sdk-trace': ['platform/trace-otel.ts', 'platform/otlp.ts'],
  '@opentelemetry/exporter-metrics-otlp-http': ['platform/otlp.ts'],
  '@opentelemetry/exporter-trace-otlp-http': ['platform/otlp.ts'],
  'close-with-grace': ['platform/shutdown.ts'],
  testcontainers: ['sandbox/kafka/'],
}

const ENVIRONMENT: Exceptions = {
  'platform/settings.ts': 'the one reader',
  'sandbox/demo.ts': 'hands the whole environment on to the processes that it starts',
  'sandbox/chaos.ts': 'the same',
  'sandbox/chaos/kept-memory.ts': 'it is loaded into a worker beside its code, and has no other way to be told',
  'sandbox/chaos/stepped-clock.ts': 'it is loaded into a worker beside its code, and has no other way to be told',
  'sandbox/kafka/main.ts': 'the same, for Java, Maven and the container engine',
  'sandbox/kafka/engine.ts': 'Testcontainers takes these two settings from there only',
}

/** Classes that inherit, beyond errors. */
const INHERITING: Exceptions = {
  'sandbox/kafka/engine.ts': 'Testcontainers gives no other way to open a port on the loopback only',
}

const AMBIENT_ALLOWED: Exceptions = {
  'platform/clock.ts': 'the clock and the chance that everything else is given',
  'platform/kafka/lanes.ts': 'defaults of two arguments: a clock that never jumps, and chance',
  'platform/kafka/producer.ts': 'the default of an argument: a clock that never jumps',
  'platform/avro/registry-admin.ts': 'the deadline of a request of the command line',
  'producers/listing.ts': 'setImmediate lets other work pass between pages; it measures nothing',
}

/** Time and chance that come from nowhere. `new Date(ms)` is arithmetic and may stay. */
const AMBIENT =
  /\bDate\.now\b|\bnew Date\(\s*\)|\bMath\.random\b|\b(?:setTimeout|setInterval|setImmediate)\b|\bperformance\.now\b|\bprocess\.(?:hrtime|uptime)\b|\bAbortSignal\.timeout\b|\brandom(?:UUID|Bytes|Int)\b/g

const rules: readonly Rule[] = [
  {
    name: 'arrows between the folders point downwards',
    find: files =>
      imports(files).flatMap(({ file, specifier, target }) => {
        const [from, to] = [topOf(file.path), topOf(target ?? '')]
        const allowed = BELOW[from]
        if (target === null || allowed === undefined || to === from || allowed.includes(to)) return []
        return [`${file.path}: imports ${specifier}`]
      }),
    caught: [
      { 'producers/poll.ts': "import { x } from '../consumers/ledger.ts'" },
      { 'consumers/lane.ts': "import type { X } from '../producers/window.ts'" },
      { 'consumers/main.ts': "import { startEngineSim } from '../sandbox/engine/sim.ts'" },
      { 'producers/graph/client.ts': "export { x } from '../../cli/io.ts'" },
      { 'sandbox/demo/run.ts': "const lane = await import('../../producers/lane.ts')" },
      { 'cli/replay.ts': "import { judge } from '../sandbox/oracle.ts'" },
      { 'schemas/topics.ts': "import { scrub } from '../platform/log-scrub.ts'" },
      { 'platform/worker.ts': "import { poll } from '../producers/poll.ts'" },
      { 'platform/worker.ts': "import { Rig } from '../test/unit/graph-rig.ts'" },
    ],
    fine: {
      'cli/sweep.ts': "import { sweep } from '../producers/sweep.ts'",
      'sandbox/crew.ts': "spawn('node', ['producers/main.ts'])",
      'test/unit/x.test.ts': "import { x } from '../../sandbox/oracle.ts'",
    },
  },
  {
    name: 'platform takes only types from schemas',
    find: files =>
      imports(files).flatMap(({ file, specifier, target, isType }) => {
        if (isType || topOf(file.path) !== 'platform' || topOf(target ?? '') !== 'schemas') return []
        return isExcepted(file.path, SCHEMA_VALUES) ? [] : [`${file.path}: imports values of ${specifier}`]
      }),
    caught: [
      { 'platform/health.ts': "import { TOPICS } from '../schemas/topics.ts'" },
      { 'platform/kafka/x.ts': "import type { A } from './a.ts'\nimport { TOPICS } from '../../schemas/topics.ts'" },
    ],
    fine: {
      'platform/health.ts': "import { a } from './a.ts'\nimport type { TopicSpec } from '../schemas/topics.ts'",
    },
  },
  {
    name: 'no imports in a circle',
    find: files => circles(files).map(circle => circle.join(' → ')),
    caught: [
      { 'a/one.ts': "import { b } from './two.ts'", 'a/two.ts': "import type { A } from './one.ts'" },
      {
        'a/one.ts': "import { b } from './two.ts'",
        'a/two.ts': "export { c } from '../b/three.ts'",
        'b/three.ts': "const a = await import('../a/one.ts')",
      },
    ],
    fine: {
      'a/one.ts': "import { b } from './two.ts'\nimport { c } from './three.ts'",
      'a/two.ts': "import { c } from './three.ts'",
      'a/three.ts': '',
    },
  },
  {
    name: 'each package has its door',
    find: files =>
      imports(files).flatMap(({ file, specifier }) => {
        const name = packageOf(specifier)
        const doors = Object.hasOwn(DOORS, name) ? DOORS[name] : undefined
        if (doors === undefined || topOf(file.path) === 'test') return []
        return doors.some(door => file.path === door || (door.endsWith('/') && file.path.startsWith(door)))
          ? []
          : [`${file.path}: imports ${specifier}, which is for ${doors.join(' ')}`]
      }),
    caught: [
      { 'cli/status.ts': "import { Kafka } from 'kafkajs'" },
      { 'bench/main.ts': "const { Kafka } = require('kafkajs')" },
      { 'consumers/lane.ts': "import Fetch from 'kafkajs/src/protocol/requests/fetch/index.js'" },
      { 'schemas/generate.ts': "import avro from 'avsc'" },
      { 'cli/schemas.ts': "import { SchemaRegistry } from '@kafkajs/confluent-schema-registry'" },
      { 'sandbox/graph/entra.ts': "import type { AuthError } from '@azure/msal-node'" },
      { 'platform/worker.ts': "import { pino } from 'pino'" },
      { 'consumers/observe.ts': "import { metrics } from '@opentelemetry/api'" },
    ],
    fine: { 'platform/kafka/kafkajs.ts': "import { Kafka } from 'kafkajs'" },
  },
  {
    name: 'one file reads the environment',
    find: files => {
      const others = files.filter(({ path }) => topOf(path) !== 'test' && !isExcepted(path, ENVIRONMENT))
      const byName = imports(others).filter(({ specifier }) => /^(?:node:)?process$/.test(specifier))
      return [
        ...matches(others, /\bprocess\??\.env\b|\bprocess\[|\{[^{}]*\benv\b[^{}]*\} = process\b/g),
        ...byName.map(({ file, specifier }) => `${file.path}: imports ${specifier}`),
      ]
    },
    caught: [
      { 'cli/io.ts': 'const home = process.env.HOME' },
      { 'producers/main.ts': "const home = process.env['HOME']" },
      { 'producers/main.ts': "import { env } from 'node:process'" },
      { 'sandbox/demo/stage.ts': 'const { HOME } = process.env' },
      { 'sandbox/demo/stage.ts': 'const { env } = process' },
    ],
    fine: { 'cli/io.ts': '// not process.env\nconst env = processEnvironment()' },
  },
  {
    name: 'time and chance come in as arguments',
    find: files =>
      matches(
        files.filter(
          ({ path }) =>
            ['producers', 'consumers', 'schemas', 'platform'].includes(topOf(path)) &&
            !isExcepted(path, AMBIENT_ALLOWED),
        ),
        AMBIENT,
      ),
    caught: [
      { 'producers/poll.ts': 'const at = Date.now()' },
      { 'producers/poll.ts': 'const now = Date.now' },
      { 'consumers/lane.ts': 'const at = new Date().toISOString()' },
      { 'consumers/lane.ts': "import { setTimeout as delay } from 'node:timers/promises'" },
      { 'schemas/topics.ts': 'export const seed = Math.random()' },
      { 'producers/graph/client.ts': 'const started = performance.now()' },
      { 'consumers/engine/client.ts': 'signal: AbortSignal.timeout(30_000)' },
      { 'platform/health.ts': 'setInterval(look, 1_000)' },
      { 'consumers/replay/run.ts': 'const id = randomUUID()' },
    ],
    fine: {
      'consumers/version.ts':
        "const day = new Date(ms).toISOString() // Date.now() would be wrong\nconst s = 'Date.now'",
      'cli/tenants.ts': 'const nowMs = Date.now()',
    },
  },
  {
    name: `a file past ${LINES_MAX} lines says at its top why`,
    // a test file grows by promises, one beside the other; what tests share is held to the rule
    find: files =>
      sources(files).flatMap(({ path, text }) => {
        const lines = text.split('\n').length - 1
        if (lines <= LINES_MAX || path.endsWith('.test.ts')) return []
        return /\b(?:longer than|past 250 lines)\b/i.test(head(text))
          ? []
          : [`${path}: ${lines} lines and no reason at its top`]
      }),
    caught: [
      { 'consumers/lane.ts': long("import { a } from './a.ts'\n") },
      { 'consumers/lane.ts': long('/** Everything about lanes. */\n') },
      {
        'consumers/lane.ts': long("import { a } from './a.ts'\nconst b = 1\n/** Longer than the rule: too late. */\n"),
      },
    ],
    fine: {
      'consumers/a.ts': 'const a = 1\n'.repeat(LINES_MAX),
      'consumers/b.ts': long('/** Longer than the rule: it is one table. */\n'),
      'consumers/c.ts': long("import { a } from './a.ts'\n\n/** A table.\n * Past 250 lines because of it. */\n"),
      'test/unit/x.test.ts': long(''),
    },
  },
  {
    name: 'no file that nothing uses',
    find: files => {
      const used = reachable(files)
      return sources(files).flatMap(({ path }) => (used.has(path) ? [] : [`${path}: neither started nor imported`]))
    },
    caught: [
      { 'package.json': '{"scripts":{}}', 'cli/old.ts': '' },
      { 'package.json': '{"scripts":{}}', 'cli/a.ts': "import './b.ts'", 'cli/b.ts': "import './a.ts'" },
      { 'package.json': '{"scripts":{"a":"node a.ts"}}', 'a.ts': '', 'b.ts': "import './a.ts'" },
      { 'package.json': '{"scripts":{"a":"node a.ts"}}', 'a.ts': "// start('bench/b.ts')", 'bench/b.ts': '' },
    ],
    fine: {
      'package.json': '{"bin":{"x":"cli/x.ts"},"scripts":{"a":"node sandbox/a.ts --fast"}}',
      'cli/x.ts': "import { y } from './y.ts'",
      'cli/y.ts': "spawn(new URL('./child.ts', import.meta.url))",
      'cli/child.ts': '',
      'sandbox/a.ts': "spawn('node', ['bench/b.ts', '--fast'])",
      'bench/b.ts': '',
      'test/unit/a.test.ts': "import './kit.ts'",
      'test/unit/kit.ts': '',
      'vitest.config.ts': "globalSetup: ['test/stack.ts']",
      'test/stack.ts': '',
    },
  },
  {
    name: 'no any',
    find: files => matches(files, /(?:[:<,|&]|\bas|\bsatisfies|\bextends|=)\s*any\b(?=\s*(?:[>,;)\]|&=[{]|$))/gm),
    caught: [
      { 'a.ts': 'function f(x: any) {}' },
      { 'a.ts': 'const x = y as any' },
      { 'a.ts': 'const m = new Map<string, any>()' },
      { 'a.ts': 'type X = any' },
      { 'a.ts': 'let x: readonly string[] | any' },
    ],
    fine: { 'a.ts': '// any: x\nconst any = 1\nconst s = `: any`\nAbortSignal.any([a])' },
  },
  {
    name: 'no value is claimed not to be null',
    find: files => matches(files, /[\w)\]}]!(?![=\w])/g),
    caught: [
      { 'a.ts': 'const x = list[0]!' },
      { 'a.ts': 'map.get(key)!.close()' },
      { 'a.ts': 'let x!: string' },
      { 'a.ts': 'f(a!, b)' },
    ],
    fine: { 'a.ts': "if (!a && b !== c && d != e) f(!g, 'h!')" },
  },
  {
    name: 'no enums, namespaces, decorators, default exports or barrels',
    find: files =>
      matches(
        files.filter(({ path }) => path !== 'vitest.config.ts'),
        /\benum\s+\w+\s*\{|\b(?:namespace|module)\s+\w+\s*\{|\bexport\s+default\b|\bexport\s+(?:type\s+)?\*|@\w+\(/g,
      ),
    caught: [
      { 'a.ts': 'export enum Colour { red }' },
      { 'a.ts': 'const enum Colour { red }' },
      { 'a.ts': 'namespace A { }' },
      { 'a.ts': 'export default function f() {}' },
      { 'a.ts': "export * from './b.ts'" },
      { 'a.ts': "export type * from './b.ts'" },
      { 'a.ts': '@injectable() class A {}' },
    ],
    fine: { 'a.ts': "// export default\nconst enumerate = 'enum X {'\nexport { a } from './b.ts'" },
  },
  {
    name: 'no class is abstract or inherits, but from errors',
    find: files =>
      matches(
        files.filter(({ path }) => !isExcepted(path, INHERITING)),
        /\babstract\s+\w|\bclass\b[^{]*?\bextends\s+(?![\w.]*Error\b)[\w.]+/g,
      ),
    caught: [
      { 'a.ts': 'abstract class A {}' },
      { 'a.ts': 'class Dog extends Animal {}' },
      { 'a.ts': 'export class Dog<T> extends Animal<T> {}' },
      { 'a.ts': 'const dog = new (class extends pets.Animal {})()' },
    ],
    fine: {
      'a.ts': 'class Refusal extends Error {}\nclass Lost extends TransientError {}\ninterface C extends D {}',
    },
  },
  {
    name: 'no file that only passes on, and none named for nothing',
    find: files =>
      sources(files).flatMap(({ path, text }) => {
        const found: string[] = []
        if (/^(?:index|utils?|helpers?|common|misc|shared|base|types?)\.ts$/.test(posix.basename(path))) {
          // the generated one is what the .avsc files say
          if (path !== 'schemas/types.ts') found.push(`${path}: says nothing by its name`)
        }
        const rest = codeOf(text).replace(/\bexport\s+(?:type\s+)?\{[^}]*\}\s*from\s*(['"])\s*\1|\s|;/g, '')
        if (rest === '' && text.includes('export')) found.push(`${path}: only passes on what others export`)
        return found
      }),
    caught: [
      { 'platform/utils.ts': 'export const a = 1' },
      { 'consumers/index.ts': 'export const a = 1' },
      { 'consumers/engine/all.ts': "export { a } from './a.ts'\nexport type { B } from './b.ts'\n" },
    ],
    fine: { 'platform/kafka/kafkajs.ts': "export type { Admin } from 'kafkajs'\nexport const level = 1" },
  },
  {
    name: 'no test is skipped, alone, or yet to be written',
    find: files =>
      matches(
        files.filter(({ path }) => topOf(path) === 'test'),
        /\b(?:test|it|describe|suite|bench)\b[\w.]*\.(?:skip|only|todo|skipIf|runIf|fails)\b|\b[xf](?:test|it|describe)\(|\b\w+\.skip\(/g,
      ),
    caught: [
      { 'test/unit/a.test.ts': "test.skip('later', () => {})" },
      { 'test/unit/a.test.ts': "describe.only('this', () => {})" },
      { 'test/unit/a.test.ts': "test.todo('write it')" },
      { 'test/kafka/a.test.ts': "test.skipIf(!docker)('needs it', () => {})" },
      { 'test/kafka/a.test.ts': "test.concurrent.only('this', () => {})" },
      { 'test/unit/a.test.ts': 'test("x", ({ skip }) => context.skip())' },
    ],
    fine: { 'test/unit/a.test.ts': "test('a test.skip in words', () => url.searchParams.get('skip'))" },
  },
]

const project = projectFiles()

for (const { name, find, caught, fine = {} } of rules) {
  describe(name, () => {
    test('holds in the whole project', () => {
      expect(find(project)).toEqual([])
    })

    test('the rule catches what breaks it', () => {
      expect(caught.filter(sample => find(asFiles(sample)).length === 0)).toEqual([])
    })

    test('the rule lets pass what is right', () => {
      expect(find(asFiles(fine))).toEqual([])
    })
  })
}

describe('the exceptions of the rules', () => {
  test('each names a file that is there', () => {
    const paths = new Set(project.map(({ path }) => path))
    const named = [SCHEMA_VALUES, ENVIRONMENT, AMBIENT_ALLOWED, INHERITING].flatMap(Object.keys)
    expect(named.filter(path => !paths.has(path))).toEqual([])
  })

  test('each is needed', () => {
    const code = new Map(project.map(({ path, text }) => [path, codeOf(text)]))
    const idle = (exceptions: Exceptions, pattern: RegExp): readonly string[] =>
      Object.keys(exceptions).filter(path => code.get(path)?.search(pattern) === -1)
    expect(idle(ENVIRONMENT, /\bprocess\.env\b/)).toEqual([])
    expect(idle(INHERITING, /\bclass\b[^{]*\bextends\b/)).toEqual([])
    expect(idle(AMBIENT_ALLOWED, new RegExp(AMBIENT.source))).toEqual([])
    const values = imports(project).filter(({ target, isType }) => !isType && topOf(target ?? '') === 'schemas')
    expect(Object.keys(SCHEMA_VALUES).filter(path => !values.some(({ file }) => file.path === path))).toEqual([])
  })

  test('each door is used', () => {
    const used = new Set(imports(project).map(({ specifier }) => packageOf(specifier)))
    expect(Object.keys(DOORS).filter(name => !used.has(name))).toEqual([])
  })
})

describe('reading code', () => {
  test('comments, strings and patterns are no code, and everything keeps its place', () => {
    const text = 'const a = \'x\' // y\n/* z */ const b = `p ${q + "r"} s` / 2\nif (/t"u/.test(v)) w()\n'
    const code = codeOf(text)
    expect(code).toHaveLength(text.length)
    expect(code.replace(/\s+/g, ' ').trim()).toBe(
      'const a = \' \' const b = ` ${q + " "} ` / 2 if (/ /.test(v)) w()'.replace(/\s+/g, ' '),
    )
  })

  test('all forms of imports are seen', () => {
    const text = [
      "import a from 'one'",
      "import type { B } from 'two'",
      'import {',
      '  c,',
      "} from './three.ts'",
      "import 'four'",
      "export { d } from 'five'",
      "const e = await import('six')",
      "spawn(new URL('./seven.ts', import.meta.url))",
      "// import 'eight'",
      'const f = "import \'nine\'"',
    ].join('\n')
    const found = importsOf({ path: 'x.ts', text })
    expect(found.map(({ specifier }) => specifier)).toEqual([
      'one',
      'two',
      './three.ts',
      'four',
      'five',
      'six',
      './seven.ts',
    ])
    expect(found.filter(({ isType }) => isType).map(({ specifier }) => specifier)).toEqual(['two'])
  })
})

interface Arrow {
  readonly file: SourceFile
  readonly specifier: string
  /** The file of the project that is meant, null for a package. */
  readonly target: string | null
  readonly isType: boolean
}

function imports(files: readonly SourceFile[]): readonly Arrow[] {
  return sources(files).flatMap(file =>
    importsOf(file).map(({ specifier, isType }) => ({
      file,
      specifier,
      isType,
      target: specifier.startsWith('.') ? posix.join(posix.dirname(file.path), specifier) : null,
    })),
  )
}

function sources(files: readonly SourceFile[]): readonly SourceFile[] {
  return files.filter(({ path }) => path.endsWith('.ts'))
}

function topOf(path: string): string {
  return path.split('/')[0] ?? ''
}

function packageOf(specifier: string): string {
  return specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/')
}

function isExcepted(path: string, exceptions: Exceptions): boolean {
  return Object.hasOwn(exceptions, path)
}

/** Where a pattern stands in code, comments and texts aside. */
function matches(files: readonly SourceFile[], pattern: RegExp): readonly string[] {
  return sources(files).flatMap(({ path, text }) => {
    const code = codeOf(text)
    return [...code.matchAll(pattern)].map(({ index }) => {
      const line = code.slice(0, index).split('\n').length
      return `${path}:${line}: ${text.split('\n')[line - 1]?.trim()}`
    })
  })
}

/** Everything before the first line of code that is no import. */
function head(text: string): string {
  const code = codeOf(text)
  const first = code.search(/^(?!import\b|\}|\s|$)/m)
  return first < 0 ? text : text.slice(0, first)
}

function long(beginning: string): string {
  return beginning + 'const a = 1\n'.repeat(LINES_MAX + 1)
}

function circles(files: readonly SourceFile[]): readonly (readonly string[])[] {
  const arrows = Map.groupBy(imports(files), ({ file }) => file.path)
  const done = new Set<string>()
  const found: string[][] = []
  const visit = (path: string, way: readonly string[]): void => {
    const again = way.indexOf(path)
    if (again >= 0) found.push([...way.slice(again), path])
    if (again >= 0 || done.has(path)) return
    for (const { target } of arrows.get(path) ?? []) if (target !== null) visit(target, [...way, path])
    done.add(path)
  }
  for (const path of arrows.keys()) visit(path, [])
  return found
}

/** From what package.json and vitest start, along all imports and all programs that are started by their path. */
function reachable(files: readonly SourceFile[]): ReadonlySet<string> {
  const textOf = (path: string): string => files.find(file => file.path === path)?.text ?? ''
  const started = ['package.json', 'vitest.config.ts', 'docker-compose.yml'].flatMap(
    path => textOf(path).match(/[\w./-]+\.ts\b/g) ?? [],
  )
  const tests = files.map(({ path }) => path).filter(path => path.endsWith('.test.ts'))
  const arrows = Map.groupBy(imports(files), ({ file }) => file.path)
  const used = new Set<string>()
  const queue = ['vitest.config.ts', ...started, ...tests]
  for (const path of queue) {
    if (used.has(path)) continue
    used.add(path)
    for (const { target } of arrows.get(path) ?? []) if (target !== null) queue.push(target)
    queue.push(...pathsIn(textOf(path)))
  }
  return used
}

/** Texts that are the path of a program; those in comments are not. */
function pathsIn(text: string): readonly string[] {
  const code = codeOf(text)
  const texts = [...text.matchAll(/(['"])([\w-]+\/[\w./-]+\.ts)\1/g)]
  return texts.flatMap(({ index, 1: quote, 2: path }) => (code[index] === quote && path !== undefined ? [path] : []))
}

function asFiles(sample: Readonly<Record<string, string>>): readonly SourceFile[] {
  return Object.entries(sample).map(([path, text]) => ({ path, text }))
}
