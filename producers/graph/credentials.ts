/**
 * Reads a tenant's credential from SECRETS_DIR, afresh for every token: a rotated file takes effect without a restart,
 * and nothing secret outlives the request it was read for.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { open, realpath, stat } from 'node:fs/promises'
import { isAbsolute, join, relative, sep } from 'node:path'

import type { TenantAccess } from './clouds.ts'
import { problem, type Trouble } from './problems.ts'

export type Credential =
  | { readonly kind: 'secret'; readonly secret: string }
  | { readonly kind: 'certificate'; readonly privateKey: string; readonly thumbprintSha256: string }
  | { readonly kind: 'assertion'; readonly assertion: string }

const MAX_FILE_BYTES = 64 * 1024
const CERTIFICATE = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g
const PRIVATE_KEY =
  /-----BEGIN (?:RSA |ENCRYPTED )?PRIVATE KEY-----[\s\S]+?-----END (?:RSA |ENCRYPTED )?PRIVATE KEY-----/

/**
 * Changes whenever the credential's file does, so that a tenant that needs attention can be tried again at once.
 * Never throws: a file that is missing or out of bounds has a version too.
 */
export async function credentialVersion(secretsDir: string, access: TenantAccess): Promise<string> {
  const path = await pathOf(secretsDir, access.credential.file)
  if (typeof path === 'string') return path
  try {
    const { ino, mtimeNs, size } = await stat(path.real, { bigint: true })
    return `${ino}-${mtimeNs}-${size}`
  } catch {
    return 'missing'
  }
}

export async function readCredential(secretsDir: string, access: TenantAccess): Promise<Credential | Trouble> {
  const path = await pathOf(secretsDir, access.credential.file)
  if (path === 'outside') {
    return problem(
      access,
      'secret-file-outside',
      'The credential file {file} lies outside SECRETS_DIR: name a file below it in the tenants file.',
    )
  }
  const bytes = path === 'missing' ? 'missing' : await bytesOf(path.real)
  if (typeof bytes === 'string') return problem(access, `secret-file-${bytes}`, FILE_WORDS[bytes])
  return credentialFrom(access, bytes.toString('utf8'))
}

type FileTrouble = 'missing' | 'unreadable' | 'too-large'

const FILE_WORDS: Record<FileTrouble | 'empty', string> = {
  missing: 'The credential file {file} is not in SECRETS_DIR: the operator must put it there.',
  unreadable:
    'The credential file {file} cannot be read: the operator must check its permissions and that it is a file.',
  'too-large': `The credential file {file} is larger than ${MAX_FILE_BYTES} bytes: the operator must put the credential alone there.`,
  empty: 'The credential file {file} is empty: the operator must put the credential there.',
}

/** Where the file really is, links resolved. Kubernetes mounts secrets as links, but within the directory. */
async function pathOf(secretsDir: string, file: string): Promise<{ readonly real: string } | 'outside' | 'missing'> {
  const steps = file.split(/[\\/]/)
  if (file === '' || file.includes('\0') || isAbsolute(file) || steps.includes('..')) return 'outside'
  try {
    const root = await realpath(secretsDir)
    const real = await realpath(join(root, file))
    const below = relative(root, real)
    return below === '' || below === '..' || below.startsWith(`..${sep}`) || isAbsolute(below) ? 'outside' : { real }
  } catch {
    return 'missing'
  }
}

async function bytesOf(path: string): Promise<Buffer | FileTrouble> {
  try {
    await using handle = await open(path, 'r')
    const { size } = await handle.stat()
    return size > MAX_FILE_BYTES ? 'too-large' : await handle.readFile()
  } catch {
    return 'unreadable'
  }
}

function credentialFrom(access: TenantAccess, text: string): Credential | Trouble {
  if (text.trim() === '') return problem(access, 'secret-file-empty', FILE_WORDS.empty)
  switch (access.credential.kind) {
    case 'secretFile':
      // editors end files with a newline; anything else could belong to the secret
      return { kind: 'secret', secret: text.replace(/\r?\n$/, '') }
    case 'federatedTokenFile':
      return { kind: 'assertion', assertion: text.trim() }
    case 'certificateFile':
      return certificateFrom(access, text)
  }
}

function certificateFrom(access: TenantAccess, pem: string): Credential | Trouble {
  const keyPem = PRIVATE_KEY.exec(pem)?.[0]
  const certificates = pem.match(CERTIFICATE) ?? []
  if (keyPem === undefined || certificates.length === 0) {
    return problem(
      access,
      'certificate-file-incomplete',
      'The file {file} must hold a private key and its certificate, both as PEM: the operator must put both there.',
    )
  }
  if (keyPem.includes('ENCRYPTED')) {
    return problem(
      access,
      'certificate-key-encrypted',
      'The private key in {file} is encrypted: the operator must store it without a passphrase.',
    )
  }
  const unusable = () =>
    problem(
      access,
      'certificate-unusable',
      'The key and the certificate in {file} are not an RSA pair that can be read: the operator must put a matching pair there.',
    )
  try {
    const key = createPrivateKey(keyPem)
    const certificate = certificates.map(text => new X509Certificate(text)).find(isOf(key))
    if (key.asymmetricKeyType !== 'rsa' || certificate === undefined) return unusable()
    return { kind: 'certificate', privateKey: keyPem, thumbprintSha256: certificate.fingerprint256.replaceAll(':', '') }
  } catch {
    return unusable()
  }
}

function isOf(key: KeyObject): (certificate: X509Certificate) => boolean {
  return certificate => certificate.checkPrivateKey(key)
}
