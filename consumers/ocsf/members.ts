/** An object on its way to the engine. */
export type Attributes = Readonly<Record<string, unknown>>

export type Read<T> = (value: unknown) => T | undefined

/**
 * The members of an object of Graph's. Whoever makes something of one takes it; what nobody took, be it unknown or of a type
 * that does not fit, is carried along as it was.
 */
export interface Members {
  /** Looks at one without taking it. */
  peek<T>(name: string, read: Read<T>): T | undefined
  take<T>(name: string, read: Read<T>): T | undefined
  /** Takes those entries of a list that fit, at most so many. */
  list<T>(name: string, read: Read<T>, most?: number): readonly T[] | undefined
  /** Takes from an object within; what is left of it stays. */
  within<T>(name: string, read: (inner: Members) => T | undefined): T | undefined
  /** Takes all that `read` takes, or nothing when it comes to nothing. */
  part<T>(read: (self: Members) => T | undefined): T | undefined
  /** Null and the empty list say nothing and are left out. */
  rest(): Attributes | undefined
}

const LIST_MAX = 256

/** Null for what is no object. A member's name is text, whatever it says: nothing is looked up through a prototype. */
export function membersOf(value: unknown): Members | null {
  return isObject(value) ? over(new Map(Object.entries(value))) : null
}

function over(members: Map<string, unknown>): Members {
  return {
    peek: (name, read) => read(members.get(name)),
    take(name, read) {
      const found = read(members.get(name))
      if (found !== undefined) members.delete(name)
      return found
    },
    list<T>(name: string, read: Read<T>, most = LIST_MAX) {
      const value = members.get(name)
      if (!Array.isArray(value)) return undefined
      const taken: T[] = []
      const left: unknown[] = []
      for (const entry of value as unknown[]) {
        const found = taken.length < most ? read(entry) : undefined
        if (found === undefined) left.push(entry)
        else taken.push(found)
      }
      members.set(name, left)
      return taken.length > 0 ? taken : undefined
    },
    within(name, read) {
      const inner = membersOf(members.get(name))
      const found = inner === null ? undefined : read(inner)
      if (found === undefined) return undefined
      members.set(name, inner?.rest() ?? null)
      return found
    },
    part(read) {
      const copy = new Map(members)
      const found = read(over(copy))
      if (found === undefined) return undefined
      members.clear()
      for (const [name, value] of copy) members.set(name, value)
      return found
    },
    rest() {
      const left = [...members].filter(([, value]) => !saysNothing(value))
      return left.length > 0 ? Object.fromEntries(left) : undefined
    },
  }
}

/** Without the attributes that are not there. Undefined when none of `needed` is: OCSF knows objects that need one of several. */
export function attributes(all: Attributes, ...needed: readonly string[]): Attributes | undefined {
  const there = Object.entries(all).filter(([, value]) => value !== undefined)
  if (needed.length > 0 && !there.some(([name]) => needed.includes(name))) return undefined
  return Object.fromEntries(there)
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !isRawJson(value)
}

function saysNothing(value: unknown): boolean {
  return value === null || value === undefined || (Array.isArray(value) && value.length === 0)
}

/** Not in TypeScript's own library yet. */
const { rawJSON, isRawJSON: isRawJson } = JSON as unknown as {
  rawJSON(text: string): object
  isRawJSON(value: unknown): boolean
}

const LONG_NUMBER = /(?:":|[[,])\s*-?(?:[\d.]{16}|[\d.]+[eE])/
const EXACT_DIGITS = 15

/** As JSON.parse; a number that would not survive it is kept as its text, which JSON.stringify writes as it was. */
export function parseExactly(text: string): unknown {
  if (!LONG_NUMBER.test(text)) return JSON.parse(text)
  return JSON.parse(text, (_name: string, value: unknown, context?: { readonly source?: string }): unknown => {
    const source = context?.source
    if (typeof value !== 'number' || source === undefined || String(value) === source) return value
    const digits = source
      .replace(/[eE].*$/, '')
      .replace(/[^\d]/g, '')
      .replace(/^0+/, '').length
    return digits <= EXACT_DIGITS && Number.isFinite(value) ? value : rawJSON(source)
  })
}
