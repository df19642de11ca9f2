import { parse } from 'yaml'
import { inWords, quote } from './log-scrub.ts'
import { didYouMean, nearestName } from './nearest.ts'
import { whyUnreadable } from './secret-file.ts'
import { settingEntries } from './settings-table.ts'

/** The optional YAML or JSON file of settings, by the same names: `SOCOS_CONFIG: path`. Weaker than environment and flags. */
const CONFIG_NAME = 'SOCOS_CONFIG'
/** Many times what all settings take; the library compares each key with all before it. */
const MAX_CONFIG_CHARS = 32_768

const MAX_PATH_CHARS = 512

export type Texts = Readonly<Record<string, string | undefined>>

export interface SettingsSource {
  readonly env: Texts
  /** Path of the settings file; wins over SOCOS_CONFIG. */
  readonly file?: string
  /** By the names of the table: `{ LOG_LEVEL: 'debug' }`. The strongest layer. */
  readonly flags?: Texts
  /** The whole text of a file; throws when it cannot be read. */
  readonly readFile: (path: string) => string
}

export type Origin = 'default' | 'file' | 'environment' | 'flag'

/** Every name that the environment may carry, NAME_FILE forms and SOCOS_CONFIG included. */
export function settingNames(): readonly string[] {
  return [
    ...settingEntries.flatMap(([, { name, secret }]) => (secret ? [name, fileNameOf(name)] : [name])),
    CONFIG_NAME,
  ]
}

export interface Layer {
  readonly from: Origin
  /** How a problem names it. */
  readonly where: string
  readonly texts: ReadonlyMap<string, string>
}

/** The strongest first. */
export function readLayers(source: SettingsSource, problems: string[]): readonly Layer[] {
  const names = settingNames()
  const flags = nonEmpty(source.flags ?? {})
  for (const name of flags.keys()) {
    if (!names.includes(name)) problems.push(`there is no setting ${quote(name)}${didYouMean(name, names)}`)
  }
  const env = nonEmpty(source.env)
  const file = source.file ?? flags.get(CONFIG_NAME) ?? env.get(CONFIG_NAME)
  const layers: Layer[] = [
    { from: 'flag', where: 'flag', texts: flags },
    { from: 'environment', where: 'environment', texts: env },
  ]
  if (file !== undefined) {
    layers.push({
      from: 'file',
      where: inWords(file, MAX_PATH_CHARS),
      texts: readConfigFile(file, source.readFile, problems),
    })
  }
  return layers
}

function nonEmpty(texts: Texts): ReadonlyMap<string, string> {
  const out = new Map<string, string>()
  for (const [name, text] of Object.entries(texts)) if (text !== undefined && text.trim() !== '') out.set(name, text)
  return out
}

function readConfigFile(
  path: string,
  readFile: (path: string) => string,
  problems: string[],
): ReadonlyMap<string, string> {
  const file = inWords(path, MAX_PATH_CHARS)
  const out = new Map<string, string>()
  const secretNames = new Set(settingEntries.filter(([, setting]) => setting.secret).map(([, setting]) => setting.name))
  const names = settingNames().filter(name => name !== CONFIG_NAME && !secretNames.has(name))
  const document = parseConfig(path, readFile, problems)
  for (const [name, value] of Object.entries(document)) {
    if (secretNames.has(name)) {
      problems.push(
        `${file}: ${name} is a secret and does not belong in this file: name a file with ${fileNameOf(name)}`,
      )
    } else if (!names.includes(name)) {
      problems.push(`${file}: there is no setting ${quote(name)}${didYouMean(name, names)}`)
    } else {
      const text = scalarText(value)
      if (text === null) problems.push(`${file}: ${name} must be a text, a number, true, false or a list of texts`)
      else if (text.trim() !== '') out.set(name, text)
    }
  }
  return out
}

function parseConfig(path: string, readFile: (path: string) => string, problems: string[]): object {
  const file = inWords(path, MAX_PATH_CHARS)
  try {
    const text = readFile(path)
    if (text.length > MAX_CONFIG_CHARS) {
      problems.push(`${file} is longer than ${MAX_CONFIG_CHARS} characters`)
      return {}
    }
    const document: unknown = parse(text.replace(/^\ufeff/, ''), {
      maxAliasCount: 0,
      prettyErrors: true,
      logLevel: 'error',
    })
    if (document === null) return {}
    if (typeof document === 'object' && !Array.isArray(document)) return document
    problems.push(`${file} must hold settings by name, as in \`LOG_LEVEL: debug\``)
  } catch (error) {
    const named = error instanceof Error && /^(?:YAML|Reference|Range)/.test(error.name)
    // the first line of a YAML error names the place; the rest quotes the file
    const why = named ? `is no YAML: ${inWords(error.message.split('\n')[0] ?? '')}` : whyUnreadable(error)
    problems.push(`${CONFIG_NAME}: ${file} ${why}`)
  }
  return {}
}

function scalarText(value: unknown): string | null {
  if (value === null) return ''
  if (typeof value === 'string') return value
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  if (Array.isArray(value) && value.every(entry => typeof entry === 'string')) return value.join(',')
  return null
}

/** Near to HTTPS_PROXY, and read by others: the pipeline asks Microsoft over https only. */
const OF_OTHERS = new Set(['HTTP_PROXY', 'FTP_PROXY'])

/** Names in the environment that are nearly ours. */
export function lookAlikes(env: Texts): readonly string[] {
  const names = settingNames()
  const known = new Set(names)
  const warnings: string[] = []
  for (const [name, text] of Object.entries(env)) {
    if (known.has(name) || text === undefined || text.trim() === '' || !/^[A-Z0-9]+_[A-Z0-9_]+$/i.test(name)) continue
    const upper = name.toUpperCase()
    // many set both https_proxy and HTTPS_PROXY
    if (OF_OTHERS.has(upper) || (known.has(upper) && env[upper] !== undefined)) continue
    const meant = nearestName(name, names)
    if (meant !== null) warnings.push(`the environment variable ${inWords(name)} is not read (did you mean ${meant}?)`)
  }
  return warnings
}

export function fileNameOf(name: string): string {
  return `${name}_FILE`
}
