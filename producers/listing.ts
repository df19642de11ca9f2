/** Longer than the rule: listing a window, cutting it up and agreeing on it are only right together. */
import { hash } from 'node:crypto'
import { setImmediate as breathe } from 'node:timers/promises'
import type { Clock, Random } from '../platform/clock.ts'
import { backoffMs } from '../platform/retry.ts'
import type { Budget } from './graph/budget.ts'
import type { Graph, PageAnswer } from './graph/client.ts'
import type { TenantAccess } from './graph/clouds.ts'
import type { Trouble } from './graph/problems.ts'
import type { SlicedAlert } from './graph/slice.ts'
import type { ProviderWarning } from './graph/warnings.ts'
import type { Window } from './window.ts'
import { fromEpochMs, fromTicks, halve, toTicks } from './window.ts'

/** What one listing of a window came to. */
type Listing =
  | (Listed & { readonly kind: 'listed'; readonly pages: number; readonly content: bigint })
  /** This window cannot be read as it is: smaller ones may. `smallerPages`: pages of fewer alerts may help too. */
  | { readonly kind: 'unreadable'; readonly detail: string; readonly smallerPages: boolean }
  /** Nothing more can be had from this tenant now. */
  | { readonly kind: 'trouble'; readonly trouble: Exclude<Trouble, { kind: 'split' }> }

/** What covering a window came to: what could not be read however small it was cut, is left over. */
export type Cover = Covered | { readonly kind: 'trouble'; readonly trouble: Exclude<Trouble, { kind: 'split' }> }

type Covered = Listed & { readonly kind: 'covered'; readonly left: readonly Left[] }

interface Listed {
  readonly fresh: number
  readonly missing: readonly string[]
  /** The earliest Date header among the answers: what Graph dates later cannot be in them. Null: none had one. */
  readonly asOfMs: number | null
}

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
/** A piece that fails by chance is only cut once more, so it is tried less often than a window. */
const TRIES_OF_A_PIECE = 2
/** Nothing was updated then: an answer for it says that Graph answers, and nothing about any alert. */
const PROBE_AHEAD_MS = 86_400_000

interface Piece {
  readonly window: Window
  readonly top: number
}

/**
 * Reads a window completely. What fails again and again is halved, and `$top` with it, down to one tick of 100 ns, so
 * that a poison alert costs its own instant and nothing else. Halves are read breadth first: a search that runs out of
 * requests or time has then narrowed what is left, wherever in the window it lies, and the next one goes on from there.
 */
export async function cover(window: Window, closed: boolean, given: ListingDeps): Promise<Cover> {
  let requests = 0
  const request: ListingDeps['observe']['request'] = (answer, waitedMs) => {
    requests++
    given.observe.request(answer, waitedMs)
  }
  let deps: ListingDeps = { ...given, observe: { request } }
  const left: Left[] = []
  const pieces: Piece[] = [{ window, top: deps.limits.top }]
  let read: Listed = NOTHING
  let cut: { readonly atRequest: number; readonly atMs: number } | null = null
  for (let piece = pieces.shift(); piece; piece = pieces.shift()) {
    const isOver = cut && requests - cut.atRequest > deps.limits.splitRequestsMax
    if (cut && (isOver || deps.clock.now() - cut.atMs > deps.limits.splitMs)) {
      left.push({ window: piece.window, reason: 'not finished: too many pieces' })
      continue
    }
    const listing = await (closed ? listUntilStill : listOnce)(piece.window, piece.top, deps)
    switch (listing.kind) {
      case 'trouble':
        return listing
      case 'listed':
        read = together(read, listing)
        break
      case 'unreadable': {
        if (!cut) {
          // is it this window, or Graph as a whole?
          const outage = await probe(deps)
          if (outage) return { kind: 'trouble', trouble: outage }
          deps = { ...deps, limits: { ...deps.limits, tries: Math.min(TRIES_OF_A_PIECE, deps.limits.tries) } }
          cut = { atRequest: requests, atMs: deps.clock.now() }
        }
        const smaller = smallerPieces(piece, listing.smallerPages)
        if (smaller.length > 0) pieces.push(...smaller)
        else left.push({ window: piece.window, reason: listing.detail })
      }
    }
  }
  // an outage that began meanwhile looks like many bad windows; it is none of them
  const outage = left.length > 0 ? await probe(deps) : null
  return outage ? { kind: 'trouble', trouble: outage } : { kind: 'covered', left, ...read }
}

/** One window that was covered in two ways, as by update and by creation. */
export function bothCovered(a: Covered, b: Covered): Covered {
  return { kind: 'covered', left: [...a.left, ...b.left], ...together(a, b) }
}

