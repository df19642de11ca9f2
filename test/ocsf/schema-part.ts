/** What a finding may reach of OCSF's schema: the class, its objects, its types. `schema-1.6.0.json` holds it. */
export interface SchemaPart {
  readonly source: string
  readonly licence: string
  readonly version: string
  readonly class: Shape
  readonly objects: Readonly<Record<string, Shape>>
  readonly types: Readonly<Record<string, TypeRule>>
}

export interface Shape {
  readonly attributes: Readonly<Record<string, AttributeRule>>
  readonly atLeastOne?: readonly string[]
  readonly justOne?: readonly string[]
}

export interface AttributeRule {
  /** Of `types`, or null for an object. */
  readonly type: string | null
  readonly object?: string
  readonly isArray?: true
  readonly isRequired?: true
  /** Only with this profile. */
  readonly profile?: string
  readonly isDeprecated?: true
  /** The values that there are, where they are numbered. */
  readonly values?: readonly string[]
}

interface TypeRule {
  readonly base: string
  readonly regex?: string
  readonly lengthMax?: number
  readonly range?: readonly [number, number]
}

/** The compiled schema, as https://schema.ocsf.io/<version>/export/schema gives it out. */
export interface FullSchema {
  readonly version: string
  readonly classes: Readonly<Record<string, FullShape>>
  readonly objects: Readonly<Record<string, FullShape>>
  readonly types: Readonly<
    Record<string, { type?: string; regex?: string; max_len?: number; range?: [number, number] }>
  >
}

interface FullShape {
  readonly attributes: Readonly<
    Record<
      string,
      {
        readonly type: string
        readonly object_type?: string
        readonly is_array?: boolean
        readonly requirement: string
        readonly profile?: string | null
        readonly enum?: Readonly<Record<string, unknown>>
        readonly '@deprecated'?: unknown
      }
    >
  >
  readonly constraints?: { readonly at_least_one?: readonly string[]; readonly just_one?: readonly string[] }
}

/** Objects that findings have; an attribute of any other kind of object is left out, and so refused. */
const OBJECTS = [
  'account',
  'actor',
  'analytic',
  'attack',
  'container',
  'device',
  'dns_query',
  'email',
  'evidences',
  'feature',
  'file',
  'finding_info',
  'fingerprint',
  'group',
  'image',
  'location',
  'malware',
  'metadata',
  'network_connection_info',
  'network_endpoint',
  'network_interface',
  'object',
  'observable',
  'os',
  'process',
  'product',
  'remediation',
  'resource_details',
  'session',
  'sub_technique',
  'tactic',
  'technique',
  'url',
  'user',
  'win/reg_key',
  'win/reg_value',
]

export function partOf(full: FullSchema): SchemaPart {
  const findingClass = full.classes['detection_finding']
  if (findingClass === undefined) throw new Error('there is no detection_finding in it')
  const objects: Record<string, Shape> = {}
  for (const name of OBJECTS) {
    const object = full.objects[name]
    if (object !== undefined) objects[name] = shapeOf(object)
  }
  const types: Record<string, TypeRule> = {}
  for (const [name, { type, regex, max_len, range }] of Object.entries(full.types)) {
    types[name] = {
      base: type ?? name,
      ...(regex === undefined ? {} : { regex }),
      ...(max_len === undefined ? {} : { lengthMax: max_len }),
      ...(range === undefined ? {} : { range }),
    }
  }
  return {
    source: `https://schema.ocsf.io/${full.version}/export/schema, cut by test/ocsf/schema-part.ts`,
    licence: 'Apache-2.0, The Open Cybersecurity Schema Framework',
    version: full.version,
    class: shapeOf(findingClass),
    objects,
    types,
  }
}

function shapeOf({ attributes, constraints }: FullShape): Shape {
  const rules: Record<string, AttributeRule> = {}
  for (const [name, from] of Object.entries(attributes)) {
    const object = from.type === 'object_t' ? from.object_type : undefined
    if (object !== undefined && !OBJECTS.includes(object)) continue
    rules[name] = {
      type: object === undefined ? from.type : null,
      ...(object === undefined ? {} : { object }),
      ...(from.is_array ? { isArray: true } : {}),
      ...(from.requirement === 'required' ? { isRequired: true } : {}),
      ...(from.profile ? { profile: from.profile } : {}),
      ...(from['@deprecated'] === undefined ? {} : { isDeprecated: true }),
      ...(from.enum === undefined ? {} : { values: Object.keys(from.enum) }),
    }
  }
  return {
    attributes: rules,
    ...(constraints?.at_least_one ? { atLeastOne: constraints.at_least_one } : {}),
    ...(constraints?.just_one ? { justOne: constraints.just_one } : {}),
  }
}
