import type { TestProject } from 'vitest/node'
import type { Stack, StackOptions } from '../../sandbox/kafka/ladder.ts'
import { startStack } from '../../sandbox/kafka/ladder.ts'

/** The stack that all files of the kafka project share; keep apart with a topic prefix of your own. */
export type SharedStack = Pick<Stack, 'kind' | 'label' | 'brokers' | 'registryUrl'>

declare module 'vitest' {
  // oxlint-disable-next-line typescript/no-unused-vars -- it is merged into vitest's
  interface ProvidedContext {
    stack: SharedStack
  }
}

/** Once for the whole run, in vitest's main process. SOCOS_STACK chooses the rung (auto, given, docker, jvm). */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const say = (line: string) => console.error(`stack: ${line}`)
  const stack = await startStack({ mode: chosenMode(process.env['SOCOS_STACK']), say, env: process.env })
  const { kind, label, brokers, registryUrl } = stack
  project.provide('stack', { kind, label, brokers, registryUrl })
  return async () => {
    await stack.stop()
    // vitest tears down after its summary: this is the last that is said
    console.log(`kafka tests ran on: ${kind} (${label})`)
  }
}

function chosenMode(value: string | undefined): NonNullable<StackOptions['mode']> {
  switch (value) {
    case undefined:
    case '':
      return 'auto'
    case 'auto':
    case 'given':
    case 'docker':
    case 'jvm':
      return value
    default:
      throw new Error(`SOCOS_STACK is "${value}"; it can be auto, given, docker or jvm`)
  }
}
