import type { Log } from '../../platform/log.ts'
import { quote } from '../../platform/log-scrub.ts'
import { readSecretFile, secretFileVersion } from '../../platform/secret-file.ts'
import type { Settings } from '../../platform/settings-table.ts'
import type { TlsTexts } from '../../platform/tls-files.ts'
import { followTls } from '../../platform/tls-files.ts'

/** A secret that an operator may change while the worker runs. */
export interface SecretSource<T> {
  /** The present value. Throws an Error that names the file and what is wrong with it, never its content. */
  read(): Promise<T>
  /** The value was refused: the next read takes the file's content anew even if it looks unchanged. */
  forget(): void
}

/** Keeps the parsed content of the file until the file is replaced or changed. `parse` throws what is wrong, in words. */
export function followSecretFile<T>(path: string, what: string, parse: (text: string) => T): SecretSource<T> {
  let kept: { readonly version: string; readonly value: T } | null = null
  return {
    async read() {
      const known = kept
      if (known !== null && known.version === (await secretFileVersion(path))) return known.value
      const file = await readSecretFile(path)
      if (file.kind === 'bad') throw new Error(`${what} file ${file.problem}`)
      try {
        const value = parse(file.text)
        kept = { version: file.version, value }
        return value
      } catch (error) {
        const wrong = error instanceof Error ? error.message : 'cannot be used'
        throw new Error(`${what} file ${quote(path, 512)} ${wrong}`, { cause: error })
      }
    },
    forget() {
      kept = null
    },
  }
}

/** The newest certificates for the engine; null when none is named. Throws in words when they cannot be used. */
export function engineTls(
  settings: Pick<Settings<'forwarder'>, 'engineTlsCaFile' | 'engineTlsCertFile' | 'engineTlsKeyFile'>,
  log: Pick<Log, 'info' | 'warn'>,
): (() => TlsTexts) | null {
  const { engineTlsCaFile: caFile, engineTlsCertFile: certFile, engineTlsKeyFile: keyFile } = settings
  const texts = followTls('the certificate for the engine', { caFile, certFile, keyFile }, log)
  texts?.()
  return texts
}

/** A bearer token as it may stand in a header: visible ASCII and nothing else, so that no CR or LF gets into a request. */
export function parseBearerToken(text: string): string {
  const token = text.trim()
  if (!/^[\x21-\x7e]{1,16384}$/.test(token)) {
    throw new Error('does not hold one token of visible ASCII characters; write the token alone into it')
  }
  return token
}
