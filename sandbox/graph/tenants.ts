import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { stringify } from 'yaml'
import { z } from 'zod'
import { guid, hex, pick, seededRandom, subSeed } from './chance.ts'

export type AlertSource = 'alerts_v2' | 'alerts'

const READ_ROLE = { alerts_v2: 'SecurityAlert.Read.All', alerts: 'SecurityEvents.Read.All' } as const

/** A customer's directory as Entra and Graph see it. */
export interface SimTenant {
  /** Lower-case GUID. */
  readonly tenantId: string
  name: string
  readonly clientId: string
  readonly source: AlertSource
  /** Any one that is not expired opens the door. */
  secrets: readonly { readonly value: string; readonly expiresAtMs: number | null }[]
  /** PEM; with it client assertions must bear a valid signature, without it any well-formed one of the app will do. */
  certificatePem: string | null
  /** Application roles with admin consent; none = a token without roles. Tokens keep what they were issued with. */
  roles: readonly string[]
  /** False: the directory is gone (AADSTS90002). */
  exists: boolean
  /** False: the app is not in the directory (AADSTS700016). */
  appKnown: boolean
  /** An AADSTS code that every token request gets, e.g. 53003 for Conditional Access. */
  tokenError: number | null
  metadata: Record<string, unknown>
}

export interface TenantPlan {
  readonly count: number
  readonly seed: number
  /** So many of them, counted from the end of the list, are read through the retired list. */
  readonly legacy?: number
  /** So many after the first have never consented. */
  readonly unconsented?: number
  /** So many after those have an expired secret. */
  readonly expired?: number
  /** The one secret of all of them, where it must be known beforehand. */
  readonly secret?: string
}

const NAMES = [
  'Contoso Bank',
  'Fabrikam Küchen GmbH',
  'Société Générée',
  '木の葉 Holdings',
  'Ødegård & Søn',
  'Adatum',
] as const

/** The same plan gives the same tenants, secrets included. The first tenant is always a healthy one. */
export function makeTenants(plan: TenantPlan): SimTenant[] {
  const unconsented = plan.unconsented ?? 0
  const expired = plan.expired ?? 0
  return Array.from({ length: plan.count }, (_, place) => {
    const legacy = place >= plan.count - (plan.legacy ?? 0)
    const tenant = makeTenant(subSeed(plan.seed, place), legacy ? 'alerts' : 'alerts_v2', place)
    if (plan.secret !== undefined) tenant.secrets = [{ value: plan.secret, expiresAtMs: null }]
    if (place >= 1 && place <= unconsented) tenant.roles = []
    else if (place > unconsented && place <= unconsented + expired) {
      tenant.secrets = tenant.secrets.map(secret => ({ ...secret, expiresAtMs: 0 }))
    }
    return tenant
  })
}

function makeTenant(seed: number, source: AlertSource, place: number): SimTenant {
  const random = seededRandom(seed)
  return {
    tenantId: guid(random),
    clientId: guid(random),
    name: `${pick(random, NAMES)} ${place + 1}`,
    source,
    secrets: [{ value: `sim8Q~${hex(random, 34)}`, expiresAtMs: null }],
    certificatePem: null,
    roles: [READ_ROLE[source]],
    exists: true,
    appKnown: true,
    tokenError: null,
    metadata: {
      tier: pick(random, ['gold', 'silver']),
      region: pick(random, ['eu-west', 'us-east']),
      customerNumber: place + 1,
    },
  }
}

