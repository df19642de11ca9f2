/**
 * What the simulator knows to be true: every revision and when it could be read, every request and what it got.
 * Plain data, the same in-process and as JSON from `/_sim/ledger`. Times are host milliseconds, never the simulator's
 * own (skewed) clock, so that they compare with the engine's.
 */
export interface GraphLedger {
  readonly revisions: LedgerRevision[]
  /** The newest requests; older ones are dropped past the limit and only counted. */
  readonly requests: LedgerRequest[]
  readonly counters: { requestsDropped: number; alertsServed: number; bytesServed: number }
  readonly tenants: Record<string, TenantCounters>
}

export interface LedgerRevision {
  readonly tenantId: string
  /** As JSON.parse reads it (the last member of that name); null when there is none to use. */
  readonly alertId: string | null
  /** The update time as it stands in the bytes. */
  readonly versionText: string | null
  /** The same in UTC with 7 fraction digits. */
  readonly version: string | null
  /** Of the bytes served, lower-case hex. */
  readonly sha256: string
  readonly bytes: number
  readonly createdAtMs: number
  readonly visibleAtMs: number
  /** When the next revision took its place. */
  visibleUntilMs: number | null
  /** When a question that covers it was first answered well; it may stand on a later page of the answer. */
  askedAtMs: number | null
  /** What the pipeline owes it: `park` has no usable id or time, `quarantine` names another tenant. */
  readonly fate: 'deliver' | 'park' | 'quarantine'
}

interface LedgerRequest {
  readonly atMs: number
  /** From the token or the token path; null when neither names a tenant of the simulator. */
  readonly tenantId: string | null
  readonly kind: 'list' | 'token' | 'other'
  readonly method: string
  /** Path without the query. */
  readonly path: string
  readonly filter: string | null
  readonly top: number | null
  /** True for a request with $skip or $skiptoken. */
  readonly followUp: boolean
  /** 0 when no status line was sent. */
  readonly status: number
  readonly rows: number
  /** Kind of the fault that shaped the answer. */
  readonly fault: string | null
  /** List requests of this tenant in the 60 s up to and with this one. */
  readonly requestsInLastMinute: number
}

interface TenantCounters {
  listRequests: number
  tokenRequests: number
  /** Anything but GET outside the token endpoint. */
  nonGetRequests: number
  maxRequestsPerMinute: number
  /** Refused by the simulator's own limiter, not by an injected fault. */
  overLimit: number
}

const MINUTE_MS = 60_000

export function emptyGraphLedger(): GraphLedger {
  // null prototype: tenant ids come from requests
  const tenants = Object.create(null) as Record<string, TenantCounters>
  return { revisions: [], requests: [], counters: { requestsDropped: 0, alertsServed: 0, bytesServed: 0 }, tenants }
}

export interface RequestBook {
  countersOf(tenantId: string): TenantCounters
  /** Counts a list request of a tenant and returns how many it made in the last minute, this one included. */
  countListRequest(tenantId: string, nowMs: number): number
  /** When, at the earliest, fewer than `limit` requests lie in the last minute. */
  freeAtMs(tenantId: string, limit: number): number
  note(request: LedgerRequest): void
}

export function openRequestBook(ledger: GraphLedger, maxRequests: number): RequestBook {
  const lastMinute = new Map<string, number[]>()
  return {
    countersOf: tenantId => countersOf(ledger, tenantId),
    countListRequest: (tenantId, nowMs) => {
      const times = lastMinute.get(tenantId) ?? []
      lastMinute.set(tenantId, times)
      while (times[0] !== undefined && times[0] <= nowMs - MINUTE_MS) times.shift()
      times.push(nowMs)
      const counters = countersOf(ledger, tenantId)
      counters.listRequests++
      counters.maxRequestsPerMinute = Math.max(counters.maxRequestsPerMinute, times.length)
      return times.length
    },
    freeAtMs: (tenantId, limit) => {
      const times = lastMinute.get(tenantId) ?? []
      return (times.at(-limit) ?? -Infinity) + MINUTE_MS
    },
    note: request => {
      if (ledger.requests.length >= maxRequests) {
        ledger.counters.requestsDropped += ledger.requests.splice(0, Math.ceil(maxRequests / 10)).length
      }
      ledger.requests.push(request)
    },
  }
}

function countersOf(ledger: GraphLedger, tenantId: string): TenantCounters {
  return (ledger.tenants[tenantId] ??= {
    listRequests: 0,
    tokenRequests: 0,
    nonGetRequests: 0,
    maxRequestsPerMinute: 0,
    overLimit: 0,
  })
}
