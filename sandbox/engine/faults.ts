import { z } from 'zod'
import { ALWAYS, type Fault, type FaultList, faultBasics } from '../graph/fault-list.ts'
import { retryAfterForms } from '../graph/faults.ts'

/** `tenant` in a fault means: a batch that holds an item of that tenant. */
const standing = { ...faultBasics, budget: faultBasics.budget.default(ALWAYS) }

export const engineFaultSchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('throttle'),
    ...faultBasics,
    retryAfter: z.enum(retryAfterForms).default('seconds'),
    seconds: z.int().min(0).default(1),
  }),
  /** The whole request is refused: 500, 503, 401, 403, 404, 3xx (`to` is the Location) and so on. */
  z.strictObject({
    kind: z.literal('status'),
    ...faultBasics,
    status: z.int().min(300).max(599),
    html: z.boolean().default(false),
    to: z.string().default('http://elsewhere.example/v1/alerts:batch'),
    retryAfterSeconds: z.int().min(0).optional(),
  }),
  /** 413 for more than so many items or (uncompressed) bytes, or for any batch with this alert. */
  z.strictObject({
    kind: z.literal('too-large'),
    ...standing,
    overItems: z.int().min(0).optional(),
    overBytes: z.int().min(0).optional(),
    alertId: z.string().optional(),
  }),
  /** 400 or 422 for every batch that holds this alert. */
  z.strictObject({
    kind: z.literal('refuse-batch'),
    ...standing,
    alertId: z.string(),
    status: z.union([z.literal(400), z.literal(422)]).default(400),
  }),
  z.strictObject({
    kind: z.literal('unsupported-encoding'),
    ...standing,
    encodings: z.array(z.enum(['gzip', 'zstd', 'identity'])).default(['gzip', 'zstd']),
  }),
  /** 202 that says nothing of the items; `accept` says whether the engine has them all the same. */
  z.strictObject({
    kind: z.literal('no-items'),
    ...faultBasics,
    status: z.union([z.literal(200), z.literal(202)]).default(202),
    accept: z.boolean().default(false),
  }),
  z.strictObject({
    kind: z.literal('unreadable'),
    ...faultBasics,
    form: z.enum(['empty', 'html', 'garbage', 'truncated']).default('empty'),
    accept: z.boolean().default(false),
  }),
  /** The answer leaves out a share of the items (at least one). */
  z.strictObject({
    kind: z.literal('missing-items'),
    ...faultBasics,
    share: z.number().min(0).max(1).default(0.5),
    accept: z.boolean().default(false),
  }),
  /** The answer also holds ids that nobody sent. */
  z.strictObject({ kind: z.literal('unknown-ids'), ...faultBasics }),
  /** The first item is answered twice, with 200 and with 503. The engine has it. */
  z.strictObject({ kind: z.literal('contradiction'), ...faultBasics }),
  /** Per-item status for this alert, or for a share of the items (of the fault's tenant). 409 means: the engine has it. */
  z.strictObject({
    kind: z.literal('item-status'),
    ...faultBasics,
    status: z.int().min(200).max(599),
    alertId: z.string().optional(),
    share: z.number().min(0).max(1).default(1),
    error: z.string().default('simulated'),
  }),
  z.strictObject({
    kind: z.literal('reset'),
    ...faultBasics,
    when: z.enum(['before-accept', 'after-accept']).default('before-accept'),
  }),
  /** Never answers; with `accept` the engine has the items. */
  z.strictObject({ kind: z.literal('hang'), ...faultBasics, accept: z.boolean().default(true) }),
  /** Accepts, and answers so much later. */
  z.strictObject({ kind: z.literal('slow'), ...faultBasics, delayMs: z.int().min(1) }),
])

export type EngineFaultInput = z.input<typeof engineFaultSchema>
type EngineFaultSpec = z.output<typeof engineFaultSchema>
export type EngineFault = Fault<EngineFaultSpec>
export type EngineFaults = FaultList<EngineFaultInput, EngineFaultSpec>

/** A batch, as far as faults care. */
export interface BatchSpot {
  readonly items: number
  readonly bytes: number
  readonly encoding: string
  readonly holds: (alertId: string) => boolean
}

export function appliesTo(fault: EngineFault, spot: BatchSpot): boolean {
  switch (fault.kind) {
    case 'too-large':
      return (
        spot.items > (fault.overItems ?? Infinity) ||
        spot.bytes > (fault.overBytes ?? Infinity) ||
        (fault.alertId !== undefined && spot.holds(fault.alertId))
      )
    case 'refuse-batch':
      return spot.holds(fault.alertId)
    case 'unsupported-encoding':
      return fault.encodings.some(encoding => encoding === spot.encoding)
    case 'item-status':
      return fault.alertId === undefined || spot.holds(fault.alertId)
    case 'throttle':
    case 'status':
    case 'no-items':
    case 'unreadable':
    case 'missing-items':
    case 'unknown-ids':
    case 'contradiction':
    case 'reset':
    case 'hang':
    case 'slow':
      return true
  }
}
