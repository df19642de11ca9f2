import { digestOf } from './digest.ts'
import type { Digest } from './ledger-table.ts'

/** What an alert goes by. A record's is made once and asked for until its ledger record is written. */
export interface AlertName {
  readonly tenantId: string
  readonly alertId: string
  readonly key: string
  /** Of the key. */
  readonly digest: Digest
}

export function alertName(tenantId: string, alertId: string): AlertName {
  const key = alertKey(tenantId, alertId)
  return { tenantId, alertId, key, digest: digestOf(key) }
}

/** Key of an alert in topics and ledger. */
export function alertKey(tenantId: string, alertId: string): string {
  return `${tenantId}/${alertId}`
}
