/** The connections to Entra and Graph: directly or through a proxy, with the authorities that are trusted. */
import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { getCACertificates } from 'node:tls'
import { Agent, buildConnector, type Dispatcher, EnvHttpProxyAgent, errors, Pool } from 'undici'
import { quote } from '../../platform/log-scrub.ts'
import { PROXY_FAULT } from './network-errors.ts'

export interface Way {
  /** Of an HTTP proxy, which tunnels (CONNECT); may hold a user and a password. Null: none. */
  readonly proxyUrl: string | null
  /** Hosts that are reached without it, as in NO_PROXY. */
  readonly noProxy: string | null
  /** PEM; trusted besides those of the system. Null: only those. */
  readonly ca: string | null
}

export const DIRECT: Way = { proxyUrl: null, noProxy: null, ca: null }

/** From the settings. Throws, in words for an operator, when the file of the authority is of no use. */
export function wayOf(settings: {
  readonly graphProxyUrl: string | null
  readonly graphNoProxy: string | null
  readonly graphCaFile: string | null
}): Way {
  const { graphProxyUrl, graphNoProxy, graphCaFile } = settings
  return {
    proxyUrl: graphProxyUrl,
    noProxy: graphNoProxy,
    ca: graphCaFile === null ? null : readAuthority(graphCaFile),
  }
}

/** `host:port` of the proxy, as it may stand in a message: without user and password. Null: none. */
export function proxyName({ proxyUrl }: Way): string | null {
  if (proxyUrl === null) return null
  const { hostname, port, protocol } = new URL(proxyUrl)
  return `${hostname}:${port === '' ? (protocol === 'https:' ? 443 : 80) : port}`
}

function readAuthority(file: string): string {
  let pem: string
  try {
    pem = readFileSync(file, 'utf8')
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
    throw new Error(`GRAPH_CA_FILE: the file ${quote(file)} cannot be read (${code})`, { cause: error })
  }
  try {
    void new X509Certificate(pem)
    return pem
  } catch (error) {
    throw new Error(`GRAPH_CA_FILE: the file ${quote(file)} holds no certificate as PEM`, { cause: error })
  }
}

interface NetworkLimits {
  readonly connectTimeoutMs: number
  readonly pageDeadlineMs: number
}

export interface Network {
  readonly dispatcher: Dispatcher
  close(): Promise<void>
}

export function openNetwork(way: Way, limits: NetworkLimits): Network {
  const trust = way.ca === null ? {} : { ca: [...getCACertificates('default'), way.ca] }
  const tls = { ...trust, timeout: limits.connectTimeoutMs }
  const options = {
    connect: tls,
    // the deadline of an exchange is the shorter one; these only catch what it cannot see
    headersTimeout: limits.pageDeadlineMs,
    bodyTimeout: limits.pageDeadlineMs,
    allowH2: false,
  }
  // plain http is only the sandbox, on this machine; an empty text keeps undici from reading the environment itself
  const proxy = { httpProxy: '', httpsProxy: way.proxyUrl ?? '', noProxy: way.noProxy ?? '' }
  const agent =
    way.proxyUrl === null
      ? new Agent(options)
      : new EnvHttpProxyAgent({
          ...options,
          ...proxy,
          requestTls: tls,
          proxyTls: tls,
          clientFactory: url => openProxy(url, tls),
        })
  return { dispatcher: agent, close: () => agent.destroy() }
}

/** A code of the system, of undici or of ours, marked as the proxy's. */
class ProxyFault extends Error {
  readonly code: string

  constructor(code: string, cause?: unknown) {
    super(`the proxy failed: ${code}`, { cause })
    this.code = `${PROXY_FAULT}${code}`.slice(0, 48)
  }
}

type ConnectOptions = Parameters<Pool['connect']>[0]

/**
 * The connections to the proxy itself. What fails here is the proxy's own fault, which undici would report as if the
 * host behind it had failed; and it would wait for the answer to a CONNECT for minutes.
 */
function openProxy(url: URL, tls: buildConnector.BuildOptions & { readonly timeout: number }): Dispatcher {
  const connect = buildConnector(tls)
  const pool = new Pool(url, {
    headersTimeout: tls.timeout,
    connect: ({ servername, ...to }, done) => {
      // TLS has no server names that are addresses: Node would refuse to connect
      const isName = servername !== undefined && isIP(servername.replace(/^\[|\]$/g, '')) === 0
      connect(isName ? { ...to, servername } : to, done)
    },
  })
  const ask = pool.connect.bind(pool)
  return Object.assign(pool, {
    async connect(options: ConnectOptions): Promise<Dispatcher.ConnectData> {
      const answer = await ask(options).catch((error: unknown) => {
        throw new ProxyFault(codeOf(error), error)
      })
      const { statusCode, headers, socket } = answer
      // a tunnel has neither length nor type: this is a page
      const isPage = Number(headers['content-length'] ?? 0) > 0 || 'content-type' in headers
      if (statusCode === 200 && !isPage) return answer
      socket.on('error', () => undefined).destroy()
      throw new ProxyFault(statusCode === 200 ? 'PAGE' : `HTTP_${statusCode}`)
    },
  })
}

function codeOf(error: unknown): string {
  // the parser has no code for all that it finds
  if (error instanceof errors.HTTPParserError) return 'HPE'
  const code = error instanceof Error && 'code' in error ? error.code : null
  return typeof code === 'string' && /^[A-Z0-9_]+$/.test(code) ? code : 'UNKNOWN'
}
