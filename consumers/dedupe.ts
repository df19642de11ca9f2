import type { Arrival } from './decode.ts'
import type { Ledger } from './ledger.ts'

export type Verdict =
  | { readonly kind: 'forward' }
  | { readonly kind: 'drop'; readonly why: 'duplicate' | 'stale' }
  /** This very record has its fate from before a crash or a rebalance; it only was not counted yet. */
  | { readonly kind: 'settled'; readonly as: 'delivered' | 'parked' }

const FORWARD: Verdict = { kind: 'forward' }
const DUPLICATE: Verdict = { kind: 'drop', why: 'duplicate' }

/**
 * Is this revision news to the engine? It marks nothing: the ledger learns of a fate after the engine's answer, so a
 * crash in between repeats an item (its id stays the same) and never loses one.
 */
export function dedupe({ name, alert, version, record }: Arrival, ledger: Ledger): Verdict {
  const toParked = ledger.relationToParked(name, version, alert.contentHash, record.offset)
  if (toParked === 'this-record') return { kind: 'settled', as: 'parked' }
  const toDelivered = ledger.relationToDelivered(name, version, alert.contentHash, record.offset)
  switch (toDelivered) {
    case 'this-record':
      return { kind: 'settled', as: 'delivered' }
    case 'same':
      return DUPLICATE
    case 'older':
      return { kind: 'drop', why: 'stale' }
    case 'other-content':
      return FORWARD
    case 'unseen':
    case 'newer':
      // a parked revision waits for an operator; polling it again does not park it again. A sweep publishes it only when
      // it lies in `parked` no more
      return toParked === 'same' && alert.origin !== 'retry' && alert.origin !== 'sweep' ? DUPLICATE : FORWARD
  }
}
