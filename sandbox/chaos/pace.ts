/** Small, so that minutes show what else takes days. */
export const PACE = {
  pollIntervalSeconds: 2,
  overlapSeconds: 60,
  lookbackHours: 24,
  lanes: 12,
  backlogPerTenant: 10,
  backlogDays: 0.5,
  /** From the update of an alert until Graph lists it. */
  lagMs: 500,
  updateShare: 0.2,
  hotTenantShare: 0.1,
  hostileShare: 0.02,
  /** Everything is healed: how long what is owed may still take. */
  quietSeconds: 180,
} as const
