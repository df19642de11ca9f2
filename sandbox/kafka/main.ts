/** `npm run stack`: Kafka and a schema registry until Ctrl-C. stdout has what programs need, stderr what people like. */
import { once } from 'node:events'
import { Command, Option } from 'commander'
import type { StackOptions } from './ladder.ts'
import { startStack } from './ladder.ts'

const { mode, brokers } = new Command('stack')
  .description('Run a real Kafka and a Confluent-compatible schema registry on this machine until Ctrl-C.')
  .addOption(new Option('--mode <mode>', 'how to run it').choices(['auto', 'given', 'docker', 'jvm']).default('auto'))
  .addOption(new Option('--brokers <count>', 'brokers in the cluster').choices(['1', '3']).default('1'))
  .parse()
  .opts<{ mode: NonNullable<StackOptions['mode']>; brokers: '1' | '3' }>()

const stopping = new AbortController()
// npm passes a signal on that the terminal has sent as well: the second one must not cut the clean-up short
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(name, () => stopping.abort(new Error(`stopped by ${name}`)))
}
const say = (line: string) => console.error(line)
const keepAlive = setInterval(() => {}, 3_600_000)

try {
  const count = brokers === '3' ? 3 : 1
  await using stack = await startStack({ mode, brokers: count, say, env: process.env, signal: stopping.signal })
  console.log(`KAFKA_BROKERS=${stack.brokers.join(',')}`)
  console.log(`SCHEMA_REGISTRY_URL=${stack.registryUrl}`)
  if (stack.kind !== 'given') console.error('Ctrl-C ends it and deletes its data')
  if (!stopping.signal.aborted) await once(stopping.signal, 'abort')
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = stopping.signal.aborted ? 130 : 1
} finally {
  clearInterval(keepAlive)
}
process.exit() // a pull that was given up would hold the process until it ends
