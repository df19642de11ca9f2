import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { program } from '../../cli/commands.ts'
import type { Io } from '../../cli/io.ts'
import { DOCUMENTS, withTables } from '../../docs/tables.ts'
import { generateTypes } from '../../schemas/generate.ts'
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

  test('every link and every file that a document names is there', () => {
    const broken = documents.flatMap(({ path, text }) => {
      const links = [...text.matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)].map(match => match[1] ?? '')
      return links
        .filter(link => !/^[a-z]+:/.test(link) && !existsSync(join(ROOT, dirname(path), link)))
        .map(link => `${path}: ${link}`)
    })
    expect(broken).toEqual([])
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

  test('no file names a registry of packages or a place on somebody’s machine', () => {
    const forbidden =
      /registry\.(?:npmjs|yarnpkg)\.|repo1?\.maven|pypi\.org|crates\.io|proxy\.golang|deb\.debian|\/(?:work|home)\/\w/
    expect('see registry.npmjs.org').toMatch(forbidden)
    const found = projectFiles().filter(({ path, text }) => path !== 'test/unit/docs.test.ts' && forbidden.test(text))
    expect(found.map(({ path }) => path)).toEqual([])
  })
})
