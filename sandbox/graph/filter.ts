import { normaliseStamp } from './stamp.ts'
import { firstIndex, type Row } from './store.ts'
import type { AlertSource } from './tenants.ts'

type Operator = 'ge' | 'gt' | 'le' | 'lt' | 'eq'

interface Clause {
  readonly on: 'key' | 'created'
  readonly operator: Operator
  /** Normalised. */
  readonly value: string
}

export type FilterReading =
  | { readonly kind: 'filter'; readonly clauses: readonly Clause[] }
  | { readonly kind: 'bad'; readonly message: string }

const FIELDS: Readonly<Record<AlertSource, Readonly<Record<string, Clause['on']>>>> = {
  alerts_v2: { lastUpdateDateTime: 'key', createdDateTime: 'created' },
  alerts: { lastModifiedDateTime: 'key', createdDateTime: 'created', eventDateTime: 'created' },
}

/** Reads `property op instant and …`; of OData's language only this is simulated, the rest is refused with words. */
export function readFilter(text: string | null, source: AlertSource): FilterReading {
  if (text === null || text.trim() === '') return { kind: 'filter', clauses: [] }
  const clauses: Clause[] = []
  for (const part of text.trim().split(/\s+and\s+/)) {
    const [property = '', operator = '', literal = '', ...rest] = part.trim().split(/\s+/)
    if (rest.length > 0 || literal === '') return bad(`Invalid filter clause: ${part}`)
    const fields = FIELDS[source]
    const on = Object.hasOwn(fields, property) ? fields[property] : undefined
    if (on === undefined) {
      const type = source === 'alerts' ? 'microsoft.graph.alert' : 'microsoft.graph.security.alert'
      return bad(
        `Could not find a property named '${property}' on type '${type}' (or the simulator does not filter by it).`,
      )
    }
    if (!isOperator(operator)) return bad(`Invalid filter clause: operator '${operator}' is not simulated.`)
    // the literal is unquoted; a quoted one is a string and does not compare with an instant
    const value = normaliseStamp(literal)
    if (value === undefined) {
      return bad(
        `Invalid filter clause: '${literal}' is not an instant; a DateTimeOffset literal is written without quotes.`,
      )
    }
    clauses.push({ on, operator, value })
  }
  return { kind: 'filter', clauses }
}

function bad(message: string): FilterReading {
  return { kind: 'bad', message }
}

function isOperator(text: string): text is Operator {
  return text === 'ge' || text === 'gt' || text === 'le' || text === 'lt' || text === 'eq'
}

/** The rows that pass, in the store's (ascending) order. */
export function applyFilter(rows: readonly Row[], clauses: readonly Clause[]): readonly Row[] {
  let from = 0
  let to = rows.length
  const others: Clause[] = []
  for (const { on, operator, value } of clauses) {
    // the store is ordered by key, so those clauses are two binary searches
    if (on === 'key' && operator === 'ge')
      from = Math.max(
        from,
        firstIndex(rows, row => row.key >= value),
      )
    else if (on === 'key' && operator === 'gt')
      from = Math.max(
        from,
        firstIndex(rows, row => row.key > value),
      )
    else if (on === 'key' && operator === 'lt')
      to = Math.min(
        to,
        firstIndex(rows, row => row.key >= value),
      )
    else if (on === 'key' && operator === 'le')
      to = Math.min(
        to,
        firstIndex(rows, row => row.key > value),
      )
    else others.push({ on, operator, value })
  }
  const ranged = rows.slice(from, Math.max(from, to))
  return others.length === 0 ? ranged : ranged.filter(row => others.every(clause => passes(row, clause)))
}

function passes(row: Row, clause: Clause): boolean {
  const have = clause.on === 'key' ? row.key : row.created
  switch (clause.operator) {
    case 'ge':
      return have >= clause.value
    case 'gt':
      return have > clause.value
    case 'le':
      return have <= clause.value
    case 'lt':
      return have < clause.value
    case 'eq':
      return have === clause.value
  }
}
