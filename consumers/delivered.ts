/**
 * The ledger record of an alert that was delivered and of which nothing is parked: nearly all are of this shape. A worker
 * writes one for each alert, and reads millions when it restores; of those only four numbers are kept. So it is read and
 * written where it lies, without objects, and with the same bytes as the codec's.
 */
import { WIRE_HEADER_BYTES, writeHeader } from '../platform/avro/wire.ts'
import type { AlertName } from './alert-name.ts'
import type { TableMark } from './ledger-table.ts'
import { packVersionAt, unpackVersion } from './version.ts'

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
    isAt(value, tenantAt, key, 0, tenantBytes) &&
    isAt(value, alertAt, key, tenantBytes + 1, alertBytes)
  if (!isOurs || value[cursor.at++] !== IS_MARK || readLong(cursor) !== VERSION_BYTES) return null
  const versionAt = cursor.at
  const hashAt = versionAt + VERSION_BYTES
  cursor.at = hashAt + HASH_BYTES
  const offset = readLong(cursor)
  const atMs = readLong(cursor)
  const isWhole = cursor.at + 2 === value.length && value[cursor.at] === IS_NULL && value[cursor.at + 1] === IS_NULL
  if (!isWhole || !(offset >= 0) || !(atMs >= 0)) return null
  const version = packVersionAt(value, versionAt)
  if (version === null) return null
  return {
    version,
    hashHi: value.readInt32BE(hashAt),
    hashLo: value.readInt32BE(hashAt + 4),
    offset,
    day: Math.floor(atMs / DAY_MS),
  }
}

/** Encoded records lie in it one after the other; it lives as long as the last of them. */
const SLAB_BYTES = 256 * 1024
/** Of one UTF-16 unit. */
const UTF8_BYTES_MAX = 3
/** Header, branches and version, hash, and four numbers of ten bytes. */
const BESIDE_NAMES_BYTES_MAX = WIRE_HEADER_BYTES + 3 + 1 + VERSION_BYTES + HASH_BYTES + 4 * 10
let slab = Buffer.alloc(0)
let used = 0

/** `schemaId`: as of `readDelivered`. */
export function writeDelivered({ tenantId, alertId }: AlertName, mark: TableMark, schemaId: number): Buffer {
  const most = (tenantId.length + alertId.length) * UTF8_BYTES_MAX + BESIDE_NAMES_BYTES_MAX
  if (used + most > slab.length) {
    slab = Buffer.allocUnsafeSlow(Math.max(SLAB_BYTES, most))
    used = 0
  }
  const from = used
  const out = { bytes: slab, at: from + WIRE_HEADER_BYTES }
  writeText(out, tenantId)
  writeText(out, alertId)
  slab[out.at++] = IS_MARK
  writeText(out, unpackVersion(mark.version))
  out.at = slab.writeInt32BE(mark.hashLo, slab.writeInt32BE(mark.hashHi, out.at))
  writeLong(out, mark.offset)
  writeLong(out, mark.day * DAY_MS)
  slab[out.at++] = IS_NULL
  slab[out.at++] = IS_NULL
  used = out.at
  const written = slab.subarray(from, used)
  writeHeader(written, schemaId)
  return written
}

function writeText(out: Cursor, text: string): void {
  writeLong(out, Buffer.byteLength(text))
  out.at += out.bytes.write(text, out.at)
}

/** Zigzag, of what is not negative. */
function writeLong(out: Cursor, value: number): void {
  let rest = value * 2
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) out.bytes[out.at++] = (rest % 0x80) | 0x80
  out.bytes[out.at++] = rest
}

/** So few bytes are compared sooner than a comparison is called for. */
function isAt(bytes: Buffer, at: number, wanted: Buffer, from: number, count: number): boolean {
  for (let n = 0; n < count; n++) if (bytes[at + n] !== wanted[from + n]) return false
  return true
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
