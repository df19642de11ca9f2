/**
 * What lies on Kafka: Avro values of any writer's schema, whole records, parked ones.
 * Longer than the rule: a target is its samples, what is called, and what must hold, and they are read together.
 */
import { hash } from 'node:crypto'
import { shownParked } from '../../cli/parked-record.ts'
import { buildBody } from '../../consumers/engine/body.ts'
import { TenantDirectory } from '../../consumers/enrich.ts'
import { Ledger } from '../../consumers/ledger.ts'
import { parkedRecord } from '../../consumers/park.ts'
import { nextRound, openWindow } from '../../consumers/window.ts'
import { type AvroSchema, codecOf, decodeLearning } from '../../platform/avro/codec.ts'
import type { Random } from '../../platform/clock.ts'
import { systemClock } from '../../platform/clock.ts'
import { laneOf } from '../../platform/kafka/lane-of.ts'
import { intBelow } from '../../sandbox/graph/chance.ts'
import type { SchemaName } from '../../schemas/topics.ts'
import type { GraphAlert, Parked } from '../../schemas/types.ts'
import { fakeRegistry, realCodecs, schemaFile } from '../unit/fakes/codecs.ts'
import { alertOf, LANE, LANES, logRecord, TENANT_A, TENANT_B, tenantOf } from '../unit/fakes/records.ts'
import { checkDecoded } from './avro-values.ts'
import type { Target } from './loop.ts'
import { mutated } from './mutate.ts'
import { joined, must, oneOf, parsed, partsOf } from './oracle.ts'

const registry = fakeRegistry()
const codecs = realCodecs(registry, systemClock)
const NAMES: readonly SchemaName[] = ['graph-alert', 'tenant', 'delivery', 'parked', 'checkpoint', 'audit-entry']
const readers = NAMES.map(name => {
  const schema = schemaFile(name)
  return { schema, codec: codecOf<unknown>(1, schema, registry, systemClock) }
})

const parkedOf = (change: Partial<Parked> = {}): Parked => ({
  ...parkedRecord(
    {
      record: logRecord(7, 'a/b', codecs.alerts.encode(alertOf())),
      tenantId: TENANT_A,
      alertId: 'a1',
      version: null,
      source: 'alerts_v2',
      reason: 'rejected',
      detail: 'status 422: no',
      earlierAttempts: 0,
    },
    'socos.alerts',
    LANE,
    1_764_000_000_000,
  ),
  ...change,
})

const SAMPLES: readonly unknown[] = [
  alertOf(),
  tenantOf(TENANT_A, { metadataJson: Buffer.from('{"a":[1]}'), intervalSeconds: 5 }),
  {
    tenantId: TENANT_A,
    alertId: 'a',
    delivered: { version: 'v', contentHash: Buffer.alloc(8), offset: 5, at: 6 },
    parked: null,
    totals: null,
  },
  parkedOf(),
  {
    tenantId: TENANT_A,
    source: 'alerts_v2',
    watermark: '2026-11-23T10:11:12.0000000Z',
    backfillNext: null,
    backfillUntil: null,
    state: 'ok',
    problem: null,
    problemSince: null,
    polledAt: 1,
    succeededAt: 1,
    listed: 1,
    published: 1,
    publishedTotal: 1,
    quarantinedTotal: 0,
    partialProviders: ['Microsoft/MDE', 'x'],
    gaps: [{ from: 'a', to: 'b', reason: 'c', since: 1, attempts: 2 }],
    sweep: null,
  },
]

/** The first byte says whose reader, the rest is the value in wire format. */
const wire = (): readonly Buffer[] =>
  SAMPLES.flatMap((value, at) => {
    const reader = readers[at]
    return reader ? [Buffer.concat([Buffer.from([at]), reader.codec.encode(value)])] : []
  })

const GOOD = alertOf({ content: 'good' })
const GOOD_BYTES = codecs.alerts.encode(GOOD)

/** What a record does to the process shows in the next one. */
function mustReadTheNext(): void {
  const next = codecs.alerts.decode(GOOD_BYTES)
  const isSame = next.kind === 'value' && next.value.contentHash.equals(GOOD.contentHash)
  must(isSame && next.value.alert.equals(GOOD.alert), 'a good record cannot be read any more')
}

/** Numbers of Avro that claim much. */
const CLAIMS = [
  '\u0080'.repeat(200),
  '\u00fe\u00ff\u00ff\u00ff\u000f',
  '\u00ff'.repeat(9),
  '\u0080'.repeat(11),
  '\u0001',
  '\u0002',
  '\u0000',
]

