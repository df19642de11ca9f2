import type { AttributeRule, SchemaPart, Shape } from './schema-part.ts'

/** What in an event is not as the schema has it, as `path: what`. Nothing that the schema does not know is allowed. */
export function problemsOf(event: unknown, schema: SchemaPart): readonly string[] {
  const problems: string[] = []
  const profiles = new Set(profilesOf(event))
  const say = (path: string, what: string): void => {
    problems.push(`${path}: ${what}`)
  }

  function object(value: unknown, shape: Shape, path: string): void {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return say(path, 'is no object')
    for (const [name, inner] of Object.entries(value)) {
      const rule = Object.hasOwn(shape.attributes, name) ? shape.attributes[name] : undefined
      if (rule === undefined) say(`${path}.${name}`, 'is not in the schema')
      else if (rule.profile !== undefined && !profiles.has(rule.profile)) {
        say(`${path}.${name}`, `needs the profile ${rule.profile}`)
      } else if (rule.isDeprecated) say(`${path}.${name}`, 'is deprecated')
      else attribute(inner, rule, `${path}.${name}`)
    }
    for (const [name, rule] of Object.entries(shape.attributes)) {
      const applies = rule.profile === undefined || profiles.has(rule.profile)
      if (rule.isRequired && applies && !Object.hasOwn(value, name)) say(path, `has no ${name}`)
    }
    const has = (names: readonly string[]) => names.filter(name => Object.hasOwn(value, name)).length
    if (shape.atLeastOne && has(shape.atLeastOne) === 0) say(path, `has none of ${shape.atLeastOne.join(', ')}`)
    if (shape.justOne && has(shape.justOne) !== 1) say(path, `has not just one of ${shape.justOne.join(', ')}`)
  }

  function attribute(value: unknown, rule: AttributeRule, path: string): void {
    if (!rule.isArray) return single(value, rule, path)
    if (!Array.isArray(value)) return say(path, 'is no list')
    for (const [at, entry] of (value as unknown[]).entries()) single(entry, rule, `${path}[${at}]`)
  }

  function single(value: unknown, rule: AttributeRule, path: string): void {
    if (rule.object === 'object') {
      if (typeof value !== 'object' || value === null || Array.isArray(value)) say(path, 'is no object')
      return
    }
    if (rule.object !== undefined) {
      const shape = schema.objects[rule.object]
      return shape === undefined ? say(path, `nobody knows ${rule.object}`) : object(value, shape, path)
    }
    const type = schema.types[rule.type ?? '']
    if (type === undefined) return say(path, `nobody knows the type ${rule.type}`)
    if (!isOf(type.base, value)) return say(path, `is no ${rule.type}: ${JSON.stringify(value)}`)
    if (rule.values && !rule.values.includes(String(value))) say(path, `${String(value)} is none of its values`)
    if (typeof value === 'string') {
      if (type.regex !== undefined && !new RegExp(type.regex).test(value)) {
        say(path, `does not look like ${rule.type}: ${JSON.stringify(value)}`)
      }
      if (type.lengthMax !== undefined && value.length > type.lengthMax) say(path, 'is too long')
    }
    if (typeof value === 'number' && type.range && (value < type.range[0] || value > type.range[1])) {
      say(path, `${value} is out of range`)
    }
  }

  object(event, schema.class, 'finding')
  return problems
}

function isOf(base: string, value: unknown): boolean {
  switch (base) {
    case 'string_t':
      return typeof value === 'string'
    case 'integer_t':
    case 'long_t':
      return Number.isSafeInteger(value)
    case 'float_t':
      return typeof value === 'number'
    case 'boolean_t':
      return typeof value === 'boolean'
    case 'json_t':
      return value !== undefined
    default:
      return false
  }
}

function profilesOf(event: unknown): readonly unknown[] {
  const { metadata } = event as { readonly metadata?: { readonly profiles?: unknown } }
  return Array.isArray(metadata?.profiles) ? (metadata.profiles as unknown[]) : []
}
