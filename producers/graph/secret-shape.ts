/** What client secrets look like that were not copied as Entra shows them. Says nothing of their content. */
import { isEntraSecret } from '../../platform/secret-shapes.ts'
import { isGuid, type Move } from './problems.ts'

export interface Oddity {
  /** After "The secret". */
  readonly words: string
  readonly move: Move
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

/** Null: nothing odd to be seen, which does not make it right. */
export function oddityOf(secret: string): Oddity | null {
  if (isGuid(secret)) return ID
  if (/^["'`“].*["'`”]$/u.test(secret)) return QUOTES
  if (/^[A-Za-z_][A-Za-z0-9_]{2,40}=./.test(secret)) return NAME
  if (/[\s\p{C}]/u.test(secret)) return BLANKS
  return isEntraSecret(Buffer.from(secret, 'base64').toString('latin1').trim()) ? BASE64 : null
}
