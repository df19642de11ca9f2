/**
 * One tenant's alert list as Graph keeps it, moved by a clock turned by hand: what was updated when (100 ns), from when
 * on each revision shows, who stands in which page. Paging is by `$skip` over what stands there now, so a row that
 * moves while pages are read hides another one.
 */
import type { Clock } from '../../../platform/clock.ts'
import type { Graph, PageAnswer } from '../../../producers/graph/client.ts'
import type { Ask } from '../../../producers/graph/pages.ts'
import type { Trouble } from '../../../producers/graph/problems.ts'
import type { SlicedAlert } from '../../../producers/graph/slice.ts'
import { fromTicks } from '../../../producers/window.ts'

interface Change {
  readonly alert: string
  /** Of the update, in Graph's time. */
  readonly atMs: number
  /** 100 ns within that millisecond. */
  readonly tick?: number
  /** Until the list shows it. */
  readonly delayMs?: number
  readonly provider?: string
  /** A page that holds it cannot be read before then. */
  readonly poisonUntilMs?: number
}

export interface Revision {
  readonly id: string
  readonly version: string
  readonly visibleMs: number
  readonly provider: string
  readonly poisonUntilMs: number
  readonly row: SlicedAlert
}

export type Fault =
  | Extract<PageAnswer, { kind: 'throttled' | 'unavailable' }>
  | Extract<PageAnswer, { kind: 'split' }>
  /** The page is there, its nextLink leads back to itself. */
  | { readonly kind: 'loop' }

export interface GraphScript {
  /** Rows of a page, whatever `$top` asks for. */
  readonly pageRows?: number
  readonly order?: 'oldest' | 'newest' | 'id'
  /** Graph's clock against ours. */
  readonly skewMs?: number
  /** Of each request in turn, from the start again when they are used up. */
  readonly latenciesMs?: readonly number[]
  /** From request `at` on, for so many requests. */
  readonly faults?: readonly { readonly at: number; readonly count: number; readonly fault: Fault }[]
  /** An alert that is updated after request `at` came and before it is answered, counted from `movesFromMs` on. */
  readonly moves?: readonly { readonly at: number; readonly alert: string }[]
  readonly movesFromMs?: number
  /** From then on no request meets a fault or a move. */
  readonly calmAfterMs?: number
  /** The pause that is meant is not said: what a client that drops it would do. */
  readonly hidesPauses?: boolean
  /** Spans in which nothing is answered, somebody has to act, or one provider is missing. Times count from the start. */
  readonly spans?: readonly {
    readonly fromMs: number
    readonly untilMs: number
    readonly what: 'unavailable' | 'needs-attention' | { readonly silent: string }
  }[]
}

export interface GraphModel {
  readonly revisions: readonly Revision[]
  readonly requests: readonly number[]
  /** Revisions that took the place of an older one, by the time at which they did. */
  readonly movesMs: readonly number[]
  /** What a client may not do, in words. */
  readonly violations: readonly string[]
  change(change: Change): void
  /** Of all revisions that show now, the newest of each alert. */
  current(): readonly Revision[]
  /** From when until when the list shows it; null when a newer one was always in front. */
  standing(revision: Revision): { readonly fromMs: number; readonly untilMs: number } | null
  now: Graph['now']
  /** `from`: who asks. Another owner cannot know what pause the one before was asked for, so it may ask once. */
  page(from: string, ask: Ask, signal: AbortSignal): Promise<PageAnswer>
}

const LINK = 'https://graph.example/next?'
const REQUESTS_PER_MINUTE_MAX = 150

