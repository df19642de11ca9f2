/** All chance of a world comes from its seed, in the order in which it is asked for. */
export interface Chance {
  /** In [0, 1). */
  next(): number
  /** A whole number in [from, to]. */
  between(from: number, to: number): number
  happens(share: number): boolean
  pick<T>(from: readonly [T, ...T[]]): T
}

export function chanceOf(seed: number): Chance {
  let state = Math.imul(seed ^ 0x5bd1e995, 0x9e3779b1) >>> 0
  /** mulberry32 */
  function next(): number {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
  for (let warm = 0; warm < 4; warm++) next()
  return {
    next,
    between: (from, to) => from + Math.floor(next() * (to - from + 1)),
    happens: share => next() < share,
    pick: from => from[Math.floor(next() * from.length)] ?? from[0],
  }
}
