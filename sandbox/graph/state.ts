import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { Random } from '../../platform/clock.ts'
import { type Answer, jsonAnswer } from './answer.ts'
import type { TokenDesk } from './entra.ts'
import type { GraphFaults } from './faults.ts'
import type { GraphLedger, RequestBook } from './ledger.ts'
import type { Maker } from './maker.ts'
import type { AlertStore } from './store.ts'
import type { SimTenant } from './tenants.ts'

interface GraphSettings {
  /** Largest and default number of rows on a page. */
  readonly pageSize: number
  /** How nextLink goes on: an opaque key-set token, or a count of rows in the list as it then is. */
  readonly paging: 'skiptoken' | 'skip'
  /** List requests a minute for one tenant before 429; Graph's own figure is 150. */
  readonly limitPerMinute: number
  readonly tokenLifetimeSeconds: number
}

/** One simulated directory and its alerts. */
export interface Directory {
  readonly tenant: SimTenant
  readonly store: AlertStore
  readonly maker: Maker
}

/** All that the request handlers share. */
export interface GraphState {
  readonly settings: GraphSettings
  readonly ledger: GraphLedger
  readonly book: RequestBook
  readonly faults: GraphFaults
  readonly desk: TokenDesk
  readonly random: Random
  readonly directories: Map<string, Directory>
  /** $skip links handed out. */
  readonly issuedSkips: Set<string>
  /** Host time. */
  readonly now: () => number
  /** The simulator's own clock minus host time. */
  skewMs: number
  /** How long a new revision stays invisible. */
  lagMs: number
}

export function simNow(state: GraphState): number {
  return state.now() + state.skewMs
}

/** Graph's error body. */
export function graphError(
  state: GraphState,
  request: IncomingMessage,
  status: number,
  code: string,
  message: string,
  headers: Record<string, string> = {},
): Answer {
  const requestId = randomUUID()
  const sent = request.headers['client-request-id']
  const innerError = {
    date: new Date(simNow(state)).toISOString().slice(0, 19),
    'request-id': requestId,
    'client-request-id': typeof sent === 'string' && /^[\w-]{1,64}$/.test(sent) ? sent : requestId,
  }
  return jsonAnswer(status, { error: { code, message, innerError } }, headers)
}
