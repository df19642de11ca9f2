/** Microsoft's clouds: hosts live in code, never in a customer's input. */
interface CloudHosts {
  readonly loginHost: string
  readonly graphHost: string
  /** Where administrators go. */
  readonly adminHost: string
  /** Where they see what is licensed; by name only where its host is not documented to us. */
  readonly licenceCenter: string
  readonly hasAlertsV2: boolean
}

export type Cloud = 'global' | 'usgov' | 'dod' | 'china'

/** `alerts` is the legacy list, retired by Microsoft on 2026-10-15 and kept for tenants that still answer there. */
export type AlertSource = 'alerts_v2' | 'alerts'

/** What is needed to read one tenant. `file` is relative to SECRETS_DIR and may not leave it. */
export interface TenantAccess {
  readonly tenantId: string
  readonly clientId: string
  readonly cloud: Cloud
  readonly source: AlertSource
  readonly credential: {
    readonly kind: 'secretFile' | 'certificateFile' | 'federatedTokenFile'
    readonly file: string
  }
  /**
   * The application is ours, one for several customers, as far as is known: it has no registration in their directories,
   * and its credential is not theirs to send.
   */
  readonly isSharedApp?: boolean
}

const M365 = 'the Microsoft 365 admin center'

const CLOUDS: Record<Cloud, CloudHosts> = {
  global: {
    loginHost: 'login.microsoftonline.com',
    graphHost: 'graph.microsoft.com',
    adminHost: 'entra.microsoft.com',
    licenceCenter: 'admin.microsoft.com',
    hasAlertsV2: true,
  },
  usgov: {
    loginHost: 'login.microsoftonline.us',
    graphHost: 'graph.microsoft.us',
    adminHost: 'entra.microsoft.us',
    licenceCenter: M365,
    hasAlertsV2: true,
  },
  dod: {
    loginHost: 'login.microsoftonline.us',
    graphHost: 'dod-graph.microsoft.us',
    adminHost: 'entra.microsoft.us',
    licenceCenter: M365,
    hasAlertsV2: true,
  },
  china: {
    loginHost: 'login.partner.microsoftonline.cn',
    graphHost: 'microsoftgraph.chinacloudapi.cn',
    adminHost: 'entra.microsoftonline.cn',
    licenceCenter: M365,
    hasAlertsV2: false,
  },
}

/** A tenant record comes over Kafka: what in it this version does not know, before any of it gets into an address. */
export function unknownPart({ cloud, source, credential }: TenantAccess): 'cloud' | 'source' | 'credential' | null {
  if (!Object.hasOwn(CLOUDS, cloud)) return 'cloud'
  if (!SOURCES.has(source)) return 'source'
  return CREDENTIALS.has(credential.kind) ? null : 'credential'
}

const SOURCES: ReadonlySet<string> = new Set<AlertSource>(['alerts_v2', 'alerts'])
const CREDENTIALS: ReadonlySet<string> = new Set<TenantAccess['credential']['kind']>([
  'secretFile',
  'certificateFile',
  'federatedTokenFile',
])

/** Everything a request to one cloud may address. In the sandbox the bases are the simulator, the rest stays real. */
export interface Endpoints {
  /** Without a slash at the end. */
  readonly loginBase: string
  readonly graphBase: string
  /** What msal knows the cloud by; always https, also in the sandbox. */
  readonly authorityBase: string
  readonly scope: string
  readonly hasAlertsV2: boolean
  readonly isSandbox: boolean
}

export function endpoints(cloud: Cloud, sandboxUrl?: URL): Endpoints {
  const { loginHost, graphHost, hasAlertsV2 } = CLOUDS[cloud]
  const sandbox = sandboxUrl && sandboxUrl.origin + sandboxUrl.pathname.replace(/\/+$/, '')
  return {
    loginBase: sandbox ?? `https://${loginHost}`,
    graphBase: sandbox ?? `https://${graphHost}`,
    authorityBase: `https://${loginHost}`,
    scope: `https://${graphHost}/.default`,
    hasAlertsV2,
    isSandbox: sandbox !== undefined,
  }
}

/** Also for a cloud that only a record of a newer version knows: it is told of in words. */
export function adminCenter(cloud: Cloud): string {
  return CLOUDS[Object.hasOwn(CLOUDS, cloud) ? cloud : 'global'].adminHost
}

/** As `adminCenter`. */
export function licenceCenter(cloud: Cloud): string {
  return CLOUDS[Object.hasOwn(CLOUDS, cloud) ? cloud : 'global'].licenceCenter
}

/** Where an administrator of the directory allows the application; also makes a service principal that is missing. */
export function consentUrl({
  cloud,
  tenantId,
  clientId,
}: Pick<TenantAccess, 'cloud' | 'tenantId' | 'clientId'>): string {
  const { loginHost } = CLOUDS[Object.hasOwn(CLOUDS, cloud) ? cloud : 'global']
  const [tenant, client] = [tenantId, clientId].map(id => encodeURIComponent(id.slice(0, 200).toWellFormed()))
  return `https://${loginHost}/${tenant}/adminconsent?client_id=${client}`
}

export function tokenUrl(at: Endpoints, tenantId: string): URL {
  return new URL(`${at.loginBase}/${tenantId}/oauth2/v2.0/token`)
}

/** Where the alert list stands: every page of it has this origin and this path, and nothing else is ever asked for. */
export function listUrl(at: Endpoints, source: AlertSource): URL {
  return new URL(`${at.graphBase}/v1.0/security/${source}`)
}
