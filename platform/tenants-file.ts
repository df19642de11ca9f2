import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  type ParsedNode,
  parseDocument,
} from 'yaml'
import { z } from 'zod'
import { inWords, quote, scrub } from './log-scrub.ts'
import { placeSecret } from './secret-file.ts'
import { holdsSecret, isSecretName } from './secret-shapes.ts'
import {
  CREDENTIAL_KINDS,
  type CredentialKind,
  cloudMeant,
  HOLDS_SECRET,
  MEMBERS,
  METADATA_SECRET,
  METADATA_SECRET_NAME,
  NO_SECRETS,
  unknownWords,
} from './tenants-words.ts'

/**
 * The tenants file: its shape, its checks, and where in the file a mistake stands. Past 250 lines because position,
 * shape and words belong to each other and nobody else needs any of them.
 */

const MAX_BYTES = 16 * 1_048_576
const MAX_TENANTS = 20_000
const MAX_METADATA_BYTES = 16_384
const MAX_METADATA_DEPTH = 16
const MAX_PROBLEMS = 1_000
const MAX_SYNTAX_PROBLEMS = 3
/** How often YAML may repeat an anchored value, counted through nesting. */
const MAX_ALIASES = 100
const MORE_DOCUMENTS =
  'the file holds more than one document, and another begins here: put all tenants below one `tenants:` and take out the lines with --- or ... between them'

type TenantCloud = 'global' | 'usgov' | 'dod' | 'china'
type TenantSource = 'alerts_v2' | 'alerts'

export interface TenantSpec {
  /** Lower-case GUID. */
  readonly tenantId: string
  /** Lower-case GUID. */
  readonly clientId: string
  readonly name: string
  readonly cloud: TenantCloud
  readonly source: TenantSource
  /** `file` is relative to SECRETS_DIR. */
  readonly credential: { readonly kind: CredentialKind; readonly file: string }
  /** ISO date or date and time, as given. */
  readonly credentialExpires: string | null
  readonly intervalSeconds: number | null
  readonly lookbackHours: number | null
  /** Any JSON object of at most 16 KiB. */
  readonly metadata: Readonly<Record<string, unknown>>
}

export type TenantsRead =
  | { readonly kind: 'ok'; readonly tenants: readonly TenantSpec[] }
  | { readonly kind: 'bad'; readonly problems: readonly string[] }

export interface TenantsFileDeps {
  readonly secretsDir: string
  /** Whether a file stands at this path. */
  readonly exists: (path: string) => boolean
}

/**
 * Reads a tenants file, YAML or JSON, as text or as the bytes of the file: all of it or nothing. Every mistake is
 * named with its place, `tenants[3].clientId (line 41): …`; after a thousand the rest is only counted.
 */
export function parseTenantsFile(content: string | Uint8Array, deps: TenantsFileDeps): TenantsRead {
  const text = decode(content)
  if (text.kind === 'bad') return text
  const document = readDocument(text.text)
  if (document.kind === 'bad') return document
  const { data, lineOf } = document
  const problems: string[] = []
  let more = 0
  const say: Say = (path, what) => {
    // where a thing stands, and what was meant by it, is looked for only as long as it is told
    if (problems.length < MAX_PROBLEMS)
      problems.push(`${pathWords(path)}${lineOf(path)}: ${typeof what === 'string' ? what : what()}`)
    else more++
  }
  const list = findList(data, say)
  const tenants: TenantSpec[] = []
  const lineById = new Map<string, string>()
  for (const [index, entry] of list.entries()) {
    const tenant = checkTenant(entry, ['tenants', index], deps, say)
    const id = givenId(entry)
    const first = id === null ? undefined : lineById.get(id)
    if (first !== undefined) say(['tenants', index, 'tenantId'], `${id} stands in the file already, at ${first}`)
    else if (id !== null) lineById.set(id, `tenants[${index}]${lineOf(['tenants', index, 'tenantId'])}`)
    if (tenant !== null) tenants.push(tenant)
  }
  if (more > 0) problems.push(`… and ${more} more`)
  return problems.length === 0 ? { kind: 'ok', tenants } : { kind: 'bad', problems }
}

interface SyntaxFault {
  readonly code: string
  readonly message: string
  readonly pos: readonly [number, number]
}

