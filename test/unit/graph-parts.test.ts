import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { createBudget } from '../../producers/graph/budget.ts'
import { endpoints, listUrl, tokenUrl } from '../../producers/graph/clouds.ts'
import { checkNextLink } from '../../producers/graph/link.ts'
import { httpDateMs, retryAfterMs } from '../../producers/graph/retry-after.ts'
import { providerWarnings } from '../../producers/graph/warnings.ts'

describe('the nextLink guard', () => {
  const list = listUrl(endpoints('global'), 'alerts_v2')
  const good = 'https://graph.microsoft.com/v1.0/security/alerts_v2'

  test.each([
    `${good}?$skip=1000`,
    `${good}?$skiptoken=abc%2F%3D&$filter=lastUpdateDateTime%20ge%202026-11-23T10:00:00Z`,
    `${good}?$filter=lastUpdateDateTime ge 2026-11-23T10:00:00Z&$skip=1`,
    `${good}?x=https://evil.example/@evil`,
    good,
  ])('follows %s', link => {
    expect(checkNextLink(link, list).kind).toBe('ok')
  })

  test.each([
    ['http instead of https', good.replace('https', 'http')],
    ['another host', 'https://evil.example/v1.0/security/alerts_v2?$skip=1'],
    ['a host that begins alike', 'https://graph.microsoft.com.evil.example/v1.0/security/alerts_v2'],
    ['a host that ends alike', 'https://evil-graph.microsoft.com/v1.0/security/alerts_v2'],
    ['an IP address', 'https://20.190.128.1/v1.0/security/alerts_v2'],
    ['an IPv6 address', 'https://[::1]/v1.0/security/alerts_v2'],
    ['another cloud', 'https://graph.microsoft.us/v1.0/security/alerts_v2'],
    ['another port', 'https://graph.microsoft.com:8443/v1.0/security/alerts_v2'],
    ['user information', 'https://graph.microsoft.com@evil.example/v1.0/security/alerts_v2'],
    ['a user at the right host', 'https://me:pw@graph.microsoft.com/v1.0/security/alerts_v2'],
    ['an empty user', 'https://@graph.microsoft.com/v1.0/security/alerts_v2'],
    ['no scheme', '//graph.microsoft.com/v1.0/security/alerts_v2'],
    ['no host', '/v1.0/security/alerts_v2?$skip=1'],
    ['a double slash', 'https://graph.microsoft.com//v1.0/security/alerts_v2'],
    ['three slashes', 'https:///graph.microsoft.com/v1.0/security/alerts_v2'],
    ['backslashes', 'https:\\\\graph.microsoft.com\\v1.0\\security\\alerts_v2'],
    ['a full-width host', 'https://ｇraph.microsoft.com/v1.0/security/alerts_v2'],
    ['a soft hyphen', 'https://graph.micro\u00adsoft.com/v1.0/security/alerts_v2'],
    ['a tab', 'https://graph.microsoft.com/v1.0/security/\talerts_v2'],
    ['a leading space', ` ${good}`],
    ['a line break in the query', `${good}?a=1\r\nhost: evil.example`],
    ['another list', 'https://graph.microsoft.com/v1.0/security/alerts?$skip=1'],
    ['an item of the list', `${good}/abc`],
    ['dot segments', 'https://graph.microsoft.com/v1.0/me/../security/alerts_v2'],
    ['an escaped path', 'https://graph.microsoft.com/v1.0/security/alerts%5Fv2'],
    ['a trailing slash', `${good}/`],
    ['a fragment', `${good}#?$skip=1`],
    ['data', 'data:text/html,x'],
    ['javascript', 'javascript:alert(1)'],
    ['nothing', ''],
    ['17,000 characters', `${good}?${'x'.repeat(17_000)}`],
  ])('refuses %s', (_, link) => {
    expect(checkNextLink(link, list).kind).toBe('refused')
  })

  test.each([
    ['http://graph.microsoft.com/v1.0/security/alerts_v2', 'not https'],
    ['https://evil.example/v1.0/security/alerts_v2', 'another host'],
    ['https://graph.microsoft.com:444/v1.0/security/alerts_v2', 'another port'],
    ['https://a@graph.microsoft.com/v1.0/security/alerts_v2', 'user information in the address'],
    ['https://graph.microsoft.com/v1.0/users', 'another path'],
    ['https://graph.microsoft.com/v1.0/./security/alerts_v2', 'another spelling of the path'],
    ['https://graph.microsoft.com/v1.0/security\\alerts_v2', 'characters that no address of Graph has'],
    ['alerts_v2', 'not an absolute address'],
  ])('%s is refused as %s', (link, why) => {
    expect(checkNextLink(link, list)).toEqual({ kind: 'refused', why })
  })

  test('whatever is followed goes to the list and nowhere else', () => {
    const part = fc.oneof(
      fc.constantFrom(
        'https://',
        'graph.microsoft.com',
        '/v1.0/security/alerts_v2',
        '@',
        ':443',
        '?',
        '#',
        '\\',
        '//',
        '.',
        'evil.example',
      ),
      fc.string(),
    )
    fc.assert(
      fc.property(
        fc.array(part, { maxLength: 6 }).map(parts => parts.join('')),
        link => {
          const checked = checkNextLink(link, list)
          if (checked.kind === 'ok') expect(checked.url.origin + checked.url.pathname).toBe(good)
        },
      ),
      { numRuns: 2_000 },
    )
  })

  test('in the sandbox exactly its origin passes: localhost and 127.0.0.1 are two', () => {
    const sandbox = listUrl(endpoints('global', new URL('http://127.0.0.1:4010/sim/')), 'alerts_v2')
    const path = ':4010/sim/v1.0/security/alerts_v2?$skip=1'
    expect(checkNextLink(`http://127.0.0.1${path}`, sandbox).kind).toBe('ok')
    expect(checkNextLink(`http://localhost${path}`, sandbox).kind).toBe('refused')
    expect(checkNextLink(`https://127.0.0.1${path}`, sandbox).kind).toBe('refused')
    expect(checkNextLink('http://127.0.0.1:4011/sim/v1.0/security/alerts_v2', sandbox).kind).toBe('refused')
    expect(checkNextLink('http://0x7f.1:4010/sim/v1.0/security/alerts_v2', sandbox).kind).toBe('refused')
    expect(checkNextLink(`${good}?$skip=1`, sandbox).kind).toBe('refused')
  })
})

