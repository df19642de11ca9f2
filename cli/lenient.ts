/** Reading of records that others may have written: what is odd in one may not hide all the others. */

const MAX_DATE_MS = 8.64e15

/** A time that no calendar has becomes the nearest one that can be written. */
export function isoTime(ms: number): string {
  return new Date(Math.min(MAX_DATE_MS, Math.max(-MAX_DATE_MS, ms))).toISOString()
}

/** What stands in the bytes; those that are no JSON as base64. */
export function jsonIn(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString()) as unknown
  } catch {
    return bytes.toString('base64')
  }
}

/** A member of the object that stands in the bytes; undefined for everything else. */
export function memberIn(bytes: Buffer | null, name: string): unknown {
  const value = bytes === null ? null : jsonIn(bytes)
  return typeof value === 'object' && value !== null && Object.hasOwn(value, name)
    ? Reflect.get(value, name)
    : undefined
}
