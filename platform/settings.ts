import { quote, registerSecret, scrub } from './log-scrub.ts'
import { secretText, whyUnreadable } from './secret-file.ts'
import { filePath } from './settings-kinds.ts'
import {
  fileNameOf,
  type Layer,
  lookAlikes,
  type Origin,
  readLayers,
  type SettingsSource,
  type Texts,
} from './settings-layers.ts'
import { checkTogether, usesKafkaTls } from './settings-rules.ts'
import {
  type PartialSettings,
  type Role,
  type SecretFiles,
  type Setting,
  type SettingKey,
  type Settings,
  settingEntries,
} from './settings-table.ts'

/** Where the value of a setting comes from, and its text; of a secret only whether it is set. */
interface SettingOrigin {
  readonly from: Origin
  readonly shown: string | null
}

export type SettingOrigins = Readonly<Record<string, SettingOrigin>>

export type SettingsRead<S> =
  | {
      readonly kind: 'ok'
      readonly settings: S
      readonly origins: SettingOrigins
      /** Things that work but were probably not meant. */
      readonly warnings: readonly string[]
    }
  | { readonly kind: 'bad'; readonly problems: readonly string[] }

/** The only place that reads the environment of the process. */
export function processEnvironment(): Texts {
  return process.env
}

/**
 * Reads the settings of a role: file < environment < flags; an empty text counts as not set. All mistakes come
 * together, each naming the setting, what was given (never of a secret) and what is expected. `needs` names settings
 * that this run cannot do without beyond those that the role always needs; they are not null in the result.
 */
export function readSettings<R extends Role, N extends SettingKey & keyof Settings<R> = never>(
  source: SettingsSource,
  role: R,
  needs: readonly N[] = [],
): SettingsRead<Omit<Settings<R>, N> & { readonly [K in N]: NonNullable<Settings<R>[K]> }> {
  const problems: string[] = []
  const layers = readLayers(source, problems)
  const values: Partial<Record<SettingKey, unknown>> = {}
  const origins: Record<string, SettingOrigin> = {}
  const secretFiles: { -readonly [K in keyof SecretFiles]: SecretFiles[K] } = {}
  for (const [key, setting] of settingEntries) {
    if (!setting.usedBy.includes(role)) continue
    const given = findGiven(setting, layers, source.readFile, problems)
    if (given === 'bad') continue
    if (given?.path !== undefined) secretFiles[key] = given.path
    const needed = setting.neededBy.includes(role) || needs.some(name => name === key)
    if (given === null && needed)
      problems.push(`${setting.name} is not set: expected ${expectedOf(setting)}. ${setting.help}`)
    const text = given?.text ?? setting.fallback
    origins[setting.name] = { from: given?.from ?? 'default', shown: shownOf(setting, text) }
    values[key] = text === null ? null : understand(setting, text, given?.where ?? 'default', problems)
    if (setting.kind === filePath && typeof values[key] === 'string')
      checkReadable(setting, values[key], source, problems)
  }
  const partial = values as PartialSettings
  const { problems: disagreements, warnings } = checkTogether(partial)
  problems.push(...disagreements)
  if (problems.length > 0) return { kind: 'bad', problems }
  // every key of the role has a value by now, in the type that its kind gives
  const settings = { ...partial, kafkaTlsEnabled: usesKafkaTls(partial), secretFiles } as unknown as Settings<R>
  return {
    kind: 'ok',
    settings: settings as typeof settings & { readonly [K in N]: NonNullable<Settings<R>[K]> },
    origins,
    warnings: [...lookAlikes(source.env), ...warnings],
  }
}

export interface SettingRow {
  readonly name: string
  readonly usedBy: readonly Role[]
  readonly neededBy: readonly Role[]
  readonly fallback: string | null
  readonly secret: boolean
  readonly expected: string
  readonly help: string
  /** Only with origins: the merged value as text, `(set)` for a secret, null when not set or not of this role. */
  readonly value: string | null
  readonly from: Origin | null
}

/** The table for people: README without `origins`, `config print` with those of a read. */
export function describeSettings(origins: SettingOrigins = {}): readonly SettingRow[] {
  return settingEntries.map(([, setting]) => ({
    name: setting.name,
    usedBy: setting.usedBy,
    neededBy: setting.neededBy,
    fallback: setting.fallback,
    secret: setting.secret,
    expected: expectedOf(setting),
    help: setting.help,
    value: origins[setting.name]?.shown ?? null,
    from: origins[setting.name]?.from ?? null,
  }))
}

interface Given {
  readonly from: Origin
  readonly where: string
  readonly text: string
  /** Of the file that a secret came from. */
  readonly path?: string
}

/** The text of the strongest layer that has one; of a secret, from NAME or from the file that NAME_FILE names. */
function findGiven(
  setting: Setting,
  layers: readonly Layer[],
  readFile: (path: string) => string,
  problems: string[],
): Given | null | 'bad' {
  for (const { from, where, texts } of layers) {
    const text = texts.get(setting.name)
    const path = setting.secret ? texts.get(fileNameOf(setting.name)) : undefined
    if (text !== undefined && path !== undefined) {
      problems.push(`${setting.name} and ${fileNameOf(setting.name)} are both set (${where}): keep one`)
      return 'bad'
    }
    if (text !== undefined) return { from, where, text: setting.secret ? text : text.trim() }
    if (path !== undefined) {
      const content = readSecret(setting, path.trim(), readFile, problems)
      return content === null ? 'bad' : { from, where, text: content, path: path.trim() }
    }
  }
  return null
}

function readSecret(
  setting: Setting,
  path: string,
  readFile: (path: string) => string,
  problems: string[],
): string | null {
  const name = fileNameOf(setting.name)
  try {
    const content = secretText(readFile(path))
    if (content.trim() !== '') return content
    problems.push(`${name}: ${quote(path)} is empty`)
  } catch (error) {
    problems.push(`${name}: ${quote(path)} ${whyUnreadable(error)}`)
  }
  return null
}

function understand(setting: Setting, text: string, where: string, problems: string[]): unknown {
  if (setting.secret) registerSecret(text)
  const result = setting.kind.safeParse(text)
  if (result.success) return result.data
  const what = setting.secret ? 'cannot be used' : `is ${quote(text)}`
  problems.push(`${setting.name} ${what} (${where}): expected ${expectedOf(setting)}`)
  return undefined
}

function checkReadable(setting: Setting, path: string, source: SettingsSource, problems: string[]): void {
  try {
    source.readFile(path)
  } catch (error) {
    problems.push(`${setting.name}: ${quote(path)} ${whyUnreadable(error)}`)
  }
}

function expectedOf(setting: Setting): string {
  return setting.kind.description ?? 'a text'
}

function shownOf(setting: Setting, text: string | null): string | null {
  if (text === null) return null
  return setting.secret ? '(set)' : scrub(text, 300)
}
