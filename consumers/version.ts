import type { PackedVersion } from './ledger-table.ts'

const DAY_MS = 86_400_000
const TICKS_PER_SECOND = 10_000_000
const TWO_32 = 4_294_967_296

/** `2026-11-23T10:11:12.1234567Z`, the only form that pollers write. */
const FORM = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)\.(\d{7})Z$/

/** Null for a text that is no version: such a record is parked. Order of the pairs is order of the instants. */
export function packVersion(text: string): PackedVersion | null {
  const match = FORM.exec(text)
  if (!match) return null
  const [, year, month, day, hours, minutes, seconds, fraction] = match
  const days = Date.UTC(Number(year), Number(month) - 1, Number(day)) / DAY_MS
  if (!(days >= 0)) return null
  const second = Number(hours) * 3_600 + Number(minutes) * 60 + Number(seconds)
  const tick = second * TICKS_PER_SECOND + Number(fraction) // below 2^40
  return { hi: days * 256 + Math.floor(tick / TWO_32), lo: tick % TWO_32 }
}

/** The text that packVersion was given. */
export function unpackVersion({ hi, lo }: PackedVersion): string {
  const day = new Date(Math.floor(hi / 256) * DAY_MS).toISOString().slice(0, 10)
  const tick = (hi % 256) * TWO_32 + lo
  const second = Math.floor(tick / TICKS_PER_SECOND)
  const part = (value: number): string => String(value).padStart(2, '0')
  const time = `${part(Math.floor(second / 3_600))}:${part(Math.floor(second / 60) % 60)}:${part(second % 60)}`
  return `${day}T${time}.${String(tick % TICKS_PER_SECOND).padStart(7, '0')}Z`
}

/** Negative: `a` is older. */
export function compareVersions(a: PackedVersion, b: PackedVersion): number {
  return a.hi - b.hi || a.lo - b.lo
}
