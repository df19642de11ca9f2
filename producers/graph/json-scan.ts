/**
 * Strict JSON (RFC 8259) over bytes, without building values: every function takes a position and returns the position
 * after what it read, or INVALID. Nothing recurses, so nesting costs one byte a level and no stack.
 * UTF-8 is not looked at here; the caller checks the whole page at once (node:buffer isUtf8), which is native and fast.
 */
export const INVALID = -1

export interface Scan {
  readonly bytes: Uint8Array
  readonly view: DataView
  readonly end: number
  /** Open containers, one byte a level: OBJECT or ARRAY. Grows by doubling, never past the page's own length. */
  levels: Uint8Array
  /** Object members and deepest nesting met since the caller last set them to 0. */
  keys: number
  depth: number
  /** A string since the caller last set it to false held an escape. */
  escaped: boolean
}

const ARRAY = 0
const OBJECT = 1

const QUOTE = 0x22
const COMMA = 0x2c
const MINUS = 0x2d
const DOT = 0x2e
const ZERO = 0x30
const NINE = 0x39
const COLON = 0x3a
const OPEN_BRACKET = 0x5b
const BACKSLASH = 0x5c
const CLOSE_BRACKET = 0x5d
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d

const FIRST_LEVELS = 256

export function openScan(bytes: Uint8Array): Scan {
  return {
    bytes,
    view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength),
    end: bytes.length,
    levels: new Uint8Array(FIRST_LEVELS),
    keys: 0,
    depth: 0,
    escaped: false,
  }
}

/** Skips space, tab, line feed and carriage return: JSON knows no other white space. */
export function spaceEnd(scan: Scan, at: number): number {
  const { bytes, end } = scan
  let i = at
  while (i < end) {
    const c = bytes[i] as number
    if (c > 0x20 || (c !== 0x20 && c !== 0x0a && c !== 0x0d && c !== 0x09)) return i
    i++
  }
  return i
}

/**
 * `at` is the byte after the opening quote; the answer is the byte after the closing one. Four bytes a step while
 * nothing happens: `hit` is not 0 exactly if one of the four is a quote, a backslash or below 0x20.
 */
export function stringEnd(scan: Scan, at: number): number {
  const { bytes, view, end } = scan
  const lastWord = end - 4
  let i = at
  for (;;) {
    while (i <= lastWord) {
      const word = view.getInt32(i, true)
      const quote = word ^ 0x22222222
      const slash = word ^ 0x5c5c5c5c
      const hit =
        (((quote - 0x01010101) & ~quote) | ((slash - 0x01010101) & ~slash) | ((word - 0x20202020) & ~word)) & 0x80808080
      if (hit !== 0) break
      i += 4
    }
    for (;;) {
      if (i >= end) return INVALID
      const c = bytes[i] as number
      if (c === QUOTE) return i + 1
      if (c === BACKSLASH) break
      if (c < 0x20) return INVALID
      i++
    }
    scan.escaped = true
    i = escapeEnd(scan, i + 1)
    if (i === INVALID) return INVALID
  }
}

/** `at` is the byte after a backslash. */
function escapeEnd(scan: Scan, at: number): number {
  switch (scan.bytes[at] ?? 0) {
    case QUOTE:
    case BACKSLASH:
    case 0x2f: // /
    case 0x62: // b
    case 0x66: // f
    case 0x6e: // n
    case 0x72: // r
    case 0x74: // t
      return at + 1
    case 0x75: // u
      for (let i = at + 1; i < at + 5; i++) if (!isHex(scan.bytes[i])) return INVALID
      return at + 5
    default:
      return INVALID
  }
}

function isHex(c: number | undefined): boolean {
  if (c === undefined) return false
  return (c >= ZERO && c <= NINE) || ((c | 0x20) >= 0x61 && (c | 0x20) <= 0x66)
}

function digitsEnd(scan: Scan, at: number): number {
  const { bytes, end } = scan
  let i = at
  while (i < end) {
    const c = bytes[i] as number
    if (c < ZERO || c > NINE) break
    i++
  }
  return i === at ? INVALID : i
}

function numberEnd(scan: Scan, at: number): number {
  const { bytes } = scan
  let i = bytes[at] === MINUS ? at + 1 : at
  i = bytes[i] === ZERO ? i + 1 : digitsEnd(scan, i)
  if (i === INVALID) return INVALID
  if (bytes[i] === DOT) {
    i = digitsEnd(scan, i + 1)
    if (i === INVALID) return INVALID
  }
  if (((bytes[i] ?? 0) | 0x20) !== 0x65) return i
  const sign = bytes[i + 1]
  return digitsEnd(scan, sign === MINUS || sign === 0x2b ? i + 2 : i + 1)
}

function wordEnd(scan: Scan, at: number, word: string): number {
  for (let i = 0; i < word.length; i++) if (scan.bytes[at + i] !== word.charCodeAt(i)) return INVALID
  return at + word.length
}

function scalarEnd(scan: Scan, at: number): number {
  switch (scan.bytes[at] ?? 0) {
    case 0x74:
      return wordEnd(scan, at, 'true')
    case 0x66:
      return wordEnd(scan, at, 'false')
    case 0x6e:
      return wordEnd(scan, at, 'null')
    default:
      return numberEnd(scan, at)
  }
}

/** `at` is after a member's key; the answer is where its value starts. */
export function colonEnd(scan: Scan, at: number): number {
  if (at === INVALID) return INVALID
  const i = spaceEnd(scan, at)
  return scan.bytes[i] === COLON ? spaceEnd(scan, i + 1) : INVALID
}

function keyAndColonEnd(scan: Scan, at: number): number {
  if (scan.bytes[at] !== QUOTE) return INVALID
  scan.keys++
  return colonEnd(scan, stringEnd(scan, at + 1))
}

function pushLevel(scan: Scan, depth: number, kind: number): void {
  if (depth === scan.levels.length) {
    const wider = new Uint8Array(depth * 2)
    wider.set(scan.levels)
    scan.levels = wider
  }
  scan.levels[depth] = kind
  if (depth >= scan.depth) scan.depth = depth + 1
}

/** One value of any kind that starts at `at` (no white space before it). */
export function valueEnd(scan: Scan, at: number): number {
  const { bytes } = scan
  let depth = 0
  let i = at
  for (;;) {
    const first = bytes[i]
    if (first === QUOTE) {
      i = stringEnd(scan, i + 1)
    } else if (first === OPEN_BRACE) {
      pushLevel(scan, depth, OBJECT)
      i = spaceEnd(scan, i + 1)
      if (bytes[i] === CLOSE_BRACE) i++
      else {
        depth++
        i = keyAndColonEnd(scan, i)
        if (i === INVALID) return INVALID
        continue
      }
    } else if (first === OPEN_BRACKET) {
      pushLevel(scan, depth, ARRAY)
      i = spaceEnd(scan, i + 1)
      if (bytes[i] === CLOSE_BRACKET) i++
      else {
        depth++
        continue
      }
    } else {
      i = scalarEnd(scan, i)
    }
    if (i === INVALID) return INVALID
    // a value has ended: close what ends with it, or step to the next value
    for (;;) {
      if (depth === 0) return i
      const inObject = scan.levels[depth - 1] === OBJECT
      i = spaceEnd(scan, i)
      const c = bytes[i]
      if (c === COMMA) {
        i = spaceEnd(scan, i + 1)
        if (inObject) i = keyAndColonEnd(scan, i)
        if (i === INVALID) return INVALID
        break
      }
      if (c !== (inObject ? CLOSE_BRACE : CLOSE_BRACKET)) return INVALID
      i++
      depth--
    }
  }
}
