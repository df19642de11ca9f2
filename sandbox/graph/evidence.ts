// Past 250 lines because it is a catalogue: one builder for each type of evidence, to be read one at a time.
import type { Random } from '../../platform/clock.ts'
import { guid, hex, intBelow, pick } from './chance.ts'

/** What the evidence of one alert has in common: who and where it is about. */
export interface Scene {
  readonly random: Random
  readonly tenantId: string
  readonly domain: string
  readonly createdText: string
  readonly user: { readonly name: string; readonly sid: string; readonly objectId: string }
  readonly device: { readonly mdeId: string; readonly aadId: string; readonly host: string }
}

type Members = Record<string, unknown>

const USERS = [
  'j.okafor',
  'm.schäfer',
  'li.wei',
  'a.nowak',
  'svc-backup',
  'renée.dubois',
  'p.oconnor',
  '山田.太郎',
] as const
const CITIES = [
  { city: 'Amsterdam', countryName: 'Netherlands', state: null, latitude: 52.37403, longitude: 4.88969 },
  { city: 'Lagos', countryName: 'Nigeria', state: 'Lagos', latitude: 6.45407, longitude: 3.39467 },
  { city: 'São Paulo', countryName: 'Brazil', state: 'SP', latitude: -23.5475, longitude: -46.63611 },
] as const

export function setScene(random: Random, tenantId: string, createdText: string): Scene {
  const domain = `${pick(random, ['contoso', 'fabrikam', 'adatum', 'woodgrove'])}.example`
  return {
    random,
    tenantId,
    domain,
    createdText,
    user: {
      name: pick(random, USERS),
      sid: `S-1-5-21-${intBelow(random, 2 ** 31)}-${intBelow(random, 2 ** 31)}-${1000 + intBelow(random, 9000)}`,
      objectId: guid(random),
    },
    device: { mdeId: hex(random, 40), aadId: guid(random), host: `ws-${hex(random, 5)}.${domain}` },
  }
}

function evidence(scene: Scene, type: string, roles: readonly string[], members: Members): Members {
  return {
    '@odata.type': `#microsoft.graph.security.${type}Evidence`,
    createdDateTime: scene.createdText,
    verdict: pick(scene.random, ['unknown', 'suspicious', 'malicious', 'noThreatsFound']),
    remediationStatus: pick(scene.random, ['none', 'remediated', 'prevented', 'blocked', 'active']),
    remediationStatusDetails: null,
    roles,
    detailedRoles: [],
    tags: [],
    ...members,
  }
}

function account(scene: Scene): Members {
  return {
    accountName: scene.user.name,
    domainName: scene.domain.split('.')[0] ?? '',
    userSid: scene.user.sid,
    azureAdUserId: scene.user.objectId,
    userPrincipalName: `${scene.user.name}@${scene.domain}`,
    displayName: null,
    activeDirectoryObjectGuid: null,
  }
}

function file(scene: Scene, fileName: string, filePath: string): Members {
  return {
    sha1: hex(scene.random, 40),
    sha256: hex(scene.random, 64),
    md5: null,
    fileName,
    filePath,
    fileSize: intBelow(scene.random, 40_000_000),
    filePublisher: null,
    signer: null,
    issuer: null,
  }
}

export function userEvidence(scene: Scene): Members {
  return evidence(scene, 'user', ['compromised'], { stream: null, userAccount: account(scene) })
}

export function deviceEvidence(scene: Scene): Members {
  return evidence(scene, 'device', ['attacked'], {
    firstSeenDateTime: scene.createdText,
    mdeDeviceId: scene.device.mdeId,
    azureAdDeviceId: scene.device.aadId,
    deviceDnsName: scene.device.host,
    hostName: scene.device.host.split('.')[0] ?? '',
    ntDomain: null,
    dnsDomain: scene.domain,
    osPlatform: pick(scene.random, ['Windows11', 'WindowsServer2022', 'macOS', 'Linux']),
    osBuild: 22_631,
    version: '23H2',
    healthStatus: 'active',
    riskScore: pick(scene.random, ['none', 'low', 'medium', 'high']),
    rbacGroupId: 75,
    rbacGroupName: 'UnassignedGroup',
    onboardingStatus: 'onboarded',
    defenderAvStatus: 'updated',
    lastIpAddress: `10.${intBelow(scene.random, 256)}.4.17`,
    lastExternalIpAddress: '203.0.113.20',
    ipInterfaces: ['10.4.4.17', 'fe80::1c2d:3e4f:5a6b:7c8d', '127.0.0.1', '::1'],
    vmMetadata: null,
    loggedOnUsers: [{ accountName: scene.user.name, domainName: scene.domain }],
  })
}

export function processEvidence(scene: Scene): Members {
  const folder = 'C:\\Windows\\System32\\WindowsPowerShell\\v1.0'
  return evidence(scene, 'process', ['suspicious'], {
    processId: intBelow(scene.random, 65_536),
    parentProcessId: intBelow(scene.random, 65_536),
    processCommandLine: `"powershell.exe" -NoProfile -w hidden -EncodedCommand ${hex(scene.random, 160)}`,
    processCreationDateTime: scene.createdText,
    parentProcessCreationDateTime: scene.createdText,
    detectionStatus: 'detected',
    mdeDeviceId: scene.device.mdeId,
    imageFile: file(scene, 'powershell.exe', folder),
    parentProcessImageFile: file(scene, 'winword.exe', 'C:\\Program Files\\Microsoft Office\\root\\Office16'),
    userAccount: account(scene),
  })
}

