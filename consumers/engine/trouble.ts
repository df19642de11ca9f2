import { plainText } from './plain-text.ts'

const DETAIL_CHARS = 200
// what OpenSSL and Node call a certificate or handshake that no retry will mend
const TLS =
  /^(?:ERR_TLS_|ERR_SSL_|ERR_OSSL_|CERT_|CRL_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|HOSTNAME_MISMATCH|INVALID_|EPROTO$)/
// the name does not exist; a resolver that is merely out of reach says EAI_AGAIN
const NAME = new Set(['ENOTFOUND', 'EAI_NONAME', 'EAI_NODATA'])

/** Sorts what a request threw: configuration (certificate, name) or trouble that may pass (refused, reset, timeout). */
export function readTrouble(error: unknown): { readonly kind: 'again' | 'blocked'; readonly detail: string } {
  const code = codeOf(error)
  const text = error instanceof Error ? error.message : String(error)
  const detail = plainText(code === null || text.includes(code) ? text : `${code}: ${text}`, DETAIL_CHARS)
  return { kind: code !== null && (NAME.has(code) || TLS.test(code)) ? 'blocked' : 'again', detail }
}

/** An own code, or the first one among causes and the addresses that were tried. */
function codeOf(error: unknown, depth = 0): string | null {
  if (!(error instanceof Error) || depth > 4) return null
  const code = 'code' in error && typeof error.code === 'string' ? error.code : null
  if (code !== null && !code.startsWith('UND_')) return code
  const within = error instanceof AggregateError ? error.errors : [error.cause]
  for (const inner of within) {
    const found = codeOf(inner, depth + 1)
    if (found !== null) return found
  }
  return code
}
