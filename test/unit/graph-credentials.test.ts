import { generateKeyPairSync, X509Certificate } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Cloud, TenantAccess } from '../../producers/graph/clouds.ts'
import { oddityOf } from '../../producers/graph/secret-shape.ts'
import {
  entraError,
  handClock,
  jwt,
  never,
  type Reply,
  rig,
  SENTINEL,
  selfSigned,
  startServer,
  tenant,
  tokenReply,
} from './graph-rig.ts'

const NOW_MS = Date.parse('2026-11-23T10:00:00Z')
const THUMBPRINT = /^[0-9A-F]{40}$/

interface Told {
  readonly kind: string
  readonly problem?: {
    readonly code: string
    readonly words: string
    readonly move: string
    readonly page: string | null
  }
}

/** What the poller's client says of a tenant whose file holds `content`, and how often Entra was asked. */
async function told(
  kind: TenantAccess['credential']['kind'],
  content: string | Buffer,
  reply: (n: number) => Reply = tokenReply,
  cloud: Cloud = 'global',
) {
  await using server = await startServer({ token: reply })
  await using one = await rig(server.url, { clock: handClock(NOW_MS) })
  await writeFile(join(one.secretsDir, 'file'), content)
  const answer = (await one.graph.now(tenant({ cloud, credential: { kind, file: 'file' } }), never)) as Told
  const text = JSON.stringify(answer)
  expect(text).not.toMatch(/eyJ|PRIVATE KEY|\{file\}|undefined/)
  const { code = '', words = '', move = '', page = null } = answer.problem ?? {}
  return { kind: answer.kind, code, words, move, page, text, posts: server.posts() }
}

const refusing = (code: number) => () => entraError(401, code, 'invalid_client')

