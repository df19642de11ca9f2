/**
 * Entra's refusals, by number and by OAuth `error`: what to say, and whose move it is.
 */
import type { TenantAccess } from './clouds.ts'
import { ADMIN, type Advice, isGuid, PAGES } from './problems.ts'

export const CREDENTIAL = 'the operator puts it into {file}'
export const ADMIN_BEGINS = "The customer's administrator"

export function customers(words: string, page: string): Advice {
  return { words, move: 'customer', page }
}

export function operators(words: string, page?: string): Advice {
  return { words, move: 'operator', ...(page === undefined ? {} : { page }) }
}

const BAD_TENANT = operators(
  'The tenant ID {tenant} is neither a GUID nor a verified domain: correct it in the tenants file.',
  PAGES.directory,
)
const NO_TENANT = operators(
  "Entra does not take {tenant} for the ID of a directory: compare it in the tenants file, sign by sign, with the customer's Directory (tenant) ID.",
  PAGES.directory,
)
const OTHER_CLOUD = operators(
  `The directory {tenant} is not in the cloud "{cloud}": set the customer's national cloud in the tenants file.`,
)
const NO_APP = customers(
  `The application {app} is missing or disabled in the directory {tenant}: ${ADMIN} must register or enable it.`,
  PAGES.enabled,
)
const NO_CREDENTIAL: Advice = {
  words: 'No credential reached Entra although {file} was read: this is a fault of the poller, report it.',
  move: 'maintainer',
}
const BAD_CERTIFICATE = customers(
  `Entra does not accept the certificate in {file}: ${ADMIN} must upload exactly this certificate to the application {app}.`,
  PAGES.credentials,
)
const BAD_TIME = operators(
  'Entra finds the signed request outside its time: the operator must set the clock of the workers right or, where {file} holds a federated token, have that token written anew.',
)
const BAD_FEDERATION = customers(
  `The token in {file} matches no federated credential of the application {app}: ${ADMIN} must compare issuer, subject and audience.`,
  PAGES.federation,
)
const NO_CONSENT = customers(
  `The application {app} lacks consent in the directory {tenant}: ${ADMIN} must grant admin consent.`,
  PAGES.permissions,
)
const NO_SUBSCRIPTION = customers(
  `The organisation of the directory {tenant} has no subscription of the service that the permissions of {app} belong to, or has it switched off: ${ADMIN} must check the subscriptions; consent alone does not help.`,
  PAGES.licences,
)
const GRAPH_OFF = customers(
  `Microsoft Graph itself is disabled in the directory {tenant}: ${ADMIN} must first see whether a subscription has lapsed, and then whether somebody has switched off "Microsoft Graph" under Enterprise apps. The application {app} need not be changed.`,
  PAGES.licences,
)
const NO_PRINCIPAL = customers(
  `The application {app} has no service principal (enterprise application) in the directory {tenant}, so nobody can let it in: ${ADMIN} must grant consent again, by the link {consent} or on the page of the application. The credential is not at fault.`,
  PAGES.permissions,
)
const WRONG_FLOW = operators(
  'Entra treated the request as a sign-in of a user, which the poller never makes: check that the client ID {app} is an application with its own credential.',
  PAGES.overview,
)
const BAD_SCOPE = operators(
  'Entra does not know Microsoft Graph under the scope of the cloud "{cloud}": check the cloud in the tenants file.',
)
const BLOCKED = customers(
  `Conditional Access blocks the application {app} (location or risk): ${ADMIN} must allow the workers' egress addresses.`,
  PAGES.conditionalAccess,
)
const OWN_AUTHORITY = operators(
  'The application {app} may only be used through its own directory: put the tenant ID, not a common name, into the tenants file.',
  PAGES.directory,
)

/** AADSTS number → what to say; what Entra itself calls passing is not here. */
const AADSTS: ReadonlyMap<number, Advice> = new Map<number, Advice>([
  [
    90002,
    operators(
      'Entra knows no directory {tenant} in the cloud "{cloud}": check in the tenants file that the tenant ID has no typo, that it and the client ID have not changed places, and the cloud.',
      PAGES.directory,
    ),
  ],
  ...each([900023, 90019, 50059, 50128], BAD_TENANT),
  [
    700016,
    operators(
      `The application {app} does not exist in the directory {tenant}: either the client ID is wrong (an Object ID or Secret ID is often pasted instead), or the tenant ID is another directory's. The operator must first compare both in the tenants file with what the customer sent; if they are the same, ${ADMIN} must send both anew from the application's Overview page, or register the application again if it was deleted.`,
      PAGES.applications,
    ),
  ],
  [7000229, NO_PRINCIPAL],
  ...each([700011, 70001, 7000112, 1000031], NO_APP),
  [
    7000215,
    operators(
      `Entra rejects the client secret in {file}: it is mistyped, deleted, or another application's than {app}. Our file first: the operator must compare it with what the customer sent; if it is the same, ${ADMIN} must create a new secret on this application's page and send the secret's Value, which is shown only once; ${CREDENTIAL}.`,
      PAGES.credentials,
    ),
  ],
  [
    7000222,
    customers(
      `The client secret in {file} has expired: ${ADMIN} must create a new one and send its Value; ${CREDENTIAL}.`,
      PAGES.credentials,
    ),
  ],
  ...each([7000218, 7000216, 900144], NO_CREDENTIAL),
  ...each([700027, 50048, 700030], BAD_CERTIFICATE),
  [700024, BAD_TIME],
  ...each([700211, 700212, 700213, 700229, 70021, 50027], BAD_FEDERATION),
  [
    700025,
    customers(
      `The application {app} is marked as a public client, which may not use a secret: ${ADMIN} must switch that off.`,
      PAGES.authentication,
    ),
  ],
  [650052, NO_SUBSCRIPTION],
  [500014, GRAPH_OFF],
  ...each([500011, 70011, 1002012], BAD_SCOPE),
  ...each([53003, 530032], BLOCKED),
  ...each([65001, 90094, 650051, 650053, 650054, 650055, 650056, 650057], NO_CONSENT),
  ...each([50034, 50053, 50057, 50076, 50126], WRONG_FLOW),
  ...each([50194, 9001023], OWN_AUTHORITY),
  ...each([90038, 900382, 900432], OTHER_CLOUD),
])

