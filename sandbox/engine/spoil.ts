import { type Answer, jsonAnswer } from '../graph/answer.ts'
import { retryAfterText } from '../graph/spoil.ts'
import type { EngineFault } from './faults.ts'

/** What the engine says of one item. */
export interface ToldItem {
  readonly id: string
  readonly status: number
  readonly error?: string
}

/** What is left of the engine's good answer after a fault. What the fault does to the items has been done before. */
export function spoilBatch(good: Answer, told: readonly ToldItem[], fault: EngineFault, nowMs: number): Answer {
  switch (fault.kind) {
    case 'throttle': {
      const retryAfter = retryAfterText(fault, nowMs)
      return refused(429, 'slow down', retryAfter === undefined ? {} : { 'retry-after': retryAfter })
    }
    case 'status':
      return wholeRefusal(fault)
    case 'too-large':
      return refused(413, 'too large')
    case 'refuse-batch':
      return refused(fault.status, 'an item of this batch cannot be read')
    case 'unsupported-encoding':
      return refused(415, 'content encoding is not supported', { 'accept-encoding': 'identity' })
    case 'no-items':
      return { ...good, status: fault.status, body: Buffer.from('{}') }
    case 'unreadable':
      return unreadable(good, fault.form)
    case 'unknown-ids': {
      const extra = [strangerId(1), strangerId(2)].map(id => ({ id, status: 200 }))
      return jsonAnswer(200, { items: [...extra, ...told] })
    }
    case 'contradiction': {
      const [first] = told
      return jsonAnswer(200, { items: first === undefined ? [] : [...told, { id: first.id, status: 503 }] })
    }
    case 'reset':
      return { ...good, delivery: { mode: 'reset-before' } }
    case 'hang':
      return { ...good, delivery: { mode: 'hang' } }
    case 'slow':
      return { ...good, delivery: { mode: 'delayed', delayMs: fault.delayMs } }
    case 'missing-items':
    case 'item-status':
      return good
  }
}

function refused(status: number, error: string, headers: Record<string, string> = {}): Answer {
  return jsonAnswer(status, { error }, headers)
}

function wholeRefusal(fault: EngineFault & { kind: 'status' }): Answer {
  const headers: Record<string, string> = {}
  if (fault.status < 400) headers.location = fault.to
  if (fault.retryAfterSeconds !== undefined) headers['retry-after'] = String(fault.retryAfterSeconds)
  if (!fault.html) return refused(fault.status, `simulated ${fault.status}`, headers)
  const body = Buffer.from(`<html><body><h1>${fault.status}</h1></body></html>`)
  return {
    status: fault.status,
    headers: { 'content-type': 'text/html', ...headers },
    body,
    delivery: { mode: 'whole' },
  }
}

function unreadable(good: Answer, form: (EngineFault & { kind: 'unreadable' })['form']): Answer {
  switch (form) {
    case 'empty':
      return { ...good, body: Buffer.alloc(0) }
    case 'html':
      return {
        ...good,
        headers: { 'content-type': 'text/html' },
        body: Buffer.from('<html><body>Welcome</body></html>'),
      }
    case 'garbage':
      return { ...good, body: Buffer.from('{"items":"all of them","ok":true}') }
    case 'truncated':
      return { ...good, body: good.body.subarray(0, Math.min(good.body.length - 1, 20)) }
  }
}

function strangerId(number: number): string {
  return Buffer.alloc(32, number).toString('base64url')
}
