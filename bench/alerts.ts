import { createHash } from 'node:crypto'

/** Made-up alerts of about 4.2 kB: from one seed always the same ones, and with as much chance in them as real ones have. */

/** Whole numbers from 0 up to, not including, `below`. */
export type Chance = (below: number) => number

export interface MadeUpAlert {
  readonly id: string
  readonly json: string
}

const TWO_32 = 0x1_0000_0000
const TITLES = [
  'Suspicious PowerShell command line',
  'Impossible travel activity',
  'Malware was prevented',
  'Anomalous token',
  'Mass download',
]
const SEVERITIES = ['low', 'medium', 'high', 'informational']
const STATUSES = ['new', 'inProgress', 'resolved']
const CATEGORIES = ['Execution', 'InitialAccess', 'Persistence', 'Exfiltration']
const VERDICTS = ['unknown', 'suspicious', 'malicious']
const DESCRIPTION =
  'A suspicious activity was observed on the device. This might indicate an attempt to run code, to stay resident, or to ' +
  'collect data. The process tree shows a script host that started a child with an encoded command line.'
const ACTIONS =
  'Collect artifacts and determine scope; review the device timeline; contain and mitigate the breach; contact the response team.'
const IMAGE_PATH = String.raw`C:\\Windows\\System32\\WindowsPowerShell\\v1.0`
// most of what is random is hexadecimal, so it is looked up
const HEX4 = Array.from({ length: 0x1_0000 }, (_, n) => n.toString(16).padStart(4, '0'))

/** mulberry32. */
export function chanceFrom(seed: number): Chance {
  let state = seed | 0
  return below => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / TWO_32) * below)
  }
}

/** An instant as Graph writes it. */
export function stampOf(epochMs: number): string {
  return `${new Date(epochMs).toISOString().slice(0, -1)}0000Z`
}

export function makeAlert(chance: Chance, tenantId: string, updatedMs: number): MadeUpAlert {
  const id = `da${hex16(chance)}_${chance(0x8000_0000)}`
  const createdMs = updatedMs - chance(7_200) * 1_000
  return { id, json: alertJson(chance, tenantId, { id, at: stampOf(updatedMs), ts: stampOf(createdMs) }) }
}

/** Plain ASCII. `id` and the update time `at` stand in it as they are, `ts` is all that came before. */
export function alertJson(
  chance: Chance,
  tenantId: string,
  { id, at, ts }: { readonly id: string; readonly at: string; readonly ts: string },
): string {
  return (
    `{"id":"${id}","providerAlertId":"${id}","incidentId":"${chance(99_999)}","tenantId":"${tenantId}",` +
    `"title":"${pick(chance, TITLES)}","severity":"${pick(chance, SEVERITIES)}","status":"${pick(chance, STATUSES)}",` +
    `"category":"${pick(chance, CATEGORIES)}","classification":null,"determination":null,` +
    `"serviceSource":"microsoftDefenderForEndpoint","detectionSource":"antivirus","detectorId":"${guid(chance)}",` +
    `"createdDateTime":"${ts}","lastUpdateDateTime":"${at}","firstActivityDateTime":"${ts}","lastActivityDateTime":"${at}",` +
    `"resolvedDateTime":null,"description":"${DESCRIPTION}","recommendedActions":"${ACTIONS}",` +
    `"mitreTechniques":["T1059.001","T1078"],"comments":[],"systemTags":[],` +
    `"alertWebUrl":"https://security.example/alerts/${id}?tid=${tenantId}",` +
    `"evidence":[${threeThings(chance, ts)},${threeThings(chance, ts)}]}`
  )
}

/** A GUID for the n-th tenant of a benchmark. */
export function tenantIdOf(n: number): string {
  return guidOf(`bench tenant ${n}`)
}

export function clientIdOf(n: number): string {
  return guidOf(`bench application ${n}`)
}

function guidOf(name: string): string {
  const hex = createHash('sha256').update(name).digest('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}

/** A device, a process on it and its user. */
function threeThings(chance: Chance, ts: string): string {
  const device = guid(chance)
  const seen =
    `"createdDateTime":"${ts}","verdict":"${pick(chance, VERDICTS)}","remediationStatus":"none",` +
    `"remediationStatusDetails":null,"roles":[],"tags":[]`
  return (
    `{"@odata.type":"#microsoft.graph.security.deviceEvidence",${seen},"mdeDeviceId":"${device}",` +
    `"azureAdDeviceId":"${guid(chance)}","deviceDnsName":"ws-${chance(99_999)}.corp.example","osPlatform":"Windows11",` +
    `"osBuild":22631,"version":"23H2","healthStatus":"active","riskScore":"medium","rbacGroupName":null,` +
    `"onboardingStatus":"onboarded","loggedOnUsers":[{"accountName":"user${chance(9_999)}","domainName":"CORP"}]},` +
    `{"@odata.type":"#microsoft.graph.security.processEvidence",${seen},"processId":${chance(65_535)},` +
    `"parentProcessId":${chance(65_535)},"processCommandLine":"powershell.exe -NoProfile -EncodedCommand ${hex16(chance)}${hex16(chance)}",` +
    `"processCreationDateTime":"${ts}","detectionStatus":"detected","mdeDeviceId":"${device}",` +
    `"imageFile":{"fileName":"powershell.exe","filePath":"${IMAGE_PATH}","sha1":"${hex16(chance)}${hex16(chance)}${hex8(chance)}",` +
    `"fileSize":${chance(999_999)}}},` +
    `{"@odata.type":"#microsoft.graph.security.userEvidence",${seen},"userAccount":{"accountName":"user${chance(9_999)}",` +
    `"domainName":"CORP","userSid":"S-1-5-21-${chance(TWO_32)}","azureAdUserId":"${guid(chance)}",` +
    `"userPrincipalName":"user${chance(9_999)}@corp.example"}}`
  )
}

function pick(chance: Chance, from: readonly string[]): string {
  return from[chance(from.length)] ?? ''
}

function hex4(chance: Chance): string {
  return HEX4[chance(0x1_0000)] ?? ''
}

function hex8(chance: Chance): string {
  return hex4(chance) + hex4(chance)
}

function hex16(chance: Chance): string {
  return hex8(chance) + hex8(chance)
}

function guid(chance: Chance): string {
  return `${hex8(chance)}-${hex4(chance)}-4${hex4(chance).slice(1)}-8${hex4(chance).slice(1)}-${hex8(chance)}${hex4(chance)}`
}
