import { setImmediate as breathe } from 'node:timers/promises'
import type { Clock, Random } from '../platform/clock.ts'
import { backoffMs } from '../platform/retry.ts'
import type { Budget } from './graph/budget.ts'
import type { Graph, PageAnswer } from './graph/client.ts'
import type { TenantAccess } from './graph/clouds.ts'
import type { Trouble } from './graph/problems.ts'
import type { SlicedAlert } from './graph/slice.ts'
import type { Window } from './window.ts'
import { fromTicks, halve, toTicks } from './window.ts'

/** What one listing of a window came to. */
export type Listing =
  | { readonly kind: 'listed'; readonly pages: number; readonly fresh: number; readonly missing: readonly string[] }
  /** This window cannot be read as it is: smaller ones may. */
  | { readonly kind: 'unreadable'; readonly detail: string }
  /** Nothing more can be had from this tenant now. */
  | { readonly kind: 'trouble'; readonly trouble: Exclude<Trouble, { kind: 'split' }> }

/** What covering a window came to: what could not be read however small it was cut, is left over. */
export type Cover =
  | {
      readonly kind: 'covered'
      readonly fresh: number
      readonly missing: readonly string[]
      readonly left: readonly Left[]
    }
  | { readonly kind: 'trouble'; readonly trouble: Exclude<Trouble, { kind: 'split' }> }

export interface Left {
  readonly window: Window
  readonly reason: string
}

export interface ListingDeps {
  readonly graph: Graph
  readonly access: TenantAccess
  readonly budget: Budget
  readonly clock: Clock
  readonly random: Random
  readonly signal: AbortSignal
  readonly by: 'lastUpdate' | 'created'
  /** Takes a page's alerts; resolves with how many were new, when they are durable. */
  readonly take: (alerts: readonly SlicedAlert[]) => Promise<number>
  readonly observe: { request(answer: PageAnswer['kind'], waitedMs: number): void }
  readonly limits: ListingLimits
}

export interface ListingLimits {
  readonly top: number
  readonly pagesMax: number
  /** Tries of one request before its window counts as unreadable. */
  readonly tries: number
  /** Listings of one closed window until two agree. */
  readonly listingsMax: number
  /** Requests that cutting one window into pieces may take; the rest is left over for later. */
  readonly splitRequestsMax: number
  /** The same as a span of time, for answers that come slowly. */
  readonly splitMs: number
}

export const LISTING_LIMITS: ListingLimits = {
  top: 1_000,
  pagesMax: 100,
  tries: 3,
  listingsMax: 5,
  splitRequestsMax: 150,
  splitMs: 180_000,
}

const BACKOFF = { firstMs: 500, maxMs: 8_000 }
/** A longer pause is for the rota, not for a turn that holds a place. */
const WAIT_IN_TURN_MS = 10_000

/**
 * Reads a window completely. What fails again and again is halved, and `$top` with it, down to one tick of 100 ns, so
 * that a poison alert costs its own instant and nothing else.
 */
export async function cover(window: Window, closed: boolean, deps: ListingDeps): Promise<Cover> {
  const missing = new Set<string>()
  const left: Left[] = []
  const pieces: { window: Window; top: number }[] = [{ window, top: deps.limits.top }]
  let fresh = 0
  let requests = 0
  let graphAnswers = false
  const startedMs = deps.clock.now()
  for (let piece = pieces.pop(); piece; piece = pieces.pop()) {
    const spentMs = deps.clock.now() - startedMs
    if (requests > deps.limits.splitRequestsMax || (piece.window !== window && spentMs > deps.limits.splitMs)) {
      left.push({ window: piece.window, reason: 'not finished: too many pieces' })
      continue
    }
    const listing = closed
      ? await listTwice(piece.window, piece.top, deps)
      : await listOnce(piece.window, piece.top, deps)
    switch (listing.kind) {
      case 'trouble':
        return listing
      case 'listed':
        graphAnswers = true
        fresh += listing.fresh
        requests += listing.pages
        for (const provider of listing.missing) missing.add(provider)
        break
      case 'unreadable': {
        requests += deps.limits.tries
        // is it this window, or Graph as a whole? One instant that is certainly small tells
        graphAnswers ||= (await listOnce(lastTick(window), 1, deps)).kind === 'listed'
        if (!graphAnswers)
          return { kind: 'trouble', trouble: { kind: 'unavailable', retryAfterMs: null, detail: listing.detail } }
        const halves = halve(piece.window)
        const top = Math.max(1, Math.floor(piece.top / 2))
        if (halves) pieces.push({ window: halves[1], top }, { window: halves[0], top })
        else if (piece.top > 1) pieces.push({ window: piece.window, top: Math.max(1, Math.floor(piece.top / 8)) })
        else left.push({ window: piece.window, reason: listing.detail })
      }
    }
  }
  return { kind: 'covered', fresh, missing: [...missing], left }
}

