import { hash } from 'node:crypto'
import type { Codec } from '../platform/avro/codec.ts'
import type { OutRecord, Publisher } from '../platform/kafka/producer.ts'
import { TransientError } from '../platform/retry.ts'
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
  /** Told of each revision that was not published lately. */
  readonly fresh?: (alert: SlicedAlert) => void
  /** Takes what Kafka did not ack; absent: whoever asks for the page reads it again. */
  readonly keep?: (unsent: readonly Pending[]) => void
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
 * one of them is acked; rejects with a TransientError, having given what is not acked to `keep`; some of that may be
 * there all the same.
 */
export async function publishPage(
  alerts: readonly SlicedAlert[],
  scope: PublishScope,
  deps: PublishDeps,
): Promise<Published> {
  const revisions: (Pending & { at: number; version: string })[] = []
  const parked: Pending[] = []
  const headers = scope.span ? { headers: { [TRACEPARENT]: scope.span.traceparent } } : {}
  for (const [at, alert] of alerts.entries()) {
    const judgement = judge(alert, scope.tenantId, scope.source)
    const { alertId, contentHash } = judgement
    const key = `${scope.tenantId}/${alertId}`
    switch (judgement.kind) {
      case 'revision': {
        const { version } = judgement
        if (scope.seen.has(alertId, version, contentHash)) break
        scope.fresh?.(alert)
        const value = deps.codecs.alerts.encode(graphAlert(alert, alertId, version, contentHash, scope))
        const noted = () => scope.seen.note(alertId, version, contentHash)
        revisions.push({ at, version, to: 'alerts', record: { key, value, ...headers }, noted })
        break
      }
      case 'quarantine': {
        const { reason } = judgement
        if (scope.seen.has(alertId, reason, contentHash)) break
        const value = deps.codecs.parked.encode(quarantined(alert, judgement, scope))
        const time = normaliseTime(alert.lastUpdate ?? alert.lastModified ?? '') ?? fromEpochMs(scope.nowMs)
        const noted = () => scope.seen.note(alertId, reason, contentHash, time)
        parked.push({ to: 'parked', record: { key, value }, noted })
      }
    }
  }
  revisions.sort((a, b) => (a.version < b.version ? -1 : a.version > b.version ? 1 : a.at - b.at))
  await publishPending([...revisions, ...parked], scope, deps)
  return { listed: alerts.length, published: revisions.length, quarantined: parked.length }
}

/** What was read and is to be on the log. */
export interface Pending {
  readonly to: 'alerts' | 'parked'
  readonly record: OutRecord
  /** It is acked: what is listed again is not published again. */
  readonly noted: () => void
}

/** As `publishPage`, for what was encoded already. */
export async function publishPending(
  pending: readonly Pending[],
  scope: Pick<PublishScope, 'tenantId' | 'lane' | 'origin' | 'span' | 'keep'>,
  deps: Pick<PublishDeps, 'publisher' | 'topics'>,
): Promise<void> {
  let acked = 0
  try {
    for (const batch of batchesOf(pending)) {
      const records = batch.map(({ record }) => record)
      if (batch[0]?.to === 'alerts') await appendAlerts(records, scope, deps)
      else await deps.publisher.append(deps.topics.parked, scope.lane, records, 'alerts-quarantined')
      for (const { noted } of batch) noted()
      acked += batch.length
    }
  } catch (error) {
    if (error instanceof TransientError) scope.keep?.(pending.slice(acked))
    throw error
  }
}

async function appendAlerts(
  batch: readonly OutRecord[],
  scope: Pick<PublishScope, 'tenantId' | 'lane' | 'origin' | 'span'>,
  deps: Pick<PublishDeps, 'publisher' | 'topics'>,
): Promise<void> {
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

/** One batch is one append: of one topic, bounded. */
function* batchesOf(pending: readonly Pending[]): Generator<readonly Pending[]> {
  let batch: Pending[] = []
  let bytes = 0
  for (const each of pending) {
    const size = sizeOf(each)
    const isFull = bytes + size > BATCH_BYTES_MAX || batch.length >= BATCH_RECORDS_MAX
    if (batch.length > 0 && (isFull || batch[0]?.to !== each.to)) {
      yield batch
      batch = []
      bytes = 0
    }
    batch.push(each)
    bytes += size
  }
  if (batch.length > 0) yield batch
}

/** In bytes. */
export function sizeOf({ record }: Pending): number {
  return (record.value?.length ?? 0) + Buffer.byteLength(record.key)
}
