/** What client secrets look like that were not copied as Entra shows them. Says nothing of their content. */
import { isEntraSecret } from '../../platform/secret-shapes.ts'
import { isGuid, type Move } from './problems.ts'

export interface Oddity {
  /** After "The secret". */
  readonly words: string
  readonly move: Move
  /** It can be no secret: Entra need not be asked. Otherwise a hint beside Entra's refusal. */
  readonly isCertain?: true
}

const ID: Oddity = {
  words: "has the shape of a GUID: most likely the Secret ID was sent instead of the secret's Value.",
  move: 'customer',
}
const QUOTES: Oddity = {
  words: 'stands in quotes, which are no part of it: the operator must put the bare secret into {file}.',
  move: 'operator',
}
const NAME: Oddity = {
  words: 'begins with a name and an equals sign: the operator must put what follows it, alone, into {file}.',
  move: 'operator',
}
const BLANKS: Oddity = {
  words: 'has blanks or invisible characters in it, which no secret of Entra has: the operator must copy it anew.',
  move: 'operator',
}
const BASE64: Oddity = {
  words:
    'is the base64 of a secret: the operator must put the secret itself into {file} (of a Kubernetes Secret, "data" is encoded once and "stringData" not at all).',
  move: 'operator',
}
const PLACEHOLDER: Oddity = {
  words:
    "is a placeholder, not a secret: the operator must put the secret's Value, as the customer sent it, into {file}.",
  move: 'operator',
  isCertain: true,
}
const MASKED: Oddity = {
  words:
    "is the masked form (stars) that pages show in place of a secret: the operator must put the Value that the customer sent into {file}; if that is masked, too, the customer's administrator must create a new secret, whose Value Entra shows only once.",
  move: 'operator',
  isCertain: true,
}
const JSON_OBJECT: Oddity = {
  words: 'is wrapped in JSON: the operator must put the bare secret, without braces, name and quotes, into {file}.',
  move: 'operator',
  isCertain: true,
}
const URL_ENCODED: Oddity = {
  words: 'looks URL-encoded (such as %7E for a tilde): the operator must put it as the customer sent it into {file}.',
  move: 'operator',
}
const HTML: Oddity = {
  words:
    'looks escaped as in a web page (such as &amp; for an ampersand): the operator must put it as the customer sent it into {file}.',
  move: 'operator',
}
const SHORT_CHARS = 16
const SHORT: Oddity = {
  words: `has fewer than ${SHORT_CHARS} characters, and Entra makes longer ones: most likely a part of it is missing; the operator must compare it with what the customer sent, and put all of it into {file}.`,
  move: 'operator',
}

const MASKS = /^.{0,6}[*•●]{4,}$/u
const PLACEHOLDERS = [
  /^(?:[*•●]+|x{3,}|\.{3,}|…|-+)$/iu,
  /^<[^<>]*>$/,
  /^\$\{[^{}]*\}$|^\$[A-Z_]+$|^\{\{[^{}]*\}\}$/,
  /^(?:change|replace)[-_ ]?(?:me|this|it)$/i,
  /^(?:todo|tbd|placeholder|dummy|n\/a|none|null|undefined)$/i,
  /^(?:your|the|insert|enter|paste|put)[-_ ](?:\w+[-_ ])?(?:client|app|secret|value|password)[-a-z_ ]*$/i,
]

/** Null: nothing odd to be seen, which does not make it right. */
export function oddityOf(secret: string): Oddity | null {
  if (isEntraSecret(secret)) return null
  if (isGuid(secret)) return ID
  if (isJsonObject(secret)) return JSON_OBJECT
  if (MASKS.test(secret)) return MASKED
  if (PLACEHOLDERS.some(placeholder => placeholder.test(secret))) return PLACEHOLDER
  if (/^["'`“].*["'`”]$/u.test(secret)) return QUOTES
  if (/^[A-Za-z_][A-Za-z0-9_]{2,40}=./.test(secret)) return NAME
  if (/[\s\p{C}]/u.test(secret)) return BLANKS
  if (isEntraSecret(Buffer.from(secret, 'base64').toString('latin1').trim())) return BASE64
  if (/%[0-9A-F]{2}/i.test(secret)) return URL_ENCODED
  if (/&(?:amp|lt|gt|quot|apos|#\d{2,4});/.test(secret)) return HTML
  return secret.length < SHORT_CHARS ? SHORT : null
}

/** Also of several lines, as tools write it. */
export function wrappedInJson(text: string): Oddity | null {
  return isJsonObject(text.trim()) ? JSON_OBJECT : null
}

function isJsonObject(text: string): boolean {
  if (!text.startsWith('{')) return false
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
