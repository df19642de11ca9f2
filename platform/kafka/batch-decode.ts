/**
 * Reads a record batch (magic 2) as KafkaJS does, with numbers where that has an object for each integer, a decoder for
 * each record and a folded object for its headers (K22): when a lane's ledger is restored, that is most of the work. What
 * comes out is the same; a test compares it.
 */

/** The part of KafkaJS's Decoder that is used. */
interface ByteSource {
  readonly buffer: Buffer
  offset: number
}

export interface BatchReadParts {
  /** null: the records are not compressed. */
  codec(attributes: number): { decompress(packed: Buffer): Promise<Buffer> } | null
  /** The batch was cut off at the end of the answer: the next fetch brings it whole. */
  partial(message: string): Error
}

interface ReadBatch {
  readonly firstOffset: string
  readonly firstTimestamp: string
  readonly partitionLeaderEpoch: number
  readonly inTransaction: boolean
  readonly isControlBatch: boolean
  readonly lastOffsetDelta: number
  readonly producerId: string
  readonly producerEpoch: number
  readonly firstSequence: number
  readonly maxTimestamp: string
  readonly timestampType: number
  readonly records: ReadRecord[]
}

/** A record as the client wants it, whose place and time are numbers until somebody asks for the client's texts. */
class ReadRecord {
  readonly magicByte: number
  readonly attributes: number
  readonly timestampMs: number
  readonly at: number
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: Readonly<Record<string, HeaderValue | HeaderValue[]>>
  readonly isControlRecord: boolean
  readonly batchContext: object

  constructor(
    context: BatchContext,
    place: { readonly attributes: number; readonly timestampMs: number; readonly at: number },
    cursor: Cursor,
  ) {
    this.magicByte = context.magicByte
    this.attributes = place.attributes
    this.timestampMs = place.timestampMs
    this.at = place.at
    this.key = readField(cursor)
    this.value = readField(cursor)
    this.headers = readHeaders(cursor)
    this.isControlRecord = context.isControlBatch
    this.batchContext = context
  }

  get offset(): string {
    return String(this.at)
  }

  get timestamp(): string {
    return String(this.timestampMs)
  }
}

/** Of any message of the client; no text is made and read again of one that was decoded here. */
export function offsetOf(message: { readonly offset: string }): number {
  return message instanceof ReadRecord ? message.at : Number(message.offset)
}

export function timestampMsOf(message: { readonly timestamp: string }): number {
  return message instanceof ReadRecord ? message.timestampMs : Number(message.timestamp)
}

interface BatchContext {
  readonly magicByte: number
  readonly isControlBatch: boolean
}

type HeaderValue = Buffer | null

/** Offset and length of the batch, which come before what the length counts. */
const PREFIX_BYTES = 12
/** From the leader epoch to the first sequence. */
const HEAD_BYTES = 4 + 1 + 4 + 2 + 4 + 8 + 8 + 8 + 2 + 4
const LOG_APPEND_TIME_FLAG = 0x8
const TRANSACTIONAL_FLAG = 0x10
const CONTROL_FLAG = 0x20
const CREATE_TIME = 0
const LOG_APPEND_TIME = 1

