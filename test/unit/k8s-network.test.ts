import { BlockList, isIPv4 } from 'node:net'
import { describe, expect, test } from 'vitest'
import { variant, variants } from './k8s-build.ts'
import type { KubeObject, Labels, Selector } from './k8s-kit.ts'
import { matches, ofKind, one, specOf, workloads } from './k8s-kit.ts'

/** A pod of ours by its labels, a pod in another namespace, or an address outside. */
type End =
  | { readonly labels: Labels; readonly namespace?: string; readonly ports?: Readonly<Record<string, number>> }
  | { readonly address: string }

interface Peer {
  readonly podSelector?: Selector
  readonly namespaceSelector?: Selector
  readonly ipBlock?: { readonly cidr: string; readonly except?: readonly string[] }
}

interface Rule {
  readonly from?: readonly Peer[]
  readonly to?: readonly Peer[]
  readonly ports?: readonly { readonly port?: number | string; readonly protocol?: string }[]
}

interface Policy {
  readonly podSelector: Selector
  readonly policyTypes: readonly string[]
  readonly ingress?: readonly Rule[]
  readonly egress?: readonly Rule[]
}

const NAMESPACE = 'socos'

/** What a network that keeps the policies lets through, TCP. Both ends have to agree. */
function allowed(objects: readonly KubeObject[], from: End, to: End, port: number): boolean {
  const policies = ofKind(objects, 'NetworkPolicy').map(({ spec }) => spec as unknown as Policy)
  const side = (own: End, other: End, type: 'Ingress' | 'Egress'): boolean => {
    if ('address' in own || (own.namespace ?? NAMESPACE) !== NAMESPACE) return true
    const about = policies.filter(
      ({ podSelector, policyTypes }) => policyTypes.includes(type) && matches(podSelector, own.labels),
    )
    if (about.length === 0) return true
    const rules = about.flatMap(policy => (type === 'Ingress' ? policy.ingress : policy.egress) ?? [])
    return rules.some(rule => {
      const peers = type === 'Ingress' ? rule.from : rule.to
      const through = (rule.ports ?? [{ port }]).some(
        each => each.protocol !== 'UDP' && numberOf(each.port, to) === port,
      )
      return through && (peers === undefined || peers.some(peer => isPeer(peer, other)))
    })
  }
  return side(from, to, 'Egress') && side(to, from, 'Ingress')
}

function numberOf(port: number | string | undefined, to: End): number | undefined {
  return typeof port === 'string' && 'labels' in to ? to.ports?.[port] : Number(port)
}

function isPeer({ podSelector, namespaceSelector, ipBlock }: Peer, end: End): boolean {
  if ('address' in end) {
    if (ipBlock === undefined) return false
    return within(ipBlock.cidr, end.address) && !(ipBlock.except ?? []).some(cidr => within(cidr, end.address))
  }
  if (ipBlock !== undefined) return false
  const namespace = end.namespace ?? NAMESPACE
  const here = namespaceSelector
    ? matches(namespaceSelector, { 'kubernetes.io/metadata.name': namespace })
    : namespace === NAMESPACE
  return here && matches(podSelector ?? {}, end.labels)
}

function within(cidr: string, address: string): boolean {
  const [net = '', bits = ''] = cidr.split('/')
  if (isIPv4(net) !== isIPv4(address)) return false
  const list = new BlockList()
  const family = isIPv4(net) ? 'ipv4' : 'ipv6'
  list.addSubnet(net, Number(bits), family)
  return list.check(address, family)
}

function pod(objects: readonly KubeObject[], component: string): End {
  const found = workloads(objects).filter(({ name }) => name === component || name === `socos-${component}`)
  const { labels, pod } = one(found, component)
  const ports = pod.containers.flatMap(({ ports = [] }) =>
    ports.map(({ name = '', containerPort }) => [name, containerPort]),
  )
  return { labels, ports: Object.fromEntries(ports) as Record<string, number> }
}

const OURS = ['poller', 'forwarder', 'bootstrap', 'sweep', 'replay', 'tenants'] as const
const ENGINE: End = { address: '192.0.2.10' }
const REGISTRY: End = { address: '192.0.2.20' }
const GRAPH: End = { address: '20.190.159.1' }
const BROKER: End = { labels: { 'strimzi.io/cluster': 'socos', 'strimzi.io/kind': 'Kafka' } }
const SOMEBODY: End = { labels: { app: 'somebody' } }

/** With the policy that Strimzi makes for its brokers out of the listeners. */
function withStrimzi(objects: readonly KubeObject[]): readonly KubeObject[] {
  const { kafka } = specOf(one(ofKind(objects, 'Kafka'), 'Kafka')) as {
    readonly kafka: {
      readonly listeners: readonly { readonly port: number; readonly networkPolicyPeers: readonly Peer[] }[]
    }
  }
  const inner: Rule = {
    from: [{ podSelector: { matchLabels: { 'strimzi.io/cluster': 'socos' } } }],
    ports: [{ port: 9091 }],
  }
  const spec: Policy = {
    podSelector: { matchLabels: { 'strimzi.io/cluster': 'socos', 'strimzi.io/kind': 'Kafka' } },
    policyTypes: ['Ingress'],
    ingress: [
      inner,
      ...kafka.listeners.map(({ port, networkPolicyPeers }) => ({ from: networkPolicyPeers, ports: [{ port }] })),
    ],
  }
  const metadata = { name: 'socos-network-policy-kafka', namespace: NAMESPACE }
  return [...objects, { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata, spec: { ...spec } }]
}

