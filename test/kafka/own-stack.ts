import { inject } from 'vitest'
import type { Stack, StackOptions } from '../../sandbox/kafka/ladder.ts'
import { startStack } from '../../sandbox/kafka/ladder.ts'

/**
 * A cluster of one's own, for tests that stop, kill or pause brokers: `await using stack = await ownStack()`.
 * It runs on the same rung as the shared one; where that was given, on the first rung that can be started.
 */
export function ownStack(options: Pick<StackOptions, 'brokers' | 'extra'> = {}): Promise<Stack> {
  const { kind } = inject('stack')
  const { KAFKA_BROKERS: _brokers, SCHEMA_REGISTRY_URL: _registry, ...env } = process.env
  return startStack({
    mode: kind === 'given' ? 'auto' : kind,
    ...options,
    say: line => console.error(`own stack: ${line}`),
    env,
  })
}
