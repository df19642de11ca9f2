/** How punctually tenants are polled, as seen from Graph's side. */
export interface Pace {
  readonly polls: number
  /** Tenants that were never polled, since the stand-in started. */
  readonly silent: number
  /** Fewest polls of a tenant since the watch began. */
  readonly leastPolls: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
}

export interface PaceWatch {
  polled(tenant: number, nowMs: number): void
  /** Begins anew; when each tenant was polled last stays known. */
  restart(): void
  read(nowMs: number): Pace
}

/** Lateness is what lies between two polls of a tenant beyond the interval; one that has not come yet is late until now. */
export function paceWatch(tenants: number, intervalMs: number): PaceWatch {
  const lastMs = new Float64Array(tenants)
  const polls = new Uint32Array(tenants)
  let lateMs: number[] = []
  return {
    polled(tenant, nowMs) {
      const before = lastMs[tenant] ?? 0
      if (before > 0) lateMs.push(Math.max(0, nowMs - before - intervalMs))
      lastMs[tenant] = nowMs
      polls[tenant] = (polls[tenant] ?? 0) + 1
    },
    restart() {
      lateMs = []
      polls.fill(0)
    },
    read(nowMs) {
      const due = [...lastMs].filter(last => last > 0 && nowMs - last > intervalMs)
      const sorted = Float64Array.from([...lateMs, ...due.map(last => nowMs - last - intervalMs)]).toSorted()
      return {
        polls: polls.reduce((sum, count) => sum + count, 0),
        silent: lastMs.filter(last => last === 0).length,
        leastPolls: polls.reduce((least, count) => Math.min(least, count), Infinity),
        p50Ms: quantile(sorted, 0.5),
        p99Ms: quantile(sorted, 0.99),
        maxMs: quantile(sorted, 1),
      }
    },
  }
}

/** Of sorted values; the smallest one that the share does not exceed. */
export function quantile(sorted: ArrayLike<number>, share: number): number {
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? 0
}