const OURS = 'The application is ours, for several customers'
const OUR_CREDENTIAL = operators(
  `Entra rejects our credential in {file} for the application {app}. ${OURS}: the operator must compare it with the page of the application in our own directory, and renew it; no customer has anything to do.`,
  PAGES.ourCredentials,
)
const NOT_ALLOWED_YET = customers(
  `The application {app} is not known in the directory {tenant}. ${OURS}: ${ADMIN} must allow it by the link {consent} . If this customer was to have an application of its own, the operator must correct the client ID in the tenants file.`,
  PAGES.consent,
)

/** What is said otherwise where one application of ours serves several customers. */
const AADSTS_SHARED: ReadonlyMap<number, Advice> = new Map<number, Advice>([
  ...each([700016, 700011, 70001, 7000229], NOT_ALLOWED_YET),
  ...each([65001, 90094, 650051, 650053, 650054, 650055, 650056, 650057], NOT_ALLOWED_YET),
  ...each([7000215, 700027, 50048, 700030, 700211, 700212, 700213, 700229, 70021, 50027], OUR_CREDENTIAL),
  [
    7000222,
    operators(
      `Our client secret in {file} has expired. ${OURS}: the operator must create a new one in our own directory; no customer has anything to do.`,
      PAGES.ourCredentials,
    ),
  ],
  [
    700025,
    operators(
      `The application {app} is marked as a public client, which may not use a secret. ${OURS}: the operator must switch that off in our own directory.`,
      PAGES.authentication,
    ),
  ],
  ...each(
    [7000112, 1000031],
    operators(
      `The application {app} is disabled for the directory {tenant}. ${OURS}: the operator must first see whether it is disabled in our own directory; if it is not, ${ADMIN} must enable it.`,
      PAGES.enabled,
    ),
  ),
])

/** Of a tenant ID that is a GUID. */
const AADSTS_GUID: ReadonlyMap<number, Advice> = new Map(each([900023, 90019, 50059, 50128], NO_TENANT))

export const AADSTS_NEEDING: ReadonlySet<number> = new Set(AADSTS.keys())

function each(codes: readonly number[], advice: Advice): [number, Advice][] {
  return codes.map(code => [code, advice])
}

/** OAuth `error` → what to say, for numbers that are not in the table: Microsoft says that the numbers may change. */
const OAUTH: ReadonlyMap<string, Advice> = new Map([
  [
    'invalid_client',
    customers(
      `Entra rejects the credential in {file} of the application {app}: ${ADMIN} must check it and send the right one; ${CREDENTIAL}.`,
      PAGES.credentials,
    ),
  ],
  ['unauthorized_client', NO_APP],
  [
    'invalid_request',
    operators(
      'Entra finds the token request for {tenant} malformed: check tenant ID, client ID and cloud in the tenants file.',
      PAGES.overview,
    ),
  ],
  ['invalid_scope', BAD_SCOPE],
  ['invalid_resource', BAD_SCOPE],
  ['access_denied', BLOCKED],
  ['interaction_required', BLOCKED],
  ['consent_required', NO_CONSENT],
  ['invalid_grant', NO_CONSENT],
])
const OAUTH_SHARED: ReadonlyMap<string, Advice> = new Map([
  ['invalid_client', OUR_CREDENTIAL],
  ['unauthorized_client', NOT_ALLOWED_YET],
  ['consent_required', NOT_ALLOWED_YET],
  ['invalid_grant', NOT_ALLOWED_YET],
])
/** OAuth errors that are in the table. */
export const OAUTH_KNOWN: ReadonlySet<string> = new Set(OAUTH.keys())

const REFUSED = customers(
  `Entra refuses the application {app} a token for {tenant}: ${ADMIN} must look the code up in Entra's sign-in log.`,
  PAGES.signIns,
)

/** `number`: one of AADSTS_NEEDING, if the refusal has one; `error`: its OAuth error. */
export function adviceOn(access: TenantAccess, number: number | undefined, error: string | null): Advice {
  const isShared = access.isSharedApp === true
  const byNumber =
    number === undefined
      ? undefined
      : ((isShared ? AADSTS_SHARED.get(number) : undefined) ??
        (isGuid(access.tenantId) ? AADSTS_GUID.get(number) : undefined) ??
        AADSTS.get(number))
  const byError = error === null ? undefined : ((isShared ? OAUTH_SHARED.get(error) : undefined) ?? OAUTH.get(error))
  return byNumber ?? byError ?? REFUSED
}
