/**
 * What Graph sends that this version does not know: members, values of enumerations, kinds of evidence, and texts that
 * are masked, in the alert and in all that is within it. Nothing is refused for it, alerts are carried as they are; but whoever
 * reads them later should hear of it before a rule of theirs looks for a name that is not used any more.
 */
import type { Clock } from '../platform/clock.ts'
import type { Log } from '../platform/log.ts'
import { quote } from '../platform/log-scrub.ts'
import { anyEvidence, type KnownType, knownTypes, OPEN } from './drift-types.ts'
import type { AlertSource, Cloud } from './graph/clouds.ts'

export interface Drift {
  readonly what: 'member' | 'value' | 'evidence' | 'masked'
  /** A member with its type, the value where a value is new, a path where a text is masked. It may hold anything; bounded. */
  readonly name: string
}

export interface DriftWatch {
  /** Looks at an alert, unless too many of its source and cloud were looked at lately. */
  look(alert: Buffer, source: AlertSource, cloud: Cloud): void
}

/** Of each source and cloud. */
const ALERTS_PER_SECOND = 20
const BYTES_PER_SECOND = 1_048_576
const NAMES_MAX = 500
const NAME_CHARS_MAX = 120
/** Of each source and kind of drift, so that none of them takes the words from another. */
const SAID_MAX = 50
const NODES_MAX = 2_000
const DEPTH_MAX = 10
const TEXT_CHARS_MAX = 1_000
const EVIDENCE_PREFIX = '#microsoft.graph.security.'

type Say = (what: Drift['what'], name: string) => void

/** An object or a list that is still to be looked at. */
interface Node {
  readonly value: object
  /** What it is by the place where it stands. */
  readonly type: string | undefined
  readonly path: string
  /** The name of the member that it is, or is in the list of. */
  readonly member: string
  readonly depth: number
}

/** Each once for an alert; empty for what is no alert. */
export function driftIn(alert: unknown, source: AlertSource): readonly Drift[] {
  const found = new Map<string, Drift>()
  const say: Say = (what, name) => {
    const short = name.slice(0, NAME_CHARS_MAX)
    if (found.size < NAMES_MAX) found.set(`${what} ${short}`, { what, name: short })
  }
  if (!isObject(alert)) return []
  const type = source === 'alerts_v2' ? 'alert' : 'legacyAlert'
  const open: Node[] = [{ value: alert, type, path: '', member: '', depth: 0 }]
  const see = (value: unknown, at: Omit<Node, 'value'>): void => {
    if (typeof value === 'string' && isMasked(value, at)) say('masked', at.path)
    else if (typeof value === 'object' && value !== null && at.depth <= DEPTH_MAX && open.length < NODES_MAX)
      open.push({ ...at, value })
  }
  for (let node = open.pop(), seen = 0; node !== undefined && seen < NODES_MAX; node = open.pop(), seen++) {
    const { value, path, depth } = node
    if (isObject(value)) lookInto(value, node, say, see)
    else if (Array.isArray(value))
      for (const entry of value.slice(0, NODES_MAX) as readonly unknown[])
        see(entry, { ...node, path: `${path}[]`, depth: depth + 1 })
  }
  return [...found.values()]
}

/** Says what is new in one object, and has what is within it seen. */
function lookInto(
  object: Readonly<Record<string, unknown>>,
  at: Node,
  say: Say,
  see: (value: unknown, at: Omit<Node, 'value'>) => void,
): void {
  const { name, type } = typeOf(object, at.type, say)
  for (const [member, value] of Object.entries(object).slice(0, NODES_MAX)) {
    // annotations of OData come and go
    if (member.includes('@odata.')) continue
    if (name !== undefined && type !== undefined && !type.members.has(member)) say('member', inType(name, member))
    sayNewWords(type?.words.get(member), value, inType(name ?? 'evidence', member), say)
    // what is open holds names that customers chose: one path for all of them
    const path = at.type === OPEN ? `${at.path}.*` : at.path === '' ? member : `${at.path}.${member}`
    const inner = at.type === OPEN ? OPEN : type?.types.get(member)
    see(value, { type: inner, path, member, depth: at.depth + 1 })
  }
}

