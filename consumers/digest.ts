import { hash } from 'node:crypto'
import type { Digest } from './ledger-table.ts'

/** 128 bits of the SHA-256 of a key, as text or as its UTF-8 bytes. */
export function digestOf(key: string | Buffer): Digest {
  // as text: a buffer of its own for each takes three times as long
  const digest = hash('sha256', key, 'latin1')
  return { a: wordAt(digest, 0), b: wordAt(digest, 4), c: wordAt(digest, 8), d: wordAt(digest, 12) }
}

/** Little-endian, as everywhere where the digest of a key is kept. Signed: V8 makes an object of each larger number. */
function wordAt(bytes: string, at: number): number {
  const low = bytes.charCodeAt(at) | (bytes.charCodeAt(at + 1) << 8) | (bytes.charCodeAt(at + 2) << 16)
  return low | (bytes.charCodeAt(at + 3) << 24)
}
