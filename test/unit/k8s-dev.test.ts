import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { variant } from './k8s-build.ts'
import type { Container } from './k8s-kit.ts'
import { ofKind, one, specOf, workloads } from './k8s-kit.ts'

interface TenantsFile {
  readonly tenants: readonly {
    readonly tenantId: string
    readonly clientId: string
    readonly credential: { readonly secretFile: string }
  }[]
}

const objects = () => variant('dev')
const container = (name: string): Container =>
  one(
    one(
      workloads(objects()).filter(workload => workload.name === name),
      name,
    ).pod.containers,
    `containers of ${name}`,
  )

/** Runs a simulator with the flags of its container, but on a free port of this machine. */
async function started(name: string, use: (url: string) => Promise<void>): Promise<void> {
  const flags = (container(name).args ?? []).map(arg =>
    arg.replace(/^--host=0\.0\.0\.0$/, '--host=127.0.0.1').replace(/^--port=8080$/, '--port=0'),
  )
  const child = spawn(process.execPath, flags, { stdio: ['ignore', 'pipe', 'inherit'] })
  try {
    const [line] = (await once(child.stdout, 'data')) as [Buffer]
    await use((JSON.parse(line.toString()) as { listening: string }).listening)
  } finally {
    child.kill('SIGKILL')
  }
}

/** As kustomize puts it to the name of what it generates. */
const HASH_SUFFIX = /-[bcdfghkmt2456789]{10}$/

describe('the simulators of dev', () => {
  const data = (kind: string, name: string): Record<string, string> =>
    one(
      ofKind(objects(), kind).filter(({ metadata }) => metadata.name.replace(HASH_SUFFIX, '') === name),
      name,
    ).data ?? {}
  const secret = (name: string, key: string): string =>
    Buffer.from(data('Secret', name)[key] ?? '', 'base64').toString()

  test('know every tenant of the file by its secret', async () => {
    const { tenants } = parse(data('ConfigMap', 'socos-tenants')['tenants.yaml'] ?? '') as TenantsFile
    expect(tenants.length).toBeGreaterThan(1)
    await started('graph', async url => {
      for (const { tenantId, clientId, credential } of tenants) {
        const ask = (clientSecret: string): Promise<Response> =>
          fetch(`${url}/${tenantId}/oauth2/v2.0/token`, {
            method: 'POST',
            body: new URLSearchParams({
              grant_type: 'client_credentials',
              client_id: clientId,
              client_secret: clientSecret,
              scope: 'https://graph.microsoft.com/.default',
            }),
          })
        expect((await ask(secret('socos-tenant-secrets', credential.secretFile))).status).toBe(200)
        expect((await ask('another')).status).toBe(401)
      }
      expect((await fetch(`${url}${container('graph').readinessProbe?.httpGet?.path}`)).status).toBe(200)
    })
  })

  test('take from the forwarder with its token only', async () => {
    await started('engine', async url => {
      const send = (token: string): Promise<Response> =>
        fetch(`${url}/v1/alerts:batch`, {
          method: 'POST',
          headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
          body: '{"items":[]}',
        })
      expect((await send('another')).status).toBe(401)
      expect((await send(secret('socos-engine', 'token'))).status).not.toBe(401)
      expect((await fetch(`${url}${container('engine').readinessProbe?.httpGet?.path}`)).status).toBe(200)
    })
  })

  test('stand under the names that the settings give', () => {
    const services = ofKind(objects(), 'Service').flatMap(service => {
      const { ports } = specOf(service) as { readonly ports: readonly { readonly port: number }[] }
      return ports.map(({ port }) => `${service.metadata.name}:${port}`)
    })
    const values = ofKind(objects(), 'ConfigMap')
      .flatMap(({ data = {} }) => Object.values(data))
      .join('\n')
    for (const service of services) expect(values).toContain(service)
    expect(services.toSorted()).toEqual(['engine:8080', 'graph:8080', 'kafka:9092', 'registry:8080'])
  })
})
