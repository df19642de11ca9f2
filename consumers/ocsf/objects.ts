import { type Attributes, attributes, type Members, membersOf } from './members.ts'
import { email, hexOf, idText, ip, number, port, text, time, whole, word } from './reads.ts'

/** OCSF's objects from what Graph calls a device, an account, a file and so on. Undefined: not enough is there for one. */

const OS_TYPES: readonly (readonly [RegExp, number])[] = [
  [/^windows/, 100],
  [/^(?:linux|ubuntu|debian|redhat|centos|suse)/, 200],
  [/^android/, 201],
  [/^mac/, 300],
  [/^ios/, 301],
]
const RISK_LEVELS = new Map([
  ['informational', 0],
  ['low', 1],
  ['medium', 2],
  ['high', 3],
])

export function device(from: Members): Attributes | undefined {
  return from.part(m => {
    const dnsName = m.take('deviceDnsName', text)
    const hostName = m.take('hostName', text)
    const risk = m.take('riskScore', value => (RISK_LEVELS.has(word(value) ?? '') ? text(value) : undefined))
    return attributes(
      {
        hostname: dnsName ?? hostName,
        name: dnsName === undefined ? undefined : hostName,
        uid: m.take('mdeDeviceId', text),
        uid_alt: m.take('azureAdDeviceId', text),
        instance_uid: m.within('vmMetadata', vm => vm.take('vmId', text)),
        ip: m.take('lastIpAddress', ip),
        network_interfaces: m.list('ipInterfaces', value => {
          const address = ip(value)
          return address === undefined ? undefined : { ip: address }
        }),
        domain: m.take('dnsDomain', text) ?? m.take('ntDomain', text),
        os: os(m, 'osPlatform'),
        first_seen_time: m.take('firstSeenDateTime', time),
        groups: rbacGroups(m),
        risk_level: risk,
        risk_level_id: RISK_LEVELS.get(risk?.toLowerCase() ?? ''),
        type_id: 0,
      },
      'ip',
      'uid',
      'name',
      'hostname',
      'instance_uid',
    )
  })
}

export function os(from: Members, member: string): Attributes | undefined {
  return from.part(m => {
    const name = m.take(member, text)
    if (name === undefined) return undefined
    const type = OS_TYPES.find(([form]) => form.test(name.toLowerCase()))?.[1] ?? 0
    return attributes({
      name,
      type_id: type,
      build: m.take('osBuild', idText),
      version: m.take('version', text),
    })
  })
}

function rbacGroups(m: Members): readonly Attributes[] | undefined {
  const group = attributes({ name: m.take('rbacGroupName', text), uid: m.take('rbacGroupId', idText) }, 'name', 'uid')
  return group === undefined ? undefined : [group]
}

/** An account of Graph's; `mailbox` is an address beside it. */
export function user(from: Members, mailbox?: string): Attributes | undefined {
  return from.part(m => {
    const name = m.take('accountName', text)
    const principal = name === undefined ? m.take('userPrincipalName', text) : m.take('userPrincipalName', email)
    return attributes(
      {
        name: name ?? principal,
        domain: m.take('domainName', text),
        uid: m.take('azureAdUserId', text),
        uid_alt: m.take('userSid', text),
        display_name: m.take('displayName', text),
        email_addr: mailbox ?? email(principal),
      },
      'name',
      'uid',
    )
  })
}

const HASHES = [
  ['sha256', 'SHA-256', 3, hexOf(64)],
  ['sha1', 'SHA-1', 2, hexOf(40)],
  ['md5', 'MD5', 1, hexOf(32)],
] as const

export function fingerprint(kind: string, value: unknown): Attributes | undefined {
  const known = HASHES.find(([name]) => name === kind.toLowerCase())
  const digest = known?.[3](value)
  return known === undefined || digest === undefined
    ? undefined
    : { algorithm: known[1], algorithm_id: known[2], value: digest }
}

/** Of what Graph sends as evidence of a hash and of nothing else. */
export function bareHash(value: unknown): string | undefined {
  const m = membersOf(value)
  if (m?.peek('@odata.type', word) !== '#microsoft.graph.security.filehashevidence') return undefined
  const kind = m.peek('algorithm', word)
  // the other SHA-256, of the signed part, is as long
  const digest = m.peek('value', found => fingerprint(kind === 'sha256ac' ? 'sha256' : (kind ?? ''), found))
  return text(digest?.['value'])
}

export function file(from: Members): Attributes | undefined {
  return from.part(m => {
    const name = m.take('fileName', text)
    if (name === undefined) return undefined
    const folder = m.take('filePath', text)
    const hashes = HASHES.flatMap(([kind]) => m.take(kind, value => fingerprint(kind, value)) ?? [])
    return attributes({
      name,
      parent_folder: folder,
      path: folder === undefined ? undefined : pathOf(folder, name),
      size: m.take('fileSize', whole),
      hashes: hashes.length > 0 ? hashes : undefined,
      company_name: m.take('filePublisher', text),
      type_id: 0,
    })
  })
}

export function pathOf(folder: string, name: string): string {
  const separator = folder.includes('\\') ? '\\' : '/'
  return folder.endsWith(separator) ? `${folder}${name}` : `${folder}${separator}${name}`
}

export function process(from: Members): Attributes | undefined {
  return from.part(m => {
    const pid = m.take('processId', whole)
    if (pid === undefined) return undefined
    const image = m.within('imageFile', file)
    return attributes({
      pid,
      name: image?.['name'],
      cmd_line: m.take('processCommandLine', text),
      created_time: m.take('processCreationDateTime', time),
      file: image,
      user: m.within('userAccount', user),
      parent_process: parentProcess(m),
    })
  })
}

function parentProcess(from: Members): Attributes | undefined {
  return from.part(m => {
    const pid = m.take('parentProcessId', whole)
    if (pid === undefined) return undefined
    const image = m.within('parentProcessImageFile', file)
    return attributes({
      pid,
      name: image?.['name'],
      created_time: m.take('parentProcessCreationDateTime', time),
      file: image,
    })
  })
}

/** From the members of an ip evidence. */
export function endpoint(from: Members, atPort?: number): Attributes | undefined {
  return from.part(m => {
    const address = m.take('ipAddress', ip)
    return address === undefined ? undefined : attributes({ ip: address, port: atPort, location: location(m) })
  })
}

function location(m: Members): Attributes | undefined {
  const country = m.peek('countryLetterCode', text)
  const read = (inner: Members | null): Attributes | undefined =>
    attributes(
      {
        city: inner?.take('city', text),
        region: inner?.take('state', text),
        country,
        lat: inner?.take('latitude', number),
        long: inner?.take('longitude', number),
      },
      'city',
      'region',
      'country',
    )
  const found = m.within('location', read) ?? read(null)
  if (found !== undefined) m.take('countryLetterCode', text)
  return found
}

export function url(value: unknown): Attributes | undefined {
  const whole = text(value)
  if (whole === undefined) return undefined
  const host = URL.parse(whole)?.hostname
  return attributes({ url_string: whole, hostname: host === '' ? undefined : host })
}

export function portOf(m: Members, name: string): number | undefined {
  return m.take(name, port)
}
