/** The manifests as Kubernetes would get them: built by kubectl, as delivered and in what the README says one can make of them. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { parseAllDocuments, stringify } from 'yaml'
import type { KubeObject } from './k8s-kit.ts'
import { ROOT } from './project-files.ts'

const FETCHED = join(ROOT, '.cache/kubectl')
const KUSTOMIZE_MAJOR = 5

let found: string | undefined

/** KUBECTL, the one on the PATH, or one that is fetched into .cache/ once. Throws, and says what to do, when there is none. */
function kubectl(): string {
  found ??= [process.env['KUBECTL'] ?? '', 'kubectl', FETCHED].find(canBuild) ?? fetched()
  return found
}

function canBuild(place: string): boolean {
  if (place === '') return false
  try {
    const text = execFileSync(place, ['version', '--client', '-o', 'json'], { encoding: 'utf8', stdio: 'pipe' })
    const { kustomizeVersion } = JSON.parse(text) as { kustomizeVersion?: string }
    return Number(/^v(\d+)/.exec(kustomizeVersion ?? '')?.[1]) >= KUSTOMIZE_MAJOR
  } catch {
    return false
  }
}

function fetched(): string {
  try {
    execFileSync(process.execPath, ['k8s/tools.ts'], { cwd: ROOT, stdio: 'pipe' })
    return FETCHED
  } catch (error) {
    const words =
      'NO KUBECTL: the manifests in k8s/ cannot be tested. Put kubectl 1.27 or newer on the PATH, or set KUBECTL'
    console.error(`\n!!! ${words} !!!\n`)
    throw new Error(words, { cause: error })
  }
}

export const K8S = join(ROOT, 'k8s')

/** A folder with a kustomization, built. */
function build(folder: string): KubeObject[] {
  const text = execFileSync(kubectl(), ['kustomize', folder], { encoding: 'utf8', maxBuffer: 1 << 26 })
  return parseAllDocuments(text, { schema: 'core' }).map(document => document.toJS() as KubeObject)
}

/** A kustomization that is nowhere on disk; `k8s/…` in it means our folder. */
function buildOverlay(kustomization: Readonly<Record<string, unknown>>): KubeObject[] {
  const folder = mkdtempSync(join(tmpdir(), 'socos-k8s-'))
  try {
    const here = relative(folder, K8S)
    const text = stringify({ apiVersion: 'kustomize.config.k8s.io/v1beta1', kind: 'Kustomization', ...kustomization })
    writeFileSync(join(folder, 'kustomization.yaml'), text.replaceAll(/(?<=[ ])k8s\//g, `${here}/`))
    writeFileSync(join(folder, 'tenants.yaml'), readFileSync(join(K8S, 'overlays/prod/tenants.yaml')))
    writeFileSync(join(folder, 'network.yaml'), readFileSync(join(K8S, 'overlays/prod/network.yaml')))
    return build(folder)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** What is delivered, and what the README says that one can make of it. */
const VARIANTS: Readonly<Record<string, () => KubeObject[]>> = {
  dev: () => build(join(K8S, 'overlays/dev')),
  prod: () => build(join(K8S, 'overlays/prod')),
  'prod with keda': () =>
    buildOverlay({ namespace: 'socos', resources: ['k8s/overlays/prod'], components: ['k8s/components/keda'] }),
  'a managed Kafka': () =>
    buildOverlay({
      namespace: 'socos',
      resources: ['k8s/base', 'network.yaml'],
      components: [
        'tenants',
        'kafka-auth',
        'external-secrets',
        'external-secrets-kafka',
        'azure-workload-identity',
      ].map(name => `k8s/components/${name}`),
      images: [{ name: 'socos-graph-pipeline', newTag: '0.1.0' }],
      configMapGenerator: [
        {
          name: 'socos-settings',
          behavior: 'merge',
          literals: ['KAFKA_BROKERS=kafka.example:9093', 'SCHEMA_REGISTRY_URL=https://registry.example'],
        },
        { name: 'socos-forwarder', behavior: 'merge', literals: ['ENGINE_URL=https://engine.example'] },
        { name: 'socos-tenants', files: ['tenants.yaml'] },
      ],
    }),
}
export const variants = Object.keys(VARIANTS)

const built = new Map<string, KubeObject[]>()

/** A copy of its own for each caller. */
export function variant(name: string): KubeObject[] {
  const objects = built.get(name) ?? VARIANTS[name]?.() ?? []
  built.set(name, objects)
  return structuredClone(objects)
}