export function graphModel(clock: Clock, access: { readonly tenantId: string }, script: GraphScript): GraphModel {
  const { pageRows = 1_000, order = 'oldest', skewMs = 0, latenciesMs = [20], calmAfterMs = Infinity } = script
  const startMs = clock.now()
  const alerts = new Map<string, Revision[]>()
  const revisions: Revision[] = []
  const requests: number[] = []
  const movesMs: number[] = []
  const violations: string[] = []
  const quietUntilMs = new Map<string, number>()

  const graphMs = (): number => clock.now() + skewMs

  function change({ alert, atMs, tick = 0, delayMs = 0, provider = 'one', poisonUntilMs = 0 }: Change): void {
    const version = fromTicks(BigInt(Math.floor(atMs)) * 10_000n + BigInt(tick))
    const mine = alerts.get(alert) ?? []
    if (mine.some(other => other.version === version)) return
    const visibleMs = Math.floor(atMs) + 1 + delayMs
    const bytes = Buffer.from(JSON.stringify({ id: alert, tenantId: access.tenantId, lastUpdateDateTime: version }))
    const row: SlicedAlert = {
      kind: 'alert',
      id: alert,
      bytes,
      tenantId: access.tenantId,
      lastUpdate: version.replace(/0+Z$/, 'Z').replace(/\.Z$/, 'Z'),
      lastModified: null,
      created: null,
      severity: 'high',
      status: 'new',
      serviceSource: null,
      title: null,
    }
    const revision = { id: alert, version, visibleMs, provider, poisonUntilMs, row }
    mine.push(revision)
    alerts.set(alert, mine)
    revisions.push(revision)
    const span = standing(revision)
    if (span && mine.some(other => other.visibleMs < span.fromMs)) movesMs.push(span.fromMs)
  }

  function standing(revision: Revision): { fromMs: number; untilMs: number } | null {
    const newer = (alerts.get(revision.id) ?? []).filter(({ version }) => version > revision.version)
    const untilMs = Math.min(...newer.map(({ visibleMs }) => visibleMs))
    return revision.visibleMs < untilMs ? { fromMs: revision.visibleMs, untilMs } : null
  }

  function current(): Revision[] {
    const nowMs = graphMs()
    return [...alerts.values()].flatMap(mine =>
      mine
        .filter(({ visibleMs }) => visibleMs <= nowMs)
        .toSorted(byVersion)
        .slice(-1),
    )
  }

  function spanNow(): (typeof spans)[number]['what'] | null {
    const sinceMs = clock.now() - startMs
    return spans.find(({ fromMs, untilMs }) => fromMs <= sinceMs && sinceMs < untilMs)?.what ?? null
  }
  const spans = script.spans ?? []

  function pauseAsked(from: string, answer: Trouble): Trouble {
    if ('retryAfterMs' in answer && answer.retryAfterMs !== null) {
      quietUntilMs.set(from, clock.now() + answer.retryAfterMs)
      if (script.hidesPauses) return { ...answer, retryAfterMs: null }
    }
    return answer
  }

  function asked(from: string): number {
    const nowMs = clock.now()
    const earlyMs = (quietUntilMs.get(from) ?? 0) - nowMs
    if (earlyMs > 0) violations.push(`request ${requests.length} came ${earlyMs} ms too early`)
    const lastMinute = requests.filter(atMs => atMs > nowMs - 60_000).length + 1
    if (lastMinute > REQUESTS_PER_MINUTE_MAX) violations.push(`${lastMinute} requests in 60 s`)
    return requests.push(nowMs) - 1
  }

  function troubleNow(): Trouble | null {
    const what = spanNow()
    if (what === 'unavailable') return { kind: 'unavailable', retryAfterMs: null, detail: 'status 503' }
    if (what === 'needs-attention')
      return { kind: 'needs-attention', problem: { code: 'graph-403', words: 'consent', move: 'customer', page: null } }
    return null
  }

  function rowsOf(from: string, to: string): Revision[] {
    const rows = current().filter(({ version }) => from <= version && version < to)
    if (order === 'id') return rows.toSorted((a, b) => (a.id < b.id ? -1 : 1))
    return order === 'oldest' ? rows.toSorted(byVersion) : rows.toSorted(byVersion).toReversed()
  }

  return {
    revisions,
    requests,
    movesMs,
    violations,
    change,
    current,
    standing,
    async now() {
      await clock.sleep(1)
      return troubleNow() ?? { kind: 'time', epochMs: Math.floor(graphMs() / 1_000) * 1_000 }
    },
    async page(from, ask, signal) {
      signal.throwIfAborted()
      const request = asked(from)
      await clock.sleep(latenciesMs[request % latenciesMs.length] ?? 20, signal)
      const isCalm = clock.now() - startMs >= calmAfterMs
      for (const move of script.moves ?? []) {
        if (isCalm || move.at !== request - requests.findIndex(ms => ms >= startMs + (script.movesFromMs ?? 0)))
          continue
        change({ alert: move.alert, atMs: graphMs() - 1, tick: request % 10_000 })
      }
      const trouble = troubleNow()
      if (trouble) return pauseAsked(from, trouble)
      const fault = isCalm
        ? undefined
        : script.faults?.find(({ at, count }) => at <= request && request < at + count)?.fault
      if (fault && fault.kind !== 'loop') return pauseAsked(from, fault)
      const link = ask.kind === 'next' ? ask.link : `${LINK}${JSON.stringify([ask.from, ask.to, ask.top, 0])}`
      const [start, end, top, skip] = JSON.parse(link.slice(LINK.length)) as [string, string, number, number]
      const what = spanNow()
      const silent = what !== null && typeof what === 'object' ? what.silent : null
      const rows = rowsOf(start, end).filter(({ provider }) => provider !== silent)
      const size = Math.min(top, pageRows)
      const page = rows.slice(skip, skip + size)
      if (page.some(({ poisonUntilMs }) => graphMs() < poisonUntilMs)) {
        return { kind: 'split', reason: 'unreadable', detail: 'the body is not one valid JSON object' }
      }
      const next = skip + size < rows.length ? `${LINK}${JSON.stringify([start, end, top, skip + size])}` : null
      return {
        kind: 'page',
        alerts: page.map(({ row }) => row),
        nextLink: fault ? link : next,
        partial:
          silent === null ? [] : [{ vendor: 'v', provider: silent, status: 504, latencyMs: 9_000, permanent: false }],
        serverTimeMs: Math.floor(graphMs() / 1_000) * 1_000,
      }
    },
  }
}

function byVersion(a: Revision, b: Revision): number {
  return a.version < b.version ? -1 : a.version > b.version ? 1 : a.id < b.id ? -1 : 1
}