type Path = readonly (string | number)[]
type Say = (path: Path, what: string | (() => string)) => void
type Bad = { readonly kind: 'bad'; readonly problems: readonly string[] }

function bad(...problems: readonly string[]): Bad {
  return { kind: 'bad', problems }
}

function decode(content: string | Uint8Array): { readonly kind: 'ok'; readonly text: string } | Bad {
  const bytes = typeof content === 'string' ? Buffer.byteLength(content) : content.byteLength
  if (bytes > MAX_BYTES) return bad(`the tenants file has ${bytes} bytes: at most ${MAX_BYTES} are read`)
  if (typeof content === 'string') return { kind: 'ok', text: content.replace(/^\ufeff/, '') }
  try {
    return { kind: 'ok', text: new TextDecoder('utf-8', { fatal: true }).decode(content) }
  } catch {
    return bad('the tenants file is not UTF-8 text')
  }
}

interface Readable {
  readonly kind: 'ok'
  readonly data: unknown
  /** ` (line 41)`, or nothing when unknown. */
  readonly lineOf: (path: Path) => string
}

function readDocument(text: string): Readable | Bad {
  const lines = new LineCounter()
  try {
    const document = parseDocument(text, {
      lineCounter: lines,
      // its pretty errors quote the file, which may hold what should not be printed
      prettyErrors: false,
      resolveKnownTags: false,
      stringKeys: true,
      // it compares each key with all before it: hours for a file of nothing but keys
      uniqueKeys: false,
      version: '1.2',
      logLevel: 'error',
    })
    const faults = [...document.errors, ...document.warnings]
    if (faults.length > 0) {
      return bad(...syntaxWords(faults, lines))
    }
    const twice = keysTwice(document.contents)
    if (twice.length > 0) return bad(...twice.map(at => `line ${lines.linePos(at).line}: Map keys must be unique`))
    const lineOf = (path: Path): string => {
      const offset = offsetOf(document.contents, path)
      return offset === null ? '' : ` (line ${lines.linePos(offset).line})`
    }
    return { kind: 'ok', data: document.toJS({ maxAliasCount: MAX_ALIASES }), lineOf }
  } catch (error) {
    if (error instanceof ReferenceError) {
      const many = error.message.startsWith('Excessive alias count')
      return bad(many ? `YAML aliases repeat more than ${MAX_ALIASES} values: write them out` : inWords(error.message))
    }
    // nesting deep enough to exhaust the stack
    if (error instanceof RangeError) return bad('the tenants file is nested too deeply')
    throw error
  }
}

/** One broken bracket breaks everything behind it: the first few places, each once. */
function syntaxWords(faults: readonly SyntaxFault[], lines: LineCounter): readonly string[] {
  // what else is found where the stack ends depends on the machine
  if (faults.some(({ message }) => /^Maximum call stack|Stack overflow$/.test(message)))
    return ['the tenants file is nested too deeply']
  const all = new Set<string>()
  for (const { code, message, pos } of faults) {
    // the library's own words are advice to programmers
    const words = code === 'MULTIPLE_DOCS' ? MORE_DOCUMENTS : inWords(message)
    all.add(`line ${lines.linePos(pos[0]).line}: ${words}`)
    if (all.size === MAX_SYNTAX_PROBLEMS) break
  }
  return [...all]
}

/** Where keys stand that their map has already: the first few. */
function keysTwice(root: ParsedNode | null): readonly number[] {
  const found: number[] = []
  const open: unknown[] = [root]
  for (let node = open.pop(); node !== undefined && found.length < MAX_SYNTAX_PROBLEMS; node = open.pop()) {
    if (isSeq<Node>(node)) for (const item of node.items) open.push(item)
    if (!isMap<Node, Node>(node)) continue
    const keys = new Set<string>()
    for (const { key, value } of node.items) {
      if (value !== null) open.push(value)
      const name = isScalar(key) ? String(key.value) : ''
      if (isScalar(key) && keys.has(name)) found.push(key.range?.[0] ?? 0)
      keys.add(name)
    }
  }
  return found.toSorted((a, b) => a - b).slice(0, MAX_SYNTAX_PROBLEMS)
}

