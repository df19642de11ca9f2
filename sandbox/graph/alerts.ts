import type { Random } from '../../platform/clock.ts'
import { guid, hex, intBelow, pick, seededRandom } from './chance.ts'
import {
  cloudApplicationEvidence,
  deviceEvidence,
  fileEvidence,
  ipEvidence,
  mailboxEvidence,
  mailClusterEvidence,
  messageEvidence,
  oauthApplicationEvidence,
  podEvidence,
  processEvidence,
  registryValueEvidence,
  type Scene,
  setScene,
  urlEvidence,
  userEvidence,
} from './evidence.ts'

/** All that is needed to render a revision of a made-up alert again: rendering is a function of this and nothing else. */
export interface Recipe {
  readonly seed: number
  readonly tenantId: string
  readonly alertId: string
  /** 1 for the first revision. */
  readonly revision: number
  readonly createdText: string
  readonly updatedText: string
}

type Kind = {
  readonly titles: readonly [string, ...string[]]
  readonly category: string
  readonly serviceSource: string
  readonly detectionSource: string
  readonly productName: string
  readonly mitreTechniques: readonly string[]
  readonly evidence: (scene: Scene) => readonly unknown[]
}

const KINDS: readonly [Kind, ...Kind[]] = [
  {
    titles: ["'Wacatac' malware was detected", 'Suspicious PowerShell command line', 'Malware prevented in an archive'],
    category: 'Execution',
    serviceSource: 'microsoftDefenderForEndpoint',
    detectionSource: 'antivirus',
    productName: 'Microsoft Defender for Endpoint',
    mitreTechniques: ['T1059.001', 'T1204.002'],
    evidence: s => [deviceEvidence(s), processEvidence(s), fileEvidence(s)],
  },
  {
    titles: [
      'Email messages containing malicious URL removed after delivery',
      'A potentially malicious URL click was detected',
    ],
    category: 'InitialAccess',
    serviceSource: 'microsoftDefenderForOffice365',
    detectionSource: 'microsoftDefenderForOffice365',
    productName: 'Microsoft Defender for Office 365',
    mitreTechniques: ['T1566.002'],
    evidence: s => [messageEvidence(s), mailClusterEvidence(s), mailboxEvidence(s), urlEvidence(s)],
  },
  {
    titles: ['Anomalous token', 'Unfamiliar sign-in properties', 'Atypical travel — «impossible»'],
    category: 'CredentialAccess',
    serviceSource: 'azureAdIdentityProtection',
    detectionSource: 'azureAdIdentityProtection',
    productName: 'AAD Identity Protection',
    mitreTechniques: ['T1078.004', 'T1550.001'],
    evidence: s => [userEvidence(s), ipEvidence(s), ipEvidence(s), cloudApplicationEvidence(s)],
  },
  {
    titles: ['Mass download by a single user', 'Suspicious OAuth app file download activity'],
    category: 'Exfiltration',
    serviceSource: 'microsoftDefenderForCloudApps',
    detectionSource: 'cloudAppSecurity',
    productName: 'Microsoft Defender for Cloud Apps',
    mitreTechniques: ['T1530', 'T1567.002'],
    evidence: s => [cloudApplicationEvidence(s), oauthApplicationEvidence(s), userEvidence(s), ipEvidence(s)],
  },
  {
    titles: ['DLP policy (Payment cards) matched for email with subject (Q4 forecast)'],
    category: 'Exfiltration',
    serviceSource: 'dataLossPrevention',
    detectionSource: 'microsoftDataLossPrevention',
    productName: 'Microsoft Data Loss Prevention',
    mitreTechniques: [],
    evidence: s => [mailboxEvidence(s), userEvidence(s), fileEvidence(s), cloudApplicationEvidence(s)],
  },
  {
    titles: ['Suspicious registry run key', 'Hands-on-keyboard attack disruption'],
    category: 'Persistence',
    serviceSource: 'microsoft365Defender',
    detectionSource: 'microsoft365Defender',
    productName: 'Microsoft Defender XDR',
    mitreTechniques: ['T1547.001'],
    evidence: s => [registryValueEvidence(s), deviceEvidence(s), processEvidence(s)],
  },
  {
    titles: ['Possible cryptocurrency mining in a container'],
    category: 'Impact',
    serviceSource: 'microsoftDefenderForCloud',
    detectionSource: 'microsoftDefenderForContainers',
    productName: 'Microsoft Defender for Cloud',
    mitreTechniques: ['T1496'],
    evidence: s => [podEvidence(s), ipEvidence(s)],
  },
]

