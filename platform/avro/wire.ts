/** Confluent's wire format: byte 0, schema id as int32 big-endian, Avro body. */

export const WIRE_HEADER_BYTES = 5

export type WireFrame =
  /** The body follows the header. */
  { readonly kind: 'framed'; readonly schemaId: number } | { readonly kind: 'bad'; readonly detail: string }

export function readFrame(bytes: Buffer): WireFrame {
  if (bytes.length < WIRE_HEADER_BYTES) {
    return { kind: 'bad', detail: `only ${bytes.length} bytes, the wire header alone is ${WIRE_HEADER_BYTES}` }
  }
  if (bytes[0] !== 0) return { kind: 'bad', detail: `first byte is ${bytes[0]}, Confluent's wire format begins with 0` }
  return { kind: 'framed', schemaId: bytes.readInt32BE(1) }
}

export function writeHeader(target: Buffer, schemaId: number): void {
  target[0] = 0
  target.writeInt32BE(schemaId, 1)
}
