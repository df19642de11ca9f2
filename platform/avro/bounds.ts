import type { Schema } from 'avsc'

/**
 * What avsc believes without looking. The item count of an array or map: a few bytes can claim hundreds of megabytes. A
 * number of any length: one of 150 bytes is NaN as a length, moves the pool that all bytes are read into, and from then
 * on every record of the process reads as empty. This walk reads the same bytes first, builds nothing, and refuses
 * whatever the rest of the value cannot hold.
 */
type Walk = (cursor: Cursor) => void

interface Cursor {
  readonly bytes: Buffer
  at: number
  depth: number
}

const MAX_DEPTH = 32
const MAX_INT = 2 ** 31 - 1

/** What is wrong with a value of this schema that begins at `from`, or null. Throws for a schema that may not be used here. */
export function boundsOf(schema: Schema): (bytes: Buffer, from: number) => string | null {
  const walk = compile(schema, new Map())
  return (bytes, from) => {
    const cursor = { bytes, at: from, depth: 0 }
    try {
      walk(cursor)
      return null
    } catch (error) {
      return error instanceof Error ? error.message : String(error)
    }
  }
}

function compile(schema: unknown, named: Map<string, Walk>): Walk {
  if (typeof schema === 'string') return primitive(schema, named)
  if (Array.isArray(schema)) {
    const branches = schema.map(branch => compile(branch, named))
    return cursor => {
      const branch = branches[readLong(cursor)]
      if (!branch) throw new Error('union branch out of range')
      branch(cursor)
    }
  }
  const object = schema as { type: unknown; name?: string; namespace?: string; size?: number } & Record<string, unknown>
  switch (object.type) {
    case 'record':
    case 'error': {
      const fields: Walk[] = []
      const walk: Walk = cursor => {
        if (++cursor.depth > MAX_DEPTH) throw new Error(`nested deeper than ${MAX_DEPTH}`)
        for (const field of fields) field(cursor)
        cursor.depth--
      }
      remember(named, object.name, object.namespace, walk)
      for (const field of object['fields'] as { type: unknown }[]) fields.push(compile(field.type, named))
      return walk
    }
    case 'enum':
      return remember(named, object.name, object.namespace, cursor => {
        readLong(cursor)
      })
    case 'fixed':
      return remember(named, object.name, object.namespace, cursor => skip(cursor, object.size ?? 0))
    case 'array':
      return blocks(compile(object['items'], named))
    case 'map': {
      const value = compile(object['values'], named)
      return blocks(cursor => {
        skip(cursor, readLong(cursor))
        value(cursor)
      })
    }
    default:
      return compile(object.type, named)
  }
}

function remember(named: Map<string, Walk>, name: string | undefined, namespace: string | undefined, walk: Walk): Walk {
  if (name) {
    named.set(name, walk)
    if (namespace) named.set(`${namespace}.${name}`, walk)
  }
  return walk
}

function primitive(name: string, named: Map<string, Walk>): Walk {
  switch (name) {
    case 'null':
      return () => {}
    case 'boolean':
      return cursor => skip(cursor, 1)
    case 'int':
      return cursor => {
        // avsc reads any, and could not write it again
        if (Math.abs(readLong(cursor)) > MAX_INT) throw new Error('a number is out of its range')
      }
    case 'long':
      return cursor => {
        readLong(cursor)
      }
    case 'float':
      return cursor => skip(cursor, 4)
    case 'double':
      return cursor => skip(cursor, 8)
    case 'string':
    case 'bytes':
      return cursor => skip(cursor, readLong(cursor))
    default:
      return cursor => {
        const walk = named.get(name) ?? named.get(name.slice(name.lastIndexOf('.') + 1))
        if (!walk) throw new Error(`schema names an unknown type ${name}`)
        walk(cursor)
      }
  }
}

function blocks(item: Walk): Walk {
  return cursor => {
    for (;;) {
      let count = readLong(cursor)
      if (count === 0) return
      if (count < 0) {
        readLong(cursor) // size of the block in bytes
        count = -count
      }
      // every item that our schemas allow takes a byte or more
      if (count > cursor.bytes.length - cursor.at) throw new Error(`claims ${count} items in fewer bytes`)
      for (let i = 0; i < count; i++) {
        const before = cursor.at
        item(cursor)
        if (cursor.at === before) throw new Error('items that take no bytes')
      }
    }
  }
}

function skip(cursor: Cursor, size: number): void {
  if (size < 0 || size > cursor.bytes.length - cursor.at) throw new Error('ends before the value does')
  cursor.at += size
}

/** Zig-zag variable-length integer; beyond 2^53 it loses precision, which no length may reach. */
function readLong(cursor: Cursor): number {
  let value = 0
  let scale = 1
  for (let i = 0; i < 10; i++) {
    const byte = cursor.bytes[cursor.at++]
    if (byte === undefined) throw new Error('ends inside a number')
    value += (byte & 0x7f) * scale
    if (byte < 0x80) return value % 2 === 0 ? value / 2 : -(value + 1) / 2
    scale *= 128
  }
  throw new Error('a number of more than ten bytes')
}
