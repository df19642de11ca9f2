/** What Graph, Entra and the engine write into headers and links. */
import { retryAfterMs as engineRetryAfterMs } from '../../consumers/engine/retry-after.ts'
import { traceparentIn } from '../../platform/trace.ts'
import { endpoints, listUrl } from '../../producers/graph/clouds.ts'
import { checkNextLink } from '../../producers/graph/link.ts'
import { httpDateMs, retryAfterMs } from '../../producers/graph/retry-after.ts'
import { providerWarnings } from '../../producers/graph/warnings.ts'
import { fromEpochMs } from '../../producers/window.ts'
import type { Target } from './loop.ts'
import { headerOf, joined, must, mustBeWords, partsOf } from './oracle.ts'

const LISTS = [
  ...(['global', 'usgov', 'dod', 'china'] as const).map(cloud => listUrl(endpoints(cloud), 'alerts')),
  listUrl(endpoints('global'), 'alerts_v2'),
  listUrl(endpoints('global', new URL('http://127.0.0.1:8080/graph')), 'alerts_v2'),
]

export const nextLink: Target = {
  name: 'next-link',
  about: 'the guard of the one address that Graph chooses',
  samples: () => [
    ...LISTS.map(list => Buffer.from(`${list.href}?$skiptoken=abc&$top=5`)),
    ...LISTS.map(list => Buffer.from(`${list.href}?$filter=lastUpdateDateTime ge 2026-11-23T10:00:00Z&$skip=500`)),
    Buffer.from('https://graph.microsoft.com@evil.example/v1.0/security/alerts_v2?x'),
    Buffer.from('https://graph.microsoft.com:444/v1.0/security/../security/alerts_v2'),
    Buffer.from('//graph.microsoft.com/v1.0/security/alerts_v2'),
    Buffer.from('https://graph.microsoft.com\\@evil.example/v1.0/security/alerts_v2#x'),
  ],
  words: [
    'https://',
    'http://',
    'graph.microsoft.com',
    '/v1.0/security/alerts_v2',
    '@',
    '\\',
    '#',
    '?',
    ':443',
    ':444',
    '%2e%2e',
    '%00',
    '。',
    'ｇ',
    '\t',
    '[::1]',
    '169.254.169.254',
    'user:pass@',
  ],
  run(input) {
    const link = input.toString()
    return LISTS.map(list => {
      const checked = checkNextLink(link, list)
      if (checked.kind === 'refused') {
        mustBeWords(checked.why, 80, 'the reason')
        return checked.why
      }
      const { url } = checked
      must(url.origin === list.origin && url.host === list.host, `followed to ${url.origin}`)
      must(url.pathname === list.pathname, `followed to ${url.pathname}`)
      must(url.username === '' && url.password === '' && url.hash === '', 'carries more than a query')
      must(/^[\x21-\x7e]*$/.test(url.pathname + url.search), 'holds what no request line may')
      must(new URL(url.href).href === url.href, 'another parser would read it otherwise')
      must(link.length <= 16_384, 'is longer than it may be')
      return url.href
    }).join('\n')
  },
}

export const retryAfter: Target = {
  name: 'retry-after',
  about: 'Retry-After and Date, of Graph and of the engine',
  samples: () =>
    [
      '0',
      '1',
      '30',
      '120.5',
      '-1',
      '99999999999',
      'Mon, 23 Nov 2026 10:00:30 GMT',
      'Fri, 31 Dec 9999 23:59:59 GMT',
    ].map(text => joined([text, 'Mon, 23 Nov 2026 10:00:00 GMT'])),
  words: ['GMT', 'Mon, ', ' Nov ', ' 2026 ', ' 9999 ', ' 0000 ', '00:00:00', '23:59:60', ' 31 Feb ', ' 99 Jan ', '1e9'],
  run(input) {
    const [value, date] = partsOf(input, 2).map(headerOf)
    const nowMs = 1_764_000_000_000
    const graph = retryAfterMs(value, httpDateMs(date) ?? nowMs)
    must(graph === null || (Number.isInteger(graph) && graph >= 1_000 && graph <= 900_000), `Graph: ${graph}`)
    const engine = engineRetryAfterMs(value ?? null, date ?? null, nowMs)
    must(engine === null || (Number.isFinite(engine) && engine >= 0), `the engine: ${engine}`)
    const seconds = /^\d{1,9}$/.test(value?.trim() ?? '') ? Number(value) * 1_000 : null
    if (seconds !== null) {
      must(graph === Math.min(900_000, Math.max(1_000, seconds)), `${value} s are ${graph} ms`)
      must(engine === seconds, `${value} s are ${engine} ms to the engine`)
    }
    const dateMs = httpDateMs(date)
    // a poll asks for windows around it
    if (dateMs !== null) for (const aroundMs of [-4_320 * 3_600_000, 0, 2 * 86_400_000]) fromEpochMs(dateMs + aroundMs)
    return JSON.stringify([graph, engine, dateMs])
  },
}

export const warning: Target = {
  name: 'warning',
  about: 'the Warning header of a partial answer',
  samples: () =>
    [
      '199 - "Microsoft/Defender/504/1000"',
      '199 - "a/b/403/1", 199 - "a/b/c/429/2", 299 - "old"',
      '199 x "a\\"b/c/404/5"',
      '199 - "no slashes"',
      '199 199 199 "',
    ].map(text => joined(['206', text])),
  words: ['199 - "', '"', '/', '/403/', '\\"', '199 ', ', ', '206', '200'],
  run(input) {
    const [status, header] = partsOf(input, 2) as readonly [Buffer, Buffer]
    const code = status.toString() === '206' ? 206 : 200
    const found = providerWarnings(code, headerOf(header))
    must(found.length <= 32 && (code !== 206 || found.length > 0), `${found.length} providers`)
    for (const { vendor, provider, status, latencyMs, permanent } of found) {
      mustBeWords(vendor, 64, 'the vendor')
      mustBeWords(provider, 64, 'the provider')
      must(/^[\x20-\x7e]+$/.test(vendor + provider), 'a name is not printable')
      for (const number of [status, latencyMs]) must(number === null || (number >= 0 && number < 1e9), `${number}`)
      must(permanent === (status === 401 || status === 403 || status === 404), `${status} is called passing`)
    }
    return JSON.stringify(found)
  },
}

export const traceHeader: Target = {
  name: 'trace-header',
  about: 'the traceparent of a record',
  samples: () => [
    Buffer.from('00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'),
    Buffer.from('01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00-more'),
    Buffer.from('ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'),
  ],
  words: ['00-', 'ff-', '-01', '0'.repeat(32), '0'.repeat(16), 'ABCDEF'],
  run(input) {
    const context = traceparentIn({ traceparent: input })
    if (context === null) return 'none'
    must(/^[0-9a-f]{32}$/.test(context.traceId) && /^[0-9a-f]{16}$/.test(context.spanId), 'an id is none')
    return JSON.stringify(context)
  },
}
