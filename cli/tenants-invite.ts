import { BlockList, isIP } from 'node:net'
import { quote } from '../platform/log-scrub.ts'
import type { AlertSource, Cloud } from '../producers/graph/clouds.ts'
import { isGuid } from '../producers/graph/problems.ts'
import { guide, type Way } from './guide.ts'
import { toHtml, toMarkdown } from './guide-render.ts'
import type { Io } from './io.ts'
import { EXIT, Refusal } from './io.ts'

export interface InviteOptions {
  readonly name: string
  readonly cloud: Exclude<Cloud, 'china'>
  readonly source: AlertSource
  readonly credential: Way
  readonly tenantId?: string
  readonly clientId?: string
  readonly redirectUri?: string
  readonly state?: string
  readonly egress: readonly string[]
  readonly issuer?: string
  readonly subject?: string
  readonly handOver?: string
  readonly output: 'markdown' | 'html'
}

const MAX_CHARS = 256
const RANGES_MAX = 100

/** Prints the guide for one customer. Asks nobody, writes nothing. */
export function inviteTenant(io: Io, options: InviteOptions): number {
  const problems = [
    ...line('--name', options.name),
    ...line('--hand-over', options.handOver),
    ...line('--issuer', options.issuer),
    ...line('--subject', options.subject),
    ...guid('--tenant-id', options.tenantId),
    ...guid('--client-id', options.clientId),
    ...redirect(options),
    ...options.egress.flatMap(range => (rangeOf(range) === null ? [notOurs(range)] : [])),
    ...(options.egress.length > RANGES_MAX
      ? [`--egress has ${options.egress.length} ranges: at most ${RANGES_MAX}`]
      : []),
    ...(options.credential === 'shared-app' && options.clientId === undefined
      ? ['--client-id is missing: the consent link names our application']
      : []),
    ...(options.credential === 'federated' && (options.issuer === undefined || options.subject === undefined)
      ? ['--issuer and --subject are missing: the customer has to enter both']
      : []),
  ]
  if (problems.length > 0) throw new Refusal(problems.join('\n'), EXIT.usage)
  const blocks = guide({
    customer: options.name,
    cloud: options.cloud,
    source: options.source,
    way: options.credential,
    tenantId: options.tenantId ?? null,
    clientId: options.clientId ?? null,
    redirectUri: options.redirectUri ?? null,
    state: options.state ?? null,
    egress: [...new Set(options.egress.flatMap(range => rangeOf(range) ?? []))],
    issuer: options.issuer ?? null,
    subject: options.subject ?? null,
    handOver: options.handOver ?? null,
  })
  io.out(options.output === 'html' ? toHtml(blocks) : toMarkdown(blocks))
  return EXIT.ok
}

function line(flag: string, text: string | undefined): string[] {
  if (text === undefined) return []
  const fits = text.trim() !== '' && text.length <= MAX_CHARS && !/[\p{Cc}\p{Zl}\p{Zp}\p{Cs}]/u.test(text)
  return fits ? [] : [`${flag} is ${quote(text, 80)}: expected 1 to ${MAX_CHARS} characters on one line`]
}

function guid(flag: string, text: string | undefined): string[] {
  if (text === undefined || isGuid(text)) return []
  return [`${flag} is ${quote(text, 80)}: expected a GUID such as 11111111-2222-3333-4444-555555555555`]
}

/** Entra compares it with what is registered, letter by letter: it is printed as it was given. */
function redirect({ credential, redirectUri, state }: InviteOptions): string[] {
  const problems: string[] = []
  if (redirectUri !== undefined) {
    const url = URL.parse(redirectUri)
    const fits =
      redirectUri.length <= MAX_CHARS &&
      /^https:\/\/[\w.~:/?=&%+,;@!-]+$/.test(redirectUri) &&
      url !== null &&
      url.username === '' &&
      url.password === ''
    if (!fits)
      problems.push(
        `--redirect-uri is ${quote(redirectUri, 80)}: expected an https address such as https://soc.example/consented, as it is registered with our application`,
      )
    if (credential !== 'shared-app')
      problems.push('--redirect-uri is for --credential shared-app: no other way has a link')
  }
  if (state !== undefined) {
    if (!/^[\w.~-]{1,128}$/.test(state))
      problems.push(`--state is ${quote(state, 80)}: expected 1 to 128 letters, digits, dots, hyphens and underscores`)
    if (redirectUri === undefined) problems.push('--state is given back to --redirect-uri, which is missing')
  }
  return problems
}

/** Entra takes no wider ones for a named location. */
const PREFIX_MIN = 9
/** Never seen by Microsoft. */
const INSIDE = new BlockList()
for (const [network, prefix] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['224.0.0.0', 3],
] as const)
  INSIDE.addSubnet(network, prefix, 'ipv4')
for (const [network, prefix] of [
  ['::', 127],
  ['fc00::', 7],
  ['fe80::', 10],
  ['ff00::', 8],
] as const)
  INSIDE.addSubnet(network, prefix, 'ipv6')

/** In the form that Entra's page wants, with a prefix always; null for what are no public addresses. */
function rangeOf(text: string): string | null {
  const [, address = '', bits] = /^([\d.]+|[\da-fA-F:.]+)(?:\/(\d{1,3}))?$/.exec(text) ?? []
  const version = isIP(address)
  if (version === 0 || INSIDE.check(address, version === 4 ? 'ipv4' : 'ipv6')) return null
  const most = version === 4 ? 32 : 128
  const prefix = bits === undefined ? most : Number(bits)
  return prefix >= PREFIX_MIN && prefix <= most ? `${address.toLowerCase()}/${prefix}` : null
}

function notOurs(range: string): string {
  return `--egress is ${quote(range, 80)}: expected public addresses as Microsoft sees us, such as 203.0.113.16/28 or 2001:db8::/64, no wider than /${PREFIX_MIN}`
}
