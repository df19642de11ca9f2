/** What the tests of the simulated engine share: a sender that knows nothing of the product's own. */
import { createHash } from 'node:crypto'
import type { EngineSim } from '../../sandbox/engine/sim.ts'

export const TENANT = '5d6f0a53-1c4b-4a0e-9f6e-0c5f5b7f9a11'

export interface ItemWish {
  readonly alertId?: string
  readonly version?: string
  readonly tenantId?: string
  readonly replay?: boolean
  /** The alert's JSON as it is to stand in the body. */
  readonly alert?: string
  readonly id?: string
}

const version = (minute: number): string => `2026-11-23T11:${String(minute).padStart(2, '0')}:00.0000000Z`

/** One item as JSON text, its id computed as the contract says. */
export function itemJson(minute: number, wish: ItemWish = {}): { readonly id: string; readonly text: string } {
  const alertId = wish.alertId ?? `alert-${minute}`
  const tenantId = wish.tenantId ?? TENANT
  const when = wish.version ?? version(minute)
  const alert = wish.alert ?? `{"id":${JSON.stringify(alertId)},"n":9007199254740993}`
  const content = createHash('sha256').update(alert).digest('hex')
  const id =
    wish.id ??
    createHash('sha256')
      .update(JSON.stringify([tenantId, alertId, when, content]))
      .digest('base64url')
  const tenant = JSON.stringify({ id: tenantId, name: 'Société Exemple', tier: 'gold' })
  const replay = wish.replay === true ? ',"replay":{"id":"op-1","reason":"r","by":"b"}' : ''
  const text = `{"id":"${id}","tenant":${tenant},"alertId":${JSON.stringify(alertId)},"version":"${when}","source":"alerts_v2","observedAt":"2026-11-23T12:00:00.000Z"${replay},"alert":${alert}}`
  return { id, text }
}

export interface EngineReply {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  /** Status by id; empty when the body answers for none. */
  readonly byId: ReadonlyMap<string, number>
  readonly order: readonly string[]
}

export async function postBody(
  sim: EngineSim,
  body: string | Buffer<ArrayBuffer>,
  headers: Record<string, string> = {},
): Promise<EngineReply> {
  const response = await fetch(`${sim.url}/v1/alerts:batch`, {
    method: 'POST',
    body,
    redirect: 'manual',
    headers: { 'content-type': 'application/json', ...headers },
  })
  const text = await response.text()
  let items: readonly { id: string; status: number }[] = []
  try {
    items = (JSON.parse(text) as { items?: typeof items }).items ?? []
  } catch {
    // some faults answer what is no JSON
  }
  if (!Array.isArray(items)) items = []
  const byId = new Map(items.map(({ id, status }) => [id, status]))
  return { status: response.status, headers: response.headers, text, byId, order: items.map(({ id }) => id) }
}

export const batchOf = (...items: readonly { readonly text: string }[]): string =>
  `{"items":[${items.map(item => item.text).join(',')}]}`

export const post = (sim: EngineSim, ...items: readonly { readonly text: string }[]): Promise<EngineReply> =>
  postBody(sim, batchOf(...items))
