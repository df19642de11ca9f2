#!/usr/bin/env node
import { processEnvironment } from '../platform/settings.ts'
import { EXIT } from './io.ts'
import { runSocos } from './run.ts'

// `socos status | head` closes the pipe early; that is no error
process.stdout.on('error', error => process.exit('code' in error && error.code === 'EPIPE' ? EXIT.ok : EXIT.failed))
const exitCode = await runSocos(process.argv, {
  env: processEnvironment(),
  out: text => void process.stdout.write(text),
  say: text => void process.stderr.write(text),
  isErrTty: process.stderr.isTTY,
})
// a pipe takes 64 kB at a time: what is still on its way must not be cut off
for (const stream of [process.stdout, process.stderr]) await new Promise<void>(done => stream.write('', () => done()))
// clients may keep idle sockets open; the command is done all the same
process.exit(exitCode)
