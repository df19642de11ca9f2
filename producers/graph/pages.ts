/** One page of an alert list: what is asked for, and what the answer means. */
import type { Clock, Random } from '../../platform/clock.ts'
import { fromBetween, isFromBetween } from './between.ts'
import { type AlertSource, type Endpoints, listUrl, type TenantAccess } from './clouds.ts'
import type { Exchange } from './exchange.ts'
import { graphTrouble } from './graph-errors.ts'
import { checkNextLink } from './link.ts'
import { problem, type Trouble, unavailable } from './problems.ts'
import { retryAfterMs } from './retry-after.ts'
import { type SlicedAlert, type SliceLimits, slicePage } from './slice.ts'
import type { Token } from './token-request.ts'
import { type ProviderWarning, providerWarnings } from './warnings.ts'

export type Ask =
  | {
      readonly kind: 'window'
      /** Normalised instants: `from` belongs to the window, `to` does not. */
      readonly from: string
      readonly to: string
      /** Alerts a page, 1 to 1,000; Graph may give fewer or more. */
      readonly top: number
      readonly by: 'lastUpdate' | 'created'
    }
  /** The nextLink of an earlier page of the same window. Whoever follows links keeps those seen, to notice a loop. */
  | { readonly kind: 'next'; readonly link: string }

export type PageAnswer =
  | {
      readonly kind: 'page'
      readonly alerts: readonly SlicedAlert[]
      /** As Graph wrote it, unchecked until it is asked for; null on the last page. */
      readonly nextLink: string | null
      /** Providers that are missing from this page; empty when it is complete. */
      readonly partial: readonly ProviderWarning[]
      /** Graph's Date header of this very answer. No watermark may pass it: what Graph dates later it cannot have listed. */
      readonly serverTimeMs: number | null
    }
  | Trouble

const MAX_TOP = 1_000
const TIME_MEMBER: Record<AlertSource, string> = { alerts_v2: 'lastUpdateDateTime', alerts: 'lastModifiedDateTime' }

/** The address to get, or why there is none to ask for; nothing has been sent yet. */
export function targetOf(access: TenantAccess, ask: Ask, at: Endpoints): URL | Trouble {
  if (access.source === 'alerts_v2' && !at.hasAlertsV2) {
    return problem(access, 'cloud-without-alerts', {
      words:
        'Microsoft offers no alerts_v2 in the cloud "{cloud}": {tenant} cannot be read; check the cloud in the tenants file.',
      move: 'operator',
    })
  }
  const list = listUrl(at, access.source)
  switch (ask.kind) {
    case 'next': {
      const checked = checkNextLink(ask.link, list)
      if (checked.kind === 'ok') return checked.url
      return { kind: 'split', reason: 'nextlink-refused', detail: `Graph's nextLink is refused: ${checked.why}` }
    }
    case 'window': {
      const member = ask.by === 'created' ? 'createdDateTime' : TIME_MEMBER[access.source]
      const filter = `${member} ge ${ask.from} and ${member} lt ${ask.to}`
      const top = Math.min(MAX_TOP, Math.max(1, Math.trunc(ask.top)))
      list.search = `$filter=${encodeURIComponent(filter)}&$top=${top}`
      return list
    }
  }
}

/** Not carried by a nextLink, so they go with every request. */
export function headersFor(token: Token, random: Random): Record<string, string> {
  return {
    authorization: `Bearer ${token.value}`,
    accept: 'application/json',
    'accept-encoding': 'gzip',
    // without it newer members of enumerations arrive as unknownFutureValue
    prefer: 'include-unknown-enum-members',
    'client-request-id': requestId(random),
    'user-agent': 'socos-graph-pipeline',
  }
}

/** A version 4 GUID: a name for support to find the request by, not a secret. */
function requestId(random: Random): string {
  const hex = Array.from({ length: 32 }, () => Math.floor(random() * 16).toString(16)).join('')
  const variant = '89ab'.charAt(Math.floor(random() * 4))
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20)}`
}

interface AnswerContext {
  readonly isNextLink: boolean
  readonly token: Token
  readonly dateMs: number | null
  readonly slice: SliceLimits
  readonly clock: Clock
}

export function answerFrom(
  access: TenantAccess,
  answer: Extract<Exchange, { kind: 'answer' }>,
  context: AnswerContext,
): PageAnswer {
  const { status, headers, body } = answer
  const { isNextLink, token, dateMs } = context
  if (status !== 200 && status !== 206) {
    const waitMs = retryAfterMs(headers['retry-after'], dateMs ?? context.clock.now())
    const roles = token.grant?.roles ?? null
    const isBetween = isFromBetween('graph', answer)
    return graphTrouble(access, { status, headers, retryAfterMs: waitMs, isBetween, isNextLink, roles })
  }
  if (body === 'too-large') {
    return {
      kind: 'split',
      reason: 'too-large',
      detail: `a page of more than ${context.slice.maxPageBytes} bytes`,
    }
  }
  if (body === 'undecodable') return unavailable('Graph answered in a content encoding that cannot be read')
  if (isFromBetween('graph', answer)) return fromBetween(access, 'graph', { status, retryAfterMs: null })
  const page = slicePage(body, access.source, context.slice)
  if (page.kind !== 'page') return { kind: 'split', reason: page.kind, detail: `Graph's page: ${page.why}` }
  const partial = providerWarnings(status, headers['warning'])
  return { kind: 'page', alerts: page.alerts, nextLink: page.nextLink, partial, serverTimeMs: dateMs }
}