export function fileEvidence(scene: Scene): Members {
  return evidence(scene, 'file', ['created'], {
    detectionStatus: pick(scene.random, ['detected', 'blocked', 'prevented']),
    mdeDeviceId: scene.device.mdeId,
    fileDetails: file(scene, `invoice_${hex(scene.random, 4)}.pdf.exe`, `C:\\Users\\${scene.user.name}\\Downloads`),
  })
}

export function ipEvidence(scene: Scene): Members {
  return evidence(scene, 'ip', ['source', 'attacker'], {
    ipAddress: `198.51.100.${intBelow(scene.random, 256)}`,
    countryLetterCode: pick(scene.random, ['NL', 'NG', 'BR', 'US']),
    stream: null,
    location: pick(scene.random, CITIES),
  })
}

export function urlEvidence(scene: Scene): Members {
  const url = `https://${hex(scene.random, 8)}.phish.example/o365/login?u=${scene.user.name}%40${scene.domain}&x=1`
  return evidence(scene, 'url', [], { url })
}

export function messageEvidence(scene: Scene): Members {
  const sender = { emailAddress: 'billing@paypa1.example', displayName: 'PayPaI Billing', domainName: 'paypa1.example' }
  return evidence(scene, 'analyzedMessage', [], {
    networkMessageId: guid(scene.random),
    internetMessageId: `<${hex(scene.random, 24)}@mail.paypa1.example>`,
    subject: pick(scene.random, [
      'Overdue: invoice 4711 — action required',
      'RE: "Payroll" update',
      'Votre colis 📦 est bloqué',
    ]),
    language: 'en',
    senderIp: '192.0.2.77',
    recipientEmailAddress: `${scene.user.name}@${scene.domain}`,
    antiSpamDirection: 'inbound',
    deliveryAction: 'delivered',
    deliveryLocation: 'inbox',
    urn: `urn:MailEntity:${hex(scene.random, 32)}`,
    threats: ['ZapPhish', 'HighConfPhish'],
    threatDetectionMethods: ['FingerPrintMatch', 'URL malicious reputation'],
    urls: [`https://${hex(scene.random, 8)}.phish.example/o365/login`, 'https://paypa1.example/unsubscribe'],
    urlCount: 2,
    attachmentsCount: 0,
    receivedDateTime: scene.createdText,
    p1Sender: sender,
    p2Sender: sender,
  })
}

export function mailClusterEvidence(scene: Scene): Members {
  return evidence(scene, 'mailCluster', [], {
    clusterBy: 'Subject;P2SenderDomain;ContentType',
    clusterByValue: `Subject;paypa1.example;${intBelow(scene.random, 9)}`,
    emailCount: intBelow(scene.random, 400),
    query: `( (( (Subject:"Overdue") ) AND ( (P2SenderDomain:"paypa1.example") )) AND NOT(XEXTLoop) )`,
    urn: `urn:MailClusterEntity:${hex(scene.random, 32)}`,
    networkMessageIds: [guid(scene.random), guid(scene.random), guid(scene.random)],
  })
}

export function mailboxEvidence(scene: Scene): Members {
  const address = `${scene.user.name}@${scene.domain}`
  return evidence(scene, 'mailbox', ['contextual'], {
    primaryAddress: address,
    displayName: scene.user.name,
    upn: address,
    userAccount: account(scene),
  })
}

export function cloudApplicationEvidence(scene: Scene): Members {
  return evidence(scene, 'cloudApplication', ['contextual'], {
    appId: 20_893,
    saasAppId: 20_893,
    displayName: 'Microsoft SharePoint Online',
    instanceId: 0,
    instanceName: 'Microsoft SharePoint Online',
    stream: null,
  })
}

export function oauthApplicationEvidence(scene: Scene): Members {
  return evidence(scene, 'oauthApplication', ['added'], {
    appId: guid(scene.random),
    objectId: guid(scene.random),
    displayName: 'Mail Merge Helper',
    publisher: null,
  })
}

export function registryValueEvidence(scene: Scene): Members {
  return evidence(scene, 'registryValue', ['created'], {
    mdeDeviceId: scene.device.mdeId,
    registryHive: 'HKEY_CURRENT_USER',
    registryKey: 'SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Run',
    registryValueName: 'OneDriveUpdate',
    registryValueType: 'Unknown',
    registryValue: `C:\\Users\\${scene.user.name}\\AppData\\Roaming\\${hex(scene.random, 8)}.vbs`,
  })
}

/** Evidence within evidence: a pod in its namespace in its cluster. */
export function podEvidence(scene: Scene): Members {
  const cluster = evidence(scene, 'kubernetesCluster', [], {
    name: 'prod-weu-1',
    distribution: null,
    platform: 'aks',
    version: '1.33.4',
    cloudResource: evidence(scene, 'azureResource', [], {
      resourceId: `/subscriptions/${guid(scene.random)}/resourceGroups/prod/providers/Microsoft.ContainerService/managedClusters/prod-weu-1`,
      resourceName: 'prod-weu-1',
      resourceType: 'Managed Cluster',
    }),
  })
  return evidence(scene, 'kubernetesPod', ['attacked'], {
    name: `shop-${hex(scene.random, 10)}`,
    labels: { app: 'shop', 'pod-template-hash': hex(scene.random, 10) },
    podIp: { ipAddress: '10.244.3.17', countryLetterCode: null },
    namespace: evidence(scene, 'kubernetesNamespace', [], { name: 'shop', labels: null, cluster }),
    controller: null,
    serviceAccount: null,
    initContainers: [],
    ephemeralContainers: [],
  })
}
