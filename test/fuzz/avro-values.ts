/** Does a decoded value have the shape that its schema says? Written without the library that decoded it. */
import type { AvroSchema, Codec, Decoded } from '../../platform/avro/codec.ts'
import { must, mustBeWords } from './oracle.ts'

interface Reader {
  readonly codec: Codec<unknown>
  readonly schema: AvroSchema
}

/** The same value always gives the same text. */
export function checkDecoded(decoded: Decoded<unknown>, { codec, schema }: Reader, bytes: Buffer): string {
  switch (decoded.kind) {
    case 'unknown-schema':
      return `schema ${decoded.id}`
    case 'undecodable':
      mustBeWords(decoded.detail, 200, 'the detail')
      return decoded.detail
    case 'value': {
      const nodes = fits(decoded.value, schema, new Map())
      must(nodes <= bytes.length + 64, `${nodes} values out of ${bytes.length} bytes`)
      const again = codec.decode(codec.encode(decoded.value))
      must(again.kind === 'value', 'what was decoded cannot be encoded')
      return JSON.stringify(decoded.value)
    }
  }
}

type Named = Map<string, unknown>

/** How many values there are; throws when one of them is not what the schema says. */
function fits(value: unknown, schema: unknown, named: Named): number {
  if (typeof schema === 'string') return fitsPrimitive(value, schema, named)
  if (Array.isArray(schema)) {
    if (value === null) must(schema.includes('null'), 'null where there is none')
    return value === null
      ? 1
      : fits(
          value,
          schema.find(branch => branch !== 'null'),
          named,
        )
  }
  const { type, name, fields, items, size } = schema as Readonly<Record<string, unknown>>
  if (typeof name === 'string') named.set(name, schema)
  switch (type) {
    case 'record': {
      must(typeof value === 'object' && value !== null, 'a record is none')
      const members = value as Readonly<Record<string, unknown>>
      const wanted = fields as readonly { readonly name: string; readonly type: unknown }[]
      must(Object.keys(members).join() === wanted.map(field => field.name).join(), 'a record has other members')
      return wanted.reduce((sum, field) => sum + fits(members[field.name], field.type, named), 1)
    }
    case 'array':
      must(Array.isArray(value), 'a list is none')
      return (value as readonly unknown[]).reduce<number>((sum, item) => sum + fits(item, items, named), 1)
    case 'fixed':
      must(Buffer.isBuffer(value) && value.length === size, 'fixed bytes of another length')
      return 1
    default:
      return fits(value, type, named)
  }
}

function fitsPrimitive(value: unknown, name: string, named: Named): number {
  switch (name) {
    case 'string':
      must(typeof value === 'string', `a text is ${typeof value}`)
      break
    case 'bytes':
      must(Buffer.isBuffer(value), `bytes are ${typeof value}`)
      break
    case 'int':
      must(Number.isInteger(value) && Math.abs(value as number) <= 2 ** 31, `an int is ${String(value)}`)
      break
    case 'long':
      must(Number.isSafeInteger(value), `a long is ${String(value)}`)
      break
    case 'boolean':
      must(typeof value === 'boolean', `a boolean is ${typeof value}`)
      break
    default: {
      const schema = named.get(name)
      must(schema !== undefined, `no schema ${name}`)
      return fits(value, schema, named)
    }
  }
  return 1
}