/** Whom of ours it lets through. */
function who(objects: readonly KubeObject[], to: End, port: number): readonly string[] {
  return OURS.filter(name => allowed(objects, pod(objects, name), to, port))
}

describe('the network', () => {
  test.each(variants)('is closed both ways to whoever is not named, in %s', name => {
    const objects = variant(name)
    expect(allowed(objects, SOMEBODY, GRAPH, 443)).toBe(false)
    expect(allowed(objects, SOMEBODY, SOMEBODY, 8080)).toBe(false)
    for (const component of OURS) {
      const own = pod(objects, component)
      expect(allowed(objects, SOMEBODY, own, 8080), component).toBe(false)
      expect(allowed(objects, own, SOMEBODY, 8080), component).toBe(false)
      for (const address of ['169.254.169.254', '10.0.0.1', '192.168.1.1', 'fd00::1', 'fe80::1']) {
        expect(allowed(objects, own, { address }, 443), `${component} ${address}`).toBe(false)
      }
    }
  })

  test.each(variants)('gives everybody DNS, in %s', name => {
    const objects = variant(name)
    const dns: End = { labels: { 'k8s-app': 'kube-dns' }, namespace: 'kube-system' }
    expect(who(objects, dns, 53)).toEqual(OURS)
    expect(who(objects, dns, 443)).toEqual([])
  })

  test.each(variants)('lets only those who read Graph into the internet, and only to https, in %s', name => {
    const objects = variant(name)
    expect(who(objects, GRAPH, 443)).toEqual(['poller', 'sweep'])
    expect(who(objects, { address: '2603:1006::1' }, 443)).toEqual(['poller', 'sweep'])
    expect(who(objects, GRAPH, 80)).toEqual([])
  })

  test.each(variants)('lets monitoring see the metrics of workers, and nothing else, in %s', name => {
    const objects = variant(name)
    const prometheus: End = { labels: {}, namespace: 'monitoring' }
    const seen = OURS.filter(component => allowed(objects, prometheus, pod(objects, component), 8080))
    expect(seen).toEqual(['poller', 'forwarder'])
    expect(allowed(objects, prometheus, pod(objects, 'poller'), 9229)).toBe(false)
    expect(allowed(objects, { labels: {}, namespace: 'default' }, pod(objects, 'poller'), 8080)).toBe(false)
  })

  test.each(variants)(
    'names the protocol of each port, or the next apply from elsewhere is in conflict, in %s',
    name => {
      const ports = ofKind(variant(name), 'NetworkPolicy').flatMap(({ metadata, spec }) => {
        const { ingress = [], egress = [] } = spec as unknown as Policy
        return [...ingress, ...egress].flatMap(rule => (rule.ports ?? []).map(port => ({ of: metadata.name, ...port })))
      })
      expect(ports.length).toBeGreaterThan(0)
      expect(ports.filter(({ protocol }) => protocol === undefined)).toEqual([])
    },
  )

  test('leads in prod to the engine, the registry and Kafka', () => {
    const objects = withStrimzi(variant('prod'))
    // a poller's way into the internet leads there, too, where the engine has a public address
    expect(who(objects, ENGINE, 443)).toEqual(['poller', 'forwarder', 'sweep', 'replay'])
    expect(who(objects, { ...ENGINE, address: '10.1.2.3' }, 443)).toEqual([])
    expect(who(objects, REGISTRY, 443)).toEqual(OURS)
    expect(who(objects, BROKER, 9093)).toEqual(OURS)
    expect(who(objects, BROKER, 9092)).toEqual([])
    expect(allowed(objects, BROKER, BROKER, 9091)).toBe(true)
    expect(allowed(objects, BROKER, GRAPH, 80)).toBe(false)
  })

  test('lets KEDA ask Kafka where KEDA is used', () => {
    const keda: End = { labels: {}, namespace: 'keda' }
    const objects = withStrimzi(variant('prod with keda'))
    expect(allowed(objects, keda, BROKER, 9093)).toBe(true)
    expect(allowed(objects, { labels: {}, namespace: 'other' }, BROKER, 9093)).toBe(false)
    expect(allowed(withStrimzi(variant('prod')), keda, BROKER, 9093)).toBe(false)
  })

  test('is in dev as narrow between the pods', () => {
    const objects = variant('dev')
    const to = (name: string): End => pod(objects, name)
    expect(who(objects, to('kafka'), 9092)).toEqual(OURS)
    expect(who(objects, to('kafka'), 9093)).toEqual([])
    expect(who(objects, to('registry'), 8080)).toEqual(OURS)
    expect(who(objects, to('graph'), 8080)).toEqual(['poller', 'sweep'])
    expect(who(objects, to('engine'), 8080)).toEqual(['forwarder', 'replay'])
    expect(allowed(objects, to('kafka'), to('kafka'), 9092)).toBe(true)
    expect(allowed(objects, to('registry'), to('kafka'), 9092)).toBe(true)
    for (const from of ['graph', 'engine', 'kafka', 'registry']) {
      expect(allowed(objects, to(from), GRAPH, 443), from).toBe(false)
    }
  })

  test('is open when the policy that closes it is gone', () => {
    const objects = variant('dev')
    expect(allowed(objects, GRAPH, SOMEBODY, 8080)).toBe(false)
    const open = objects.filter(({ metadata }) => metadata.name !== 'default-deny')
    expect(allowed(open, GRAPH, SOMEBODY, 8080)).toBe(true)
  })
})
