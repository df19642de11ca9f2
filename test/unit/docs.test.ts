/**
 * What the documents say is compared with the code, in both directions: what is missing and what is too much both fail.
 * Longer than the rule: each statement of a document is one test.
 */
import { existsSync, readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { program } from '../../cli/commands.ts'
import type { Io } from '../../cli/io.ts'
import { EXIT } from '../../cli/io.ts'
import { DOCUMENTS, withTables } from '../../docs/tables.ts'
import { parseTenantsFile } from '../../platform/tenants-file.ts'
import type { Cloud, TenantAccess } from '../../producers/graph/clouds.ts'
import { endpoints } from '../../producers/graph/clouds.ts'
import { readCredential } from '../../producers/graph/credentials.ts'
import { entraTrouble } from '../../producers/graph/entra-errors.ts'
import { graphTrouble } from '../../producers/graph/graph-errors.ts'
import { generateTypes } from '../../schemas/generate.ts'
import { selfSigned } from './graph-rig.ts'
import { projectFiles, ROOT } from './project-files.ts'

const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8')
const README = read('README.md')
const documents = projectFiles().filter(({ path }) => path.endsWith('.md'))

interface PackageJson {
  readonly scripts: Readonly<Record<string, string>>
  readonly dependencies: Readonly<Record<string, string>>
  readonly devDependencies: Readonly<Record<string, string>>
  readonly optionalDependencies: Readonly<Record<string, string>>
}
const project = JSON.parse(read('package.json')) as PackageJson

function section(name: string): string {
  const found = README.split(/^## /m).find(part => part.startsWith(`${name}\n`))
  if (found === undefined) throw new Error(`README has no section ${name}`)
  return found
}

describe('the documents agree with the code', () => {
  test.each(DOCUMENTS)('the tables of %s are those of the code (npm run docs:tables)', file => {
    const text = read(file)
    expect(text).toMatch(/<!-- table: \w+ -->/)
    expect(withTables(text)).toBe(text)
    const old = text.replace(/(<!-- table: \w+ -->\n)/, '$1| an old row |\n')
    expect(withTables(old)).not.toBe(old)
  })

  test('schemas/types.ts is what the schemas say (npm run schemas:types)', () => {
    expect(read('schemas/types.ts')).toBe(generateTypes())
  })

  test('README names every dependency, and none that is not there', () => {
    const named = [...section('Dependencies').matchAll(/^\| `([^`]+)` \|/gm)].map(match => match[1])
    const { dependencies, devDependencies, optionalDependencies } = project
    const there = Object.keys({ ...dependencies, ...devDependencies, ...optionalDependencies })
    expect(new Set(named)).toEqual(new Set(there))
  })

  test('every version is pinned exactly', () => {
    const { dependencies, devDependencies, optionalDependencies } = project
    for (const version of Object.values({ ...dependencies, ...devDependencies, ...optionalDependencies })) {
      expect(version).toMatch(/^\d+\.\d+\.\d+$/)
    }
  })

  test('README names every script that people run, and none that is not there', () => {
    const named = new Set([...section('Commands').matchAll(/`npm (?:run )?([\w:]+)`/g)].map(match => match[1]))
    const notForPeople = new Set(['types', 'lint', 'format'])
    const there = Object.keys(project.scripts).filter(name => !notForPeople.has(name))
    expect(named).toEqual(new Set(there))
  })

  test('README names every command of socos, and none that is not there', () => {
    const named = new Set([...section('Commands').matchAll(/`npx socos ([a-z ]+)`/g)].map(match => match[1]))
    const io: Io = { env: {}, out: () => {}, say: () => {}, isErrTty: false }
    const commands = program(io, async () => {}).commands.flatMap(command =>
      command.commands.length === 0
        ? [command.name()]
        : command.commands.map(child => `${command.name()} ${child.name()}`),
    )
    expect(named).toEqual(new Set(commands))
  })

  test('README tells the exit codes of socos', () => {
    const told = /^Exit codes of `socos`: ([^.]*)\./m.exec(section('Commands'))?.[1] ?? ''
    const numbers = [...told.matchAll(/(?:^|,\s)(\d+) /g)].map(match => Number(match[1]))
    expect(numbers).toEqual([...Object.values(EXIT), 130])
  })

  test('every link of a document leads somewhere', () => {
    expect(documents.flatMap(({ path, text }) => brokenLinks(path, text))).toEqual([])
    expect(brokenLinks('docs/a.md', 'see [it](gone.md) and [that](../README.md#topics)')).toEqual([
      'docs/a.md: gone.md',
    ])
  })

  test('every file that a table of README names is there', () => {
    expect(missingFiles(README)).toEqual([])
    expect(missingFiles('| `x` | see `platform/kafka/`, `platform/gone.ts` and `gone/` |')).toEqual([
      'platform/gone.ts',
      'gone/',
    ])
  })

  test('every file that the table of a folder names is there', () => {
    const missing = documents
      .filter(({ path }) => path.endsWith('/README.md'))
      .flatMap(({ path, text }) => {
        const rows = text.split('\n').filter(line => line.startsWith('| `'))
        const named = rows.flatMap(row => [...(row.split('|')[1] ?? '').matchAll(/`([\w./-]+\.(?:ts|md|yaml|json))`/g)])
        return named
          .map(match => match[1] ?? '')
          .filter(name => !existsSync(join(ROOT, dirname(path), name)))
          .map(name => `${path}: ${name}`)
      })
    expect(missing).toEqual([])
  })

  test('every test file that a promise names is there', () => {
    const named = [...read('test/README.md').matchAll(/`((?:unit|kafka)\/[\w./-]+\.ts)`/g)].map(match => match[1] ?? '')
    expect(named.length).toBeGreaterThan(10)
    expect(named.filter(name => !existsSync(join(ROOT, 'test', name)))).toEqual([])
  })

  test('what is said of hostile input names tests that are there, and limits by the names they have', () => {
    const text = read('docs/hostile-input.md')
    expect(untrueRows(text)).toEqual([])
    expect(text.match(/^\| .* \| `test\//gm)?.length).toBeGreaterThan(40)
    const row = (bound: string, held: string) => `| x | ${bound} | y | ${held} |`
    expect(untrueRows(row('`MAX_GONE` in `platform/health.ts`', '`test/unit/log.test.ts` "a line"'))).toHaveLength(1)
    expect(untrueRows(row('z', '`test/unit/log.test.ts` "a line", "a test that is gone"'))).toHaveLength(1)
    expect(untrueRows(row('z', '`test/unit/gone.test.ts` "a line"'))).toHaveLength(1)
  })

  test('every document that the code names is there', () => {
    const named = projectFiles()
      .filter(({ path }) => path.endsWith('.ts') && !path.startsWith('test/'))
      .flatMap(({ path, text }) => [...text.matchAll(/[\w./-]+\.md\b/g)].map(([name]) => ({ path, name })))
    const gone = named.filter(
      ({ path, name }) => !existsSync(join(ROOT, name)) && !existsSync(join(ROOT, dirname(path), name)),
    )
    expect(gone).toEqual([])
  })

  test('documents name hosts of Microsoft, of standards, and made-up ones only', () => {
    expect(strangeHosts('get it at https://packages.somewhere.org/x, or login.microsoftonline.com')).toEqual([
      'packages.somewhere.org',
    ])
    expect(documents.flatMap(({ text }) => strangeHosts(text))).toEqual([])
  })

  test('no file names a registry of packages or a place on somebody’s machine', () => {
    // in pieces, so that this file may stay in the list of files that are looked at
    const hosts = [
      'registry|npmjs',
      'registry|yarnpkg',
      'repo1?|maven',
      'pypi|org',
      'crates|io',
      'proxy|golang',
      'deb|debian',
    ]
    const places = ['work', 'home', 'root', 'Users']
    const forbidden = new RegExp(
      [...hosts.map(host => host.replace('|', '\\.')), ...places.map(place => `(?<![\\w}.])/${place}/\\w`)].join('|'),
    )
    for (const host of hosts) expect(`see https://${host.replace('?', '').replace('|', '.')}/x`).toMatch(forbidden)
    for (const place of places) expect(`see \`/${place}/x\``).toMatch(forbidden)
    const found = projectFiles().flatMap(({ path, text }) => {
      const [hit] = forbidden.exec(text) ?? []
      return hit === undefined ? [] : [`${path}: ${hit}`]
    })
    expect(found).toEqual([])
  })
})

describe('the guide to a real tenant', () => {
  const guide = read('docs/real-tenant.md')
  const access = (cloud: Cloud): TenantAccess => ({
    tenantId: 'TENANT',
    clientId: 'APP',
    cloud,
    source: 'alerts_v2',
    credential: { kind: 'secretFile', file: 'FILE' },
  })

  test('quotes what socos status says', async () => {
    const rows = [
      ...guide.matchAll(/^\| `(AADSTS\d+|(?:graph|secret|certificate|federated)-[\w-]+)` \| "([^|]*)" \|/gm),
    ].map(([, code = '', words = '']) => ({
      code,
      words,
    }))
    expect(rows.length).toBeGreaterThan(10)
    for (const { code, words } of rows) {
      const said = await saidOf(code, access('global'))
      for (const part of words.split('…')) expect(said, code).toContain(part.trim())
    }
  })

  test('quotes the words of trouble that needs nobody', () => {
    const sources = projectFiles().filter(({ path }) => /^(?:cli|producers)\/.*\.ts$/.test(path))
    // numbers and names are filled in
    const code = sources.map(({ text }) => text.replace(/\$\{[^}]*\}/g, '…')).join('\n')
    const rows = /^Trouble that needs nobody[^]*?(?=^Once)/m.exec(guide)?.[0] ?? ''
    const parts = [...rows.matchAll(/"([^"]+)"/g)].flatMap(([, words = '']) => words.replace(/\d+/g, '…').split('…'))
    const wanted = parts.map(part => part.trim()).filter(part => part !== '')
    expect(wanted.length).toBeGreaterThan(5)
    expect(wanted.filter(part => !code.includes(part))).toEqual([])
  })

  test('has the hosts of every cloud', () => {
    const rows = new Map(
      [...guide.matchAll(/^\| `(\w+)`[^|]*\| `([\w.-]+)` \| `([\w.-]+)`([^|]*)\|$/gm)].map(row => [row[1], row]),
    )
    expect([...rows.keys()]).toEqual(['global', 'usgov', 'dod', 'china'])
    for (const cloud of ['global', 'usgov', 'dod', 'china'] as const) {
      const { loginBase, graphBase, hasAlertsV2 } = endpoints(cloud)
      const [, , login, graph, rest] = rows.get(cloud) ?? []
      expect([`https://${login}`, `https://${graph}`]).toEqual([loginBase, graphBase])
      expect(rest?.includes('no `alerts_v2`')).toBe(!hasAlertsV2)
    }
  })

  test('shows a tenants file that is accepted', () => {
    const example = /```yaml\n([^]*?)```/.exec(guide)?.[1] ?? ''
    const result = parseTenantsFile(example, { secretsDir: 'secrets', exists: () => true })
    expect(result).toMatchObject({ kind: 'ok', tenants: [{ name: 'Contoso Bank' }] })
  })
})

