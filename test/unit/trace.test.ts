import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { linksOf, parseTraceparent, type TraceContext, traceparentIn, within } from '../../platform/trace.ts'
import { tracerForTest } from './traced.ts'

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736'
const SPAN = '00f067aa0ba902b7'
const GOOD = `00-${TRACE}-${SPAN}-01`

describe('traceparent', () => {
  test('is read by the grammar of W3C Trace Context', () => {
    expect(parseTraceparent(GOOD)).toEqual({ traceId: TRACE, spanId: SPAN, sampled: true })
    expect(parseTraceparent(`00-${TRACE}-${SPAN}-00`)).toMatchObject({ sampled: false })
    // only the last bit says "sampled"; the others are for later
    expect(parseTraceparent(`00-${TRACE}-${SPAN}-fe`)).toMatchObject({ sampled: false })
    expect(parseTraceparent(`00-${TRACE}-${SPAN}-03`)).toMatchObject({ sampled: true })
    // a later version may have more parts
    expect(parseTraceparent(`cc-${TRACE}-${SPAN}-01-what-comes`)).toMatchObject({ traceId: TRACE })
  })

  test.each([
    ['nothing', ''],
    ['words', 'hello'],
    ['capital letters', GOOD.toUpperCase()],
    ['a space before it', ` ${GOOD}`],
    ['a line end behind it', `${GOOD}\n`],
    ['version ff', `ff-${TRACE}-${SPAN}-01`],
    ['a trace of zeros', `00-${'0'.repeat(32)}-${SPAN}-01`],
    ['a span of zeros', `00-${TRACE}-${'0'.repeat(16)}-01`],
    ['a digit too few', GOOD.slice(0, -1)],
    ['a digit too many', `${GOOD}1`],
    ['more parts than version 00 has', `${GOOD}-more`],
    ['a later version without the dash', `01-${TRACE}-${SPAN}-01more`],
    ['a second line', `01-${TRACE}-${SPAN}-01-x\r\nx-evil: 1`],
    ['two of them', `${GOOD},${GOOD}`],
    ['more than anybody reads', `01-${TRACE}-${SPAN}-01-${'x'.repeat(600)}`],
  ])('%s is none', (_, text) => {
    expect(parseTraceparent(text)).toBeNull()
  })

  test('is taken from headers as Kafka brings them, once or not at all', () => {
    const found = { traceId: TRACE, spanId: SPAN, sampled: true }
    expect(traceparentIn({ traceparent: Buffer.from(GOOD), other: Buffer.from('x') })).toEqual(found)
    const none: readonly (Record<string, unknown> | undefined)[] = [
      undefined,
      {},
      { Traceparent: Buffer.from(GOOD) },
      { traceparent: [Buffer.from(GOOD), Buffer.from(GOOD)] },
      { traceparent: GOOD },
      { traceparent: null },
      { traceparent: undefined },
      { traceparent: Buffer.alloc(1_000_000, '0') },
      { traceparent: Buffer.from(GOOD, 'utf16le') },
      Object.create({ traceparent: Buffer.from(GOOD) }) as Record<string, unknown>,
    ]
    for (const headers of none) expect(traceparentIn(headers)).toBeNull()
  })

  test('whatever the bytes are, what comes out could be sent on as it is', () => {
    const near = fc
      .tuple(fc.nat({ max: GOOD.length - 1 }), fc.string({ maxLength: 2, unit: 'binary' }))
      .map(([at, by]) => Buffer.from(GOOD.slice(0, at) + by + GOOD.slice(at + 1)))
    const bytes = fc.oneof(
      near,
      fc.uint8Array({ maxLength: 80 }).map(array => Buffer.from(array)),
    )
    fc.assert(
      fc.property(bytes, value => {
        const found = traceparentIn({ traceparent: value })
        if (found === null) return
        expect(found.traceId).toMatch(/^(?!0{32})[0-9a-f]{32}$/)
        expect(found.spanId).toMatch(/^(?!0{16})[0-9a-f]{16}$/)
      }),
    )
  })
})

/** The n-th made-up span. */
function context(n: number, sampled = true): TraceContext {
  return { traceId: TRACE, spanId: String(n + 1).padStart(16, '0'), sampled }
}

test('a batch is linked to each span once, and to 32 of them at most', () => {
  expect(linksOf([])).toEqual([])
  expect(linksOf([context(1), undefined, context(1), context(2)])).toEqual([context(1), context(2)])
  const many = Array.from({ length: 500 }, (_, n) => context(n))
  expect(linksOf(many)).toEqual(many.slice(0, 32))
})

describe('a tracer', () => {
  test('tells spans with their kind, parent, attributes and links', () => {
    const { tracer, spans } = tracerForTest()
    const poll = tracer.start('poll', 'internal', { 'socos.tenant.id': 't1' })
    const send = poll?.child('send alerts', 'producer', { 'messaging.batch.message_count': 3 })
    send?.set({ 'messaging.kafka.offset': 70 })
    send?.end()
    poll?.end()
    tracer.start('POST', 'client', {}, [context(5)])?.end()
    const [sent, polled, posted] = spans()
    expect(polled).toMatchObject({ name: 'poll', kind: 0, attributes: { 'socos.tenant.id': 't1' } })
    expect(sent).toMatchObject({
      name: 'send alerts',
      kind: 3,
      traceId: polled?.traceId,
      parentId: polled?.spanId,
      attributes: { 'messaging.batch.message_count': 3, 'messaging.kafka.offset': 70 },
    })
    expect(poll?.traceparent).toBe(`00-${polled?.traceId}-${polled?.spanId}-01`)
    expect(posted).toMatchObject({ kind: 2, parentId: undefined, links: [`${TRACE}/${context(5).spanId}`] })
    expect(posted?.traceId).not.toBe(polled?.traceId)
  })

  test('follows the share it was told of, and makes nothing of the rest', () => {
    const none = tracerForTest({ ratio: 0 })
    expect(none.tracer.start('poll', 'internal', {})).toBeNull()
    expect(none.spans()).toEqual([])
    const some = tracerForTest({ ratio: 0.2 })
    const started = Array.from({ length: 2_000 }, () => some.tracer.start('poll', 'internal', {}))
    const followed = started.filter(span => span !== null)
    expect(followed.length / started.length).toBeCloseTo(0.2, 1)
  })

  test('follows whatever carries on what is followed, and not what carries on the rest', () => {
    const { tracer } = tracerForTest({ ratio: 0 })
    expect(tracer.start('POST', 'client', {}, [context(1, false), context(2, true)])).not.toBeNull()
    expect(tracer.start('POST', 'client', {}, [context(1, false)])).toBeNull()
  })

  test('marks what failed with a word, never with a message', async () => {
    const { tracer, spans } = tracerForTest()
    const failure = new RangeError('the secret is hunter2')
    await expect(within(tracer.start('poll', 'internal', {}), () => Promise.reject(failure))).rejects.toBe(failure)
    const [span] = spans()
    expect(span).toMatchObject({ status: 2, attributes: { 'error.type': 'RangeError' } })
    expect(JSON.stringify(span)).not.toContain('hunter2')
  })

  test('cuts what is too long for a span', () => {
    const { tracer, spans } = tracerForTest()
    tracer.start('poll', 'internal', { 'socos.tenant.id': 'x'.repeat(10_000) })?.end()
    expect(String(spans()[0]?.attributes['socos.tenant.id'])).toHaveLength(256)
  })
})

test('without a span the task is done all the same', async () => {
  expect(await within(null, () => Promise.resolve(7))).toBe(7)
})
