import { Command, InvalidArgumentError, Option } from 'commander'
import { startGraphSim } from './sim.ts'
import { writeTenantFiles } from './tenants.ts'

/** `npm run sim:graph`: the simulator as a process of its own. One JSON line on stdout says where it listens. */
const command = new Command('sim:graph')
  .description(
    'Simulated Entra and Microsoft Graph for security alerts, on one plain-http port. Control it under /_sim/.',
  )
  .addOption(new Option('--port <number>', '0 takes any free one').argParser(whole).default(8081))
  .option('--host <address>', 'address to listen on', '127.0.0.1')
  .addOption(new Option('--tenants <number>').argParser(whole).default(3))
  .addOption(
    new Option('--legacy <number>', 'so many tenants, the last ones, use the retired list').argParser(whole).default(0),
  )
  .addOption(new Option('--unconsented <number>', 'so many tenants have never consented').argParser(whole).default(0))
  .addOption(new Option('--expired <number>', 'so many tenants have an expired secret').argParser(whole).default(0))
  .addOption(new Option('--rate <number>', 'new alerts a second over all tenants').argParser(positive).default(0))
  .addOption(new Option('--backlog <number>', 'alerts of the past for each tenant').argParser(whole).default(0))
  .addOption(new Option('--backlog-days <number>').argParser(positive).default(6))
  .addOption(new Option('--updates <share>', 'updates for each new alert').argParser(positive).default(0))
  .addOption(
    new Option('--hot <share>', 'share of the events that the first tenant gets on top').argParser(positive).default(0),
  )
  .addOption(
    new Option('--hostile <share>', 'share of alerts with odd ids, duplicate members and the like')
      .argParser(positive)
      .default(0),
  )
  .addOption(new Option('--seed <number>').argParser(whole).default(1))
  .addOption(new Option('--page-size <number>').argParser(whole).default(1000))
  .addOption(new Option('--paging <form>', 'form of nextLink').choices(['skiptoken', 'skip']).default('skiptoken'))
  .addOption(
    new Option('--limit <number>', 'list requests a minute and tenant before 429').argParser(whole).default(150),
  )
  .addOption(new Option('--lag-ms <number>', 'how long a new revision stays invisible').argParser(whole).default(0))
  .addOption(
    new Option('--skew-ms <number>', 'clock of the simulator minus that of the host').argParser(Number).default(0),
  )
  .option('--secret <text>', 'the one secret of all tenants; absent = each has its own')
  .option('--secrets-dir <directory>', 'write the secret file of each tenant there')
  .option('--tenants-file <file>', 'write the tenants file (.yaml or .json) there')
  .parse()

interface Flags {
  readonly port: number
  readonly host: string
  readonly tenants: number
  readonly legacy: number
  readonly unconsented: number
  readonly expired: number
  readonly rate: number
  readonly backlog: number
  readonly backlogDays: number
  readonly updates: number
  readonly hot: number
  readonly hostile: number
  readonly seed: number
  readonly pageSize: number
  readonly paging: 'skiptoken' | 'skip'
  readonly limit: number
  readonly lagMs: number
  readonly skewMs: number
  readonly secret?: string
  readonly secretsDir?: string
  readonly tenantsFile?: string
}

function whole(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('must be a whole number.')
  return Number(text)
}

function positive(text: string): number {
  if (!/^\d+(\.\d+)?$/.test(text)) throw new InvalidArgumentError('must be a number, 0 or more.')
  return Number(text)
}

const flags = command.opts<Flags>()
const sim = await startGraphSim({
  port: flags.port,
  host: flags.host,
  tenants: {
    count: flags.tenants,
    legacy: flags.legacy,
    unconsented: flags.unconsented,
    expired: flags.expired,
    ...(flags.secret === undefined ? {} : { secret: flags.secret }),
  },
  ratePerSecond: flags.rate,
  backlogPerTenant: flags.backlog,
  backlogDays: flags.backlogDays,
  updateShare: flags.updates,
  hotTenantShare: flags.hot,
  hostileShare: flags.hostile,
  seed: flags.seed,
  pageSize: flags.pageSize,
  paging: flags.paging,
  limitPerMinute: flags.limit,
  lagMs: flags.lagMs,
  skewMs: flags.skewMs,
})
await writeTenantFiles(sim.tenants, {
  ...(flags.secretsDir === undefined ? {} : { secretsDir: flags.secretsDir }),
  ...(flags.tenantsFile === undefined ? {} : { tenantsFile: flags.tenantsFile }),
})
process.stdout.write(`${JSON.stringify({ listening: sim.url, tenants: sim.tenants.length })}\n`)
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    sim.stop().then(
      () => process.exit(0),
      () => process.exit(1),
    )
  })
}
