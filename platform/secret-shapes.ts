/** By what a secret is known: its shape, or the name above it. Each pattern runs in linear time. */

const ENTRA = '[A-Za-z0-9_~.-]{3}[0-9]Q~[A-Za-z0-9_~.-]{31,37}'
const IS_ENTRA_SECRET = new RegExp(`^${ENTRA}$`)

/** A secret of an application as Entra makes them. */
export const ENTRA_SECRET = new RegExp(ENTRA, 'g')
export const PRIVATE_KEY = /-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|$)/g
/** JSON Web Tokens, whole or cut. */
export const WEB_TOKEN = /\beyJ[A-Za-z0-9_-]{10,}(?:\.[A-Za-z0-9_-]+){0,4}/g

export function isEntraSecret(text: string): boolean {
  return IS_ENTRA_SECRET.test(text)
}

/** Whether a secret stands in `text` beyond doubt: what only might be one may stand in a log masked, but is not refused. */
export function holdsSecret(text: string): boolean {
  if (text.search(ENTRA_SECRET) !== -1 || text.search(PRIVATE_KEY) !== -1) return true
  // the base64 of any JSON begins like a token; only a token has three parts
  return (text.match(WEB_TOKEN) ?? []).some(token => token.split('.').length >= 3)
}

/** Names whose value is never shown, whatever it looks like. A name that ends with File or Url holds a place, not a secret. */
const SECRET_NAME =
  /(?:secret|password|passwd|passphrase|pwd|token|assertion|authorization|cookie|api[_-]?key|private[_-]?key|signing[_-]?key)s?$/i

export function isSecretName(name: string): boolean {
  return SECRET_NAME.test(name)
}
