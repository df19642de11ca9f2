import { scrub } from '../../platform/log-scrub.ts'

// Cc: C0, DEL, C1 · Cf: bidi overrides, zero width, tags · Zl and Zp: line separators
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu

/**
 * Foreign text for one line of a log or a record: no control characters, no secret that is known or looks like one,
 * well-formed, at most `maxChars` UTF-16 units.
 */
export function plainText(text: string, maxChars: number): string {
  // cut early, so that a body of megabytes costs no more than one of a page; but a secret is masked whole
  const shown = scrub(text, maxChars * 4)
    .replace(INVISIBLE, ' ')
    .trim()
  return shown.slice(0, maxChars).toWellFormed()
}
