import { type Attributes, attributes, type Members } from './members.ts'
import { text, word } from './reads.ts'

const VALUE_TYPES = new Map([
  ['none', 7],
  ['string', 10],
  ['expandstring', 4],
  ['binary', 1],
  ['dword', 2],
  ['dwordlittleendian', 2],
  ['dwordbigendian', 3],
  ['link', 5],
  ['multistring', 6],
  ['qword', 8],
  ['qwordlittleendian', 9],
])

function path(m: Members): string | undefined {
  const key = m.take('registryKey', text)
  if (key === undefined) return undefined
  const hive = m.take('registryHive', text)
  return hive === undefined ? key : `${hive}\\${key}`
}

export function registryKey(from: Members): Attributes | undefined {
  return from.part(m => {
    const whole = path(m)
    return whole === undefined ? undefined : { path: whole }
  })
}

/** The key's default value has no name, and OCSF has no value without one. */
export function registryValue(from: Members): Attributes | undefined {
  return from.part(m => {
    const [whole, name] = [path(m), m.take('registryValueName', text)]
    if (whole === undefined || name === undefined) return undefined
    const type = m.peek('registryValueType', word)
    return attributes({
      path: whole,
      name,
      type: m.take('registryValueType', text),
      type_id: type === undefined ? undefined : (VALUE_TYPES.get(type.replace(/^reg_/, '')) ?? 0),
      reg_string_data: m.take('registryValue', text),
    })
  })
}
