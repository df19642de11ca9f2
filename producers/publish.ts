import { hash } from 'node:crypto'
import type { Codec } from '../platform/avro/codec.ts'
import type { OutRecord, Publisher } from '../platform/kafka/producer.ts'
import { type Span, within } from '../platform/trace.ts'
import { ATTRIBUTES, TRACEPARENT } from '../platform/trace-names.ts'
import type { ParkReason } from '../schemas/parking.ts'
import { parkDetail } from '../schemas/parking.ts'
import type { GraphAlert, Parked } from '../schemas/types.ts'
import type { SlicedAlert } from './graph/slice.ts'
import type { Seen } from './seen.ts'
import { fromEpochMs, normaliseTime } from './window.ts'

export type Origin = 'poll' | 'backfill' | 'sweep' | 'retry'

/** What a sliced alert is to us. */
export type Judgement =
  | { readonly kind: 'revision'; readonly alertId: string; readonly version: string; readonly contentHash: Buffer }
  | {
      readonly kind: 'quarantine'
      readonly alertId: string
      readonly reason: ParkReason
      readonly detail: string
      readonly contentHash: Buffer
    }

export interface PublishDeps {
  readonly publisher: Publisher
  readonly codecs: { readonly alerts: Codec<GraphAlert>; readonly parked: Codec<Parked> }
  readonly topics: { readonly alerts: string; readonly parked: string }
}

export interface PublishScope {
  readonly tenantId: string
  readonly source: string
  readonly lane: number
  readonly origin: Origin
  readonly seen: Seen
  readonly nowMs: number
  /** Of the turn; its records carry its name to the engine. */
  readonly span?: Span | null
}

export interface Published {
  readonly listed: number
  readonly published: number
  readonly quarantined: number
}

const BATCH_BYTES_MAX = 1024 * 1024
const BATCH_RECORDS_MAX = 1_000

/**
 * Puts the revisions of one page on the log that were not put there lately, oldest version first. Resolves when every
 * one of them is acked; rejects with a TransientError, and some may then be there.
 */
export async function publishPage(
  alerts: readonly SlicedAlert[],
  scope: PublishScope,
  deps: PublishDeps,
): Promise<Published> {
  const revisions: { at: number; version: string; alertId: string; contentHash: Buffer; value: Buffer }[] = []
  const parked: { alertId: string; reason: string; contentHash: Buffer; at: string; record: OutRecord }[] = []
  for (const [at, alert] of alerts.entries()) {
    const judgement = judge(alert, scope.tenantId, scope.source)
    const { alertId, contentHash } = judgement
    switch (judgement.kind) {
      case 'revision': {
        const { version } = judgement
        if (scope.seen.has(alertId, version, contentHash)) break
        const value = deps.codecs.alerts.encode(graphAlert(alert, alertId, version, contentHash, scope))
        revisions.push({ at, version, alertId, contentHash, value })
        break
      }
      case 'quarantine': {
        if (scope.seen.has(alertId, judgement.reason, contentHash)) break
        const value = deps.codecs.parked.encode(quarantined(alert, judgement, scope))
        const record = { key: `${scope.tenantId}/${alertId}`, value }
        const at = normaliseTime(alert.lastUpdate ?? alert.lastModified ?? '') ?? fromEpochMs(scope.nowMs)
        parked.push({ alertId, reason: judgement.reason, contentHash, at, record })
      }
    }
  }
  revisions.sort((a, b) => (a.version < b.version ? -1 : a.version > b.version ? 1 : a.at - b.at))
  const headers = scope.span ? { headers: { [TRACEPARENT]: scope.span.traceparent } } : {}
  await inBatches(
    revisions.map(({ alertId, value }) => ({ key: `${scope.tenantId}/${alertId}`, value, ...headers })),
    batch => appendAlerts(batch, scope, deps),
  )
  for (const { alertId, version, contentHash } of revisions) scope.seen.note(alertId, version, contentHash)
  await inBatches(
    parked.map(({ record }) => record),
    batch => deps.publisher.append(deps.topics.parked, scope.lane, batch, 'alerts-quarantined'),
  )
  for (const { alertId, reason, contentHash, at } of parked) scope.seen.note(alertId, reason, contentHash, at)
  return { listed: alerts.length, published: revisions.length, quarantined: parked.length }
}

