/** What must hold whatever comes in. A target throws `Broken` when it does not; anything else that it throws is a finding too. */
export class Broken extends Error {}

/** Stands in inputs as a credential that somebody threw back; it may come out nowhere. */
export const PLANTED = 'pl4nted-Cr3dential_0f.the~tests'

export function must(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Broken(what)
}

/** C0, DEL, C1, line separators, marks that turn the direction of text, lone surrogates. */
const UNSAFE = /[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]|\p{Cs}/u

/** Words for people: text, something in it, bounded, one line for every reader, without the planted secret. */
export function mustBeWords(text: unknown, maxChars: number, where: string): asserts text is string {
  must(typeof text === 'string', `${where} is ${typeof text}`)
  must(text !== '', `${where} says nothing`)
  must(text.length <= maxChars, `${where} has ${text.length} characters`)
  must(!UNSAFE.test(text), `${where} holds a control character: ${JSON.stringify(text.slice(0, 300))}`)
  must(!text.includes(PLANTED), `${where} shows the secret`)
}

/** The same for text of several lines. */
export function mustBeLines(text: string, maxChars: number, where: string): void {
  must(text.length <= maxChars, `${where} has ${text.length} characters`)
  for (const line of text.split('\n')) if (line !== '') mustBeWords(line, maxChars, where)
}

export function oneOf(kind: string, kinds: readonly string[], where: string): void {
  must(kinds.includes(kind), `${where} is ${JSON.stringify(kind)}`)
}

const SHARED = [Object.prototype, Array.prototype, Function.prototype, String.prototype, Map.prototype] as const
const membersOf = (): string => SHARED.map(one => Reflect.ownKeys(one).map(String).join(' ')).join('|')
const UNTOUCHED = membersOf()

/** No input reaches what all objects share. */
export function mustBeUnpolluted(): void {
  const probe: Readonly<Record<string, unknown>> = {}
  must(probe['polluted'] === undefined && probe['isAdmin'] === undefined, 'all objects have a new member')
  must(membersOf() === UNTOUCHED, 'a shared prototype has changed')
}

export function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** An input of several parts, such as headers and a body. */
const SEPARATOR = 0x1e

export function partsOf(input: Buffer, count: number): readonly Buffer[] {
  const parts: Buffer[] = []
  let from = 0
  while (parts.length < count - 1) {
    const end = input.indexOf(SEPARATOR, from)
    if (end < 0) break
    parts.push(input.subarray(from, end))
    from = end + 1
  }
  parts.push(input.subarray(from))
  while (parts.length < count) parts.push(Buffer.alloc(0))
  return parts
}

export function joined(parts: readonly (string | Buffer)[]): Buffer {
  const mark = Buffer.from([SEPARATOR])
  return Buffer.concat(parts.flatMap((part, at) => [...(at === 0 ? [] : [mark]), Buffer.from(part)]))
}

/** A header as the HTTP client hands it on: latin1, never an empty one for one that was not sent. */
export function headerOf(part: Buffer): string | undefined {
  return part.length === 0 ? undefined : part.toString('latin1')
}
