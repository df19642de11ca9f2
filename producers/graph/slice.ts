/**
 * Cuts a page of Graph's alert list into its alerts without parsing them: one pass over the bytes that checks the JSON,
 * finds where each alert starts and ends, and reads the few top-level members that the poller needs.
 * What it accepts is what `JSON.parse` accepts (plus a byte order mark in front), what it reads is what `JSON.parse`
 * would show: keys may be escaped, and of duplicate members the last one counts.
 * Past 250 lines because the shapes, the limits and the pass that enforces them are reviewed as one.
 */
import { isUtf8 } from 'node:buffer'

import type { AlertSource } from './clouds.ts'
import { colonEnd, INVALID, openScan, type Scan, spaceEnd, stringEnd, valueEnd } from './json-scan.ts'

/** What the poller needs to know of an alert. Null: absent, not a string, or longer than such a member can be. */
interface AlertHead {
  /** The alert's JSON, byte for byte; a view into the page's memory, so it keeps the whole page alive. */
  readonly bytes: Buffer
  readonly tenantId: string | null
  readonly lastUpdate: string | null
  readonly lastModified: string | null
  readonly created: string | null
  readonly severity: string | null
  readonly status: string | null
  readonly serviceSource: string | null
  /** At most `maxTitleChars`. */
  readonly title: string | null
}

type HostileReason = 'not-an-object' | 'no-id' | 'bad-id' | 'too-deep' | 'too-many-keys' | 'too-large'

export type SlicedAlert =
  | (AlertHead & { readonly kind: 'alert'; readonly id: string })
  | (AlertHead & { readonly kind: 'hostile'; readonly reason: HostileReason; readonly id: string | null })

export type SlicedPage =
  | { readonly kind: 'page'; readonly alerts: readonly SlicedAlert[]; readonly nextLink: string | null }
  | { readonly kind: 'too-large'; readonly why: string }
  | { readonly kind: 'unreadable'; readonly why: string }

export interface SliceLimits {
  readonly maxPageBytes: number
  readonly maxAlerts: number
  readonly maxAlertBytes: number
  /** Containers inside one another, the alert itself being the first. */
  readonly maxDepth: number
  readonly maxKeys: number
  readonly maxIdChars: number
  readonly maxTitleChars: number
  readonly maxMemberBytes: number
}

export const SLICE_LIMITS: SliceLimits = {
  maxPageBytes: 32 * 1024 * 1024,
  maxAlerts: 10_000,
  maxAlertBytes: 4 * 1024 * 1024,
  maxDepth: 64,
  maxKeys: 10_000,
  maxIdChars: 1_024,
  maxTitleChars: 1_000,
  maxMemberBytes: 1_024,
}

const QUOTE = 0x22
const COMMA = 0x2c
const OPEN_BRACKET = 0x5b
const CLOSE_BRACKET = 0x5d
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d

// a UTF-16 unit takes at most six bytes of JSON: \uXXXX
const MAX_BYTES_A_CHAR = 6

// the order is the index into Names and into the ranges of a Cut
const ID = 0
const TENANT = 1
const LAST_UPDATE = 2
const LAST_MODIFIED = 3
const CREATED = 4
const SEVERITY = 5
const STATUS = 6
const SERVICE_SOURCE = 7
const TITLE = 8

const ALERT_MEMBERS: Record<AlertSource, readonly string[]> = {
  alerts_v2: members('tenantId'),
  alerts: members('azureTenantId'),
}
const PAGE_MEMBERS = ['value', '@odata.nextLink']
const VALUE = 0
const NEXT_LINK = 1

function members(tenant: string): readonly string[] {
  return [
    'id',
    tenant,
    'lastUpdateDateTime',
    'lastModifiedDateTime',
    'createdDateTime',
    'severity',
    'status',
    'serviceSource',
    'title',
  ]
}

/** One page being cut. The members that the page itself has are collected here; the last of duplicates stays. */
interface Cut {
  readonly page: Buffer
  readonly scan: Scan
  readonly names: readonly string[]
  readonly limits: SliceLimits
  /** Start and end of each wanted member's string, without its quotes; start -1: not there or not a string. */
  readonly ranges: Int32Array
  alerts: SlicedAlert[] | null
  nextLink: string | null
  problem: 'next-link' | 'too-many' | null
}

