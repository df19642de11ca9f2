/**
 * What was published lately of one tenant, so that the overlap of two polls is not published twice. A cache: losing it
 * costs duplicates on the log, which the forwarder drops.
 */
export interface Seen {
  /** True when this very revision was noted. */
  has(alertId: string, version: string, contentHash: Buffer): boolean
  note(alertId: string, version: string, contentHash: Buffer): void
  /** Forgets revisions before an instant that no later poll can list again. */
  forgetBefore(version: string): void
  readonly size: number
}

export function createSeen(): Seen {
  const revisions = new Map<string, string>()
  let sizeAtLastSweep = 0
  return {
    has: (alertId, version, contentHash) => revisions.get(alertId) === fingerprint(version, contentHash),
    note(alertId, version, contentHash) {
      revisions.set(alertId, fingerprint(version, contentHash))
    },
    forgetBefore(version) {
      // worth a walk only when it grew
      if (revisions.size < 64 || revisions.size < sizeAtLastSweep * 2) return
      for (const [alertId, known] of revisions) if (known < version) revisions.delete(alertId)
      sizeAtLastSweep = revisions.size
    },
    get size() {
      return revisions.size
    },
  }
}

/** Begins with the version, so it compares as the version does. */
function fingerprint(version: string, contentHash: Buffer): string {
  return version + contentHash.toString('latin1', 0, 12)
}
