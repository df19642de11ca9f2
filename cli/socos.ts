#!/usr/bin/env node
import { CommanderError } from 'commander'
import { processEnvironment } from '../platform/settings.ts'
import { program } from './commands.ts'
import type { Io } from './io.ts'
import { EXIT, Refusal } from './io.ts'

const io: Io = {
  env: processEnvironment(),
  out: text => void process.stdout.write(text),
  say: text => void process.stderr.write(text),
  isErrTty: process.stderr.isTTY,
}

// `socos status | head` closes the pipe early; that is no error
process.stdout.on('error', error => process.exit('code' in error && error.code === 'EPIPE' ? EXIT.ok : EXIT.failed))
const exitCode = await main(process.argv)
// a pipe takes 64 kB at a time: what is still on its way must not be cut off
for (const stream of [process.stdout, process.stderr]) await new Promise<void>(done => stream.write('', () => done()))
// clients may keep idle sockets open; the command is done all the same
process.exit(exitCode)

async function main(argv: readonly string[]): Promise<number> {
  let exitCode: number = EXIT.ok
  const done = async (result: Promise<number> | number): Promise<void> => {
    exitCode = await result
  }
  try {
    await program(io, done).parseAsync([...argv])
    return exitCode
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage
    const words = error instanceof Error ? error.message : String(error)
    io.say(`socos: ${words}\n`)
    return error instanceof Refusal ? error.exitCode : EXIT.failed
  }
}