/** The words under a code, from the code that finds them. */
async function saidOf(code: string, access: TenantAccess): Promise<string> {
  const number = /^AADSTS(\d+)$/.exec(code)?.[1]
  const status = /^graph-(\d+)$/.exec(code)?.[1]
  const none = { retryAfterMs: null }
  let trouble: unknown
  if (number !== undefined) {
    const body = { error: 'invalid_client', error_codes: [Number(number)] }
    trouble = entraTrouble(access, { ...none, status: 401, body, isBetween: false, secretOddity: null })
  } else if (status !== undefined) {
    trouble = graphTrouble(access, {
      ...none,
      status: Number(status),
      headers: {},
      isBetween: false,
      isNextLink: false,
      roles: [],
    })
  } else trouble = await credentialTrouble(code, access)
  const { problem } = trouble as { readonly problem: { readonly code: string; readonly words: string } }
  expect(problem.code).toBe(code)
  return problem.words
}

const KINDS: Readonly<Record<string, TenantAccess['credential']['kind']>> = {
  certificate: 'certificateFile',
  federated: 'federatedTokenFile',
}

/** Reads a file that is wrong in the way that the code stands for. */
async function credentialTrouble(code: string, { credential, ...rest }: TenantAccess): Promise<unknown> {
  const folder = await mkdtemp(join(tmpdir(), 'socos-docs-'))
  try {
    const mine = selfSigned()
    const key = (kind: string): string => `-----BEGIN ${kind}-----\nAAAA\n-----END ${kind}-----\n`
    const content: Readonly<Record<string, string>> = {
      'certificate-file-incomplete': key('PRIVATE KEY'),
      'certificate-expired': `${mine.key}${mine.certificate}`,
      'certificate-not-yet-valid': `${mine.key}${mine.certificate}`,
      'secret-file-unusable': 'changeme',
      'federated-token-unusable': 'Bearer x',
      'certificate-key-encrypted': key('ENCRYPTED PRIVATE KEY') + key('CERTIFICATE'),
    }
    const wrong = content[code]
    if (wrong !== undefined) await writeFile(join(folder, credential.file), wrong)
    const kind = KINDS[code.slice(0, code.indexOf('-'))] ?? 'secretFile'
    const atMs = code === 'certificate-expired' ? Date.parse('2999-01-01') : 0
    return await readCredential(folder, { ...rest, credential: { ...credential, kind } }, atMs)
  } finally {
    await rm(folder, { recursive: true })
  }
}

