import type { EngineLedger } from '../engine/ledger.ts'
import type { GraphLedger } from '../graph/ledger.ts'
import type { Worker } from '../crew.ts'

/** What the progress shows while the run goes on. Cheap and about right; the proof is made from the whole ledgers. */
export interface Figures {
  /** Revisions that can be read, of tenants that let us read. */
  readonly visible: number
  readonly published: number
  /** Of the visible ones. */
  readonly delivered: number
  /** Not delivered and not replaced by a newer revision. */
  readonly onTheWay: number
  /** Median of the latest deliveries; null before the first. */
  readonly latencyMs: number | null
  readonly workers: readonly WorkerFigures[]
}

interface WorkerFigures {
  readonly name: string
  /** Null when it did not answer. */
  readonly rssMiB: number | null
}

const latest = 200
const scrapeTimeoutMs = 2_000

export interface Tally {
  read(): Pick<Figures, 'visible' | 'delivered' | 'onTheWay' | 'latencyMs'>
}

/** Follows both ledgers as they grow and looks at each entry once. */
export function openTally(
  graph: Pick<GraphLedger, 'revisions'>,
  engine: Pick<EngineLedger, 'items'>,
  options: {
    readonly exceptTenants: ReadonlySet<string>
    /** Latency is taken of what became visible from then on. */
    readonly latencySinceMs: () => number
    readonly now: () => number
  },
): Tally {
  const open = new Map<string, GraphLedger['revisions'][number]>()
  const latencies: number[] = []
  let revisionsRead = 0
  let itemsRead = 0
  let owed = 0
  let delivered = 0

  return {
    read() {
      for (; revisionsRead < graph.revisions.length; revisionsRead++) {
        const revision = graph.revisions[revisionsRead]
        if (revision?.fate !== 'deliver' || options.exceptTenants.has(revision.tenantId)) continue
        owed++
        open.set(keyOf(revision), revision)
      }
      for (; itemsRead < engine.items.length; itemsRead++) {
        const item = engine.items[itemsRead]
        if (!item?.accepted || item.replay) continue
        const revision = open.get(keyOf(item))
        if (revision === undefined) continue
        open.delete(keyOf(item))
        delivered++
        if (revision.visibleAtMs < options.latencySinceMs()) continue
        latencies.push(Math.max(0, item.atMs - revision.visibleAtMs))
      }
      latencies.splice(0, latencies.length - latest)
      const nowMs = options.now()
      let hidden = 0
      let onTheWay = 0
      for (const { visibleAtMs, visibleUntilMs } of open.values()) {
        if (visibleAtMs > nowMs) hidden++
        else if (visibleUntilMs === null || visibleUntilMs > nowMs) onTheWay++
      }
      const median = latencies.toSorted((a, b) => a - b)[latencies.length >> 1]
      return { visible: owed - hidden, delivered, onTheWay, latencyMs: median ?? null }
    },
  }
}

function keyOf(of: {
  readonly tenantId: string
  readonly alertId: string | null
  readonly version: string | null
  readonly sha256: string
}): string {
  return `${of.sha256} ${of.tenantId} ${of.version} ${of.alertId}`
}

/** Asks every worker for its metrics. A worker that does not answer counts with what it said last. */
export function openScraper(workers: () => readonly Worker[]): () => Promise<Pick<Figures, 'published' | 'workers'>> {
  const published = new Map<string, number>()
  return async () => {
    const scraped = await Promise.all(
      workers().map(async ({ name, url }) => {
        const text = await scrape(url)
        if (text === null) return { name, rssMiB: null }
        published.set(name, sumOf(text, 'socos_alerts_published_total'))
        return { name, rssMiB: Math.round(sumOf(text, 'socos_process_resident_memory_bytes') / 1_048_576) }
      }),
    )
    return { published: [...published.values()].reduce((sum, one) => sum + one, 0), workers: scraped }
  }
}

export async function scrape(url: string): Promise<string | null> {
  try {
    const response = await fetch(`${url}/metrics`, { signal: AbortSignal.timeout(scrapeTimeoutMs) })
    return response.ok ? await response.text() : null
  } catch {
    return null
  }
}

/** Sum of a metric over its labels in Prometheus' text form. */
export function sumOf(text: string, metric: string): number {
  let sum = 0
  for (const line of text.split('\n')) {
    if (!line.startsWith(metric)) continue
    const value = /^(?:\{.*\})? (\S+)/.exec(line.slice(metric.length))?.[1]
    if (value !== undefined) sum += Number(value)
  }
  return sum
}
