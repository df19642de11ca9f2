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
const PROXY = 'the proxy of HTTPS_PROXY does not let it through: check its address, its sign-in and its rules'
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
  // undici's, when a CONNECT is answered with anything but 200
  UND_ERR_ABORTED: PROXY,
  UND_ERR_PRX_TLS: PROXY,
  deadline: SLOW,
  UND_ERR_HEADERS_TIMEOUT: SLOW,
  UND_ERR_BODY_TIMEOUT: SLOW,
}

/** Goes on after the name of who did not answer. */
export function networkWords(code: string): string {
  return `${WORDS[code] ?? 'no answer came, for a reason that is not known here'} (${code})`
}
