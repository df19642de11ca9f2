import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import type { Fetching } from '../../sandbox/kafka/jars.ts'
import { fetchServers } from '../../sandbox/kafka/jars.ts'

/** A machine whose `mvn` is this script; `$out` in it is the folder that Maven would fill. */
async function machine(script: string): Promise<Fetching & { root: string; runs: () => Promise<number> }> {
  const root = await mkdtemp(join(tmpdir(), 'jars-test-'))
  onTestFinished(() => rm(root, { recursive: true, force: true }))
  const mvn = join(root, 'bin/mvn')
  await mkdir(join(root, 'bin'))
  const out = 'for option; do case $option in -DoutputDirectory=*) out=${option#*=} ;; esac; done'
  await writeFile(mvn, `#!/bin/sh\necho run >>${root}/runs\n${out}\n${script}\n`)
  await chmod(mvn, 0o755)
  return {
    root,
    runs: async () => (await readFile(join(root, 'runs'), 'utf8').catch(() => '')).split('\n').length - 1,
    cacheDir: join(root, 'cache'),
    env: { PATH: `${join(root, 'bin')}:${process.env['PATH']}` },
    javaHome: '/nowhere',
    say: () => {},
    signal: new AbortController().signal,
  }
}

const fills = 'mkdir -p "$out/deep" && touch "$out/a.jar" "$out/deep/quarkus-run.jar"'

test('the servers are fetched once; later starts do not even need Maven', async () => {
  const fetching = await machine(fills)
  const first = await fetchServers(fetching)
  expect(first).toMatchObject({ kind: 'ready', registryJar: expect.stringMatching(/app\/deep\/quarkus-run\.jar$/) })
  expect(await fetching.runs()).toBe(2)
  expect(await fetchServers({ ...fetching, env: {} })).toEqual(first)
})

test('a broken download is not taken for a whole one, and is fetched again', async () => {
  const fetching = await machine(`${fills}; [ -e "$0.ok" ]`)
  expect(await fetchServers(fetching)).toMatchObject({ kind: 'missing', why: expect.stringContaining('exit 1') })
  await writeFile(join(fetching.root, 'bin/mvn.ok'), '')
  expect((await fetchServers(fetching)).kind).toBe('ready')
  expect((await readdir(fetching.cacheDir)).filter(name => name.includes('.part-'))).toEqual([])
})

test('a folder that somebody copied only half, without its marker, is replaced', async () => {
  const fetching = await machine(fills)
  await fetchServers(fetching)
  const [kafka = ''] = (await readdir(fetching.cacheDir)).filter(name => name.startsWith('kafka-'))
  await rm(join(fetching.cacheDir, kafka, '.complete'))
  await rm(join(fetching.cacheDir, kafka, 'libs/a.jar'))
  expect((await fetchServers(fetching)).kind).toBe('ready')
  expect(await readdir(join(fetching.cacheDir, kafka, 'libs'))).toContain('a.jar')
})

test('two first starts at once both end with whole folders', async () => {
  const fetching = await machine(`sleep 0.2; ${fills}`)
  const both = await Promise.all([fetchServers(fetching), fetchServers(fetching)])
  expect(both.map(({ kind }) => kind)).toEqual(['ready', 'ready'])
  expect((await readdir(fetching.cacheDir)).filter(name => name.includes('.part-'))).toEqual([])
})

test("Maven's own reason and the way around it are told", async () => {
  const fetching = await machine('echo "[ERROR] Could not transfer artifact: Connection refused"; exit 1')
  expect(await fetchServers(fetching)).toMatchObject({
    kind: 'missing',
    why: expect.stringMatching(
      /Maven could not fetch kafka-\S+ \(exit 1\): Could not transfer artifact: Connection refused/,
    ),
    remedy: expect.stringContaining(fetching.cacheDir),
  })
})

test('without Maven and without a filled cache it is said what is missing', async () => {
  const fetching = await machine(fills)
  expect(await fetchServers({ ...fetching, env: { PATH: fetching.root } })).toMatchObject({
    kind: 'missing',
    why: expect.stringMatching(/^Maven \(mvn\) is neither on PATH nor under MAVEN_HOME/),
    remedy: expect.stringMatching(/^install Maven/),
  })
})

test('an abort ends the download and leaves no half folder', async () => {
  const stopping = new AbortController()
  const fetching = await machine('exec sleep 60')
  const say = () => stopping.abort(new Error('stopped'))
  await expect(fetchServers({ ...fetching, say, signal: stopping.signal })).rejects.toThrow('stopped')
  expect(await readdir(fetching.cacheDir)).toEqual([])
})
