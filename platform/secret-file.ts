import { constants } from 'node:fs'
import { open, realpath, stat } from 'node:fs/promises'
import path from 'node:path'
import { quote, registerSecret } from './log-scrub.ts'

const MAX_SECRET_BYTES = 65_536

/** `version` changes whenever the file was replaced; it says nothing about the content. */
export type SecretRead =
  | { readonly kind: 'ok'; readonly text: string; readonly version: string }
  | { readonly kind: 'bad'; readonly problem: string }

export type PlacedSecret =
  | { readonly kind: 'ok'; readonly path: string }
  | { readonly kind: 'bad'; readonly problem: string }

/**
 * The path of a credential that a tenant record names relative to SECRETS_DIR. Tenant records come over Kafka, so a
 * name that leads out of the directory is refused before anything is opened. Symbolic links: see readSecretInside.
 */
export function placeSecret(secretsDir: string, relative: string): PlacedSecret {
  const parts = relative.split(/[/\\]/)
  const odd = relative.length > 512 || relative.includes('\0') || relative.includes('\\') || /^[A-Za-z]:/.test(relative)
  if (relative.trim() === '' || odd || path.isAbsolute(relative) || parts.includes('..') || parts.at(-1) === '.') {
    return { kind: 'bad', problem: 'expected a path relative to SECRETS_DIR, without .. and \\' }
  }
  const dir = path.resolve(secretsDir)
  const full = path.resolve(dir, relative)
  if (full === dir || !full.startsWith(dir.endsWith(path.sep) ? dir : dir + path.sep)) {
    return { kind: 'bad', problem: 'expected a path inside SECRETS_DIR' }
  }
  return { kind: 'ok', path: full }
}

/** readSecretFile for a path relative to SECRETS_DIR; a link that leads out of the directory is refused too. */
export async function readSecretInside(secretsDir: string, relative: string): Promise<SecretRead> {
  const placed = placeSecret(secretsDir, relative)
  if (placed.kind === 'bad') return placed
  try {
    // Kubernetes mounts secrets as links, but to places inside the mount
    const [dir, file] = await Promise.all([realpath(secretsDir), realpath(placed.path)])
    if (!file.startsWith(dir + path.sep)) return bad(placed.path, 'is a link that leads out of SECRETS_DIR')
    return await readSecretFile(file)
  } catch (error) {
    return bad(placed.path, whyUnreadable(error))
  }
}

/**
 * A mounted secret: UTF-8, at most 64 KiB, one trailing newline taken off. What was read is masked in all logs from
 * then on. Read it again whenever it is needed: mounts are replaced while the process runs.
 */
export async function readSecretFile(file: string): Promise<SecretRead> {
  try {
    // non-blocking: a named pipe without a writer must not hold the worker
    await using handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK)
    const info = await handle.stat({ bigint: true })
    if (!info.isFile()) return bad(file, 'is not a regular file')
    if (info.size > BigInt(MAX_SECRET_BYTES)) return bad(file, `is larger than ${MAX_SECRET_BYTES} bytes`)
    const bytes = await handle.readFile()
    if (isUtf16(bytes)) return bad(file, 'is UTF-16 text, as the > of Windows PowerShell writes it, not UTF-8')
    const text = secretText(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
    if (text.trim() === '') return bad(file, 'is empty')
    registerSecret(text)
    return { kind: 'ok', text, version: fileVersion(info) }
  } catch (error) {
    return bad(file, whyUnreadable(error))
  }
}

/** The version that readSecretFile would give, without reading; null when the file is not there. */
export async function secretFileVersion(file: string): Promise<string | null> {
  try {
    return fileVersion(await stat(file, { bigint: true }))
  } catch {
    return null
  }
}

function isUtf16(bytes: Buffer): boolean {
  return (bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff)
}

/** Editors and `echo` end a file with a newline that is no part of the secret. */
export function secretText(content: string): string {
  return content.replace(/^\ufeff/, '').replace(/\r?\n$/, '')
}

/** Why a file could not be read, without its content: ENOENT, EACCES, … in words. */
export function whyUnreadable(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error'
  switch (code) {
    case 'ENOENT':
      return 'does not exist'
    case 'EACCES':
    case 'EPERM':
      return 'may not be read by this user'
    case 'EISDIR':
      return 'is a directory'
    case 'ERR_ENCODING_INVALID_ENCODED_DATA':
      return 'is not UTF-8 text'
    default:
      return `cannot be read (${code})`
  }
}

/** Changes whenever a file was replaced or written; `info` from a stat with `bigint`. */
export function fileVersion(info: { readonly ino: bigint; readonly mtimeNs: bigint; readonly size: bigint }): string {
  return `${info.ino}-${info.mtimeNs}-${info.size}`
}

function bad(file: string, what: string): SecretRead {
  return { kind: 'bad', problem: `${quote(file, 512)} ${what}` }
}
