import { hash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { buildBody, ENVELOPE_BYTES } from '../../consumers/engine/body.ts'
import { groupItems } from '../../consumers/engine/group.ts'
import { type EngineItem, itemBytes } from '../../consumers/engine/item.ts'
import { TenantDirectory } from '../../consumers/enrich.ts'
import { type EngineFormat, itemOf } from '../../consumers/format.ts'
import { Ledger } from '../../consumers/ledger.ts'
import type { Chosen } from '../../consumers/replay/scan.ts'
import { toEngine } from '../../consumers/replay/to-engine.ts'
import { nextRound, openWindow } from '../../consumers/window.ts'
import { systemClock } from '../../platform/clock.ts'
import type { GraphAlert } from '../../schemas/types.ts'
import { fakeRegistry, realCodecs } from './fakes/codecs.ts'
import { alertOf, alertRecord, TENANT_A, tenantOf } from './fakes/records.ts'
import { problems } from './ocsf-kit.ts'

const TENANT_JSON = Buffer.from(`{"id":"${TENANT_A}","name":"A"}`)

/** A revision with just these bytes. */
function alertWith(text: string, changes: Partial<GraphAlert> = {}): GraphAlert {
  const alert = Buffer.from(text)
  return { ...alertOf(), alert, contentHash: hash('sha256', alert, 'buffer'), ...changes }
}

function made(alert: GraphAlert, format: EngineFormat): EngineItem {
  const formatted = itemOf(alert, TENANT_JSON, format)
  if (formatted.kind === 'park') throw new Error(formatted.detail)
  return formatted.item
}

function tenants(): TenantDirectory {
  const directory = new TenantDirectory()
  directory.set(tenantOf(TENANT_A))
  return directory
}

const ODD = '{ "id":"a1",\t"n":12345678901234567890 ,"title":"\\u00e9" }'

describe('the format', () => {
  test('native sends Graph’s very bytes', () => {
    const alert = alertWith(ODD)
    expect(made(alert, 'native').alert).toBe(alert.alert)
    expect(made(alert, 'native').isConverted).toBeUndefined()
  })

  test('ocsf sends a valid finding that names Graph’s bytes by hash and size', () => {
    const alert = alertWith(ODD)
    const finding: unknown = JSON.parse(made(alert, 'ocsf').alert.toString())
    expect(problems(finding)).toEqual([])
    expect(finding).toMatchObject({
      class_uid: 2004,
      finding_info: { uid: 'a1', title: 'é' },
      metadata: { tenant_uid: TENANT_A, uid: made(alert, 'native').id },
      raw_data_hash: { value: alert.contentHash.toString('hex') },
      raw_data_size: alert.alert.length,
    })
    expect(made(alert, 'ocsf').alert.toString()).toContain('"n":12345678901234567890')
  })

  test('changes nothing else of an item: its id, so dedupe, answers and replays go on as they were', () => {
    const { alert: _bytes, ...native } = made(alertWith(ODD), 'native')
    const { alert: _finding, isConverted, ...ocsf } = made(alertWith(ODD), 'ocsf')
    expect(ocsf).toEqual(native)
    expect(isConverted).toBe(true)
  })

  test('the same revision is the same finding, byte for byte', () => {
    expect(made(alertWith(ODD), 'ocsf').alert).toEqual(made(alertWith(ODD), 'ocsf').alert)
  })

  test('the size that counts is that of the bytes that are sent', () => {
    const [native, ocsf] = [made(alertWith(ODD), 'native'), made(alertWith(ODD), 'ocsf')]
    expect(itemBytes(ocsf) - itemBytes(native)).toBe(ocsf.alert.length - native.alert.length)
    expect(buildBody([ocsf, ocsf]).bytes.length).toBe(ENVELOPE_BYTES + 2 * itemBytes(ocsf) - 1)
    const limits = { maxItems: 10, maxBytes: itemBytes(ocsf) + itemBytes(native) }
    expect(groupItems([native, native], limits, 0)).toHaveLength(1)
    expect(groupItems([ocsf, ocsf], limits, 0)).toHaveLength(2)
  })

  test('an Idempotency-Key never stands for two bodies: another format, or another finding, has another', () => {
    const alert = alertWith(ODD)
    const finding = made(alert, 'ocsf')
    const changed = { ...finding, alert: Buffer.from('{}') }
    const digests = [made(alert, 'native'), finding, changed].map(item => buildBody([item]).digest)
    expect(new Set(digests).size).toBe(3)
  })

  test.each([
    ['no JSON', '{"id":'],
    ['no object', '[]'],
    ['empty', ''],
    ['cut off in deep nesting', '['.repeat(200_000)],
    ['no JSON, with words for a terminal', '{"\u001b[31m\u2028'],
  ])('content that is %s is parked with its reason, and thrown by nobody', (_words, text) => {
    expect(itemOf(alertWith(text), TENANT_JSON, 'ocsf')).toEqual({
      kind: 'park',
      reason: 'undecodable',
      detail: expect.stringMatching(/^no OCSF finding can be made of it: [^\p{C}\u2028]{1,400}$/u),
    })
    expect(itemOf(alertWith(text), TENANT_JSON, 'native').kind).toBe('item')
  })
})

test('nesting that exhausts the stack is parked or sent, and thrown by nobody', () => {
  const deep = `{"x":${'[{"a":'.repeat(50_000)}1${'}]'.repeat(50_000)}}`
  expect(itemOf(alertWith(deep), TENANT_JSON, 'ocsf').kind).toMatch(/^(?:park|item)$/)
})

describe('a lane that sends findings', () => {
  test('parks what cannot be one, holds back its next revision, and forwards the others', async () => {
    const codecs = realCodecs(fakeRegistry(), systemClock)
    const specs = [
      alertWith('[]', { alertId: 'bad' }),
      alertWith('{"id":"bad"}', { alertId: 'bad', version: '2026-11-23T10:11:12.0000009Z' }),
      alertWith('{"id":"good"}', { alertId: 'good' }),
    ]
    const records = specs.map((alert, offset) => alertRecord(codecs.alerts, offset, alert))
    const window = await openWindow(records, codecs.alerts, () => true)
    const round = nextRound(window, new Ledger(), tenants(), 1, 'ocsf')
    expect(round.items.map(({ alertId, isConverted }) => [alertId, isConverted])).toEqual([['good', true]])
    expect(window.fates).toMatchObject([{ kind: 'park', reason: 'undecodable' }, null, null])
  })
})

describe('a replay to the engine', () => {
  test.each(['native', 'ocsf'] as const)(
    'sends %s as live traffic does, marked, and tells what it cannot',
    async format => {
      const sent: EngineItem[] = []
      const refused: string[] = []
      const target = toEngine(
        { id: 'r-1', reason: 'why', by: 'ops' },
        {
          forward: async (items, onFate) => {
            sent.push(...items)
            for (const index of items.keys()) onFate(index, { kind: 'delivered', known: false })
            return 'done'
          },
          tenants: tenants(),
          format,
          clock: systemClock,
          signal: new AbortController().signal,
          perSecond: 1_000,
          mustWait: async () => null,
          say: () => {},
          onRefused: ({ alert }, words) => refused.push(`${alert.alertId}: ${words}`),
        },
      )
      const alert = alertWith(ODD)
      const chosen = (of: GraphAlert): Chosen => ({ alert: of, lane: 0, offset: 1, timestampMs: 1 })
      await target.write([chosen(alert), chosen(alertWith('[]', { alertId: 'bad' }))])
      await target.flush()
      expect(sent[0]).toMatchObject({ id: made(alert, format).id, replay: { id: 'r-1' } })
      expect(sent[0]?.alert).toEqual(made(alert, format).alert)
      expect(refused).toEqual(
        format === 'native' ? [] : ['bad: no OCSF finding can be made of it: the content is no JSON object'],
      )
    },
  )
})
