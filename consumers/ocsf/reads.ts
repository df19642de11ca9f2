import { isIP } from 'node:net'

/** How single values are read. Undefined: it is not what the attribute holds, so it stays what it was, where it was. */

export function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}

export function whole(value: unknown): number | undefined {
  return Number.isSafeInteger(value) ? (value as number) : undefined
}

export function number(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined
}

/** Ids come as text or as numbers. */
export function idText(value: unknown): string | undefined {
  return typeof value === 'number' ? whole(value)?.toString() : text(value)
}

const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)$/

/** Milliseconds since the epoch. */
export function time(value: unknown): number | undefined {
  if (typeof value !== 'string' || !INSTANT.test(value)) return undefined
  const ms = Date.parse(value)
  return Number.isNaN(ms) ? undefined : ms
}

const ADDRESS_LENGTH_MAX = 40

export function ip(value: unknown): string | undefined {
  return typeof value === 'string' && value.length <= ADDRESS_LENGTH_MAX && isIP(value) !== 0 ? value : undefined
}

const EMAIL = /^[a-zA-Z0-9!#$%&'*+\-/=?^_`{|}~.]+@[a-zA-Z0-9-]+\.[a-zA-Z0-9-.]+$/
const EMAIL_LENGTH_MAX = 1_000

/** As OCSF has it: other alphabets do not fit. */
export function email(value: unknown): string | undefined {
  return typeof value === 'string' && value.length <= EMAIL_LENGTH_MAX && EMAIL.test(value) ? value : undefined
}

/** The legacy list has ports as text. */
export function port(value: unknown): number | undefined {
  const read = typeof value === 'string' && /^\d{1,5}$/.test(value) ? Number(value) : value
  return typeof read === 'number' && Number.isInteger(read) && read >= 0 && read <= 65_535 ? read : undefined
}

/** Hex of just this length. */
export function hexOf(digits: number): (value: unknown) => string | undefined {
  const form = new RegExp(`^[0-9a-fA-F]{${digits}}$`)
  return value => (typeof value === 'string' && form.test(value) ? value : undefined)
}

/** Microsoft's spelling of its own words varies. */
export function word(value: unknown): string | undefined {
  return text(value)?.toLowerCase()
}
