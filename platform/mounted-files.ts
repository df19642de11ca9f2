import { readFileSync, statSync } from 'node:fs'
import type { Log } from './log.ts'
import { quote } from './log-scrub.ts'
import { fileVersion, secretText, whyUnreadable } from './secret-file.ts'

const MAX_FILE_BYTES = 1_048_576 // a bundle of authorities may be large; anything larger is another file

export interface Mount<N extends string, T> {
  /** What the files are, for people: `the certificate for Kafka`. */
  readonly what: string
  /** Paths by what `make` calls them. */
  readonly files: Readonly<Record<N, string>>
  /** Throws what is wrong, in words that never repeat the content. */
  readonly make: (texts: Readonly<Record<N, string>>) => T
  readonly log: Pick<Log, 'info' | 'warn'>
}

/**
 * Follows files that are replaced while the process runs, such as certificates and passwords that Kubernetes mounts.
 * The function given back looks whether one has changed, and gives what `make` made of the newest texts. The first call
 * throws when they cannot be used. Later ones keep what worked and say once what is wrong: a file may be half written,
 * or a certificate be there before its key.
 */
export function followMounted<N extends string, T>({ what, files, make, log }: Mount<N, T>): () => T {
  const paths = Object.entries<string>(files) as [N, string][]
  let kept: { readonly value: T } | null = null
  let seen: string | null = null
  return () => {
    const versions = paths.map(([, path]) => versionOf(path)).join(' ')
    if (kept !== null && versions === seen) return kept.value
    try {
      const texts = Object.fromEntries(paths.map(([name, path]) => [name, textOf(path)])) as Record<N, string>
      const value = make(texts)
      if (kept !== null) log.info(`${what} was replaced; new connections use it`)
      kept = { value }
    } catch (error) {
      const wrong = `${what} cannot be used: ${error instanceof Error ? error.message : String(error)}`
      if (kept === null) throw new Error(wrong, { cause: error })
      log.warn(`${wrong}; what worked before is kept`)
    }
    seen = versions
    return kept.value
  }
}

function versionOf(path: string): string {
  const info = statSync(path, { bigint: true, throwIfNoEntry: false })
  return info === undefined ? 'gone' : fileVersion(info)
}

function textOf(path: string): string {
  const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0
  if (size > MAX_FILE_BYTES) throw new Error(`${quote(path, 512)} is larger than ${MAX_FILE_BYTES} bytes`)
  let content: string
  try {
    content = readFileSync(path, 'utf8')
  } catch (error) {
    throw new Error(`${quote(path, 512)} ${whyUnreadable(error)}`, { cause: error })
  }
  const text = secretText(content)
  if (text.trim() === '') throw new Error(`${quote(path, 512)} is empty`)
  return text
}
