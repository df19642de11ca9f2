import type { PackedVersion } from './ledger-table.ts'

const DAY_MS = 86_400_000
const TICKS_PER_SECOND = 10_000_000
const TICKS_PER_MS = 10_000
/** A day has 40 bits of ticks: 9 stand beside the day, the rest alone. V8 makes an object of each number above 31 bits. */
const TICKS_BESIDE_DAY = 512
const TWO_31 = 2_147_483_648

/** Where what stands in `2026-11-23T10:11:12.1234567Z`, the only form that pollers write. */
const FORM = Uint8Array.from(Buffer.from('0000-00-00T00:00:00.0000000Z'))
const ZERO = 0x30
/** The text that is being packed. */
const codes = new Uint16Array(FORM.length)

/** Null for a text that is no version: such a record is parked. Order of the pairs is order of the instants. */
export function packVersion(text: string): PackedVersion | null {
  if (text.length !== FORM.length) return null
  for (let at = 0; at < FORM.length; at++) codes[at] = text.charCodeAt(at)
  return packCodes()
}

/** Of the text that begins there, as ASCII. */
export function packVersionAt(bytes: Buffer, from: number): PackedVersion | null {
  if (from + FORM.length > bytes.length) return null
  for (let at = 0; at < FORM.length; at++) codes[at] = bytes[from + at] ?? 0
  return packCodes()
}

let packedDay = { date: 19_700_101, day: 0 }

function packCodes(): PackedVersion | null {
  for (let at = 0; at < FORM.length; at++) {
    const is = codes[at] ?? 0
    const form = FORM[at] ?? 0
    if (form === ZERO ? is < ZERO || is > ZERO + 9 : is !== form) return null
  }
  const date = digits(0, 4) * 10_000 + digits(5, 2) * 100 + digits(8, 2)
  if (packedDay.date !== date) {
    packedDay = { date, day: Date.UTC(digits(0, 4), digits(5, 2) - 1, digits(8, 2)) / DAY_MS }
  }
  const { day } = packedDay
  if (!(day >= 0)) return null
  const second = digits(11, 2) * 3_600 + digits(14, 2) * 60 + digits(17, 2)
  const tick = second * TICKS_PER_SECOND + digits(20, 7)
  return { hi: day * TICKS_BESIDE_DAY + Math.floor(tick / TWO_31), lo: tick % TWO_31 }
}

function digits(at: number, count: number): number {
  let value = 0
  for (let i = at; i < at + count; i++) value = value * 10 + (codes[i] ?? 0) - ZERO
  return value
}

let dayOf = { day: 0, text: '1970-01-01' }

/** The text that packVersion was given. */
export function unpackVersion({ hi, lo }: PackedVersion): string {
  const day = Math.floor(hi / TICKS_BESIDE_DAY)
  if (dayOf.day !== day) dayOf = { day, text: new Date(day * DAY_MS).toISOString().slice(0, 10) }
  const tick = (hi % TICKS_BESIDE_DAY) * TWO_31 + lo
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
  return Math.floor(hi / TICKS_BESIDE_DAY) * DAY_MS + Math.floor(((hi % TICKS_BESIDE_DAY) * TWO_31 + lo) / TICKS_PER_MS)
}

/** Negative: `a` is older. */
export function compareVersions(a: PackedVersion, b: PackedVersion): number {
  return a.hi - b.hi || a.lo - b.lo
}
