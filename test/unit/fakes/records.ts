import { hash } from 'node:crypto'
import { alertKey } from '../../../consumers/alert-name.ts'
import type { Codec } from '../../../platform/avro/codec.ts'
import { laneOf } from '../../../platform/kafka/lane-of.ts'
import type { LogRecord } from '../../../platform/kafka/queue.ts'
import type { GraphAlert, Tenant } from '../../../schemas/types.ts'

export const LANES = 6
export const LANE = 2

/** Made-up tenants that all lie in LANE. */
export const [TENANT_A, TENANT_B, TENANT_C, TENANT_D] = tenantsOf(LANE, 4) as [string, string, string, string]

function tenantsOf(lane: number, count: number): string[] {
  const found: string[] = []
  for (let n = 0; found.length < count; n++) {
    const id = `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`
    if (laneOf(id, LANES) === lane) found.push(id)
  }
  return found
}

/** The n-th of a row of versions, a tenth of a microsecond apart. */
export function versionAt(n: number): string {
  return `2026-11-23T10:11:12.${String(n).padStart(7, '0')}Z`
}

export interface AlertSpec {
  readonly tenantId?: string
  readonly alertId?: string
  readonly version?: number
  readonly content?: string
  readonly origin?: string
  readonly attempts?: number
}

export function alertOf(spec: AlertSpec = {}): GraphAlert {
  const { tenantId = TENANT_A, alertId = 'a1', version = 1, content = 'x', origin = 'poll', attempts = 0 } = spec
  const alert = Buffer.from(JSON.stringify({ id: alertId, version, content }))
  return {
    tenantId,
    alertId,
    version: versionAt(version),
    contentHash: hash('sha256', alert, 'buffer'),
    source: 'alerts_v2',
    origin,
    observedAt: 1_764_000_000_000,
    attempts,
    severity: null,
    status: null,
    serviceSource: null,
    alert,
  }
}

export function logRecord(offset: number, key: string | null, value: Buffer | null): LogRecord {
  return { offset, timestampMs: 1_764_000_000_000 + offset, key: key === null ? null : Buffer.from(key), value }
}

export function alertRecord(codec: Codec<GraphAlert>, offset: number, spec: AlertSpec | GraphAlert = {}): LogRecord {
  const alert = 'alert' in spec ? spec : alertOf(spec)
  return logRecord(offset, alertKey(alert.tenantId, alert.alertId), codec.encode(alert))
}

export function tenantOf(tenantId: string, change: Partial<Tenant> = {}): Tenant {
  return {
    tenantId,
    clientId: '11111111-1111-4111-8111-111111111111',
    name: `Customer ${tenantId.slice(-2)}`,
    cloud: 'global',
    source: 'alerts_v2',
    credentialKind: 'secretFile',
    credentialFile: 'secret',
    credentialExpires: null,
    intervalSeconds: null,
    lookbackHours: null,
    metadataJson: Buffer.from('{}'),
    state: 'active',
    offboarding: 'park',
    changedAt: 0,
    ...change,
  }
}
