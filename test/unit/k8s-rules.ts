/**
 * What we ask of every pod beyond its schema: each rule with what breaks it, so that none can go blind unnoticed.
 * Longer than the rule because it is a table.
 */
import type { Container, KubeObject, Volume, Workload } from './k8s-kit.ts'
import { containers, exists, matches, ofKind, workloads } from './k8s-kit.ts'

export interface Rule {
  readonly name: string
  /** What breaks it, in words. */
  readonly find: (objects: readonly KubeObject[]) => readonly string[]
  /** Each breaks the rule by itself, in any variant. */
  readonly spoilt: readonly ((objects: KubeObject[]) => void)[]
}

const OURS = /^(?:[\w.-]+\/)?socos-graph-pipeline(?:-sandbox)?[:@]/

/** The field of each pod or container that is not as it must be. */
function bad(objects: readonly KubeObject[], check: (workload: Workload) => readonly (string | false)[]): string[] {
  return workloads(objects).flatMap(workload =>
    check(workload)
      .filter(found => found !== false)
      .map(found => `${workload.kind} ${workload.name}: ${found}`),
  )
}

function badContainers(
  objects: readonly KubeObject[],
  check: (container: Container, workload: Workload) => readonly (string | false)[],
): string[] {
  return bad(objects, workload =>
    containers(workload).flatMap(container =>
      check(container, workload).map(found => found !== false && `${container.name}: ${found}`),
    ),
  )
}

/** Changes the first container of the first pod. */
function spoilContainer(change: (container: Container) => void): (objects: KubeObject[]) => void {
  return objects => {
    const [first] = workloads(objects).filter(({ pod }) => pod.containers.some(({ image }) => OURS.test(image)))
    const [container] = first?.pod.containers ?? []
    if (container) change(container)
  }
}

function spoilPod(change: (workload: Workload['pod']) => void): (objects: KubeObject[]) => void {
  return objects =>
    workloads(objects)
      .slice(0, 1)
      .forEach(({ pod }) => change(pod))
}

const VOLUMES = [
  'configMap',
  'csi',
  'downwardAPI',
  'emptyDir',
  'ephemeral',
  'persistentVolumeClaim',
  'projected',
  'secret',
]

