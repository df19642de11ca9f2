import type { GraphFault } from './faults.ts'
import { type ListQuery, type Page, skipKey, writeToken } from './list.ts'
import type { GraphState } from './state.ts'

const MAX_ISSUED_SKIPS = 100_000

/** Where a request stood, for links that follow from it. */
export interface Here {
  /** `http://` and the Host header as the client wrote it. */
  readonly origin: string
  /** Path and query as asked. */
  readonly target: string
  readonly path: string
  readonly options: URLSearchParams
}

/** The honest nextLink of a page, or null at the end. */
export function nextLink(state: GraphState, here: Here, query: ListQuery, page: Page): string | null {
  if (!page.more) return null
  const last = page.rows.at(-1)
  if (state.settings.paging === 'skip') return skipLink(state, here, page.start + page.rows.length)
  return last === undefined
    ? linkToSamePlace(state, here, page)
    : tokenLink(here, writeToken(here.options, last, query.orderBy.by))
}

/** A link to the page that was asked for just now. */
export function linkToSamePlace(state: GraphState, here: Here, page: Page): string {
  if (state.settings.paging === 'skip') return skipLink(state, here, page.start)
  return tokenLink(here, here.options.get('$skiptoken') ?? writeToken(here.options, null, 'key'))
}

function skipLink(state: GraphState, here: Here, skip: number): string {
  state.issuedSkips.add(skipKey(here.options, skip))
  if (state.issuedSkips.size > MAX_ISSUED_SKIPS) {
    const [oldest] = state.issuedSkips
    if (oldest !== undefined) state.issuedSkips.delete(oldest)
  }
  return `${here.origin}${here.path}?${encode(here.options, '$skip', String(skip))}`
}

function tokenLink(here: Here, token: string): string {
  return `${here.origin}${here.path}?${encode(here.options, '$skiptoken', token)}`
}

/** A link as only a broken or captured service would write it. */
export function brokenLink(here: Here, fault: GraphFault & { kind: 'next-link' }): string {
  const rest = `${here.path}?${encode(here.options, '$skiptoken', 'sim-trap-refused')}`
  const host = here.origin.slice('http://'.length)
  const [name = '', port = '80'] = host.split(':')
  switch (fault.variant) {
    case 'other-host':
      return `${fault.to}${rest}`
    case 'other-port':
      return `http://${name}:${Number(port) + 1}${rest}`
    case 'other-scheme':
      return `https://${host}${rest}`
    case 'other-path':
      return `${here.origin}/v1.0/users?${encode(here.options, '$skiptoken', 'sim-trap-refused')}`
    case 'alias-host':
      return `http://${name === 'localhost' ? '127.0.0.1' : 'localhost'}:${port}${rest}`
    case 'userinfo':
      return `http://${host}@graph.attacker.example${rest}`
    case 'protocol-relative':
      return `//graph.attacker.example${rest}`
    case 'relative':
      return rest
    case 'not-a-url':
      return 'http://['
    case 'self-loop':
      return `${here.origin}${here.target}`
    case 'two-cycle':
      return trapLink(here, 'cycle-a')
    case 'endless':
      return trapLink(here, 'endless-1')
    case 'refused':
      return trapLink(here, 'refused')
  }
}

/** Where a trap page leads; null for a trap that ends. */
export function trapNext(here: Here, name: string): string | null {
  if (name === 'cycle-a') return trapLink(here, 'cycle-b')
  if (name === 'cycle-b') return trapLink(here, 'cycle-a')
  const endless = /^endless-(\d+)$/.exec(name)
  return endless === null ? null : trapLink(here, `endless-${Number(endless[1]) + 1}`)
}

function trapLink(here: Here, name: string): string {
  return tokenLink(here, `sim-trap-${name}`)
}

function encode(options: URLSearchParams, positionName: string, position: string): string {
  const parts: string[] = []
  for (const [name, value] of options) {
    if (name !== '$skip' && name !== '$skiptoken') parts.push(`${name}=${encodeURIComponent(value)}`)
  }
  return [...parts, `${positionName}=${encodeURIComponent(position)}`].join('&')
}
