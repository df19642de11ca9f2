import { plainText } from './plain-text.ts'

/** What the engine said about one item. */
export type ItemAnswer =
  | { readonly kind: 'accepted' }
  /** 409: it has this revision, or a newer one. */
  | { readonly kind: 'known' }
  /** 408, 425, 429, 5xx, or nothing that can be read. */
  | { readonly kind: 'again'; readonly detail: string }
  /** Any other 4xx. `error` is at most 500 characters without control characters. */
  | { readonly kind: 'rejected'; readonly status: number; readonly error: string }

/** What one attempt to send a batch came to. `detail` is for people: bounded, without control characters or secrets. */
export type EngineAnswer =
  /** One fate per item of the batch, in the batch's order. */
  | { readonly kind: 'items'; readonly fates: readonly ItemAnswer[] }
  /** `busy`: the engine asked for a pause (408, 409, 425, 429, 503). Else it broke: 5xx, timeout, reset, unreadable 2xx. */
  | { readonly kind: 'again'; readonly busy: boolean; readonly retryAfterMs: number | null; readonly detail: string }
  /** Refused whatever the items are: credentials, address, certificate, redirect. Says nothing about any item. */
  | { readonly kind: 'blocked'; readonly detail: string }
  | { readonly kind: 'too-large' }
  | { readonly kind: 'bad-batch'; readonly status: number; readonly detail: string }
  /** 415, also for an uncompressed body. */
  | { readonly kind: 'bad-encoding' }

const ERROR_CHARS = 500
const ACCEPTED: ItemAnswer = { kind: 'accepted' }
const KNOWN: ItemAnswer = { kind: 'known' }
const UNANSWERED: ItemAnswer = { kind: 'again', detail: 'the answer says nothing readable about this item' }

/** Classifies any status that is not 2xx. `text` is the (possibly cut) body, already free of secrets. */
export function readRefusal(status: number, text: string, retryAfterMs: number | null): EngineAnswer {
  const said = plainText(text, ERROR_CHARS)
  const detail = said === '' ? `HTTP ${status}` : `HTTP ${status}: ${said}`
  switch (status) {
    case 400:
    case 422:
      return { kind: 'bad-batch', status, detail }
    case 413:
      return { kind: 'too-large' }
    case 415:
      return { kind: 'bad-encoding' }
    case 408:
    case 409: // the same Idempotency-Key is still being worked on
    case 425:
    case 429:
    case 503:
      return { kind: 'again', busy: true, retryAfterMs, detail }
    default:
      if (status >= 500) return { kind: 'again', busy: false, retryAfterMs, detail }
      return { kind: 'blocked', detail: `${detail} (${remedy(status)})` }
  }
}

function remedy(status: number): string {
  if (status === 401 || status === 403) return 'the engine does not take our token or signature: renew its file'
  if (status >= 300 && status < 400) return 'redirects are never followed: set ENGINE_URL to where the engine really is'
  return 'no such endpoint there: check ENGINE_URL'
}

/**
 * Reads `{"items":[{"id","status","error"?}]}` in any order. Ids that were not sent are passed over. Answers that
 * contradict each other for one id are no answer: to send twice is harmless, to lose is not. A body that answers none
 * of the items is the engine's trouble, not the items'.
 */
export function readItems(status: number, text: string, ids: readonly string[]): EngineAnswer {
  const list = readList(text)
  const fates = list === null ? [] : (inOrder(list, ids) ?? byId(list, ids))
  if (fates.some(fate => fate !== UNANSWERED)) return { kind: 'items', fates }
  const why = list === null ? 'a body that is no {"items":[…]}' : 'no readable answer for any item'
  return { kind: 'again', busy: false, retryAfterMs: null, detail: `HTTP ${status} with ${why}` }
}

/** Null when the body is not JSON of the agreed form. */
function readList(text: string): readonly unknown[] | null {
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch {
    return null
  }
  const list = isObject(body) ? body['items'] : undefined
  return Array.isArray(list) ? (list as unknown[]) : null
}

/** Null when it is not the batch's own order, which engines nearly always keep; then nothing has to be looked up. */
function inOrder(list: readonly unknown[], ids: readonly string[]): readonly ItemAnswer[] | null {
  if (list.length !== ids.length) return null
  const fates: ItemAnswer[] = []
  for (const entry of list) {
    if (!isObject(entry) || entry['id'] !== ids[fates.length]) return null
    fates.push(readAnswer(entry['status'], entry['error']))
  }
  return fates
}

function byId(list: readonly unknown[], ids: readonly string[]): readonly ItemAnswer[] {
  const byId = new Map<string, ItemAnswer>()
  for (const entry of list) {
    if (!isObject(entry) || typeof entry['id'] !== 'string') continue
    const answer = readAnswer(entry['status'], entry['error'])
    const before = byId.get(entry['id'])
    byId.set(entry['id'], before === undefined || same(before, answer) ? answer : UNANSWERED)
  }
  return ids.map(id => byId.get(id) ?? UNANSWERED)
}

function readAnswer(status: unknown, error: unknown): ItemAnswer {
  if (typeof status !== 'number' || !Number.isInteger(status)) return UNANSWERED
  if (status >= 200 && status < 300) return ACCEPTED
  if (status === 409) return KNOWN
  const said = typeof error === 'string' ? plainText(error, ERROR_CHARS) : ''
  if (status === 408 || status === 425 || status === 429 || (status >= 500 && status < 600)) {
    return { kind: 'again', detail: said === '' ? `status ${status}` : `status ${status}: ${said}` }
  }
  if (status >= 400 && status < 500) return { kind: 'rejected', status, error: said }
  return UNANSWERED
}

function same(a: ItemAnswer, b: ItemAnswer): boolean {
  return a !== UNANSWERED && a.kind === b.kind
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
