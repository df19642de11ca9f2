import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { scanBatch } from '../../sandbox/engine/scan.ts'

const scan = (text: string) => scanBatch(Buffer.from(text))

describe('the scanner', () => {
  test('cuts each alert out byte for byte, whatever JSON it is and wherever it stands', () => {
    const space = fc.constantFrom('', ' ', '\n', '\r\n\t ')
    // escapes, nesting and brackets inside strings come from real JSON with odd white space around it
    const json = fc
      .tuple(fc.json({ maxDepth: 5 }), fc.boolean())
      .map(([text, pretty]) => (pretty ? JSON.stringify(JSON.parse(text), null, 2) : text))
    const name = fc.string({ unit: 'grapheme' })
    const item = fc.record({ id: name, alertId: name, before: json, alert: json, last: fc.boolean(), s: space })
    fc.assert(
      fc.property(fc.array(item, { maxLength: 5 }), space, (items, s) => {
        const texts = items.map(({ id, alertId, before, alert, last, s: t }) => {
          const members = [
            `"id":${t}${JSON.stringify(id)}`,
            `"alertId"${t}:${JSON.stringify(alertId)}`,
            `"x":${before}`,
          ]
          const cut = `${t}"alert"${t}:${t}${alert}`
          return `{${(last ? [...members, cut] : [cut, ...members]).join(`${t},`)}${t}}`
        })
        const body = `${s}{${s}"z":[{}]${s},"items"${s}:${s}[${s}${texts.join(`${s},${s}`)}${s}]${s}}${s}`
        const found = scan(body)
        if (found.kind === 'bad') throw new Error(`${found.message}: ${body}`)
        expect(found.items.map(each => each.alert?.toString())).toEqual(items.map(each => each.alert))
        expect(found.items.map(each => each.members.id)).toEqual(items.map(each => each.id))
        expect(found.items.map(each => each.members.alertId)).toEqual(items.map(each => each.alertId))
      }),
    )
  })

  test('keeps numbers, escapes, duplicates and raw line separators of an alert as they are', () => {
    const alert = '{ "n":9007199254740993,"n":1e400 ,"s":"\\u0041\\"]},{" , "u":"\u2028","__proto__":{"x":[[[]]]} }'
    const found = scan(`{"items":[{"alert":${alert},"id":"a"}]}`)
    expect(found.kind === 'items' && found.items[0]?.alert?.toString()).toBe(alert)
  })

  test('takes the last of two members of one name, and members of any name as data', () => {
    const found = scan('{"items":[{"id":"a","id":"b","__proto__":{"polluted":1},"alert":1,"alert":{"x":2}}]}')
    expect(found.kind === 'items' && found.items[0]?.members.id).toBe('b')
    expect(found.kind === 'items' && found.items[0]?.alert?.toString()).toBe('{"x":2}')
    expect(({} as Record<string, unknown>).polluted).toBeUndefined()
  })

  test.each([
    '',
    '[]',
    '{}',
    '{"items":{}}',
    '{"items":[1]}',
    '{"items":[{"alert":{}]}',
    '{"items":[{"alert":{}}',
    '{"items":[{"id":"a" "alert":{}}]}',
    '{"items":[{"id":nonsense,"alert":{}}]}',
    '{"items":[{"alert":{}},]}',
    '{"items":[]} x',
    '{"items":[{"id":"a}]}',
    '{"items":[{id:"a"}]}',
    '{"items":[{"alert":}]}',
  ])('refuses %s', text => {
    expect(scan(text).kind).toBe('bad')
  })

  test('refuses bytes that are no UTF-8 outside an alert', () => {
    const body = Buffer.concat([Buffer.from('{"items":[{"id":"'), Buffer.from([0xff]), Buffer.from('","alert":{}}]}')])
    expect(scanBatch(body).kind).toBe('bad')
  })

  test('is not felled by depth', () => {
    const deep = `${'['.repeat(200_000)}${']'.repeat(200_000)}`
    const found = scan(`{"items":[{"alert":${deep}}]}`)
    expect(found.kind === 'items' && found.items[0]?.alert?.length).toBe(400_000)
  })
})
