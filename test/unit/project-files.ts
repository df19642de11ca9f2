/** The project as text, for the tests that keep architecture and documentation true. */
import { readdirSync, readFileSync } from 'node:fs'
import { posix } from 'node:path'
import { fileURLToPath } from 'node:url'

export interface SourceFile {
  /** Relative to the project's root, with slashes. */
  readonly path: string
  readonly text: string
}

export const ROOT = fileURLToPath(new URL('../../', import.meta.url))

/** Every text file that belongs to the project: what git would track, whether it does yet or not. */
export function projectFiles(): readonly SourceFile[] {
  const ignored = ignoredNames(readFileSync(`${ROOT}.gitignore`, 'utf8'))
  return walk('', name => name === '.git' || ignored(name)).flatMap(path => {
    const bytes = readFileSync(ROOT + path)
    return bytes.includes(0) ? [] : [{ path, text: bytes.toString('utf8') }]
  })
}

function walk(folder: string, skips: (name: string) => boolean): readonly string[] {
  return readdirSync(ROOT + folder, { withFileTypes: true })
    .filter(({ name }) => !skips(name))
    .flatMap(entry => {
      const path = posix.join(folder, entry.name)
      if (entry.isDirectory()) return walk(path, skips)
      return entry.isFile() ? [path] : []
    })
}

/** Plain names and `*.ext`, which is all that our .gitignore holds. */
function ignoredNames(gitignore: string): (name: string) => boolean {
  const patterns = gitignore.split('\n').map(line => line.trim().replace(/\/$/, ''))
  const names = new Set(patterns.filter(pattern => pattern !== '' && !pattern.startsWith('*')))
  const endings = patterns.filter(pattern => pattern.startsWith('*.')).map(pattern => pattern.slice(1))
  return name => names.has(name) || endings.some(ending => name.endsWith(ending))
}

/**
 * The text with comments and the insides of strings and regular expressions blanked; every other character keeps its
 * place. Code within `${…}` stays. Good for what a formatter has touched, which all of our code has.
 */
export function codeOf(text: string): string {
  const out = text.replace(/[^\n]/g, ' ').split('')
  const templates: number[] = []
  let depth = 0
  let at = 0
  const keep = (): void => {
    out[at] = text[at] ?? ''
    at++
  }
  while (at < text.length) {
    const char = text[at] ?? ''
    const pair = text.slice(at, at + 2)
    if (pair === '//' || (at === 0 && pair === '#!')) at = until(text, '\n', at)
    else if (pair === '/*') at = until(text, '*/', at + 2) + 2
    else if (char === "'" || char === '"') {
      keep()
      at = endOfQuoted(text, at, char)
      keep()
    } else if (char === '`' || (char === '}' && templates.at(-1) === depth)) {
      if (char === '}') templates.pop()
      keep()
      at = endOfTemplatePart(text, at)
      if (text[at] === '$') {
        templates.push(depth)
        keep()
      }
      keep()
    } else if (char === '/' && startsRegex(text, out, at)) {
      keep()
      at = endOfRegex(text, at)
      keep()
    } else {
      if (char === '{') depth++
      if (char === '}') depth--
      keep()
    }
  }
  return out.join('')
}

function until(text: string, mark: string, from: number): number {
  const end = text.indexOf(mark, from)
  return end < 0 ? text.length : end
}

function endOfQuoted(text: string, from: number, quote: string): number {
  let at = from
  while (at < text.length && text[at] !== quote && text[at] !== '\n') at += text[at] === '\\' ? 2 : 1
  return at
}

/** At the closing backtick, or at the dollar of an insertion. */
function endOfTemplatePart(text: string, from: number): number {
  let at = from
  while (at < text.length && text[at] !== '`' && !text.startsWith('${', at)) at += text[at] === '\\' ? 2 : 1
  return at
}

function endOfRegex(text: string, from: number): number {
  let at = from
  for (let inClass = false; at < text.length && (inClass || text[at] !== '/'); at++) {
    if (text[at] === '\\') at++
    else if (text[at] === '[') inClass = true
    else if (text[at] === ']') inClass = false
  }
  return at
}

/** A slash divides after a value and begins a regular expression anywhere else. */
function startsRegex(text: string, blanked: readonly string[], at: number): boolean {
  let before = at - 1
  while (before >= 0 && /\s/.test(blanked[before] ?? ' ')) before--
  if (before < 0) return true
  if (!/[\w$)\]}'"`]/.test(text[before] ?? '')) return true
  return /\b(?:return|typeof|case|of|in|await|yield)$/.test(text.slice(Math.max(0, before - 9), before + 1))
}

export interface Import {
  readonly specifier: string
  /** Only its types are taken. */
  readonly isType: boolean
}

/** Every module that a file names: import, export from, import(), require(), and `new URL('./x.ts', import.meta.url)`. */
export function importsOf({ text }: SourceFile): readonly Import[] {
  const code = codeOf(text)
  // the quotes are still there, so the name stands in the text between them
  const forms = /\b(?:from|import|require)\b\s*\(?\s*(['"])\s*\1|\bnew URL\(\s*(['"])\s*\2\s*,\s*import\.meta\.url/g
  return [...code.matchAll(forms)].flatMap(({ index, 0: match, 2: urlQuote }) => {
    const quote = index + match.search(/['"]/)
    const specifier = text.slice(quote + 1, text.indexOf(text[quote] ?? "'", quote + 1))
    if (urlQuote !== undefined && !/\.[mc]?[jt]s$/.test(specifier)) return []
    const statement =
      code
        .slice(0, index)
        .split(/\n(?=import|export)/)
        .at(-1) ?? ''
    return [{ specifier, isType: match.startsWith('from') && /^(?:import|export) type\b/.test(statement) }]
  })
}
