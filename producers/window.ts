/**
 * Instants and half-open windows at Graph's own resolution, 100 ns. An instant is text of one fixed width,
 * `2026-11-23T10:11:12.1234567Z`, so that text order is time order; arithmetic goes through ticks (bigint).
 * `Date` is never asked: it drops four of the seven digits.
 */

/** `from` belongs to the window, `to` does not. Both normalised. */
export interface Window {
  readonly from: string
  readonly to: string
}

const TICKS_PER_MS = 10_000n
const TICKS_PER_SECOND = 10_000_000n
const SECONDS_PER_DAY = 86_400
const LAST_SECOND_OF_DAY = SECONDS_PER_DAY - 1
const MAX_TEXT_CHARS = 64

const RFC3339 = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:Z|([+-])(\d\d):(\d\d))$/i
const NORMALISED = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)\.(\d{7})Z$/

/** Days from 1970-01-01 to a date of the proleptic Gregorian calendar; counts years from March, so a leap day ends one. */
function daysFrom(year: number, month: number, day: number): number {
  const y = month <= 2 ? year - 1 : year
  const era = Math.floor(y / 400)
  const yearOfEra = y - era * 400
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear
  return era * 146_097 + dayOfEra - 719_468
}

function dateOf(days: number): readonly [year: number, month: number, day: number] {
  const z = days + 719_468
  const era = Math.floor(z / 146_097)
  const dayOfEra = z - era * 146_097
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1_460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365,
  )
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100))
  const shifted = Math.floor((5 * dayOfYear + 2) / 153)
  const month = shifted < 10 ? shifted + 3 : shifted - 9
  return [yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - Math.floor((153 * shifted + 2) / 5) + 1]
}

function daysInMonth(year: number, month: number): number {
  if (month === 2) return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31
}

function pad(value: number, width: number): string {
  return String(value).padStart(width, '0')
}

function textOf(daySeconds: number, days: number, fraction: string): string | null {
  const [year, month, day] = dateOf(days)
  if (year < 1 || year > 9999) return null
  const clock = `${pad(Math.floor(daySeconds / 3_600), 2)}:${pad(Math.floor(daySeconds / 60) % 60, 2)}:${pad(daySeconds % 60, 2)}`
  return `${pad(year, 4)}-${pad(month, 2)}-${pad(day, 2)}T${clock}.${fraction}Z`
}

/**
 * RFC 3339 with any offset and any number of fraction digits → the fixed-width UTC form, or null if it is no such time
 * or falls outside the years 0001 to 9999. Digits after the seventh are cut off, not rounded: rounding could move an
 * instant into the next window. A leap second (23:59:60 UTC) becomes the last tick of its minute, which keeps its order
 * between its neighbours; `:60` anywhere else is no time.
 */
export function normaliseTime(text: string): string | null {
  const parts = text.length <= MAX_TEXT_CHARS ? RFC3339.exec(text) : null
  if (parts === null) return null
  const [, y, mo, d, h, mi, s, digits = '', sign, offsetHours = '0', offsetMinutes = '0'] = parts
  const [year, month, day] = [Number(y), Number(mo), Number(d)]
  const [hour, minute, second] = [Number(h), Number(mi), Number(s)]
  if (month < 1 || month > 12 || day < 1 || day > daysInMonth(year, month)) return null
  if (hour > 23 || minute > 59 || second > 60) return null
  if (Number(offsetHours) > 23 || Number(offsetMinutes) > 59) return null
  const offset = (Number(offsetHours) * 3_600 + Number(offsetMinutes) * 60) * (sign === '-' ? -1 : 1)
  const isLeap = second === 60
  const total = hour * 3_600 + minute * 60 + (isLeap ? 59 : second) - offset
  const days = daysFrom(year, month, day) + Math.floor(total / SECONDS_PER_DAY)
  const daySeconds = total - Math.floor(total / SECONDS_PER_DAY) * SECONDS_PER_DAY
  if (isLeap && daySeconds !== LAST_SECOND_OF_DAY) return null
  return textOf(daySeconds, days, isLeap ? '9999999' : digits.slice(0, 7).padEnd(7, '0'))
}

/** 100 ns ticks since 1970-01-01T00:00:00Z. Throws RangeError for anything that `normaliseTime` did not make. */
export function toTicks(text: string): bigint {
  const parts = NORMALISED.exec(text)
  if (parts === null || normaliseTime(text) !== text)
    throw new RangeError(`not a normalised time: ${JSON.stringify(text.slice(0, 40))}`)
  const [year, month, day, hour, minute, second] = parts.slice(1, 7).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ]
  const seconds = daysFrom(year, month, day) * SECONDS_PER_DAY + hour * 3_600 + minute * 60 + second
  return BigInt(seconds) * TICKS_PER_SECOND + BigInt(parts[7] ?? '0')
}

/** The inverse of `toTicks`. Throws RangeError outside the years 0001 to 9999. */
export function fromTicks(ticks: bigint): string {
  const fraction = ((ticks % TICKS_PER_SECOND) + TICKS_PER_SECOND) % TICKS_PER_SECOND
  const seconds = Number((ticks - fraction) / TICKS_PER_SECOND)
  const days = Math.floor(seconds / SECONDS_PER_DAY)
  const text = textOf(seconds - days * SECONDS_PER_DAY, days, fraction.toString().padStart(7, '0'))
  if (text === null) throw new RangeError(`${ticks} ticks lie outside the years 0001 to 9999`)
  return text
}

/** Milliseconds since the epoch (a fraction is cut off) → an instant. */
export function fromEpochMs(epochMs: number): string {
  return fromTicks(BigInt(Math.floor(epochMs)) * TICKS_PER_MS)
}

/** `ms` is a whole number, negative to go back. */
export function addMs(text: string, ms: number): string {
  return fromTicks(toTicks(text) + BigInt(ms) * TICKS_PER_MS)
}

/** Order of two normalised instants: below 0, 0, above 0. */
export function compare(a: string, b: string): -1 | 0 | 1 {
  if (a === b) return 0
  return a < b ? -1 : 1
}

/** Two windows that together are exactly this one; null when one tick is left (or none), which cannot be split. */
export function halve(window: Window): [Window, Window] | null {
  const from = toTicks(window.from)
  const width = toTicks(window.to) - from
  if (width <= 1n) return null
  const middle = fromTicks(from + width / 2n)
  return [
    { from: window.from, to: middle },
    { from: middle, to: window.to },
  ]
}

/** Adjoining windows of at most `maxMs` (a whole number above 0) that cover `from` to `to`, oldest first. */
export function* slices(from: string, to: string, maxMs: number): Generator<Window, void> {
  const step = BigInt(maxMs) * TICKS_PER_MS
  if (step <= 0n) throw new RangeError(`a window must be longer than ${maxMs} ms`)
  const end = toTicks(to)
  for (let start = toTicks(from); start < end; start += step) {
    const stop = start + step < end ? start + step : end
    yield { from: fromTicks(start), to: fromTicks(stop) }
  }
}