async function appendAlerts(batch: readonly OutRecord[], scope: PublishScope, deps: PublishDeps): Promise<void> {
  const topic = deps.topics.alerts
  const span =
    scope.span?.child(`send ${topic}`, 'producer', {
      [ATTRIBUTES.system]: 'kafka',
      [ATTRIBUTES.operationName]: 'send',
      [ATTRIBUTES.operationType]: 'send',
      [ATTRIBUTES.destination]: topic,
      [ATTRIBUTES.partition]: String(scope.lane),
      [ATTRIBUTES.messages]: batch.length,
      [ATTRIBUTES.tenant]: scope.tenantId,
      [ATTRIBUTES.origin]: scope.origin,
    }) ?? null
  await within(span, async () => {
    const offset = await deps.publisher.append(topic, scope.lane, batch, 'alerts-polled')
    span?.set({ [ATTRIBUTES.offset]: offset })
  })
}

/** Whose alert is it, and which revision? */
export function judge(alert: SlicedAlert, tenantId: string, source: string): Judgement {
  // asked for as a buffer it comes in memory of its own, which takes longer than the hashing
  const contentHash = Buffer.from(hash('sha256', alert.bytes, 'latin1'), 'latin1')
  const quarantine = (reason: ParkReason, detail: string): Judgement => ({
    kind: 'quarantine',
    alertId: alert.id ?? '',
    reason,
    detail,
    contentHash,
  })
  if (alert.kind === 'hostile') {
    const reason = alert.reason === 'no-id' || alert.reason === 'bad-id' ? 'no-id' : 'hostile'
    return quarantine(reason, `the alert is ${alert.reason}`)
  }
  // a missing tenant id is the polled tenant's
  if (alert.tenantId !== null && alert.tenantId.toLowerCase() !== tenantId.toLowerCase()) {
    return quarantine('foreign-tenant', `the alert names tenant ${alert.tenantId.slice(0, 80)}`)
  }
  const time = source === 'alerts' ? (alert.lastModified ?? alert.created) : alert.lastUpdate
  const version = time === null ? null : normaliseTime(time)
  if (version === null) {
    return quarantine('no-version', time === null ? 'no update time' : `update time ${time.slice(0, 60)} is not a time`)
  }
  return { kind: 'revision', alertId: alert.id, version, contentHash }
}

function graphAlert(
  alert: SlicedAlert,
  alertId: string,
  version: string,
  contentHash: Buffer,
  scope: PublishScope,
): GraphAlert {
  return {
    tenantId: scope.tenantId,
    alertId,
    version,
    contentHash,
    source: scope.source,
    origin: scope.origin,
    observedAt: scope.nowMs,
    attempts: 0,
    severity: alert.severity,
    status: alert.status,
    serviceSource: alert.serviceSource,
    alert: alert.bytes,
  }
}

function quarantined(
  alert: SlicedAlert,
  { alertId, reason, detail }: Extract<Judgement, { kind: 'quarantine' }>,
  scope: PublishScope,
): Parked {
  return {
    tenantId: scope.tenantId,
    alertId,
    version: null,
    reason,
    detail: parkDetail(detail),
    parkedAt: scope.nowMs,
    attempts: 1,
    topic: '',
    lane: scope.lane,
    offset: -1,
    source: scope.source,
    format: 'json',
    record: alert.bytes,
  }
}

async function inBatches(
  records: readonly OutRecord[],
  append: (batch: OutRecord[]) => Promise<unknown>,
): Promise<void> {
  let batch: OutRecord[] = []
  let bytes = 0
  for (const record of records) {
    const size = (record.value?.length ?? 0) + Buffer.byteLength(record.key)
    if (batch.length > 0 && (bytes + size > BATCH_BYTES_MAX || batch.length >= BATCH_RECORDS_MAX)) {
      await append(batch)
      batch = []
      bytes = 0
    }
    batch.push(record)
    bytes += size
  }
  if (batch.length > 0) await append(batch)
}