/** By its own word where it is evidence. Without a name, only the members that all evidence has are looked at. */
function typeOf(
  object: Readonly<Record<string, unknown>>,
  placed: string | undefined,
  say: Say,
): { readonly name: string | undefined; readonly type: KnownType | undefined } {
  const said = object['@odata.type']
  const isEvidence = placed?.endsWith('Evidence') === true
  if (isEvidence && typeof said === 'string') {
    const name = said.startsWith(EVIDENCE_PREFIX) ? said.slice(EVIDENCE_PREFIX.length) : ''
    const type = name.endsWith('Evidence') ? knownTypes.get(name) : undefined
    if (type !== undefined) return { name, type }
    say('evidence', said)
    return { name: undefined, type: anyEvidence }
  }
  const type = knownTypes.get(placed ?? '')
  return type === undefined ? { name: undefined, type: isEvidence ? anyEvidence : undefined } : { name: placed, type }
}

/** Of the alert itself without a prefix; what all evidence has, as such. */
function inType(type: string, member: string): string {
  if (type === 'alert' || type === 'legacyAlert') return member
  return type.endsWith('Evidence') && anyEvidence.words.has(member) ? `evidence.${member}` : `${type}.${member}`
}

function sayNewWords(known: ReadonlySet<string> | undefined, value: unknown, name: string, say: Say): void {
  if (known === undefined) return
  for (const one of Array.isArray(value) ? (value.slice(0, NODES_MAX) as readonly unknown[]) : [value])
    if (typeof one === 'string' && !known.has(one.slice(0, TEXT_CHARS_MAX).toLowerCase()))
      say('value', `${name}=${one}`)
}

/** What people and attackers write as they like: asterisks in the midst of it are their own. */
const PROSE: ReadonlySet<string> = new Set(
  'title description recommendedActions comment comments subject messageSubject processCommandLine commandLine command args query instructions registryKey registryValue registryValueName key valueData valueName oldKey oldValueData oldValueName url urls urlParameters destinationUrl userAgent value'.split(
    ' ',
  ),
)
const ALL_MASKED = /^\*{3,}$/
const PART_MASKED = /\*{3,}/

function isMasked(text: string, { member, type }: Omit<Node, 'value'>): boolean {
  const form = type === OPEN || PROSE.has(member) ? ALL_MASKED : PART_MASKED
  return form.test(text.slice(0, TEXT_CHARS_MAX))
}

/** Counts each time, says each name once in the life of a worker. */
export function createDriftWatch(deps: {
  readonly clock: Clock
  readonly log: Log
  readonly count: (what: Drift['what'], source: AlertSource, cloud: Cloud) => void
}): DriftWatch {
  const said = new Map<string, Set<string>>()
  const looked = new Map<string, { second: number; alerts: number; bytes: number }>()

  /** A sample is enough to hear of a change, and its price does not grow with the load. */
  const isTurnOf = (source: AlertSource, cloud: Cloud, bytes: number): boolean => {
    const second = Math.floor(deps.clock.now() / 1000)
    const kind = `${source} ${cloud}`
    const last = looked.get(kind)
    const spent = last?.second === second ? last : { second, alerts: 0, bytes: 0 }
    if (spent.alerts >= ALERTS_PER_SECOND || spent.bytes + bytes > BYTES_PER_SECOND) return false
    looked.set(kind, { second, alerts: spent.alerts + 1, bytes: spent.bytes + bytes })
    return true
  }

  const announce = ({ what, name }: Drift, source: AlertSource, cloud: Cloud): void => {
    const kind = `${source} ${what}`
    const names = said.get(kind) ?? new Set()
    said.set(kind, names)
    if (names.has(name) || names.size >= SAID_MAX) return
    names.add(name)
    deps.log.warn(WORDS[what], { what, name: quote(name, NAME_CHARS_MAX), source, cloud })
    if (names.size === SAID_MAX)
      deps.log.warn('Graph sends more of this than is told one by one; from now on it is only counted', {
        what,
        source,
      })
  }

  return {
    look(alert, source, cloud) {
      if (!isTurnOf(source, cloud, alert.length)) return
      const found = driftIn(parsed(alert), source)
      for (const what of new Set(found.map(({ what }) => what))) deps.count(what, source, cloud)
      for (const drift of found) announce(drift, source, cloud)
    },
  }
}

const WORDS: Readonly<Record<Drift['what'], string>> = {
  member: 'Graph sends a member of alerts that this version does not know; it is carried as it is',
  value: 'Graph sends a value that this version does not know; it is carried as it is',
  evidence: 'Graph sends a kind of evidence that this version does not know; it is carried as it is',
  masked: 'Graph masks a text of an alert with asterisks; the customer can see it in the portal',
}

function parsed(alert: Buffer): unknown {
  try {
    return JSON.parse(alert.toString())
  } catch {
    return null // judged elsewhere
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
