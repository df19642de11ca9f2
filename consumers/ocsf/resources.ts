import { type Attributes, attributes, type Members } from './members.ts'
import { idText, ip, text } from './reads.ts'

interface Kind {
  readonly words: string
  readonly name?: string
  readonly uid?: string
  readonly uidAlt?: string
  /** Where Graph says itself which kind it is. */
  readonly type?: string
}

/** By the name in `@odata.type`, in lower case: what has a name or an id and no object of its own in OCSF. */
const KINDS: ReadonlyMap<string, Kind> = new Map<string, Kind>([
  ['activedirectorydomain', { words: 'Active Directory domain', name: 'activeDirectoryDomainName' }],
  ['aiagent', { words: 'AI agent', name: 'agentName', uid: 'agentId' }],
  ['amazonresource', { words: 'AWS resource', name: 'resourceName', uid: 'amazonResourceId', type: 'resourceType' }],
  ['azureresource', { words: 'Azure resource', name: 'resourceName', uid: 'resourceId', type: 'resourceType' }],
  [
    'googlecloudresource',
    { words: 'Google Cloud resource', name: 'resourceName', uid: 'fullResourceName', type: 'resourceType' },
  ],
  ['blob', { words: 'Blob', name: 'name', uid: 'url' }],
  ['blobcontainer', { words: 'Blob container', name: 'name', uid: 'url' }],
  ['cloudapplication', { words: 'Cloud application', name: 'displayName', uid: 'appId' }],
  ['oauthapplication', { words: 'OAuth application', name: 'displayName', uid: 'appId', uidAlt: 'objectId' }],
  [
    'serviceprincipal',
    { words: 'Service principal', name: 'servicePrincipalName', uid: 'servicePrincipalObjectId', uidAlt: 'appId' },
  ],
  ['securitygroup', { words: 'Security group', name: 'displayName', uid: 'securityGroupId', uidAlt: 'sid' }],
  ['containerimage', { words: 'Container image', uid: 'imageId' }],
  ['containerregistry', { words: 'Container registry', name: 'registry' }],
  ['githuborganization', { words: 'GitHub organization', name: 'login', uid: 'orgId' }],
  ['githubrepo', { words: 'GitHub repository', name: 'baseUrl', uid: 'repoId' }],
  ['githubuser', { words: 'GitHub user', name: 'login', uid: 'userId' }],
  ['kubernetescluster', { words: 'Kubernetes cluster', name: 'name' }],
  ['kubernetescontroller', { words: 'Kubernetes controller', name: 'name' }],
  ['kubernetesnamespace', { words: 'Kubernetes namespace', name: 'name' }],
  ['kubernetespod', { words: 'Kubernetes pod', name: 'name' }],
  ['kubernetessecret', { words: 'Kubernetes secret', name: 'name' }],
  ['kubernetesservice', { words: 'Kubernetes service', name: 'name' }],
  ['kubernetesserviceaccount', { words: 'Kubernetes service account', name: 'name' }],
  ['mailcluster', { words: 'Mail cluster', name: 'clusterByValue', uid: 'urn' }],
  ['malware', { words: 'Malware', name: 'name' }],
  ['nic', { words: 'Network interface', uid: 'macAddress' }],
  ['teamsmessage', { words: 'Teams message', uid: 'messageId' }],
])

export function resources(type: string, from: Members): readonly Attributes[] | undefined {
  const kind = KINDS.get(type)
  if (kind === undefined) return undefined
  const found = from.part(m => {
    const taken = (member: string | undefined) => (member === undefined ? undefined : m.take(member, idText))
    return attributes(
      {
        name: taken(kind.name),
        uid: taken(kind.uid),
        uid_alt: taken(kind.uidAlt),
        type: (kind.type === undefined ? undefined : m.take(kind.type, text)) ?? kind.words,
        namespace: namespace(m),
        ip: m.within('podIp', inner => inner.take('ipAddress', ip)),
      },
      'name',
      'uid',
    )
  })
  return found === undefined ? undefined : [found]
}

/** Only looked at: the namespace and its cluster stay whole beside it. */
function namespace(m: Members): string | undefined {
  return m.peek('namespace', value =>
    typeof value === 'object' && value !== null && 'name' in value ? text(value.name) : undefined,
  )
}
