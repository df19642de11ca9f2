import { CommanderError } from 'commander'
import { AccessDenied, inWordsIfDenied } from '../platform/kafka/denied.ts'
import { program } from './commands.ts'
import type { Io } from './io.ts'
import { EXIT, Refusal, safeIo } from './io.ts'

/** Runs one command and gives its exit code; what goes wrong is said in one sentence. `argv` as the process has it. */
export async function runSocos(argv: readonly string[], given: Io): Promise<number> {
  const io = safeIo(given)
  let exitCode: number = EXIT.ok
  const done = async (result: Promise<number> | number): Promise<void> => {
    exitCode = await result
  }
  try {
    await program(io, done).parseAsync([...argv])
    return exitCode
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage
    const shown = inWordsIfDenied(error)
    io.say(`socos: ${shown instanceof Error ? shown.message : String(shown)}\n`)
    if (shown instanceof AccessDenied) return EXIT.auth
    return error instanceof Refusal ? error.exitCode : EXIT.failed
  }
}
