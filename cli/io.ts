import { escapeOddCharacters, inWords } from '../platform/log-scrub.ts'

/** Data goes to stdout, everything else to stderr. */
export interface Io {
  readonly env: Readonly<Record<string, string | undefined>>
  out(text: string): void
  say(text: string): void
  /** Is somebody watching stderr? */
  readonly isErrTty: boolean
}

/** Exit codes that scripts rely on. */
export const EXIT = { ok: 0, failed: 1, usage: 2, someFailed: 3, auth: 4, notFound: 5, problem: 6 } as const

/** A command cannot do what was asked; the message says what, where and what to do. */
export class Refusal extends Error {
  readonly exitCode: number

  constructor(message: string, exitCode: number = EXIT.failed) {
    super(message)
    this.name = 'Refusal'
    this.exitCode = exitCode
  }
}

export type Format = 'table' | 'json' | 'ndjson'

export interface Column<Row> {
  readonly title: string
  readonly of: (row: Row) => string | number | null
  readonly right?: boolean
}

/** Plain columns for people; `json` is one document, `ndjson` one row a line. */
export function printRows<Row>(
  io: Io,
  format: Format,
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  document: (rows: readonly Row[]) => unknown = all => all,
): void {
  switch (format) {
    case 'json':
      io.out(`${JSON.stringify(document(rows))}\n`)
      return
    case 'ndjson':
      for (const row of rows) io.out(`${JSON.stringify(row)}\n`)
      return
    case 'table': {
      const cells = [
        columns.map(column => column.title),
        ...rows.map(row => columns.map(column => printable(column.of(row)))),
      ]
      const widths = columns.map((_, at) => Math.max(...cells.map(row => width(row[at] ?? ''))))
      for (const row of cells) {
        const line = row.map((cell, at) => pad(cell, widths[at] ?? 0, columns[at]?.right === true)).join('  ')
        io.out(`${line.trimEnd()}\n`)
      }
    }
  }
}

/** What others wrote may carry terminal codes. */
function printable(value: string | number | null): string {
  if (value === null) return '-'
  return String(value).replace(/[\p{C}\u2028\u2029]/gu, ' ')
}

const MAX_SAID_LINE_CHARS = 16_000
// those that are left when the others are escaped, but for line feed and tab
const TERMINAL = /[^\P{Cc}\n\t]/gu

/**
 * The same ends, safe for a terminal: what is said or printed may repeat what was typed, or what others wrote into a
 * record. JSON stays the same data. What is said is scrubbed and bounded too.
 */
export function safeIo(io: Io): Io {
  return {
    ...io,
    out: text => io.out(escapeOddCharacters(text).replaceAll(TERMINAL, ' ')),
    say(text) {
      // a line that is written over the last one
      const start = text.startsWith('\r') ? '\r' : ''
      const lines = text.slice(start.length).split('\n')
      io.say(start + lines.map(line => inWords(line, MAX_SAID_LINE_CHARS)).join('\n'))
    },
  }
}

/** In characters as people count them, not in UTF-16 units. */
function width(text: string): number {
  return Array.from(new Intl.Segmenter().segment(text)).length
}

function pad(text: string, wanted: number, right: boolean): string {
  const space = ' '.repeat(Math.max(0, wanted - width(text)))
  return right ? space + text : text + space
}
