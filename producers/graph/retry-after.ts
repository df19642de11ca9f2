const MIN_WAIT_MS = 1_000
const MAX_WAIT_MS = 15 * 60_000

const IMF_FIXDATE =
  /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d (?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4} \d\d:\d\d:\d\d GMT$/

export type HeaderValue = string | readonly string[] | undefined

/** The first of a header's values; undefined if it was not sent. */
export function firstOf(value: HeaderValue): string | undefined {
  return typeof value === 'string' ? value : value?.[0]
}

/** No clock of ours shows another century, and windows around such an instant could not be written. */
const FIRST_DATE_MS = Date.UTC(1970, 0, 1)
const LAST_DATE_MS = Date.UTC(2200, 0, 1)

/** An HTTP date (the one form that RFC 9110 lets a sender use) from 1970 to 2199 → epoch ms, or null. */
export function httpDateMs(value: HeaderValue): number | null {
  const text = firstOf(value)?.trim() ?? ''
  const epochMs = IMF_FIXDATE.test(text) ? Date.parse(text) : Number.NaN
  return epochMs >= FIRST_DATE_MS && epochMs < LAST_DATE_MS ? epochMs : null
}

/**
 * `Retry-After` in both its forms → milliseconds to wait, clamped to 1 s .. 15 min; null if absent, negative or no such
 * thing. A date is read against `serverNowMs`, the answer's own Date header, so that our clock does not matter.
 */
export function retryAfterMs(value: HeaderValue, serverNowMs: number): number | null {
  const text = firstOf(value)?.trim() ?? ''
  const dateMs = httpDateMs(text)
  if (dateMs !== null) return clamp(dateMs - serverNowMs)
  // a fraction is outside the standard, but means what it says
  return /^\d+(\.\d+)?$/.test(text) ? clamp(Number(text) * 1_000) : null
}

function clamp(waitMs: number): number {
  return Math.min(MAX_WAIT_MS, Math.max(MIN_WAIT_MS, Math.ceil(waitMs)))
}
