/**
 * The known name that `given` was probably meant to be, or null: the same but for case and separators, at most two
 * slips of the finger away, or the beginning of a known name (`secret` for `secretFile`).
 */
export function nearestName(given: string, known: Iterable<string>): string | null {
  const wanted = fold(given)
  if (wanted.length < 3 || wanted.length > 64) return null
  const allowed = wanted.length < 5 ? 1 : 2
  let best: { readonly name: string; readonly slips: number } | null = null
  for (const name of known) {
    const slips = countSlips(wanted, fold(name), allowed)
    if (slips <= allowed && (best === null || slips < best.slips)) best = { name, slips }
  }
  if (best !== null) return best.name
  for (const name of known) if (wanted.length >= 4 && fold(name).startsWith(wanted)) return name
  return null
}

/** ` (did you mean …?)`, or nothing. */
export function didYouMean(given: string, known: Iterable<string>): string {
  const name = nearestName(given, known)
  return name === null ? '' : ` (did you mean ${name}?)`
}

function fold(name: string): string {
  return name.toLowerCase().replaceAll(/[-_]/g, '')
}

/** Edit distance with neighbouring letters swapped counted as one slip; anything above `limit` may come out as limit + 1. */
function countSlips(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) > limit) return limit + 1
  let beforeLast: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1]
      let cost = Math.min(at(last, j) + 1, at(row, j - 1) + 1, at(last, j - 1) + (same ? 0 : 1))
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        cost = Math.min(cost, at(beforeLast, j - 2) + 1)
      row.push(cost)
    }
    beforeLast = last
    last = row
  }
  return at(last, b.length)
}

function at(row: readonly number[], index: number): number {
  return row[index] ?? Number.POSITIVE_INFINITY
}
