import { readFileSync } from 'node:fs'
import { describeSettings, readSettings } from '../platform/settings.ts'
import type { Role } from '../platform/settings-table.ts'
import type { Format, Io } from './io.ts'
import { EXIT, printRows } from './io.ts'

/** The merged settings of a role, redacted, each with where it comes from. Mistakes are printed and exit with 6. */
export function printConfig(io: Io, format: Format, role: Role): number {
  const read = readSettings({ env: io.env, readFile: path => readFileSync(path, 'utf8') }, role)
  if (read.kind === 'bad') {
    for (const problem of read.problems) io.say(`${problem}\n`)
    return EXIT.problem
  }
  for (const warning of read.warnings) io.say(`${warning}\n`)
  const rows = describeSettings(read.origins)
    .filter(row => row.usedBy.includes(role))
    .map(({ name, value, from }) => ({ name, value, from }))
  printRows(io, format, rows, [
    { title: 'NAME', of: row => row.name },
    { title: 'VALUE', of: row => row.value },
    { title: 'FROM', of: row => row.from },
  ])
  return EXIT.ok
}
