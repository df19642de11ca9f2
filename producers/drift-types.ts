/**
 * The members and values that Graph's alerts are known to have, from Microsoft's type metadata of 2026-09 (the legacy list: of
 * 2025-10). `name:type` is an object, or a list of them, that is known too; `name=words` holds one of those words, or a list.
 */

export interface KnownType {
  readonly members: ReadonlySet<string>
  /** By member. */
  readonly types: ReadonlyMap<string, string>
  /** By member; in lower case, as Microsoft's own samples mix them. */
  readonly words: ReadonlyMap<string, ReadonlySet<string>>
}

const EVIDENCE_BASE =
  'createdDateTime detailedRoles remediationStatus=evidenceRemediationStatus remediationStatusDetails roles=evidenceRole tags verdict=evidenceVerdict'

const TYPES: Readonly<Record<string, string>> = {
  alert:
    'id actorDisplayName additionalData:dictionary alertPolicyId alertWebUrl assignedTo categories category classification=alertClassification comments:alertComment createdDateTime customDetails:dictionary description detectionSource=detectionSource detectorId determination=alertDetermination evidence:anyEvidence firstActivityDateTime incidentId incidentWebUrl investigationState=investigationState lastActivityDateTime lastUpdateDateTime mitreTechniques productName providerAlertId recommendedActions resolvedDateTime serviceSource=serviceSource severity=alertSeverity status=alertStatus systemTags tenantId threatDisplayName threatFamilyName title',
  activeDirectoryDomainEvidence: 'activeDirectoryDomainName trustedDomains:activeDirectoryDomainEvidence',
  aiAgentEvidence: 'agentId agentName hostingPlatformType=aiAgentPlatform instructions',
  amazonResourceEvidence: 'amazonAccountId amazonResourceId resourceName resourceType',
  analyzedMessageEvidence:
    'antiSpamDirection attachmentsCount deliveryAction deliveryLocation internetMessageId language networkMessageId p1Sender:emailSender p2Sender:emailSender receivedDateTime recipientEmailAddress senderIp subject threatDetectionMethods threats urlCount urls urn',
  azureResourceEvidence: 'resourceId resourceName resourceType',
  blobContainerEvidence: 'name storageResource:azureResourceEvidence url',
  blobEvidence: 'blobContainer:blobContainerEvidence etag fileHashes:fileHash name url',
  cloudApplicationEvidence: 'appId displayName instanceId instanceName saasAppId stream:stream',
  cloudLogonRequestEvidence: 'requestId',
  cloudLogonSessionEvidence:
    'account:userEvidence browser deviceName operatingSystem previousLogonDateTime protocol sessionId startUtcDateTime userAgent',
  containerEvidence:
    'args command containerId image:containerImageEvidence isPrivileged name pod:kubernetesPodEvidence',
  containerImageEvidence: 'digestImage:containerImageEvidence imageId registry:containerRegistryEvidence',
  containerRegistryEvidence: 'registry',
  deviceEvidence:
    'azureAdDeviceId defenderAvStatus=defenderAvStatus deviceDnsName dnsDomain firstSeenDateTime healthStatus=deviceHealthStatus hostName ipInterfaces lastExternalIpAddress lastIpAddress loggedOnUsers:loggedOnUser mdeDeviceId ntDomain onboardingStatus=onboardingStatus osBuild osPlatform rbacGroupId rbacGroupName resourceAccessEvents:resourceAccessEvent riskScore=deviceRiskScore version vmMetadata:vmMetadata',
  dnsEvidence: 'dnsServerIp:ipEvidence domainName hostIpAddress:ipEvidence ipAddresses:ipEvidence',
  fileEvidence: 'detectionStatus=detectionStatus fileDetails:fileDetails mdeDeviceId',
  fileHashEvidence: 'algorithm=fileHashAlgorithm value',
  gitHubOrganizationEvidence: 'company displayName email login orgId webUrl',
  gitHubRepoEvidence: 'baseUrl login owner ownerType repoId',
  gitHubUserEvidence: 'email login name userId webUrl',
  googleCloudResourceEvidence:
    'fullResourceName location locationType=googleCloudLocationType projectId projectNumber resourceName resourceType',
  hostLogonSessionEvidence: 'account:userEvidence endUtcDateTime host:deviceEvidence sessionId startUtcDateTime',
  ioTDeviceEvidence:
    'deviceId deviceName devicePageLink deviceSubType deviceType importance=ioTDeviceImportanceType ioTHub:azureResourceEvidence ioTSecurityAgentId ipAddress:ipEvidence isAuthorized isProgramming isScanner macAddress manufacturer model nics:nicEvidence operatingSystem owners protocols purdueLayer sensor serialNumber site source sourceRef:urlEvidence zone',
  ipEvidence: 'countryLetterCode ipAddress location:geoLocation stream:stream',
  kubernetesClusterEvidence: 'cloudResource:anyEvidence distribution name platform=kubernetesPlatform version',
  kubernetesControllerEvidence: 'labels:dictionary name namespace:kubernetesNamespaceEvidence type',
  kubernetesNamespaceEvidence: 'cluster:kubernetesClusterEvidence labels:dictionary name',
  kubernetesPodEvidence:
    'containers:containerEvidence controller:kubernetesControllerEvidence ephemeralContainers:containerEvidence initContainers:containerEvidence labels:dictionary name namespace:kubernetesNamespaceEvidence podIp:ipEvidence serviceAccount:kubernetesServiceAccountEvidence',
  kubernetesSecretEvidence: 'name namespace:kubernetesNamespaceEvidence secretType',
  kubernetesServiceAccountEvidence: 'name namespace:kubernetesNamespaceEvidence',
  kubernetesServiceEvidence:
    'clusterIP:ipEvidence externalIPs:ipEvidence labels:dictionary name namespace:kubernetesNamespaceEvidence selector:dictionary servicePorts:kubernetesServicePort serviceType=kubernetesServiceType',
  mailboxConfigurationEvidence:
    'configurationId configurationType=mailboxConfigurationType displayName externalDirectoryObjectId mailboxPrimaryAddress upn',
  mailboxEvidence: 'displayName primaryAddress upn userAccount:userAccount',
  mailClusterEvidence: 'clusterBy clusterByValue emailCount networkMessageIds query urn',
  malwareEvidence: 'category files:fileEvidence name processes:processEvidence',
  networkConnectionEvidence:
    'destinationAddress:ipEvidence destinationPort protocol=protocolType sourceAddress:ipEvidence sourcePort',
  nicEvidence: 'ipAddress:ipEvidence macAddress vlans',
  oauthApplicationEvidence: 'appId displayName objectId publisher',
  processEvidence:
    'detectionStatus=detectionStatus imageFile:fileDetails mdeDeviceId parentProcessCreationDateTime parentProcessId parentProcessImageFile:fileDetails processCommandLine processCreationDateTime processId userAccount:userAccount',
  registryKeyEvidence: 'registryHive registryKey',
  registryValueEvidence: 'mdeDeviceId registryHive registryKey registryValue registryValueName registryValueType',
  sasTokenEvidence:
    'allowedIpAddresses allowedResourceTypes allowedServices expiryDateTime permissions protocol signatureHash signedWith startDateTime storageResource:azureResourceEvidence',
  securityGroupEvidence: 'activeDirectoryObjectGuid displayName distinguishedName friendlyName securityGroupId sid',
  servicePrincipalEvidence:
    'appId appOwnerTenantId servicePrincipalName servicePrincipalObjectId servicePrincipalType=servicePrincipalType tenantId',
  submissionMailEvidence:
    'networkMessageId recipient reportType sender senderIp subject submissionDateTime submissionId submitter',
  teamsMessageEvidence:
    'campaignId channelId deliveryAction=teamsMessageDeliveryAction deliveryLocation=teamsDeliveryLocation files:fileEvidence groupId isExternal isOwned lastModifiedDateTime messageDirection=antispamTeamsDirection messageId owningTenantId parentMessageId receivedDateTime recipients senderFromAddress senderIP sourceAppName sourceId subject suspiciousRecipients threadId threadType urls:urlEvidence',
  urlEvidence: 'url',
  userEvidence: 'stream:stream userAccount:userAccount',
  alertComment: 'comment createdByDisplayName createdDateTime',
  emailSender: 'displayName domainName emailAddress',
  fileHash: 'algorithm=fileHashAlgorithm value',
  stream: 'name',
  loggedOnUser: 'accountName domainName',
  resourceAccessEvent: 'accessDateTime accountId ipAddress resourceIdentifier',
  vmMetadata: 'cloudProvider=vmCloudProvider resourceId subscriptionId vmId',
  fileDetails: 'fileName filePath filePublisher fileSize issuer md5 sha1 sha256 sha256Ac signer',
  geoLocation: 'city countryName latitude longitude state',
  kubernetesServicePort: 'appProtocol name nodePort port protocol=containerPortProtocol targetPort',
  userAccount:
    'accountName activeDirectoryObjectGuid azureAdUserId displayName domainName resourceAccessEvents:resourceAccessEvent tenantId userPrincipalName userSid',

  // of the legacy list; riskScore is sent beside what the metadata has
  legacyAlert:
    'id riskScore activityGroupName alertDetections:alertDetection assignedTo azureSubscriptionId azureTenantId category closedDateTime cloudAppStates:cloudAppSecurityState comments confidence createdDateTime description detectionIds eventDateTime feedback=alertFeedback fileStates:fileSecurityState historyStates:alertHistoryState hostStates:hostSecurityState incidentIds investigationSecurityStates:investigationSecurityState lastEventDateTime lastModifiedDateTime malwareStates:malwareState messageSecurityStates:messageSecurityState networkConnections:legacyNetworkConnection processes:legacyProcess recommendedActions registryKeyStates:registryKeyState securityResources:securityResource severity=alertSeverity sourceMaterials status=legacyAlertStatus tags title triggers:alertTrigger uriClickSecurityStates:uriClickSecurityState userStates:userSecurityState vendorInformation:securityVendorInformation vulnerabilityStates:vulnerabilityState',
  alertDetection: 'detectionType method name',
  alertHistoryState: 'appId assignedTo comments feedback=alertFeedback status=legacyAlertStatus updatedDateTime user',
  alertTrigger: 'name type value',
  cloudAppSecurityState: 'destinationServiceIp destinationServiceName riskScore',
  legacyFileHash: 'hashType=fileHashType hashValue',
  fileSecurityState: 'fileHash:legacyFileHash name path riskScore',
  hostSecurityState:
    'fqdn isAzureAdJoined isAzureAdRegistered isHybridAzureDomainJoined netBiosName os privateIpAddress publicIpAddress riskScore',
  investigationSecurityState: 'name status',
  malwareState: 'category family name severity wasRunning',
  messageSecurityState:
    'connectingIP deliveryAction deliveryLocation directionality internetMessageId messageFingerprint messageReceivedDateTime messageSubject networkMessageId',
  legacyNetworkConnection:
    'applicationName destinationAddress destinationDomain destinationLocation destinationPort destinationUrl direction=connectionDirection domainRegisteredDateTime localDnsName natDestinationAddress natDestinationPort natSourceAddress natSourcePort protocol=securityNetworkProtocol riskScore sourceAddress sourceLocation sourcePort status=connectionStatus urlParameters',
  legacyProcess:
    'accountName commandLine createdDateTime fileHash:legacyFileHash integrityLevel=processIntegrityLevel isElevated name parentProcessCreatedDateTime parentProcessId parentProcessName path processId',
  registryKeyState:
    'hive=registryHive key oldKey oldValueData oldValueName operation=registryOperation processId valueData valueName valueType=registryValueType',
  securityResource: 'resource resourceType=securityResourceType',
  userSecurityState:
    'aadUserId accountName domainName emailRole=emailRole isVpn logonDateTime logonId logonIp logonLocation logonType=logonType onPremisesSecurityIdentifier riskScore userAccountType=userAccountSecurityType userPrincipalName',
  securityVendorInformation: 'provider providerVersion subProvider vendor',
  uriClickSecurityState: 'clickAction clickDateTime id sourceId uriDomain verdict',
  vulnerabilityState: 'cve severity wasRunning',
}