/** Reads one member's value, which starts at `at`; answers where it ends. The key lies between `from` and `to`. */
type ReadMember = (cut: Cut, from: number, to: number, at: number) => number

export function slicePage(body: Buffer, source: AlertSource, limits: SliceLimits = SLICE_LIMITS): SlicedPage {
  if (body.length > limits.maxPageBytes) return { kind: 'too-large', why: `more than ${limits.maxPageBytes} bytes` }
  const page = body[0] === 0xef && body[1] === 0xbb && body[2] === 0xbf ? body.subarray(3) : body
  if (!isUtf8(page)) return { kind: 'unreadable', why: 'the body is not UTF-8' }
  const names = ALERT_MEMBERS[source]
  const ranges = new Int32Array(names.length * 2)
  const scan = openScan(page)
  const cut: Cut = { page, scan, names, limits, ranges, alerts: null, nextLink: null, problem: null }
  const at = spaceEnd(scan, 0)
  const end = page[at] === OPEN_BRACE ? objectEnd(cut, at, readPageMember) : INVALID
  if (cut.problem === 'too-many') return { kind: 'too-large', why: `more than ${limits.maxAlerts} alerts` }
  if (end === INVALID || spaceEnd(scan, end) !== page.length) {
    return { kind: 'unreadable', why: 'the body is not one valid JSON object' }
  }
  if (cut.alerts === null) return { kind: 'unreadable', why: 'the body has no "value" array' }
  if (cut.problem === 'next-link') return { kind: 'unreadable', why: '"@odata.nextLink" is not text' }
  return { kind: 'page', alerts: cut.alerts, nextLink: cut.nextLink }
}

/** Walks the object whose brace is at `at`, one `read` a member. */
function objectEnd(cut: Cut, at: number, read: ReadMember): number {
  const { page, scan } = cut
  let i = spaceEnd(scan, at + 1)
  if (page[i] === CLOSE_BRACE) return i + 1
  for (;;) {
    if (page[i] !== QUOTE) return INVALID
    scan.escaped = false
    const keyEnd = stringEnd(scan, i + 1)
    const value = colonEnd(scan, keyEnd)
    if (value === INVALID) return INVALID
    const end = read(cut, i + 1, keyEnd - 1, value)
    if (end === INVALID) return INVALID
    i = spaceEnd(scan, end)
    if (page[i] === CLOSE_BRACE) return i + 1
    if (page[i] !== COMMA) return INVALID
    i = spaceEnd(scan, i + 1)
  }
}

function readPageMember(cut: Cut, from: number, to: number, at: number): number {
  switch (nameAt(cut, from, to, PAGE_MEMBERS)) {
    case VALUE:
      cut.alerts = null
      return cut.page[at] === OPEN_BRACKET ? alertsEnd(cut, at) : valueEnd(cut.scan, at)
    case NEXT_LINK: {
      const end = valueEnd(cut.scan, at)
      if (end === INVALID) return INVALID
      const isText = cut.page[at] === QUOTE
      cut.nextLink = isText ? textAt(cut.page, at + 1, end - 1) : null
      // 'n': null, which says the same as no link at all
      cut.problem = isText || cut.page[at] === 0x6e ? null : 'next-link'
      return end
    }
    default:
      return valueEnd(cut.scan, at)
  }
}

function alertsEnd(cut: Cut, at: number): number {
  const { page, scan } = cut
  const alerts: SlicedAlert[] = []
  cut.alerts = alerts
  let i = spaceEnd(scan, at + 1)
  if (page[i] === CLOSE_BRACKET) return i + 1
  for (;;) {
    if (alerts.length === cut.limits.maxAlerts) {
      cut.problem = 'too-many'
      return INVALID
    }
    scan.keys = 0
    scan.depth = 0
    cut.ranges.fill(-1)
    const isObject = page[i] === OPEN_BRACE
    const end = isObject ? objectEnd(cut, i, readAlertMember) : valueEnd(scan, i)
    if (end === INVALID) return INVALID
    alerts.push(alertFrom(cut, i, end, isObject))
    i = spaceEnd(scan, end)
    if (page[i] === CLOSE_BRACKET) return i + 1
    if (page[i] !== COMMA) return INVALID
    i = spaceEnd(scan, i + 1)
  }
}

