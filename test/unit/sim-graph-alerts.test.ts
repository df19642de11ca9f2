import { hash } from 'node:crypto'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { seededRandom } from '../../sandbox/graph/chance.ts'
import { emptyGraphLedger } from '../../sandbox/graph/ledger.ts'
import { openMaker } from '../../sandbox/graph/maker.ts'
import { normaliseStamp, servedStamp, stampOfTicks, stampTicks } from '../../sandbox/graph/stamp.ts'
import { openStore } from '../../sandbox/graph/store.ts'
import { makeTenants, type SimTenant } from '../../sandbox/graph/tenants.ts'

const NOW = Date.parse('2026-11-23T12:00:00Z')
const at = (simMs: number) => ({ simMs, createdAtMs: NOW, visibleAtMs: NOW })

function workshop(options: { legacy?: boolean; seed?: number } = {}) {
  const [tenant] = makeTenants({ count: 1, seed: 7, legacy: options.legacy === true ? 1 : 0 }) as [SimTenant]
  const ledger = emptyGraphLedger()
  const store = openStore(tenant.tenantId, tenant.source, ledger)
  const maker = openMaker(tenant, store, { seed: options.seed ?? 1, hostileShare: 0 })
  const bytes = () => store.visible(NOW).map(row => row.bytes.toString())
  return { tenant, ledger, store, maker, bytes }
}

describe('stamps', () => {
  test('any served form becomes 7 digits that lie in the same millisecond and sort as text', () => {
    const ms = fc.integer({ min: 0, max: 4_000_000_000_000 })
    fc.assert(
      fc.property(ms, fc.integer(), (now, seed) => {
        const text = servedStamp(seededRandom(seed), now)
        const normal = normaliseStamp(text) ?? ''
        expect(normal).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z$/)
        expect(Date.parse(normal)).toBeLessThanOrEqual(now)
        // with few digits a stamp is cut, never by a second or more
        expect(Date.parse(normal)).toBeGreaterThan(now - 1000)
        expect(stampOfTicks(stampTicks(normal))).toBe(normal)
        expect(stampOfTicks(stampTicks(normal) + 1n) > normal).toBe(true)
      }),
    )
  })

  test('all numbers of fraction digits from 0 to 7 are served', () => {
    const random = seededRandom(3)
    const digits = Array.from({ length: 500 }, () => /\.(\d+)Z$/.exec(servedStamp(random, NOW))?.[1]?.length ?? 0)
    expect([...new Set(digits)].toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
  })

  test.each([
    ['2026-11-23T10:11:12Z', '2026-11-23T10:11:12.0000000Z'],
    ['2026-11-23T10:11:12.51Z', '2026-11-23T10:11:12.5100000Z'],
    ['2026-11-23T10:11:12.1234567+13:45', '2026-11-22T20:26:12.1234567Z'],
    ['2026-01-01T00:00:00.0000001-01:00', '2026-01-01T01:00:00.0000001Z'],
  ])('%s is %s', (text, normal) => {
    expect(normaliseStamp(text)).toBe(normal)
  })

  test.each([
    '',
    'soon',
    '2026-02-30T00:00:00Z',
    '2026-11-23T23:59:60Z',
    '2026-11-23T24:00:00Z',
    '2026-11-23',
    "'2026-11-23T10:11:12Z'",
    '2026-11-23T10:11:12.12345678Z',
    '2026-11-23T10:11:12',
  ])('%s is no instant', text => {
    expect(normaliseStamp(text)).toBeUndefined()
  })
})

