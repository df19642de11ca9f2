/**
 * Reads a tenant's credential from SECRETS_DIR, afresh for every token: a rotated file takes effect without a restart,
 * and nothing secret outlives the request it was read for.
 */
import { createHash } from 'node:crypto'
import { open, realpath } from 'node:fs/promises'
import { sep } from 'node:path'

import { registerSecret } from '../../platform/log-scrub.ts'
import { placeSecret, readSecretFile, secretFileVersion } from '../../platform/secret-file.ts'
import { binaryForm, type CertificateCredential, certificateFrom } from './certificate.ts'
import type { TenantAccess } from './clouds.ts'
import { type FederatedCredential, federatedFrom } from './federated-token.ts'
import { type Advice, problem, type Trouble } from './problems.ts'
import { oddityOf, wrappedInJson } from './secret-shape.ts'

export type Credential =
  /** The present one and, while it is being changed, the next: a line each. */
  | { readonly kind: 'secrets'; readonly secrets: readonly [string, ...string[]] }
  | CertificateCredential
  | FederatedCredential

/**
 * Changes whenever the credential's file does, so that a tenant that needs attention can be tried again at once.
 * Never throws: a file that is missing or out of bounds has a version too.
 */
export async function credentialVersion(secretsDir: string, access: TenantAccess): Promise<string> {
  const place = await placeOf(secretsDir, access.credential.file)
  return typeof place === 'string' ? place : ((await secretFileVersion(place.path)) ?? 'missing')
}

/** Nothing is sent with what cannot succeed: a certificate that has ended, a placeholder, a file of another kind. */
export async function readCredential(
  secretsDir: string,
  access: TenantAccess,
  nowMs: number,
): Promise<Credential | Trouble> {
  const place = await placeOf(secretsDir, access.credential.file)
  if (typeof place === 'string') return problem(access, `secret-file-${place}`, PLACE_WORDS[place])
  const read = await readSecretFile(place.path)
  if (read.kind === 'ok') return credentialFrom(access, read.text, nowMs)
  const isBinary = access.credential.kind === 'certificateFile' && read.problem.endsWith('is not UTF-8 text')
  const form = isBinary ? binaryForm(await headOf(place.path)) : null
  const words = `The credential file ${read.problem}${form === null ? '' : `: it ${form}`}: the operator must put ${WANTED[access.credential.kind]}.`
  return problem(access, 'secret-file-unusable', operators(words))
}

const WANTED = {
  secretFile: 'the credential, and nothing else, there',
  federatedTokenFile: 'the federated token, and nothing else, there',
  certificateFile:
    'a private key and its certificate there, both as PEM (openssl pkcs12 -in FILE -nodes makes that of a PFX)',
} as const

/**
 * Tenants that a file's secret is shared with although their applications are different: one of the files is the
 * other's. By tenant id; only hashes are kept, and only for as long as this takes.
 */
export async function sharedSecrets(
  secretsDir: string,
  accesses: readonly TenantAccess[],
): Promise<ReadonlyMap<string, TenantAccess>> {
  const holders = new Map<string, TenantAccess[]>()
  for (const access of accesses) {
    for (const hash of await secretHashes(secretsDir, access)) {
      const known = holders.get(hash)
      if (known === undefined) holders.set(hash, [access])
      else known.push(access)
    }
  }
  const shared = new Map<string, TenantAccess>()
  for (const alike of holders.values()) {
    for (const access of alike) {
      const other = alike.find(({ clientId }) => clientId.toLowerCase() !== access.clientId.toLowerCase())
      if (other !== undefined) shared.set(access.tenantId, other)
    }
  }
  return shared
}

async function secretHashes(secretsDir: string, access: TenantAccess): Promise<readonly string[]> {
  if (access.credential.kind !== 'secretFile') return []
  const place = await placeOf(secretsDir, access.credential.file)
  const read = typeof place === 'string' ? null : await readSecretFile(place.path)
  if (read?.kind !== 'ok') return []
  const hashes = linesOf(read.text)
    .slice(0, 2)
    // a placeholder is in many files, and says nothing of whose they are
    .filter(secret => oddityOf(secret)?.isCertain !== true)
    .map(secret => createHash('sha256').update(secret).digest('hex'))
  return [...new Set(hashes)]
}

const HEAD_BYTES = 16

async function headOf(path: string): Promise<Buffer> {
  try {
    await using handle = await open(path, 'r')
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0)
    return buffer.subarray(0, bytesRead)
  } catch {
    return Buffer.alloc(0)
  }
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

function credentialFrom(access: TenantAccess, text: string, nowMs: number): Credential | Trouble {
  switch (access.credential.kind) {
    case 'secretFile':
      return secretsFrom(access, text)
    case 'federatedTokenFile':
      return federatedFrom(access, text)
    case 'certificateFile':
      return certificateFrom(access, text, nowMs)
  }
}

/** No secret of Entra begins or ends with a blank, and what is copied from a page often does. */
function linesOf(text: string): readonly string[] {
  return text
    .split(/\r?\n/)
    .map(line => line.trim())
    .filter(line => line !== '')
}

function secretsFrom(access: TenantAccess, text: string): Credential | Trouble {
  const unusable = (words: string) => problem(access, 'secret-file-unusable', operators(words))
  const [present, ...more] = linesOf(text)
  const wrapped = wrappedInJson(text)
  if (wrapped !== null) return unusable(`The secret in {file} ${wrapped.words}`)
  if (present === undefined || more.length > 1) {
    return unusable(
      'The file {file} must hold the client secret or, while it is being changed, two of them, a line each, and nothing else: the operator must put that there.',
    )
  }
  const oddities = [present, ...more].map(oddityOf)
  // one that may work is tried, whatever stands beside it
  if (oddities.every(oddity => oddity?.isCertain === true))
    return unusable(`The secret in {file} ${oddities[0]?.words}`)
  for (const secret of [present, ...more]) registerSecret(secret)
  return { kind: 'secrets', secrets: [present, ...more] }
}
