import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { findJava, majorIn } from '../../sandbox/kafka/java.ts'

async function machine(): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'java-search-'))
  onTestFinished(() => rm(root, { recursive: true, force: true }))
  return root
}

/** A JDK that states its version in its release file, or (`asked`) only when it is run. */
async function install(root: string, name: string, version: string, asked = false): Promise<string> {
  const java = join(root, name, 'bin/java')
  await mkdir(dirname(java), { recursive: true })
  await writeFile(
    java,
    asked ? `#!/bin/sh\necho 'openjdk version "${version}" 2026-04-15' >&2\n` : '#!/bin/sh\nexit 9\n',
  )
  await chmod(java, 0o755)
  if (!asked) await writeFile(join(root, name, 'release'), `IMPLEMENTOR="X"\nJAVA_VERSION="${version}"\n`)
  return java
}

test('an old default does not hide a newer Java that lies beside it', async () => {
  const root = await machine()
  const old = await install(root, 'default', '17.0.15', true)
  await install(root, 'jvm/java-17', '17.0.15')
  await install(root, 'jvm/temurin-25', '25.0.1')
  const java21 = await install(root, 'jvm/temurin-21', '21.0.5', true)
  const search = { env: { PATH: dirname(old) }, places: [join(root, 'jvm/*/bin/java')], atLeast: 21 }
  expect(await findJava(search)).toEqual({ kind: 'found', java: java21, major: 21 })
})

test('JAVA_HOME goes before PATH, and PATH before the usual places', async () => {
  const root = await machine()
  const home = await install(root, 'home', '22')
  const path = await install(root, 'path', '23-ea', true)
  const places = [join(root, 'jvm/*/bin/java')]
  await install(root, 'jvm/21', '21')
  const env = { JAVA_HOME: join(root, 'home'), PATH: dirname(path) }
  expect(await findJava({ env, places, atLeast: 21 })).toMatchObject({ java: home, major: 22 })
  expect(await findJava({ env: { PATH: dirname(path) }, places, atLeast: 21 })).toMatchObject({ java: path, major: 23 })
})

test('when there is none, every place and what was there is named', async () => {
  const root = await machine()
  const old = await install(root, 'path', '1.8.0_412', true)
  await install(root, 'jvm/17', '17')
  const env = { JAVA_HOME: join(root, 'gone'), PATH: dirname(old) }
  const places = [join(root, 'jvm/*/bin/java'), join(root, 'opt/*/bin/java')]
  expect(await findJava({ env, places, atLeast: 21 })).toEqual({
    kind: 'missing',
    looked: [
      `JAVA_HOME: ${join(root, 'gone/bin/java')} is not there or not a Java`,
      `PATH: ${old} is Java 8`,
      `${places[0]}: only Java 17`,
      `${places[1]}: nothing`,
    ],
  })
})

test('versions of all ages are read', () => {
  expect(['25.0.1', '26-ea', '1.8.0_412', '21', 'nonsense', undefined].map(majorIn)).toEqual([
    25,
    26,
    8,
    21,
    undefined,
    undefined,
  ])
})
