import { createHmac } from 'node:crypto'
import { mkdtemp, rename, rm, symlink, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { followSecretFile, parseBearerToken } from '../../consumers/engine/credentials.ts'
import { engineEndpoint } from '../../consumers/engine/endpoint.ts'
import { parseSigningKeys, signature } from '../../consumers/engine/sign.ts'

// the example that the Standard Webhooks specification and its libraries share
const SPEC_KEY = 'MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
const SPEC = ['msg_p5jXN8AQM9LWM0D4loKWxJek', 1_614_265_330, Buffer.from('{"test": 2432232314}')] as const
const SPEC_SIGNATURE = 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='

describe('the signature', () => {
  test('is the one of the Standard Webhooks example, with and without the prefix of the key', () => {
    expect(signature(parseSigningKeys(`whsec_${SPEC_KEY}\n`), ...SPEC)).toBe(SPEC_SIGNATURE)
    expect(signature(parseSigningKeys(SPEC_KEY), ...SPEC)).toBe(SPEC_SIGNATURE)
  })

  test('comes once per key while keys are changed, in the order of the file', () => {
    const other = Buffer.alloc(32, 7)
    const keys = parseSigningKeys(`\r\nwhsec_${other.toString('base64')}\r\n\r\n  whsec_${SPEC_KEY}  \r\n`)
    const mac = createHmac('sha256', other).update(`${SPEC[0]}.${SPEC[1]}.${SPEC[2].toString()}`).digest('base64')
    expect(signature(keys, ...SPEC)).toBe(`v1,${mac} ${SPEC_SIGNATURE}`)
  })

  test.each([
    ['no key', '\n \n', 'has 0 keys'],
    ['three keys', `${SPEC_KEY}\n${SPEC_KEY}\n${SPEC_KEY}`, 'has 3 keys'],
    ['a short key', 'whsec_c2hvcnQ=', 'key 1 is not whsec_'],
    ['a long key', `whsec_${Buffer.alloc(65).toString('base64')}`, 'key 1 is not whsec_'],
    ['a key that is no base64', `${SPEC_KEY}\nwhsec_${'!'.repeat(40)}`, 'key 2 is not whsec_'],
  ])('refuses a file with %s, and does not repeat it', (_, text, words) => {
    expect(() => parseSigningKeys(text)).toThrow(words)
    expect(() => parseSigningKeys(text)).not.toThrow(/c2hvcnQ|!!!|AAAA|MfKQ/)
  })
})

describe('the bearer token', () => {
  test('is what the file holds, less the line break that editors add', () => {
    expect(parseBearerToken('s3cret-_.~+/=\r\n')).toBe('s3cret-_.~+/=')
  })

  test.each([
    ['nothing', ' \n'],
    ['two lines', 'one\r\nx-injected: yes'],
    ['a space', 'one two'],
    ['a NUL', 'one\0two'],
    ['a letter outside ASCII', 'tökén'],
    ['more than any header may hold', 'x'.repeat(16_385)],
  ])('is refused when the file holds %s, without repeating it', (_, text) => {
    expect(() => parseBearerToken(text)).toThrow('does not hold one token')
  })
})

describe('a secret file', () => {
  let folder = ''
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'engine-secret-'))
  })
  afterEach(async () => {
    await rm(folder, { recursive: true, force: true })
  })

  function counted(path: string) {
    const parsed: string[] = []
    const file = followSecretFile(path, 'token', text => {
      parsed.push(text)
      return text
    })
    return { file, parsed }
  }

  test('is parsed once while it stays the same, and again when its content, time or place changes', async () => {
    const path = join(folder, 'token')
    await writeFile(path, 'one')
    const { file, parsed } = counted(path)
    expect([await file.read(), await file.read()]).toEqual(['one', 'one'])
    expect(parsed).toEqual(['one'])
    await writeFile(path, 'three')
    expect(await file.read()).toBe('three')
    await utimes(path, 1_000, 1_000)
    expect(await file.read()).toBe('three')
    expect(parsed).toEqual(['one', 'three', 'three'])
  })

  test('is followed through a symlink that is swapped, as in a mounted Secret, even if size and time agree', async () => {
    for (const name of ['a', 'b']) {
      await writeFile(join(folder, name), name)
      await utimes(join(folder, name), 1_000, 1_000)
    }
    await symlink('a', join(folder, 'token'))
    const { file } = counted(join(folder, 'token'))
    expect(await file.read()).toBe('a')
    await symlink('b', join(folder, 'next'))
    await rename(join(folder, 'next'), join(folder, 'token'))
    expect(await file.read()).toBe('b')
  })

  test('is read anew after it was refused, even if it looks the same', async () => {
    const path = join(folder, 'token')
    await writeFile(path, 'one')
    const { file, parsed } = counted(path)
    await file.read()
    file.forget()
    await file.read()
    expect(parsed).toHaveLength(2)
  })

  test('that is missing, a folder, too large or wrong is named with the reason, and never quoted', async () => {
    const path = join(folder, 'token')
    const file = followSecretFile(path, 'token', parseBearerToken)
    await expect(file.read()).rejects.toThrow(`token file "${path}" does not exist`)
    await writeFile(path, 'sesame\r\nopen')
    await expect(file.read()).rejects.toThrow(`token file "${path}" does not hold one token`)
    await expect(file.read()).rejects.not.toThrow('sesame')
    await writeFile(path, 'x'.repeat(70_000))
    await expect(file.read()).rejects.toThrow('is larger than 65536 bytes')
    await expect(followSecretFile(folder, 'token', parseBearerToken).read()).rejects.toThrow('is not a regular file')
    await writeFile(path, 'sesame')
    expect(await file.read()).toBe('sesame')
  })
})

