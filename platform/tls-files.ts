import { createSecureContext } from 'node:tls'
import type { Log } from './log.ts'
import { registerSecret } from './log-scrub.ts'
import { followMounted } from './mounted-files.ts'

/** PEM texts for a TLS connection. Without `ca` the system's authorities are trusted. */
export interface TlsTexts {
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
}

export interface TlsPaths {
  readonly caFile: string | null
  /** Client certificate and its key, both or neither. */
  readonly certFile: string | null
  readonly keyFile: string | null
}

/**
 * The newest certificates, to be asked for each new connection. The first call throws what is wrong with which files;
 * later ones keep what worked (see followMounted). Null when no file is named: then there is nothing to follow.
 */
export function followTls(
  what: string,
  { caFile, certFile, keyFile }: TlsPaths,
  log: Pick<Log, 'info' | 'warn'>,
): (() => TlsTexts) | null {
  const files: Record<string, string> = {
    ...(caFile === null ? {} : { ca: caFile }),
    ...(certFile === null ? {} : { cert: certFile }),
    ...(keyFile === null ? {} : { key: keyFile }),
  }
  const names = Object.values(files).join(', ')
  if (names === '') return null
  return followMounted<string, TlsTexts>({ what, files, log, make: texts => usable(texts, names) })
}

function usable(texts: TlsTexts, names: string): TlsTexts {
  if (texts.key !== undefined) registerSecret(texts.key)
  if (texts.ca !== undefined && !texts.ca.includes('-----BEGIN CERTIFICATE-----')) {
    throw new Error(`no certificate in PEM form is in the authority's file (${names})`)
  }
  try {
    createSecureContext(texts) // also compares the key with the certificate
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unreadable'
    const why = /MISMATCH/.test(code) ? 'the key is not that of the certificate' : `no PEM texts that fit (${code})`
    throw new Error(`${why} in ${names}`, { cause: error })
  }
  return texts
}
