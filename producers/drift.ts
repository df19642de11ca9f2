/**
 * What Graph sends that this version does not know: members, values of enumerations, kinds of evidence, and texts that
 * are masked. Nothing is refused for it, alerts are carried as they are; but whoever reads them later should hear of it
 * before a rule of theirs looks for a name that is not used any more. From Microsoft's type metadata of 2026-09.
 */
import type { Clock } from '../platform/clock.ts'
import type { Log } from '../platform/log.ts'
import { quote } from '../platform/log-scrub.ts'
import type { Cloud } from './graph/clouds.ts'

export interface Drift {
  readonly what: 'member' | 'value' | 'evidence' | 'masked'
  /** A path of members, with the value where a value is new. Of Graph's, so it may hold anything; bounded. */
  readonly name: string
}

export interface DriftWatch {
  /** Looks at an alert of `alerts_v2`, unless too many were looked at lately. */
  look(alert: Buffer, cloud: Cloud): void
}

const MEMBERS: ReadonlySet<string> = new Set(
  '@odata.type id providerAlertId incidentId tenantId title description category categories detectorId alertPolicyId productName assignedTo recommendedActions actorDisplayName threatDisplayName threatFamilyName alertWebUrl incidentWebUrl mitreTechniques systemTags createdDateTime lastUpdateDateTime firstActivityDateTime lastActivityDateTime resolvedDateTime status severity classification determination serviceSource detectionSource investigationState additionalData customDetails comments evidence'.split(
    ' ',
  ),
)

/** In lower case, as Microsoft's own samples mix them. */
const VALUES: Readonly<Record<string, ReadonlySet<string>>> = {
  status: values('unknown new inProgress resolved'),
  severity: values('unknown informational low medium high'),
  classification: values('unknown falsePositive truePositive informationalExpectedActivity benignPositive'),
  determination: values(
    'unknown apt malware securityPersonnel securityTesting unwantedSoftware other multiStagedAttack compromisedAccount phishing maliciousUserActivity notMalicious notEnoughDataToValidate confirmedActivity lineOfBusinessApplication compromisedUser clean insufficientData confirmedUserActivity',
  ),
  serviceSource: values(
    'unknown microsoftDefenderForEndpoint microsoftDefenderForIdentity microsoftDefenderForCloudApps microsoftDefenderForOffice365 microsoft365Defender azureAdIdentityProtection microsoftAppGovernance dataLossPrevention microsoftDefenderForCloud microsoftSentinel microsoftInsiderRiskManagement microsoftThreatIntelligence microsoftSecurityForAI',
  ),
  detectionSource: values(
    'unknown microsoftDefenderForEndpoint antivirus smartScreen customTi microsoftDefenderForOffice365 automatedInvestigation microsoftThreatExperts customDetection microsoftDefenderForIdentity cloudAppSecurity microsoft365Defender azureAdIdentityProtection manual microsoftDataLossPrevention appGovernancePolicy appGovernanceDetection microsoftDefenderForCloud microsoftDefenderForIoT microsoftDefenderForServers microsoftDefenderForStorage microsoftDefenderForDNS microsoftDefenderForDatabases microsoftDefenderForContainers microsoftDefenderForNetwork microsoftDefenderForAppService microsoftDefenderForKeyVault microsoftDefenderForResourceManager microsoftDefenderForApiManagement nrtAlerts scheduledAlerts microsoftDefenderThreatIntelligenceAnalytics builtInMl microsoftInsiderRiskManagement microsoftThreatIntelligence microsoftDefenderForAIServices securityCopilot microsoftSentinel',
  ),
  investigationState: values(
    'unknown terminated successfullyRemediated benign failed partiallyRemediated running pendingApproval pendingResource queued innerFailure preexistingAlert unsupportedOs unsupportedAlertType suppressedAlert partiallyInvestigated terminatedByUser terminatedBySystem',
  ),
}

const EVIDENCE_VALUES: Readonly<Record<string, ReadonlySet<string>>> = {
  verdict: values('unknown suspicious malicious noThreatsFound'),
  remediationStatus: values(
    'none remediated prevented blocked notFound active pendingApproval declined unremediated running partiallyRemediated',
  ),
  roles: values(
    'unknown contextual scanned source destination created added compromised edited attacked attacker commandAndControl loaded suspicious policyViolator',
  ),
}

