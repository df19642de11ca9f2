import { Command, InvalidArgumentError, Option } from 'commander'
import { ENGINE_SIM_LIMITS, startEngineSim } from './sim.ts'

/** `npm run sim:engine`: the simulator as a process of its own. One JSON line on stdout says where it listens. */
const command = new Command('sim:engine')
  .description('Simulated correlation engine: POST /v1/alerts:batch, plain http. Control it under /_sim/.')
  .addOption(new Option('--port <number>', '0 takes any free one').argParser(whole).default(8082))
  .option('--host <address>', 'address to listen on', '127.0.0.1')
  .option('--token <text>', 'the bearer token that is good; absent = not looked at')
  .option('--signing-key <whsec...>', 'keys, any of which may have signed; absent = not looked at')
  .option('--dedupe', 'answer 409 to what is there already', false)
  .option('--counters-only', 'keep no list of items, for long runs', false)
  .addOption(new Option('--max-items <number>', 'more get 413').argParser(whole).default(ENGINE_SIM_LIMITS.maxItems))
  .addOption(
    new Option('--max-bytes <number>', 'uncompressed; more get 413')
      .argParser(whole)
      .default(ENGINE_SIM_LIMITS.maxBytes),
  )
  .addOption(new Option('--latency-ms <number>', 'added to every answer').argParser(whole).default(0))
  .addOption(new Option('--seed <number>').argParser(whole).default(1))
  .parse()

interface Flags {
  readonly port: number
  readonly host: string
  readonly token?: string
  readonly signingKey?: readonly string[]
  readonly dedupe: boolean
  readonly countersOnly: boolean
  readonly maxItems: number
  readonly maxBytes: number
  readonly latencyMs: number
  readonly seed: number
}

function whole(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('must be a whole number.')
  return Number(text)
}

const { countersOnly, token, signingKey, ...flags } = command.opts<Flags>()
const sim = await startEngineSim({
  ...flags,
  keepItems: !countersOnly,
  ...(token === undefined ? {} : { token }),
  ...(signingKey === undefined ? {} : { signingKeys: signingKey }),
})
process.stdout.write(`${JSON.stringify({ listening: sim.url })}\n`)
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    sim.stop().then(
      () => process.exit(0),
      () => process.exit(1),
    )
  })
}
