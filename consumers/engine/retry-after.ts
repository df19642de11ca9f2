const HTTP_DATE = /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/

/**
 * Retry-After in both forms of RFC 9110 §10.2.3, in ms; null when absent or not one of them. A date counts from the
 * answer's own Date header, so that a wrong clock on either side does no harm. Not clamped.
 */
export function retryAfterMs(value: string | null, date: string | null, nowMs: number): number | null {
  if (value === null) return null
  const text = value.trim()
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000
  const untilMs = httpDateMs(text)
  if (untilMs === null) return null
  return Math.max(0, untilMs - (httpDateMs(date?.trim() ?? '') ?? nowMs))
}

function httpDateMs(text: string): number | null {
  if (!HTTP_DATE.test(text)) return null
  const ms = Date.parse(text)
  return Number.isNaN(ms) ? null : ms
}
