import { hash } from 'node:crypto'
import { applyFilter, readFilter } from './filter.ts'
import { firstIndex, type Row } from './store.ts'
import type { AlertSource } from './tenants.ts'

/** What a list request asks for, after Graph's checks of its options. */
export interface ListQuery {
  readonly source: AlertSource
  readonly filter: string | null
  readonly top: number | null
  readonly count: boolean
  readonly orderBy: { readonly by: 'key' | 'created'; readonly ascending: boolean }
  readonly orderByText: string | null
  readonly position: Position
  /** The rows the filter lets through, ascending by key, as of now. */
  readonly matching: readonly Row[]
}

/** Where in the list a page begins. */
type Position =
  | { readonly kind: 'start' }
  | { readonly kind: 'skip'; readonly rows: number }
  | { readonly kind: 'after'; readonly key: string; readonly seq: number }
  /** A token that a faulty nextLink carries: `loop`, `cycle-b`, `endless-7`, `refused`. */
  | { readonly kind: 'trap'; readonly name: string }

export type QueryReading =
  | { readonly kind: 'query'; readonly query: ListQuery }
  | { readonly kind: 'bad'; readonly message: string }

const MAX_TOP = 1000
const MAX_SKIP = 500
const KNOWN_OPTIONS = new Set(['$filter', '$top', '$skip', '$skiptoken', '$count', '$orderby', '$select'])

/** `issuedSkips` holds the $skip links the simulator made itself: those may go deeper than a client's own. */
export function readQuery(
  source: AlertSource,
  options: URLSearchParams,
  rows: readonly Row[],
  issuedSkips: ReadonlySet<string>,
): QueryReading {
  for (const name of options.keys()) {
    if (name.startsWith('$') && !KNOWN_OPTIONS.has(name)) return bad(`Query option '${name}' is not supported.`)
  }
  const filterText = options.get('$filter')
  const filter = readFilter(filterText, source)
  if (filter.kind === 'bad') return filter
  const top = readCount(options, '$top')
  if (top === undefined || top === 0) {
    return bad(`Invalid page size specified: '${options.get('$top')}'. Must be between 1 and ${MAX_TOP} inclusive.`)
  }
  const orderBy = readOrderBy(options.get('$orderby'), source)
  if (orderBy === undefined) return bad(`The query option '$orderby' cannot be ${options.get('$orderby')}.`)
  const position = readPosition(options, issuedSkips)
  if (typeof position === 'string') return bad(position)
  const query: ListQuery = {
    source,
    filter: filterText,
    top: top === null ? null : Math.min(top, MAX_TOP),
    count: options.get('$count') === 'true',
    orderBy,
    orderByText: options.get('$orderby'),
    position,
    matching: applyFilter(rows, filter.clauses),
  }
  return { kind: 'query', query }
}

function bad(message: string): { readonly kind: 'bad'; readonly message: string } {
  return { kind: 'bad', message }
}

/** null when absent, undefined when it is not a whole number. */
function readCount(options: URLSearchParams, name: string): number | null | undefined {
  const text = options.get(name)
  if (text === null) return null
  return /^\d{1,9}$/.test(text) ? Number(text) : undefined
}

function readOrderBy(text: string | null, source: AlertSource): ListQuery['orderBy'] | undefined {
  // the service lists the newest first when nothing is said
  if (text === null) return { by: 'key', ascending: false }
  const [property = '', direction = 'asc', ...rest] = text.trim().split(/\s+/)
  const updateTime = source === 'alerts' ? 'lastModifiedDateTime' : 'lastUpdateDateTime'
  if (rest.length > 0 || (direction !== 'asc' && direction !== 'desc')) return undefined
  if (property !== updateTime && property !== 'createdDateTime') return undefined
  return { by: property === updateTime ? 'key' : 'created', ascending: direction === 'asc' }
}

function readPosition(options: URLSearchParams, issuedSkips: ReadonlySet<string>): Position | string {
  const token = options.get('$skiptoken')
  if (token !== null) {
    const trap = /^sim-trap-([a-z0-9-]+)$/.exec(token)
    if (trap !== null) return { kind: 'trap', name: trap[1] ?? '' }
    return readToken(token, bindingOf(options)) ?? 'The skiptoken is invalid or belongs to another query.'
  }
  const skip = readCount(options, '$skip')
  if (skip === undefined) return `Invalid value '${options.get('$skip')}' for $skip query option found.`
  if (skip === null) return { kind: 'start' }
  if (skip > MAX_SKIP && !issuedSkips.has(skipKey(options, skip))) {
    return `The limit of '${MAX_SKIP}' for $skip query has been exceeded.`
  }
  return { kind: 'skip', rows: skip }
}

/** A continuation is only good for the query it was made for. */
function bindingOf(options: URLSearchParams): string {
  const text = JSON.stringify([options.get('$filter'), options.get('$orderby')])
  return hash('sha256', text, 'base64url').slice(0, 8)
}

export function skipKey(options: URLSearchParams, skip: number): string {
  return `${bindingOf(options)}/${skip}`
}

function readToken(token: string, binding: string): Position | undefined {
  try {
    const content: unknown = JSON.parse(Buffer.from(token, 'base64url').toString())
    if (!Array.isArray(content) || content[0] !== binding) return undefined
    const [, key, seq] = content as unknown[]
    if (key === null) return { kind: 'start' }
    return typeof key === 'string' && typeof seq === 'number' ? { kind: 'after', key, seq } : undefined
  } catch {
    return undefined
  }
}

/** A token for what follows `row`; null for the beginning. */
export function writeToken(options: URLSearchParams, row: Row | null, by: 'key' | 'created'): string {
  const place = row === null ? [null, 0] : [row[by], row.seq]
  return Buffer.from(JSON.stringify([bindingOf(options), ...place])).toString('base64url')
}

export interface Page {
  readonly rows: readonly Row[]
  /** Rows before this page, counted in the live list. */
  readonly start: number
  readonly more: boolean
}

/** Cuts the page out of the live list. */
export function cutPage(query: ListQuery, pageSize: number): Page {
  const size = Math.min(query.top ?? pageSize, pageSize)
  const { position, matching } = query
  const { by, ascending } = query.orderBy
  const ordered = by === 'key' ? matching : matching.toSorted(byCreated)
  const length = ordered.length
  const start =
    position.kind === 'skip' ? position.rows : position.kind === 'after' ? rowsUpTo(ordered, position, query) : 0
  const rows: Row[] = []
  for (let place = start; place < length && rows.length < size; place++) {
    const row = ordered[ascending ? place : length - 1 - place]
    if (row !== undefined) rows.push(row)
  }
  return { rows, start, more: start + rows.length < length }
}

function byCreated(a: Row, b: Row): number {
  if (a.created !== b.created) return a.created < b.created ? -1 : 1
  return a.seq - b.seq
}

/** How many rows, in the order of the answer, lie up to and with the place a token names. */
function rowsUpTo(
  ordered: readonly Row[],
  place: { readonly key: string; readonly seq: number },
  query: ListQuery,
): number {
  const { by, ascending } = query.orderBy
  const before = firstIndex(ordered, row => {
    if (row[by] !== place.key) return row[by] > place.key
    return ascending ? row.seq > place.seq : row.seq >= place.seq
  })
  return ascending ? before : ordered.length - before
}
