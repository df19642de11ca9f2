import type { Pending } from './publish.ts'
import { sizeOf } from './publish.ts'

/**
 * What was read of Graph while Kafka did not take it, over all tenants of a worker. A revision may be replaced before
 * its window is read again, so reading again is no substitute for it. Bounded: what has waited longest gives way, and is
 * only read again.
 */
export interface Unsent {
  /** Instead of what is kept of the tenant. Returns how many records, of whichever tenant, found no room. */
  keep(tenantId: string, pending: readonly Pending[]): number
  of(tenantId: string): readonly Pending[]
  forget(tenantId: string): void
  readonly bytes: number
}

export function createUnsent(bytesMax: number): Unsent {
  const kept = new Map<string, { readonly pending: readonly Pending[]; readonly bytes: number }>()
  let bytes = 0

  function forget(tenantId: string): void {
    bytes -= kept.get(tenantId)?.bytes ?? 0
    kept.delete(tenantId)
  }

  /** Makes room; returns how many records that cost. */
  function giveWay(needed: number): number {
    let lost = 0
    for (const [tenantId, { pending }] of kept) {
      if (bytes + needed <= bytesMax) break
      lost += pending.length
      forget(tenantId)
    }
    return lost
  }

  return {
    keep(tenantId, pending) {
      forget(tenantId)
      const size = pending.reduce((sum, each) => sum + sizeOf(each), 0)
      if (pending.length === 0) return 0
      if (size > bytesMax) return pending.length
      const lost = giveWay(size)
      kept.set(tenantId, { pending: pending.map(inMemoryOfItsOwn), bytes: size })
      bytes += size
      return lost
    },
    of: tenantId => kept.get(tenantId)?.pending ?? [],
    forget,
    get bytes() {
      return bytes
    },
  }
}

/** Encoded records share large blocks, and one that is kept would keep its block. */
function inMemoryOfItsOwn(pending: Pending): Pending {
  const { record } = pending
  return { ...pending, record: { ...record, value: record.value && Buffer.from(record.value) } }
}
