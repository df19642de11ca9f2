import { quote } from '../../platform/log-scrub.ts'

/**
 * A test on an alert as Graph sent it. Two forms:
 *   plain text              the bytes contain it
 *   $.path [op value]       a JSONPath-like path (`.name`, `['name']`, `[0]`, `[*]`), alone (it exists) or compared:
 *                           `=` `==` `!=` exactly, `~` contains (upper and lower case alike)
 */
export type Matcher = (alert: Buffer) => boolean

export type MatcherRead =
  | { readonly kind: 'ok'; readonly matcher: Matcher }
  | { readonly kind: 'bad'; readonly problem: string }

type Step =
  | { readonly kind: 'member'; readonly name: string }
  | { readonly kind: 'index'; readonly at: number }
  | { readonly kind: 'every' }

const STEP = /^(?:\.([A-Za-z_@][\w.@-]*?)(?=[.[\s=!~]|$)|\['([^']*)'\]|\["([^"]*)"\]|\[(\d+)\]|\[(\*)\]|\.(\*))/
const TEST = /^\s*(==|=|!=|~)\s*(.+)$/s
const VALUES_MAX = 10_000

export function readMatcher(text: string): MatcherRead {
  if (text === '') return { kind: 'bad', problem: 'an empty text matches nothing in particular' }
  if (!text.startsWith('$')) {
    const wanted = Buffer.from(text)
    return { kind: 'ok', matcher: alert => alert.includes(wanted) }
  }
  const steps: Step[] = []
  let rest = text.slice(1)
  for (let step = STEP.exec(rest); step; step = STEP.exec(rest)) {
    const [whole, plain, single, double, index, every, dotEvery] = step
    if (index !== undefined) steps.push({ kind: 'index', at: Number(index) })
    else if (every !== undefined || dotEvery !== undefined) steps.push({ kind: 'every' })
    else steps.push({ kind: 'member', name: plain ?? single ?? double ?? '' })
    rest = rest.slice(whole.length)
  }
  if (steps.length === 0) return { kind: 'bad', problem: 'after $ a path is expected, such as $.severity' }
  if (rest.trim() === '') return { kind: 'ok', matcher: onValues(steps, () => true) }
  const test = TEST.exec(rest)
  if (!test) return { kind: 'bad', problem: `${quote(rest)} is neither a path step nor =, !=, ~ with a value` }
  const [, operator, right] = test
  const wanted = unquoted((right ?? '').trim())
  switch (operator) {
    case '~':
      return {
        kind: 'ok',
        matcher: onValues(steps, value => textOf(value).toLowerCase().includes(wanted.toLowerCase())),
      }
    case '!=': {
      const equal = onValues(steps, value => textOf(value) === wanted)
      return { kind: 'ok', matcher: alert => !equal(alert) }
    }
    case '=':
    case undefined:
    default:
      return { kind: 'ok', matcher: onValues(steps, value => textOf(value) === wanted) }
  }
}

function onValues(steps: readonly Step[], holds: (value: unknown) => boolean): Matcher {
  return alert => {
    try {
      return valuesAt(JSON.parse(alert.toString()), steps).some(holds)
    } catch {
      return false // nested too deep, or no JSON: the path is not there
    }
  }
}

function valuesAt(root: unknown, steps: readonly Step[]): readonly unknown[] {
  let values: unknown[] = [root]
  for (const step of steps) {
    values = values.flatMap(value => childrenAt(value, step)).slice(0, VALUES_MAX)
  }
  return values
}

function childrenAt(value: unknown, step: Step): readonly unknown[] {
  if (typeof value !== 'object' || value === null) return []
  switch (step.kind) {
    case 'member':
      return Object.hasOwn(value, step.name) ? [(value as Record<string, unknown>)[step.name]] : []
    case 'index':
      return Array.isArray(value) && step.at < value.length ? [value[step.at] as unknown] : []
    case 'every':
      return Object.values(value)
  }
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? '')
}

function unquoted(text: string): string {
  const match = /^(?:'([^]*)'|"([^]*)")$/.exec(text)
  return match ? (match[1] ?? match[2] ?? '') : text
}
