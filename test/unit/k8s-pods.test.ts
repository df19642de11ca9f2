import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import versions from '../../sandbox/kafka/versions.json' with { type: 'json' }
import { variant, variants } from './k8s-build.ts'
import type { Container, Selector, Workload } from './k8s-kit.ts'
import { containers, ofKind, one, specOf, workloads } from './k8s-kit.ts'
import { rules } from './k8s-rules.ts'
import { ROOT } from './project-files.ts'

describe('every pod keeps the rules', () => {
  describe.each(rules)('$name', ({ find, spoilt }) => {
    test.each(variants)('in %s', name => expect(find(variant(name))).toEqual([]))

    test.each(['dev', 'prod'])('and a breach in %s is found', name => {
      for (const [index, spoil] of spoilt.entries()) {
        const objects = variant(name)
        spoil(objects)
        expect(find(objects), `breach ${index}`).not.toEqual([])
      }
    })
  })
})

interface PodMonitor {
  readonly selector: Selector
  readonly jobLabel: string
  readonly podMetricsEndpoints: readonly unknown[]
}

describe('the workers', () => {
  const workers = (name: string): readonly Workload[] => {
    const found = workloads(variant(name)).filter(
      ({ kind, name }) => kind === 'Deployment' && name.startsWith('socos-'),
    )
    expect(found.map(worker => worker.name)).toEqual(['socos-forwarder', 'socos-poller'])
    return found
  }

  test.each(variants)('are asked by the paths that they serve, on the port that is the default, in %s', name => {
    const health = readFileSync(join(ROOT, 'platform/health.ts'), 'utf8')
    for (const worker of workers(name)) {
      const { startupProbe, livenessProbe, readinessProbe, ports } = one(containers(worker), 'containers')
      const paths = [startupProbe, livenessProbe, readinessProbe].map(probe => probe?.httpGet?.path ?? '')
      expect(paths).toEqual(['/startupz', '/livez', '/readyz'])
      for (const path of paths) expect(health).toContain(`'${path}'`)
      expect(ports).toEqual([{ name: 'http', containerPort: 8080 }])
    }
  })

  test.each(variants)('are rolled out one at a time, and never to zero, in %s', name => {
    const deployments = ofKind(variant(name), 'Deployment').filter(({ metadata }) => metadata.name.startsWith('socos-'))
    expect(deployments.map(({ metadata }) => metadata.name)).toEqual(['socos-forwarder', 'socos-poller'])
    for (const { spec } of deployments) {
      expect(spec?.['strategy']).toEqual({ type: 'RollingUpdate', rollingUpdate: { maxSurge: 0, maxUnavailable: 1 } })
      expect(spec?.['minReadySeconds']).toBeGreaterThan(0)
      // KEDA counts where it is
      const scaled = ofKind(variant(name), 'ScaledObject').length > 0 && spec?.['replicas'] === undefined
      expect(scaled || Number(spec?.['replicas']) > 1).toBe(true)
    }
  })

  test.each(variants)('are spread over zones and nodes without being held up by it, in %s', name => {
    for (const { pod } of workers(name)) {
      expect(pod.topologySpreadConstraints).toMatchObject([
        { topologyKey: 'topology.kubernetes.io/zone', whenUnsatisfiable: 'ScheduleAnyway' },
        { topologyKey: 'kubernetes.io/hostname', whenUnsatisfiable: 'ScheduleAnyway' },
      ])
    }
  })

  test('are scraped under the name of their side', () => {
    const monitors = ofKind(variant('prod'), 'PodMonitor')
    const jobs = monitors.map(monitor => {
      const { selector, jobLabel, podMetricsEndpoints } = specOf(monitor) as PodMonitor
      expect(podMetricsEndpoints).toMatchObject([{ port: 'http', path: '/metrics' }])
      return selector.matchLabels?.[jobLabel]
    })
    expect(jobs).toEqual(['forwarder', 'poller'])
  })
})

describe('the images', () => {
  const images = (name: string) =>
    new Set(
      workloads(variant(name))
        .flatMap(containers)
        .map((found: Container) => found.image),
    )
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string }

  test('of dev are ours, and the Kafka and registry that everything else is tested with', () => {
    const { kafka, registry } = versions.images
    const ours = ['socos-graph-pipeline', 'socos-graph-pipeline-sandbox'].map(name => `${name}:${version}`)
    expect(images('dev')).toEqual(new Set([kafka, registry, ...ours]))
  })

  test('of dev say their version, which restarts no Kafka and no registry', () => {
    const all = variant('dev')
    for (const { kind, metadata } of all) {
      expect(metadata.labels?.['app.kubernetes.io/version'], `${kind} ${metadata.name}`).toBe(version)
    }
    const pods = workloads(all).filter(({ name }) => name === 'kafka' || name === 'registry')
    expect(pods.map(({ labels }) => labels['app.kubernetes.io/version'])).toEqual([undefined, undefined])
  })

  test('of prod are ours, and of our version', () => {
    expect(images('prod')).toEqual(new Set([`images.example/socos-graph-pipeline:${version}`]))
    for (const { labels } of workloads(variant('prod'))) expect(labels['app.kubernetes.io/version']).toBe(version)
    const [kafka] = ofKind(variant('prod'), 'Kafka')
    expect(kafka?.spec?.['kafka']).toMatchObject({ version: versions.kafka })
  })
})
