import type { Attributes } from './members.ts'
import { bareHash } from './objects.ts'

interface Observable {
  readonly name: string
  readonly type: string
  readonly type_id: number
  readonly value: string
}

/** Where in a piece of evidence something stands that analysts search for, by its attribute or by that and its parent's. */
const KINDS: ReadonlyMap<string, readonly [number, string]> = new Map([
  ['hostname', [1, 'Hostname']],
  ['ip', [2, 'IP Address']],
  ['x_originating_ip', [2, 'IP Address']],
  ['user.name', [4, 'User Name']],
  ['email_addr', [5, 'Email Address']],
  ['from', [5, 'Email Address']],
  ['to', [5, 'Email Address']],
  ['return_path', [5, 'Email Address']],
  ['url_string', [6, 'URL String']],
  ['file.name', [7, 'File Name']],
  ['hashes.value', [8, 'Hash']],
  ['process.name', [9, 'Process Name']],
  ['parent_process.name', [9, 'Process Name']],
  ['resources.uid', [10, 'Resource UID']],
  ['cmd_line', [13, 'Command Line']],
  ['user.uid', [31, 'User Object: uid']],
  ['message_uid', [42, 'Message UID']],
  ['file.path', [45, 'File Path']],
  ['reg_key.path', [46, 'Registry Key Path']],
  ['reg_value.path', [46, 'Registry Key Path']],
  ['device.uid', [47, 'Device Object: uid']],
])

const OBSERVABLES_MAX = 256
/** A longer value is no use in a search; it stands in the evidence. */
const VALUE_CHARS_MAX = 1_024

/** Each value once. `cut` tells how many were left out; they all stand in the evidence itself. */
export function observablesIn(evidences: readonly Attributes[]): {
  readonly all: readonly Observable[]
  readonly cut: number
} {
  const all = new Map<string, Observable>()
  const cut = new Set<string>()
  const see = (path: string, [typeId, type]: readonly [number, string], value: string): void => {
    const key = `${typeId} ${value}`
    if (all.has(key)) return
    if (all.size >= OBSERVABLES_MAX || value.length > VALUE_CHARS_MAX) cut.add(key)
    else all.set(key, { name: path, type, type_id: typeId, value })
  }
  const walk = (value: unknown, path: string, parent: string, attribute: string): void => {
    if (typeof value === 'string') {
      const kind = KINDS.get(`${parent}.${attribute}`) ?? KINDS.get(attribute)
      if (kind !== undefined) see(path, kind, value)
    } else if (Array.isArray(value)) {
      for (const [at, entry] of (value as unknown[]).entries()) walk(entry, `${path}[${at}]`, parent, attribute)
    } else if (typeof value === 'object' && value !== null) {
      for (const [name, inner] of Object.entries(value)) walk(inner, `${path}.${name}`, attribute, name)
    }
  }
  for (const [at, evidence] of evidences.entries()) {
    for (const [name, value] of Object.entries(evidence)) {
      // Graph's own members are data, whatever they are called
      if (name !== 'data') walk(value, `evidences[${at}].${name}`, 'evidences', name)
    }
    // OCSF has no file without a name: a hash alone is data, and yet the first thing to search for
    const hash = bareHash(evidence['data'])
    if (hash !== undefined) see(`evidences[${at}].data.value`, [8, 'Hash'], hash)
  }
  return { all: [...all.values()], cut: cut.size }
}
