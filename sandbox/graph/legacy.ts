import type { Random } from '../../platform/clock.ts'
import type { Recipe } from './alerts.ts'
import { guid, hex, intBelow, pick, seededRandom } from './chance.ts'

const PROVIDERS = [
  { provider: 'Microsoft Defender ATP', subProvider: 'MicrosoftDefenderATP', title: 'Suspicious process injection' },
  { provider: 'MCAS', subProvider: null, title: 'Impossible travel activity' },
  { provider: 'IPC', subProvider: null, title: 'Unfamiliar sign-in properties' },
  { provider: 'Azure Advanced Threat Protection', subProvider: null, title: 'Reconnaissance using directory queries' },
] as const

/** One alert of the retired federated list (`microsoft.graph.alert`), about 3 KB; ports are strings there. */
export function legacyMembers(recipe: Recipe): Record<string, unknown> {
  const random = seededRandom(recipe.seed)
  const from = pick(random, PROVIDERS)
  const updated = recipe.revision > 1
  const resolved = recipe.revision > 2
  return {
    id: recipe.alertId,
    azureTenantId: recipe.tenantId,
    azureSubscriptionId: null,
    riskScore: null,
    tags: [],
    activityGroupName: null,
    assignedTo: updated ? `analyst${recipe.revision}@soc.example` : null,
    category: 'SuspiciousActivity',
    closedDateTime: resolved ? recipe.updatedText : null,
    comments: updated ? [`Revision ${recipe.revision}`] : [],
    confidence: pick(random, [null, 60, 85]),
    createdDateTime: recipe.createdText,
    description: `${from.title}: an activity departs from the baseline learned for this user and device. This may be an early stage of an attack.`,
    detectionIds: [],
    eventDateTime: recipe.createdText,
    feedback: resolved ? 'truePositive' : null,
    incidentIds: [String(intBelow(random, 99_999))],
    lastEventDateTime: null,
    lastModifiedDateTime: recipe.updatedText,
    recommendedActions: [
      'Validate the alert.',
      'Look at the timeline of the device.',
      'Reset the credentials of the user.',
    ],
    severity: pick(random, ['informational', 'low', 'medium', 'high']),
    sourceMaterials: [`https://security.microsoft.com/alerts/${encodeURIComponent(recipe.alertId)}`],
    status: resolved ? 'resolved' : updated ? 'inProgress' : 'newAlert',
    title: from.title,
    vendorInformation: {
      provider: from.provider,
      providerVersion: null,
      subProvider: from.subProvider,
      vendor: 'Microsoft',
    },
    ...states(random, recipe.createdText),
  }
}

/** The lists of what was involved; empty ones are sent too. */
function states(random: Random, createdText: string): Record<string, unknown> {
  const account = `user${intBelow(random, 9999)}`
  const fileHash = { hashType: 'sha256', hashValue: hex(random, 64) }
  return {
    alertDetections: [],
    cloudAppStates: [{ destinationServiceIp: '203.0.113.9', destinationServiceName: 'SharePoint', riskScore: null }],
    fileStates: [{ name: 'setup.exe', path: `C:\\Users\\${account}\\Downloads`, riskScore: null, fileHash }],
    hostStates: [
      {
        fqdn: `ws-${hex(random, 5)}.contoso.example`,
        isAzureAdJoined: true,
        isAzureAdRegistered: false,
        isHybridAzureDomainJoined: null,
        netBiosName: null,
        os: 'Windows11',
        privateIpAddress: '10.4.4.17',
        publicIpAddress: '203.0.113.20',
        riskScore: 'Medium',
      },
    ],
    historyStates: [],
    investigationSecurityStates: [],
    malwareStates: [],
    messageSecurityStates: [],
    networkConnections: [
      {
        applicationName: 'powershell.exe',
        destinationAddress: '198.51.100.14',
        destinationDomain: null,
        destinationPort: '443',
        destinationUrl: null,
        direction: 'outbound',
        protocol: 'tcp',
        riskScore: null,
        sourceAddress: '10.4.4.17',
        sourcePort: String(1024 + intBelow(random, 60_000)),
        status: 'succeeded',
        urlParameters: null,
      },
    ],
    processes: [
      {
        accountName: account,
        commandLine: `powershell.exe -enc ${hex(random, 120)}`,
        createdDateTime: createdText,
        fileHash,
        integrityLevel: 'high',
        isElevated: true,
        name: 'powershell.exe',
        parentProcessCreatedDateTime: createdText,
        parentProcessId: intBelow(random, 65_536),
        parentProcessName: 'winword.exe',
        path: 'C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe',
        processId: intBelow(random, 65_536),
      },
    ],
    registryKeyStates: [],
    securityResources: [],
    triggers: [],
    userStates: [
      {
        aadUserId: guid(random),
        accountName: account,
        domainName: 'contoso.example',
        emailRole: 'unknown',
        isVpn: null,
        logonDateTime: createdText,
        logonId: null,
        logonIp: '198.51.100.14',
        logonLocation: 'Lagos, Lagos, NG',
        logonType: null,
        onPremisesSecurityIdentifier: `S-1-5-21-${intBelow(random, 2 ** 31)}-1001`,
        riskScore: null,
        userAccountType: null,
        userPrincipalName: `${account}@contoso.example`,
      },
    ],
    uriClickSecurityStates: [],
    vulnerabilityStates: [],
  }
}
