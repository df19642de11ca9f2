import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { startPipeline } from './pipeline/kit.ts'

/** The registry as an operator without our command line would use it. */
async function put(url: string, method: string, path: string, body: object): Promise<number> {
  const response = await fetch(url + path, {
    method,
    headers: { 'content-type': 'application/vnd.schemaregistry.v1+json' },
    body: JSON.stringify(body),
  })
  return response.status
}

test('schemas are registered once, with their compatibility, and a check says what differs', async () => {
  await using pipeline = await startPipeline({ name: 'schemas', graph: { tenants: 1 } })
  const url = pipeline.stack.registryUrl
  const again = await pipeline.socos('schemas', 'register')
  expect(again).toMatchObject({ code: 0 })
  expect(again.out).not.toMatch(/registered, version/)
  expect(await pipeline.socos('schemas', 'check')).toMatchObject({ code: 0 })
  const levels = await fetch(`${url}/config/${pipeline.prefix}alerts-value`)
  expect(await levels.json()).toMatchObject({ compatibilityLevel: 'FULL_TRANSITIVE' })

  // somebody loosened the rule: said, and mended
  const subject = `${pipeline.prefix}deliveries-value`
  expect(await put(url, 'PUT', `/config/${subject}`, { compatibility: 'NONE' })).toBe(200)
  const loose = await pipeline.socos('schemas', 'check')
  expect(loose).toMatchObject({ code: 6 })
  expect(loose.out + loose.err).toContain(subject)
  expect(await pipeline.socos('schemas', 'register')).toMatchObject({ code: 0 })
  expect(await pipeline.socos('schemas', 'check')).toMatchObject({ code: 0 })
})

test('a schema that breaks what is on the topic is refused, naming subject and reason', async () => {
  await using pipeline = await startPipeline({ name: 'schemas-break', graph: { tenants: 1 } })
  const prefix = `${pipeline.prefix}other.`
  const subject = `${prefix}tenants-value`
  const ours = JSON.parse(readFileSync('schemas/tenant.avsc', 'utf8')) as { fields: { name: string; type: unknown }[] }
  const theirs = {
    ...ours,
    fields: ours.fields.map(field => (field.name === 'tenantId' ? { ...field, type: 'long' } : field)),
  }
  const { registryUrl } = pipeline.stack
  expect(await put(registryUrl, 'POST', `/subjects/${subject}/versions`, { schema: JSON.stringify(theirs) })).toBe(200)
  expect(await put(registryUrl, 'PUT', `/config/${subject}`, { compatibility: 'FULL_TRANSITIVE' })).toBe(200)
  const refused = await pipeline.socosWith({ TOPIC_PREFIX: prefix }, 'schemas', 'register')
  expect(refused.code).not.toBe(0)
  expect(refused.err + refused.out).toContain(subject)
  expect(refused.err).not.toMatch(/\n\s+at /)
  expect(await pipeline.socosWith({ TOPIC_PREFIX: prefix }, 'schemas', 'check')).toMatchObject({ code: 6 })
})

test('topics are applied once; a check prints each difference, and apply mends what can be mended', async () => {
  await using pipeline = await startPipeline({ name: 'topics', graph: { tenants: 1 } })
  expect(await pipeline.socos('topics', 'apply')).toMatchObject({ code: 0, out: 'the topics are as they must be\n' })
  expect(await pipeline.socos('topics', 'check')).toMatchObject({ code: 0 })
})