const EVIDENCE: ReadonlySet<string> = new Set(
  'activeDirectoryDomain aiAgent amazonResource analyzedMessage azureResource blobContainer blob cloudApplication cloudLogonRequest cloudLogonSession container containerImage containerRegistry device dns file fileHash gitHubOrganization gitHubRepo gitHubUser googleCloudResource hostLogonSession ioTDevice ip kubernetesCluster kubernetesController kubernetesNamespace kubernetesPod kubernetesSecret kubernetesServiceAccount kubernetesService mailCluster mailboxConfiguration mailbox malware networkConnection nic oauthApplication process registryKey registryValue sasToken securityGroup servicePrincipal submissionMail teamsMessage url user'
    .split(' ')
    .map(kind => `#microsoft.graph.security.${kind}Evidence`),
)

const PER_SECOND = 20
const NAMES_MAX = 500
const NAME_CHARS_MAX = 120
const EVIDENCE_MAX = 200
const NODES_MAX = 2_000
const DEPTH_MAX = 8
const MASKED = /^\*{3,}$/

/** Each once for an alert; empty for what is no alert. */
export function driftIn(alert: unknown): readonly Drift[] {
  const found = new Map<string, Drift>()
  const say = (what: Drift['what'], name: string): void => {
    const short = name.slice(0, NAME_CHARS_MAX)
    if (found.size < NAMES_MAX) found.set(`${what} ${short}`, { what, name: short })
  }
  if (!isObject(alert)) return []
  for (const member of Object.keys(alert)) {
    // annotations of OData come and go
    if (!MEMBERS.has(member) && !member.includes('@odata.')) say('member', member)
  }
  sayNewValues(alert, VALUES, '', say)
  const evidence: readonly unknown[] = Array.isArray(alert['evidence']) ? alert['evidence'].slice(0, EVIDENCE_MAX) : []
  for (const one of evidence) {
    if (!isObject(one)) continue
    const kind = one['@odata.type']
    if (typeof kind === 'string' && !EVIDENCE.has(kind)) say('evidence', kind)
    sayNewValues(one, EVIDENCE_VALUES, 'evidence.', say)
  }
  for (const path of maskedIn(alert)) say('masked', path)
  return [...found.values()]
}

function sayNewValues(
  object: Readonly<Record<string, unknown>>,
  known: Readonly<Record<string, ReadonlySet<string>>>,
  prefix: string,
  say: (what: Drift['what'], name: string) => void,
): void {
  for (const [member, values] of Object.entries(known)) {
    const value = object[member]
    for (const one of Array.isArray(value) ? value.slice(0, EVIDENCE_MAX) : [value])
      if (typeof one === 'string' && !values.has(one.toLowerCase())) say('value', `${prefix}${member}=${one}`)
  }
}

/** Paths of the texts that are nothing but asterisks. */
function maskedIn(alert: object): readonly string[] {
  const paths: string[] = []
  const open: { readonly value: unknown; readonly path: string; readonly depth: number }[] = [
    { value: alert, path: '', depth: 0 },
  ]
  for (let node = open.pop(), seen = 0; node !== undefined && seen < NODES_MAX; node = open.pop(), seen++) {
    const { value, path, depth } = node
    if (typeof value === 'string' && MASKED.test(value)) paths.push(path)
    if (typeof value !== 'object' || value === null || depth >= DEPTH_MAX) continue
    const isList = Array.isArray(value)
    for (const [key, inner] of Object.entries(value).slice(0, NODES_MAX))
      open.push({ value: inner, path: isList ? `${path}[]` : path === '' ? key : `${path}.${key}`, depth: depth + 1 })
  }
  return paths
}

/** Counts each time, says each name once in the life of a worker. */
export function createDriftWatch(deps: {
  readonly clock: Clock
  readonly log: Log
  readonly count: (what: Drift['what'], cloud: Cloud) => void
}): DriftWatch {
  const said = new Set<string>()
  let second = 0
  let looked = 0
  return {
    look(alert, cloud) {
      const now = Math.floor(deps.clock.now() / 1000)
      if (now !== second) [second, looked] = [now, 0]
      // a sample is enough to hear of a change, and its price does not grow with the load
      if (looked++ >= PER_SECOND) return
      for (const { what, name } of driftIn(parsed(alert))) {
        deps.count(what, cloud)
        if (said.has(`${what} ${name}`) || said.size >= NAMES_MAX) continue
        said.add(`${what} ${name}`)
        deps.log.warn(WORDS[what], { what, name: quote(name, NAME_CHARS_MAX), cloud })
      }
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

function values(names: string): ReadonlySet<string> {
  return new Set(names.toLowerCase().split(' '))
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
