/**
 * Why no answer came from Entra or Graph, put into words for whoever runs this machine: none of it is the customer's
 * doing. By the codes of the system, of OpenSSL and of undici.
 */

const NAME =
  'its name could not be resolved: check the name servers of this machine, and whether it may reach the internet'
const WAY = 'no connection could be made: a firewall drops it, or this machine needs a proxy (HTTPS_PROXY)'
const CUT = 'the connection was cut: something on the way, such as a proxy or a firewall, ends it'
const TRUST =
  'its certificate comes from an authority that this machine does not trust: where a proxy inspects TLS, name its authority in GRAPH_CA_FILE'
const TIME =
  'its certificate is not valid at the time that this machine believes it is: set the clock right, or something else answers in its place'
const OTHER =
  'something else answers in its place: check the name servers, and what is between this machine and the internet'
const SLOW = 'the answer did not come in time: the way is slow or swallows packets'

const WORDS: Readonly<Record<string, string>> = {
  ENOTFOUND: NAME,
  EAI_AGAIN: NAME,
  ECONNREFUSED: WAY,
  EHOSTUNREACH: WAY,
  ENETUNREACH: WAY,
  ETIMEDOUT: WAY,
  UND_ERR_CONNECT_TIMEOUT: WAY,
  ECONNRESET: CUT,
  EPIPE: CUT,
  UND_ERR_SOCKET: CUT,
  SELF_SIGNED_CERT_IN_CHAIN: TRUST,
  DEPTH_ZERO_SELF_SIGNED_CERT: TRUST,
  UNABLE_TO_GET_ISSUER_CERT: TRUST,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: TRUST,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: TRUST,
  CERT_UNTRUSTED: TRUST,
  CERT_HAS_EXPIRED: TIME,
  CERT_NOT_YET_VALID: TIME,
  ERR_TLS_CERT_ALTNAME_INVALID: OTHER,
  ERR_SSL_WRONG_VERSION_NUMBER: OTHER,
  EPROTO: OTHER,
  deadline: SLOW,
  UND_ERR_HEADERS_TIMEOUT: SLOW,
  UND_ERR_BODY_TIMEOUT: SLOW,
}

/** Codes of what went wrong between this machine and its proxy begin so. */
export const PROXY_FAULT = 'PROXY_'

const PROXY_NAME = 'has a name that could not be resolved: check its spelling and the name servers of this machine'
const PROXY_WAY = 'cannot be reached: check its address, its port, and what firewalls stand before it'
const PROXY_CUT =
  'ends the connection without an answer: check its port and its rules, and write https:// before its name if it speaks TLS'
const PROXY_TRUST =
  'shows a certificate from an authority that this machine does not trust: name that authority in GRAPH_CA_FILE, or write http:// before its name if it needs no TLS'
const PROXY_TIME =
  'shows a certificate that is not valid at the time that this machine believes it is: set the clock right, or have the certificate renewed'
const PROXY_PLAIN =
  'does not speak TLS, though https:// stands before its name: write http:// there, which is how most proxies are spoken to'
const PROXY_UPSTREAM =
  'found no way on to the internet: whoever runs it must look at its name servers and its own way out'
const PROXY_RULES = 'does not let it through: its rules must allow CONNECT to the hosts of login and Graph on port 443'

const PROXY_WORDS: Readonly<Record<string, string>> = {
  ENOTFOUND: PROXY_NAME,
  EAI_AGAIN: PROXY_NAME,
  ECONNREFUSED: 'refuses the connection: check its port, and whether it runs',
  EHOSTUNREACH: PROXY_WAY,
  ENETUNREACH: PROXY_WAY,
  ETIMEDOUT: PROXY_WAY,
  UND_ERR_CONNECT_TIMEOUT: PROXY_WAY,
  UND_ERR_HEADERS_TIMEOUT:
    'takes the connection and then says nothing: check that this is the port of an HTTP proxy, and whether the proxy is overloaded',
  ECONNRESET: PROXY_CUT,
  EPIPE: PROXY_CUT,
  UND_ERR_SOCKET: PROXY_CUT,
  SELF_SIGNED_CERT_IN_CHAIN: PROXY_TRUST,
  DEPTH_ZERO_SELF_SIGNED_CERT: PROXY_TRUST,
  UNABLE_TO_GET_ISSUER_CERT: PROXY_TRUST,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: PROXY_TRUST,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: PROXY_TRUST,
  CERT_UNTRUSTED: PROXY_TRUST,
  CERT_HAS_EXPIRED: PROXY_TIME,
  CERT_NOT_YET_VALID: PROXY_TIME,
  ERR_TLS_CERT_ALTNAME_INVALID: 'shows a certificate for another name: write the name that stands in the certificate',
  ERR_SSL_WRONG_VERSION_NUMBER: PROXY_PLAIN,
  ERR_SSL_PACKET_LENGTH_TOO_LONG: PROXY_PLAIN,
  EPROTO: PROXY_PLAIN,
  HPE: 'answers with what is not HTTP: check its port, and write https:// before its name if it speaks TLS',
  PAGE: 'answers with a page instead of a tunnel: check that this is the port of an HTTP proxy, and that the proxy asks for no sign-in on a page',
  HTTP_407:
    'does not let it through: it wants a user and a password, or others than those before the @ of its address (percent-encode odd characters)',
  HTTP_400:
    'does not understand CONNECT: check that this is the port of an HTTP proxy, and write https:// before its name if it speaks TLS',
  HTTP_401: PROXY_RULES,
  HTTP_403: PROXY_RULES,
  HTTP_405: PROXY_RULES,
  HTTP_451: PROXY_RULES,
  HTTP_500: PROXY_UPSTREAM,
  HTTP_502: PROXY_UPSTREAM,
  HTTP_503: PROXY_UPSTREAM,
  HTTP_504: PROXY_UPSTREAM,
}

/** Whether what failed was the proxy, so that nobody behind it was even asked. */
export function isProxyFault(code: string): boolean {
  return code.startsWith(PROXY_FAULT)
}

function proxyWords(code: string): string {
  const known = PROXY_WORDS[code]
  if (known !== undefined) return known
  if (code.startsWith('ERR_SSL_')) return 'breaks off TLS: check that its port is the right one, and what TLS it wants'
  if (code.startsWith('HTTP_')) return 'does not let it through: check its address and its rules'
  return 'fails for a reason that is not known here: check its address'
}

/** Goes on after the name of who did not answer. `proxy`: host and port of the proxy, without its user and password. */
export function networkWords(code: string, proxy: string | null = null): string {
  if (!isProxyFault(code)) return `${WORDS[code] ?? 'no answer came, for a reason that is not known here'} (${code})`
  const at = proxy === null ? '' : ` (${proxy})`
  return `the proxy of HTTPS_PROXY${at} ${proxyWords(code.slice(PROXY_FAULT.length))} (${code})`
}

const SILENT = { Entra: 'Entra did not answer', Graph: 'Graph did not answer' } as const

/** For logs and status: who did not answer, or that the proxy on the way there failed. */
export function silenceWords(who: keyof typeof SILENT, code: string, proxy: string | null): string {
  return isProxyFault(code) ? `${who} was not reached: ${networkWords(code, proxy)}` : `${SILENT[who]} (${code})`
}
