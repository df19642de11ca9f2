/**
 * What was published lately of one tenant, so that the overlap of two polls is not published twice. A cache: losing it
 * costs duplicates on the log, which the forwarder drops.
 */
export interface Seen {
  /** True when this very revision was noted: the same version with the same content. */
  has(alertId: string, version: string, contentHash: Buffer): boolean
  /** `at`: the instant it is remembered by, where the version is none. */
  note(alertId: string, version: string, contentHash: Buffer, at?: string): void
  /** Forgets revisions before an instant that no later poll can list again. */
  forgetBefore(version: string): void
  readonly size: number
}

export function createSeen(): Seen {
  // every revision on its own: a list that shows two contents of one alert in turns is published twice, not for ever
  const revisions = new Map<string, string>()
  let sizeAtLastSweep = 0
  return {
    has: (alertId, version, contentHash) => revisions.has(keyOf(alertId, version, contentHash)),
    note(alertId, version, contentHash, at = version) {
      revisions.set(keyOf(alertId, version, contentHash), at)
    },
    forgetBefore(version) {
      // worth a walk only when it grew
      if (revisions.size < 64 || revisions.size < sizeAtLastSweep * 2) return
      for (const [key, at] of revisions) if (at < version) revisions.delete(key)
      sizeAtLastSweep = revisions.size
    },
    get size() {
      return revisions.size
    },
  }
}

/** Whatever stands in an id: it comes last, after texts of known width. */
function keyOf(alertId: string, version: string, contentHash: Buffer): string {
  return `${contentHash.toString('latin1', 0, 12)}${version}/${alertId}`
}