describe('a certificate', () => {
  const thumbprintOf = (pem: string) => new X509Certificate(pem).fingerprint.replaceAll(':', '')

  test('that has ended is told before anything is sent: by its thumbprint, its end, and what to make anew', async () => {
    const { key, certificate } = selfSigned({ to: '261122000000Z' })
    const { code, words, move, posts } = await told('certificateFile', key + certificate)
    expect({ code, move, posts }).toEqual({ code: 'certificate-expired', move: 'operator', posts: [] })
    expect(words).toContain(`thumbprint ${thumbprintOf(certificate)}) ended on 2026-11-22T00:00:00.000Z`)
    expect(words).toMatch(/make a new key and certificate, send the customer's administrator the certificate \(\.cer/)
  })

  test('that is not valid yet is told before anything is sent; one made a moment ago elsewhere is used', async () => {
    const later = selfSigned({ from: '261124000000Z' })
    const { code, words, move, posts } = await told('certificateFile', later.key + later.certificate)
    expect({ code, move, posts }).toEqual({ code: 'certificate-not-yet-valid', move: 'operator', posts: [] })
    expect(words).toContain('is not valid before 2026-11-24T00:00:00.000Z')
    const fresh = selfSigned({ from: '261123100200Z' })
    expect(await told('certificateFile', fresh.key + fresh.certificate)).toMatchObject({ kind: 'time' })
  })

  test('of several for one key is the one that is valid now and ends last, wherever it stands', async () => {
    const ended = selfSigned({ to: '261122000000Z' })
    const of = ended.key
    const longest = selfSigned({ of, to: '290101000000Z' })
    const others = [
      ended.certificate,
      selfSigned({ of, to: '280101000000Z' }).certificate,
      selfSigned({ of, from: '270101000000Z', to: '400101000000Z' }).certificate,
    ]
    for (const order of [
      [...others, longest.certificate],
      [longest.certificate, ...others],
    ]) {
      const { posts } = await told('certificateFile', of + order.join(''))
      const [head = ''] = (new URLSearchParams(posts[0]?.body).get('client_assertion') ?? '').split('.')
      const sha256 = Buffer.from(new X509Certificate(longest.certificate).fingerprint256.replaceAll(':', ''), 'hex')
      expect(JSON.parse(Buffer.from(head, 'base64url').toString())).toMatchObject({
        'x5t#S256': sha256.toString('base64url'),
      })
    }
  })

  test.each([700027, 700030, 50048, 9_999_999])(
    'refused with AADSTS%i is named by the thumbprint that the portal shows, and its end',
    async number => {
      const { key, certificate } = selfSigned()
      const { words } = await told('certificateFile', key + certificate, refusing(number))
      expect(thumbprintOf(certificate)).toMatch(THUMBPRINT)
      expect(words).toContain(`thumbprint ${thumbprintOf(certificate)}`)
      expect(words).toContain('2040-01-01T00:00:00.000Z')
    },
  )

  const { key, certificate } = selfSigned()
  const der = new X509Certificate(certificate).raw
  const ec = generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey
  const short = selfSigned({ bits: 1024 })
  const pfx = Buffer.concat([Buffer.from('3082099f020103308209', 'hex'), Buffer.alloc(64, 0xa5)])
  const cut = (pem: string) => pem.slice(0, pem.length / 2)
  test.each<[string, string | Buffer, string, RegExp]>([
    ['of another key', key + selfSigned().certificate, 'certificate-unusable', /belongs to another private key/],
    [
      'with an EC key',
      `${ec.export({ type: 'pkcs8', format: 'pem' })}${certificate}`,
      'certificate-unusable',
      /no RSA key \(ec\)/,
    ],
    [
      'with an EC key as openssl ecparam writes it',
      `${ec.export({ type: 'sec1', format: 'pem' })}${certificate}`,
      'certificate-unusable',
      /no RSA key \(ec\)/,
    ],
    ['of 1024 bits', short.key + short.certificate, 'certificate-unusable', /has 1024 bits, and at least 2048/],
    [
      'with a damaged key',
      key.replace(/\n[A-Za-z]/, '\n!') + certificate,
      'certificate-unusable',
      /private key in file is damaged/,
    ],
    [
      'that is damaged',
      key + certificate.replace(/\n[A-Za-z]/, '\nAAAAAAAA'),
      'certificate-unusable',
      /certificate in file is damaged/,
    ],
    ['that was cut', key + cut(certificate), 'certificate-file-incomplete', /certificate in file is damaged/],
    ['whose key was cut', certificate + cut(key), 'certificate-file-incomplete', /private key in file is damaged/],
    ['without its key', certificate, 'certificate-file-incomplete', /the private key is missing/],
    ['of a key alone', key, 'certificate-file-incomplete', /the certificate is missing/],
    ['as DER', der, 'secret-file-unusable', /binary form \(DER\): openssl x509 -inform der/],
    ['as DER in base64', der.toString('base64'), 'certificate-file-incomplete', /openssl x509 -inform der.*base64 -d/],
    ['as a PFX', pfx, 'secret-file-unusable', /is a PFX: openssl pkcs12/],
    [
      'as a PFX in base64, as vaults hand it out',
      pfx.toString('base64'),
      'certificate-file-incomplete',
      /is a PFX: openssl pkcs12.*base64 -d/,
    ],
  ])('%s is told in words of its own, and nothing is sent', async (_, content, code, words) => {
    expect(await told('certificateFile', content)).toMatchObject({
      code,
      words: expect.stringMatching(words),
      move: 'operator',
      posts: [],
    })
  })
})

describe('a federated token', () => {
  const seconds = NOW_MS / 1000
  const claims = {
    iss: 'https://cluster.example/id',
    sub: 'system:serviceaccount:socos:poller',
    aud: 'api://AzureADTokenExchange',
    iat: seconds - 60,
    exp: seconds + 3540,
  }
  const entraSecret = 'sim8Q~0123456789012345678901234567890123'

  test.each([
    ['a client secret', entraSecret, /holds a client secret/],
    ['a token after "Bearer"', `Bearer ${jwt(claims)}`, /begins with "Bearer"/],
    ['a certificate', selfSigned().certificate, /holds PEM/],
    ['JSON', JSON.stringify({ token: 'x' }), /something around it/],
  ])('that is %s is the operator’s, and nothing is sent', async (_, content, words) => {
    const { code, move, posts, words: said } = await told('federatedTokenFile', content)
    expect({ code, move, posts }).toEqual({ code: 'federated-token-unusable', move: 'operator', posts: [] })
    expect(said).toMatch(words)
  })

  test.each([
    ['three parts that are no JSON', 'first.jwt.x', /header and claims are no JSON/],
    ['two parts', jwt(claims).split('.').slice(0, 2).join('.'), /holds something else/],
    ['words', 'to be done', /holds something else/],
  ])('that is %s is for Entra to judge; once refused it is the operator’s', async (_, content, words) => {
    const { code, move, posts, words: said } = await told('federatedTokenFile', content, refusing(700213))
    expect({ code, move, asked: posts.length }).toEqual({ code: 'AADSTS700213', move: 'operator', asked: 1 })
    expect(said).toMatch(words)
  })

  test('that is empty is the operator’s, too', async () => {
    expect(await told('federatedTokenFile', ' \n')).toMatchObject({ code: 'secret-file-unusable', move: 'operator' })
  })

  const codes = [70021, 700211, 700212, 700213, 700229, 700024, 700027, 700030, 50027, 50048, 7000215, 9_999_999]
  test.each(codes)('refused with AADSTS%i is never spoken of as a certificate or a secret', async number => {
    const { code, words } = await told('federatedTokenFile', jwt(claims), refusing(number))
    expect(code).toBe(`AADSTS${number}`)
    expect(words).not.toMatch(/certificate|secret/i)
    expect(words).toContain('federated token in file')
  })

  test('that matches nothing is told with what the customer must enter, character for character', async () => {
    const { words, move, page } = await told('federatedTokenFile', jwt(claims), refusing(700213))
    expect(words).toContain(
      'issuer "https://cluster.example/id", subject "system:serviceaccount:socos:poller", audience "api://AzureADTokenExchange"',
    )
    expect({ move, page }).toEqual({ move: 'customer', page: expect.stringContaining('Federated credentials') })
  })

  test.each<[Cloud, string]>([
    ['global', 'api://AzureADTokenExchange'],
    ['usgov', 'api://AzureADTokenExchangeUSGov'],
  ])(
    'for another audience than that of the cloud %s is the operator’s, when Entra refuses it',
    async (cloud, wanted) => {
      const other = jwt({ ...claims, aud: ['https://kubernetes.default.svc'] })
      const { words, move } = await told('federatedTokenFile', other, refusing(700212), cloud)
      expect(move).toBe('operator')
      expect(words).toContain(`audience "https://kubernetes.default.svc" and not to "${wanted}"`)
    },
  )

  test('that has ended is said to have, whatever Entra says', async () => {
    const { words, move } = await told('federatedTokenFile', jwt({ ...claims, exp: seconds - 60 }), refusing(700024))
    expect(move).toBe('operator')
    expect(words).toMatch(/ended on 2026-11-23T09:59:00\.000Z and was not renewed/)
  })

  test('cannot put lines, or more than is bearable, into what is said', async () => {
    const hostile = jwt({ ...claims, iss: `a\n\u001b[31m\u202e${'x'.repeat(5_000)}`, sub: 7 })
    const { words } = await told('federatedTokenFile', hostile, refusing(700213))
    expect(words).toMatch(/^[\x20-\x7e…]+$/)
    expect(words.length).toBeLessThan(1_000)
  })
})

describe('a client secret', () => {
  test.each([
    ['****', /masked/],
    ['Ab1****************', /masked/],
    ['changeme', /placeholder/],
    ['CHANGE-ME', /placeholder/],
    ['<secret>', /placeholder/],
    ['your-secret-value', /placeholder/],
    ['xxxxxxxxxxxx', /placeholder/],
    ['${CLIENT_SECRET}', /placeholder/],
    ['{"secret":"abc"}', /wrapped in JSON/],
    ['{\n  "secret": "abc",\n  "id": "x"\n}', /wrapped in JSON/],
  ])('that can be none (%s) is the operator’s, and nothing is sent', async (content, words) => {
    expect(await told('secretFile', content)).toMatchObject({
      code: 'secret-file-unusable',
      move: 'operator',
      words: expect.stringMatching(words),
      posts: [],
    })
  })

  test.each([
    ['aB3~cdefghijklmnopqrs%7Etuvwxyz012345', /URL-encoded/],
    ['aB3cdefghijklmnopq&amp;rstuvwxyz012345', /escaped as in a web page/],
    ['aB3~short', /fewer than 16 characters/],
  ])('that may be one (%s) is sent, and its oddity told when Entra refuses it', async (content, words) => {
    expect(await told('secretFile', content)).toMatchObject({ kind: 'time' })
    const refused = await told('secretFile', content, refusing(7000215))
    expect(refused).toMatchObject({ code: 'AADSTS7000215', move: 'operator', words: expect.stringMatching(words) })
    expect(refused.text).not.toContain(content)
  })

  test('as Entra makes them is never odd', () => {
    expect(oddityOf('xxx8Q~xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx')).toBeNull()
  })

  test('that works is used although a placeholder stands beside it', async () => {
    expect(await told('secretFile', `${SENTINEL}\nchangeme\n`)).toMatchObject({ kind: 'time' })
  })

  test('that Entra rejects is looked for on our side first, then at the customer’s', async () => {
    const { words, move } = await told('secretFile', SENTINEL, refusing(7000215))
    expect(words).toMatch(/Our file first: .*compare it with what the customer sent; if it is the same, .*must create/)
    expect(move).toBe('operator')
  })

  test('and the next one, both refused, are told line by line, each with its reason', async () => {
    const reply = (n: number) => entraError(401, n === 0 ? 7000222 : 7000215, 'invalid_client')
    const { words, move, code, posts } = await told('secretFile', `${SENTINEL}\n"quoted-${SENTINEL}"\n`, reply)
    expect(posts).toHaveLength(2)
    expect(words).toMatch(
      /Line 1: has expired \(AADSTS7000222\)\. Line 2: is wrong \(AADSTS7000215\), it stands in quotes/,
    )
    expect({ move, code }).toEqual({ move: 'operator', code: 'AADSTS7000215' })
    expect(words).not.toContain(SENTINEL)
    const over = await told('secretFile', `${SENTINEL}\n${SENTINEL}2\n`, refusing(7000222))
    expect(over).toMatchObject({ move: 'customer', words: expect.stringMatching(/Line 1: has exp.*Line 2: has exp/) })
  })
})
