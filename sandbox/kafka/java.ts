import { execFile } from 'node:child_process'
import { glob, readFile, realpath } from 'node:fs/promises'
import { homedir } from 'node:os'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'

export type JavaSearch =
  | { readonly kind: 'found'; readonly java: string; readonly major: number }
  /** `looked` says each place and what was there. */
  | { readonly kind: 'missing'; readonly looked: readonly string[] }

/** Where packages and version managers put Java. */
export function usualJavaPlaces(): string[] {
  return [
    '/usr/lib/jvm/*/bin/java',
    '/usr/lib64/jvm/*/bin/java',
    '/usr/java/*/bin/java',
    '/opt/java/bin/java',
    '/opt/java/*/bin/java',
    '/opt/jdk*/bin/java',
    '/Library/Java/JavaVirtualMachines/*/Contents/Home/bin/java',
    '/opt/homebrew/opt/openjdk*/bin/java',
    '/usr/local/opt/openjdk*/bin/java',
    join(homedir(), '.sdkman/candidates/java/*/bin/java'),
    join(homedir(), '.jdks/*/bin/java'),
  ]
}

/**
 * JAVA_HOME, then PATH, then `places` (glob patterns): a machine's default is often an older Java with a newer one beside
 * it. Among the places the oldest that will do is taken; it is the one servers are most tested with.
 */
export async function findJava(search: {
  env: Readonly<Record<string, string | undefined>>
  places: readonly string[]
  atLeast: number
}): Promise<JavaSearch> {
  const looked: string[] = []
  const home = search.env['JAVA_HOME']
  const chosen = [
    ...(home ? [{ from: 'JAVA_HOME', java: join(home, 'bin', 'java') }] : []),
    ...pathEntries(search.env).map(folder => ({ from: 'PATH', java: join(folder, 'java') })),
  ]
  for (const { from, java } of chosen) {
    const major = await javaMajor(java)
    if (major !== undefined && major >= search.atLeast) return { kind: 'found', java, major }
    if (major !== undefined) looked.push(`${from}: ${java} is Java ${major}`)
    else if (from === 'JAVA_HOME') looked.push(`${from}: ${java} is not there or not a Java`)
  }
  if (!looked.some(line => line.startsWith('PATH'))) looked.push('PATH: no java')
  const found: { java: string; major: number }[] = []
  for (const place of search.places) {
    const before = found.length
    for await (const java of glob(place)) {
      const major = await javaMajor(java)
      if (major !== undefined) found.push({ java, major })
    }
    const majors = found.slice(before).map(({ major }) => major)
    looked.push(`${place}: ${majors.length === 0 ? 'nothing' : `only Java ${majors.join(', ')}`}`)
  }
  const fit = found.filter(({ major }) => major >= search.atLeast).toSorted((a, b) => a.major - b.major)[0]
  return fit ? { kind: 'found', ...fit } : { kind: 'missing', looked }
}

export function pathEntries(env: Readonly<Record<string, string | undefined>>): string[] {
  return (env['PATH'] ?? '').split(delimiter).filter(folder => folder !== '')
}

/** From the JDK's `release` file (no process needed), else from `java -version`. Undefined: it is no Java. */
async function javaMajor(java: string): Promise<number | undefined> {
  try {
    const release = await readFile(join(await realpath(java), '../../release'), 'utf8').catch(() => '')
    const stated = majorIn(/^JAVA_VERSION="([^"]+)"/m.exec(release)?.[1])
    if (stated !== undefined) return stated
    const { stderr, stdout } = await promisify(execFile)(java, ['-version'], { timeout: 20_000 })
    return majorIn(/version "([^"]+)"/.exec(stderr + stdout)?.[1])
  } catch {
    return undefined
  }
}

/** `25.0.1`, `26-ea`, and `1.8.0_412` of old. */
export function majorIn(version: string | undefined): number | undefined {
  const match = /^(?:1\.)?(\d+)/.exec(version ?? '')
  return match?.[1] === undefined ? undefined : Number(match[1])
}
