import { execFile } from 'node:child_process'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { cacheFolder, fetchTools } from './jars.ts'
import { findJava, usualJavaPlaces } from './java.ts'
import type { Stack } from './stack.ts'
import versions from './versions.json' with { type: 'json' }

/** Runs one of Kafka's command line tools against a cluster. Gives what it printed; rejects with its complaint. */
export type KafkaTool = (mainClass: string, args: readonly string[]) => Promise<string>

const OUTPUT_BYTES_MAX = 1024 * 1024 * 1024
const TIMEOUT_MS = 300_000

/**
 * By a Java of this machine; without one by the stack's own, whose image must bring the tools (Apache's does). Rejects in
 * words when the jars cannot be had.
 */
export async function openTools(
  stack: Stack,
  request: {
    readonly env: Readonly<Record<string, string | undefined>>
    readonly say: (line: string) => void
    readonly signal: AbortSignal
  },
): Promise<KafkaTool> {
  const { env, say, signal } = request
  const java = await findJava({ env, places: usualJavaPlaces(), atLeast: versions.java })
  if (java.kind === 'missing') return (mainClass, args) => stack.tool(mainClass, args)
  const javaHome = dirname(dirname(java.java))
  const jars = await fetchTools({ cacheDir: cacheFolder(env), env, javaHome, say, signal })
  if (jars.kind === 'missing') throw new Error(`Kafka's command line tools: ${jars.why}; ${jars.remedy}`)
  const flags = ['-Xmx256m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-cp', join(jars.libs, '*')]
  return async (mainClass, args) => {
    const all = [...flags, mainClass, '--bootstrap-server', stack.brokers.join(','), ...args]
    const limits = { signal, timeout: TIMEOUT_MS, maxBuffer: OUTPUT_BYTES_MAX }
    const { stdout } = await promisify(execFile)(java.java, all, limits)
    return stdout
  }
}
