#!/usr/bin/env node
import { Command, CommanderError, Option } from 'commander'
import { processEnvironment } from '../platform/settings.ts'
import type { Role } from '../platform/settings-table.ts'
import { printConfig } from './config.ts'
import type { Format, Io } from './io.ts'
import { EXIT, Refusal } from './io.ts'
import { checkSchemas, registerSchemas } from './schemas.ts'
import { showStatus } from './status.ts'
import { applyTenants, listTenants, removeTenants } from './tenants.ts'
import { applyTopicTable, checkTopicTable } from './topics.ts'

const io: Io = {
  env: processEnvironment(),
  out: text => void process.stdout.write(text),
  say: text => void process.stderr.write(text),
  isTty: process.stdout.isTTY,
}

// `socos status | head` closes the pipe early; that is no error
process.stdout.on('error', error => process.exit('code' in error && error.code === 'EPIPE' ? EXIT.ok : EXIT.failed))
// clients may keep idle sockets open; the command is done all the same
process.exit(await main(process.argv))

async function main(argv: readonly string[]): Promise<number> {
  let exitCode: number = EXIT.ok
  const done = async (result: Promise<number> | number): Promise<void> => {
    exitCode = await result
  }
  try {
    await program(done).parseAsync([...argv])
    return exitCode
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage
    const words = error instanceof Error ? error.message : String(error)
    io.say(`socos: ${words}\n`)
    return error instanceof Refusal ? error.exitCode : EXIT.failed
  }
}

function program(done: (result: Promise<number> | number) => Promise<void>): Command {
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
    .command('list')
    .description('the tenants as they stand in Kafka')
    .addOption(format())
    .action((options: { output: Format }) => done(listTenants(io, options.output)))
  tenants
    .command('remove')
    .description('off-board tenants')
    .argument('<tenantId...>')
    .option('--dry-run', 'print what would change', false)
    .addOption(new Option('--yes', 'accepted for scripts; applying the tenant again takes it back').hideHelp())
    .action((ids: string[], options: { dryRun: boolean }) => done(removeTenants(io, ids, options)))

  root
    .command('status')
    .description('state, freshness and exact counts of every tenant')
    .option('-t, --tenant <id...>', 'only these', [])
    .addOption(format())
    .action((options: { tenant: string[]; output: Format }) => done(showStatus(io, options.output, options.tenant)))

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

function required(value: string | undefined, what: string): string {
  if (value === undefined) throw new Refusal(`${what} is missing (see --help)`, EXIT.usage)
  return value
}
