import type { IncomingMessage } from 'node:http'
import { promisify } from 'node:util'
import { gunzip, type InputType, type ZlibOptions, zstdDecompress } from 'node:zlib'
import type { Random } from '../../platform/clock.ts'
import { type Answer, BodyTooLarge, jsonAnswer, reachesClient, readBody } from '../graph/answer.ts'
import { shuffle } from '../graph/chance.ts'
import { type AuthSettings, senderOf, signatureProblem, tokenProblem } from './auth.ts'
import { appliesTo, type EngineFault, type EngineFaults } from './faults.ts'
import type { Memory, ReadItem } from './judge.ts'
import type { EngineItem, EngineLedger } from './ledger.ts'
import { scanBatch } from './scan.ts'
import { spoilBatch, type ToldItem } from './spoil.ts'

export interface EngineState {
  readonly ledger: EngineLedger
  readonly memory: Memory
  readonly faults: EngineFaults
  readonly auth: AuthSettings
  readonly random: Random
  readonly now: () => number
  /** More items or uncompressed bytes get 413. */
  readonly maxItems: number
  readonly maxBytes: number
  /** Added to every answer. */
  latencyMs: number
}

/** An answer and the items whose fate it tells, to be unmarked when it does not get through. */
export interface ServedBatch {
  readonly answer: Answer
  readonly settled: readonly EngineItem[]
}

const gunzipAsync = promisify<InputType, ZlibOptions, Buffer>(gunzip)
const zstdAsync = promisify<InputType, { maxOutputLength: number }, Buffer>(zstdDecompress)

/** `POST /v1/alerts:batch`. Order of checks: token, encoding, size, signature, form, fault, each item. */
export async function serveBatch(state: EngineState, request: IncomingMessage): Promise<ServedBatch> {
  const read = await readRequest(state, request)
  const { wire, encoding } = read
  const sender = senderOf(state.auth, request.headers)
  if (read.kind === 'refused') {
    return close(state, { wire, encoding, sender, bytes: 0, items: [] }, read.answer, null, [])
  }
  const { body } = read
  const shape = { wire, encoding, sender, bytes: body.length }
  const signature = signatureProblem(state.auth, request.headers, body, state.now())
  if (signature !== undefined) return close(state, { ...shape, items: [] }, refusal(401, signature), null, [])
  const scan = scanBatch(body)
  if (scan.kind === 'bad') return close(state, { ...shape, items: [] }, refusal(400, scan.message), null, [])
  const items = scan.items.map(scanned => state.memory.read(scanned))
  if (items.length === 0) return close(state, { ...shape, items }, refusal(400, 'the batch has no items'), null, [])
  if (items.length > state.maxItems) {
    const words = `${items.length} items are more than ${state.maxItems}`
    return close(state, { ...shape, items }, refusal(413, words), null, refuseAll(state, items, 413))
  }
  return answerBatch(state, shape, items)
}

/** Faults after which the sender knows nothing of any item. */
const SILENT: ReadonlySet<EngineFault['kind']> = new Set(['no-items', 'unreadable', 'reset', 'hang'])

interface Shape {
  readonly wire: number
  readonly encoding: string
  readonly bytes: number
  readonly sender: number
}

function answerBatch(state: EngineState, shape: Shape, items: readonly ReadItem[]): ServedBatch {
  const spot = {
    items: items.length,
    bytes: shape.bytes,
    encoding: shape.encoding,
    holds: (alertId: string) => items.some(item => item.alertId === alertId),
  }
  const tenants = [...new Set(items.map(item => item.tenantId))]
  const fault = state.faults.take(tenants, candidate => appliesTo(candidate, spot))
  const request = state.ledger.counters.requests
  const atMs = state.now()
  const statuses = fault?.kind === 'item-status' ? chosenItems(state, items, fault) : new Set<ReadItem>()
  const wholeStatus = fault === undefined ? undefined : statusOfRefusal(fault)
  const silent = fault !== undefined && SILENT.has(fault.kind)
  const dropped = silent && !silentAccepts(fault)
  const missing = fault?.kind === 'missing-items' ? Math.max(1, Math.round(items.length * fault.share)) : 0
  const settled = items.map((item, place) => {
    const leftOut = place < missing
    const status = wholeStatus ?? (fault?.kind === 'item-status' && statuses.has(item) ? fault.status : undefined)
    return state.memory.settle(item, {
      request,
      atMs,
      ...(status === undefined ? {} : { status }),
      answered: !silent && !leftOut && !(fault?.kind === 'contradiction' && place === 0),
      accept: !dropped && !(leftOut && fault?.kind === 'missing-items' && !fault.accept),
    })
  })
  const told = settled.flatMap((item, place) => (place < missing ? [] : [answerOf(item, items[place], fault)]))
  const good = jsonAnswer(200, { items: shuffle(state.random, [...told]) })
  const answer = fault === undefined ? good : spoilBatch(good, told, fault, state.now())
  return close(state, { ...shape, items }, answer, fault, settled)
}