describe('clouds', () => {
  test('each cloud has its own hosts, and the sandbox replaces addresses but not the scope', () => {
    expect(listUrl(endpoints('dod'), 'alerts').href).toBe('https://dod-graph.microsoft.us/v1.0/security/alerts')
    expect(tokenUrl(endpoints('dod'), 'abc').href).toBe('https://login.microsoftonline.us/abc/oauth2/v2.0/token')
    expect(endpoints('china').hasAlertsV2).toBe(false)
    const sandbox = endpoints('usgov', new URL('http://sim:8080'))
    expect(tokenUrl(sandbox, 'abc').href).toBe('http://sim:8080/abc/oauth2/v2.0/token')
    expect(sandbox.scope).toBe('https://graph.microsoft.us/.default')
  })
})

describe('Retry-After', () => {
  const server = Date.parse('2026-11-23T10:00:00Z')

  test.each([
    ['30', 30_000],
    [' 30 ', 30_000],
    ['0', 1_000],
    ['1.5', 1_500],
    ['999999999999999999999', 900_000],
    ['Mon, 23 Nov 2026 10:00:20 GMT', 20_000],
    ['Mon, 23 Nov 2026 09:00:00 GMT', 1_000],
    ['Tue, 23 Nov 2027 10:00:00 GMT', 900_000],
    [['7', '9'], 7_000],
    ['-5', null],
    ['', null],
    ['soon', null],
    ['1e3', null],
    ['0x10', null],
    ['2026-11-23T10:00:20Z', null],
    ['Mon, 99 Nov 2026 10:00:20 GMT', null],
    [undefined, null],
  ])('%j waits %s ms', (value, waitMs) => {
    expect(retryAfterMs(value, server)).toBe(waitMs)
  })

  test('any header gives null or a wait from 1 s to 15 min', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.double().map(String)), text => {
        const waitMs = retryAfterMs(text, server)
        expect(waitMs === null || (waitMs >= 1_000 && waitMs <= 900_000)).toBe(true)
      }),
    )
  })

  test('a Date header is read to the second, anything else is no date', () => {
    expect(httpDateMs('Mon, 23 Nov 2026 10:00:00 GMT')).toBe(server)
    expect(httpDateMs('23 Nov 2026')).toBeNull()
    expect(httpDateMs('1')).toBeNull()
  })
})

