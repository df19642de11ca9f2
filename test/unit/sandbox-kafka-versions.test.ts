import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import versions from '../../sandbox/kafka/versions.json' with { type: 'json' }

const root = join(import.meta.dirname, '../..')

test('the images are of the versions that the jars have', () => {
  expect(versions.images.kafka).toBe(`apache/kafka:${versions.kafka}`)
  expect(versions.images.registry).toBe(`apicurio/apicurio-registry:${versions.apicurio}`)
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