function answerOf(settled: EngineItem, item: ReadItem | undefined, fault: EngineFault | undefined): ToldItem {
  const { id, status } = settled
  if (status < 300) return { id, status }
  if (status === 409) return { id, status, error: 'already known, or a newer version is' }
  if (item?.problem) return { id, status, error: item.problem }
  return { id, status, error: fault?.kind === 'item-status' ? fault.error : 'refused' }
}

function chosenItems(
  state: EngineState,
  items: readonly ReadItem[],
  fault: EngineFault & { kind: 'item-status' },
): Set<ReadItem> {
  const fitting = items.filter(
    item =>
      (fault.tenant === '*' || item.tenantId === fault.tenant.toLowerCase()) &&
      (fault.alertId === undefined || item.alertId === fault.alertId),
  )
  const count = Math.max(1, Math.round(fitting.length * fault.share))
  return new Set(shuffle(state.random, fitting).slice(0, count))
}

/** The status with which the fault refuses the whole request, if it does. */
function statusOfRefusal(fault: EngineFault): number | undefined {
  if (fault.kind === 'throttle') return 429
  if (fault.kind === 'too-large') return 413
  if (fault.kind === 'unsupported-encoding') return 415
  return fault.kind === 'status' || fault.kind === 'refuse-batch' ? fault.status : undefined
}

/** Whether the engine has the items although its answer says nothing of them. */
function silentAccepts(fault: EngineFault): boolean {
  return fault.kind === 'reset' ? fault.when === 'after-accept' : 'accept' in fault && fault.accept
}

function refuseAll(state: EngineState, items: readonly ReadItem[], status: number): EngineItem[] {
  const arrival = { request: state.ledger.counters.requests, atMs: state.now(), status, answered: true }
  return items.map(item => state.memory.settle(item, arrival))
}

/** Notes the request; all ways out of a batch lead through here. */
function close(
  state: EngineState,
  shape: Shape & { readonly items: readonly ReadItem[] },
  answer: Answer,
  fault: EngineFault | null | undefined,
  settled: readonly EngineItem[],
): ServedBatch {
  state.ledger.requests.push({
    atMs: state.now(),
    status: reachesClient(answer) ? answer.status : 0,
    items: shape.items.length,
    wireBytes: shape.wire,
    bytes: shape.bytes,
    encoding: shape.encoding,
    fault: fault?.kind ?? null,
    sender: shape.sender,
  })
  state.ledger.counters.requests++
  state.ledger.counters.bytes += shape.bytes
  const { delivery } = answer
  const slowed = delivery.mode === 'whole' && state.latencyMs > 0
  return { answer: slowed ? { ...answer, delivery: { mode: 'delayed', delayMs: state.latencyMs } } : answer, settled }
}

export function refusal(status: number, error: string, headers: Record<string, string> = {}): Answer {
  return jsonAnswer(status, { error }, headers)
}

type RequestBody = { readonly wire: number; readonly encoding: string } & (
  | { readonly kind: 'body'; readonly body: Buffer }
  | { readonly kind: 'refused'; readonly answer: Answer }
)

async function readRequest(state: EngineState, request: IncomingMessage): Promise<RequestBody> {
  const encoding = (request.headers['content-encoding'] ?? 'identity').toLowerCase()
  let wire: Buffer
  try {
    wire = await readBody(request, state.maxBytes)
  } catch (error) {
    if (!(error instanceof BodyTooLarge)) throw error
    return { kind: 'refused', wire: state.maxBytes, encoding, answer: refusal(413, error.message) }
  }
  const shape = { wire: wire.length, encoding }
  const token = tokenProblem(state.auth, request.headers)
  if (token !== undefined)
    return { kind: 'refused', ...shape, answer: refusal(401, token, { 'www-authenticate': 'Bearer' }) }
  const type = request.headers['content-type'] ?? ''
  if (!/^application\/json\s*(;|$)/i.test(type)) {
    return { kind: 'refused', ...shape, answer: refusal(415, `content type '${type}' is not application/json`) }
  }
  if (encoding === 'identity') return { kind: 'body', ...shape, body: wire }
  if (encoding !== 'gzip' && encoding !== 'zstd') {
    const headers = { 'accept-encoding': 'gzip, zstd, identity' }
    return {
      kind: 'refused',
      ...shape,
      answer: refusal(415, `content encoding '${encoding}' is not supported`, headers),
    }
  }
  try {
    const limit = { maxOutputLength: state.maxBytes }
    const body = encoding === 'gzip' ? await gunzipAsync(wire, limit) : await zstdAsync(wire, limit)
    return { kind: 'body', ...shape, body }
  } catch (error) {
    const tooLarge = error instanceof Error && 'code' in error && error.code === 'ERR_BUFFER_TOO_LARGE'
    const words = tooLarge ? `more than ${state.maxBytes} bytes uncompressed` : `the body is not ${encoding}`
    return { kind: 'refused', ...shape, answer: refusal(tooLarge ? 413 : 400, words) }
  }
}
