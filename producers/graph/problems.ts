/**
 * What can go wrong between a tenant and its alerts. Every sentence is ours: nothing that Entra or Graph wrote is
 * repeated except numbers, GUIDs and names of a known list, because their texts may echo what was sent.
 */
import type { TenantAccess } from './clouds.ts'

export interface Problem {
  /** Stable: `AADSTS7000222`, `entra-invalid_client`, `graph-403`, `secret-file-missing` … */
  readonly code: string
  /** What is wrong, and who must do what. */
  readonly words: string
  readonly traceId?: string
  readonly correlationId?: string
}

type SplitReason = 'nextlink-refused' | 'nextlink-rejected' | 'too-large' | 'unreadable' | 'bad-request'

export type Trouble =
  /** Entra or Graph asks for a pause; null: it did not say how long. */
  | { readonly kind: 'throttled'; readonly retryAfterMs: number | null; readonly detail: string }
  /** It may pass: 5xx, timeout, reset, DNS, a redirect, an answer that is not Graph's. */
  | { readonly kind: 'unavailable'; readonly retryAfterMs: number | null; readonly detail: string }
  /** The window cannot be read this way; the caller halves it (or `$top`). */
  | { readonly kind: 'split'; readonly reason: SplitReason; readonly detail: string }
  /** Somebody has to act: consent, secret, app, cloud. */
  | { readonly kind: 'needs-attention'; readonly problem: Problem }

export interface TraceIds {
  readonly traceId?: string
  readonly correlationId?: string
}

/** Who has to act in most cases; the SOC's operator only where {file} or the tenants file is named. */
export const ADMIN = "the customer's administrator"

const GUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

export function isGuid(text: string): boolean {
  return GUID.test(text)
}

/** Fills {tenant}, {app}, {file} and {cloud} from our own tenant record. */
export function problem(access: TenantAccess, code: string, words: string, ids: TraceIds = {}): Trouble {
  const values: Record<string, string> = {
    tenant: printable(access.tenantId),
    app: printable(access.clientId),
    file: printable(access.credential.file),
    cloud: printable(access.cloud),
  }
  const said = words.replace(/\{(tenant|app|file|cloud)\}/g, (_, name: string) => values[name] ?? '')
  return { kind: 'needs-attention', problem: { code, words: said, ...ids } }
}

/** Printable ASCII, bounded: these come from the tenants file, which an operator wrote. */
function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?').slice(0, 200)
}

/** Trouble that may pass, of unknown length. */
export function unavailable(detail: string): Trouble {
  return { kind: 'unavailable', retryAfterMs: null, detail }
}
