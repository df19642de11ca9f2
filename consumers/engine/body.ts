import { createHash } from 'node:crypto'
import { beforeAlert, beforeTenant, type EngineItem } from './item.ts'

const OPEN = '{"items":['
const CLOSE = ']}'
const COMMA = 0x2c
const BRACE = 0x7d

/** Bytes of a body beside its items. */
export const ENVELOPE_BYTES = OPEN.length + CLOSE.length

export interface EngineBody {
  /** `{"items":[…]}`, UTF-8, uncompressed. */
  readonly bytes: Buffer
  /** base64url SHA-256 over all of the body but those bytes of alerts for which the ids stand (they hash Graph's content). */
  readonly digest: string
}

/**
 * One copy of every alert's bytes and no other work on them. The same items always give the same bytes and digest.
 * `take` gives the room that the body is built in.
 */
export function buildBody(
  items: readonly EngineItem[],
  take: (bytes: number) => Buffer = Buffer.allocUnsafe,
): EngineBody {
  const heads: string[] = []
  const middles: string[] = []
  let size = ENVELOPE_BYTES
  for (const item of items) {
    const head = beforeTenant(item)
    const middle = beforeAlert(item)
    heads.push(head)
    middles.push(middle)
    size += Buffer.byteLength(head) + item.tenantJson.length + Buffer.byteLength(middle) + item.alert.length + 2
  }
  const bytes = take(size)
  const hash = createHash('sha256')
  let at = bytes.write(OPEN, 0, 'latin1')
  for (const [index, item] of items.entries()) {
    const from = at
    if (index > 0) bytes[at++] = COMMA
    at += bytes.write(heads[index] ?? '', at)
    at += item.tenantJson.copy(bytes, at)
    at += bytes.write(middles[index] ?? '', at)
    hash.update(bytes.subarray(from, at))
    at += item.alert.copy(bytes, at)
    if (item.isConverted) hash.update(item.alert)
    bytes[at++] = BRACE
  }
  at += bytes.write(CLOSE, at, 'latin1')
  return { bytes: bytes.subarray(0, at), digest: hash.digest('base64url') }
}
