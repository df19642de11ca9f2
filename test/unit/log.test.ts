import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createLog, type Log, type LogLevel } from '../../platform/log.ts'
import { registerSecret, scrub } from '../../platform/log-scrub.ts'
import { TransientError } from '../../platform/retry.ts'

const NOW = Date.parse('2026-11-23T10:11:12.123Z')

/** A log that keeps what it writes. */
function listen(level: LogLevel = 'debug'): {
  readonly log: Log
  readonly raw: () => string
  readonly last: () => LogLine
} {
  let raw = ''
  const destination = { write: (line: string) => (raw += line) }
  const log = createLog({ level, service: 'poller', destination, clock: { now: () => NOW } })
  return { log, raw: () => raw, last: () => JSON.parse(raw.trimEnd().split('\n').at(-1) ?? '') as LogLine }
}

type LogLine = Readonly<Record<string, unknown>>

describe('a line', () => {
  test('carries level as a word, ISO time, service, fields and message', () => {
    const { log, raw } = listen()
    log.info('turn ended', { tenant: 'abc', listed: 3 })
    expect(raw()).toBe(
      '{"level":"info","time":"2026-11-23T10:11:12.123Z","service":"poller","tenant":"abc","listed":3,"msg":"turn ended"}\n',
    )
  })

  test('below the level is not written', () => {
    const { log, raw } = listen('warn')
    log.debug('a')
    log.info('b')
    log.warn('c')
    log.error('d')
    expect(raw().match(/"msg":"."/g)).toEqual(['"msg":"c"', '"msg":"d"'])
  })

  test('of a child carries its fields too, the nearest wins, and no key stands twice', () => {
    const { log, raw, last } = listen()
    log.child({ lane: 1, tenant: 'a' }).child({ tenant: 'b' }).info('x', { lane: 2 })
    expect(last()).toMatchObject({ lane: 2, tenant: 'b' })
    expect(raw().match(/"lane"/g)).toHaveLength(1)
  })

  test('keeps its own keys when a field has the same name', () => {
    const { log, raw, last } = listen()
    log.warn('real', { level: 'info', msg: 'forged', time: 0, service: 'x' })
    expect(last()).toMatchObject({ level: 'warn', msg: 'real', level_: 'info', msg_: 'forged' })
    expect(raw().match(/"level":/g)).toHaveLength(1)
  })

  test('is one line for every reader, whatever is in it', () => {
    const odd = fc.constantFrom(
      '\n',
      '\r',
      '\u2028',
      '\u2029',
      '\u0085',
      '\u009b',
      '\u007f',
      '\u0000',
      '\u202e',
      '\ud800',
      '"',
      '\\',
    )
    const text = fc.array(fc.oneof(odd, fc.string({ unit: 'binary' })), { maxLength: 8 }).map(parts => parts.join(''))
    fc.assert(
      fc.property(text, text, text, (message, key, value) => {
        const { log, raw } = listen()
        log.info(message, { [key]: value, list: [value], error: new Error(value) })
        expect(raw().slice(0, -1)).toMatch(/^\{[^\p{Cc}\p{Zl}\p{Zp}\p{Cs}\u202e]*\}$/u)
        expect(() => JSON.parse(raw()) as unknown).not.toThrow()
      }),
    )
  })

  test('shows a field named __proto__ as any other', () => {
    const fields = JSON.parse('{"__proto__":{"a":1},"b":2}') as Record<string, unknown>
    const lines: string[] = []
    createLog({ level: 'info', service: 'x', destination: { write: line => lines.push(line) } }).info('m', fields)
    expect(lines.join()).toContain('"__proto__":{"a":1},"b":2')
  })

  test('never takes text for a format', () => {
    const { log, last } = listen()
    log.info('100%s %o %d', { a: 'x' })
    expect(last()['msg']).toBe('100%s %o %d')
  })
})

