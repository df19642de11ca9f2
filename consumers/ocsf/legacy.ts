import { attacks } from './attacks.ts'
import { assemble, described, EVIDENCES_MAX, info, type Known, listed, metadata, shared, texts } from './envelope.ts'
import { finished } from './evidence.ts'
import { type Attributes, attributes, type Members, membersOf, type Read } from './members.ts'
import { fingerprint, os, pathOf, portOf, url } from './objects.ts'
import { email, ip, text, time, whole, word } from './reads.ts'
import { verdictOf } from './words.ts'

type Builder = (m: Members) => Attributes

/** The lists of a `microsoft.graph.alert` that have a place in OCSF's evidences; the others go along as they are. */
const LISTS: readonly (readonly [string, Builder])[] = [
  ['userStates', m => ({ user: account(m), src_endpoint: address(m, 'logonIp') })],
  ['hostStates', m => ({ device: host(m) })],
  ['fileStates', m => ({ file: file(m, 'path') })],
  ['processes', m => ({ process: process(m) })],
  ['networkConnections', connection],
  ['registryKeyStates', m => ({ reg_key: registryKey(m) })],
]

export function legacyFinding(m: Members, known: Known): Attributes {
  const category = m.take('category', text)
  const status = m.peek('status', text)
  const created = m.take('createdDateTime', time)
  const verdict = m.take('feedback', text)
  const assignee = m.take('assignedTo', text)
  const vendor = m.within('vendorInformation', inner =>
    attributes({
      name: inner.take('provider', text) ?? 'Microsoft Graph Security',
      vendor_name: inner.take('vendor', text) ?? 'Microsoft',
      version: inner.take('providerVersion', text),
      feature: feature(inner.take('subProvider', text)),
    }),
  )
  return assemble(m, known, {
    ...shared(m, known, status, created, m.take('lastModifiedDateTime', text)),
    start_time: m.peek('eventDateTime', time),
    end_time: m.peek('lastEventDateTime', time),
    confidence_score: m.take('confidence', whole),
    ...verdictOf(verdict),
    assignee: assignee === undefined ? undefined : { name: assignee },
    remediation: described(texts(m, 'recommendedActions')?.join('\n')),
    finding_info: attributes({
      ...info(m, known, created),
      src_url: first(m, 'sourceMaterials'),
      types: listed(category),
      first_seen_time: m.take('eventDateTime', time),
      last_seen_time: m.take('lastEventDateTime', time),
      attacks: attacks([], category),
    }),
    metadata: metadata(known, verdict ?? assignee, {
      product: vendor ?? { name: 'Microsoft Graph Security', vendor_name: 'Microsoft' },
      correlation_uid: first(m, 'incidentIds'),
    }),
    evidences: legacyEvidences(m, EVIDENCES_MAX),
  })
}

/** `room` is how many evidences there may be. */
function legacyEvidences(alert: Members, room: number): readonly Attributes[] {
  const all: Attributes[] = []
  for (const [list, build] of LISTS) {
    const taken = alert.list(
      list,
      value => {
        const m = membersOf(value)
        return m === null ? undefined : finished(m, list, build(m), value)
      },
      room - all.length,
    )
    all.push(...(taken ?? []))
  }
  return all
}

function account(from: Members): Attributes | undefined {
  return from.part(m => {
    const name = m.take('accountName', text)
    const principal = m.take('userPrincipalName', name === undefined ? text : email)
    return attributes(
      {
        name: name ?? principal,
        domain: m.take('domainName', text),
        uid: m.take('aadUserId', text),
        uid_alt: m.take('onPremisesSecurityIdentifier', text),
        email_addr: email(principal),
      },
      'name',
      'uid',
    )
  })
}

function address(m: Members, member: string): Attributes | undefined {
  const found = m.take(member, ip)
  return found === undefined ? undefined : { ip: found }
}

function host(from: Members): Attributes | undefined {
  return from.part(m =>
    attributes(
      {
        hostname: m.take('fqdn', text),
        name: m.take('netBiosName', text),
        ip: m.take('privateIpAddress', ip),
        os: os(m, 'os'),
        type_id: 0,
      },
      'hostname',
      'name',
      'ip',
    ),
  )
}

/** `folder` is the member with the path, which for a process has the file's name at its end. */
function file(from: Members, folder: 'path' | null): Attributes | undefined {
  return from.part(m => {
    const name = m.take('name', text)
    if (name === undefined) return undefined
    const where = m.take('path', text)
    const digest = m.within('fileHash', inner => {
      const kind = inner.take('hashType', word)
      return kind === undefined ? undefined : inner.take('hashValue', value => fingerprint(kind, value))
    })
    return attributes({
      name,
      parent_folder: folder === null ? undefined : where,
      path: folder === null || where === undefined ? where : pathOf(where, name),
      hashes: digest === undefined ? undefined : [digest],
      type_id: 0,
    })
  })
}

function process(from: Members): Attributes | undefined {
  return from.part(m => {
    const pid = m.take('processId', whole)
    if (pid === undefined) return undefined
    const image = file(m, null)
    const owner = m.take('accountName', text)
    const parent = m.take('parentProcessId', whole)
    return attributes({
      pid,
      name: image?.['name'],
      cmd_line: m.take('commandLine', text),
      created_time: m.take('createdDateTime', time),
      file: image,
      user: owner === undefined ? undefined : { name: owner },
      integrity: m.take('integrityLevel', text),
      parent_process:
        parent === undefined
          ? undefined
          : attributes({
              pid: parent,
              name: m.take('parentProcessName', text),
              created_time: m.take('parentProcessCreatedDateTime', time),
            }),
    })
  })
}

const DIRECTIONS = new Map([
  ['inbound', 1],
  ['outbound', 2],
])

function connection(m: Members): Attributes {
  const protocol = m.take('protocol', text)
  const direction = m.take('direction', text)
  return {
    src_endpoint: end(m, 'sourceAddress', 'sourcePort'),
    dst_endpoint: end(m, 'destinationAddress', 'destinationPort', 'destinationDomain'),
    url: m.take('destinationUrl', url),
    connection_info:
      protocol === undefined && direction === undefined
        ? undefined
        : attributes({
            protocol_name: protocol?.toLowerCase(),
            direction,
            direction_id: direction === undefined ? 0 : (DIRECTIONS.get(direction.toLowerCase()) ?? 99),
          }),
  }
}

function end(from: Members, address: string, port: string, domain?: string): Attributes | undefined {
  return from.part(m =>
    attributes(
      {
        ip: m.take(address, ip),
        port: portOf(m, port),
        domain: domain === undefined ? undefined : m.take(domain, text),
      },
      'ip',
      'domain',
    ),
  )
}

function registryKey(from: Members): Attributes | undefined {
  return from.part(m => {
    const key = m.take('key', text)
    if (key === undefined) return undefined
    const hive = m.take('hive', text)
    return { path: hive === undefined ? key : `${hive}\\${key}` }
  })
}

function feature(name: string | undefined): Attributes | undefined {
  return name === undefined ? undefined : { name }
}

function first(m: Members, name: string): string | undefined {
  const read: Read<string> = text
  return m.list(name, read, 1)?.[0]
}
