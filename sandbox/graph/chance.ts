import type { Random } from '../../platform/clock.ts'

/** Repeatable chance: the same seed gives the same numbers on every machine (mulberry32, 32 bits of state). */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** A seed for one thing among many, so that neighbours do not share a sequence. */
export function subSeed(seed: number, ...parts: readonly number[]): number {
  let mixed = seed >>> 0
  for (const part of parts) {
    mixed = Math.imul(mixed ^ (part >>> 0) ^ 0x9e3779b9, 0x85ebca6b) >>> 0
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35) >>> 0
    mixed = (mixed ^ (mixed >>> 16)) >>> 0
  }
  return mixed
}

/** A whole number in [0, below). */
export function intBelow(random: Random, below: number): number {
  return Math.floor(random() * below)
}

export function pick<const List extends readonly [unknown, ...unknown[]]>(random: Random, choices: List): List[number] {
  return choices[intBelow(random, choices.length)]
}

const HEX_PAIRS = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

export function hex(random: Random, digits: number): string {
  let text = ''
  while (text.length < digits) {
    const bits = intBelow(random, 2 ** 24)
    text += `${HEX_PAIRS[bits >>> 16]}${HEX_PAIRS[(bits >>> 8) & 255]}${HEX_PAIRS[bits & 255]}`
  }
  return text.slice(0, digits)
}

export function guid(random: Random): string {
  const h = hex(random, 32)
  return `${h.slice(0, 8)}-${h.slice(8, 12)}-4${h.slice(13, 16)}-a${h.slice(17, 20)}-${h.slice(20)}`
}

/** Fisher-Yates in place. */
export function shuffle<T>(random: Random, list: T[]): T[] {
  for (let last = list.length - 1; last > 0; last--) {
    const other = intBelow(random, last + 1)
    const swapped = list[last] as T
    list[last] = list[other] as T
    list[other] = swapped
  }
  return list
}
