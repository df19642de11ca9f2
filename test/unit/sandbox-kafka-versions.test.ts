import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { z } from 'zod'
import versions from '../../sandbox/kafka/versions.json' with { type: 'json' }

const root = join(import.meta.dirname, '../..')
const Compose = z.object({
  version: z.never().optional(),
  services: z.record(
    z.string(),
    z.object({
      image: z.string().optional(),
      ports: z.array(z.string()).optional(),
      environment: z.record(z.string(), z.union([z.string(), z.number()])).optional(),
    }),
  ),
})

async function compose() {
  return Compose.parse(parse(await readFile(join(root, 'docker-compose.yml'), 'utf8')))
}

test('the images are of the versions that the jars have', () => {
  expect(versions.images.kafka).toBe(`apache/kafka:${versions.kafka}`)
  expect(versions.images.registry).toBe(`apicurio/apicurio-registry:${versions.apicurio}`)
})

test('compose runs the same images, and they can be replaced through the environment', async () => {
  const { services } = await compose()
  expect(services['kafka']?.image).toBe(`\${KAFKA_IMAGE:-${versions.images.kafka}}`)
  expect(services['registry']?.image).toBe(`\${REGISTRY_IMAGE:-${versions.images.registry}}`)
})

test('compose pins every image and opens ports on the loopback only', async () => {
  const { services } = await compose()
  for (const [name, { image, ports }] of Object.entries(services)) {
    if (image !== undefined) expect(image, name).toMatch(/:\d[\w.-]*\}?$|^\$\{\w+:-socos[\w/-]*:[\w.-]+\}$|^socos/)
    for (const port of ports ?? []) expect(port, name).toMatch(/^127\.0\.0\.1:/)
  }
})

test('compose gives Kafka three listeners, each with a protocol, and tells no client of the controller', async () => {
  const environment = (await compose()).services['kafka']?.environment ?? {}
  const names = (value: unknown) =>
    String(value)
      .split(',')
      .map(entry => entry.split(':')[0])
  expect(names(environment['KAFKA_LISTENERS'])).toEqual(['HOST', 'INTERNAL', 'CONTROLLER'])
  expect(names(environment['KAFKA_LISTENER_SECURITY_PROTOCOL_MAP'])).toEqual(['HOST', 'INTERNAL', 'CONTROLLER'])
  expect(names(environment['KAFKA_ADVERTISED_LISTENERS'])).toEqual(['HOST', 'INTERNAL'])
})

test('no Kafka or Apicurio version stands anywhere else in the sandbox', async () => {
  const sources = ['containers.ts', 'docker.ts', 'engine.ts', 'jars.ts', 'jvm.ts', 'ladder.ts', 'pom.xml', 'README.md']
  for (const source of sources) {
    const text = await readFile(join(root, 'sandbox/kafka', source), 'utf8')
    for (const version of [versions.kafka, versions.apicurio, versions.log4j, versions.mavenDependencyPlugin]) {
      expect(text.includes(version), `${source} says ${version}`).toBe(false)
    }
  }
})
