/** Why a record was set aside: a closed set, shown to operators and used as a metric label. */
export const PARK_REASONS = {
  undecodable:
    'The record is not readable Avro of a known schema, or no finding can be made of its alert. Look who else writes to the topic.',
  corrupt: 'The bytes do not match the hash that the poller wrote. Check brokers and network; sweep the tenant.',
  misplaced: 'Key, content and lane contradict each other. Look who else writes to the topic.',
  'no-version': 'Graph sent the alert without a usable update time.',
  'no-id': 'Graph sent the alert without an id.',
  'foreign-tenant': 'The alert names another tenant than the one that was polled. Treat it as a security event.',
  hostile: 'The alert breaks a bound (nesting, members, size) that no genuine alert comes near.',
  'unknown-tenant': 'No tenant record for it. Apply the tenants file; it is retried when the record arrives.',
  'off-boarded':
    'The tenant was removed while its alerts were on the way. Discard it, or bring the tenant back and retry.',
  rejected: 'The engine refused this item for good. Mend the cause at the engine, then retry.',
  'bad-item': 'The engine refused any batch that holds this item. Mend the cause at the engine, then retry.',
  'too-large': 'The engine does not take an item of this size. Raise its limit, then retry.',
  'engine-error': 'The engine kept failing on this item while it took others. Look at its log, then retry.',
} as const

export type ParkReason = keyof typeof PARK_REASONS

const DETAIL_LENGTH_MAX = 500

/** Words about a record may quote what attackers wrote: bounded, one line, no control characters. */
export function parkDetail(text: string): string {
  return text.replace(/[\p{C}\u2028\u2029]+/gu, ' ').slice(0, DETAIL_LENGTH_MAX)
}
