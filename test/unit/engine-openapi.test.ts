import { readFile } from 'node:fs/promises'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { buildBody } from '../../consumers/engine/body.ts'
import { engineFaultSchema } from '../../sandbox/engine/faults.ts'
import { startEngineSim } from '../../sandbox/engine/sim.ts'
import { item } from './engine-kit.ts'
import { problems, sentOf } from './ocsf-kit.ts'
import { batchOf, itemJson, post, postBody } from './sim-engine-kit.ts'

interface OpenApi {
  readonly openapi: string
  readonly paths: Record<string, { readonly post: Operation }>
  readonly components: { readonly schemas: Record<string, unknown> }
}

interface Operation {
  readonly requestBody: {
    readonly content: Record<string, { readonly examples: Record<string, { readonly value: unknown }> }>
  }
  readonly responses: Record<string, ResponseObject>
}

interface ResponseObject {
  readonly $ref?: string
  readonly description?: string
  readonly content?: Record<string, { readonly examples?: Record<string, { readonly value: unknown }> }>
}

const document = parse(await readFile('schemas/engine.openapi.yaml', 'utf8')) as OpenApi
const operation = document.paths['/v1/alerts:batch']?.post
const ajv = new Ajv2020({ strict: false, allErrors: true })
ajv.addSchema(document, 'engine')

function check(schema: string, content: unknown): unknown {
  const validate = ajv.compile({ $ref: `engine#/components/schemas/${schema}` })
  validate(content)
  return validate.errors ?? 'valid'
}

function resolve(ref: string): unknown {
  const steps = ref.replace(/^#\//, '').split('/')
  return steps.reduce<unknown>((at, step) => (at as Record<string, unknown> | undefined)?.[step], document)
}

describe('the document', () => {
  test('is OpenAPI 3.1, all its references lead somewhere and all its schemas compile', () => {
    expect(document.openapi).toMatch(/^3\.1\./)
    const refs = JSON.stringify(document).match(/"\$ref":"[^"]+"/g) ?? []
    expect(refs.length).toBeGreaterThan(10)
    for (const found of refs) {
      const ref = found.slice('"$ref":"'.length, -1)
      expect(resolve(ref), ref).toBeTypeOf('object')
    }
    for (const name of Object.keys(document.components.schemas)) expect(check(name, undefined)).toBeDefined()
  })

  test('describes every answer and what the sender does with it', () => {
    const responses = Object.entries(operation?.responses ?? {})
    for (const status of [
      '200',
      '202',
      '3XX',
      '400',
      '401',
      '403',
      '404',
      '408',
      '409',
      '413',
      '415',
      '422',
      '429',
      '500',
      '503',
      'default',
    ]) {
      expect(responses.map(([code]) => code)).toContain(status)
    }
    for (const [status, response] of responses) {
      const real = (response.$ref === undefined ? response : resolve(response.$ref)) as ResponseObject
      expect(real.description?.length, status).toBeGreaterThan(20)
    }
  })

  test('has examples that fit its own schemas', () => {
    const requests = Object.values(operation?.requestBody.content['application/json']?.examples ?? {})
    expect(requests.length).toBeGreaterThan(0)
    for (const { value } of requests) expect(check('Batch', value)).toBe('valid')
    const answers = Object.values(operation?.responses['200']?.content?.['application/json']?.examples ?? {})
    expect(answers.length).toBeGreaterThan(0)
    for (const { value } of answers) expect(check('BatchAnswer', value)).toBe('valid')
  })
})

describe('the sender', () => {
  test('writes findings like the one of the document, which OCSF takes', () => {
    const examples = operation?.requestBody.content['application/json']?.examples
    const example = examples?.['finding']?.value as
      | { readonly items: readonly { readonly alert: unknown }[] }
      | undefined
    expect(example?.items.map(({ alert }) => problems(alert))).toEqual([[]])
    const body = buildBody([item(1, JSON.stringify(sentOf({ id: 'da1' })))])
    expect(check('Batch', JSON.parse(body.bytes.toString()))).toBe('valid')
  })

  test('writes bodies that fit, live and replayed', () => {
    const replay = { id: 'op-1', reason: 'new rule', by: 'someone' }
    const body = buildBody([item(1), { ...item(2), replay }])
    expect(check('Batch', JSON.parse(body.bytes.toString()))).toBe('valid')
  })
})

describe('the simulator', () => {
  test.each([
    ['a good item', itemJson(1)],
    ['a replayed item', itemJson(1, { replay: true })],
    ['a bad id', itemJson(1, { id: 'short' })],
    ['a bad version', itemJson(1, { version: '2026-11-23T11:01:00Z' })],
    ['an empty alert id', itemJson(1, { alertId: '' })],
    ['an alert that is no object', itemJson(1, { alert: '[]' })],
    ['no tenant id', itemJson(1, { tenantId: '' })],
  ])('and the schema judge %s alike', async (_, sent) => {
    const sim = await startEngineSim()
    const reply = await post(sim, sent)
    await sim.stop()
    const fits = check('Batch', JSON.parse(batchOf(sent))) === 'valid'
    expect(reply.byId.get(sent.id)).toBe(fits ? 200 : 422)
  })

  test.each(['id', 'tenant', 'alertId', 'version', 'source', 'observedAt', 'alert'])(
    'and the schema both want the member %s',
    async member => {
      const { [member]: _, ...rest } = JSON.parse(itemJson(1).text) as Record<string, unknown>
      const sim = await startEngineSim()
      await postBody(sim, JSON.stringify({ items: [rest] }))
      await sim.stop()
      expect(sim.ledger.items.map(each => each.status)).toEqual([422])
      expect(check('Batch', { items: [rest] })).not.toBe('valid')
    },
  )

  test('answers as the schema says, whatever it is asked and for every readable fault', async () => {
    const sim = await startEngineSim({ maxItems: 3, dedupe: true })
    const answers: [string, string][] = []
    const ask = async (body: string): Promise<void> => {
      const reply = await postBody(sim, body)
      answers.push([reply.byId.size > 0 ? 'BatchAnswer' : 'Problem', reply.text])
    }
    await ask(batchOf(itemJson(1), itemJson(2, { id: itemJson(2).id, version: 'x' })))
    await ask(batchOf(itemJson(1)))
    await ask(batchOf(itemJson(1), itemJson(2), itemJson(3), itemJson(4)))
    await ask('{"items":')
    sim.faults.add({ kind: 'item-status', status: 503 })
    sim.faults.add({ kind: 'unknown-ids' })
    sim.faults.add({ kind: 'missing-items' })
    sim.faults.add({ kind: 'throttle' })
    sim.faults.add({ kind: 'status', status: 500 })
    for (let place = 0; place < 5; place++) await ask(batchOf(itemJson(5), itemJson(6)))
    await sim.stop()
    expect(answers.map(([schema]) => schema)).toContain('BatchAnswer')
    for (const [schema, text] of answers) expect(check(schema, JSON.parse(text)), text).toBe('valid')
  })

  test('has a fault for every kind of answer that the document names', () => {
    const kinds = engineFaultSchema.options.map(option => option.shape.kind.value)
    expect(kinds).toEqual(
      expect.arrayContaining([
        'throttle',
        'status',
        'too-large',
        'refuse-batch',
        'unsupported-encoding',
        'no-items',
        'item-status',
      ]),
    )
  })
})