/** The pairs of a map by name; a map with many mistakes in it is asked as often. */
const pairsOfMaps = new WeakMap<object, ReadonlyMap<string, Pair<Node, Node>>>()

function pairOf(map: { readonly items: readonly Pair<Node, Node>[] }, name: string): Pair<Node, Node> | undefined {
  const known = pairsOfMaps.get(map)
  if (known) return known.get(name)
  const pairs = new Map(
    map.items.flatMap(pair => (isScalar(pair.key) ? [[String(pair.key.value), pair] as const] : [])),
  )
  pairsOfMaps.set(map, pairs)
  return pairs.get(name)
}

/** Where in the text the deepest part of `path` that exists begins. */
function offsetOf(root: ParsedNode | null, path: Path): number | null {
  let node: Node | null | undefined = root
  let offset = root?.range[0] ?? null
  for (const step of path) {
    if (isSeq<Node>(node) && typeof step === 'number') {
      node = node.items[step]
      offset = node?.range?.[0] ?? offset
    } else if (isMap<Node, Node>(node)) {
      const pair = pairOf(node, String(step))
      if (pair === undefined) return offset
      offset = pair.key.range?.[0] ?? offset
      node = pair.value
    } else return offset
    if (isAlias(node)) return offset
  }
  return offset
}

function pathWords(path: Path): string {
  let out = ''
  for (const step of path) {
    if (typeof step === 'number') out += `[${step}]`
    else out += (out === '' ? '' : '.') + (/^[\w-]{1,60}$/.test(step) ? scrub(step) : quote(step, 60))
  }
  return out === '' ? 'the tenants file' : out
}

function findList(data: unknown, say: Say): readonly unknown[] {
  if (!isObject(data)) {
    const list = Array.isArray(data)
      ? ': the list stands here without it, write the line `tenants:` above it (in JSON, {"tenants": […]})'
      : ''
    say([], `expected \`tenants:\` and below it the list of tenants${list}`)
    return []
  }
  for (const key of Object.keys(data)) {
    if (key !== 'tenants') say([key], () => unknownWords(key, data[key], 'file'))
  }
  const { tenants } = data
  if (!Array.isArray(tenants)) {
    say(['tenants'], tenants === undefined ? 'is missing: expected the list of tenants' : 'expected a list of tenants')
    return []
  }
  if (tenants.length > MAX_TENANTS) {
    say(['tenants'], `lists ${tenants.length} tenants: at most ${MAX_TENANTS} fit one file`)
    return []
  }
  return tenants
}

const guid = z
  .string()
  .regex(/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i)
  .transform(text => text.toLowerCase())
  .describe('a GUID such as 11111111-2222-3333-4444-555555555555')

const credentialFile = z.string().optional().describe('a path relative to SECRETS_DIR, in quotes if need be')

const shape = {
  tenantId: guid,
  clientId: guid,
  name: z
    .string()
    .refine(text => text.length <= 256 && text.trim() !== '' && !/[\p{Cc}\p{Zl}\p{Zp}\p{Cs}]/u.test(text))
    .describe('1 to 256 characters of text, no control characters, in quotes if it looks like a number'),
  cloud: z.enum(['global', 'usgov', 'dod', 'china']).default('global').describe('one of global, usgov, dod, china'),
  source: z.enum(['alerts_v2', 'alerts']).default('alerts_v2').describe('one of alerts_v2, alerts'),
  credential: z
    .strictObject({ secretFile: credentialFile, certificateFile: credentialFile, federatedTokenFile: credentialFile })
    .refine(files => Object.keys(files).length === 1)
    .describe('exactly one of secretFile, certificateFile, federatedTokenFile'),
  credentialExpires: z
    .union([z.iso.date(), z.iso.datetime({ offset: true })])
    .optional()
    .describe('an ISO date such as 2027-03-31'),
  intervalSeconds: z.int().min(1).max(86_400).optional().describe('a whole number of seconds from 1 to 86400'),
  lookbackHours: z.int().min(1).max(4_320).optional().describe('a whole number of hours from 1 to 4320'),
  metadata: z.custom<Readonly<Record<string, unknown>>>(isObject).optional().describe('an object'),
} as const satisfies Readonly<Record<(typeof MEMBERS)[number], z.ZodType>>

