import { type Attributes, attributes, type Members } from './members.ts'
import { observablesIn } from './observables.ts'
import { text, time } from './reads.ts'
import { activityOf, severityOf, statusOf } from './words.ts'

/** What is known of an alert beside its content. */
export interface Known {
  /** The item's id. */
  readonly id: string
  readonly tenantId: string
  readonly alertId: string
  /** Update time with 7 fraction digits, UTC. */
  readonly version: string
  readonly source: string
  /** Of Graph's bytes. */
  readonly sha256: string
  readonly bytes: number
}

/** The first release that has all that is used here. */
const OCSF_VERSION = '1.6.0'
const CLASS_UID = 2004
export const EVIDENCES_MAX = 256

/** What both of Graph's forms have, or what the record knows. */
export function shared(
  m: Members,
  known: Known,
  status: string | undefined,
  created: number | undefined,
  updated?: string,
): Attributes {
  const updatedMs = time(known.version) ?? time(updated) ?? 0
  const [activityId, activity] = activityOf(status, created !== undefined && created === updatedMs)
  if (status !== undefined) m.take('status', text)
  return {
    activity_id: activityId,
    activity_name: activity,
    category_uid: 2,
    category_name: 'Findings',
    class_uid: CLASS_UID,
    class_name: 'Detection Finding',
    type_uid: CLASS_UID * 100 + activityId,
    type_name: `Detection Finding: ${activity}`,
    time: updatedMs,
    is_alert: activityId === 1,
    message: m.peek('title', text),
    ...severityOf(m.take('severity', text)),
    ...statusOf(status),
  }
}

export function info(m: Members, known: Known, created: number | undefined): Attributes {
  for (const [member, fact] of [
    ['id', known.alertId],
    ['tenantId', known.tenantId],
    ['azureTenantId', known.tenantId],
  ] as const) {
    // said already; a different one is not thrown away
    m.take(member, value => (value === fact ? fact : undefined))
  }
  return {
    uid: known.alertId,
    title: m.take('title', text),
    desc: m.take('description', text),
    created_time: created,
    modified_time: time(known.version),
  }
}

export function metadata(known: Known, incident: string | undefined, more: Attributes): Attributes | undefined {
  return attributes({
    version: OCSF_VERSION,
    // who looks at it and what came of that are attributes of this profile
    profiles: incident === undefined ? undefined : ['incident'],
    uid: known.id,
    tenant_uid: known.tenantId,
    log_provider: 'Microsoft Graph',
    log_name: known.source,
    original_time: known.version,
    ...more,
  })
}

export function assemble(
  m: Members,
  known: Known,
  all: Attributes & { readonly evidences: readonly Attributes[] },
): Attributes {
  const { evidences } = all
  const observables = observablesIn(evidences)
  const cut = attributes(
    {
      observables: observables.cut > 0 ? observables.cut : undefined,
      evidences: evidences.length >= EVIDENCES_MAX ? leftIn(m) : undefined,
    },
    'observables',
    'evidences',
  )
  return (
    attributes({
      ...all,
      evidences: evidences.length > 0 ? evidences : undefined,
      observables: observables.all.length > 0 ? observables.all : undefined,
      raw_data_hash: { algorithm: 'SHA-256', algorithm_id: 3, value: known.sha256 },
      raw_data_size: known.bytes,
      // Graph's names stand below names of ours, so that neither is taken for the other
      unmapped: attributes({ cut, graph: m.rest() }, 'cut', 'graph'),
    }) ?? {}
  )
}

/** Entries that are left in the lists of evidence. */
function leftIn(m: Members): number | undefined {
  const lists = [
    'evidence',
    'userStates',
    'hostStates',
    'fileStates',
    'processes',
    'networkConnections',
    'registryKeyStates',
  ]
  const left = lists.reduce(
    (sum, list) => sum + (m.peek(list, value => (Array.isArray(value) ? value.length : 0)) ?? 0),
    0,
  )
  return left > 0 ? left : undefined
}

export function described(words: string | undefined): Attributes | undefined {
  return words === undefined ? undefined : { desc: words }
}

export function listed(word: string | undefined): readonly string[] | undefined {
  return word === undefined ? undefined : [word]
}

/** A list of texts, whole or not at all. */
export function texts(m: Members, name: string): readonly string[] | undefined {
  return m.take(name, value => {
    if (!Array.isArray(value) || value.length === 0) return undefined
    const all = (value as unknown[]).flatMap(entry => text(entry) ?? [])
    return all.length === value.length ? all : undefined
  })
}
