/** Writes the tables in the documents from the code that they describe: `npm run docs:tables`. A test fails when one is old. */
import { readFileSync, writeFileSync } from 'node:fs'
import { otherWays, plainGuide } from '../cli/guide.ts'
import { toMarkdown } from '../cli/guide-render.ts'
import { type Instrument, instruments, METRIC_PREFIX } from '../platform/metrics-table.ts'
import { settingEntries } from '../platform/settings-table.ts'
import { ACLS } from '../schemas/acls.ts'
import { PARK_REASONS } from '../schemas/parking.ts'
import { TOPICS } from '../schemas/topics.ts'

const DAY_MS = 86_400_000
const MIB = 1_048_576
const LABEL_VALUES_SHOWN = 20

const TABLES: Readonly<Record<string, () => string>> = {
  topics,
  settings,
  metrics,
  reasons,
  acls,
  guide: () => toMarkdown(plainGuide()),
  ways: () => toMarkdown(otherWays()),
}

/** Files that hold tables between `<!-- table: NAME -->` and `<!-- end -->`. */
export const DOCUMENTS = [
  'README.md',
  'docs/settings.md',
  'docs/metrics.md',
  'docs/security.md',
  'docs/onboarding-guide.md',
  'schemas/README.md',
] as const

/** The document with its tables as they should be. Throws for a table that nobody makes. */
export function withTables(text: string): string {
  return text.replace(/(<!-- table: (\w+) -->\n)[^]*?(<!-- end -->)/g, (_, open: string, name: string, end: string) => {
    const make = TABLES[name]
    if (!make) throw new Error(`no table ${name}: there are ${Object.keys(TABLES).join(', ')}`)
    return `${open}${make()}${end}`
  })
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map(cell => cell.replaceAll('|', '\\|')).join(' | ')} |\n`
  return line(head) + line(head.map(() => '---')).replaceAll(' ', '') + rows.map(line).join('')
}

function topics(): string {
  return table(
    ['topic', 'key', 'schema', 'partitions', 'cleanup', 'kept', 'largest record', 'what for'],
    TOPICS.map(({ name, key, schema, partitions, cleanup, retentionMs, maxMessageBytes, purpose }) => [
      `\`${name}\``,
      `\`${key}\``,
      `\`${schema}.avsc\``,
      partitions === 'lanes' ? 'one a lane' : String(partitions),
      cleanup,
      retentionMs === null ? 'for ever' : `${retentionMs / DAY_MS} days`,
      `${maxMessageBytes / MIB} MiB`,
      purpose,
    ]),
  )
}

function settings(): string {
  return table(
    ['name', 'default', 'used by', 'needed by', 'meaning'],
    settingEntries.map(([, { name, fallback, usedBy, neededBy, secret, help }]) => [
      secret ? `\`${name}\`, \`${name}_FILE\`` : `\`${name}\``,
      fallback === null ? '' : `\`${fallback}\``,
      usedBy.join(', '),
      neededBy.join(', '),
      help,
    ]),
  )
}

function metrics(): string {
  return table(
    ['metric', 'kind', 'labels', 'meaning'],
    Object.entries<Instrument>(instruments).map(([name, { kind, labels, help }]) => [
      `\`${METRIC_PREFIX}${name}\``,
      kind,
      Object.entries(labels)
        .map(([label, values]) => `\`${label}\`: ${labelWords(values)}`)
        .join('; '),
      help,
    ]),
  )
}

function acls(): string {
  return table(
    ['role', 'on', 'operations', 'why'],
    ACLS.map(({ role, resource, name, patternType, operations, why }) => [
      role,
      `${resource} \`${name}${patternType === 'prefix' ? '*' : ''}\``,
      operations.join(', '),
      why,
    ]),
  )
}

function labelWords(values: Instrument['labels'][string]): string {
  if (!('open' in values)) {
    if (values.length <= LABEL_VALUES_SHOWN) return values.join(', ')
    return `${values.slice(0, 3).join(', ')} … ${values.at(-1)} (${values.length})`
  }
  return `${values.open}, at most ${values.seriesMax.toLocaleString('en')} series a worker, the ${values.keep} first`
}

function reasons(): string {
  return table(
    ['reason', 'what it means, and what to do'],
    Object.entries(PARK_REASONS).map(([reason, words]) => [`\`${reason}\``, words]),
  )
}

if (import.meta.main) {
  for (const file of DOCUMENTS) {
    const place = new URL(`../${file}`, import.meta.url)
    writeFileSync(place, withTables(readFileSync(place, 'utf8')))
  }
}
