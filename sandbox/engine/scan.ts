/**
 * Finds the members of every item of `{"items":[{…}]}` by their place in the body, so that the alert can be judged by
 * the very bytes that came. The envelope is checked strictly; inside an alert only strings and brackets are followed,
 * because a damaged alert shows in its hash.
 */
export interface ScannedItem {
  /** Members but `alert`, as JSON.parse reads them; the last of a name counts. */
  readonly members: Readonly<Record<string, unknown>>
  /** The bytes of the tenant member, to recognise one seen before. */
  readonly tenantText: string
  /** The value of `alert`, cut verbatim; undefined when the item has none. */
  readonly alert: Buffer | undefined
}

export type Scan =
  | { readonly kind: 'items'; readonly items: readonly ScannedItem[] }
  | { readonly kind: 'bad'; readonly message: string }

class ScanError extends Error {}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COMMA = 0x2c
const COLON = 0x3a
const OPEN_LIST = 0x5b
const CLOSE_LIST = 0x5d
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** The text of some bytes; the slow, strict reader is asked only when there may be something wrong with them. */
function textOf(body: Buffer, from: number, to: number): string {
  const text = body.toString('utf8', from, to)
  return text.includes('\uFFFD') ? strict.decode(body.subarray(from, to)) : text
}

export function scanBatch(body: Buffer): Scan {
  try {
    let items: ScannedItem[] | undefined
    const end = eachMember(body, skipSpace(body, 0), (name, from, to) => {
      if (name === 'items') items = readItems(body, from, to)
    })
    if (skipSpace(body, end) !== body.length) throw new ScanError(`something follows the object at byte ${end}`)
    return items === undefined ? { kind: 'bad', message: 'the body has no items' } : { kind: 'items', items }
  } catch (error) {
    if (error instanceof ScanError || error instanceof SyntaxError || error instanceof TypeError) {
      return { kind: 'bad', message: error.message }
    }
    throw error
  }
}

function readItems(body: Buffer, from: number, to: number): ScannedItem[] {
  if (body[from] !== OPEN_LIST) throw new ScanError(`items is not a list at byte ${from}`)
  const items: ScannedItem[] = []
  let at = skipSpace(body, from + 1)
  if (body[at] === CLOSE_LIST) return items
  while (at < to) {
    const start = at
    let alert: Buffer | undefined
    let tenantText = ''
    const members: Record<string, unknown> = Object.create(null) as Record<string, unknown>
    const end = eachMember(body, start, (name, valueFrom, valueTo) => {
      if (name === 'alert') {
        alert = body.subarray(valueFrom, valueTo)
        return
      }
      const text = textOf(body, valueFrom, valueTo)
      if (name === 'tenant') tenantText = text
      members[name] = JSON.parse(text)
    })
    items.push({ members, tenantText, alert })
    at = skipSpace(body, end)
    if (body[at] === CLOSE_LIST) return items
    if (body[at] !== COMMA) throw new ScanError(`expected , or ] after an item at byte ${at}`)
    at = skipSpace(body, at + 1)
  }
  throw new ScanError('the list of items does not end')
}

/** Calls back for each member of the object that begins at `at`; returns where it ends. */
function eachMember(body: Buffer, at: number, seen: (name: string, from: number, to: number) => void): number {
  if (body[at] !== OPEN_OBJECT) throw new ScanError(`expected an object at byte ${at}`)
  let place = skipSpace(body, at + 1)
  if (body[place] === CLOSE_OBJECT) return place + 1
  for (;;) {
    if (body[place] !== QUOTE) throw new ScanError(`expected a member name at byte ${place}`)
    const nameEnd = skipString(body, place)
    const name: unknown = JSON.parse(textOf(body, place, nameEnd))
    place = skipSpace(body, nameEnd)
    if (body[place] !== COLON) throw new ScanError(`expected : at byte ${place}`)
    const from = skipSpace(body, place + 1)
    const to = skipValue(body, from)
    seen(String(name), from, to)
    place = skipSpace(body, to)
    if (body[place] === CLOSE_OBJECT) return place + 1
    if (body[place] !== COMMA) throw new ScanError(`expected , or } at byte ${place}`)
    place = skipSpace(body, place + 1)
  }
}

function skipSpace(body: Buffer, at: number): number {
  let place = at
  for (;;) {
    const byte = body[place]
    if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return place
    place++
  }
}

/** `at` is the opening quote; returns the place after the closing one. */
function skipString(body: Buffer, at: number): number {
  for (let place = at + 1; place < body.length; place++) {
    const byte = body[place]
    if (byte === BACKSLASH) place++
    else if (byte === QUOTE) return place + 1
  }
  throw new ScanError(`the string at byte ${at} does not end`)
}

function skipValue(body: Buffer, at: number): number {
  const first = body[at]
  if (first === QUOTE) return skipString(body, at)
  if (first === OPEN_OBJECT || first === OPEN_LIST) return skipNested(body, at)
  let place = at
  while (place < body.length && !endsScalar(body[place] ?? 0)) place++
  if (place === at) throw new ScanError(`expected a value at byte ${at}`)
  return place
}

function endsScalar(byte: number): boolean {
  return byte === COMMA || byte === CLOSE_OBJECT || byte === CLOSE_LIST || byte <= 0x20
}

function skipNested(body: Buffer, at: number): number {
  const { length } = body
  let depth = 0
  for (let place = at; place < length; place++) {
    const byte = body[place]
    if (byte === QUOTE) {
      // written out, not a call to skipString: most of the engine's time goes by here
      for (place++; place < length; place++) {
        const inside = body[place]
        if (inside === BACKSLASH) place++
        else if (inside === QUOTE) break
      }
    } else if (byte === OPEN_OBJECT || byte === OPEN_LIST) depth++
    else if ((byte === CLOSE_OBJECT || byte === CLOSE_LIST) && --depth === 0) return place + 1
  }
  throw new ScanError(`the value at byte ${at} does not end`)
}