/** A change of a tenant, or a new one when the id is unknown. Absent members stay as they are. */
export const tenantChangeSchema = z.strictObject({
  tenantId: z.guid().transform(id => id.toLowerCase()),
  clientId: z.string().optional(),
  source: z.enum(['alerts_v2', 'alerts']).optional(),
  name: z.string().optional(),
  /** Replaces the valid secrets; the former ones become wrong (7000215). */
  secrets: z
    .array(z.strictObject({ value: z.string().min(1), expiresAtMs: z.number().nullable().default(null) }))
    .optional(),
  /** Keeps the secrets but ends (7000222) or revives them. */
  secretsExpired: z.boolean().optional(),
  certificatePem: z.string().nullable().optional(),
  roles: z.array(z.string()).optional(),
  /** Shorthand: the one read role of the tenant's list, or no role. */
  consent: z.boolean().optional(),
  exists: z.boolean().optional(),
  appKnown: z.boolean().optional(),
  tokenError: z.int().nullable().optional(),
  /** Every token issued so far stops working (401). */
  revokeTokens: z.boolean().optional(),
})
export type TenantChange = z.input<typeof tenantChangeSchema>

/** Applies a change; `found` undefined makes a new tenant. */
export function changeTenant(found: SimTenant | undefined, change: z.output<typeof tenantChangeSchema>): SimTenant {
  const seed = subSeed(0, ...Buffer.from(change.tenantId))
  const made = found ?? { ...makeTenant(seed, change.source ?? 'alerts_v2', 0), name: 'New customer' }
  const tenant: SimTenant = found ?? { ...made, tenantId: change.tenantId, clientId: change.clientId ?? made.clientId }
  if (change.name !== undefined) tenant.name = change.name
  if (change.secrets !== undefined) tenant.secrets = change.secrets
  if (change.secretsExpired !== undefined) {
    const expiresAtMs = change.secretsExpired ? 0 : null
    tenant.secrets = tenant.secrets.map(secret => ({ ...secret, expiresAtMs }))
  }
  if (change.certificatePem !== undefined) tenant.certificatePem = change.certificatePem
  if (change.consent !== undefined) tenant.roles = change.consent ? [READ_ROLE[tenant.source]] : []
  if (change.roles !== undefined) tenant.roles = change.roles
  if (change.exists !== undefined) tenant.exists = change.exists
  if (change.appKnown !== undefined) tenant.appKnown = change.appKnown
  if (change.tokenError !== undefined) tenant.tokenError = change.tokenError
  return tenant
}

/** The tenants file of the product (YAML, or JSON by its extension) and, beside it, one secret file a tenant. */
export async function writeTenantFiles(
  tenants: readonly SimTenant[],
  paths: { readonly tenantsFile?: string; readonly secretsDir?: string },
): Promise<void> {
  if (paths.secretsDir !== undefined) {
    await mkdir(paths.secretsDir, { recursive: true })
    for (const tenant of tenants) {
      const secret = tenant.secrets[0]?.value ?? ''
      await writeFile(join(paths.secretsDir, secretFileOf(tenant)), `${secret}\n`, { mode: 0o600 })
    }
  }
  if (paths.tenantsFile !== undefined) {
    await mkdir(dirname(paths.tenantsFile), { recursive: true })
    const content = { tenants: tenants.map(describeTenant) }
    const json = paths.tenantsFile.endsWith('.json')
    await writeFile(paths.tenantsFile, json ? `${JSON.stringify(content, null, 2)}\n` : stringify(content))
  }
}

export function secretFileOf(tenant: SimTenant): string {
  return `${tenant.tenantId}.secret`
}

/** Its entry in the tenants file of the product. */
export function describeTenant(tenant: SimTenant): Record<string, unknown> {
  const expiresAtMs = tenant.secrets[0]?.expiresAtMs ?? null
  return {
    tenantId: tenant.tenantId,
    clientId: tenant.clientId,
    name: tenant.name,
    cloud: 'global',
    source: tenant.source,
    credential: { secretFile: secretFileOf(tenant) },
    // an ended secret is not announced: the pipeline must find out from Entra
    ...(expiresAtMs === null || expiresAtMs === 0 ? {} : { credentialExpires: new Date(expiresAtMs).toISOString() }),
    metadata: tenant.metadata,
  }
}
