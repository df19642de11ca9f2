/** What Kubernetes' objects look like to the tests that judge them. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from './project-files.ts'

export type Labels = Readonly<Record<string, string>>

export interface Selector {
  readonly matchLabels?: Labels
  readonly matchExpressions?: readonly {
    readonly key: string
    readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist'
    readonly values?: readonly string[]
  }[]
}

export interface KubeObject {
  apiVersion: string
  kind: string
  metadata: { name: string; namespace?: string; labels?: Record<string, string> }
  spec?: Record<string, unknown>
  data?: Record<string, string>
}

interface Probe {
  readonly httpGet?: { readonly path: string; readonly port: string | number }
  readonly tcpSocket?: { readonly port: string | number }
}

export interface Container {
  name: string
  image: string
  args?: string[]
  env?: { name: string; value?: string; valueFrom?: { secretKeyRef?: unknown } }[]
  envFrom?: { configMapRef?: { name: string }; secretRef?: { name: string } }[]
  ports?: { name?: string; containerPort: number; hostPort?: number }[]
  startupProbe?: Probe
  livenessProbe?: Probe
  readinessProbe?: Probe
  resources?: { requests?: Record<string, string>; limits?: Record<string, string> }
  securityContext?: {
    privileged?: boolean
    allowPrivilegeEscalation?: boolean
    readOnlyRootFilesystem?: boolean
    runAsNonRoot?: boolean
    runAsUser?: number
    seccompProfile?: { type: string }
    capabilities?: { add?: string[]; drop?: string[] }
  }
  volumeMounts?: { name: string; mountPath: string; readOnly?: boolean }[]
}

interface KeyToPath {
  readonly key: string
  readonly path: string
}

interface Source {
  readonly secret?: { readonly name: string; readonly optional?: boolean; readonly items?: readonly KeyToPath[] }
  readonly serviceAccountToken?: { readonly path: string; readonly audience?: string }
}

export interface Volume {
  name: string
  secret?: { secretName: string; optional?: boolean }
  configMap?: { name: string }
  projected?: { sources: Source[] }
  emptyDir?: { sizeLimit?: string }
  hostPath?: unknown
}

export interface PodSpec {
  serviceAccountName?: string
  automountServiceAccountToken?: boolean
  enableServiceLinks?: boolean
  terminationGracePeriodSeconds?: number
  hostNetwork?: boolean
  hostPID?: boolean
  hostIPC?: boolean
  securityContext?: { runAsNonRoot?: boolean; runAsUser?: number; seccompProfile?: { type: string }; sysctls?: unknown }
  topologySpreadConstraints?: { labelSelector: Selector }[]
  initContainers?: Container[]
  containers: Container[]
  volumes?: Volume[]
}

/** What runs pods, with the pod that it makes. */
export interface Workload {
  readonly kind: string
  readonly name: string
  readonly selector: Selector | null
  readonly replicas: number
  readonly labels: Labels
  readonly pod: PodSpec
}

export function ofKind(objects: readonly KubeObject[], kind: string): KubeObject[] {
  return objects.filter(object => object.kind === kind)
}

/** The pods are the objects' own: a change of one changes the other. */
export function workloads(objects: readonly KubeObject[]): Workload[] {
  return objects.flatMap(({ kind, metadata: { name }, spec }) => {
    const made = spec as {
      selector?: Selector
      replicas?: number
      template: Template
      jobTemplate: { spec: { template: Template } }
    }
    switch (kind) {
      case 'Deployment':
      case 'StatefulSet':
        return [workload(kind, name, made.selector ?? null, made.replicas ?? 1, made.template)]
      case 'Job':
        return [workload(kind, name, null, 1, made.template)]
      case 'CronJob':
        return [workload(kind, name, null, 1, made.jobTemplate.spec.template)]
      default:
        return []
    }
  })
}

interface Template {
  readonly metadata: { readonly labels: Labels }
  readonly spec: PodSpec
}

function workload(
  kind: string,
  name: string,
  selector: Selector | null,
  replicas: number,
  template: Template,
): Workload {
  return { kind, name, selector, replicas, labels: template.metadata.labels, pod: template.spec }
}

export function containers({ pod }: Workload): Container[] {
  return [...(pod.initContainers ?? []), ...pod.containers]
}

export function matches({ matchLabels = {}, matchExpressions = [] }: Selector, labels: Labels): boolean {
  const equal = Object.entries(matchLabels).every(([key, value]) => labels[key] === value)
  const fits = matchExpressions.every(({ key, operator, values = [] }) => {
    const value = labels[key]
    switch (operator) {
      case 'In':
        return value !== undefined && values.includes(value)
      case 'NotIn':
        return value === undefined || !values.includes(value)
      case 'Exists':
        return value !== undefined
      case 'DoesNotExist':
        return value === undefined
    }
  })
  return equal && fits
}

/** The spec; what it looks like, its schema has checked. */
export function specOf({ kind, metadata, spec }: KubeObject): unknown {
  if (spec === undefined) throw new Error(`${kind} ${metadata.name} has no spec`)
  return spec
}

/** One of them, or a word about what is missing. */
export function one<T>(found: readonly T[], what: string): T {
  const [first] = found
  if (first === undefined || found.length > 1) throw new Error(`${found.length} of ${what}, expected one`)
  return first
}

export function exists(path: string): boolean {
  return existsSync(join(ROOT, path))
}
