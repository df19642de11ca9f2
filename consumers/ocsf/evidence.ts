import { mail, submission } from './mail.ts'
import { type Attributes, attributes, type Members, membersOf } from './members.ts'
import { device, endpoint, file, portOf, process, url, user } from './objects.ts'
import { email, idText, ip, text, time, word } from './reads.ts'
import { registryKey, registryValue } from './registry.ts'
import { resources } from './resources.ts'
import { verdictOfEvidence } from './words.ts'

/** What OCSF has attributes for; the rest of the evidence goes along under `data`. */
type Builder = (m: Members) => Attributes

/** By the name in `@odata.type`, in lower case. What is in neither of the two tables is carried whole. */
const BUILDERS: ReadonlyMap<string, Builder> = new Map<string, Builder>([
  ['device', m => ({ device: device(m) })],
  ['user', m => ({ user: m.within('userAccount', user) })],
  ['process', m => ({ process: process(m) })],
  ['file', m => ({ file: m.within('fileDetails', file) })],
  ['ip', m => sided(m, endpoint(m))],
  ['url', m => ({ url: m.take('url', url) })],
  ['dns', m => ({ query: m.take('domainName', host => attributes({ hostname: text(host) }, 'hostname')) })],
  ['analyzedmessage', m => ({ email: mail(m) })],
  ['submissionmail', m => ({ email: submission(m) })],
  ['mailbox', m => ({ user: mailboxUser(m) })],
  ['mailboxconfiguration', m => ({ user: configuredMailbox(m) })],
  ['registrykey', m => ({ reg_key: registryKey(m) })],
  ['registryvalue', m => ({ reg_value: registryValue(m) })],
  ['networkconnection', connection],
  ['hostlogonsession', m => ({ ...session(m), user: m.within('account', whose), device: m.within('host', device) })],
  ['cloudlogonsession', m => ({ ...session(m), user: m.within('account', whose) })],
  ['iotdevice', m => ({ device: thing(m) })],
  ['container', m => ({ container: container(m) })],
])

/** OCSF wants one of these; `data` stands in where none is there. */
const ANCHORS = [
  'actor',
  'connection_info',
  'device',
  'dst_endpoint',
  'email',
  'file',
  'process',
  'query',
  'reg_key',
  'reg_value',
  'src_endpoint',
  'url',
  'user',
] as const

const TYPE = /^#?microsoft\.graph\.security\.(\w{1,100})Evidence$/i

/** Undefined for what is no object. */
export function evidenceOf(value: unknown): Attributes | undefined {
  const m = membersOf(value)
  if (m === null) return undefined
  const type = TYPE.exec(m.peek('@odata.type', text) ?? '')?.[1]?.toLowerCase() ?? ''
  const build = BUILDERS.get(type) ?? ((members: Members) => ({ resources: resources(type, members) }))
  return finished(m, m.peek('@odata.type', text), build(m), value)
}

/** With what was not taken, and whole where nothing was. */
export function finished(m: Members, name: string | undefined, built: Attributes, whole: unknown): Attributes {
  const made = attributes(built) ?? {}
  const verdict = Object.keys(made).length > 0 ? m.take('verdict', text) : m.peek('verdict', text)
  const anchored = ANCHORS.some(anchor => made[anchor] !== undefined)
  if (name !== undefined) m.take('@odata.type', text)
  const rest = Object.keys(made).length > 0 ? m.rest() : whole
  return {
    ...attributes({
      name,
      ...(verdict === undefined ? {} : verdictOfEvidence(verdict)),
    }),
    ...made,
    ...attributes({ data: rest ?? (anchored ? undefined : whole) }),
  }
}

/** Graph tells by roles at which end of a connection an address was. */
function sided(m: Members, end: Attributes | undefined): Attributes {
  const roles = m.peek('roles', value => (Array.isArray(value) ? (value as unknown[]).map(word) : undefined)) ?? []
  const isTarget = roles.includes('destination') || roles.includes('commandandcontrol')
  return isTarget && !roles.includes('source') ? { dst_endpoint: end } : { src_endpoint: end }
}

function connection(m: Members): Attributes {
  const protocol = m.take('protocol', text)
  return {
    src_endpoint: end(m, 'sourceAddress', 'sourcePort'),
    dst_endpoint: end(m, 'destinationAddress', 'destinationPort'),
    connection_info: protocol === undefined ? undefined : { protocol_name: protocol.toLowerCase(), direction_id: 0 },
  }
}

/** A port without its address is not taken. */
function end(from: Members, address: string, port: string): Attributes | undefined {
  return from.part(m => {
    const number = portOf(m, port)
    return m.within(address, inner => endpoint(inner, number))
  })
}

function session(from: Members): Attributes {
  const found = from.part(m =>
    attributes(
      {
        uid: m.take('sessionId', idText),
        created_time: m.take('startUtcDateTime', time),
      },
      'uid',
    ),
  )
  return found === undefined ? {} : { actor: { session: found } }
}

/** The account of a session is evidence of a user by Microsoft's types; an account alone is taken, too. */
function whose(account: Members): Attributes | undefined {
  return account.within('userAccount', user) ?? user(account)
}

function mailboxUser(from: Members): Attributes | undefined {
  return from.part(m => {
    const address = m.take('primaryAddress', email)
    const found = m.within('userAccount', account => user(account, address))
    return found ?? named(m, address, 'upn')
  })
}

function configuredMailbox(from: Members): Attributes | undefined {
  return from.part(m => named(m, m.take('mailboxPrimaryAddress', email), 'upn'))
}

function named(m: Members, address: string | undefined, member: string): Attributes | undefined {
  return attributes(
    {
      name: m.take(member, text) ?? address,
      display_name: m.take('displayName', text),
      uid: m.take('externalDirectoryObjectId', text),
      email_addr: address,
    },
    'name',
    'uid',
  )
}

function thing(from: Members): Attributes | undefined {
  return from.part(m =>
    attributes(
      {
        uid: m.take('deviceId', text),
        name: m.take('deviceName', text),
        ip: m.within('ipAddress', inner => inner.take('ipAddress', ip)),
        model: m.take('model', text),
        vendor_name: m.take('manufacturer', text),
        type: m.take('deviceType', text),
        type_id: 7,
      },
      'uid',
      'name',
      'ip',
    ),
  )
}

function container(from: Members): Attributes | undefined {
  return from.part(m =>
    attributes(
      {
        uid: m.take('containerId', text),
        name: m.take('name', text),
        image: m.within('image', image => image.part(i => attributes({ uid: i.take('imageId', text) }, 'uid'))),
      },
      'uid',
      'name',
    ),
  )
}