export async function decodeBatch(source: ByteSource, parts: BatchReadParts): Promise<ReadBatch> {
  const { buffer } = source
  const start = source.offset
  const firstOffset = Number(buffer.readBigInt64BE(start))
  const length = buffer.readInt32BE(start + 8)
  source.offset = start + PREFIX_BYTES + length
  const batch = buffer.subarray(start + PREFIX_BYTES, source.offset)
  if (batch.length < length || length < HEAD_BYTES) {
    throw parts.partial(`a record batch of ${length} bytes, of which ${batch.length} came`)
  }
  const attributes = batch.readInt16BE(9)
  const firstTimestamp = Number(batch.readBigInt64BE(15))
  const maxTimestamp = Number(batch.readBigInt64BE(23))
  const isLogAppendTime = (attributes & LOG_APPEND_TIME_FLAG) !== 0
  const context = {
    firstOffset: String(firstOffset),
    firstTimestamp: String(firstTimestamp),
    partitionLeaderEpoch: batch.readInt32BE(0),
    inTransaction: (attributes & TRANSACTIONAL_FLAG) !== 0,
    isControlBatch: (attributes & CONTROL_FLAG) !== 0,
    lastOffsetDelta: batch.readInt32BE(11),
    producerId: String(batch.readBigInt64BE(31)),
    producerEpoch: batch.readInt16BE(39),
    firstSequence: batch.readInt32BE(41),
    maxTimestamp: String(maxTimestamp),
    timestampType: isLogAppendTime ? LOG_APPEND_TIME : CREATE_TIME,
  }
  const shared = { ...context, magicByte: batch.readInt8(4) }
  const times = { first: firstTimestamp, ofAll: isLogAppendTime ? maxTimestamp : null }
  const count = batch.length >= HEAD_BYTES + 4 ? batch.readInt32BE(HEAD_BYTES) : 0
  const rest = batch.subarray(HEAD_BYTES + 4)
  const codec = count > 0 ? parts.codec(attributes) : null
  const bytes = codec === null ? rest : await codec.decompress(rest)
  return { ...context, records: readRecords(bytes, count, firstOffset, times, shared) }
}

interface Times {
  readonly first: number
  /** Set by the broker for the whole batch. */
  readonly ofAll: number | null
}

function readRecords(
  bytes: Buffer,
  count: number,
  firstOffset: number,
  times: Times,
  context: BatchContext,
): ReadRecord[] {
  const records: ReadRecord[] = []
  const cursor = { bytes, at: 0 }
  // a count that the bytes do not hold is nobody's; each record takes more than one
  while (records.length < count && cursor.at < bytes.length) {
    const length = readVarint(cursor)
    const end = cursor.at + length
    const attributes = bytes[cursor.at++] ?? 0
    const timestampDelta = readVarint(cursor)
    const at = firstOffset + readVarint(cursor)
    const timestampMs = times.ofAll ?? times.first + timestampDelta
    records.push(new ReadRecord(context, { attributes, timestampMs, at }, cursor))
    if (length <= 0) break
    cursor.at = end
  }
  return records
}

interface Cursor {
  readonly bytes: Buffer
  at: number
}

const NO_HEADERS: ReadRecord['headers'] = Object.freeze({})

function readHeaders(cursor: Cursor): ReadRecord['headers'] {
  const count = readVarint(cursor)
  if (count <= 0) return NO_HEADERS
  const headers: Record<string, HeaderValue | HeaderValue[]> = {}
  for (let n = 0; n < count && cursor.at < cursor.bytes.length; n++) {
    const name = String(readField(cursor)?.toString())
    const value = readField(cursor)
    const before = Object.hasOwn(headers, name) ? headers[name] : undefined
    const all = before === undefined ? value : Array.isArray(before) ? [...before, value] : [before, value]
    // a name such as __proto__ is a name
    Object.defineProperty(headers, name, { value: all, enumerable: true, configurable: true, writable: true })
  }
  return headers
}

function readField(cursor: Cursor): Buffer | null {
  const length = readVarint(cursor)
  if (length < 0) return null
  const from = cursor.at
  cursor.at = from + length
  return cursor.bytes.subarray(from, cursor.at)
}

/** Zig-zag; by arithmetic beyond 28 bits, so that it holds up to 2^53. */
function readVarint(cursor: Cursor): number {
  const { bytes } = cursor
  let byte = bytes[cursor.at++] ?? 0
  let value = byte & 0x7f
  for (let scale = 0x80; byte >= 0x80 && scale < 2 ** 63; scale *= 0x80) {
    byte = bytes[cursor.at++] ?? 0
    value += (byte & 0x7f) * scale
  }
  return value % 2 === 0 ? value / 2 : -(value + 1) / 2
}