const tenantShape = z.strictObject(shape)

function checkTenant(entry: unknown, path: Path, deps: TenantsFileDeps, say: Say): TenantSpec | null {
  if (!isObject(entry)) {
    say(path, 'expected a tenant: tenantId, clientId, name, credential, …')
    return null
  }
  const given = withoutNulls(entry)
  const result = tenantShape.safeParse(given)
  for (const issue of result.error?.issues ?? []) sayIssue(issue, given, path, say)
  // these look at the parts themselves, so that one wrong part does not hide what is wrong with another
  const fits = [
    checkSecrets(given, path, say),
    checkIds(given, path, say),
    checkCloud(given, path, say),
    checkMetadata(given['metadata'], path, say),
    checkCredential(given, path, deps, say),
  ]
  if (!result.success || fits.includes(false)) return null
  const { credential, credentialExpires, intervalSeconds, lookbackHours, metadata, ...rest } = result.data
  const [file] = Object.entries(credential)
  if (file?.[1] === undefined) return null
  return {
    ...rest,
    credential: { kind: file[0] as CredentialKind, file: file[1] },
    credentialExpires: credentialExpires ?? null,
    intervalSeconds: intervalSeconds ?? null,
    lookbackHours: lookbackHours ?? null,
    metadata: metadata ?? {},
  }
}

function sayIssue(issue: z.core.$ZodIssue, given: unknown, path: Path, say: Say): void {
  const inner = issue.path.filter(step => typeof step !== 'symbol')
  const place = [...path, ...inner]
  if (issue.code === 'unrecognized_keys') {
    const level = inner[0] === 'credential' ? 'credential' : 'tenant'
    for (const key of issue.keys) say([...place, key], () => unknownWords(key, valueAt(given, [...inner, key]), level))
    return
  }
  const field = shape[inner[0] as keyof typeof shape] as z.ZodType | undefined
  const expected = (inner.length > 1 ? credentialFile : field)?.description ?? 'something else'
  const value = valueAt(given, inner)
  // checkSecrets and checkCredential say what it is, and this would show it
  if (typeof value === 'string' && holdsSecret(value)) return
  if (value === undefined) say(place, `is missing: expected ${expected}`)
  else if (inner[0] === 'credential' && isObject(value))
    say(place, `names ${kindsIn(value)} files: expected ${expected}`)
  else if (isObject(value)) say(place, `has ${Object.keys(value).length} entries: expected ${expected}`)
  else if (inner[0] === 'cloud') say(place, `is ${shown(value)}: expected ${expected}${cloudMeant(value)}`)
  else say(place, `is ${shown(value)}: expected ${expected}`)
}

function kindsIn(credential: Readonly<Record<string, unknown>>): number {
  return CREDENTIAL_KINDS.filter(kind => credential[kind] !== undefined).length
}

function checkSecrets(given: Readonly<Record<string, unknown>>, path: Path, say: Say): boolean {
  let fits = true
  for (const member of MEMBERS) {
    const value = given[member]
    if (typeof value !== 'string' || !holdsSecret(value)) continue
    say([...path, member], member === 'metadata' ? METADATA_SECRET : HOLDS_SECRET)
    fits = false
  }
  return fits
}

/** Both are GUIDs, and one is easily pasted twice. */
function checkIds({ tenantId, clientId }: Readonly<Record<string, unknown>>, path: Path, say: Say): boolean {
  if (typeof tenantId !== 'string' || typeof clientId !== 'string') return true
  if (tenantId.toLowerCase() !== clientId.toLowerCase() || !guid.safeParse(tenantId).success) return true
  say(
    [...path, 'clientId'],
    'is the tenant ID once more: expected the Application (client) ID, beside it on the Overview page of the app registration',
  )
  return false
}

/** Neither list of alerts is documented for China; the legacy one is let through for those who were promised it. */
function checkCloud(given: Readonly<Record<string, unknown>>, path: Path, say: Say): boolean {
  if (given['cloud'] !== 'china' || (given['source'] ?? 'alerts_v2') !== 'alerts_v2') return true
  say(
    [...path, given['source'] === undefined ? 'cloud' : 'source'],
    'the China cloud has no alerts_v2 (Microsoft offers it in global, usgov and dod only): set source: alerts, or remove the tenant',
  )
  return false
}