/** Empty when it is as small as can be. */
function smallerPieces({ window, top }: Piece, smallerPages: boolean): readonly Piece[] {
  const halves = halve(window)
  if (halves) return halves.map(half => ({ window: half, top: smallerPages ? Math.max(1, Math.floor(top / 2)) : top }))
  return top > 1 ? [{ window, top: Math.max(1, Math.floor(top / 8)) }] : []
}

/** What is wrong with Graph as a whole, or null. */
async function probe(deps: ListingDeps): Promise<Exclude<Trouble, { kind: 'split' }> | null> {
  const from = toTicks(fromEpochMs(deps.clock.now() + PROBE_AHEAD_MS))
  const answer = await askPatiently(null, { from: fromTicks(from), to: fromTicks(from + 1n) }, 1, deps)
  switch (answer.kind) {
    case 'page':
      return null
    case 'split':
      return { kind: 'unavailable', retryAfterMs: null, detail: answer.detail }
    case 'throttled':
    case 'unavailable':
    case 'needs-attention':
      return answer
  }
}

/**
 * A window that no later poll covers. A row that moves out while pages are read may hide another one, so the window is
 * listed until two listings in a row are the same: then nothing moved during the first of them. One page cannot hide.
 */
async function listUntilStill(window: Window, top: number, deps: ListingDeps): Promise<Listing> {
  let read: Listed = NOTHING
  let before: bigint | null = null
  for (let listings = 0; listings < deps.limits.listingsMax; listings++) {
    const listing = await listOnce(window, top, deps)
    if (listing.kind !== 'listed') return listing
    read = together(read, listing)
    if (listing.pages === 1 || listing.content === before) return { ...listing, ...read }
    before = listing.content
  }
  return { kind: 'unreadable', detail: 'it keeps changing while it is read', smallerPages: false }
}

async function listOnce(window: Window, top: number, deps: ListingDeps): Promise<Listing> {
  const followed = new Set<string>()
  let read: Listed = NOTHING
  let content = 0n
  let link: string | null = null
  for (let pages = 1; ; pages++) {
    const answer = await askPatiently(link, window, top, deps)
    switch (answer.kind) {
      case 'page':
        break
      case 'split':
        // with smaller pages there are more links, so they help where the page is at fault and not its link
        return { kind: 'unreadable', detail: answer.detail, smallerPages: !answer.reason.startsWith('nextlink') }
      case 'unavailable':
        return { kind: 'unreadable', detail: answer.detail, smallerPages: true }
      case 'throttled':
      case 'needs-attention':
        return { kind: 'trouble', trouble: answer }
    }
    const fresh = await deps.take(answer.alerts)
    read = together(read, { fresh, missing: missingFrom(answer.partial), asOfMs: answer.serverTimeMs })
    content = BigInt.asUintN(
      64,
      answer.alerts.reduce((sum, alert) => sum + revisionDigest(alert), content),
    )
    link = answer.nextLink
    if (link === null) return { kind: 'listed', pages, content, ...read }
    if (followed.has(link)) {
      return { kind: 'unreadable', detail: 'the nextLink repeats itself', smallerPages: false }
    }
    if (pages >= deps.limits.pagesMax) {
      return { kind: 'unreadable', detail: `more than ${deps.limits.pagesMax} pages`, smallerPages: false }
    }
    followed.add(link)
    await breathe() // a huge tenant shares the thread with the others
  }
}

const NOTHING: Listed = { fresh: 0, missing: [], asOfMs: null }

function together(a: Listed, b: Listed): Listed {
  return {
    fresh: a.fresh + b.fresh,
    missing: [...new Set([...a.missing, ...b.missing])],
    asOfMs: a.asOfMs === null || b.asOfMs === null ? (a.asOfMs ?? b.asOfMs) : Math.min(a.asOfMs, b.asOfMs),
  }
}

/** Providers that may answer later. One that is not licensed or not granted never will: waiting for it helps nobody. */
function missingFrom(partial: readonly ProviderWarning[]): readonly string[] {
  return partial
    .filter(({ permanent }) => !permanent)
    .map(({ vendor, provider, status }) => `${vendor}/${provider}${status === null ? '' : ` (${status})`}`)
}

/** The same for the same revision; summed up, the same for the same alerts in any order. */
function revisionDigest({ id, lastUpdate, lastModified, created }: SlicedAlert): bigint {
  const text = JSON.stringify([id, lastUpdate, lastModified, created])
  return hash('sha256', text, 'buffer').readBigUInt64LE()
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
    if (answer.kind !== 'unavailable') return answer
    const isLast = attempt >= deps.limits.tries
    if (isLast && answer.retryAfterMs === null) return answer
    const pauseMs = Math.max(answer.retryAfterMs ?? 0, backoffMs(attempt - 1, BACKOFF, deps.random()))
    if (pauseMs > WAIT_IN_TURN_MS) return { kind: 'throttled', retryAfterMs: pauseMs, detail: answer.detail }
    await deps.clock.sleep(pauseMs, deps.signal)
    if (isLast) return answer
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
