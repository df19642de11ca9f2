/** A private key and its certificate, as PEM in one file: what can be told of them before anything is signed. */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'

import type { TenantAccess } from './clouds.ts'
import { problem, type Trouble } from './problems.ts'

export interface CertificateCredential {
  readonly kind: 'certificate'
  readonly privateKey: string
  readonly thumbprintSha256: string
  /** SHA-1 in upper-case hex: the name of the certificate on Entra's pages. */
  readonly thumbprint: string
  /** ISO. */
  readonly ends: string
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g
const PRIVATE_KEY = /-----BEGIN (?:[A-Z0-9]{2,9} )?PRIVATE KEY-----[\s\S]+?-----END (?:[A-Z0-9]{2,9} )?PRIVATE KEY-----/
const RSA_BITS_MIN = 2048
/** A certificate that was made a moment ago on another machine may begin in this one's future. */
const AHEAD_MAX_MS = 5 * 60_000

const BOTH = '{file} must hold a private key and its certificate, both as PEM'
const MAKE_NEW =
  "the operator must make a new key and certificate, send the customer's administrator the certificate (.cer, without the key), and put both into {file}, as PEM"

export function certificateFrom(access: TenantAccess, pem: string, nowMs: number): CertificateCredential | Trouble {
  const bad = (code: string, words: string) => problem(access, code, { words, move: 'operator' })
  const keyPem = PRIVATE_KEY.exec(pem)?.[0]
  const certificatePems = pem.match(CERTIFICATE) ?? []
  if (keyPem === undefined || certificatePems.length === 0) {
    return bad('certificate-file-incomplete', incomplete(pem, keyPem !== undefined, certificatePems.length > 0))
  }
  if (keyPem.includes('ENCRYPTED')) {
    const words = 'The private key in {file} is encrypted: the operator must store it without a passphrase.'
    return bad('certificate-key-encrypted', words)
  }
  const unusable = (words: string) => bad('certificate-unusable', words)
  const key = readOrNull(() => createPrivateKey(keyPem))
  if (key === null) return unusable(damaged('private key'))
  if (key.asymmetricKeyType !== 'rsa') {
    const words = `The private key in {file} is no RSA key (${kindOf(key)}), and Entra takes no other: ${MAKE_NEW}.`
    return unusable(words)
  }
  const bits = key.asymmetricKeyDetails?.modulusLength ?? RSA_BITS_MIN
  if (bits < RSA_BITS_MIN) {
    return unusable(`The RSA key in {file} has ${bits} bits, and at least ${RSA_BITS_MIN} are needed: ${MAKE_NEW}.`)
  }
  const read = certificatePems.map(text => readOrNull(() => new X509Certificate(text)))
  const certificate = choose(
    read.flatMap(one => (one?.checkPrivateKey(key) === true ? [one] : [])),
    nowMs,
  )
  if (certificate === null) return unusable(read.includes(null) ? damaged('certificate') : MISMATCHED)
  const thumbprint = certificate.fingerprint.replaceAll(':', '')
  const ends = certificate.validToDate.toISOString()
  if (certificate.validToDate.getTime() <= nowMs) {
    return bad(
      'certificate-expired',
      `The certificate in {file} (thumbprint ${thumbprint}) ended on ${ends}: ${MAKE_NEW}.`,
    )
  }
  if (begins(certificate) > nowMs) {
    const from = certificate.validFromDate.toISOString()
    const words = `The certificate in {file} (thumbprint ${thumbprint}) is not valid before ${from}: the operator must set the clock of this machine right if it is behind, or put back the certificate before it until then; else ${MAKE_NEW}.`
    return bad('certificate-not-yet-valid', words)
  }
  const thumbprintSha256 = certificate.fingerprint256.replaceAll(':', '')
  return { kind: 'certificate', privateKey: keyPem, thumbprintSha256, thumbprint, ends }
}

/** What a certificate in another form than text is, by its first bytes; null: not to be seen. */
export function binaryForm(head: Buffer): string | null {
  // DER: a sequence and its length, then a version (PFX 3, private key 0) or, of a certificate, another sequence
  const lengthBytes = { 0x81: 1, 0x82: 2, 0x83: 3 }[head[1] ?? 0] ?? 0
  const inner = head.subarray(2 + lengthBytes)
  if (head[0] !== 0x30 || inner.length < 3) return null
  if (inner[0] === 0x30) {
    return 'is a certificate in binary form (DER): openssl x509 -inform der -in FILE makes PEM of it, and its private key, as PEM too, must stand beside it'
  }
  if (inner[0] !== 0x02 || inner[1] !== 0x01) return null
  if (inner[2] === 0x03)
    return 'is a PFX: openssl pkcs12 -in FILE -nodes makes a private key and its certificate, both as PEM, of it'
  return 'is a private key in binary form (DER): openssl pkey -inform der -in FILE makes PEM of it, and its certificate, as PEM too, must stand beside it'
}

const MISMATCHED =
  'The certificate in {file} belongs to another private key than the one there: the operator must put a matching pair there.'

function damaged(part: 'private key' | 'certificate'): string {
  return `The ${part} in {file} is damaged (what stands between its first and last line cannot be read): the operator must copy it anew, whole.`
}

function incomplete(pem: string, hasKey: boolean, hasCertificate: boolean): string {
  const base64 = pem.replaceAll(/\s/g, '')
  const form = /^[A-Za-z0-9+/]{24,}=*$/.test(base64) ? binaryForm(Buffer.from(base64.slice(0, 24), 'base64')) : null
  if (form !== null) return `The file {file} ${form}, once base64 -d has undone its base64: the operator must do that.`
  if (!hasKey && pem.includes('PRIVATE KEY-----')) return damaged('private key')
  if (!hasCertificate && pem.includes('BEGIN CERTIFICATE-----')) return damaged('certificate')
  const missing = hasKey ? 'the certificate' : hasCertificate ? 'the private key' : 'both'
  const put = missing === 'both' ? 'both there' : `${missing} there, too`
  return `The file ${BOTH}, and ${missing === 'both' ? 'both are' : `${missing} is`} missing: the operator must put ${put}.`
}

/** Of several, as they stand there while one replaces another: valid now, and of those the one that ends last. */
function choose(certificates: readonly X509Certificate[], nowMs: number): X509Certificate | null {
  const rank = (one: X509Certificate) => (one.validToDate.getTime() <= nowMs ? 0 : begins(one) > nowMs ? 1 : 2)
  const [best = null] = certificates.toSorted(
    (a, b) => rank(b) - rank(a) || b.validToDate.getTime() - a.validToDate.getTime(),
  )
  return best
}

function begins(certificate: X509Certificate): number {
  return certificate.validFromDate.getTime() - AHEAD_MAX_MS
}

function kindOf(key: KeyObject): string {
  return key.asymmetricKeyType ?? 'of no known kind'
}

function readOrNull<T>(read: () => T): T | null {
  try {
    return read()
  } catch {
    return null
  }
}