const WORDS: Readonly<Record<string, string>> = {
  alertClassification: 'unknown falsePositive truePositive informationalExpectedActivity benignPositive',
  detectionSource:
    'unknown microsoftDefenderForEndpoint antivirus smartScreen customTi microsoftDefenderForOffice365 automatedInvestigation microsoftThreatExperts customDetection microsoftDefenderForIdentity cloudAppSecurity microsoft365Defender azureAdIdentityProtection manual microsoftDataLossPrevention appGovernancePolicy appGovernanceDetection microsoftDefenderForCloud microsoftDefenderForIoT microsoftDefenderForServers microsoftDefenderForStorage microsoftDefenderForDNS microsoftDefenderForDatabases microsoftDefenderForContainers microsoftDefenderForNetwork microsoftDefenderForAppService microsoftDefenderForKeyVault microsoftDefenderForResourceManager microsoftDefenderForApiManagement nrtAlerts scheduledAlerts microsoftDefenderThreatIntelligenceAnalytics builtInMl microsoftInsiderRiskManagement microsoftThreatIntelligence microsoftDefenderForAIServices securityCopilot microsoftSentinel',
  alertDetermination:
    'unknown apt malware securityPersonnel securityTesting unwantedSoftware other multiStagedAttack compromisedAccount phishing maliciousUserActivity notMalicious notEnoughDataToValidate confirmedActivity lineOfBusinessApplication compromisedUser clean insufficientData confirmedUserActivity',
  investigationState:
    'unknown terminated successfullyRemediated benign failed partiallyRemediated running pendingApproval pendingResource queued innerFailure preexistingAlert unsupportedOs unsupportedAlertType suppressedAlert partiallyInvestigated terminatedByUser terminatedBySystem',
  serviceSource:
    'unknown microsoftDefenderForEndpoint microsoftDefenderForIdentity microsoftDefenderForCloudApps microsoftDefenderForOffice365 microsoft365Defender azureAdIdentityProtection microsoftAppGovernance dataLossPrevention microsoftDefenderForCloud microsoftSentinel microsoftInsiderRiskManagement microsoftThreatIntelligence microsoftSecurityForAI',
  alertSeverity: 'unknown informational low medium high',
  alertStatus: 'unknown new inProgress resolved',
  aiAgentPlatform: 'unknown azureAIFoundry copilotStudio copilot',
  defenderAvStatus: 'notReporting disabled notUpdated updated unknown notSupported',
  deviceHealthStatus: 'active inactive impairedCommunication noSensorData noSensorDataImpairedCommunication unknown',
  onboardingStatus: 'insufficientInfo onboarded canBeOnboarded unsupported',
  deviceRiskScore: 'none informational low medium high',
  detectionStatus: 'detected blocked prevented',
  fileHashAlgorithm: 'unknown md5 sha1 sha256 sha256ac',
  googleCloudLocationType: 'unknown regional zonal global',
  ioTDeviceImportanceType: 'unknown low normal high',
  kubernetesPlatform: 'unknown aks eks gke arc',
  kubernetesServiceType: 'unknown clusterIP externalName nodePort loadBalancer',
  mailboxConfigurationType: 'mailForwardingRule owaSettings ewsSettings mailDelegation userInboxRule',
  protocolType: 'tcp udp',
  servicePrincipalType: 'unknown application managedIdentity legacy',
  teamsMessageDeliveryAction: 'unknown deliveredAsSpam delivered blocked replaced',
  teamsDeliveryLocation: 'unknown teams quarantine failed',
  antispamTeamsDirection: 'unknown inbound outbound intraorg',
  vmCloudProvider: 'unknown azure',
  containerPortProtocol: 'udp tcp sctp',
  evidenceRemediationStatus:
    'none remediated prevented blocked notFound active pendingApproval declined unremediated running partiallyRemediated',
  evidenceRole:
    'unknown contextual scanned source destination created added compromised edited attacked attacker commandAndControl loaded suspicious policyViolator',
  evidenceVerdict: 'unknown suspicious malicious noThreatsFound',

  // of the legacy list
  alertFeedback: 'unknown truePositive falsePositive benignPositive',
  legacyAlertStatus: 'unknown newAlert inProgress resolved dismissed',
  fileHashType: 'unknown sha1 sha256 md5 authenticodeHash256 lsHash ctph',
  connectionDirection: 'unknown inbound outbound',
  securityNetworkProtocol:
    'unknown ip icmp igmp ggp ipv4 tcp pup udp idp ipv6 ipv6RoutingHeader ipv6FragmentHeader ipSecEncapsulatingSecurityPayload ipSecAuthenticationHeader icmpV6 ipv6NoNextHeader ipv6DestinationOptions nd raw ipx spx spxII',
  connectionStatus: 'unknown attempted succeeded blocked failed',
  processIntegrityLevel: 'unknown untrusted low medium high system',
  registryHive:
    'unknown currentConfig currentUser localMachineSam localMachineSecurity localMachineSoftware localMachineSystem usersDefault',
  registryOperation: 'unknown create modify delete',
  securityResourceType: 'unknown attacked related',
  emailRole: 'unknown sender recipient',
  logonType: 'unknown interactive remoteInteractive network batch service',
  userAccountSecurityType: 'unknown standard power administrator',
  registryValueType:
    'unknown binary dword dwordLittleEndian dwordBigEndian expandSz link multiSz none qword qwordlittleEndian sz',
}

