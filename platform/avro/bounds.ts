import type { Schema } from 'avsc'

/**
 * Decode bombs: avsc trusts the item count of an array or map before it has seen the items, so a few bytes can claim
 * hundreds of megabytes. This walk reads the same bytes without building anything and refuses a count that the rest of
 * the value cannot hold. Only schemas with arrays or maps pay for it.
 */
type Walk = (cursor: Cursor) => void

interface Cursor {
  readonly bytes: Buffer
  at: number
  depth: number
}

const MAX_DEPTH = 32

/** Null when the schema holds nothing repeated and so needs no walk. Throws for a schema that may not be used here. */
export function boundsOf(schema: Schema): ((body: Buffer) => string | null) | null {
  const named = new Map<string, Walk>()
  const seen = { repeated: false }
  const walk = compile(schema, named, seen)
  if (!seen.repeated) return null
  return body => {
    const cursor = { bytes: body, at: 0, depth: 0 }
    try {
      walk(cursor)
      return null
    } catch (error) {
      return error instanceof Error ? error.message : String(error)
    }
  }
}

function compile(schema: unknown, named: Map<string, Walk>, seen: { repeated: boolean }): Walk {
  if (typeof schema === 'string') return primitive(schema, named)
  if (Array.isArray(schema)) {
    const branches = schema.map(branch => compile(branch, named, seen))
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
      for (const field of object['fields'] as { type: unknown }[]) fields.push(compile(field.type, named, seen))
      return walk
    }
    case 'enum':
      return remember(named, object.name, object.namespace, cursor => {
        readLong(cursor)
      })
    case 'fixed':
      return remember(named, object.name, object.namespace, cursor => skip(cursor, object.size ?? 0))
    case 'array':
      seen.repeated = true
      return blocks(compile(object['items'], named, seen))
    case 'map': {
      seen.repeated = true
      const value = compile(object['values'], named, seen)
      return blocks(cursor => {
        skip(cursor, readLong(cursor))
        value(cursor)
      })
    }
    default:
      return compile(object.type, named, seen)
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