describe('bounds', () => {
  test('texts, lists, depth, keys and the whole event are bounded', () => {
    const { log, raw, last } = listen()
    let deep: unknown = 'bottom'
    for (let i = 0; i < 50; i++) deep = { deep }
    log.info('m'.repeat(100_000), {
      text: 'x'.repeat(1_000_000),
      list: Array.from({ length: 10_000 }, (_, i) => i),
      keys: Object.fromEntries(Array.from({ length: 1_000 }, (_, i) => [`k${i}`, 'v'.repeat(3_000)])),
      deep,
    })
    expect(raw().length).toBeLessThan(40_000)
    expect(last()['text']).toMatch(/^x{2000}… \(1000000 characters\)$/)
    expect((last()['list'] as unknown[]).length).toBe(41)
  })

  test('many small values in a wide tree are bounded as a whole', () => {
    const { log, raw } = listen()
    const wide = (depth: number): unknown => (depth === 0 ? 1 : Array.from({ length: 30 }, () => wide(depth - 1)))
    log.info('x', { tree: wide(4) })
    expect(raw().length).toBeLessThan(5_000)
    expect(raw()).toContain('[cut]')
  })

  test('odd values become words', () => {
    const { log, last } = listen()
    const loop: Record<string, unknown> = {}
    loop['self'] = loop
    log.info('x', {
      big: 2n ** 70n,
      nan: Number.NaN,
      bytes: Buffer.from('secret content'),
      map: new Map([['a', 1]]),
      set: new Set([1]),
      date: new Date(0),
      bad: new Date(Number.NaN),
      fn: () => 1,
      none: null,
      loop,
      getter: Object.defineProperty({}, 'boom', {
        enumerable: true,
        get: () => {
          throw new Error('no')
        },
      }),
      json: { toJSON: () => 'should not be called' },
    })
    expect(last()).toMatchObject({
      big: '1180591620717411303424',
      nan: 'NaN',
      bytes: '[14 bytes]',
      map: { a: 1 },
      set: [1],
      date: '1970-01-01T00:00:00.000Z',
      bad: '[no date]',
      fn: '[function]',
      none: null,
      loop: { self: { self: { self: { self: '[deeper]' } } } },
      getter: { boom: '[unreadable]' },
      json: { toJSON: '[function]' },
    })
  })
})

describe('errors', () => {
  test('show name, code, message and causes, and nothing that libraries hang on them', () => {
    const { log, last, raw } = listen()
    const cause = Object.assign(new Error('connect refused'), { code: 'ECONNREFUSED' })
    const error = Object.assign(new Error('send failed', { cause }), { config: { headers: { authorization: 'x' } } })
    log.warn('later', { error })
    expect(last()['error']).toEqual({
      name: 'Error',
      message: 'send failed',
      cause: { name: 'Error', code: 'ECONNREFUSED', message: 'connect refused' },
    })
    expect(raw()).not.toContain('headers')
  })

  test('show their frames at level error only, and only for faults of the code', () => {
    const { log, last } = listen()
    log.error('fault', { error: new TypeError('x is not a function') })
    expect(last()).toMatchObject({
      error: { name: 'TypeError', stack: expect.stringMatching(/^at .*log\.test\.ts/) as string },
    })
    log.warn('fault', { error: new TypeError('x') })
    expect(last()['error']).not.toHaveProperty('stack')
    log.error('outage', { error: new TransientError('engine answered 503') })
    expect(last()['error']).toEqual({ name: 'TransientError', code: 'transient', message: 'engine answered 503' })
  })

  test('that lie about themselves do not break the log', () => {
    const { log, last } = listen()
    const error = new Error('x')
    Object.defineProperty(error, 'message', {
      get: () => {
        throw new Error('gotcha')
      },
    })
    Object.defineProperty(error, 'code', { value: { toString: () => 'boo' } })
    log.error('x', { error })
    expect(last()['error']).toMatchObject({ name: 'Error', message: '' })
  })

  test('with endless messages and chains are cut', () => {
    const { log, raw } = listen()
    let error = new Error('first')
    for (let i = 0; i < 100; i++) error = new Error('m'.repeat(100_000), { cause: error })
    log.error('x', { error })
    expect(raw().length).toBeLessThan(10_000)
  })
})

