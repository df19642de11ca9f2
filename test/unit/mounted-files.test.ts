import { mkdtemp, rename, rm, symlink, unlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { followMounted } from '../../platform/mounted-files.ts'
import { followTls } from '../../platform/tls-files.ts'
import { createAuthority } from '../../sandbox/kafka/certificates.ts'

async function ground() {
  const dir = await mkdtemp(path.join(tmpdir(), 'socos-mounted-'))
  onTestFinished(() => rm(dir, { recursive: true, force: true }))
  const lines: string[] = []
  const log = {
    info: (line: string) => void lines.push(`info: ${line}`),
    warn: (line: string) => void lines.push(line),
  }
  let serial = 0
  return {
    lines,
    log,
    path: (name: string) => path.join(dir, name),
    /** As Kubernetes does it: the new content is there at once. */
    async replace(name: string, text: string) {
      const fresh = path.join(dir, `.fresh-${++serial}`)
      await writeFile(fresh, text)
      await rename(fresh, path.join(dir, name))
    },
  }
}

test('a replaced file is used from the next question on, and is read only when it changed', async () => {
  const { log, lines, path, replace } = await ground()
  await replace('secret', 'first\n')
  let made = 0
  const read = followMounted({
    what: 'the password',
    files: { text: path('secret') },
    log,
    make: ({ text }) => {
      made++
      return text
    },
  })
  expect([read(), read()]).toEqual(['first', 'first'])
  expect(made).toBe(1)
  await replace('secret', 'other\n')
  expect([read(), read()]).toEqual(['other', 'other'])
  expect(made).toBe(2)
  expect(lines).toEqual(['info: the password was replaced; new connections use it'])
})

test('a file that cannot be used is said at the start, and afterwards what worked is kept and it is said once', async () => {
  const { log, lines, path, replace } = await ground()
  const files = { text: path('secret') }
  const read = followMounted({ what: 'the password', files, log, make: ({ text }) => text })
  expect(() => read()).toThrow(/the password cannot be used: .*secret.* does not exist/)
  await replace('secret', 'good')
  expect(read()).toBe('good')
  await replace('secret', '')
  expect([read(), read(), read()]).toEqual(['good', 'good', 'good'])
  await unlink(path('secret'))
  expect(read()).toBe('good')
  await replace('secret', 'x'.repeat(1_048_577))
  expect(read()).toBe('good')
  expect(lines).toEqual([
    expect.stringMatching(/is empty; what worked before is kept/),
    expect.stringMatching(/does not exist; what worked before is kept/),
    expect.stringMatching(/larger than 1048576 bytes; what worked before is kept/),
  ])
  await replace('secret', 'better')
  expect(read()).toBe('better')
})

test('a link that is turned to a new folder counts as a replaced file', async () => {
  const { log, path, replace } = await ground()
  await replace('v1', 'one')
  await replace('v2', 'two')
  await symlink(path('v1'), path('current'))
  const read = followMounted({ what: 'it', files: { text: path('current') }, log, make: ({ text }) => text })
  expect(read()).toBe('one')
  await symlink(path('v2'), path('next'))
  await rename(path('next'), path('current'))
  expect(read()).toBe('two')
})

test('a certificate that is there before its key waits for it, and no key is ever shown', async () => {
  const { log, lines, path, replace } = await ground()
  const authority = await createAuthority('test')
  const [first, second] = [await authority.issue('worker'), await authority.issue('worker')]
  await replace('ca.pem', authority.cert)
  await replace('tls.crt', first.cert)
  await replace('tls.key', first.key)
  const files = { caFile: path('ca.pem'), certFile: path('tls.crt'), keyFile: path('tls.key') }
  const texts = followTls('the certificate', files, log)
  expect(texts?.().cert).toBe(first.cert.trimEnd())
  await replace('tls.crt', second.cert)
  expect(texts?.()).toMatchObject({ cert: first.cert.trimEnd(), key: first.key.trimEnd() })
  expect(lines).toEqual([expect.stringMatching(/the key is not that of the certificate in .*tls\.key; what worked/)])
  await replace('tls.key', second.key)
  expect(texts?.()).toMatchObject({ cert: second.cert.trimEnd(), key: second.key.trimEnd() })
  await replace('tls.key', 'no key at all')
  await replace('ca.pem', 'no certificate')
  expect(texts?.().cert).toBe(second.cert.trimEnd())
  expect(lines.join('\n')).not.toMatch(/BEGIN|no key at all/)
})

test('without files there is nothing to follow', async () => {
  const { log } = await ground()
  expect(followTls('nothing', { caFile: null, certFile: null, keyFile: null }, log)).toBeNull()
})
