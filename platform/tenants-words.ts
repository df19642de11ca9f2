import { didYouMean, nearestName } from './nearest.ts'
import { holdsSecret } from './secret-shapes.ts'

/** What people write into a tenants file who know the same thing by another name, and what is said to them. */

export const MEMBERS = [
  'tenantId',
  'clientId',
  'name',
  'cloud',
  'source',
  'credential',
  'credentialExpires',
  'intervalSeconds',
  'lookbackHours',
  'metadata',
] as const
export const CREDENTIAL_KINDS = ['secretFile', 'certificateFile', 'federatedTokenFile'] as const

type Member = (typeof MEMBERS)[number]
export type CredentialKind = (typeof CREDENTIAL_KINDS)[number]

/** Members in which somebody may have written the secret itself. */
const SECRET_KEY = /^(?:(?:app|client|application)?[-_ ]?(?:secret|password|key)(?:[-_ ]?(?:value|text))?|value|pwd)$/i
export const NO_SECRETS =
  'no secret has a place in this file: put it into a file below SECRETS_DIR, name that one (credential: {secretFile: …}), and ask the customer for a new secret if this file was shared'
const INTO_A_FILE =
  'put it into a file below SECRETS_DIR, name that one (credential: {secretFile: …}), and ask the customer for a new one, since this one has been in a file that is passed around'
export const HOLDS_SECRET = `holds a secret, and no secret has a place in this file: ${INTO_A_FILE}`
export const METADATA_SECRET = `holds a secret, and metadata goes to the engine with every alert: ${INTO_A_FILE}`
export const METADATA_SECRET_NAME = `is a secret by its name, and metadata goes to the engine with every alert: ${INTO_A_FILE}; if it is none, give it another name`

/** What the members are called elsewhere: in the portal, in Microsoft's libraries, in Terraform. */
const OTHER_NAMES: Readonly<Record<string, Member | CredentialKind>> = {
  aadtenantid: 'tenantId',
  azuretenantid: 'tenantId',
  customertenantid: 'tenantId',
  directoryid: 'tenantId',
  directorytenantid: 'tenantId',
  entratenantid: 'tenantId',
  organizationid: 'tenantId',
  tenant: 'tenantId',
  tenantguid: 'tenantId',
  tid: 'tenantId',
  app: 'clientId',
  appclientid: 'clientId',
  appid: 'clientId',
  applicationclientid: 'clientId',
  applicationid: 'clientId',
  azureclientid: 'clientId',
  client: 'clientId',
  company: 'name',
  customer: 'name',
  customername: 'name',
  displayname: 'name',
  tenantname: 'name',
  title: 'name',
  azureenvironment: 'cloud',
  environment: 'cloud',
  nationalcloud: 'cloud',
  alertsource: 'source',
  api: 'source',
  auth: 'credential',
  authentication: 'credential',
  clientsecretfile: 'secretFile',
  clientsecretpath: 'secretFile',
  passwordfile: 'secretFile',
  secretfilename: 'secretFile',
  secretpath: 'secretFile',
  cert: 'certificateFile',
  certfile: 'certificateFile',
  certificate: 'certificateFile',
  certificatepath: 'certificateFile',
  certpath: 'certificateFile',
  clientcertificate: 'certificateFile',
  clientcertificatepath: 'certificateFile',
  pemfile: 'certificateFile',
  azurefederatedtokenfile: 'federatedTokenFile',
  federatedtoken: 'federatedTokenFile',
  federatedtokenpath: 'federatedTokenFile',
  tokenfile: 'federatedTokenFile',
  certificateexpires: 'credentialExpires',
  enddatetime: 'credentialExpires',
  expirationdate: 'credentialExpires',
  expires: 'credentialExpires',
  expiresat: 'credentialExpires',
  expiry: 'credentialExpires',
  expirydate: 'credentialExpires',
  secretexpires: 'credentialExpires',
  interval: 'intervalSeconds',
  pollinterval: 'intervalSeconds',
  pollintervalseconds: 'intervalSeconds',
  pollseconds: 'intervalSeconds',
  lookback: 'lookbackHours',
  attributes: 'metadata',
  labels: 'metadata',
  tags: 'metadata',
  ...Object.fromEntries([...MEMBERS, ...CREDENTIAL_KINDS].map(name => [fold(name), name])),
}
const LIST_NAMES = new Set(['tenant', 'tenantlist', 'customer', 'customers', 'clients', 'organizations'])

/** Of the whole file, of one tenant, or of its credential. */
export type Level = 'file' | 'tenant' | 'credential'

/** What is said of a member that is not known at its place: what was meant, and where that belongs. Never its value. */
export function unknownWords(key: string, value: unknown, level: Level): string {
  if (typeof value === 'string' && holdsSecret(value)) return HOLDS_SECRET
  if (SECRET_KEY.test(key)) return NO_SECRETS
  const name = fold(key)
  const exact = Object.hasOwn(OTHER_NAMES, name) ? OTHER_NAMES[name] : undefined
  return `is not known here${meantWords(key, exact, level)}`
}

function meantWords(key: string, exact: Member | CredentialKind | undefined, level: Level): string {
  switch (level) {
    case 'file':
      if (LIST_NAMES.has(fold(key))) return ' (did you mean tenants?)'
      if (exact === undefined) return didYouMean(key, ['tenants'])
      return `: it belongs to a tenant, in the list below \`tenants:\`, as ${isKind(exact) ? inCredential(exact) : exact}`
    case 'tenant': {
      const meant = exact ?? nearestName(key, MEMBERS) ?? nearestName(key, CREDENTIAL_KINDS)
      if (meant === null) return ''
      const kind = CREDENTIAL_KINDS.find(kind => kind === meant)
      return kind === undefined ? ` (did you mean ${meant}?)` : `: write ${inCredential(kind)}`
    }
    case 'credential':
      if (exact === undefined) return didYouMean(key, CREDENTIAL_KINDS)
      return isKind(exact) ? ` (did you mean ${exact}?)` : `: it belongs to the tenant, beside credential, as ${exact}`
  }
}

function isKind(name: Member | CredentialKind): name is CredentialKind {
  return CREDENTIAL_KINDS.some(kind => kind === name)
}

function inCredential(kind: CredentialKind): string {
  return `credential: {${kind}: …}`
}

/** What Microsoft's clouds are called elsewhere. */
const CLOUD_NAMES: Readonly<Record<string, string>> = {
  gcc: 'global',
  commercial: 'global',
  public: 'global',
  worldwide: 'global',
  azurecloud: 'global',
  azurepublic: 'global',
  gcchigh: 'usgov',
  gcch: 'usgov',
  usgovernment: 'usgov',
  azureusgovernment: 'usgov',
  l4: 'usgov',
  l5: 'dod',
  usdod: 'dod',
  '21vianet': 'china',
  azurechina: 'china',
  azurechinacloud: 'china',
}

export function cloudMeant(value: unknown): string {
  const name = fold(String(value))
  const cloud = Object.hasOwn(CLOUD_NAMES, name) ? CLOUD_NAMES[name] : undefined
  return cloud === undefined ? '' : ` (most likely ${cloud})`
}

function fold(name: string): string {
  return name.toLowerCase().replaceAll(/[^a-z0-9]/g, '')
}
