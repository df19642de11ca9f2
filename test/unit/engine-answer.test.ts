import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { readItems, readRefusal } from '../../consumers/engine/answer.ts'
import { plainText } from '../../consumers/engine/plain-text.ts'
import { retryAfterMs } from '../../consumers/engine/retry-after.ts'
import { readTrouble } from '../../consumers/engine/trouble.ts'
import { registerSecret } from '../../platform/log-scrub.ts'

function fatesOf(ids: string[], list: unknown) {
  const answer = readItems(200, JSON.stringify({ items: list }), ids)
  return answer.kind === 'items' ? answer.fates.map(fate => fate.kind) : answer.kind
}

describe('a 2xx answer', () => {
  test('is read in any order and brought into the order that was sent', () => {
    const list = [
      { id: 'c', status: 422, error: 'no' },
      { id: 'a', status: 201 },
      { id: 'd', status: 429 },
      { id: 'b', status: 409 },
    ]
    expect(readItems(207, JSON.stringify({ errors: true, items: list }), ['a', 'b', 'c', 'd'])).toEqual({
      kind: 'items',
      fates: [
        { kind: 'accepted' },
        { kind: 'known' },
        { kind: 'rejected', status: 422, error: 'no' },
        { kind: 'again', detail: 'status 429' },
      ],
    })
  })

  test('says the same in the order that was sent as in any other', () => {
    const told = fc.record({
      status: fc.constantFrom<unknown>(200, 204, 409, 422, 429, 503, 302, null, '200'),
      error: fc.constantFrom<unknown>('no', 7, undefined),
    })
    fc.assert(
      fc.property(fc.array(told, { minLength: 1, maxLength: 8 }), fc.infiniteStream(fc.nat()), (all, chance) => {
        const list = all.map((one, n) => ({ id: `item-${n}`, ...one }))
        const ids = list.map(({ id }) => id)
        const shuffled = list.toSorted(() => ((chance.next().value ?? 0) % 2) - 0.5)
        const read = (items: unknown) => readItems(200, JSON.stringify({ items }), ids)
        expect(read(shuffled)).toEqual(read(list))
      }),
    )
  })

  test.each([
    [200, 'accepted'],
    [204, 'accepted'],
    [299, 'accepted'],
    [409, 'known'],
    [400, 'rejected'],
    [401, 'rejected'],
    [404, 'rejected'],
    [413, 'rejected'],
    [422, 'rejected'],
    [499, 'rejected'],
    [408, 'again'],
    [425, 'again'],
    [429, 'again'],
    [500, 'again'],
    [503, 'again'],
    [599, 'again'],
    [600, 'again'],
    [302, 'again'],
    [100, 'again'],
    [0, 'again'],
    [-200, 'again'],
    [200.5, 'again'],
    ['200', 'again'],
    [null, 'again'],
    [true, 'again'],
    [undefined, 'again'],
  ])('item status %s means %s', (status, kind) => {
    expect(
      fatesOf(
        ['a', 'other'],
        [
          { id: 'a', status },
          { id: 'other', status: 200 },
        ],
      ),
    ).toEqual([kind, 'accepted'])
  })

  test('that leaves an item out has not delivered it', () => {
    expect(fatesOf(['a', 'b'], [{ id: 'b', status: 200 }])).toEqual(['again', 'accepted'])
  })

  test('may name ids that were never sent, also hostile ones, without any effect', () => {
    const strange = ['__proto__', 'constructor', 'toString', 'zzz'].map(id => ({ id, status: 200 }))
    expect(fatesOf(['a'], [...strange, { id: 'a', status: 400 }, ...strange])).toEqual(['rejected'])
    expect(fatesOf(['toString', 'a'], [{ id: 'a', status: 200 }])).toEqual(['again', 'accepted'])
  })

  test('that repeats itself counts once; one that contradicts itself counts as no answer, however often', () => {
    expect(
      fatesOf(
        ['a'],
        [
          { id: 'a', status: 200 },
          { id: 'a', status: 202 },
        ],
      ),
    ).toEqual(['accepted'])
    const torn = [
      { id: 'a', status: 200 },
      { id: 'a', status: 400 },
      { id: 'a', status: 200 },
      { id: 'b', status: 200 },
    ]
    expect(fatesOf(['a', 'b'], torn)).toEqual(['again', 'accepted'])
  })

  test.each([
    ['nothing', ''],
    ['HTML', '<html>OK</html>'],
    ['a byte order mark', '\ufeff{"items":[{"id":"a","status":200}]}'],
    ['half of the JSON', '{"items":[{"id":"a","status":200}'],
    ['an array', '[{"id":"a","status":200}]'],
    ['null', 'null'],
    ['no items', '{}'],
    ['items that are no array', '{"items":{"a":200}}'],
    ['no item of ours', '{"items":[{"id":"x","status":200},null,7,[],{"status":200},{"id":7,"status":200}]}'],
    ['brackets a million deep', '['.repeat(1_000_000)],
  ])('with %s is trouble of the engine, not of the items', (_, text) => {
    expect(readItems(202, text, ['a'])).toMatchObject({ kind: 'again', busy: false, retryAfterMs: null })
  })

  test('is never taken for more than it says, whatever the JSON', () => {
    fc.assert(
      fc.property(fc.json(), text => {
        const answer = readItems(200, text, ['an id that no generator makes'])
        expect(answer.kind).toBe('again')
      }),
    )
  })

  test('that throws our token back has it masked, in items as in refusals', () => {
    const token = 'engine-token-of-the-test-4d41402abc4b'
    registerSecret(token)
    const pad = 'x'.repeat(450)
    const item = readItems(200, JSON.stringify({ items: [{ id: 'a', status: 422, error: `${pad} no ${token}` }] }), [
      'a',
    ])
    const refused = readRefusal(503, `{"echo":"Bearer ${token}"}`, null)
    for (const answer of [item, refused]) {
      expect(JSON.stringify(answer)).toContain('[secret]')
      expect(JSON.stringify(answer)).not.toContain(token.slice(0, 16))
    }
  })

  test('of 100,000 levels, or with members of a prototype, is read like any other', () => {
    const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`
    expect(readItems(200, `{"items":[{"id":"a","status":${deep}}]}`, ['a'])).toMatchObject({ kind: 'again' })
    expect(readItems(200, deep, ['a'])).toMatchObject({ kind: 'again' })
    const proto = '{"items":[{"__proto__":{"id":"a","status":200}},{"id":"__proto__","status":200}]}'
    expect(readItems(200, proto, ['a', '__proto__'])).toMatchObject({
      fates: [{ kind: 'again' }, { kind: 'accepted' }],
    })
  })

  test('has its error texts bounded and without control characters', () => {
    const error = `\u001b[31mred\r\nHTTP/1.1 200 OK\u2028\u202egnol ${'x'.repeat(100_000)}`
    const answer = readItems(200, JSON.stringify({ items: [{ id: 'a', status: 400, error }] }), ['a'])
    const fate = answer.kind === 'items' ? answer.fates[0] : undefined
    expect(fate).toMatchObject({ kind: 'rejected', status: 400 })
    const said = fate?.kind === 'rejected' ? fate.error : ''
    expect(said).toHaveLength(500)
    expect(said).toMatch(/^\[31mred HTTP\/1\.1 200 OK gnol x+$/)
  })

  test.each([[{ text: 'x' }], [['x']], [7], [null]])('with the error %j, which is no text, has none', error => {
    const answer = readItems(200, JSON.stringify({ items: [{ id: 'a', status: 400, error }] }), ['a'])
    expect(answer).toEqual({ kind: 'items', fates: [{ kind: 'rejected', status: 400, error: '' }] })
  })
})

describe('a refused request', () => {
  test.each([
    [400, 'bad-batch'],
    [422, 'bad-batch'],
    [413, 'too-large'],
    [415, 'bad-encoding'],
    [408, 'again'],
    [409, 'again'],
    [425, 'again'],
    [429, 'again'],
    [500, 'again'],
    [502, 'again'],
    [503, 'again'],
    [504, 'again'],
    [599, 'again'],
    [301, 'blocked'],
    [302, 'blocked'],
    [304, 'blocked'],
    [307, 'blocked'],
    [308, 'blocked'],
    [401, 'blocked'],
    [402, 'blocked'],
    [403, 'blocked'],
    [404, 'blocked'],
    [405, 'blocked'],
    [406, 'blocked'],
    [410, 'blocked'],
    [451, 'blocked'],
  ])('with %i is %s', (status, kind) => {
    expect(readRefusal(status, '', null).kind).toBe(kind)
  })

  test('says busy only where the engine asks for a pause, and passes on for how long', () => {
    expect(readRefusal(429, 'slow down', 7_000)).toEqual({
      kind: 'again',
      busy: true,
      retryAfterMs: 7_000,
      detail: 'HTTP 429: slow down',
    })
    expect(readRefusal(503, '', null)).toMatchObject({ busy: true })
    expect(readRefusal(500, '', null)).toMatchObject({ busy: false })
  })

  test('that blocks says what to look at', () => {
    expect(readRefusal(401, 'expired', null)).toMatchObject({ detail: expect.stringContaining('token') })
    expect(readRefusal(308, '', null)).toMatchObject({ detail: expect.stringContaining('ENGINE_URL') })
    expect(readRefusal(404, '', null)).toMatchObject({ detail: expect.stringContaining('ENGINE_URL') })
  })
})

describe('Retry-After', () => {
  const now = Date.parse('2026-11-23T10:00:00Z')
  test.each([
    ['0', 0],
    ['120', 120_000],
    [' 5 ', 5_000],
    ['Mon, 23 Nov 2026 10:00:30 GMT', 30_000],
    ['Mon, 23 Nov 2026 09:00:00 GMT', 0],
    ['-5', null],
    ['1.5', null],
    ['soon', null],
    ['', null],
    ['99999999999999999999', null],
    ['2026-11-23T10:00:30Z', null],
    ['Mon, 99 Nov 2026 99:00:30 GMT', null],
    [null, null],
  ])('%j is %j ms', (value, ms) => {
    expect(retryAfterMs(value, null, now)).toBe(ms)
  })

  test('as a date counts from the clock of the engine, not from ours', () => {
    const value = 'Mon, 23 Nov 2026 08:00:30 GMT'
    expect(retryAfterMs(value, 'Mon, 23 Nov 2026 08:00:00 GMT', now)).toBe(30_000)
  })
})

describe('what a failed request threw', () => {
  function failed(code: string, inner?: Error): Error {
    return Object.assign(new Error(`it said ${code}`, inner ? { cause: inner } : {}), { code })
  }

  test.each([
    ['ECONNREFUSED', 'again'],
    ['ECONNRESET', 'again'],
    ['EPIPE', 'again'],
    ['ETIMEDOUT', 'again'],
    ['EHOSTUNREACH', 'again'],
    ['EAI_AGAIN', 'again'],
    ['UND_ERR_SOCKET', 'again'],
    ['UND_ERR_CONNECT_TIMEOUT', 'again'],
    ['HPE_INVALID_CONSTANT', 'again'],
    ['ENOTFOUND', 'blocked'],
    ['CERT_HAS_EXPIRED', 'blocked'],
    ['DEPTH_ZERO_SELF_SIGNED_CERT', 'blocked'],
    ['SELF_SIGNED_CERT_IN_CHAIN', 'blocked'],
    ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'blocked'],
    ['ERR_TLS_CERT_ALTNAME_INVALID', 'blocked'],
    ['ERR_SSL_WRONG_VERSION_NUMBER', 'blocked'],
  ])('with code %s is %s', (code, kind) => {
    expect(readTrouble(failed(code)).kind).toBe(kind)
    expect(readTrouble(failed('UND_ERR_SOCKET', failed(code))).kind).toBe(kind)
    expect(readTrouble(new AggregateError([failed(code)], 'all addresses')).kind).toBe(kind)
  })

  test('ends even when its causes run in a circle, and never holds a line break', () => {
    const error = new Error('a\nb')
    error.cause = error
    expect(readTrouble(error)).toEqual({ kind: 'again', detail: 'a b' })
    expect(readTrouble('odd')).toEqual({ kind: 'again', detail: 'odd' })
  })
})

test('foreign text is one well-formed line of bounded length, whatever it was', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 300 }), fc.integer({ min: 1, max: 100 }), (text, max) => {
      const plain = plainText(`${text}\n\u009b\u202e\ud800${text}`, max)
      expect(plain.length).toBeLessThanOrEqual(max)
      expect(plain.isWellFormed()).toBe(true)
      expect(plain).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u)
    }),
  )
})
