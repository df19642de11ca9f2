import type { TraceContext } from '../platform/trace.ts'
import { parkDetail } from '../schemas/parking.ts'
import type { GraphAlert } from '../schemas/types.ts'
import type { EngineItem } from './engine/item.ts'
import { itemId } from './engine/item.ts'
import { findingOf } from './ocsf/finding.ts'
import { parseExactly } from './ocsf/members.ts'

/** What the member `alert` of an item is: Graph's bytes, or an OCSF Detection Finding made from them. */
export type EngineFormat = 'native' | 'ocsf'

export type Formatted =
  | { readonly kind: 'item'; readonly item: EngineItem }
  | { readonly kind: 'park'; readonly reason: 'undecodable'; readonly detail: string }

/** The item of one revision. Its id stands for Graph's bytes in either format. */
export function itemOf(alert: GraphAlert, tenantJson: Buffer, format: EngineFormat, trace?: TraceContext): Formatted {
  const id = itemId(alert.tenantId, alert.alertId, alert.version, alert.contentHash.toString('hex'))
  const item: EngineItem = {
    id,
    tenantJson,
    alertId: alert.alertId,
    version: alert.version,
    source: alert.source,
    observedAtMs: alert.observedAt,
    trace,
    alert: alert.alert,
  }
  if (format === 'native') return { kind: 'item', item }
  const made = findingBytes(alert, id)
  if (Buffer.isBuffer(made)) return { kind: 'item', item: { ...item, alert: made, isConverted: true } }
  return {
    kind: 'park',
    reason: 'undecodable',
    detail: parkDetail(`no OCSF finding can be made of it: ${made.problem}`),
  }
}

function findingBytes(alert: GraphAlert, id: string): Buffer | { readonly problem: string } {
  try {
    const finding = findingOf(parseExactly(alert.alert.toString('utf8')), {
      id,
      tenantId: alert.tenantId,
      alertId: alert.alertId,
      version: alert.version,
      source: alert.source,
      sha256: alert.contentHash.toString('hex'),
      bytes: alert.alert.length,
    })
    return finding === null ? { problem: 'the content is no JSON object' } : Buffer.from(JSON.stringify(finding))
  } catch (error) {
    // the poller lets nothing through that is no JSON or is nested without end, but others may write to the topic
    return { problem: error instanceof Error ? error.message : String(error) }
  }
}