export const rules: readonly Rule[] = [
  {
    name: 'Pod Security restricted',
    find: objects => [
      ...bad(objects, ({ pod }) => [
        pod.hostNetwork === true && 'is on the network of the host',
        pod.hostPID === true && 'sees the processes of the host',
        pod.hostIPC === true && 'shares memory with the host',
        pod.securityContext?.sysctls !== undefined && 'sets sysctls',
        ...(pod.volumes ?? []).map(volume => oddVolume(volume)),
      ]),
      ...badContainers(objects, ({ securityContext: own, ports }, { pod: { securityContext: all } }) => [
        own?.privileged === true && 'is privileged',
        own?.allowPrivilegeEscalation !== false && 'may gain privileges',
        !own?.capabilities?.drop?.includes('ALL') && 'keeps capabilities',
        (own?.capabilities?.add ?? []).some(name => name !== 'NET_BIND_SERVICE') && 'adds capabilities',
        (own?.runAsNonRoot ?? all?.runAsNonRoot) !== true && 'may run as root',
        (own?.runAsUser ?? all?.runAsUser) === 0 && 'runs as root',
        !/^(?:RuntimeDefault|Localhost)$/.test((own?.seccompProfile ?? all?.seccompProfile)?.type ?? '') &&
          'has no seccomp profile',
        (ports ?? []).some(({ hostPort }) => hostPort !== undefined) && 'takes a port of the host',
      ]),
      ...ofKind(objects, 'Namespace')
        .filter(({ metadata }) => metadata.labels?.['pod-security.kubernetes.io/enforce'] !== 'restricted')
        .map(({ metadata }) => `Namespace ${metadata.name}: does not enforce it`),
    ],
    spoilt: [
      spoilPod(pod => (pod.hostNetwork = true)),
      spoilPod(pod => (pod.volumes = [{ name: 'host', hostPath: { path: '/' } }])),
      spoilPod(pod => delete pod.securityContext),
      spoilPod(pod => delete pod.securityContext?.seccompProfile),
      spoilPod(pod => Object.assign(pod.securityContext ?? {}, { runAsUser: 0 })),
      spoilContainer(container => delete container.securityContext),
      spoilContainer(container => Object.assign(container.securityContext ?? {}, { privileged: true })),
      spoilContainer(container => Object.assign(container.securityContext ?? {}, { allowPrivilegeEscalation: true })),
      spoilContainer(container => (container.securityContext = { ...container.securityContext, capabilities: {} })),
      objects => ofKind(objects, 'Namespace').forEach(({ metadata }) => delete metadata.labels),
    ],
  },
  {
    name: 'a user with a number, a root file system that nobody writes, no token for the API server',
    find: objects => [
      ...bad(objects, ({ pod }) => [
        typeof pod.securityContext?.runAsUser !== 'number' && 'has no numeric user',
        pod.automountServiceAccountToken !== false && 'gets a token for the API server',
        pod.enableServiceLinks !== false && 'gets a variable of each Service, such as KAFKA_PORT',
        pod.serviceAccountName !== undefined &&
          !ofKind(objects, 'ServiceAccount').some(({ metadata }) => metadata.name === pod.serviceAccountName) &&
          `has no account ${pod.serviceAccountName}`,
      ]),
      ...badContainers(objects, ({ image, securityContext }) => [
        OURS.test(image) && securityContext?.readOnlyRootFilesystem !== true && 'may write to its root file system',
      ]),
      ...bad(objects, ({ pod }) => [
        pod.containers.some(({ image }) => OURS.test(image)) &&
          pod.securityContext?.runAsUser !== 65_532 &&
          'runs as another user than the image was made for',
      ]),
    ],
    spoilt: [
      spoilPod(pod => delete pod.securityContext?.runAsUser),
      spoilPod(pod => delete pod.automountServiceAccountToken),
      spoilPod(pod => delete pod.enableServiceLinks),
      spoilPod(pod => (pod.serviceAccountName = 'somebody')),
      spoilContainer(container => delete container.securityContext?.readOnlyRootFilesystem),
    ],
  },
  {
    name: 'images are pinned',
    find: objects =>
      badContainers(objects, ({ image }) => [
        !/@sha256:[0-9a-f]{64}$|:(?!latest$)[\w.-]*\d[\w.-]*$/.test(image) && `${image} is no fixed version`,
      ]),
    spoilt: [
      spoilContainer(container => (container.image = 'socos-graph-pipeline')),
      spoilContainer(container => (container.image = 'images.example:5000/socos-graph-pipeline')),
      spoilContainer(container => (container.image = 'socos-graph-pipeline:latest')),
    ],
  },
  {
    name: 'every container asks for CPU and memory, has a limit on memory and none on CPU',
    find: objects => [
      ...badContainers(objects, ({ resources: { requests = {}, limits = {} } = {} }) => [
        requests['cpu'] === undefined && 'asks for no CPU',
        requests['memory'] === undefined && 'asks for no memory',
        limits['memory'] === undefined && 'has no limit on memory',
        limits['cpu'] !== undefined && 'is throttled, and would miss heartbeats',
      ]),
      ...bad(objects, ({ pod }) =>
        (pod.volumes ?? []).map(
          ({ name, emptyDir }) => emptyDir !== undefined && emptyDir.sizeLimit === undefined && `${name} is unbounded`,
        ),
      ),
    ],
    spoilt: [
      spoilContainer(container => delete container.resources),
      spoilContainer(container => delete container.resources?.limits),
      spoilContainer(container => Object.assign(container.resources?.limits ?? {}, { cpu: '1' })),
      spoilPod(pod => (pod.volumes = [{ name: 'tmp', emptyDir: {} }])),
    ],
  },
  {
    name: 'no secret stands in the environment',
    find: objects => [
      ...badContainers(objects, ({ env = [], envFrom = [] }) => [
        ...env.map(({ name, valueFrom }) => valueFrom?.secretKeyRef !== undefined && `${name} comes from a Secret`),
        ...env.map(({ name, value }) => value !== undefined && secretName(name) && `${name} looks like a secret`),
        ...envFrom.map(({ secretRef }) => secretRef !== undefined && 'has a whole Secret as its environment'),
      ]),
      ...ofKind(objects, 'ConfigMap').flatMap(({ metadata, data = {} }) =>
        Object.keys(data)
          .filter(secretName)
          .map(key => `ConfigMap ${metadata.name}: ${key} looks like a secret`),
      ),
    ],
    spoilt: [
      spoilContainer(
        container =>
          (container.env = [{ name: 'A', valueFrom: { secretKeyRef: { name: 'socos-engine', key: 'token' } } }]),
      ),
      spoilContainer(container => (container.env = [{ name: 'KAFKA_SASL_PASSWORD', value: 'x' }])),
      spoilContainer(container => (container.envFrom = [{ secretRef: { name: 'socos-engine' } }])),
      objects =>
        ofKind(objects, 'ConfigMap').forEach(config => (config.data = { ...config.data, SCHEMA_REGISTRY_TOKEN: 'x' })),
    ],
  },
  {
    name: 'ports of probes, and programs, are there',
    find: objects =>
      badContainers(objects, (container, { selector, pod }) => {
        const { startupProbe, livenessProbe, readinessProbe, ports = [], image, args = [] } = container
        const probes = [startupProbe, livenessProbe, readinessProbe]
        const staysUp = selector !== null && pod.containers.includes(container)
        return [
          ...probes.map(probe => {
            const port = probe?.httpGet?.port ?? probe?.tcpSocket?.port
            const there = ports.some(({ name, containerPort }) => port === name || port === containerPort)
            return port !== undefined && !there && `is asked on port ${port}, which it does not have`
          }),
          staysUp && probes.includes(undefined) && 'is not asked how it is',
          OURS.test(image) && !exists(args[0] ?? '') && `runs ${args[0]}, which does not exist`,
        ]
      }),
    spoilt: [
      objects =>
        workloads(objects).forEach(({ pod }) =>
          pod.containers.forEach(({ readinessProbe }) =>
            Object.assign(readinessProbe?.httpGet ?? readinessProbe?.tcpSocket ?? {}, { port: 8081 }),
          ),
        ),
      objects =>
        workloads(objects).forEach(({ pod }) => pod.containers.forEach(container => delete container.livenessProbe)),
      spoilContainer(container => (container.args = ['producers/gone.ts'])),
    ],
  },
  {
    name: 'selectors meet what they are meant for',
    find: objects => [
      ...bad(objects, ({ selector, labels, pod }) => [
        selector !== null && !matches(selector, labels) && 'does not select its own pods',
        ...(pod.topologySpreadConstraints ?? []).map(
          ({ labelSelector }) => !matches(labelSelector, labels) && 'is spread among the pods of others',
        ),
      ]),
      ...bad(objects, own => [
        own.selector !== null &&
          workloads(objects).some(other => other.name !== own.name && matches(own.selector ?? {}, other.labels)) &&
          'selects the pods of others',
      ]),
      ...['Service', 'PodDisruptionBudget', 'PodMonitor'].flatMap(kind =>
        ofKind(objects, kind).flatMap(({ metadata, spec }) => {
          const selector = kind === 'Service' ? { matchLabels: spec?.['selector'] } : spec?.['selector']
          const found = workloads(objects).filter(({ labels }) => matches(selector ?? {}, labels))
          return found.length === 1 ? [] : [`${kind} ${metadata.name}: selects ${found.length} workloads`]
        }),
      ),
      ...bad(objects, ({ replicas, labels }) => [
        replicas > 1 &&
          !ofKind(objects, 'PodDisruptionBudget').some(({ spec }) => matches(spec?.['selector'] ?? {}, labels)) &&
          'may be evicted as a whole',
      ]),
    ],
    spoilt: [
      objects =>
        workloads(objects).forEach(({ labels }) => delete (labels as Record<string, string>)['app.kubernetes.io/name']),
      objects => objects.splice(0, objects.length, ...objects.filter(({ kind }) => kind !== 'PodDisruptionBudget')),
      objects =>
        ofKind(objects, 'PodDisruptionBudget').forEach(({ spec }) => Object.assign(spec ?? {}, { selector: {} })),
    ],
  },
  {
    name: 'everything is in the namespace',
    find: objects =>
      objects
        .filter(({ kind, metadata: { namespace } }) => kind !== 'Namespace' && namespace !== 'socos')
        .map(
          ({ kind, metadata }) => `${kind} ${metadata.name}: is in ${metadata.namespace ?? 'whatever is the default'}`,
        ),
    spoilt: [objects => ofKind(objects, 'Deployment').forEach(({ metadata }) => delete metadata.namespace)],
  },
]

function oddVolume(volume: Volume): string | false {
  const odd = Object.keys(volume).filter(key => key !== 'name' && !VOLUMES.includes(key))
  return odd.length > 0 && `has a volume of kind ${odd.join()}`
}

/** PASSWORD, but not PASSWORD_FILE. */
function secretName(name: string): boolean {
  return /(?:PASSWORD|TOKEN|SECRET|CREDENTIALS?|API_?KEY|PRIVATE_?KEY)$/i.test(name)
}
