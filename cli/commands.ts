/** The commands of `socos`, their flags and words. Longer than the rule: it is a table. */
import { Command, Option } from 'commander'
import { quote } from '../platform/log-scrub.ts'
import type { Role } from '../platform/settings-table.ts'
import { printAcls } from './acls.ts'
import { listAudit } from './audit.ts'
import { printConfig } from './config.ts'
import type { Format, Io } from './io.ts'
import { EXIT, Refusal } from './io.ts'
import type { ParkedFilter } from './parked.ts'
import { discardParked, listParked, retryParked, showParked } from './parked.ts'
import type { ReplayOptions } from './replay.ts'
import { replay } from './replay.ts'
import { checkSchemas, registerSchemas } from './schemas.ts'
import { showStatus } from './status.ts'
import type { SweepOptions } from './sweep.ts'
import { sweepTenants } from './sweep.ts'
import { applyTenants, listTenants, removeTenants } from './tenants.ts'
import { checkTenants } from './tenants-check.ts'
import { type InviteOptions, inviteTenant } from './tenants-invite.ts'
import { applyTopicTable, checkTopicTable } from './topics.ts'

/** `done` is given what a command came to. */
export function program(io: Io, done: (result: Promise<number> | number) => Promise<void>): Command {
  const root = new Command('socos')
    .description('Operates the pipeline that carries Microsoft Graph alerts over Kafka to SOC.OS.')
    .exitOverride()
    .showHelpAfterError('(see --help)')
    .configureOutput({ writeOut: io.out, writeErr: io.say })
  const format = (): Option =>
    new Option('-o, --output <format>', 'how to print').choices(['table', 'json', 'ndjson']).default('table')

  const topics = root.command('topics').description('the Kafka topics of the pipeline')
  topics
    .command('apply')
    .description('create what is missing, set what differs')
    .action(() => done(applyTopicTable(io)))
  topics
    .command('check')
    .description('print what differs; exit 6 if anything does')
    .action(() => done(checkTopicTable(io)))

  root
    .command('acls')
    .description('print the rules that Kafka must have for each role, as commands for its own tool')
    .option('--principal <role=User:name...>', 'who a role is in Kafka (User:<role> when not said)', [])
    .addOption(
      new Option('-o, --output <format>', 'how to print')
        .choices(['commands', 'table', 'json', 'ndjson'])
        .default('commands'),
    )
    .action((options: { principal: string[]; output: Format | 'commands' }) => done(printAcls(io, options)))

  const schemas = root.command('schemas').description('the Avro schemas in the registry')
  schemas
    .command('register')
    .description('register what is missing')
    .action(() => done(registerSchemas(io)))
  schemas
    .command('check')
    .description('print what differs; exit 6 if anything does')
    .action(() => done(checkSchemas(io)))

  const tenants = root.command('tenants').description('the customers')
  tenants
    .command('apply')
    .description('add or change the tenants of a file; only `remove` removes')
    .argument('[file]', 'tenants file, YAML or JSON; - is standard input')
    .option('-f, --file <file>', 'the same as an option')
    .option('--dry-run', 'print what would change', false)
    .action((file: string | undefined, options: { file?: string; dryRun: boolean }) =>
      done(applyTenants(io, required(file ?? options.file, 'a tenants file'), options)),
    )
  tenants
    .command('check')
    .description(
      'ask Entra and Graph whether each tenant can be read, and say who has to do what; exit 6 if anybody has',
    )
    .argument('[file]', 'tenants file, before it is applied; default the tenants as they stand in Kafka')
    .option('-t, --tenant <id...>', 'only these tenants')
    .addOption(format())
    .action((file: string | undefined, options: { tenant?: string[]; output: Format }) =>
      done(checkTenants(io, options.output, { ...options, ...(file === undefined ? {} : { file }) })),
    )
  tenants
    .command('invite')
    .description('print the guide for one customer: what their administrator has to do, and what they send back')
    .requiredOption('--name <customer>', 'the customer, as the guide shall name them')
    .addOption(
      new Option('--cloud <cloud>', 'where their directory is').choices(['global', 'usgov', 'dod']).default('global'),
    )
    .addOption(
      new Option('--source <list>', 'the list to be read').choices(['alerts_v2', 'alerts']).default('alerts_v2'),
    )
    .addOption(
      new Option(
        '--credential <kind>',
        'how the application proves who it is; shared-app: one of ours for all customers',
      )
        .choices(['secret', 'certificate', 'federated', 'shared-app'])
        .default('secret'),
    )
    .option('--tenant-id <id>', 'their directory, for the consent link')
    .option('--client-id <id>', 'our application, for shared-app')
    .option(
      '--redirect-uri <url>',
      'of our application, https, registered there: where the consent ends, for shared-app',
    )
    .option('--state <text>', 'given back to that page, to know the customer by')
    .option('--egress <cidr...>', 'the addresses from which we ask, for their Conditional Access', [])
    .option('--issuer <url>', 'of our identity, for federated')
    .option('--subject <text>', 'of our identity, for federated')
    .option('--hand-over <words>', 'how they send the checklist, as in "by our portal"')
    .addOption(new Option('-o, --output <format>', 'how to print').choices(['markdown', 'html']).default('markdown'))
    .action((options: InviteOptions) => done(inviteTenant(io, options)))
  tenants
    .command('list')
    .description('the tenants as they stand in Kafka')
    .addOption(format())
    .action((options: { output: Format }) => done(listTenants(io, options.output)))
  tenants
    .command('remove')
    .description('off-board tenants')
    .argument('<tenantId...>')
    .addOption(
      new Option('--waiting <what>', 'what becomes of alerts on the way: parked, or delivered for a minute')
        .choices(['park', 'deliver'])
        .default('park'),
    )
    .option('--dry-run', 'print what would change', false)
    .addOption(new Option('--yes', 'accepted for scripts; applying the tenant again takes it back').hideHelp())
    .action((ids: string[], options: { dryRun: boolean; waiting: 'park' | 'deliver' }) =>
      done(removeTenants(io, ids, options)),
    )

  root
    .command('status')
    .description('state, freshness and exact counts of every tenant; exit 6 when something needs a person')
    .option('-t, --tenant <id...>', 'only these', [])
    .option('--watch', 'print it again every two seconds', false)
    .addOption(format())
    .action((options: { tenant: string[]; watch: boolean; output: Format }) =>
      done(showStatus(io, options.output, options)),
    )

  root
    .command('replay')
    .description('give out again what is on the log; a plan unless --yes; live state is never touched')
    .option('-t, --tenant <id...>', 'only these tenants')
    .option('--since <time>', 'record time, ISO or a span such as 2h')
    .option('--until <time>', 'record time, ISO or a span; default now')
    .option('--alert <id>', 'only this alert')
    .option('--severity <severity...>', 'only these severities')
    .option('--match <test>', "plain text, or $.path [= != ~ value] on the alert's JSON")
    .option('--to <target>', 'FILE (.gz and .zst compress), topic:NAME, engine, or - for standard output', '-')
    .addOption(new Option('--versions <which>', 'of each alert').choices(['all', 'latest']).default('all'))
    .addOption(
      new Option('--as <what>', 'all that was published, or only what the engine has')
        .choices(['delivered', 'as-published'])
        .default('as-published'),
    )
    .addOption(new Option('--max <count>', 'stop after so many alerts').argParser(wholeNumber('--max')))
    .addOption(
      new Option('--rate <count>', 'alerts a second to the engine').argParser(wholeNumber('--rate')).default(50),
    )
    .addOption(
      new Option('--lag-limit <count>', 'pause while more live records wait')
        .argParser(wholeNumber('--lag-limit'))
        .default(1_000),
    )
    .option('--reason <text>', 'why; stands in the audit log')
    .option('--by <name>', 'who; default the user of this shell')
    .option('--resume <id>', 'go on with a replay that was stopped or killed')
    .option('--yes', 'run the plan', false)
    .action((options: ReplayOptions) => done(replay(io, options)))

  root
    .command('sweep')
    .description('list again what Graph has, and publish what is missing; exit 6 when Graph leaves windows open')
    .option('-t, --tenant <id...>', 'only these tenants; default every active one')
    .option('--since <time>', 'update time, ISO or a span such as 6h; default 72h')
    .option('--until <time>', 'update time, ISO or a span; default what is polled')
    .option('--dry-run', 'tell what is missing, publish nothing', false)
    .addOption(format())
    .action((options: SweepOptions & { output: Format }) => done(sweepTenants(io, options.output, options)))

  const parked = root.command('parked').description('what could not be delivered, and why')
  parked
    .command('list')
    .description('grouped by reason, tenant and hour; every record with --rows, json or ndjson')
    .option('-t, --tenant <id...>', 'only these tenants')
    .option('--reason <reason...>', 'only these reasons')
    .option('--id <id...>', 'alert id, or lane:offset of the parked record')
    .option('--since <time>', 'parked since, ISO or a span such as 2h')
    .option('--until <time>', 'parked until')
    .option('--rows', 'a line for each record', false)
    .option('--all', 'also what was retried, discarded or overtaken', false)
    .addOption(format())
    .action((options: ParkedFlags & { rows: boolean; all: boolean; output: Format }) =>
      done(listParked(io, options.output, byReason(options), options)),
    )
  parked
    .command('show')
    .description('one record: the alert, the reason in words, what to do')
    .argument('<id>', 'lane:offset, or the alert id')
    .action((id: string) => done(showParked(io, id)))
  parked
    .command('retry')
    .description('send again the normal way; a plan unless --yes; repeat the command to go on after a kill')
    .option('-t, --tenant <id...>', 'only these tenants')
    .option('--reason <reason...>', 'only these reasons')
    .option('--id <id...>', 'alert id, or lane:offset of the parked record')
    .option('--since <time>', 'parked since, ISO or a span such as 2h')
    .option('--until <time>', 'parked until')
    .addOption(new Option('--rate <count>', 'records a second').argParser(wholeNumber('--rate')).default(100))
    .option('--force', 'also what was tried many times', false)
    .option('--by <name>', 'who; default the user of this shell')
    .option('--yes', 'run the plan', false)
    .action((options: ParkedFlags & { yes: boolean; rate: number; force: boolean; by?: string }) =>
      done(retryParked(io, byReason(options), options)),
    )
  parked
    .command('discard')
    .description('take off the list for good; a plan unless --yes')
    .option('-t, --tenant <id...>', 'only these tenants')
    .option('--parked <reason...>', 'only what was parked for these reasons')
    .option('--id <id...>', 'alert id, or lane:offset of the parked record')
    .option('--since <time>', 'parked since, ISO or a span such as 2h')
    .option('--until <time>', 'parked until')
    .option('--reason <text>', 'why; stands in the audit log')
    .option('--by <name>', 'who; default the user of this shell')
    .option('--yes', 'run the plan', false)
    .action((options: ParkedFlags & { parked?: string[]; reason?: string; yes: boolean; by?: string }) =>
      done(
        discardParked(
          io,
          { ...selectorOf(options), ...(options.parked ? { parkedReason: options.parked } : {}) },
          options,
        ),
      ),
    )

  root
    .command('audit')
    .description('who did what and why')
    .command('list')
    .description('operations, oldest first')
    .addOption(format())
    .action((options: { output: Format }) => done(listAudit(io, options.output)))

  root
    .command('config')
    .description('the settings')
    .command('print')
    .description('merged, redacted, each with its origin')
    .addOption(new Option('--role <role>', 'whose settings').choices(['poller', 'forwarder', 'cli']).default('cli'))
    .addOption(format())
    .action((options: { role: Role; output: Format }) => done(printConfig(io, options.output, options.role)))

  for (const command of [root, ...root.commands, ...root.commands.flatMap(child => child.commands)]) {
    command.exitOverride().configureOutput({ writeOut: io.out, writeErr: io.say })
  }
  return root
}

interface ParkedFlags {
  readonly tenant?: readonly string[]
  readonly id?: readonly string[]
  readonly since?: string
  readonly until?: string
}

function selectorOf({ tenant, id, since, until }: ParkedFlags): ParkedFilter {
  return {
    ...(tenant ? { tenant } : {}),
    ...(id ? { id } : {}),
    ...(since === undefined ? {} : { since }),
    ...(until === undefined ? {} : { until }),
  }
}

function byReason(options: ParkedFlags & { readonly reason?: readonly string[] }): ParkedFilter {
  return { ...selectorOf(options), ...(options.reason ? { parkedReason: options.reason } : {}) }
}

function wholeNumber(flag: string): (text: string) => number {
  return text => {
    if (!/^0*[1-9]\d{0,14}$/.test(text)) {
      throw new Refusal(`${flag} is ${quote(text)}: expected a whole number above 0`, EXIT.usage)
    }
    return Number(text)
  }
}

function required(value: string | undefined, what: string): string {
  if (value === undefined) throw new Refusal(`${what} is missing (see --help)`, EXIT.usage)
  return value
}