function readAlertMember(cut: Cut, from: number, to: number, at: number): number {
  cut.scan.keys++
  const name = nameAt(cut, from, to, cut.names)
  const end = valueEnd(cut.scan, at)
  if (name !== -1 && end !== INVALID) {
    const isText = cut.page[at] === QUOTE
    cut.ranges[name * 2] = isText ? at + 1 : -1
    cut.ranges[name * 2 + 1] = end - 1
  }
  return end
}

function alertFrom(cut: Cut, from: number, to: number, isObject: boolean): SlicedAlert {
  const { limits, scan } = cut
  const id = memberText(cut, ID, limits.maxIdChars * MAX_BYTES_A_CHAR)
  const idIsSound = id !== null && id !== '' && id.length <= limits.maxIdChars && id.isWellFormed()
  const head = {
    bytes: cut.page.subarray(from, to),
    tenantId: memberText(cut, TENANT, limits.maxMemberBytes),
    lastUpdate: memberText(cut, LAST_UPDATE, limits.maxMemberBytes),
    lastModified: memberText(cut, LAST_MODIFIED, limits.maxMemberBytes),
    created: memberText(cut, CREATED, limits.maxMemberBytes),
    severity: memberText(cut, SEVERITY, limits.maxMemberBytes),
    status: memberText(cut, STATUS, limits.maxMemberBytes),
    serviceSource: memberText(cut, SERVICE_SOURCE, limits.maxMemberBytes),
    title: shortened(memberText(cut, TITLE, limits.maxPageBytes), limits.maxTitleChars),
  }
  let reason: HostileReason | null = null
  if (!isObject) reason = 'not-an-object'
  else if (to - from > limits.maxAlertBytes) reason = 'too-large'
  // the members' values count from 1, the alert's own braces are one more
  else if (scan.depth + 1 > limits.maxDepth) reason = 'too-deep'
  else if (scan.keys > limits.maxKeys) reason = 'too-many-keys'
  else if (!idIsSound) reason = isMissing(cut, ID) || id === '' ? 'no-id' : 'bad-id'
  if (reason !== null) return { kind: 'hostile', reason, id: idIsSound ? id : null, ...head }
  return { kind: 'alert', id: id ?? '', ...head }
}

function isMissing(cut: Cut, name: number): boolean {
  return (cut.ranges[name * 2] ?? -1) === -1
}

function memberText(cut: Cut, name: number, maxBytes: number): string | null {
  const from = cut.ranges[name * 2] ?? -1
  const to = cut.ranges[name * 2 + 1] ?? -1
  return from === -1 || to - from > maxBytes ? null : textAt(cut.page, from, to)
}

/** At most `maxChars` UTF-16 units, never half a surrogate pair. */
function shortened(text: string | null, maxChars: number): string | null {
  if (text === null || text.length <= maxChars) return text
  const last = text.charCodeAt(maxChars - 1)
  return text.slice(0, last >= 0xd800 && last <= 0xdbff ? maxChars - 1 : maxChars)
}

/** The text between two quotes. */
function textAt(page: Buffer, from: number, to: number): string {
  const raw = page.toString('utf8', from, to)
  return raw.includes('\\') ? (JSON.parse(`"${raw}"`) as string) : raw
}

/** Which of `names` the key is that was just read and lies between `from` and `to`; -1 for none. */
function nameAt(cut: Cut, from: number, to: number, names: readonly string[]): number {
  if (cut.scan.escaped) return names.indexOf(textAt(cut.page, from, to))
  for (let n = 0; n < names.length; n++) if (matchesAt(cut.page, from, to, names[n] as string)) return n
  return -1
}

function matchesAt(page: Buffer, from: number, to: number, name: string): boolean {
  if (to - from !== name.length) return false
  for (let i = 0; i < name.length; i++) if (page[from + i] !== name.charCodeAt(i)) return false
  return true
}
