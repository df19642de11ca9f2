// Longer than a screen or two: the loop and the table of outcomes are only right, and only readable, together.

import type { Clock, Random } from '../platform/clock.ts'
import { type Backoff, backoffMs } from '../platform/retry.ts'
import { linksOf, type Span, type Tracer, within } from '../platform/trace.ts'
import { ATTRIBUTES } from '../platform/trace-names.ts'
import type { EngineAnswer } from './engine/answer.ts'
import type { Circuit, Permit } from './engine/circuit.ts'
import type { Engine } from './engine/client.ts'
import { type Entry, type Group, groupItems, halves, newGroup } from './engine/group.ts'
import type { EngineItem } from './engine/item.ts'

/** What became of an item for good. `detail` is one bounded line without control characters. */
export type ItemFate =
  | { readonly kind: 'delivered'; readonly known: boolean }
  | {
      readonly kind: 'park'
      readonly reason: 'rejected' | 'too-large' | 'bad-item' | 'engine-error'
      readonly detail: string
      /** Requests that carried the item. */
      readonly attempts: number
    }

const DELIVERED: ItemFate = { kind: 'delivered', known: false }
const DELIVERED_BEFORE: ItemFate = { kind: 'delivered', known: true }

export interface ForwardLimits {
  readonly maxItems: number
  /** Of an uncompressed body; a single item may be larger. */
  readonly maxBytes: number
  /** Failures of one item, each with proof that the engine took others meanwhile, before it is parked as engine-error. */
  readonly itemAttempts: number
  /** Whole requests of one batch that broke, with the same proof, before it is halved to find the item that breaks it. */
  readonly isolateAfter: number
  readonly backoff: Backoff
  readonly maxRetryAfterMs: number
}

export const FORWARD_LIMITS: ForwardLimits = {
  maxItems: 500,
  maxBytes: 1_000_000,
  itemAttempts: 20,
  isolateAfter: 3,
  backoff: { firstMs: 500, maxMs: 30_000 },
  maxRetryAfterMs: 300_000,
}

export interface ForwardDeps {
  readonly engine: Engine
  readonly circuit: Circuit
  readonly clock: Clock
  readonly random: Random
  readonly limits: ForwardLimits
  readonly tracer?: Tracer | null
  readonly observe: { attempt(outcome: EngineAnswer['kind'], durationMs: number, items: number): void }
}

/**
 * Delivers items of one lane (distinct alerts), one request at a time. `onFate` is called exactly once per item, as
 * soon as its fate is certain, and the item is never sent after it. Trouble of the engine as a whole is waited out for
 * as long as the lane lives; it parks nothing.
 *
 * Resolves 'done' when every item has its fate; 'stopped' when `halt` aborted: no new request is started, and the one
 * in flight is waited for (bounded by the engine's timeout) so that what it achieved is known. Rejects with the reason
 * of `abort`: the request in flight is cut, and no fate is told any more, for the lane is another's.
 */
export type Forward = (
  items: readonly EngineItem[],
  onFate: (index: number, fate: ItemFate) => void,
  signals: ForwardSignals,
) => Promise<'done' | 'stopped'>

interface ForwardSignals {
  readonly halt: AbortSignal
  readonly abort: AbortSignal
  /** Asked right before each request; false ends the call as `halt` does: another worker may own the lane by now. */
  readonly leased?: () => boolean
}

/** One call's state. */
interface Run {
  /** In the order in which they are sent as they fall due. */
  readonly queue: Group[]
  readonly onFate: (index: number, fate: ItemFate) => void
  readonly leased: () => boolean
  /** Aborts with halt or abort: nothing is waited for any longer. */
  readonly wake: AbortSignal
  /** Whole requests of this lane that failed in a row. */
  failures: number
  /** What the lane still has to wait before it sends anything. */
  pauseMs: number
}

/** What all lanes of the worker share: proof that the engine takes items. */
interface Worker {
  accepted: number
}

