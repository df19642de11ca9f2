import type { Tenant } from '../schemas/types.ts'

export type Enrichment =
  | { readonly kind: 'tenant'; readonly json: Buffer }
  | { readonly kind: 'park'; readonly reason: 'unknown-tenant' | 'off-boarded'; readonly detail: string }

/** The tenants of one lane, each with the JSON object that goes into every item of it. */
export class TenantDirectory {
  readonly #byId = new Map<string, { readonly tenant: Tenant; json: Buffer | null }>()

  set(tenant: Tenant): void {
    this.#byId.set(tenant.tenantId, { tenant, json: null })
  }

  remove(tenantId: string): void {
    this.#byId.delete(tenantId)
  }

  isActive(tenantId: string): boolean {
    return this.#byId.get(tenantId)?.tenant.state === 'active'
  }

  enrich(tenantId: string, nowMs: number): Enrichment {
    const entry = this.#byId.get(tenantId)
    if (!entry) return { kind: 'park', reason: 'unknown-tenant', detail: 'no tenant record has arrived' }
    if (entry.tenant.state !== 'active' && !isDraining(entry.tenant, nowMs)) {
      return { kind: 'park', reason: 'off-boarded', detail: 'the tenant was removed' }
    }
    entry.json ??= tenantJson(entry.tenant)
    return { kind: 'tenant', json: entry.json }
  }
}

/** Nothing of a removed tenant is forwarded later than a minute after its removal. */
const DRAIN_MS = 60_000

function isDraining({ offboarding, changedAt }: Tenant, nowMs: number): boolean {
  return offboarding === 'deliver' && nowMs < changedAt + DRAIN_MS
}

/** `{"id","name",…metadata}`; metadata cannot take the place of id and name. */
function tenantJson({ tenantId, name, metadataJson }: Tenant): Buffer {
  const { id: _id, name: _name, ...metadata } = parseObject(metadataJson)
  try {
    return Buffer.from(JSON.stringify({ id: tenantId, name, ...metadata }))
  } catch {
    // nested deeper than the stack: nothing that `socos tenants` wrote
    return Buffer.from(JSON.stringify({ id: tenantId, name }))
  }
}

/** `socos tenants` wrote an object; anything else enriches nothing rather than stopping the tenant's alerts. */
function parseObject(bytes: Buffer): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(bytes.toString())
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : {}
  } catch {
    return {}
  }
}
