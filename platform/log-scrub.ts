import { ENTRA_SECRET, isSecretName, PRIVATE_KEY, WEB_TOKEN } from './secret-shapes.ts'

/**
 * What may stand in a log line. Alert content, tokens and error objects of other people's libraries all pass through
 * here: secrets are masked, everything is bounded, and only plain data comes out.
 */

const MASK = '[secret]'
const MIN_SECRET_CHARS = 6
const MAX_SECRETS = 50_000
const INDEX_CHARS = 4
/** Text beyond this is cut before any pattern sees it, so that scrubbing stays cheap. */
const MAX_INPUT_CHARS = 16_384

/** One registry for the process: a secret that any part has read must not appear in what any other part says. */
const secrets = new Set<string>()
const lengthsByStart = new Map<string, number[]>()

/**
 * Masks `text` wherever it appears from now on, also URL-encoded. Values shorter than six characters are not
 * registered: masking them would garble every line. The oldest leave when 50,000 are known.
 */
export function registerSecret(text: string): void {
  const plain = text.trim()
  for (const form of new Set([plain, encodeURIComponent(plain.toWellFormed())])) {
    if (form.length < MIN_SECRET_CHARS || secrets.has(form)) continue
    secrets.add(form)
    const start = form.slice(0, INDEX_CHARS)
    const lengths = lengthsByStart.get(start) ?? []
    // the longest first, so that a secret that begins with another one is masked whole
    if (!lengths.includes(form.length))
      lengthsByStart.set(
        start,
        [...lengths, form.length].toSorted((a, b) => b - a),
      )
  }
  while (secrets.size > MAX_SECRETS) {
    const [oldest] = secrets
    if (oldest !== undefined) secrets.delete(oldest)
  }
}

/** A few look-ups per character, however many secrets there are. */
function maskKnownSecrets(text: string): string {
  if (secrets.size === 0) return text
  let out = ''
  let copied = 0
  for (let i = 0; i + INDEX_CHARS <= text.length; i++) {
    const lengths = lengthsByStart.get(text.slice(i, i + INDEX_CHARS))
    const length = lengths?.find(length => secrets.has(text.slice(i, i + length)))
    if (length === undefined) continue
    out += text.slice(copied, i) + MASK
    copied = i + length
    i = copied - 1
  }
  return copied === 0 ? text : out + text.slice(copied)
}

