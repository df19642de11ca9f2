import { hash } from 'node:crypto'
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
  let hashedMax = 0
  for (const item of items) {
    const head = beforeTenant(item)
    const middle = beforeAlert(item)
    heads.push(head)
    middles.push(middle)
    const frame = Buffer.byteLength(head) + item.tenantJson.length + Buffer.byteLength(middle) + 2
    size += frame + item.alert.length
    hashedMax += frame + (item.isConverted ? item.alert.length : 0)
  }
  const bytes = take(size)
  const hashed = roomToHash(hashedMax)
  let hashedTo = 0
  let at = bytes.write(OPEN, 0, 'latin1')
  let index = 0
  for (const item of items) {
    const from = at
    if (index > 0) bytes[at++] = COMMA
    at += bytes.write(heads[index] ?? '', at)
    at += item.tenantJson.copy(bytes, at)
    at += bytes.write(middles[index] ?? '', at)
    const middleEnd = at
    at += item.alert.copy(bytes, at)
    hashedTo += bytes.copy(hashed, hashedTo, from, item.isConverted ? at : middleEnd)
    bytes[at++] = BRACE
    index++
  }
  at += bytes.write(CLOSE, at, 'latin1')
  return { bytes: bytes.subarray(0, at), digest: hash('sha256', hashed.subarray(0, hashedTo), 'base64url') }
}

const HASHED_KEPT_BYTES = 1024 * 1024
let kept = Buffer.alloc(0)

/** What is hashed of a body is gathered, because a call for each item takes longer than to copy it. Used again each time. */
function roomToHash(bytes: number): Buffer {
  if (bytes > HASHED_KEPT_BYTES) return Buffer.allocUnsafe(bytes)
  if (kept.length === 0) kept = Buffer.allocUnsafeSlow(HASHED_KEPT_BYTES)
  return kept
}
