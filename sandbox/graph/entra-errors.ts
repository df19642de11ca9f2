import { randomUUID } from 'node:crypto'
import { type Answer, jsonAnswer } from './answer.ts'

/** Why Entra refuses a token, by AADSTS number: HTTP status, OAuth error and words. */
const ERRORS: Readonly<Record<number, { status: number; error: string; words: string; suberror?: string }>> = {
  50034: { status: 400, error: 'invalid_grant', words: 'The user account does not exist in the directory.' },
  50053: { status: 400, error: 'invalid_grant', words: 'The account is locked.' },
  50059: {
    status: 400,
    error: 'invalid_request',
    words: 'No tenant-identifying information found in either the request or implied by any provided credentials.',
  },
  50076: {
    status: 400,
    error: 'invalid_grant',
    words: 'Due to a configuration change you must use multi-factor authentication.',
    suberror: 'basic_action',
  },
  50196: {
    status: 400,
    error: 'invalid_request',
    words: 'The server terminated an operation because it encountered a client request loop.',
  },
  53003: {
    status: 400,
    error: 'access_denied',
    words: 'Access has been blocked by Conditional Access policies.',
    suberror: 'message_only',
  },
  65001: {
    status: 400,
    error: 'invalid_grant',
    words: 'The user or administrator has not consented to use the application.',
    suberror: 'consent_required',
  },
  70003: { status: 400, error: 'unsupported_grant_type', words: 'The app requested an unsupported grant type.' },
  70011: { status: 400, error: 'invalid_scope', words: 'The provided request must include a valid scope.' },
  90002: {
    status: 400,
    error: 'invalid_request',
    words:
      "Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud.",
  },
  90033: { status: 503, error: 'temporarily_unavailable', words: 'A transient error has occurred. Please try again.' },
  90038: {
    status: 400,
    error: 'invalid_request',
    words:
      "Confidential Client is not supported in Cross Cloud request: tenant '{tenant}' is in another national cloud.",
  },
  90055: {
    status: 429,
    error: 'temporarily_unavailable',
    words: 'The server is busy: too many requests for this tenant.',
  },
  500011: {
    status: 400,
    error: 'invalid_resource',
    words: "The resource principal was not found in the tenant '{tenant}'.",
  },
  500014: {
    status: 400,
    error: 'invalid_resource',
    words:
      "The service principal for resource 'https://graph.microsoft.com' is disabled. This indicates that a subscription within the tenant has lapsed, or that the administrator for this tenant has disabled the application, preventing tokens from being issued for it.",
  },
  650052: {
    status: 400,
    error: 'invalid_client',
    words:
      "The app needs access to a service ('https://graph.microsoft.com') that your organization '{tenant}' has not subscribed to or enabled.",
  },
  700011: {
    status: 400,
    error: 'unauthorized_client',
    words: "Application with identifier '{app}' was not found in the directory.",
  },
  700016: {
    status: 400,
    error: 'unauthorized_client',
    words:
      "Application with identifier '{app}' was not found in the directory '{tenant}'. You may have sent your authentication request to the wrong tenant.",
  },
  700024: { status: 401, error: 'invalid_client', words: 'Client assertion is not within its valid time range.' },
  700027: {
    status: 401,
    error: 'invalid_client',
    words: 'The certificate with identifier used to sign the client assertion is not registered on application.',
  },
  700211: {
    status: 401,
    error: 'invalid_client',
    words: 'No matching federated identity record found for presented assertion issuer.',
  },
  700212: {
    status: 401,
    error: 'invalid_client',
    words: 'No matching federated identity record found for presented assertion audience.',
  },
  700213: {
    status: 401,
    error: 'invalid_client',
    words: 'No matching federated identity record found for presented assertion subject.',
  },
  900023: {
    status: 400,
    error: 'invalid_request',
    words: "Specified tenant identifier '{tenant}' is neither a valid DNS name, nor a valid external domain.",
  },
  900144: {
    status: 400,
    error: 'invalid_request',
    words: "The request body must contain the following parameter: 'client_id' or 'scope'.",
  },
  900382: {
    status: 400,
    error: 'invalid_request',
    words: 'Confidential Client is not supported in Cross Cloud request.',
  },
  1002012: {
    status: 400,
    error: 'invalid_scope',
    words:
      'The provided value for scope is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI).',
  },
  7000112: { status: 401, error: 'unauthorized_client', words: "Application '{app}' is disabled." },
  7000215: {
    status: 401,
    error: 'invalid_client',
    words:
      "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '{app}'.",
  },
  7000218: {
    status: 401,
    error: 'invalid_client',
    words: "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
  },
  7000222: {
    status: 401,
    error: 'invalid_client',
    words: "The provided client secret keys for app '{app}' are expired. Create new keys for your app.",
  },
  7000229: {
    status: 401,
    error: 'invalid_client',
    words: "The client application '{app}' is missing service principal in the tenant '{tenant}'.",
  },
}
const OTHER = { status: 400, error: 'invalid_request', words: 'The request was refused.' }

interface ErrorContext {
  readonly simNowMs: number
  readonly tenant: string
  readonly app: string
  readonly correlationId: string
}

/** Entra's error JSON; a number that is not in the table gets a generic one. */
export function entraError(code: number, context: ErrorContext): Answer {
  const { status, error, words, suberror } = { suberror: undefined, ...(ERRORS[code] ?? OTHER) }
  const traceId = randomUUID()
  const timestamp = `${new Date(context.simNowMs).toISOString().slice(0, 19).replace('T', ' ')}Z`
  const said = words.replaceAll('{tenant}', () => context.tenant).replaceAll('{app}', () => context.app)
  return jsonAnswer(status, {
    error,
    error_description: `AADSTS${code}: ${said} Trace ID: ${traceId} Correlation ID: ${context.correlationId} Timestamp: ${timestamp}`,
    error_codes: [code],
    timestamp,
    trace_id: traceId,
    correlation_id: context.correlationId,
    error_uri: `https://login.microsoftonline.com/error?code=${code}`,
    ...(suberror === undefined ? {} : { suberror }),
  })
}