export function createForward(deps: ForwardDeps): Forward {
  const worker: Worker = { accepted: 0 }
  return async (items, onFate, { halt, abort, leased = () => true }) => {
    const wake = new AbortController()
    const onAbort = () => wake.abort()
    for (const signal of [halt, abort]) {
      if (signal.aborted) wake.abort()
      signal.addEventListener('abort', onAbort, { once: true })
    }
    const queue = groupItems(items, deps.limits, worker.accepted)
    const run: Run = { queue, onFate, leased, wake: wake.signal, failures: 0, pauseMs: 0 }
    try {
      for (;;) {
        abort.throwIfAborted()
        if (run.queue.length === 0) return 'done'
        if (halt.aborted || !leased()) return 'stopped'
        await step(deps, worker, run, abort)
      }
    } finally {
      for (const signal of [halt, abort]) signal.removeEventListener('abort', onAbort)
    }
  }
}

/** Waits or sends one request. Returns early when woken; rejects when the request was cut. */
async function step(deps: ForwardDeps, worker: Worker, run: Run, abort: AbortSignal): Promise<void> {
  if (run.pauseMs > 0) {
    await slept(deps.clock, run.pauseMs, run.wake)
    run.pauseMs = 0
    return
  }
  const group = next(run.queue, deps.clock.now())
  const restMs = Math.min(group.dueMs - deps.clock.now(), group.waitMs)
  if (restMs > 0) {
    // having slept the whole wait it is due, even if the clock was set back meanwhile
    if (await slept(deps.clock, restMs, run.wake)) group.dueMs = 0
    return
  }
  const permit = await entered(deps.circuit, run.wake)
  if (permit === null) return
  // looked at here and not in `entered`: another lane may have run since, and from here to the request nothing can
  if (run.wake.aborted || !run.leased()) return permit.release()
  run.queue.splice(run.queue.indexOf(group), 1)
  const answer = await send(deps, worker, group, permit, abort)
  settle(deps, worker, run, group, answer, permit)
}

async function send(deps: ForwardDeps, worker: Worker, group: Group, permit: Permit, abort: AbortSignal) {
  for (const entry of group.entries) {
    if (entry.posts++ === 0) entry.acceptedBefore = worker.accepted
  }
  const startedMs = deps.clock.now()
  const items = group.entries.map(entry => entry.item)
  const span = deps.tracer ? spanOf(deps.tracer, items) : null
  try {
    return await within(span, async () => {
      const answer = await deps.engine.post(items, abort, span?.traceparent)
      abort.throwIfAborted()
      deps.observe.attempt(answer.kind, deps.clock.now() - startedMs, items.length)
      span?.set({ [ATTRIBUTES.outcome]: answer.kind })
      if (answer.kind !== 'items') span?.fail(answer.kind)
      return answer
    })
  } catch (error) {
    permit.release()
    throw error
  }
}

/** A batch has many causes: it is linked to the polls that brought its items, and the child of none. */
function spanOf(tracer: Tracer, items: readonly EngineItem[]): Span | null {
  const attributes = {
    [ATTRIBUTES.system]: 'kafka',
    [ATTRIBUTES.operationName]: 'process',
    [ATTRIBUTES.operationType]: 'process',
    [ATTRIBUTES.messages]: items.length,
    [ATTRIBUTES.method]: 'POST',
  }
  return tracer.start('POST /v1/alerts:batch', 'client', attributes, linksOf(items.map(({ trace }) => trace)))
}

/** Turns the answer into fates, and puts back into the queue what has none. */
function settle(deps: ForwardDeps, worker: Worker, run: Run, group: Group, answer: EngineAnswer, permit: Permit): void {
  switch (answer.kind) {
    case 'items':
      permit.works()
      run.failures = 0
      settleItems(deps, worker, run, group, answer)
      break
    case 'too-large':
    case 'bad-batch':
      permit.works()
      run.failures = 0
      divide(worker, run, group, answer)
      break
    case 'again': {
      const askedMs = Math.min(answer.retryAfterMs ?? 0, deps.limits.maxRetryAfterMs)
      permit.fails(answer.detail, askedMs)
      if (answer.busy) run.queue.push(group)
      else isolate(deps, worker, run, group, answer.detail)
      const ownMs = Math.max(askedMs, backoffMs(run.failures++, deps.limits.backoff, deps.random()))
      // while it is open, the circuit's pause (which knows what was asked for) is the one that counts
      if (deps.circuit.state === 'closed') run.pauseMs = ownMs
      break
    }
    case 'blocked':
      permit.blocked(answer.detail)
      run.queue.unshift(group)
      break
    case 'bad-encoding':
      permit.blocked('HTTP 415, even for an uncompressed body: the engine does not take application/json')
      run.queue.unshift(group)
      break
  }
}

