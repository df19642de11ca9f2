import { attacks, technique } from './attacks.ts'
import { assemble, described, EVIDENCES_MAX, info, type Known, listed, metadata, shared, texts } from './envelope.ts'
import { evidenceOf } from './evidence.ts'
import { legacyFinding } from './legacy.ts'
import { type Attributes, attributes, type Members, membersOf } from './members.ts'
import { idText, text, time } from './reads.ts'
import { verdictOf } from './words.ts'

/**
 * An OCSF Detection Finding from the parsed JSON of an alert; null when that is no object. Whatever has no place in OCSF, or is
 * not of its type, stands under `unmapped.graph` or in the `data` of its evidence as Graph wrote it. Alerts are written by
 * attackers: any JSON in any place gives a valid finding.
 */
export function findingOf(alert: unknown, known: Known): Attributes | null {
  const m = membersOf(alert)
  if (m === null) return null
  return known.source === 'alerts' ? legacyFinding(m, known) : finding(m, known)
}

function finding(m: Members, known: Known): Attributes {
  const category = m.peek('category', text)
  const types = texts(m, 'categories') ?? listed(category)
  if (types?.some(type => type === category)) m.take('category', text)
  const status = m.peek('status', text)
  const detection = m.take('detectionSource', text)
  const created = m.take('createdDateTime', time)
  const service = m.take('serviceSource', text)
  const verdict = m.take('classification', text)
  const assignee = m.take('assignedTo', text)
  const techniques = m.list('mitreTechniques', technique) ?? []
  const threat = m.take('threatDisplayName', text) ?? m.take('threatFamilyName', text)
  const evidences = m.list('evidence', evidenceOf, EVIDENCES_MAX) ?? []
  return assemble(m, known, {
    ...shared(m, known, status, created, m.take('lastUpdateDateTime', text)),
    start_time: m.peek('firstActivityDateTime', time),
    end_time: m.peek('lastActivityDateTime', time),
    status_detail: m.take('determination', text),
    ...verdictOf(verdict),
    assignee: assignee === undefined ? undefined : { name: assignee },
    remediation: described(m.take('recommendedActions', text)),
    malware: threat === undefined ? undefined : [{ name: threat, classification_ids: [0] }],
    finding_info: attributes({
      ...info(m, known, created),
      uid_alt: m.take('providerAlertId', text),
      src_url: m.take('alertWebUrl', text),
      types,
      first_seen_time: m.take('firstActivityDateTime', time),
      last_seen_time: m.take('lastActivityDateTime', time),
      attacks: attacks(techniques, category),
      analytic: analytic(m.take('detectorId', text), detection),
    }),
    metadata: metadata(known, verdict ?? assignee, {
      product: attributes({
        name: m.take('productName', text) ?? service ?? 'Microsoft Graph Security',
        vendor_name: 'Microsoft',
        feature: service === undefined ? undefined : { name: service },
      }),
      correlation_uid: m.take('incidentId', idText),
    }),
    evidences,
  })
}

function analytic(uid: string | undefined, name: string | undefined): Attributes | undefined {
  return attributes({ uid, name, type_id: 1, type: 'Rule' }, 'uid', 'name')
}