describe('the Warning header of a partial answer', () => {
  test('names every provider, joined or repeated, and tells what may pass from what will not', () => {
    const items = ['199 - "Microsoft/WDATP/403/228"', '199 - "Microsoft/Azure Sentinel/504/10000"']
    const expected = [
      { vendor: 'Microsoft', provider: 'WDATP', status: 403, latencyMs: 228, permanent: true },
      { vendor: 'Microsoft', provider: 'Azure Sentinel', status: 504, latencyMs: 10_000, permanent: false },
    ]
    expect(providerWarnings(206, items.join(', '))).toEqual(expected)
    expect(providerWarnings(206, items)).toEqual(expected)
  })

  test.each([401, 403, 404])('%s is permanent', status => {
    expect(providerWarnings(206, `199 - "a/b/${status}/1"`)).toMatchObject([{ permanent: true }])
  })

  test.each([429, 500, 503, 504])('%s may pass', status => {
    expect(providerWarnings(206, `199 - "a/b/${status}/1"`)).toMatchObject([{ permanent: false }])
  })

  test('a 206 is partial whatever its header says', () => {
    const unknown = { status: null, latencyMs: null, permanent: false }
    for (const header of [undefined, '', 'garbage', '199 -', '199 - "', '110 - "stale"']) {
      expect(providerWarnings(206, header)).toEqual([{ vendor: 'unknown', provider: 'unknown', ...unknown }])
    }
    expect(providerWarnings(206, '199 - "a/b"')).toMatchObject([unknown])
    expect(providerWarnings(206, '199 - "a/b/many/1"')).toMatchObject([unknown])
  })

  test('a 200 is complete unless a 199 item says otherwise', () => {
    expect(providerWarnings(200, undefined)).toEqual([])
    expect(providerWarnings(200, '299 - "this list will be retired"')).toEqual([])
    expect(providerWarnings(200, '199 - "a/b/500/1"')).toHaveLength(1)
  })

  test('a token that a server throws back is no name', () => {
    const token = `eyJ0eXAiOiJKV1Qi.${'x'.repeat(40)}.y`
    const [one] = providerWarnings(206, `199 - "Bearer ${token}/${token}/403/5"`)
    expect(JSON.stringify(one)).not.toContain('eyJ0')
    expect(one).toMatchObject({ status: 403 })
  })

  test('what a server writes is bounded and printable', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom('a', '/', '"', '\\', '\u0000', 'é', '😀', ',', ' ', '9'), maxLength: 300 }),
        text => {
          for (const { vendor, provider } of providerWarnings(206, `199 - "${text}/x/500/1"`)) {
            expect(vendor).toMatch(/^[ -~]{1,64}$/)
            expect(provider).toMatch(/^[ -~]{1,64}$/)
          }
        },
      ),
    )
    expect(
      providerWarnings(
        206,
        Array.from({ length: 100 }, () => '199 - "a/b/500/1"'),
      ),
    ).toHaveLength(32)
  })
})

describe('the request budget', () => {
  /** Takes as often as it may until `untilMs`, waiting as told plus some idling; answers the instants of the requests. */
  function spend(
    startMs: number,
    untilMs: number,
    idle: readonly number[],
    whose: 'poller' | 'command' = 'poller',
  ): number[] {
    const budget = createBudget(startMs, whose)
    const sent: number[] = []
    let nowMs = startMs
    for (let i = 0; nowMs < untilMs; i++) {
      const waitMs = budget.take(nowMs)
      if (waitMs === 0) sent.push(nowMs)
      nowMs += waitMs > 0 ? waitMs : (idle[i % idle.length] ?? 0)
    }
    return sent
  }

  function mostInAMinute(sent: readonly number[]): number {
    const sorted = sent.toSorted((a, b) => a - b)
    let most = 0
    let first = 0
    for (const [last, at] of sorted.entries()) {
      while (at - (sorted[first] ?? 0) >= 60_000) first++
      most = Math.max(most, last - first + 1)
    }
    return most
  }

  const idles = fc.array(fc.nat(3_000), { minLength: 1, maxLength: 50 })

  test('no minute of a poller holds more than 106 requests, however they are bunched', () => {
    fc.assert(
      fc.property(idles, idle => {
        expect(mostInAMinute(spend(1e12, 1e12 + 300_000, idle))).toBeLessThanOrEqual(106)
      }),
    )
    const busyAfterRest = [...Array.from({ length: 200 }, () => 0), 120_000]
    const most = mostInAMinute(spend(1e12, 1e12 + 600_000, busyAfterRest))
    expect(most).toBeLessThanOrEqual(106)
    expect(most).toBeGreaterThan(103)
  })

  test('no minute holds more than 146 when the tenant moves to another worker while someone sweeps it by hand', () => {
    fc.assert(
      fc.property(idles, idles, idles, fc.integer({ min: 1, max: 300_000 }), (before, after, sweep, movedMs) => {
        const polls = [...spend(0, movedMs, before), ...spend(movedMs, movedMs + 120_000, after)]
        const sweeps = spend(0, movedMs + 120_000, sweep, 'command')
        expect(mostInAMinute([...polls, ...sweeps])).toBeLessThanOrEqual(146)
      }),
    )
  })

  test('a new tenant starts with two requests, and a wait that was waited for is granted', () => {
    const budget = createBudget(1_000)
    expect([budget.take(1_000), budget.take(1_000)]).toEqual([0, 0])
    const waitMs = budget.take(1_000)
    expect(waitMs).toBe(600)
    expect(budget.take(1_000 + waitMs)).toBe(0)
  })

  test('a clock that is set back grants nothing and blocks nobody', () => {
    const budget = createBudget(1e12)
    expect([budget.take(1e12), budget.take(1e12)]).toEqual([0, 0])
    expect(budget.take(1e12 - 3_600_000)).toBe(600)
    expect(budget.take(1e12 - 3_600_000 + 600)).toBe(0)
  })
})