const DESCRIPTION =
  'An activity was observed that departs from what is usual for this user and device. This might be an attempt to run code, to stay resident, or to collect data for exfiltration. The sequence of events is consistent with a hands-on-keyboard attack in an early stage.'
const ACTIONS =
  'A. Validate the alert.\n1. Inspect the activities on the device timeline.\n2. Look for other suspicious sign-ins of the same user.\n\nB. Contain.\n1. Isolate the device. 2. Reset credentials of affected accounts. 3. Report the file to Microsoft.'

export function newAlertId(random: Random): string {
  return pick(random, [
    `da${hex(random, 18)}_-${intBelow(random, 2 ** 31)}`,
    `fa${guid(random)}`,
    `ad${hex(random, 64)}`,
  ])
}

/** One `microsoft.graph.security.alert` of about 3 to 5 KB, all members as Graph sends them, nulls included. */
export function alertMembers(recipe: Recipe): Record<string, unknown> {
  const random = seededRandom(recipe.seed)
  const kind = pick(random, KINDS)
  const scene = setScene(random, recipe.tenantId, recipe.createdText)
  const incidentId = String(1 + intBelow(random, 99_999))
  const updated = recipe.revision > 1
  const resolved = recipe.revision > 2
  // drawn in every revision, so that what follows is the same in all of them
  const classification = pick(random, ['truePositive', 'falsePositive'])
  return {
    id: recipe.alertId,
    providerAlertId: recipe.alertId.slice(2),
    incidentId,
    status: resolved ? 'resolved' : updated ? 'inProgress' : 'new',
    severity: pick(random, ['informational', 'low', 'medium', 'high']),
    classification: resolved ? classification : null,
    determination: resolved ? 'malware' : null,
    serviceSource: kind.serviceSource,
    detectionSource: kind.detectionSource,
    productName: kind.productName,
    detectorId: guid(random),
    tenantId: recipe.tenantId,
    title: pick(random, kind.titles),
    description: DESCRIPTION,
    recommendedActions: ACTIONS,
    category: kind.category,
    categories: [kind.category],
    assignedTo: updated ? `analyst${recipe.revision}@soc.example` : null,
    alertWebUrl: `https://security.microsoft.com/alerts/${encodeURIComponent(recipe.alertId)}?tid=${recipe.tenantId}`,
    incidentWebUrl: `https://security.microsoft.com/incidents/${incidentId}?tid=${recipe.tenantId}`,
    actorDisplayName: null,
    threatDisplayName: null,
    threatFamilyName: null,
    mitreTechniques: kind.mitreTechniques,
    createdDateTime: recipe.createdText,
    lastUpdateDateTime: recipe.updatedText,
    resolvedDateTime: resolved ? recipe.updatedText : null,
    firstActivityDateTime: recipe.createdText,
    lastActivityDateTime: recipe.createdText,
    systemTags: [],
    alertPolicyId: null,
    investigationState: 'unsupportedAlertType',
    customDetails: {},
    additionalData: pick(random, [null, { AlertUri: 'ms-security:alert', OriginSource: kind.productName }]),
    comments: comments(recipe),
    evidence: kind.evidence(scene),
  }
}

function comments(recipe: Recipe): readonly unknown[] {
  if (recipe.revision === 1) return []
  const comment = `Revision ${recipe.revision}: looked at it, "still" open`
  return [{ comment, createdByDisplayName: 'SOC analyst', createdDateTime: recipe.updatedText }]
}
