import { createHmac } from 'node:crypto'

/**
 * Standard Webhooks 1.0: HMAC-SHA256 over `id.timestamp.body`, one `v1,<base64>` per key, so that a receiver may hold
 * the old or the new key while they are changed. The body is signed uncompressed: frameworks decompress first.
 */
export function signature(keys: readonly Buffer[], id: string, timestampSeconds: number, body: Buffer): string {
  return keys
    .map(key => `v1,${createHmac('sha256', key).update(`${id}.${timestampSeconds}.`).update(body).digest('base64')}`)
    .join(' ')
}

const MAX_KEYS = 2
const MIN_KEY_BYTES = 24
const MAX_KEY_BYTES = 64
const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/

/**
 * One key a line as the standard writes them: `whsec_` and base64 of 24 to 64 bytes; empty lines are passed over. One
 * key, or two while they are changed. Throws in words that never hold the key.
 */
export function parseSigningKeys(text: string): readonly Buffer[] {
  const lines = text.split(/\r?\n/).flatMap(line => (line.trim() === '' ? [] : [line.trim()]))
  if (lines.length === 0 || lines.length > MAX_KEYS) {
    throw new Error(`has ${lines.length} keys; write one whsec_… key a line, at most ${MAX_KEYS}`)
  }
  return lines.map((line, index) => {
    const encoded = line.startsWith('whsec_') ? line.slice('whsec_'.length) : line
    const key = Buffer.from(encoded, 'base64')
    if (!BASE64.test(encoded) || key.length < MIN_KEY_BYTES || key.length > MAX_KEY_BYTES) {
      throw new Error(`key ${index + 1} is not whsec_ and base64 of ${MIN_KEY_BYTES} to ${MAX_KEY_BYTES} bytes`)
    }
    return key
  })
}
