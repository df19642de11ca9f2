/**
 * A ledger record read where it lies. A worker that restores reads millions of them, nearly all of one shape: an alert was
 * delivered, nothing of it is parked. Of those only four numbers are kept, so no object and no text is made of the rest.
 */
import { WIRE_HEADER_BYTES } from '../platform/avro/wire.ts'
import type { TableMark } from './ledger-table.ts'
import { packVersion } from './version.ts'

const DAY_MS = 86_400_000
const SLASH = 0x2f
const VERSION_BYTES = 28
const HASH_BYTES = 8
// branches of a union, zigzag-encoded
const IS_NULL = 0
const IS_MARK = 2

interface Cursor {
  readonly bytes: Buffer
  at: number
}

/**
 * `schemaId`: of the schema this code was written with. Null for whatever is not exactly of that shape and schema, under
 * the key that belongs to it: totals, parked alerts, older writers, damage. The codec reads those.
 */
export function readDelivered(key: Buffer, value: Buffer, schemaId: number): TableMark | null {
  if (value.length < WIRE_HEADER_BYTES || value[0] !== 0 || value.readInt32BE(1) !== schemaId) return null
  const cursor = { bytes: value, at: WIRE_HEADER_BYTES }
  const tenantBytes = readLong(cursor)
  const tenantAt = cursor.at
  cursor.at += tenantBytes
  const alertBytes = readLong(cursor)
  const alertAt = cursor.at
  cursor.at += alertBytes
  const isOurs =
    tenantBytes > 0 &&
    alertBytes > 0 &&
    key.length === tenantBytes + 1 + alertBytes &&
    cursor.at < value.length &&
    key[tenantBytes] === SLASH &&
    key.compare(value, tenantAt, tenantAt + tenantBytes, 0, tenantBytes) === 0 &&
    key.compare(value, alertAt, alertAt + alertBytes, tenantBytes + 1) === 0
  if (!isOurs || value[cursor.at++] !== IS_MARK || readLong(cursor) !== VERSION_BYTES) return null
  const versionAt = cursor.at
  const hashAt = versionAt + VERSION_BYTES
  cursor.at = hashAt + HASH_BYTES
  const offset = readLong(cursor)
  const atMs = readLong(cursor)
  const isWhole = cursor.at + 2 === value.length && value[cursor.at] === IS_NULL && value[cursor.at + 1] === IS_NULL
  if (!isWhole || !(offset >= 0) || !(atMs >= 0)) return null
  const version = packVersion(value.toString('latin1', versionAt, hashAt))
  if (version === null) return null
  return {
    version,
    hashHi: value.readUInt32BE(hashAt),
    hashLo: value.readUInt32BE(hashAt + 4),
    offset,
    day: Math.floor(atMs / DAY_MS),
  }
}

/** A zigzag varint of at most seven bytes, which is more than offsets and times take; NaN for any other, and past the end. */
function readLong(cursor: Cursor): number {
  let value = 0
  for (let factor = 1; factor <= 2 ** 42; factor *= 128) {
    const byte = cursor.bytes[cursor.at++]
    if (byte === undefined) return Number.NaN
    value += (byte & 0x7f) * factor
    if (byte < 0x80) return value % 2 === 0 ? value / 2 : -(value + 1) / 2
  }
  return Number.NaN
}