describe('secrets', () => {
  const jwt = ['eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9', 'eyJ0aWQiOiJhYmMifQ', 'c2lnbmF0dXJlLXNpZ25hdHVyZQ'].join('.')
  const entra = `abc8Q~${'Sentinel'.repeat(4)}aa`

  test('planted at several depths and in messages never come out', () => {
    registerSecret('sentinel-known-1\n')
    const { log, raw } = listen()
    const known = 'sentinel-known-1'
    const error = new Error(`401 for ${known}: Authorization: Bearer ${jwt}`, {
      cause: new Error(`at https://u:${known}@h/`),
    })
    error.stack = `Error: ${known}\n    at send (${known}.ts:1:1)`
    for (const level of ['debug', 'info', 'warn', 'error'] as const) {
      log.child({ bound: { a: { b: known } } })[level](`message ${known} and ${jwt}`, {
        [`key ${known}`]: 1,
        list: [[{ text: `…${known}…` }]],
        url: new URL(`https://user:sentinel-pass@host/?client_secret=sentinel-query&x=1`),
        map: new Map([[known, known]]),
        password: 'sentinel-short',
        clientSecret: { deep: 'sentinel-deep' },
        headers: { Authorization: 'sentinel-header', 'x-api-key': 'sentinel-api' },
        body: `grant_type=client_credentials&client_secret=sentinel-body&assertion=sentinel-assertion`,
        json: '{"access_token":"sentinel-json","token":"sentinel-token"}',
        entra,
        key: '-----BEGIN PRIVATE KEY-----\nsentinel-pem\n-----END PRIVATE KEY-----',
        error,
      })
    }
    expect(raw()).not.toMatch(/sentinel/i)
    expect(raw()).not.toContain('eyJ0aWQ')
    expect(raw()).toContain('…[secret]…')
  })

  test('are masked when they are URL-encoded, overlap, or lie at the edge of a cut', () => {
    registerSecret('p@ss/word one')
    registerSecret('overlap-a')
    registerSecret('overlap-a-and-more')
    expect(scrub('x=p%40ss%2Fword%20one')).toBe('x=[secret]')
    expect(scrub('overlap-a-and-more overlap-a')).toBe('[secret] [secret]')
    expect(scrub(`${'x'.repeat(95)}p@ss/word one`, 100)).not.toContain('p@ss')
  })

  test.each([
    ['Bearer abcdefghijklmnop.qrs-tuv', 'Bearer [secret]'],
    ['authorization: Basic dXNlcjpwYXNz', 'authorization: [secret]'],
    ['Basic dXNlcjpwYXNz', 'Basic [secret]'],
    ['postgres://u:p@ss@db/x', 'postgres://[secret]@db/x'],
    ['password=hunter2 next', 'password=[secret] next'],
    ['"client_secret": "abc"', '"client_secret": "[secret]"'],
    ['whsec_MfKQ9r8GKYqrTwjU', '[secret]'],
    [`token ${jwt.slice(0, 40)}`, 'token [token]'],
  ])('in the shape of %s are masked', (text, masked) => {
    expect(scrub(text)).toBe(masked)
  })

  test.each([
    'AADSTS7000222: The provided client secret keys for app are expired.',
    'the token: expired at noon',
    'Basic authentication is off',
    'https://graph.microsoft.com/v1.0/security/alerts_v2?$top=1000',
    'a@b.example wrote',
    'Bearer token missing',
  ])('are not seen where there are none: %s', text => {
    expect(scrub(text)).toBe(text)
  })

  test('too short to be masked without garbling everything are left', () => {
    registerSecret('abc')
    expect(scrub('abcdef')).toBe('abcdef')
  })

  test('in great number are all found', () => {
    for (let i = 0; i < 20_000; i++) registerSecret(`tenant-secret-${i}-${i * 7919}`)
    expect(scrub('a tenant-secret-0-0, b tenant-secret-19999-158372081, c tenant-secret-none')).toBe(
      'a [secret], b [secret], c tenant-secret-none',
    )
  })
})
