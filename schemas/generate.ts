/** Writes schemas/types.ts from the .avsc files: `npm run schemas:types`. A test fails when the file is not up to date. */
import { readFileSync, writeFileSync } from 'node:fs'
import { TOPICS } from './topics.ts'

type AvroType = string | readonly AvroType[] | AvroObject
interface AvroObject {
  readonly type: AvroType
  readonly name?: string
  readonly doc?: string
  readonly items?: AvroType
  readonly fields?: readonly { readonly name: string; readonly type: AvroType; readonly doc: string }[]
}

const PRIMITIVES: Readonly<Record<string, string>> = {
  null: 'null',
  boolean: 'boolean',
  int: 'number',
  long: 'number',
  double: 'number',
  string: 'string',
  bytes: 'Buffer',
}

export function generateTypes(): string {
  const out = new Map<string, string>()
  for (const { schema } of TOPICS) {
    typeOf(JSON.parse(readFileSync(new URL(`./${schema}.avsc`, import.meta.url), 'utf8')) as AvroObject, out)
  }
  const head = '// Generated from the .avsc files by `npm run schemas:types`. Do not edit.\n'
  return `${head}\n${[...out.values()].join('\n')}`
}

function typeOf(type: AvroType, out: Map<string, string>): string {
  if (typeof type === 'string') return PRIMITIVES[type] ?? type
  if (Array.isArray(type)) return (type as readonly AvroType[]).map(branch => typeOf(branch, out)).join(' | ')
  const object = type as AvroObject
  switch (object.type) {
    case 'array':
      return `readonly ${typeOf(object.items ?? 'null', out)}[]`
    case 'fixed':
      return 'Buffer'
    case 'record': {
      const name = object.name ?? ''
      const fields = (object.fields ?? []).map(
        field => `  /** ${field.doc} */\n  readonly ${field.name}: ${typeOf(field.type, out)}\n`,
      )
      out.set(name, `/** ${object.doc ?? ''} */\nexport interface ${name} {\n${fields.join('')}}\n`)
      return name
    }
    default:
      return typeOf(object.type, out)
  }
}

if (import.meta.main) writeFileSync(new URL('./types.ts', import.meta.url), generateTypes())