export const avroValue: Target = {
  name: 'avro-value',
  about: 'bytes of a topic, read with our own schemas',
  samples: wire,
  words: CLAIMS,
  maxBytes: 8 * 1024,
  run(input) {
    const reader = readers[(input[0] ?? 0) % readers.length] ?? readers[0]
    if (!reader) return ''
    const bytes = input.subarray(1)
    const decoded = reader.codec.decode(bytes)
    mustReadTheNext()
    oneOf(decoded.kind, ['value', 'unknown-schema', 'undecodable'], 'the decoding')
    return checkDecoded(decoded, reader, bytes)
  },
}

export const avroSchema: Target = {
  name: 'avro-schema',
  about: "bytes of a topic under a writer's schema that a registry hands out",
  samples: () =>
    wire().map((value, at) => {
      const schema = JSON.stringify(readers[at]?.schema)
      const body = Buffer.from(value)
      body.writeInt32BE(77, 2)
      return joined([schema, body])
    }),
  words: [
    '"type"',
    '"array"',
    '"map"',
    '"null"',
    '"long"',
    '"bytes"',
    '"record"',
    '"items"',
    '"logicalType":"decimal"',
    '"fixed"',
    '"size":0',
    '"size":4294967296',
    '"default"',
    '"aliases"',
    '"enum"',
    ...CLAIMS,
  ],
  async run(input) {
    const [schema, value] = partsOf(input, 2) as readonly [Buffer, Buffer]
    const at = (value[0] ?? 0) % readers.length
    const lookup = fakeRegistry()
    const written = parsed(schema.toString())
    if (written === undefined || written === null) return 'no schema'
    lookup.schemas.set(77, written as AvroSchema)
    const own = schemaFile(NAMES[at] ?? 'tenant')
    const codec = codecOf<unknown>(1, own, lookup, systemClock)
    const decoded = await decodeLearning(codec, value.subarray(1))
    mustReadTheNext()
    oneOf(decoded.kind, ['value', 'undecodable'], 'the decoding')
    return checkDecoded(decoded, { codec, schema: own }, value.subarray(1))
  },
}

function recordOf(alert: GraphAlert, key = `${alert.tenantId}/${alert.alertId}`): Buffer {
  return joined([key, codecs.alerts.encode(alert)])
}

/** A record that is whole, with one part of it changed. */
function reshapedRecord(input: Buffer, random: Random): Buffer | null {
  const [, value] = partsOf(input, 2)
  const decoded = codecs.alerts.decode(value ?? Buffer.alloc(0))
  if (decoded.kind !== 'value') return null
  const context = { words: ['{', '/', TENANT_B, '2026-11-23T10:11:12.0000000Z'], other: input, maxBytes: 8_192 }
  const change = (text: string): string => mutated(Buffer.from(text), random, context).toString()
  const alert = { ...decoded.value }
  switch (intBelow(random, 6)) {
    case 0:
      alert.tenantId = random() < 0.5 ? TENANT_B : change(alert.tenantId)
      break
    case 1:
      alert.alertId = change(alert.alertId)
      break
    case 2:
      alert.version = change(alert.version)
      break
    case 3:
      alert.source = change(alert.source)
      break
    case 4:
      alert.observedAt = [0, -1, 8.64e15, 2 ** 52, -(2 ** 52)][intBelow(random, 5)] ?? 0
      break
    default:
      alert.alert = mutated(alert.alert, random, context)
      alert.contentHash = hash('sha256', alert.alert, 'buffer')
  }
  return recordOf(alert, random() < 0.8 ? undefined : change(`${alert.tenantId}/${alert.alertId}`))
}

const isOurs = (tenantId: string): boolean => laneOf(tenantId, LANES) === LANE