/** A window that no later poll covers: rows that moved while it was paged may have hidden others, so it is listed until nothing new shows. */
async function listTwice(window: Window, top: number, deps: ListingDeps): Promise<Listing> {
  let fresh = 0
  let pages = 0
  const missing = new Set<string>()
  for (let listings = 0; listings < deps.limits.listingsMax; listings++) {
    const listing = await listOnce(window, top, deps)
    if (listing.kind !== 'listed') return listing
    fresh += listing.fresh
    pages += listing.pages
    for (const provider of listing.missing) missing.add(provider)
    if (listing.pages === 1 || (listings > 0 && listing.fresh === 0)) break
  }
  return { kind: 'listed', pages, fresh, missing: [...missing] }
}

async function listOnce(window: Window, top: number, deps: ListingDeps): Promise<Listing> {
  const followed = new Set<string>()
  const missing = new Set<string>()
  let fresh = 0
  let link: string | null = null
  for (let pages = 1; ; pages++) {
    const answer = await askPatiently(link, window, top, deps)
    switch (answer.kind) {
      case 'page':
        break
      case 'split':
        return { kind: 'unreadable', detail: answer.detail }
      case 'unavailable':
        return { kind: 'unreadable', detail: answer.detail }
      case 'throttled':
      case 'needs-attention':
        return { kind: 'trouble', trouble: answer }
    }
    for (const { vendor, provider, permanent, status } of answer.partial) {
      if (!permanent) missing.add(`${vendor}/${provider}${status === null ? '' : ` (${status})`}`)
    }
    fresh += await deps.take(answer.alerts)
    link = answer.nextLink
    if (link === null) return { kind: 'listed', pages, fresh, missing: [...missing] }
    if (followed.has(link)) return { kind: 'unreadable', detail: 'the nextLink repeats itself' }
    if (pages >= deps.limits.pagesMax) return { kind: 'unreadable', detail: `more than ${deps.limits.pagesMax} pages` }
    followed.add(link)
    await breathe() // a huge tenant shares the thread with the others
  }
}

/** One page, tried again where that may help within a turn. */
async function askPatiently(link: string | null, window: Window, top: number, deps: ListingDeps): Promise<PageAnswer> {
  for (let attempt = 1; ; attempt++) {
    const waitedMs = await takeBudget(deps)
    const ask =
      link === null
        ? ({ kind: 'window', from: window.from, to: window.to, top, by: deps.by } as const)
        : ({ kind: 'next', link } as const)
    const answer = await deps.graph.page(deps.access, ask, deps.signal)
    deps.observe.request(answer.kind, waitedMs)
    if (answer.kind !== 'unavailable' || attempt >= deps.limits.tries) return answer
    const pauseMs = Math.max(answer.retryAfterMs ?? 0, backoffMs(attempt - 1, BACKOFF, deps.random()))
    if (pauseMs > WAIT_IN_TURN_MS) return { kind: 'throttled', retryAfterMs: pauseMs, detail: answer.detail }
    await deps.clock.sleep(pauseMs, deps.signal)
  }
}

/** 150 requests a minute are never exceeded, whatever a turn does. */
async function takeBudget({ budget, clock, signal }: ListingDeps): Promise<number> {
  let waitedMs = 0
  for (;;) {
    const waitMs = budget.take(clock.now())
    if (waitMs === 0) return waitedMs
    waitedMs += waitMs
    await clock.sleep(waitMs, signal)
  }
}

function lastTick(window: Window): Window {
  const to = toTicks(window.to)
  return { from: fromTicks(to - 1n), to: window.to }
}
