import { createHash } from 'node:crypto'

/** Made-up alerts of about 4 kB, as many and as alike as a benchmark wants them. */

const DEVICE = {
  '@odata.type': '#microsoft.graph.security.deviceEvidence',
  createdDateTime: '2026-11-24T09:58:11.1166667Z',
  verdict: 'suspicious',
  remediationStatus: 'none',
  deviceDnsName: 'ws-0412.corp.example',
  osPlatform: 'Windows11',
  osBuild: 22631,
  healthStatus: 'active',
  riskScore: 'medium',
  loggedOnUsers: [{ accountName: 'a.person', domainName: 'corp' }],
}

/** Text of one alert; `at` is its update time. */
export function alertJson(tenantId: string, id: string, at: string): string {
  return JSON.stringify({
    id,
    providerAlertId: id,
    tenantId,
    incidentId: '46988',
    status: 'new',
    severity: 'medium',
    classification: null,
    serviceSource: 'microsoftDefenderForEndpoint',
    detectionSource: 'antivirus',
    title: 'Suspicious execution of a scripted download',
    description: 'A process fetched and ran a script from an address that was never seen in this organisation before.',
    category: 'Execution',
    mitreTechniques: ['T1059.001', 'T1105'],
    createdDateTime: at,
    lastUpdateDateTime: at,
    evidence: Array.from({ length: 8 }, (_, n) => ({ ...DEVICE, mdeDeviceId: `${id}-${n}` })),
  })
}

/** A GUID for the n-th tenant of a benchmark. */
export function tenantIdOf(n: number): string {
  const hex = createHash('sha256').update(`bench tenant ${n}`).digest('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}
