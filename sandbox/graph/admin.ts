import type { IncomingMessage } from 'node:http'
import { z } from 'zod'
import { type Answer, jsonAnswer, readBody } from './answer.ts'
import { type GraphFaults, graphFaultSchema } from './faults.ts'
import type { GraphLedger, LedgerRevision } from './ledger.ts'
import type { Load } from './load.ts'
import { type SimTenant, type TenantChange, tenantChangeSchema } from './tenants.ts'

interface PlaceOptions {
  /** How long it stays invisible; the simulator's lag when absent. */
  readonly visibleInMs?: number
  /** The update time as it is to be served; the simulator's now when absent. */
  readonly at?: string
  readonly hostile?: boolean
}

/** What can be done to a running simulator, in-process and (through `/_sim/`) over HTTP. */
export interface GraphControls {
  readonly tenants: readonly SimTenant[]
  /** Live. */
  readonly ledger: GraphLedger
  readonly faults: GraphFaults
  readonly load: Load
  /** Makes up a new alert. Unknown tenants are an error, as everywhere below. */
  addAlert(tenantId: string, options?: PlaceOptions): LedgerRevision
  /** A new revision of a made-up alert. */
  updateAlert(tenantId: string, alertId: string, options?: PlaceOptions): LedgerRevision
  /** An alert verbatim; a known id is an update. */
  inject(tenantId: string, alert: string | Buffer, options?: { readonly visibleInMs?: number }): LedgerRevision
  /** Changes a tenant, or adds one. */
  changeTenant(change: TenantChange): SimTenant
  /** The simulator's own time, as in its Date header. */
  simNow(): number
  setSkew(skewMs: number): void
  setLag(lagMs: number): void
}

const MAX_ADMIN_BYTES = 256 * 1024 * 1024

/** One alert to put in: made up (`create`, `update`) or given verbatim (`json` as text, `base64` as bytes). */
const alertOrder = z.union([
  z.strictObject({
    tenantId: z.string(),
    create: z.int().min(1).max(1_000_000),
    hostile: z.boolean().optional(),
    at: z.string().optional(),
    visibleInMs: z.int().min(0).optional(),
  }),
  z.strictObject({
    tenantId: z.string(),
    update: z.string(),
    at: z.string().optional(),
    visibleInMs: z.int().min(0).optional(),
  }),
  z.strictObject({ tenantId: z.string(), json: z.string(), visibleInMs: z.int().min(0).optional() }),
  z.strictObject({ tenantId: z.string(), base64: z.base64(), visibleInMs: z.int().min(0).optional() }),
])
const clockOrder = z.strictObject({ skewMs: z.int().optional(), lagMs: z.int().min(0).optional() })
const loadOrder = z.strictObject({
  running: z.boolean().optional(),
  ratePerSecond: z.number().min(0).optional(),
  updateShare: z.number().min(0).max(10).optional(),
})
const faultRemoval = z.strictObject({ id: z.int().optional() })

/** The control surface under `/_sim/`, the same things the in-process object offers. */
export async function serveGraphAdmin(
  sim: GraphControls,
  request: IncomingMessage,
  url: URL,
): Promise<Answer | undefined> {
  const what = `${request.method} ${url.pathname.slice('/_sim/'.length)}`
  try {
    return await answerTo(what, sim, request)
  } catch (error) {
    const words = error instanceof z.ZodError ? z.prettifyError(error) : String(error)
    return jsonAnswer(400, { error: words })
  }
}

async function answerTo(what: string, sim: GraphControls, request: IncomingMessage): Promise<Answer | undefined> {
  const body = async (): Promise<unknown> => JSON.parse((await readBody(request, MAX_ADMIN_BYTES)).toString())
  switch (what) {
    case 'GET ledger':
      return jsonAnswer(200, sim.ledger)
    case 'GET tenants':
      return jsonAnswer(200, { tenants: sim.tenants })
    case 'POST tenants':
      return jsonAnswer(200, {
        tenants: many(await body(), tenantChangeSchema).map(change => sim.changeTenant(change)),
      })
    case 'GET faults':
      return jsonAnswer(200, { faults: sim.faults.all, firedByKind: sim.faults.firedByKind() })
    case 'POST faults':
      // all are checked before the first is set
      return jsonAnswer(200, { faults: many(await body(), graphFaultSchema).map(fault => sim.faults.add(fault)) })
    case 'DELETE faults': {
      const text = (await readBody(request, MAX_ADMIN_BYTES)).toString()
      const { id } = faultRemoval.parse(text === '' ? {} : JSON.parse(text))
      if (id === undefined) sim.faults.clear()
      else sim.faults.remove(id)
      return jsonAnswer(200, { faults: sim.faults.all })
    }
    case 'POST alerts':
      return jsonAnswer(200, { revisions: many(await body(), alertOrder).flatMap(order => place(sim, order)) })
    case 'POST clock': {
      const order = clockOrder.parse(await body())
      if (order.skewMs !== undefined) sim.setSkew(order.skewMs)
      if (order.lagMs !== undefined) sim.setLag(order.lagMs)
      return jsonAnswer(200, { simNow: new Date(sim.simNow()).toISOString() })
    }
    case 'POST load': {
      const order = loadOrder.parse(await body())
      if (order.ratePerSecond !== undefined) sim.load.plan.ratePerSecond = order.ratePerSecond
      if (order.updateShare !== undefined) sim.load.plan.updateShare = order.updateShare
      if (order.running === true) sim.load.start()
      if (order.running === false) sim.load.freeze()
      return jsonAnswer(200, { ...sim.load.plan, running: sim.load.running })
    }
    default:
      request.resume()
      return undefined
  }
}

function many<T>(content: unknown, schema: z.ZodType<T>): T[] {
  return Array.isArray(content) ? content.map(one => schema.parse(one)) : [schema.parse(content)]
}

function place(sim: GraphControls, order: z.output<typeof alertOrder>) {
  const visible = order.visibleInMs === undefined ? {} : { visibleInMs: order.visibleInMs }
  if ('json' in order) return [sim.inject(order.tenantId, order.json, visible)]
  if ('base64' in order) return [sim.inject(order.tenantId, Buffer.from(order.base64, 'base64'), visible)]
  const at = order.at === undefined ? {} : { at: order.at }
  if ('update' in order) return [sim.updateAlert(order.tenantId, order.update, { ...visible, ...at })]
  const hostile = order.hostile === undefined ? {} : { hostile: order.hostile }
  return Array.from({ length: order.create }, () => sim.addAlert(order.tenantId, { ...visible, ...at, ...hostile }))
}
