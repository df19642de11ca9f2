import { isUtf8 } from 'node:buffer'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { SLICE_LIMITS, slicePage } from '../../producers/graph/slice.ts'

// shrinking a page can take for ever: better a large counterexample than none
const runs = (numRuns: number) => ({ numRuns, interruptAfterTimeLimit: 20_000, markInterruptAsFailure: true })

const cut = (text: string | Buffer, limits = SLICE_LIMITS) => slicePage(Buffer.from(text), 'alerts_v2', limits)

/** What JSON.parse would make of the page, in the terms of the slicer. */
function judged(body: Buffer) {
  if (!isUtf8(body)) return 'unreadable'
  let page: unknown
  try {
    page = JSON.parse(body.toString())
  } catch {
    return 'unreadable'
  }
  if (typeof page !== 'object' || page === null || Array.isArray(page)) return 'unreadable'
  const value = own(page, 'value')
  const link = own(page, '@odata.nextLink') ?? null
  if (!Array.isArray(value) || (link !== null && typeof link !== 'string')) return 'unreadable'
  return { alerts: value.map(head), nextLink: link }
}

function own(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && Object.hasOwn(value, name)
    ? Reflect.get(value, name)
    : undefined
}

function head(alert: unknown) {
  const text = (name: string) => {
    const member = own(alert, name)
    return typeof member === 'string' ? member : null
  }
  const id = text('id')
  return {
    id: id === '' || id?.isWellFormed() === false ? null : id,
    tenantId: text('tenantId'),
    lastUpdate: text('lastUpdateDateTime'),
    lastModified: text('lastModifiedDateTime'),
    created: text('createdDateTime'),
    severity: text('severity'),
    status: text('status'),
    serviceSource: text('serviceSource'),
    title: text('title'),
  }
}

function sliced(body: Buffer) {
  const page = cut(body)
  if (page.kind !== 'page') return page.kind
  const alerts = page.alerts.map(
    ({ id, tenantId, lastUpdate, lastModified, created, severity, status, serviceSource, title }) => {
      return { id, tenantId, lastUpdate, lastModified, created, severity, status, serviceSource, title }
    },
  )
  return { alerts, nextLink: page.nextLink }
}

