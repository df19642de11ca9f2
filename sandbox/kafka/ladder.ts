import { startOnDocker } from './docker.ts'
import { useGiven } from './given.ts'
import { startOnJvm } from './jvm.ts'
import type { Rung, RungRequest, Stack, StackKind, StackOptions } from './stack.ts'

export type { Stack, StackOptions } from './stack.ts'

const rungs: Readonly<Record<StackKind, Rung>> = { given: useGiven, docker: startOnDocker, jvm: startOnJvm }

/**
 * A real Kafka and a real schema registry, by the first way that works here: given → containers → plain JVM processes.
 * Rejects with what was tried and what to install when none does, and with the signal's reason when it aborts.
 */
export async function startStack(options: StackOptions): Promise<Stack> {
  const request: RungRequest = {
    brokers: options.brokers ?? 1,
    extra: options.extra ?? { listeners: {}, properties: {}, files: {} },
    say: options.say,
    env: options.env,
    signal: options.signal ?? new AbortController().signal,
  }
  return climb(options.mode ?? 'auto', rungs, request)
}

/** Tries the rungs in order. A rung that fails midway is as good as missing, except for a given cluster: that is meant. */
export async function climb(
  mode: 'auto' | StackKind,
  ladder: Readonly<Record<StackKind, Rung>>,
  request: RungRequest,
): Promise<Stack> {
  const order: readonly StackKind[] = mode === 'auto' ? ['given', 'docker', 'jvm'] : [mode]
  const tried: { kind: StackKind; why: string; remedy: string | undefined }[] = []
  const started = performance.now()
  for (const kind of order) {
    request.signal.throwIfAborted()
    const attempt = await ladder[kind](request).catch((error: unknown) => {
      request.signal.throwIfAborted()
      if (mode !== 'auto' || kind === 'given') throw error
      return {
        kind: 'unavailable' as const,
        why: error instanceof Error ? error.message : String(error),
        remedy: undefined,
      }
    })
    if (attempt.kind === 'started') {
      const seconds = ((performance.now() - started) / 1000).toFixed(1)
      if (kind !== 'given') request.say(`Kafka is up on ${kind} (${attempt.stack.label}) after ${seconds} s`)
      return attempt.stack
    }
    tried.push({ kind, why: attempt.why, remedy: attempt.remedy })
    if (mode === 'auto' && kind !== 'given') request.say(`not on ${kind}: ${attempt.why}`)
  }
  const why = tried.map(({ kind, why }) => `  ${kind}: ${why}`)
  const remedies = tried.flatMap(({ remedy }) => (remedy === undefined ? [] : [`  - ${remedy}`]))
  throw new Error(['No Kafka could be started.', 'Tried:', ...why, 'Any one of these helps:', ...remedies].join('\n'))
}
