/** The connections to Entra and Graph: directly or through a proxy, with the authorities that are trusted. */
import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { getCACertificates } from 'node:tls'
import { Agent, type Dispatcher, EnvHttpProxyAgent } from 'undici'
import { quote } from '../../platform/log-scrub.ts'

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
      : new EnvHttpProxyAgent({ ...options, ...proxy, requestTls: tls, proxyTls: tls })
  return { dispatcher: agent, close: () => agent.destroy() }
}