// JSON text of any shape: white space anywhere, escapes where none are needed, duplicate and odd keys, odd numbers
const space = fc.stringMatching(/^[ \n\r\t]{0,3}$/)
const NAMES = [
  'id',
  'tenantId',
  'lastUpdateDateTime',
  'title',
  'status',
  'value',
  '@odata.nextLink',
  '__proto__',
  'constructor',
  '',
]
const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.string({ unit: 'grapheme', maxLength: 40 }),
  fc.constantFrom(...NAMES),
)
/** JSON text of a string in which the units whose bit is set in `mask` are written as escapes, and lone halves always. */
const quoted = fc.tuple(text, fc.nat(1_023)).map(([value, mask]) => {
  const units = Array.from({ length: value.length }, (_, i) => {
    const unit = value.charAt(i)
    const isHalf = !unit.isWellFormed()
    const isEscaped = isHalf ? !value.isWellFormed() : (mask >> (i % 10)) % 2 === 1
    if (isEscaped) return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`
    return isHalf ? unit : JSON.stringify(unit).slice(1, -1)
  })
  return `"${units.join('')}"`
})
const number = fc.constantFrom(
  '0',
  '-0',
  '12345678901234567890123',
  '1e400',
  '-1.5E-7',
  '0.1',
  '9007199254740993',
  '2e+3',
)
const { json } = fc.letrec<{ json: string; list: string; object: string }>(tie => ({
  json: fc.oneof(
    { maxDepth: 3, depthSize: 'small' },
    quoted,
    number,
    fc.constantFrom('true', 'false', 'null'),
    tie('list'),
    tie('object'),
  ),
  list: fc
    .tuple(space, fc.array(tie('json'), { maxLength: 3 }))
    .map(([gap, items]) => `[${gap}${items.join(`${gap},`)}${gap}]`),
  object: fc
    .tuple(space, fc.array(fc.tuple(quoted, tie('json')), { maxLength: 4 }))
    .map(
      ([gap, members]) =>
        `{${gap}${members.map(([key, value]) => `${key}${gap}:${gap}${value}`).join(`,${gap}`)}${gap}}`,
    ),
}))
const member = fc.tuple(
  fc.constantFrom(...NAMES.map(name => JSON.stringify(name)), '"i\\u0064"', '"titl\\u0065"'),
  json,
)
const alert = fc
  .array(member, { maxLength: 8 })
  .map(all => `{${all.map(([key, value]) => `${key}:${value}`).join(',')}}`)
const items = fc.array(fc.oneof({ arbitrary: alert, weight: 5 }, json), { maxLength: 5 })
const page = fc
  .tuple(
    items,
    space,
    fc.array(fc.tuple(fc.constantFrom('"x"', '"v\\u0061lue"', '"@odata.nextLink"', '"value"'), json), { maxLength: 3 }),
    fc.boolean(),
  )
  .map(([all, gap, others, isLast]) => {
    const value = `"value"${gap}:${gap}[${gap}${all.join(`${gap},`)}${gap}]`
    const rest = others.map(([key, other]) => `${key}:${other}`)
    return { items: all, text: `${gap}{${(isLast ? [...rest, value] : [value, ...rest]).join(`,${gap}`)}}${gap}` }
  })

describe('what JSON.parse sees', () => {
  test('the slices show the same alerts, members and nextLink', () => {
    fc.assert(
      fc.property(page, ({ text }) => {
        const body = Buffer.from(text)
        expect(sliced(body)).toEqual(judged(body))
      }),
      runs(500),
    )
  })

  test('every alert is cut out byte for byte', () => {
    fc.assert(
      fc.property(items, all => {
        const answer = cut(`{"x":{"value":[1]},"value": [ ${all.join(' ,\n')} ] , "@odata.nextLink":null}`)
        expect(answer.kind === 'page' && answer.alerts.map(alert => alert.bytes.toString())).toEqual(all)
      }),
      runs(300),
    )
  })

  test('a truncated or mutated body is refused, or read as JSON.parse reads it', () => {
    const wound = fc.record({
      at: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      how: fc.constantFrom('cut', 'drop', 'insert', 'change'),
      byte: fc.oneof(fc.constantFrom(...Buffer.from('{}[],:"\\0-.eEtfnu \n\u0001')), fc.integer({ min: 0, max: 255 })),
    })
    fc.assert(
      fc.property(page, fc.array(wound, { minLength: 1, maxLength: 2 }), ({ text }, wounds) => {
        let body = Buffer.from(text)
        for (const { at, how, byte } of wounds) {
          const i = Math.floor(at * body.length)
          const rest = how === 'insert' ? body.subarray(i) : body.subarray(i + 1)
          const middle = how === 'insert' || how === 'change' ? [byte] : []
          body = how === 'cut' ? body.subarray(0, i) : Buffer.concat([body.subarray(0, i), Buffer.from(middle), rest])
        }
        expect(sliced(body)).toEqual(judged(body))
      }),
      runs(2_000),
    )
  })

  test.each([
    '',
    ' ',
    '[]',
    'null',
    '"value"',
    '{}',
    '{"value":{}}',
    '{"value":[]}}',
    '{"value":[],}',
    '{"value":[1,]}',
    '{"value":[}',
    '{"value":[]',
    '{"value":[{"a":01}]}',
    '{"value":[{"a":1.}]}',
    '{"value":[{"a":.5}]}',
    '{"value":[{"a":+1}]}',
    '{"value":[{"a":1e}]}',
    '{"value":[{"a":NaN}]}',
    '{"value":[{"a":"\\x"}]}',
    '{"value":[{"a":"\\u12g4"}]}',
    '{"value":[{"a":"\n"}]}',
    '{"value":[{"a":"\u0000"}]}',
    "{'value':[]}",
    '{"value":[]}/**/',
    '{"value":[\u00a0]}',
    '{"value":[{"a":tru}]}',
    '{"value":[{"a" 1}]}',
    '{"value":[],"@odata.nextLink":5}',
    '{"value":[],"value":1}',
    '{"error":{"code":"generalException"}}',
    '<html>',
  ])('%j is no page', body => {
    expect(judged(Buffer.from(body))).toBe('unreadable')
    expect(cut(body).kind).toBe('unreadable')
  })

  test('a control character refuses the page wherever in a string it stands', () => {
    for (let code = 0; code < 0x20; code++) {
      for (let at = 0; at < 12; at++) {
        const text = 'x'.repeat(at) + String.fromCharCode(code) + 'x'.repeat(12)
        expect(cut(`{"value":[{"id":"${text}"}]}`).kind).toBe('unreadable')
      }
    }
    expect(cut(`{"value":[{"id":"a","x":"${'\u007f\u0080\uffff '.repeat(5)}"}]}`).kind).toBe('page')
  })

  test('bytes that are not UTF-8 refuse the page', () => {
    const body = Buffer.from('{"value":[{"id":"a?"}]}')
    body[body.indexOf('?')] = 0xff
    expect(cut(body).kind).toBe('unreadable')
  })

  test('a byte order mark in front is no part of the page', () => {
    expect(cut('\ufeff{"value":[{"id":"a"}]}')).toMatchObject({ kind: 'page', alerts: [{ kind: 'alert', id: 'a' }] })
  })

  test('the value array and the nextLink are found wherever they stand, the last one of each counting', () => {
    const answer = cut(
      '{"@odata.nextLink":"a","value":[{"id":"1"}],"x":[{"value":[]}],"@odata.nextLink":"b","value":[{"id":"2"}]}',
    )
    expect(answer).toMatchObject({ kind: 'page', nextLink: 'b', alerts: [{ id: '2' }] })
  })

  test('a legacy alert tells its tenant by its own name', () => {
    const body = Buffer.from('{"value":[{"id":"a","tenantId":"no","azureTenantId":"yes"}]}')
    expect(slicePage(body, 'alerts')).toMatchObject({ alerts: [{ tenantId: 'yes' }] })
    expect(slicePage(body, 'alerts_v2')).toMatchObject({ alerts: [{ tenantId: 'no' }] })
  })
})

describe('hostile alerts are set apart, and their neighbours stay', () => {
  const between = (hostile: string) => {
    const answer = cut(`{"value":[{"id":"before"},${hostile},{"id":"after"}]}`)
    expect(answer.kind === 'page' && answer.alerts.map(alert => alert.id)).toMatchObject([
      'before',
      expect.anything(),
      'after',
    ])
    return answer.kind === 'page' ? answer.alerts[1] : undefined
  }
  const nested = (levels: number) => `${'['.repeat(levels)}${']'.repeat(levels)}`
  const keys = (count: number) => Array.from({ length: count }, (_, i) => `"k${i}":{"x":1}`).join(',')

  test('deeper than 64', () => {
    expect(between(`{"id":"deep","a":${nested(63)}}`)).toMatchObject({ kind: 'alert', id: 'deep' })
    const hostile = `{"id":"deep","a":${nested(64)}}`
    expect(between(hostile)).toMatchObject({
      kind: 'hostile',
      reason: 'too-deep',
      id: 'deep',
      bytes: Buffer.from(hostile),
    })
  })

  test('a million levels cost neither the stack nor the page', () => {
    expect(between(`{"id":"deep","a":${nested(1_000_000)}}`)).toMatchObject({ kind: 'hostile', reason: 'too-deep' })
    expect(cut(`{"value":[],"x":${'['.repeat(1_000_000)}}`).kind).toBe('unreadable')
  })

  test('more than 10,000 keys, wherever they are nested', () => {
    expect(between(`{"id":"many",${keys(4_999)}}`)).toMatchObject({ kind: 'alert' })
    expect(between(`{"id":"many","one":1,"two":2,${keys(4_999)}}`)).toMatchObject({
      reason: 'too-many-keys',
      id: 'many',
    })
  })

  test('larger than 4 MiB', () => {
    const large = `{"id":"large","a":"${'x'.repeat(4 * 1024 * 1024)}"}`
    expect(between(large)).toMatchObject({ reason: 'too-large', id: 'large' })
  })

  test.each(['{"x":1}', '{"id":5}', '{"id":null}', '{"id":""}', '{"id":"a","id":7}', '{"__proto__":{"id":"a"}}'])(
    'without an id: %s',
    hostile => {
      const answer = cut(`{"value":[${hostile}]}`)
      expect(answer).toMatchObject({ alerts: [{ kind: 'hostile', reason: 'no-id', id: null }] })
    },
  )

  test.each(['1', 'null', '"text"', '[{"id":"a"}]'])('not an object: %s', hostile => {
    expect(cut(`{"value":[${hostile}]}`)).toMatchObject({ alerts: [{ reason: 'not-an-object', id: null }] })
  })

  test('an id that no key can carry', () => {
    expect(cut('{"value":[{"id":"\\ud800"}]}')).toMatchObject({ alerts: [{ reason: 'bad-id', id: null }] })
    expect(cut(`{"value":[{"id":"${'x'.repeat(1_025)}"}]}`)).toMatchObject({ alerts: [{ reason: 'bad-id', id: null }] })
    expect(cut(`{"value":[{"id":"${'\\u0041'.repeat(1_024)}"}]}`)).toMatchObject({ alerts: [{ kind: 'alert' }] })
  })

  test('odd ids are carried as they are', () => {
    for (const id of ['a/b', '\u2028', 'x'.repeat(300), '..', '__proto__', 'ключ', ' ']) {
      expect(cut(JSON.stringify({ value: [{ id }] }))).toMatchObject({ alerts: [{ kind: 'alert', id }] })
    }
  })

  test('a title is cut to 1,000 characters, never through a pair', () => {
    const title = `${'x'.repeat(999)}😀`
    expect(cut(JSON.stringify({ value: [{ id: 'a', title }] }))).toMatchObject({ alerts: [{ title: 'x'.repeat(999) }] })
  })
})

describe('bounds of a page', () => {
  test('bytes and alerts', () => {
    const limits = { ...SLICE_LIMITS, maxPageBytes: 30, maxAlerts: 2 }
    expect(cut('{"value":[{"id":"a"}]}', limits).kind).toBe('page')
    expect(cut(`{"value":[{"id":"a"}]}${' '.repeat(9)}`, limits).kind).toBe('too-large')
    expect(cut('{"value":[{},{}]}', limits).kind).toBe('page')
    expect(cut('{"value":[{},{},{}]}', limits).kind).toBe('too-large')
  })
})