describe('made-up alerts', () => {
  test.each([false, true])('have 3 to 6 KB and the members the ledger says (legacy: %s)', legacy => {
    const { maker, ledger, bytes, tenant } = workshop({ legacy })
    for (let place = 0; place < 200; place++) maker.create(at(NOW - 1_000_000 + place * 1000))
    for (let place = 0; place < 50; place++) maker.update(at(NOW))
    const current = ledger.revisions.filter(revision => revision.visibleUntilMs === null)
    expect(bytes()).toHaveLength(current.length)
    const bySha = new Map(ledger.revisions.map(revision => [revision.sha256, revision]))
    for (const text of bytes()) {
      const revision = bySha.get(hash('sha256', text, 'hex'))
      const alert = JSON.parse(text) as Record<string, unknown>
      const served = alert[legacy ? 'lastModifiedDateTime' : 'lastUpdateDateTime']
      expect(alert.id).toBe(revision?.alertId)
      expect(served).toBe(revision?.versionText)
      expect(revision?.version).toBe(normaliseStamp(String(served)))
      expect(alert[legacy ? 'azureTenantId' : 'tenantId']).toBe(tenant.tenantId)
      expect(text.length).toBeGreaterThan(3000)
      expect(text.length).toBeLessThan(6000)
    }
  })

  test('have ten or more types of evidence among them, and nulls', () => {
    const { maker, bytes } = workshop()
    for (let place = 0; place < 100; place++) maker.create(at(NOW))
    const types = new Set(bytes().flatMap(text => text.match(/#microsoft\.graph\.security\.\w+Evidence/g) ?? []))
    expect(types.size).toBeGreaterThanOrEqual(10)
    expect(bytes().every(text => text.includes(':null'))).toBe(true)
  })

  test('are the same for the same seed, and others for another', () => {
    const texts = [1, 1, 2].map(seed => {
      const { maker, bytes } = workshop({ seed })
      for (let place = 0; place < 20; place++) maker.create(at(NOW - place))
      maker.update(at(NOW))
      return bytes().join('\n')
    })
    expect(texts[0]).toBe(texts[1])
    expect(texts[0]).not.toBe(texts[2])
  })

  test('an update is always newer than what it replaces, also within one millisecond', () => {
    const { maker, ledger } = workshop()
    const { alertId } = maker.create(at(NOW))
    for (let place = 0; place < 100; place++) maker.update(at(NOW), { alertId: alertId ?? '' })
    const versions = ledger.revisions.map(revision => revision.version ?? '')
    expect(versions).toEqual([...new Set(versions)].toSorted())
    expect(versions).toHaveLength(101)
  })
})

describe('hostile alerts', () => {
  function hostileTexts(legacy = false) {
    const { maker, ledger, bytes, tenant } = workshop({ legacy })
    for (let place = 0; place < 300; place++) maker.create(at(NOW - place * 1000), { hostile: true })
    return { ledger, texts: bytes(), tenant }
  }

  test.each([false, true])('are valid JSON whose reader finds what the ledger says (legacy: %s)', legacy => {
    const { ledger, texts } = hostileTexts(legacy)
    expect(texts).toHaveLength(300)
    expect(ledger.revisions.every(revision => revision.fate === 'deliver')).toBe(true)
    const byId = new Map(ledger.revisions.map(revision => [revision.alertId, revision]))
    for (const text of texts) {
      const alert = JSON.parse(text) as Record<string, unknown>
      const revision = byId.get(String(alert.id))
      expect(revision?.sha256).toBe(hash('sha256', text, 'hex'))
      expect(normaliseStamp(String(alert[legacy ? 'lastModifiedDateTime' : 'lastUpdateDateTime']))).toBe(
        revision?.version,
      )
    }
  })

  test('play every trick', () => {
    const { ledger, texts } = hostileTexts()
    const all = texts.join('\n')
    for (const trick of [
      '\\r\\nLF',
      '\\u001b[31m',
      '\u2028',
      '"__proto__":{',
      '9007199254740993',
      '1e400',
      '\r\n  "',
      '"id":"\\u006f',
      '\\ud83d lone',
      '[{"a":[{"a":',
    ]) {
      expect(all.includes(trick), trick).toBe(true)
    }
    expect(texts.some(text => (text.match(/"lastUpdateDateTime":/g) ?? []).length === 2)).toBe(true)
    expect(texts.some(text => text.length > 100_000)).toBe(true)
    const ids = ledger.revisions.map(revision => revision.alertId ?? '')
    expect(ids.some(id => id.length >= 300)).toBe(true)
    expect(ids.some(id => id.includes('/') && id.includes('%2F'))).toBe(true)
    expect(ids.some(id => id.includes('\u2028'))).toBe(true)
    expect(new Set(ids).size).toBe(ids.length)
  })
})