/** Without the name of a type it holds whatever a customer or Microsoft puts there: names of members are data too. */
export const OPEN = 'dictionary'

const words: ReadonlyMap<string, ReadonlySet<string>> = new Map(
  Object.entries(WORDS).map(([name, all]) => [name, new Set(all.toLowerCase().split(' '))]),
)

export const knownTypes: ReadonlyMap<string, KnownType> = new Map(
  Object.entries(TYPES).map(([name, members]) => [
    name,
    typeOf(name.endsWith('Evidence') ? `${EVIDENCE_BASE} ${members}` : members),
  ]),
)

/** What every kind of evidence has, also one that is not known. */
export const anyEvidence = typeOf(EVIDENCE_BASE)

function typeOf(text: string): KnownType {
  const members = text.split(' ').map(word => {
    const [, name = '', sign = '', of = ''] = /^(\w+)([:=]?)(\w*)$/.exec(word) ?? []
    return { name, sign, of }
  })
  return {
    members: new Set(members.map(({ name }) => name)),
    types: new Map(members.filter(({ sign }) => sign === ':').map(({ name, of }) => [name, of])),
    words: new Map(
      members.filter(({ sign }) => sign === '=').map(({ name, of }) => [name, words.get(of) ?? new Set<string>()]),
    ),
  }
}
