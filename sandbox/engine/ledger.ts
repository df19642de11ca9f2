/**
 * What the engine was sent and what it said. Plain data, the same in-process and as JSON from `/_sim/ledger`; times are
 * host milliseconds, as in the Graph simulator's ledger.
 */
export interface EngineLedger {
  readonly requests: EngineRequest[]
  /** One for each time an item came, in the order of arrival. */
  readonly items: EngineItem[]
  readonly counters: EngineCounters
}

interface EngineRequest {
  readonly atMs: number
  /** 0 when no status line was sent. */
  readonly status: number
  readonly items: number
  /** As sent, and uncompressed. */
  readonly wireBytes: number
  readonly bytes: number
  readonly encoding: string
  /** Kind of the fault that shaped the answer. */
  readonly fault: string | null
  /** Place of the bearer token among those that are good, which tells senders apart; -1: none was looked at, or none is good. */
  readonly sender: number
}

export interface EngineItem {
  /** Index into `requests`, counted from the first request of all. */
  readonly request: number
  readonly id: string
  /** Lower case. */
  readonly tenantId: string
  /** The tenant member: id, name and what the forwarder enriched it with. */
  readonly tenant: Readonly<Record<string, unknown>>
  readonly alertId: string
  readonly version: string
  readonly source: string
  /** Of the bytes of `alert` as they stood in the body, lower-case hex. */
  readonly sha256: string
  readonly atMs: number
  /** Per-item status given, or that of the whole request when it was refused as one. */
  readonly status: number
  /** The engine has it from now on. */
  readonly accepted: boolean
  /** Accepted although an item of this id had been accepted before. */
  readonly repeat: boolean
  /** An older version than one the engine has accepted for the same alert. */
  readonly stale: boolean
  /** Carries the replay marker. */
  readonly replay: boolean
  /** False when the sender cannot know its status: the answer was withheld, broken, or left the item out. */
  answered: boolean
}

export interface EngineCounters {
  requests: number
  items: number
  accepted: number
  repeats: number
  /** Live items that were older than what the engine had; must stay 0. */
  staleAfterNew: number
  /** The same among replayed items, where it is to be expected. */
  staleReplays: number
  /** Items that lack a member or have one of the wrong form. */
  invalid: number
  /** Ids that changed for the same revision, or were used for two. */
  unstableIds: number
  bytes: number
}

export function emptyEngineLedger(): EngineLedger {
  return { requests: [], items: [], counters: zeroCounters() }
}

function zeroCounters(): EngineCounters {
  return {
    requests: 0,
    items: 0,
    accepted: 0,
    repeats: 0,
    staleAfterNew: 0,
    staleReplays: 0,
    invalid: 0,
    unstableIds: 0,
    bytes: 0,
  }
}

/** Empties it in place: whoever holds it sees the new state. */
export function clearLedger(ledger: EngineLedger): void {
  ledger.requests.length = 0
  ledger.items.length = 0
  Object.assign(ledger.counters, zeroCounters())
}