function settleItems(
  deps: ForwardDeps,
  worker: Worker,
  run: Run,
  group: Group,
  answer: Extract<EngineAnswer, { kind: 'items' }>,
): void {
  for (const fate of answer.fates) if (fate.kind === 'accepted') worker.accepted++
  const left: Entry[] = []
  let position = 0
  for (const entry of group.entries) {
    const fate = answer.fates[position++] ?? { kind: 'again', detail: 'not answered' }
    switch (fate.kind) {
      case 'accepted':
        run.onFate(entry.index, DELIVERED)
        break
      case 'known':
        run.onFate(entry.index, DELIVERED_BEFORE)
        break
      case 'rejected': {
        const detail = fate.error === '' ? `status ${fate.status}` : `status ${fate.status}: ${fate.error}`
        park(run, entry, fate.status === 413 ? 'too-large' : 'rejected', detail)
        break
      }
      case 'again':
        if (isHopeless(deps, worker, entry)) park(run, entry, 'engine-error', fate.detail)
        else left.push(entry)
        break
    }
  }
  if (left.length === 0) return
  const waitMs = backoffMs(group.tries, deps.limits.backoff, deps.random())
  const dueMs = deps.clock.now() + waitMs
  run.queue.push({ ...newGroup(left, worker.accepted), tries: group.tries + 1, dueMs, waitMs })
}

/** The batch as such was refused: halve it until the one item is found. */
function divide(
  worker: Worker,
  run: Run,
  group: Group,
  answer: Extract<EngineAnswer, { kind: 'too-large' | 'bad-batch' }>,
): void {
  const [only] = group.entries
  if (group.entries.length > 1 || !only) run.queue.unshift(...halves(group, worker.accepted))
  else if (answer.kind === 'too-large') park(run, only, 'too-large', 'HTTP 413 for this item alone')
  else park(run, only, 'bad-item', answer.detail)
}

/**
 * The whole request broke. Only if the engine takes items of others meanwhile can it be one of these that breaks it:
 * then the batch is halved, and an item that keeps breaking the engine all alone is parked, so that it cannot hold up
 * its lane for ever.
 */
function isolate(deps: ForwardDeps, worker: Worker, run: Run, group: Group, detail: string): void {
  const [only] = group.entries
  if (group.entries.length === 1 && only) {
    if (isHopeless(deps, worker, only)) park(run, only, 'engine-error', detail)
    else run.queue.push(group)
    return
  }
  if (worker.accepted > group.acceptedBefore) group.failures++
  group.acceptedBefore = worker.accepted
  run.queue.push(...(group.failures >= deps.limits.isolateAfter ? halves(group, worker.accepted) : [group]))
}

/** Counts a failure of this item if the engine accepted others since its last one; true when that makes enough of them. */
function isHopeless(deps: ForwardDeps, worker: Worker, entry: Entry): boolean {
  if (worker.accepted > entry.acceptedBefore) entry.strikes++
  entry.acceptedBefore = worker.accepted
  return entry.strikes >= deps.limits.itemAttempts
}

function park(run: Run, entry: Entry, reason: Extract<ItemFate, { kind: 'park' }>['reason'], detail: string): void {
  run.onFate(entry.index, { kind: 'park', reason, detail, attempts: entry.posts })
}

/** The first in line that is due, else the one that falls due first. */
function next(queue: readonly Group[], nowMs: number): Group {
  const due = queue.find(group => group.dueMs <= nowMs)
  return due ?? queue.reduce((first, group) => (group.dueMs < first.dueMs ? group : first))
}

/** Null when woken before it was let in. */
async function entered(circuit: Circuit, wake: AbortSignal): Promise<Permit | null> {
  try {
    return await circuit.enter(wake)
  } catch (error) {
    if (wake.aborted) return null
    throw error
  }
}

/** False when woken. */
async function slept(clock: Clock, ms: number, wake: AbortSignal): Promise<boolean> {
  try {
    await clock.sleep(ms, wake)
    return true
  } catch (error) {
    if (wake.aborted) return false
    throw error
  }
}
