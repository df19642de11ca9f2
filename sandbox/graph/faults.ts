import { z } from 'zod'
import { ALWAYS, type Fault, type FaultList, faultBasics } from './fault-list.ts'

/** Which requests: the alert lists, the token endpoint, or both. */
const anywhere = { ...faultBasics, where: z.enum(['list', 'token', 'any']).default('list') }
/** Of the list requests: any, only those without, or only those with $skip or $skiptoken. */
const onList = { ...faultBasics, phase: z.enum(['any', 'first', 'follow-up']).default('any') }
const both = { ...anywhere, ...onList }

const nextLinkVariants = [
  'other-host',
  'other-port',
  'other-scheme',
  'other-path',
  'alias-host',
  'userinfo',
  'protocol-relative',
  'relative',
  'not-a-url',
  'self-loop',
  'two-cycle',
  'endless',
  'refused',
] as const

export const retryAfterForms = ['seconds', 'http-date', 'absent', 'absurd', 'negative', 'garbage'] as const

export const graphFaultSchema = z.discriminatedUnion('kind', [
  /** 429; `absurd` asks for ten years, `seconds` and `http-date` for `seconds`. */
  z.strictObject({
    kind: z.literal('throttle'),
    ...both,
    retryAfter: z.enum(retryAfterForms).default('seconds'),
    seconds: z.int().min(0).default(1),
  }),
  /** Any 4xx or 5xx, as Graph's error JSON, or as the HTML of something in between, such as a proxy. */
  z.strictObject({
    kind: z.literal('status'),
    ...both,
    status: z.int().min(400).max(599),
    html: z.boolean().default(false),
    retryAfterSeconds: z.int().min(0).optional(),
  }),
  /** The connection is reset before the status line, or in the middle of the body. */
  z.strictObject({ kind: z.literal('reset'), ...both, when: z.enum(['before', 'within']).default('before') }),
  /** The request is read and never answered. */
  z.strictObject({ kind: z.literal('hang'), ...both }),
  z.strictObject({ kind: z.literal('slow-headers'), ...both, delayMs: z.int().min(1) }),
  z.strictObject({ kind: z.literal('slow-body'), ...both, bytesPerSecond: z.int().min(1) }),
  /** A correct HTTP answer whose JSON stops in the middle. */
  z.strictObject({ kind: z.literal('truncated-body'), ...both }),
  /** 200 with a sign-in page. */
  z.strictObject({ kind: z.literal('html'), ...both }),
  z.strictObject({ kind: z.literal('content-type'), ...both, contentType: z.string().default('text/plain') }),
  z.strictObject({ kind: z.literal('bom'), ...both }),
  z.strictObject({ kind: z.literal('invalid-utf8'), ...both }),
  /** The page, gzipped, that grows by so many MiB of white space. */
  z.strictObject({ kind: z.literal('gzip-bomb'), ...both, megabytes: z.int().min(1).max(4096).default(200) }),
  /** The page, padded with white space to more than so many MiB, when it has at least `minRows` rows. */
  z.strictObject({
    kind: z.literal('huge-page'),
    ...onList,
    megabytes: z.int().min(1).max(4096).default(64),
    minRows: z.int().min(0).default(2),
  }),
  z.strictObject({
    kind: z.literal('redirect'),
    ...both,
    status: z.int().min(300).max(399).default(302),
    to: z.string(),
  }),
  /** 401; the token that was sent stays refused. */
  z.strictObject({ kind: z.literal('unauthorized'), ...onList }),
  z.strictObject({
    kind: z.literal('forbidden'),
    ...onList,
    code: z.enum(['Forbidden', 'Authorization_RequestDenied']).default('Forbidden'),
  }),
  /** 206 + Warning: transient (a provider timed out, every second row is missing) or permanent (not licensed, none is). */
  z.strictObject({
    kind: z.literal('partial'),
    ...onList,
    warning: z.enum(['transient', 'permanent']).default('transient'),
  }),
  /** The page's nextLink is replaced, or added where there was none. `to` is the origin for `other-host`. */
  z.strictObject({
    kind: z.literal('next-link'),
    ...onList,
    variant: z.enum(nextLinkVariants),
    to: z.string().default('http://graph.attacker.example'),
  }),
  /** No rows, and a nextLink to what should have been here. */
  z.strictObject({ kind: z.literal('empty-page'), ...onList }),
  z.strictObject({ kind: z.literal('duplicate-rows'), ...onList }),
  z.strictObject({ kind: z.literal('shuffled-rows'), ...onList }),
  /** The page holds the newest alerts of all, whatever the filter says. */
  z.strictObject({ kind: z.literal('filter-ignored'), ...onList }),
  /** Every request whose filter covers this alert fails, for as long as the fault stays. */
  z.strictObject({
    kind: z.literal('poison'),
    ...onList,
    budget: faultBasics.budget.default(ALWAYS),
    alertId: z.string(),
    status: z.int().min(400).max(599).default(500),
  }),
  /** From now on the tenant lists an alert that names another tenant. */
  z.strictObject({ kind: z.literal('foreign-alert'), ...onList, otherTenantId: z.string().optional() }),
  /** From now on the tenant lists an alert without its id, tenant id, or any time. */
  z.strictObject({ kind: z.literal('alert-without'), ...onList, member: z.enum(['id', 'tenantId', 'time']) }),
  /** A token error of Entra by its AADSTS number. */
  z.strictObject({ kind: z.literal('aadsts'), ...faultBasics, code: z.int() }),
  /** 200 from the token endpoint without an access_token. */
  z.strictObject({ kind: z.literal('no-token'), ...faultBasics }),
])

export type GraphFaultInput = z.input<typeof graphFaultSchema>
type GraphFaultSpec = z.output<typeof graphFaultSchema>
export type GraphFault = Fault<GraphFaultSpec>
export type GraphFaults = FaultList<GraphFaultInput, GraphFaultSpec>

/** Where a request stands, as far as faults care. */
export interface Spot {
  readonly where: 'list' | 'token'
  readonly followUp: boolean
  readonly rows: number
  /** Whether the filter of the request covers an alert. */
  readonly covers: (alertId: string) => boolean
}

export function appliesAt(fault: GraphFault, spot: Spot): boolean {
  switch (fault.kind) {
    case 'aadsts':
    case 'no-token':
      return spot.where === 'token'
    case 'poison':
      return spot.where === 'list' && phaseFits(fault, spot) && spot.covers(fault.alertId)
    case 'huge-page':
      return spot.where === 'list' && phaseFits(fault, spot) && spot.rows >= fault.minRows
    case 'unauthorized':
    case 'forbidden':
    case 'partial':
    case 'next-link':
    case 'empty-page':
    case 'duplicate-rows':
    case 'shuffled-rows':
    case 'filter-ignored':
    case 'foreign-alert':
    case 'alert-without':
      return spot.where === 'list' && phaseFits(fault, spot)
    case 'throttle':
    case 'status':
    case 'reset':
    case 'hang':
    case 'slow-headers':
    case 'slow-body':
    case 'truncated-body':
    case 'html':
    case 'content-type':
    case 'bom':
    case 'invalid-utf8':
    case 'gzip-bomb':
    case 'redirect':
      return (fault.where === 'any' || fault.where === spot.where) && (spot.where === 'token' || phaseFits(fault, spot))
  }
}

function phaseFits(fault: { readonly phase: 'any' | 'first' | 'follow-up' }, spot: Spot): boolean {
  return fault.phase === 'any' || (fault.phase === 'follow-up') === spot.followUp
}
