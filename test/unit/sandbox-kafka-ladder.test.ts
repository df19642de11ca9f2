import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { useGiven } from '../../sandbox/kafka/given.ts'
import { climb } from '../../sandbox/kafka/ladder.ts'
import type { Attempt, Rung, RungRequest, Stack, StackKind } from '../../sandbox/kafka/stack.ts'
import { fakeBroker } from './sandbox-kafka-broker.ts'

function request(overrides: Partial<RungRequest> = {}): RungRequest & { said: string[] } {
  const said: string[] = []
  const extra = { listeners: {}, properties: {}, files: {} }
  return {
    brokers: 1,
    extra,
    env: {},
    signal: new AbortController().signal,
    say: line => said.push(line),
    said,
    ...overrides,
  }
}

function stackOf(kind: StackKind): Stack {
  const stop = () => Promise.resolve()
  const tool = () => Promise.resolve('')
  return {
    kind,
    label: 'x',
    brokers: [],
    registryUrl: '',
    nodes: [],
    doors: {},
    tool,
    stop,
    [Symbol.asyncDispose]: stop,
  }
}

const started = (kind: StackKind): Rung => {
  const attempt: Attempt = { kind: 'started', stack: stackOf(kind) }
  return () => Promise.resolve(attempt)
}
const missing = (why: string, remedy: string): Rung => {
  const attempt: Attempt = { kind: 'unavailable', why, remedy }
  return () => Promise.resolve(attempt)
}
const never: Rung = () => Promise.reject(new Error('this rung must not be tried'))

test('a given cluster wins, and nothing is started', async () => {
  const stack = await climb('auto', { given: started('given'), docker: never, jvm: never }, request())
  expect(stack.kind).toBe('given')
})

test('without Docker the stack runs on the JVM, and it is said why', async () => {
  const asked = request()
  const ladder = {
    given: missing('not set', 'set it'),
    docker: missing('no engine', 'install Docker'),
    jvm: started('jvm'),
  }
  const stack = await climb('auto', ladder, asked)
  expect(stack.kind).toBe('jvm')
  expect(asked.said).toContain('not on docker: no engine')
})

test('a rung that breaks midway is passed over in auto mode', async () => {
  const broken: Rung = () => Promise.reject(new Error('port is taken'))
  const asked = request()
  const stack = await climb('auto', { given: missing('', ''), docker: broken, jvm: started('jvm') }, asked)
  expect(stack.kind).toBe('jvm')
  expect(asked.said).toContain('not on docker: port is taken')
})

test('a rung that was asked for by name fails instead of being replaced', async () => {
  const ladder = { given: never, docker: missing('no engine', 'install Docker'), jvm: never }
  await expect(climb('docker', ladder, request())).rejects.toThrow(/docker: no engine[^]*install Docker/)
  const broken: Rung = () => Promise.reject(new Error('port is taken'))
  await expect(climb('jvm', { given: never, docker: never, jvm: broken }, request())).rejects.toThrow('port is taken')
})

test('when nothing works one error says every rung that was tried and everything that would help', async () => {
  const ladder = {
    given: missing('KAFKA_BROKERS is not set', 'set KAFKA_BROKERS'),
    docker: missing('no engine answers', 'install Docker'),
    jvm: missing('no Java >= 21; looked at PATH: no java', 'install Java >= 21 and Maven'),
  }
  await expect(climb('auto', ladder, request())).rejects.toThrow(
    [
      'No Kafka could be started.',
      'Tried:',
      '  given: KAFKA_BROKERS is not set',
      '  docker: no engine answers',
      '  jvm: no Java >= 21; looked at PATH: no java',
      'Any one of these helps:',
      '  - set KAFKA_BROKERS',
      '  - install Docker',
      '  - install Java >= 21 and Maven',
    ].join('\n'),
  )
})

test('an abort is never taken for a rung that does not work', async () => {
  const stopping = new AbortController()
  const aborting: Rung = () => {
    stopping.abort(new Error('stopped by SIGINT'))
    return Promise.reject(new Error('whatever broke because of it'))
  }
  const ladder = { given: missing('', ''), docker: aborting, jvm: never }
  await expect(climb('auto', ladder, request({ signal: stopping.signal }))).rejects.toThrow('stopped by SIGINT')
})

async function registryThatAnswers(status: number): Promise<{ url: string; authorizations: (string | undefined)[] }> {
  const authorizations: (string | undefined)[] = []
  const server = createServer(({ headers }, response) => {
    authorizations.push(headers.authorization)
    response.writeHead(status).end('[]')
  })
  await new Promise<void>(listening => server.listen(0, '127.0.0.1', listening))
  onTestFinished(() => void server.close())
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a TCP server's address is always an AddressInfo
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/apis/ccompat/v7`, authorizations }
}

test('a given cluster is used as it is, when one of its brokers and the registry answer', async () => {
  const broker = await fakeBroker()
  const registry = await registryThatAnswers(200)
  const env = { KAFKA_BROKERS: ` 127.0.0.1:1 , ${broker.address} `, SCHEMA_REGISTRY_URL: registry.url }
  const attempt = await useGiven(request({ env }))
  expect(attempt).toMatchObject({
    kind: 'started',
    stack: { kind: 'given', brokers: ['127.0.0.1:1', broker.address], registryUrl: registry.url, nodes: [] },
  })
})

test('half a given cluster is refused by name', async () => {
  await expect(useGiven(request({ env: { KAFKA_BROKERS: 'a:1' } }))).rejects.toThrow('SCHEMA_REGISTRY_URL is not')
  await expect(useGiven(request({ env: { SCHEMA_REGISTRY_URL: 'http://a' } }))).rejects.toThrow('KAFKA_BROKERS is not')
  expect((await useGiven(request())).kind).toBe('unavailable')
})

test('a given cluster that does not answer is an error, not a reason to start another', async () => {
  const registry = await registryThatAnswers(200)
  const env = { KAFKA_BROKERS: '127.0.0.1:1,nonsense', SCHEMA_REGISTRY_URL: registry.url }
  const ladder = { given: useGiven, docker: never, jvm: never }
  await expect(climb('auto', ladder, request({ env }))).rejects.toThrow(/127\.0\.0\.1:1: .+; nonsense: .+not host:port/)
})

test('a registry URL without its path is refused with a hint, and credentials in it stay out of messages', async () => {
  const broker = await fakeBroker()
  const registry = await registryThatAnswers(404)
  const url = registry.url.replace('http://', 'http://reader:s3cret@')
  const failure = useGiven(request({ env: { KAFKA_BROKERS: broker.address, SCHEMA_REGISTRY_URL: url } }))
  await expect(failure).rejects.toThrow(/answers 404 to GET \/apis\/ccompat\/v7\/subjects; does the URL lack a path/)
  await expect(failure).rejects.not.toThrow(/s3cret/)
  expect(registry.authorizations).toEqual([`Basic ${Buffer.from('reader:s3cret').toString('base64')}`])
})
