/**
 * What can go wrong between a tenant and its alerts. Every sentence is ours: nothing that Entra or Graph wrote is
 * repeated except numbers, GUIDs and names of a known list, because their texts may echo what was sent.
 */
import { adminCenter, consentUrl, licenceCenter, type TenantAccess } from './clouds.ts'

export interface Problem extends TraceIds {
  /** Stable: `AADSTS7000222`, `entra-invalid_client`, `graph-403`, `secret-file-missing` … */
  readonly code: string
  /** What is wrong, and who must do what. */
  readonly words: string
  readonly move: Move
  /** Where that is done, as a way through Microsoft's pages; null where it is a file. */
  readonly page: string | null
}

/** Whose move it is: the customer's administrator, who keeps the tenants file and the secrets, or who keeps the program. */
export type Move = 'customer' | 'operator' | 'maintainer'

/** With {tenant}, {app}, {file}, {cloud}, {admin}, {licences} and {consent} to be filled in. */
export interface Advice {
  readonly words: string
  readonly move: Move
  readonly page?: string
}

/** Pages of Microsoft's admin center, by the names they carry there. */
const OF_THE_APP = '{admin} > App registrations > {app}'
const OF_THE_ENTERPRISE_APP = '{admin} > Enterprise apps > {app}'
export const PAGES = {
  overview: `${OF_THE_APP} > Overview`,
  credentials: `${OF_THE_APP} > Certificates & secrets`,
  federation: `${OF_THE_APP} > Certificates & secrets > Federated credentials`,
  permissions: `${OF_THE_APP} > API permissions > Grant admin consent`,
  authentication: `${OF_THE_APP} > Authentication > Settings > Allow public client flows`,
  enabled: `${OF_THE_ENTERPRISE_APP} > Properties > Enabled for users to sign in`,
  signIns: `${OF_THE_ENTERPRISE_APP} > Sign-in logs > Service principal sign-ins`,
  conditionalAccess: '{admin} > Conditional Access > Policies (those for workload identities)',
  directory: '{admin} > Overview > Tenant ID',
  licences: '{licences} > Billing > Licenses',
  applications: '{admin} > App registrations > All applications',
  /** Of an application that is not registered in the customer's directory. */
  consent: '{consent}',
  /** An application of ours: the page is in our own directory. */
  ourCredentials: `${OF_THE_APP} > Certificates & secrets (in our own directory)`,
} as const

type SplitReason = 'nextlink-refused' | 'nextlink-rejected' | 'too-large' | 'unreadable' | 'bad-request'

export type Trouble =
  /** Entra or Graph asks for a pause; null: it did not say how long. */
  | { readonly kind: 'throttled'; readonly retryAfterMs: number | null; readonly detail: string }
  /** It may pass: 5xx, timeout, reset, DNS, a redirect, an answer that is not Graph's. */
  | {
      readonly kind: 'unavailable'
      readonly retryAfterMs: number | null
      readonly detail: string
      /** No answer came: from whom, and the system's or the client's code, such as ENOTFOUND. */
      readonly silent?: { readonly who: 'login' | 'graph'; readonly code: string }
      /** Something else answered in Microsoft's place, as `detail` says with what to do. */
      readonly isBetween?: true
    }
  /** The window cannot be read this way; the caller halves it (or `$top`). */
  | { readonly kind: 'split'; readonly reason: SplitReason; readonly detail: string }
  /** Somebody has to act: consent, secret, app, cloud. */
  | {
      readonly kind: 'needs-attention'
      readonly problem: Problem
      /** Entra's clock minus ours, where its refusal shows that ours is off. */
      readonly skewMs?: number
    }

/** What Microsoft's support asks for: the first two are Entra's, the third is Graph's. */
export interface TraceIds {
  readonly traceId?: string
  readonly correlationId?: string
  readonly requestId?: string
}

/** Who has to act in most cases; the SOC's operator only where {file} or the tenants file is named. */
export const ADMIN = "the customer's administrator"

const PERMISSION = { alerts_v2: 'SecurityAlert.Read.All', alerts: 'SecurityEvents.Read.All' } as const

/** A delegated permission of the same name shows the same green tick, and does nothing here. */
export const ONLY_APPLICATION =
  'Its Type on that page must be Application: one of the Type Delegated shows a green tick, too, and does not count.'
export const CONSENT_TAKES_TIME = 'A fresh consent takes some minutes to show.'

/** The one application permission that reading a list takes. */
export function neededPermission(source: TenantAccess['source']): string {
  return PERMISSION[source]
}

/** What lets a token read the list: the permission itself, or the one that also writes. Null: nothing it carries. */
export function readingPermission(source: TenantAccess['source'], roles: readonly string[]): string | null {
  const needed = neededPermission(source)
  return roles.find(role => role === needed || role === needed.replace('.Read.', '.ReadWrite.')) ?? null
}

const GUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

export function isGuid(text: string): boolean {
  return GUID.test(text)
}

/** Fills them in from our own tenant record. */
export function problem(access: TenantAccess, code: string, advice: Advice, ids: TraceIds = {}): Trouble {
  const values: Record<string, string> = {
    tenant: printable(access.tenantId),
    app: printable(access.clientId),
    file: printable(access.credential.file),
    cloud: printable(access.cloud),
    admin: adminCenter(access.cloud),
    licences: licenceCenter(access.cloud),
    consent: consentUrl(access),
  }
  const filled = (text: string) =>
    text.replace(/\{(tenant|app|file|cloud|admin|licences|consent)\}/g, (_, name: string) => values[name] ?? '')
  const page = advice.page === undefined ? null : filled(advice.page)
  return { kind: 'needs-attention', problem: { code, words: filled(advice.words), move: advice.move, page, ...ids } }
}

/** Printable ASCII, bounded: these come from the tenants file, which an operator wrote. */
function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?').slice(0, 200)
}

/** Trouble that may pass, of unknown length. */
export function unavailable(detail: string): Trouble {
  return { kind: 'unavailable', retryAfterMs: null, detail }
}

/** `detail`: with the code in it. */
export function unanswered(who: 'login' | 'graph', code: string, detail: string): Trouble {
  return { kind: 'unavailable', retryAfterMs: null, detail, silent: { who, code } }
}