function checkCredential(
  given: Readonly<Record<string, unknown>>,
  path: Path,
  deps: TenantsFileDeps,
  say: Say,
): boolean {
  const { credential } = given
  if (!isObject(credential)) return false
  let fits = true
  for (const kind of CREDENTIAL_KINDS) {
    const file = credential[kind]
    if (typeof file !== 'string') continue
    if (holdsSecret(file)) {
      say([...path, 'credential', kind], `is the secret itself, where the name of its file is expected: ${NO_SECRETS}`)
      fits = false
      continue
    }
    const placed = placeSecret(deps.secretsDir, file)
    const problem =
      placed.kind === 'bad'
        ? `is ${shown(file)}: ${placed.problem}`
        : deps.exists(placed.path)
          ? null
          : `the file ${shown(file)} does not exist in SECRETS_DIR (${deps.secretsDir}): put the credential there first`
    if (problem === null) continue
    say([...path, 'credential', kind], problem)
    fits = false
  }
  return fits
}

function checkMetadata(metadata: unknown, path: Path, say: Say): boolean {
  if (!isObject(metadata)) return true
  const place = [...path, 'metadata']
  const oddity = findOddity(metadata, place, 0)
  if (oddity !== null) {
    say(oddity.path, oddity.what)
    return false
  }
  let fits = true
  for (const secret of secretsIn(metadata, place)) {
    say(secret.path, secret.what)
    fits = false
  }
  if (!fits) return false
  const bytes = Buffer.byteLength(JSON.stringify(metadata))
  if (bytes <= MAX_METADATA_BYTES) return true
  say(place, `has ${bytes} bytes as JSON: at most ${MAX_METADATA_BYTES} go with every alert`)
  return false
}

/** YAML can say what JSON cannot: infinities, and whole numbers that would lose digits. */
function findOddity(value: unknown, path: Path, depth: number): { readonly path: Path; readonly what: string } | null {
  if (depth > MAX_METADATA_DEPTH) return { path, what: `is nested deeper than ${MAX_METADATA_DEPTH} levels` }
  if (
    typeof value === 'number' &&
    !(Number.isFinite(value) && (!Number.isInteger(value) || Number.isSafeInteger(value)))
  ) {
    return { path, what: 'is a number that JSON cannot carry exactly: put it in quotes' }
  }
  if (typeof value !== 'object' || value === null) return null
  for (const [key, inner] of Object.entries(value)) {
    const found = findOddity(inner, [...path, Array.isArray(value) ? Number(key) : key], depth + 1)
    if (found !== null) return found
  }
  return null
}

/** Numbers, yes and no under such a name are counts and switches, as in a log. */
function* secretsIn(value: unknown, path: Path): Iterable<{ readonly path: Path; readonly what: string }> {
  if (typeof value === 'string' && holdsSecret(value)) yield { path, what: METADATA_SECRET }
  if (typeof value !== 'object' || value === null) return
  for (const [key, inner] of Object.entries(value)) {
    const at = [...path, Array.isArray(value) ? Number(key) : key]
    const isPlain = typeof inner === 'number' || typeof inner === 'boolean' || inner === null
    if (holdsSecret(key)) yield { path: at, what: METADATA_SECRET }
    else if (isSecretName(key) && !isPlain) yield { path: at, what: METADATA_SECRET_NAME }
    else yield* secretsIn(inner, at)
  }
}

function givenId(entry: unknown): string | null {
  if (!isObject(entry)) return null
  const { tenantId } = entry
  return typeof tenantId === 'string' && guid.safeParse(tenantId).success ? tenantId.toLowerCase() : null
}

/** `credentialExpires:` with nothing behind it means not given. */
function withoutNulls(entry: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(entry).filter(([, value]) => value !== null))
}

function valueAt(value: unknown, path: Path): unknown {
  let at = value
  for (const step of path) at = isObject(at) && Object.hasOwn(at, step) ? at[String(step)] : undefined
  return at
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function shown(value: unknown): string {
  if (typeof value === 'string') return quote(value, 80)
  if (Array.isArray(value)) return 'a list'
  if (value === null) return 'empty'
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : 'something else'
}
