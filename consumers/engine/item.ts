import { hash } from 'node:crypto'
import type { TraceContext } from '../../platform/trace.ts'

/** Who asked for a past alert to be sent once more, and why. */
interface ReplayMark {
  readonly id: string
  readonly reason: string
  readonly by: string
}

/** One revision of one alert on its way to the engine. */
export interface EngineItem {
  /** From `itemId`; the same over retries, restarts and replays. */
  readonly id: string
  /** The tenant as a JSON object (UTF-8): id, name and metadata. Built once per tenant record and shared by its items. */
  readonly tenantJson: Buffer
  readonly alertId: string
  /** Update time with 7 fraction digits, UTC; compares as text. */
  readonly version: string
  /** alerts_v2 or alerts. */
  readonly source: string
  /** When the poller read it, ms since the epoch. */
  readonly observedAtMs: number
  readonly replay?: ReplayMark
  /** The poll that brought it, where that is known; never in a body. */
  readonly trace?: TraceContext | undefined
  /** Graph's JSON, byte for byte, or the finding made from it: spliced into the body. Whoever fills it has checked that it is JSON. */
  readonly alert: Buffer
  /** These are not Graph's bytes, for which the id stands. */
  readonly isConverted?: boolean
}

const MAX_DATE_MS = 8.64e15

/** base64url(SHA-256(UTF-8 JSON array [tenantId, alertId, version, contentHash])); `contentHashHex` is lower-case hex. */
export function itemId(tenantId: string, alertId: string, version: string, contentHashHex: string): string {
  return hash('sha256', JSON.stringify([tenantId, alertId, version, contentHashHex]), 'base64url')
}

/** What stands before the tenant's bytes. JSON.stringify is well-formed: a lone surrogate leaves as an escape. */
export function beforeTenant(item: EngineItem): string {
  return `{"id":${JSON.stringify(item.id)},"tenant":`
}

/** What stands between the tenant's bytes and the alert's. */
export function beforeAlert(item: EngineItem): string {
  const { replay } = item
  const mark = replay
    ? `,"replay":{"id":${JSON.stringify(replay.id)},"reason":${JSON.stringify(replay.reason)},"by":${JSON.stringify(replay.by)}}`
    : ''
  return (
    `,"alertId":${JSON.stringify(item.alertId)},"version":${JSON.stringify(item.version)}` +
    `,"source":${JSON.stringify(item.source)},"observedAt":"${isoTime(item.observedAtMs)}"${mark},"alert":`
  )
}

const NAMES = `{"id":,"tenant":,"alertId":,"version":,"source":,"observedAt":"","alert":`
const REPLAY_NAMES = `,"replay":{"id":,"reason":,"by":}`

/** Bytes that the item takes in a body, its closing brace and one comma included. Its texts are not built for it. */
export function itemBytes(item: EngineItem): number {
  const { replay } = item
  return (
    NAMES.length +
    jsonBytes(item.id) +
    item.tenantJson.length +
    jsonBytes(item.alertId) +
    jsonBytes(item.version) +
    jsonBytes(item.source) +
    isoBytes(item.observedAtMs) +
    (replay ? REPLAY_NAMES.length + jsonBytes(replay.id) + jsonBytes(replay.reason) + jsonBytes(replay.by) : 0) +
    item.alert.length +
    2
  )
}

/** What JSON.stringify puts between quotes as it is. */
const PLAIN = /^[\x20\x21\x23-\x5b\x5d-\x7e]*$/

function jsonBytes(text: string): number {
  return PLAIN.test(text) ? text.length + 2 : Buffer.byteLength(JSON.stringify(text))
}

let isoOf = { ms: 0, text: new Date(0).toISOString() }

/** A time that no Date can hold is a record's fault, so it may not throw: the nearest one that can be written. */
function isoTime(ms: number): string {
  if (isoOf.ms === ms) return isoOf.text // a poll's alerts have one time
  const held = Number.isNaN(ms) ? 0 : Math.min(MAX_DATE_MS, Math.max(-MAX_DATE_MS, ms))
  isoOf = { ms, text: new Date(held).toISOString() }
  return isoOf.text
}

const ISO_BYTES = '1970-01-01T00:00:00.000Z'.length
const YEAR_10000_MS = Date.UTC(10_000, 0, 1)

function isoBytes(ms: number): number {
  return ms >= 0 && ms < YEAR_10000_MS ? ISO_BYTES : isoTime(ms).length
}
