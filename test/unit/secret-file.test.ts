import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import * as fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { scrub } from '../../platform/log-scrub.ts'
import { placeSecret, readSecretFile, readSecretInside, secretFileVersion } from '../../platform/secret-file.ts'

let dir = ''

beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'socos-secret-'))
  await mkdir(path.join(dir, 'secrets'))
})

afterEach(() => rm(dir, { recursive: true }))

function inDir(name: string): string {
  return path.join(dir, 'secrets', name)
}

describe('reading', () => {
  test('gives the text without its last newline and masks it in logs from then on', async () => {
    await writeFile(inDir('a'), 'top secret value\r\n')
    expect(await readSecretFile(inDir('a'))).toMatchObject({ kind: 'ok', text: 'top secret value' })
    expect(scrub('it was top secret value')).toBe('it was [secret]')
  })

  test('names what is wrong and never the content', async () => {
    await writeFile(inDir('empty'), '\n')
    await writeFile(inDir('large'), 'x'.repeat(65_537))
    await writeFile(inDir('bytes'), Uint8Array.of(0xff, 0x00))
    const problems = await Promise.all(['gone', 'empty', 'large', 'bytes', ''].map(name => readSecretFile(inDir(name))))
    expect(problems).toEqual(
      ['does not exist', 'is empty', 'is larger than 65536 bytes', 'is not UTF-8 text', 'is not a regular file'].map(
        words => ({
          kind: 'bad',
          problem: expect.stringMatching(new RegExp(`^".*" ${words}$`)) as string,
        }),
      ),
    )
  })

  test('a replaced file has another version, an untouched one the same', async () => {
    await writeFile(inDir('a'), 'first one')
    const first = await readSecretFile(inDir('a'))
    expect(await secretFileVersion(inDir('a'))).toBe(first.kind === 'ok' ? first.version : '')
    await writeFile(inDir('b'), 'other one')
    await rename(inDir('b'), inDir('a'))
    const second = await readSecretFile(inDir('a'))
    expect(second).toMatchObject({ kind: 'ok', text: 'other one' })
    expect(second.kind === 'ok' ? second.version : '').not.toBe(first.kind === 'ok' ? first.version : '')
    expect(await secretFileVersion(inDir('gone'))).toBeNull()
  })
})

describe('places', () => {
  test('links within the mount work, as Kubernetes makes them; links out of it are refused', async () => {
    await mkdir(inDir('..data'))
    await writeFile(inDir('..data/token'), 'mounted secret')
    await symlink('..data/token', inDir('token'))
    await writeFile(path.join(dir, 'outside'), 'outside secret')
    await symlink(path.join(dir, 'outside'), inDir('escape'))
    const secrets = path.join(dir, 'secrets')
    expect(await readSecretInside(secrets, 'token')).toMatchObject({ kind: 'ok', text: 'mounted secret' })
    expect(await readSecretInside(secrets, 'escape')).toMatchObject({
      kind: 'bad',
      problem: expect.stringMatching(/is a link that leads out of SECRETS_DIR$/) as string,
    })
    expect(await readSecretInside(secrets, 'gone')).toMatchObject({ kind: 'bad' })
  })

  test('no relative path leads out of the directory', () => {
    const piece = fc.constantFrom('..', '.', '', 'a', '/', '\\', '\0', '...', 'C:', '~', '%2e%2e')
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 6 }), pieces => {
        const placed = placeSecret('/secrets', pieces.join('/'))
        if (placed.kind === 'ok') expect(path.resolve(placed.path)).toMatch(/^\/secrets\/./)
      }),
    )
    expect(placeSecret('/', 'a')).toEqual({ kind: 'ok', path: '/a' })
    expect(placeSecret('/secrets/', 'a/b')).toEqual({ kind: 'ok', path: '/secrets/a/b' })
  })
})
