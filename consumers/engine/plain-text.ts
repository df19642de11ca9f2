// Cc: C0, DEL, C1 · Cf: bidi overrides, zero width, tags · Zl and Zp: line separators
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu

/** Foreign text for one line of a log or a record: no control characters, well-formed, at most `maxChars` UTF-16 units. */
export function plainText(text: string, maxChars: number): string {
  // cut first, so that a body of megabytes costs no more than one of a page
  const shown = text
    .slice(0, maxChars * 4)
    .replace(INVISIBLE, ' ')
    .trim()
  return shown.slice(0, maxChars).toWellFormed()
}
