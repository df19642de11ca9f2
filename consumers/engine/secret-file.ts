import { readFile, stat } from 'node:fs/promises'

const MAX_BYTES = 65_536

/** A secret that an operator may change while the worker runs. */
export interface SecretFile<T> {
  /** The present value. Throws an Error that names the file and what is wrong with it, never its content. */
  read(): Promise<T>
  /** The value was refused: the next read takes the file's content anew even if it looks unchanged. */
  forget(): void
}

/** Keeps the parsed content of the file until its inode, size or time changes (also through a symlink, as in a mounted Secret). */
export function followSecretFile<T>(path: string, what: string, parse: (text: string) => T): SecretFile<T> {
  let kept: { readonly stamp: string; readonly value: T } | null = null
  return {
    async read() {
      try {
        const { ino, size, mtimeNs } = await stat(path, { bigint: true })
        const stamp = `${ino} ${size} ${mtimeNs}`
        if (kept?.stamp === stamp) return kept.value
        if (size > MAX_BYTES) throw new Error(`is larger than ${MAX_BYTES} bytes`)
        // the stamp is older than the content: a change in between is read once more
        const value = parse(await readFile(path, 'utf8'))
        kept = { stamp, value }
        return value
      } catch (error) {
        throw new Error(`${what} file ${path} ${reasonOf(error)}`, { cause: error })
      }
    },
    forget() {
      kept = null
    },
  }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'cannot be read'
  return 'code' in error ? `cannot be read: ${String(error.code)}` : error.message
}

/** A bearer token as it may stand in a header: visible ASCII and nothing else, so that no CR or LF gets into a request. */
export function parseBearerToken(text: string): string {
  const token = text.trim()
  if (!/^[\x21-\x7e]{1,16384}$/.test(token)) {
    throw new Error('does not hold one token of visible ASCII characters; write the token alone into it')
  }
  return token
}
