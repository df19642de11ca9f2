import { quote } from '../platform/log-scrub.ts'
import { EXIT, Refusal } from './io.ts'

const SPAN = /^(\d+(?:\.\d+)?)(s|m|h|d)$/
const UNITS_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** No calendar of ours goes further. */
const MAX_DATE_MS = 8.64e15

/** ISO time, or a span back from now such as `2h`, as ms since the epoch. Refuses anything else, naming the flag. */
export function readTime(flag: string, text: string, nowMs: number): number {
  const span = SPAN.exec(text)
  const ms = span
    ? nowMs - Number(span[1]) * (UNITS_MS[span[2] ?? ''] ?? 0)
    : /^\d{4}-\d\d-\d\d(T|$)/.test(text)
      ? Date.parse(text)
      : Number.NaN
  if (!(Math.abs(ms) <= MAX_DATE_MS)) {
    throw new Refusal(
      `${flag} is ${quote(text)}: expected an ISO time (2026-11-23T10:00:00Z) or a span such as 2h`,
      EXIT.usage,
    )
  }
  return ms
}

/** Both ends, in order. */
export function readSpan(
  since: string | undefined,
  until: string | undefined,
  nowMs: number,
): { readonly sinceMs: number; readonly untilMs: number } {
  const sinceMs = since === undefined ? 0 : readTime('--since', since, nowMs)
  const untilMs = until === undefined ? nowMs : readTime('--until', until, nowMs)
  if (sinceMs >= untilMs) throw new Refusal('--since is not before --until', EXIT.usage)
  return { sinceMs, untilMs }
}