/** Shapes that are secret whoever wrote them. Each runs in linear time; scheme length is bounded for that reason. */
const SHAPES: readonly (readonly [RegExp, string])[] = [
  [PRIVATE_KEY, '[private key]'],
  [WEB_TOKEN, '[token]'],
  [/\b([a-z][a-z0-9+.-]{0,20}:\/\/)[^\s/?#]+@/gi, `$1${MASK}@`],
  [/\b(Bearer|DPoP|Negotiate)\s+[A-Za-z0-9\-._~+/]{16,}=*/gi, `$1 ${MASK}`],
  [/\b([Bb]asic)\s+(?=[a-z]*[A-Z0-9+/=])[A-Za-z0-9+/]{6,}=*/g, `$1 ${MASK}`],
  [/\bwhsec_[A-Za-z0-9+/=_-]+/g, MASK],
  [ENTRA_SECRET, MASK],
  [
    /\b(client_?secret|client_?assertion|pass(?:word|wd|phrase)|api[_-]?key|access_?token|refresh_?token|id_?token|authorization)("?\s*[=:]\s*"?)(?:(?:Bearer|Basic|DPoP|Negotiate)\s+)?[^\s"'&,;}]+/gi,
    `$1$2${MASK}`,
  ],
  [/\b(secret|token|assertion|pwd|sig|signature)(=|"\s*:\s*")[^\s"'&,;}]+/gi, `$1$2${MASK}`],
]

/** `text` with every known secret and everything shaped like one masked, at most `maxChars` long, well-formed. */
export function scrub(text: string, maxChars = 2_000): string {
  let out = maskKnownSecrets(text.length > MAX_INPUT_CHARS ? text.slice(0, MAX_INPUT_CHARS) : text)
  for (const [shape, mask] of SHAPES) out = out.replace(shape, mask)
  if (out.length > maxChars || text.length > MAX_INPUT_CHARS) {
    const kept = out.slice(0, maxChars)
    out = `${kept}… (${text.length} characters)`
  }
  return out.toWellFormed()
}

/**
 * JSON leaves DEL, C1, U+2028/9, bidirectional controls and the byte order mark as they are; terminals and log
 * shippers do not. In a line of JSON they can only stand inside a text, so escaping them keeps the meaning.
 */
const ODD = /[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g

export function escapeOddCharacters(json: string): string {
  return json.replace(ODD, char => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** Somebody else's text as it may stand in a sentence of ours: scrubbed, in quotes, on one line. */
export function quote(text: string, maxChars = 100): string {
  return escapeOddCharacters(JSON.stringify(scrub(text, maxChars)))
}

/** Somebody else's sentence within one of ours: scrubbed, without quotes, on one line. */
export function inWords(text: string, maxChars = 200): string {
  return escapeOddCharacters(scrub(text, maxChars).replace(CONTROLS, ' '))
}

// JSON escapes them, a sentence does not
const CONTROLS = /\p{Cc}+/gu

const MAX_DEPTH = 5
const MAX_ENTRIES = 40

/** What is left of one event's share of the log. */
export interface Allowance {
  values: number
  chars: number
}

export function eventAllowance(): Allowance {
  return { values: 300, chars: 16_000 }
}

/**
 * Plain, bounded, scrubbed data for `value`: depth 5, 40 entries each, 2,000 characters a text, 16,000 an event.
 * Getters that throw, cycles, functions and bytes become a word in brackets; a toJSON method is never called.
 */
export function presentable(value: unknown, withStack: boolean, left: Allowance, depth = 0): unknown {
  if (--left.values < 0 || left.chars <= 0) return '[cut]'
  if (typeof value === 'string') {
    const text = scrub(value, Math.min(2_000, left.chars))
    left.chars -= text.length
    return text
  }
  if (typeof value === 'number') return Number.isFinite(value) ? value : String(value)
  if (typeof value === 'bigint') return scrub(value.toString(), 100)
  if (typeof value === 'function' || typeof value === 'symbol') return `[${typeof value}]`
  if (typeof value === 'object' && value !== null) return presentableObject(value, withStack, left, depth)
  return value
}

function presentableObject(value: object, withStack: boolean, left: Allowance, depth: number): unknown {
  try {
    if (value instanceof Error) return presentableError(value, withStack, left)
    if (value instanceof Date) return Number.isNaN(value.getTime()) ? '[no date]' : value.toISOString()
    if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return `[${value.byteLength} bytes]`
    if (value instanceof URL) return presentable(value.href, withStack, left, depth)
    if (depth >= MAX_DEPTH) return '[deeper]'
    if (value instanceof Map) return presentableEntries(value.entries(), withStack, left, depth)
    if (value instanceof Set || Array.isArray(value)) {
      const list: unknown[] = []
      for (const entry of value as Iterable<unknown>) {
        if (list.length === MAX_ENTRIES) {
          list.push('[more]')
          break
        }
        list.push(presentable(entry, withStack, left, depth + 1))
      }
      return list
    }
    return presentableEntries(ownEntries(value), withStack, left, depth)
  } catch {
    return '[unreadable]'
  }
}

function* ownEntries(value: object): Iterable<readonly [string, unknown]> {
  for (const key of Object.keys(value)) {
    try {
      yield [key, Reflect.get(value, key)]
    } catch {
      yield [key, '[unreadable]']
    }
  }
}

function presentableEntries(
  entries: Iterable<readonly [unknown, unknown]>,
  withStack: boolean,
  left: Allowance,
  depth: number,
): Readonly<Record<string, unknown>> {
  // no prototype: a key `__proto__` from outside stays an ordinary key
  const out: Record<string, unknown> = Object.create(null)
  let count = 0
  for (const [key, value] of entries) {
    if (++count > MAX_ENTRIES) {
      out['…'] = '[more]'
      break
    }
    const name = scrub(String(key), 100)
    left.chars -= name.length
    const hidden = isSecretName(name) && typeof value !== 'number' && typeof value !== 'boolean' && value != null
    out[name] = hidden ? MASK : presentable(value, withStack, left, depth + 1)
  }
  return out
}

/**
 * Only name, code, message and up to three causes: the libraries hang requests, headers and configurations on theirs.
 * The stack comes along for faults of the code, not for a dependency that said no (those carry a code of their own).
 */
function presentableError(
  error: Error,
  withStack: boolean,
  left: Allowance,
  causes = 0,
): Readonly<Record<string, unknown>> {
  const code = textOf(() => Reflect.get(error, 'code'))
  const out: Record<string, unknown> = {
    name: scrub(textOf(() => error.name) ?? 'Error', 100),
    ...(code === null ? {} : { code: scrub(code, 100) }),
    message: scrub(textOf(() => error.message) ?? '', 1_000),
  }
  if (withStack && (code === null || code.startsWith('ERR_'))) out['stack'] = frames(textOf(() => error.stack) ?? '')
  if (causes < 3 && error.cause instanceof Error) out['cause'] = presentableError(error.cause, false, left, causes + 1)
  left.chars -= 200
  return out
}

/** The frames alone: the stack's head repeats the message, unbounded. */
function frames(stack: string): string {
  const lines = stack.slice(0, MAX_INPUT_CHARS).split('\n')
  return scrub(
    lines
      .filter(line => /^\s+at /.test(line))
      .slice(0, 12)
      .map(line => line.trim())
      .join('\n'),
    2_000,
  )
}

function textOf(read: () => unknown): string | null {
  try {
    const value = read()
    return typeof value === 'string' || typeof value === 'number' ? String(value) : null
  } catch {
    return null
  }
}
