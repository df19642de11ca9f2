import type { PackedVersion } from './ledger-table.ts'

const DAY_MS = 86_400_000
const TICKS_PER_SECOND = 10_000_000
const TICKS_PER_MS = 10_000
const TWO_32 = 4_294_967_296

/** Where what stands in `2026-11-23T10:11:12.1234567Z`, the only form that pollers write. */
const FORM = '0000-00-00T00:00:00.0000000Z'
const ZERO = 0x30

/** Null for a text that is no version: such a record is parked. Order of the pairs is order of the instants. */
export function packVersion(text: string): PackedVersion | null {
  if (!hasForm(text)) return null
  const days = Date.UTC(digits(text, 0, 4), digits(text, 5, 2) - 1, digits(text, 8, 2)) / DAY_MS
  if (!(days >= 0)) return null
  const second = digits(text, 11, 2) * 3_600 + digits(text, 14, 2) * 60 + digits(text, 17, 2)
  const tick = second * TICKS_PER_SECOND + digits(text, 20, 7) // below 2^40
  return { hi: days * 256 + Math.floor(tick / TWO_32), lo: tick % TWO_32 }
}

function hasForm(text: string): boolean {
  if (text.length !== FORM.length) return false
  for (let at = 0; at < FORM.length; at++) {
    const is = text.charCodeAt(at)
    const form = FORM.charCodeAt(at)
    if (form === ZERO ? is < ZERO || is > ZERO + 9 : is !== form) return false
  }
  return true
}

function digits(text: string, at: number, count: number): number {
  let value = 0
  for (let i = at; i < at + count; i++) value = value * 10 + text.charCodeAt(i) - ZERO
  return value
}

let dayOf = { day: 0, text: '1970-01-01' }

/** The text that packVersion was given. */
export function unpackVersion({ hi, lo }: PackedVersion): string {
  const day = Math.floor(hi / 256)
  if (dayOf.day !== day) dayOf = { day, text: new Date(day * DAY_MS).toISOString().slice(0, 10) }
  const tick = (hi % 256) * TWO_32 + lo
  const second = Math.floor(tick / TICKS_PER_SECOND)
  const time = `${twoDigits(Math.floor(second / 3_600))}:${twoDigits(Math.floor(second / 60) % 60)}:${twoDigits(second % 60)}`
  // a leading 1 keeps the zeros
  return `${dayOf.text}T${time}.${String(TICKS_PER_SECOND + (tick % TICKS_PER_SECOND)).slice(1)}Z`
}

const TWO_DIGITS = Array.from({ length: 100 }, (_, value) => String(value).padStart(2, '0'))

function twoDigits(value: number): string {
  return TWO_DIGITS[value] ?? String(value)
}

/** Milliseconds since the epoch, fraction cut off. */
export function instantMs({ hi, lo }: PackedVersion): number {
  return Math.floor(hi / 256) * DAY_MS + Math.floor(((hi % 256) * TWO_32 + lo) / TICKS_PER_MS)
}

/** Negative: `a` is older. */
export function compareVersions(a: PackedVersion, b: PackedVersion): number {
  return a.hi - b.hi || a.lo - b.lo
}
