/**
 * A record batch (magic 2) in one pass: sizes first, then every byte once into its place. KafkaJS gives each record a
 * zeroed buffer of its own that is doubled until it fits, and then copies all of them into one that is doubled too: for
 * alerts of 4 kB more work than everything else of an append (K21). The bytes are the same; a test compares them.
 */

/** A number as KafkaJS hands it over: its own Long for what it does not use, else a plain one. */
type Whole = number | string | { toString(): string }

interface RecordIn {
  readonly offsetDelta?: number
  readonly timestampDelta?: number
  readonly key?: Buffer | string | null
  readonly value?: Buffer | string | null
  readonly headers?: Readonly<Record<string, HeaderIn | readonly HeaderIn[]>>
}

type HeaderIn = Buffer | string | null

/** What is known of a record before its bytes are written. */
export interface SizedRecord {
  readonly offsetDelta: number
  readonly timestampDelta: number
  readonly key: Buffer | string | null
  readonly value: Buffer | string | null
  readonly headers: readonly (readonly [string, HeaderIn])[]
  readonly bodyBytes: number
}

interface BatchIn {
  readonly compression?: number
  readonly firstOffset?: Whole
  readonly firstTimestamp: Whole
  readonly maxTimestamp: Whole
  readonly partitionLeaderEpoch?: number
  readonly lastOffsetDelta?: number
  readonly transactional?: boolean
  readonly producerId?: Whole
  readonly producerEpoch?: number
  readonly firstSequence?: number
  readonly records: readonly SizedRecord[]
}

export interface BatchParts {
  crc32c(bytes: Buffer): number
  /** null: not compressed. */
  codec(compression: number): { compress(body: { readonly buffer: Buffer }): Promise<Buffer> } | null
}

/** Quacks like an Encoder of KafkaJS. */
export interface EncodedBatch {
  readonly buf: Buffer
  readonly buffer: Buffer
  size(): number
}

const CODEC_MASK = 0x7
const TRANSACTIONAL = 0x10
const MAGIC = 2
/** firstOffset, length, leader epoch, magic, checksum. */
const HEAD_BYTES = 8 + 4 + 4 + 1 + 4
/** From the attributes to the count of records. */
const FIXED_BYTES = 2 + 4 + 8 + 8 + 8 + 2 + 4 + 4

export function sizedRecord({ offsetDelta = 0, timestampDelta = 0, key, value, headers }: RecordIn): SizedRecord {
  const list: (readonly [string, HeaderIn])[] = []
  for (const [name, values] of Object.entries(headers ?? {})) {
    for (const each of isList(values) ? values : [values]) list.push([name, each])
  }
  const sized = { offsetDelta, timestampDelta, key: key ?? null, value: value ?? null, headers: list }
  let bodyBytes = 1 + varintBytes(timestampDelta) + varintBytes(offsetDelta) + varintBytes(list.length)
  bodyBytes += fieldBytes(sized.key) + fieldBytes(sized.value)
  for (const [name, each] of list) bodyBytes += fieldBytes(name) + fieldBytes(each)
  return { ...sized, bodyBytes }
}

export async function encodeBatch(batch: BatchIn, parts: BatchParts): Promise<EncodedBatch> {
  const { compression = 0, firstOffset = 0, producerId = -1, records } = batch
  const packed = packRecords(records)
  const codec = parts.codec(compression & CODEC_MASK)
  const body = codec === null ? packed : await codec.compress({ buffer: packed })
  const bytes = Buffer.allocUnsafe(HEAD_BYTES + FIXED_BYTES + body.length)
  let at = bytes.writeBigInt64BE(BigInt(String(firstOffset)), 0)
  at = bytes.writeInt32BE(bytes.length - at - 4, at)
  at = bytes.writeInt32BE(batch.partitionLeaderEpoch ?? 0, at)
  at = bytes.writeInt8(MAGIC, at)
  const checksumAt = at
  at = bytes.writeInt16BE((compression & CODEC_MASK) | (batch.transactional ? TRANSACTIONAL : 0), at + 4)
  at = bytes.writeInt32BE(batch.lastOffsetDelta ?? 0, at)
  at = bytes.writeBigInt64BE(BigInt(String(batch.firstTimestamp)), at)
  at = bytes.writeBigInt64BE(BigInt(String(batch.maxTimestamp)), at)
  at = bytes.writeBigInt64BE(BigInt(String(producerId)), at)
  at = bytes.writeInt16BE(batch.producerEpoch ?? 0, at)
  at = bytes.writeInt32BE(batch.firstSequence ?? 0, at)
  at = bytes.writeInt32BE(records.length, at)
  body.copy(bytes, at)
  bytes.writeUInt32BE(parts.crc32c(bytes.subarray(checksumAt + 4)) >>> 0, checksumAt)
  return { buf: bytes, buffer: bytes, size: () => bytes.length }
}

function packRecords(records: readonly SizedRecord[]): Buffer {
  let size = 0
  for (const { bodyBytes } of records) size += varintBytes(bodyBytes) + bodyBytes
  const bytes = Buffer.allocUnsafe(size)
  let at = 0
  for (const record of records) {
    at = writeVarint(bytes, record.bodyBytes, at)
    bytes[at++] = 0 // attributes, of which there are none
    at = writeVarint(bytes, record.timestampDelta, at)
    at = writeVarint(bytes, record.offsetDelta, at)
    at = writeField(bytes, record.key, at)
    at = writeField(bytes, record.value, at)
    at = writeVarint(bytes, record.headers.length, at)
    for (const [name, value] of record.headers) at = writeField(bytes, value, writeField(bytes, name, at))
  }
  return bytes
}

function isList(values: HeaderIn | readonly HeaderIn[]): values is readonly HeaderIn[] {
  return Array.isArray(values)
}

function fieldBytes(field: HeaderIn): number {
  if (field === null) return 1
  const length = Buffer.byteLength(field)
  return varintBytes(length) + length
}

function writeField(bytes: Buffer, field: HeaderIn, start: number): number {
  if (field === null) return writeVarint(bytes, -1, start)
  const length = Buffer.byteLength(field)
  const at = writeVarint(bytes, length, start)
  if (typeof field === 'string') bytes.write(field, at)
  else field.copy(bytes, at)
  return at + length
}

/** Zig-zag; arithmetic instead of shifts, so that it holds beyond 32 bits. */
function zigzag(value: number): number {
  return value >= 0 ? value * 2 : -value * 2 - 1
}

function varintBytes(value: number): number {
  let left = zigzag(value)
  let bytes = 1
  for (; left >= 0x80; bytes++) left = Math.floor(left / 0x80)
  return bytes
}

function writeVarint(bytes: Buffer, value: number, start: number): number {
  let left = zigzag(value)
  let at = start
  for (; left >= 0x80; left = Math.floor(left / 0x80)) bytes[at++] = (left % 0x80) | 0x80
  bytes[at++] = left
  return at
}
