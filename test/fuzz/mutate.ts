/**
 * Turns a sample into a hostile one: bytes, words, lines and the structure of JSON.
 * Longer than the rule: it is a list of mutations.
 */
import type { Random } from '../../platform/clock.ts'
import { intBelow, pick } from '../../sandbox/graph/chance.ts'
import { joined, PLANTED, partsOf } from './oracle.ts'

type Mutation = (input: Buffer, random: Random, context: Context) => Buffer

export interface Context {
  readonly words: readonly string[]
  /** Another input to take pieces from. */
  readonly other: Buffer
  readonly maxBytes: number
}

/** What trips readers of any kind of text. */
const HOSTILE_WORDS: readonly string[] = [
  '\r\n',
  '\n',
  '\u0000',
  '\u001b[31m',
  '\u009b31m',
  '\u2028',
  '\u2029',
  '\u202e',
  '\ufeff',
  '\u007f',
  '\ud83d\ude00',
  '%s%d',
  '%0d%0a',
  '${jndi:ldap://x}',
  '"}\n{"level":"error","msg":"forged"}',
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  '{"__proto__":{"polluted":true}}',
  '\\ud800',
  '\\u0000',
  '\\u2028',
  'null',
  'true',
  '-0',
  '1e400',
  '9007199254740993',
  '-9223372036854775808',
  '99999999999999999999999999',
  '0x10',
  '[',
  '{"a":',
  '{',
  ']',
  '}',
  '"',
  '\\',
  ',',
  ':',
  '=',
  ' ',
  '/',
  '..',
  '\u001e',
  PLANTED,
  `Bearer ${PLANTED}`,
]

const BYTES = [0, 1, 0x1e, 0x20, 0x22, 0x2c, 0x3a, 0x5b, 0x5c, 0x7b, 0x7f, 0x80, 0xc0, 0xed, 0xfe, 0xff]

const slice = (input: Buffer, random: Random): readonly [number, number] => {
  const from = intBelow(random, input.length + 1)
  const length = random() < 0.8 ? intBelow(random, 16) : intBelow(random, input.length - from + 1)
  return [from, Math.min(input.length, from + length)]
}

const replaced = (input: Buffer, from: number, to: number, middle: Buffer | string): Buffer =>
  Buffer.concat([input.subarray(0, from), Buffer.from(middle), input.subarray(to)])

/** The sum of what is picked from: the target's own words weigh as much as all others. */
const wordOf = (random: Random, { words }: Context): string =>
  words.length > 0 && random() < 0.5 ? (words[intBelow(random, words.length)] ?? '') : word(random)
const word = (random: Random): string => HOSTILE_WORDS[intBelow(random, HOSTILE_WORDS.length)] ?? ''

const mutations: readonly [Mutation, ...Mutation[]] = [
  (input, random) => {
    const out = Buffer.from(input)
    const at = intBelow(random, Math.max(1, input.length))
    if (at < out.length) out[at] = (out[at] ?? 0) ^ (1 << intBelow(random, 8))
    return out
  },
  (input, random) => {
    const out = Buffer.from(input)
    const at = intBelow(random, Math.max(1, input.length))
    if (at < out.length) out[at] = BYTES[intBelow(random, BYTES.length)] ?? 0
    return out
  },
  (input, random) => {
    const at = intBelow(random, input.length + 1)
    return replaced(input, at, at, Buffer.from([intBelow(random, 256)]))
  },
  (input, random) => replaced(input, ...slice(input, random), ''),
  (input, random) => {
    const [from, to] = slice(input, random)
    return replaced(input, to, to, input.subarray(from, to))
  },
  (input, random) => input.subarray(0, intBelow(random, input.length + 1)),
  (input, random, context) => {
    const at = intBelow(random, input.length + 1)
    return replaced(input, at, at, wordOf(random, context))
  },
  (input, random, context) => replaced(input, ...slice(input, random), wordOf(random, context)),
  // many of one: nesting, long texts, long lists
  (input, random, context) => {
    const at = intBelow(random, input.length + 1)
    const times = random() < 0.9 ? intBelow(random, 40) : intBelow(random, 4_000)
    return replaced(input, at, at, wordOf(random, context).repeat(times))
  },
  (input, random, { other }) => {
    const [from, to] = slice(input, random)
    return replaced(input, from, to, other.subarray(...slice(other, random)))
  },
  (input, random, { other }) =>
    Buffer.concat([
      input.subarray(0, intBelow(random, input.length + 1)),
      other.subarray(intBelow(random, other.length + 1)),
    ]),
  // a number becomes another one
  (input, random) => {
    const text = input.toString('latin1')
    const numbers = [...text.matchAll(/\d+/g)]
    const one = numbers[intBelow(random, Math.max(1, numbers.length))]
    if (!one) return input
    const other = pick(random, ['0', '-1', '1e9', '4294967296', '9007199254740992', '00', '1.5', '9'.repeat(30)])
    return replaced(input, one.index, one.index + one[0].length, other)
  },
  lines,
  structure,
  structure,
]