export const kafkaRecord: Target = {
  name: 'kafka-record',
  about: 'a record of the stream, key and value, through a lane: read, judged, sent or parked',
  samples: () => [
    recordOf(alertOf()),
    recordOf(alertOf({ alertId: 'odd/../\u2028 "x" \\', content: '\u0000' })),
    recordOf(alertOf({ tenantId: TENANT_B })),
    recordOf(alertOf(), `${TENANT_A}/`),
    recordOf(alertOf(), ''),
    joined([`${TENANT_A}/a1`, Buffer.from([0, 0, 0, 0, 9])]),
  ],
  words: [TENANT_A, TENANT_B, '/', ...CLAIMS],
  reshape: reshapedRecord,
  maxBytes: 8 * 1024,
  async run(input) {
    const [key, value] = partsOf(input, 2) as readonly [Buffer, Buffer]
    const record = {
      offset: 5,
      timestampMs: 1,
      key: key.length === 0 ? null : key,
      value: value.length === 0 ? null : value,
    }
    const window = await openWindow([record], codecs.alerts, isOurs)
    const [decoding] = window.decoded
    must(decoding !== undefined, 'a record was forgotten')
    const tenants = new TenantDirectory()
    tenants.set(tenantOf(TENANT_A, { name: 'A\u2028"', metadataJson: Buffer.from('{"__proto__":{"polluted":true}}') }))
    const { items } = nextRound(window, new Ledger(), tenants, 1, 'native')
    const fate = window.fates[0]
    must(
      (items.length === 1) !== (fate !== null && fate !== undefined),
      'a record has both a fate and a way, or neither',
    )
    if (fate?.kind === 'park') {
      const { tenantId, alertId } = decoding.kind === 'arrival' ? decoding.arrival.alert : decoding.unreadable
      const parking = { record, tenantId, alertId, version: null, source: null, earlierAttempts: 0, ...fate }
      const parked = parkedRecord(parking, 'socos.alerts', LANE, 1)
      must(!/[\p{Cc}\u2028]/u.test(parked.detail) && parked.detail.length <= 500, 'the detail is not one short line')
      const again = codecs.parked.decode(codecs.parked.encode(parked))
      must(again.kind === 'value' && again.value.record.equals(value), 'a parked record is not what came')
      return `${fate.reason} ${parked.detail}`
    }
    if (items.length === 0) return JSON.stringify(fate)
    must(decoding.kind === 'arrival' && decoding.arrival.name.key === key.toString(), 'sent under another key')
    const body = buildBody(items)
    const alert = items[0]?.alert ?? Buffer.alloc(0)
    if (parsed(alert.toString()) !== undefined)
      must(parsed(body.bytes.toString()) !== undefined, 'the body is no JSON although the alert is')
    return body.digest
  },
}

/** A parked record that is whole, with one part of it changed. */
function reshapedParked(input: Buffer, random: Random): Buffer | null {
  const decoded = codecs.parked.decode(input)
  if (decoded.kind !== 'value') return null
  const parked = { ...decoded.value }
  const context = { words: ['{"a":', '[', '"x"'], other: input, maxBytes: 16_384 }
  switch (intBelow(random, 5)) {
    case 0:
      parked.record = mutated(parked.record, random, context)
      break
    case 1:
      parked.record = Buffer.from('['.repeat(intBelow(random, 20_000)))
      break
    case 2: {
      const levels = intBelow(random, 12_000)
      parked.record = Buffer.from(`${'['.repeat(levels)}${']'.repeat(levels)}`)
      break
    }
    case 3:
      parked.parkedAt = [0, -1, 8.64e15, 8.64e15 + 2, -(2 ** 52)][intBelow(random, 5)] ?? 0
      break
    default:
      parked.detail = mutated(Buffer.from(parked.detail), random, context).toString()
  }
  return codecs.parked.encode(parked)
}

export const parkedShown: Target = {
  name: 'parked-record',
  about: 'a record of the topic parked, as `socos parked list` and `show` print it',
  samples: () =>
    [
      parkedOf(),
      parkedOf({ format: 'json', record: Buffer.from('{"title":"\u001b[31m\\u001b\u2028"}') }),
      parkedOf({ format: 'json', record: Buffer.from('not JSON \u009b') }),
      parkedOf({ reason: 'constructor', detail: '\u001b[2J' }),
    ].map(value => codecs.parked.encode(value)),
  words: ['graph-alert', 'json', 'toString', ...CLAIMS],
  reshape: reshapedParked,
  maxBytes: 48 * 1024,
  run(input) {
    const decoded = codecs.parked.decode(input)
    if (decoded.kind !== 'value') return decoded.kind
    const { alert, format } = { alert: decoded.value.record, format: decoded.value.format }
    const shown = shownParked(decoded.value, 3, 9, format === 'json' ? alert : null)
    must(!/[\u007f-\u009f\u2028\u2029\u202e]/.test(shown), 'what is printed holds terminal codes')
    must(!/[^\P{Cc}\n]/u.test(shown), 'what is printed holds control characters')
    must(shown.length <= 600_000 + alert.length * 40, 'what is printed is larger than the record can make it')
    must(parsed(shown) !== undefined, 'what is printed is no JSON')
    return shown
  },
}
