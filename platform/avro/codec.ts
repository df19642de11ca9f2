import type { Schema } from 'avsc'
import avro from 'avsc'
import type { Clock } from '../clock.ts'
import { TransientError } from '../retry.ts'
import { boundsOf } from './bounds.ts'
import type { SchemaLookup } from './registry.ts'
import { readFrame, WIRE_HEADER_BYTES, writeHeader } from './wire.ts'

export type AvroSchema = Schema

/**
 * Encodes and decodes the values of one topic. The writer's schema is found by the id in the bytes, the result always has
 * the reader's shape (the schema this code was written with).
 */
export interface Codec<T> {
  /** Of the schema this code was written with. */
  readonly schemaId: number
  encode(value: T): Buffer
  /** Never throws. `unknown-schema` means: `await learn(id)` and decode again. */
  decode(bytes: Buffer): Decoded<T>
  /** Asks the registry for a writer's schema. False: the registry has no such id. Rejects with a TransientError. */
  learn(id: number): Promise<boolean>
}

export type Decoded<T> =
  | { readonly kind: 'value'; readonly value: T }
  | { readonly kind: 'unknown-schema'; readonly id: number }
  | { readonly kind: 'undecodable'; readonly detail: string }

interface Writer {
  readonly resolver: unknown
  readonly bounds: (bytes: Buffer, from: number) => string | null
}

/** What avsc reads with; its own types do not show it. */
interface Tap {
  readonly buf: Buffer
  pos: number
  readLong(): number
}

/** avsc copies each value of type bytes, an alert of 4 kB into fresh memory; a view of the record does as well. */
function sharedBytes(): avro.Type {
  const read = (tap: Tap): Buffer => {
    const length = tap.readLong() // `boundsOf` has looked at it
    return tap.buf.subarray(tap.pos, (tap.pos += length))
  }
  // its own object is frozen
  return Object.create(new avro.types.BytesType(), { _read: { value: read } }) as avro.Type
}

/** `shared`: values of type bytes are views of what is decoded, and keep it alive; for what is soon done with. */
export type BytesAre = 'copied' | 'shared'

// branches stay bare, so that adding one later cannot change the shape of what we read
// a new object each time: avsc keeps the names it has seen in the options it is given
const typeOptions = (bytes: BytesAre) => ({
  wrapUnions: 'never' as const,
  omitRecordMethods: true,
  typeHook: (schema: Schema) => (bytes === 'shared' && schema === 'bytes' ? sharedBytes() : undefined),
})
const KNOWN_SCHEMAS_MAX = 1_000
const UNKNOWN_FOR_MS = 5_000
/** Encoded values lie in it one after the other; it lives as long as the last of them. */
const SLAB_BYTES = 256 * 1024

/** Resolves the id of our own schema once; rejects in words when it is not registered. */
export async function openCodec<T>(
  subject: string,
  schema: Schema,
  registry: SchemaLookup,
  clock: Clock,
  bytes: BytesAre = 'copied',
): Promise<Codec<T>> {
  const id = await registry.idOf(subject, schema)
  if (id === null) {
    throw new Error(
      `Subject ${subject} does not hold the schema this version was built with. Run \`npx socos schemas register\`.`,
    )
  }
  return codecOf<T>(id, schema, registry, clock, bytes)
}

export function codecOf<T>(
  ownId: number,
  schema: Schema,
  registry: SchemaLookup,
  clock: Clock,
  bytes: BytesAre = 'copied',
): Codec<T> {
  const reader = avro.Type.forSchema(schema, typeOptions(bytes))
  const writers = new Map<number, Writer>([[ownId, { resolver: undefined, bounds: boundsOf(schema) }]])
  const unknownUntilMs = new Map<number, number>()
  let slab = Buffer.allocUnsafeSlow(SLAB_BYTES)
  let used = 0

  function encode(value: T): Buffer {
    // avsc's own toBuffer encodes anything above 1 KiB twice, and memory of its own for each value costs as much again
    let end = used + WIRE_HEADER_BYTES > slab.length ? -1 : reader.encode(value, slab, used + WIRE_HEADER_BYTES)
    if (end < 0) {
      // negative: so many bytes are missing
      const needed = slab.length - used - end
      slab = Buffer.allocUnsafeSlow(Math.max(SLAB_BYTES, needed))
      used = 0
      end = reader.encode(value, slab, WIRE_HEADER_BYTES)
      while (end < 0) {
        slab = Buffer.allocUnsafeSlow(slab.length - end)
        end = reader.encode(value, slab, WIRE_HEADER_BYTES)
      }
    }
    const bytes = slab.subarray(used, end)
    used = end
    writeHeader(bytes, ownId)
    return bytes
  }

  function decode(bytes: Buffer): Decoded<T> {
    const frame = readFrame(bytes)
    if (frame.kind === 'bad') return { kind: 'undecodable', detail: frame.detail }
    const writer = writers.get(frame.schemaId)
    if (!writer) return { kind: 'unknown-schema', id: frame.schemaId }
    const excess = writer.bounds(bytes, WIRE_HEADER_BYTES)
    if (excess !== null) return { kind: 'undecodable', detail: excess }
    try {
      const { value, offset } = reader.decode(bytes, WIRE_HEADER_BYTES, writer.resolver as never)
      if (offset === bytes.length) return { kind: 'value', value: value as T }
      return { kind: 'undecodable', detail: offset < 0 ? 'truncated buffer' : 'trailing data' }
    } catch (error) {
      return { kind: 'undecodable', detail: error instanceof Error ? error.message.slice(0, 200) : 'not Avro' }
    }
  }

  async function learn(id: number): Promise<boolean> {
    if (writers.has(id)) return true
    if (clock.now() < (unknownUntilMs.get(id) ?? 0)) return false
    const written = await registry.schemaOf(id)
    if (written === null) return forget(id)
    try {
      const resolver = reader.createResolver(avro.Type.forSchema(written, typeOptions(bytes)))
      if (writers.size < KNOWN_SCHEMAS_MAX) writers.set(id, { resolver, bounds: boundsOf(written) })
      return writers.has(id)
    } catch {
      return forget(id) // a schema that cannot become ours: the record is as good as unknown
    }
  }

  function forget(id: number): false {
    if (unknownUntilMs.size >= KNOWN_SCHEMAS_MAX) unknownUntilMs.clear()
    unknownUntilMs.set(id, clock.now() + UNKNOWN_FOR_MS)
    return false
  }

  return { schemaId: ownId, encode, decode, learn }
}

/** Decodes, asking the registry once when the writer's schema is new. Rejects only with a TransientError. */
export async function decodeLearning<T>(
  codec: Codec<T>,
  bytes: Buffer,
): Promise<Exclude<Decoded<T>, { kind: 'unknown-schema' }>> {
  const first = codec.decode(bytes)
  if (first.kind !== 'unknown-schema') return first
  if (!(await codec.learn(first.id))) {
    return { kind: 'undecodable', detail: `schema id ${first.id} is not in the registry or cannot be read as ours` }
  }
  const second = codec.decode(bytes)
  if (second.kind === 'unknown-schema')
    throw new TransientError(`Schema ${second.id} was forgotten while it was learnt`)
  return second
}