/** Lines moved, doubled, dropped or indented: what YAML and lists of settings are made of. */
function lines(input: Buffer, random: Random, context: Context): Buffer {
  const all = input.toString('latin1').split('\n')
  const at = intBelow(random, all.length)
  const line = all[at] ?? ''
  switch (intBelow(random, 5)) {
    case 0:
      all.splice(at, 1)
      break
    case 1:
      all.splice(intBelow(random, all.length + 1), 0, line)
      break
    case 2:
      all[at] = `${' '.repeat(1 + intBelow(random, 4))}${line}`
      break
    case 3:
      all[at] = line.trimStart()
      break
    default:
      all.splice(at, 0, Buffer.from(wordOf(random, context)).toString('latin1'))
  }
  return Buffer.from(all.join('\n'), 'latin1')
}

/** One node of one part that is JSON becomes something else. */
function structure(input: Buffer, random: Random, context: Context): Buffer {
  const parts = [...partsOf(input, 64)]
  const at = intBelow(random, parts.length)
  const changed = changedJson(parts[at] ?? input, random, context)
  if (changed === null) return input
  parts[at] = changed
  return joined(parts)
}

interface Place {
  readonly holder: Record<string, unknown>
  readonly key: string
}

function changedJson(part: Buffer, random: Random, context: Context): Buffer | null {
  const root: Record<string, unknown> = {}
  try {
    root['all'] = JSON.parse(part.toString()) as unknown
  } catch {
    return null
  }
  const places: Place[] = [{ holder: root, key: 'all' }]
  for (const { holder, key } of places) {
    const value = holder[key]
    if (typeof value !== 'object' || value === null || places.length > 5_000) continue
    const inner = value as Record<string, unknown>
    for (const name of Object.keys(inner)) places.push({ holder: inner, key: name })
  }
  const { holder, key } = places[intBelow(random, places.length)] ?? { holder: root, key: 'all' }
  const other = places[intBelow(random, places.length)]
  const value = holder[key]
  switch (intBelow(random, 8)) {
    case 0:
      Reflect.deleteProperty(holder, key)
      break
    case 1:
      define(holder, wordOf(random, context), value)
      break
    case 2:
      define(holder, key, other?.holder[other.key])
      break
    case 3:
      define(holder, key, nested(value, 1 + intBelow(random, random() < 0.9 ? 80 : 900)))
      break
    case 4:
      define(
        holder,
        key,
        Array.from({ length: intBelow(random, 30) }, () => value),
      )
      break
    case 5:
      define(holder, key, `${typeof value === 'string' ? value : ''}${wordOf(random, context)}`)
      break
    default:
      define(holder, key, ODD_VALUES[intBelow(random, ODD_VALUES.length)])
  }
  try {
    return Buffer.from(JSON.stringify(root['all']) ?? '')
  } catch {
    return null // in a circle now, or too deep to be written
  }
}

const ODD_VALUES: readonly unknown[] = [
  null,
  true,
  0,
  -1,
  1.5,
  2 ** 53,
  1e300,
  '',
  ' ',
  [],
  {},
  [null],
  'x'.repeat(2_000),
]

/** Never through a setter: `__proto__` becomes a member like any other. */
function define(holder: object, key: string, value: unknown): void {
  Object.defineProperty(holder, key, { value, enumerable: true, configurable: true, writable: true })
}

function nested(value: unknown, levels: number): unknown {
  let out = value
  for (let level = 0; level < levels; level++) out = level % 2 === 0 ? [out] : { a: out }
  return out
}

/** One to four mutations, mostly one or two; never longer than allowed. */
export function mutated(input: Buffer, random: Random, context: Context): Buffer {
  let out = input
  for (let n = 1 + Math.floor(random() * random() * 4); n > 0; n--) {
    out = pick(random, mutations)(out, random, context)
    if (out.length > context.maxBytes) out = out.subarray(0, context.maxBytes)
  }
  return out
}
