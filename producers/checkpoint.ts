import type { Checkpoint } from '../schemas/types.ts'
import type { Progress, TurnEnd } from './poll.ts'

/** What a turn did, as numbers. */
export interface Tally {
  listed: number
  published: number
  quarantined: number
}

export interface UnderWay {
  readonly kind: 'under-way'
}

/**
 * The receipt of a turn. It says what was polled and what came of it, so that "nothing new" and "not polled" never look
 * alike.
 */
export function checkpointAfter(
  before: Checkpoint | undefined,
  turn: {
    readonly tenantId: string
    readonly source: string
    /** `under-way`: a long turn has come so far. */
    readonly end: TurnEnd | UnderWay
    readonly progress: Progress | null
    /** When it is tried again. */
    readonly nextTryMs: number
  },
  tally: Readonly<Tally>,
  nowMs: number,
): Checkpoint {
  const { end, progress, tenantId, source } = turn
  const sameSource = before?.source === source
  const problem = problemOf(end, nowMs)
  const state = stateOf(end, progress)
  const continues = before?.problemSince !== null && before?.state === state
  return {
    tenantId,
    source,
    watermark: progress?.watermark ?? '',
    backfillNext: progress?.backfill?.next ?? null,
    backfillUntil: progress?.backfill?.until ?? null,
    state,
    problem,
    problemSince: problem === null ? null : continues ? (before?.problemSince ?? nowMs) : nowMs,
    move: end.kind === 'needs-attention' ? end.problem.move : null,
    page: end.kind === 'needs-attention' ? end.problem.page : null,
    nextTryAt: problem === null ? null : turn.nextTryMs,
    polledAt: nowMs,
    succeededAt: end.kind === 'ok' ? nowMs : sameSource ? (before?.succeededAt ?? null) : null,
    listed: tally.listed,
    published: tally.published,
    publishedTotal: (before?.publishedTotal ?? 0) + tally.published,
    quarantinedTotal: (before?.quarantinedTotal ?? 0) + tally.quarantined,
    partialProviders: end.kind === 'partial' ? end.providers : [],
    gaps: progress?.gaps ?? [],
    sweep: before?.sweep ?? null,
  }
}

function stateOf(end: TurnEnd | UnderWay, progress: Progress | null): string {
  switch (end.kind) {
    case 'under-way':
      return 'catching-up'
    case 'ok':
      return progress?.backfill ? 'catching-up' : 'ok'
    case 'partial':
    case 'throttled':
    case 'unavailable':
    case 'needs-attention':
      return end.kind
  }
}

function problemOf(end: TurnEnd | UnderWay, nowMs: number): string | null {
  switch (end.kind) {
    case 'under-way':
    case 'ok':
      return null
    case 'partial':
      return `No answer from ${end.providers.join(', ')}`
    case 'throttled':
    case 'unavailable':
      if (end.retryAfterMs === null) return end.detail
      return `${end.detail}; it asked to wait until ${new Date(nowMs + end.retryAfterMs).toISOString().slice(0, 19)}Z`
    case 'needs-attention':
      return `${end.problem.words} [${end.problem.code}]`
  }
}