describe('ENGINE_URL', () => {
  test.each([
    ['https://engine.example.org', 'https://engine.example.org/v1/alerts:batch'],
    ['https://engine.example.org:8443/', 'https://engine.example.org:8443/v1/alerts:batch'],
    ['https://gw.example.org/soc//', 'https://gw.example.org/soc/v1/alerts:batch'],
    ['https://10.1.2.3/x', 'https://10.1.2.3/x/v1/alerts:batch'],
  ])('%s is posted to at %s, in production too', (url, endpoint) => {
    expect(engineEndpoint(url, { production: true }).href).toBe(endpoint)
  })

  const nearby = [
    'http://localhost:8090',
    'http://127.0.0.1:8090',
    'http://127.9.9.9',
    'http://[::1]:1',
    'http://engine:80',
    'http://2130706433/',
  ]
  test.each(nearby)('%s is good enough for a sandbox and refused in production', url => {
    expect(engineEndpoint(url, { production: false }).protocol).toBe('http:')
    expect(() => engineEndpoint(url, { production: true })).toThrow('must be https')
  })

  test.each([
    ['http://engine.example.org', 'plain http to engine.example.org'],
    ['http://10.0.0.5', 'plain http to 10.0.0.5'],
    ['http://[fd00::1]', 'plain http to [fd00::1]'],
    ['http://127.0.0.1.example.org', 'plain http to'],
    ['http://localhost.', 'plain http to'],
    ['http://169.254.169.254', 'plain http to'],
    ['ftp://localhost', 'must start with https'],
    ['engine.example.org', 'is not a URL'],
    ['', 'is not a URL'],
    ['https://user:sesame@engine.example.org', 'holds a user or password'],
    ['https://engine.example.org/?key=sesame', 'holds a query'],
    ['https://engine.example.org/#sesame', 'holds a query'],
  ])('%s is refused: %s', (url, words) => {
    expect(() => engineEndpoint(url, { production: false })).toThrow(words)
    expect(() => engineEndpoint(url, { production: false })).not.toThrow('sesame')
  })
})
