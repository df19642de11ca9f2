/**
 * Reads a tenant's credential from SECRETS_DIR, afresh for every token: a rotated file takes effect without a restart,
 * and nothing secret outlives the request it was read for.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { realpath } from 'node:fs/promises'
import { sep } from 'node:path'

import { registerSecret } from '../../platform/log-scrub.ts'
import { placeSecret, readSecretFile, secretFileVersion } from '../../platform/secret-file.ts'
import { claimsOf } from './claims.ts'
import type { TenantAccess } from './clouds.ts'
import { type Advice, problem, type Trouble } from './problems.ts'
import { type Oddity, oddityOf } from './secret-shape.ts'

export type Credential =
  /** The present one and, while it is being changed, the next: a line each. */
  | { readonly kind: 'secrets'; readonly secrets: readonly [string, ...string[]] }
  | {
      readonly kind: 'certificate'
      readonly privateKey: string
      readonly thumbprintSha256: string
      /** ISO. */
      readonly ends: string
    }
  | { readonly kind: 'assertion'; readonly assertion: string }

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g
const PRIVATE_KEY =
  /-----BEGIN (?:RSA |ENCRYPTED )?PRIVATE KEY-----[\s\S]+?-----END (?:RSA |ENCRYPTED )?PRIVATE KEY-----/

/**
 * Changes whenever the credential's file does, so that a tenant that needs attention can be tried again at once.
 * Never throws: a file that is missing or out of bounds has a version too.
 */
export async function credentialVersion(secretsDir: string, access: TenantAccess): Promise<string> {
  const place = await placeOf(secretsDir, access.credential.file)
  return typeof place === 'string' ? place : ((await secretFileVersion(place.path)) ?? 'missing')
}

export async function readCredential(secretsDir: string, access: TenantAccess): Promise<Credential | Trouble> {
  const place = await placeOf(secretsDir, access.credential.file)
  if (typeof place === 'string') return problem(access, `secret-file-${place}`, PLACE_WORDS[place])
  const read = await readSecretFile(place.path)
  if (read.kind === 'ok') return credentialFrom(access, read.text)
  const what =
    access.credential.kind === 'certificateFile'
      ? 'a private key and its certificate there, both as PEM (openssl pkcs12 -in FILE -nodes makes that of a PFX)'
      : 'the credential, and nothing else, there'
  return problem(
    access,
    'secret-file-unusable',
    operators(`The credential file ${read.problem}: the operator must put ${what}.`),
  )
}

export interface Inspected {
  readonly kind: 'credential'
  /** Of a certificate or a federated token, ISO; null: it does not say. */
  readonly ends: string | null
  /** What a secret looks like that was not copied as Entra shows it. */
  readonly oddity: Oddity | null
}

/** What a credential tells of itself before it is sent anywhere. */
export async function inspectCredential(secretsDir: string, access: TenantAccess): Promise<Inspected | Trouble> {
  const credential = await readCredential(secretsDir, access)
  if ('problem' in credential || 'detail' in credential) return credential
  switch (credential.kind) {
    case 'secrets':
      return { kind: 'credential', ends: null, oddity: first(credential.secrets.map(oddityOf)) }
    case 'certificate':
      return { kind: 'credential', ends: credential.ends, oddity: null }
    case 'assertion':
      return { kind: 'credential', ends: endOfToken(credential.assertion), oddity: null }
  }
}

function first(oddities: readonly (Oddity | null)[]): Oddity | null {
  return oddities.find(oddity => oddity !== null) ?? null
}

function endOfToken(token: string): string | null {
  const exp = claimsOf(token)?.exp
  return typeof exp === 'number' && exp > 0 && exp < 1e11 ? new Date(exp * 1000).toISOString() : null
}

const PLACE_WORDS = {
  outside: operators('The credential file {file} lies outside SECRETS_DIR: name a file below it in the tenants file.'),
  missing: operators('The credential file {file} is not in SECRETS_DIR: the operator must put it there.'),
} as const

function operators(words: string): Advice {
  return { words, move: 'operator' }
}

/** Where the file really is, links resolved. Kubernetes mounts secrets as links, but within the directory. */
async function placeOf(
  secretsDir: string,
  file: string,
): Promise<{ readonly path: string } | keyof typeof PLACE_WORDS> {
  const placed = placeSecret(secretsDir, file)
  if (placed.kind === 'bad') return 'outside'
  try {
    const [dir, path] = await Promise.all([realpath(secretsDir), realpath(placed.path)])
    return path.startsWith(dir + sep) ? { path } : 'outside'
  } catch {
    return 'missing'
  }
}

function credentialFrom(access: TenantAccess, text: string): Credential | Trouble {
  switch (access.credential.kind) {
    case 'secretFile':
      return secretsFrom(access, text)
    case 'federatedTokenFile':
      return { kind: 'assertion', assertion: text.trim() }
    case 'certificateFile':
      return certificateFrom(access, text)
  }
}

function secretsFrom(access: TenantAccess, text: string): Credential | Trouble {
  // no secret of Entra begins or ends with a blank, and what is copied from a page often does
  const [present, ...more] = text
    .split(/\r?\n/)
    .map(line => line.trim())
    .filter(line => line !== '')
  if (present === undefined || more.length > 1) {
    const words =
      'The file {file} must hold the client secret or, while it is being changed, two of them, a line each, and nothing else: the operator must put that there.'
    return problem(access, 'secret-file-unusable', operators(words))
  }
  for (const secret of [present, ...more]) registerSecret(secret)
  return { kind: 'secrets', secrets: [present, ...more] }
}

function certificateFrom(access: TenantAccess, pem: string): Credential | Trouble {
  const keyPem = PRIVATE_KEY.exec(pem)?.[0]
  const certificates = pem.match(CERTIFICATE) ?? []
  if (keyPem === undefined || certificates.length === 0) {
    return problem(
      access,
      'certificate-file-incomplete',
      operators(
        'The file {file} must hold a private key and its certificate, both as PEM: the operator must put both there.',
      ),
    )
  }
  if (keyPem.includes('ENCRYPTED')) {
    return problem(
      access,
      'certificate-key-encrypted',
      operators('The private key in {file} is encrypted: the operator must store it without a passphrase.'),
    )
  }
  const unusable = () =>
    problem(
      access,
      'certificate-unusable',
      operators(
        'The key and the certificate in {file} are not an RSA pair that can be read: the operator must put a matching pair there.',
      ),
    )
  try {
    const key = createPrivateKey(keyPem)
    const certificate = certificates.map(text => new X509Certificate(text)).find(isOf(key))
    if (key.asymmetricKeyType !== 'rsa' || certificate === undefined) return unusable()
    return {
      kind: 'certificate',
      privateKey: keyPem,
      thumbprintSha256: certificate.fingerprint256.replaceAll(':', ''),
      ends: certificate.validToDate.toISOString(),
    }
  } catch {
    return unusable()
  }
}

function isOf(key: KeyObject): (certificate: X509Certificate) => boolean {
  return certificate => certificate.checkPrivateKey(key)
}