function brokenLinks(path: string, text: string): readonly string[] {
  const links = [...text.matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)].map(match => match[1] ?? '')
  return links
    .filter(link => !/^[a-z]+:/.test(link) && !existsSync(join(ROOT, dirname(path), link)))
    .map(link => `${path}: ${link}`)
}

/** Paths in the tables of a document at the root: what has a slash, and what ends as a file does. */
function missingFiles(text: string): readonly string[] {
  const rows = text.split('\n').filter(line => line.startsWith('|'))
  const named = rows.flatMap(row =>
    [...row.matchAll(/`((?:[\w.-]+\/)+(?:[\w.-]+\.\w+)?)`/g)].map(match => match[1] ?? ''),
  )
  return named.filter(name => !name.startsWith('.cache/') && !existsSync(join(ROOT, name)))
}

/** Rows of `| input | bound | beyond | held by |` whose tests, titles or names of limits are not in the files they name. */
function untrueRows(text: string): readonly string[] {
  const contains = (path: string, part: string): boolean => existsSync(join(ROOT, path)) && read(path).includes(part)
  const rows = text.split('\n').filter(line => line.startsWith('| ') && line.includes('`test/'))
  return rows.flatMap(row => {
    const [, bound = '', , held = ''] = row.split(' | ')
    const limits = [...bound.matchAll(/`(\w+)`(?: and `(\w+)`)?[^`]* in `([\w./-]+\.ts)`/g)].flatMap(
      ([, one, other, path = '']) => [one, other].flatMap(part => (part === undefined ? [] : [{ path, part }])),
    )
    let path = ''
    const titles = [...held.matchAll(/`(test\/[\w./-]+\.ts)`|"([^"]+)"/g)].flatMap(([, file, part]) => {
      path = file ?? path
      return part === undefined ? [] : [{ path, part }]
    })
    return [...limits, ...titles].flatMap(one => (contains(one.path, one.part) ? [] : [`${one.path}: ${one.part}`]))
  })
}

const HOSTS_KNOWN = [
  /(?:^|\.)microsoft(?:online)?\.(?:com|us)$/,
  /^login\.partner\.microsoftonline\.cn$/,
  /^microsoftgraph\.chinacloudapi\.cn$/,
  /^keepachangelog\.com$/,
  /^semver\.org$/,
  /^schema\.ocsf\.io$/,
  // what labels of Kubernetes begin with
  /^app\.kubernetes\.io$/,
  /(?:^|\.)example(?:\.com)?$/,
]

function strangeHosts(text: string): readonly string[] {
  const bare = text.matchAll(
    /(?<![\w@./-])(?:[a-z0-9-]+\.)+(?:com|org|net|io|dev|us|cn|de|eu)\b(?![\w(/.]*\.(?:ts|md))/gi,
  )
  const inAddresses = text.matchAll(/(?<=https?:\/\/)[a-z0-9-]+(?:\.[a-z0-9-]+)+/gi)
  const hosts = [...bare, ...inAddresses].map(([host]) => host.toLowerCase())
  const strange = hosts.filter(host => !/^[\d.]+$/.test(host) && !HOSTS_KNOWN.some(known => known.test(host)))
  return [...new Set(strange)]
}
