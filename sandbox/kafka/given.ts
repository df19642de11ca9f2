import { once } from 'node:events'
import { createConnection } from 'node:net'
import { readMetadata, registryStatus, splitAddress } from './probe.ts'
import type { Attempt, RungRequest } from './stack.ts'

const answerTimeoutMs = 10_000
const remedy = 'set KAFKA_BROKERS=host:port,… and SCHEMA_REGISTRY_URL=http://… of a cluster that runs'

/**
 * A cluster somebody else runs. Half a configuration or a cluster that does not answer throws: whoever names a cluster
 * means that one, and not another that the ladder finds.
 */
export async function useGiven({ env, say }: RungRequest): Promise<Attempt> {
  const addresses = (env['KAFKA_BROKERS'] ?? '').split(',').flatMap(part => part.trim() || [])
  const registryUrl = env['SCHEMA_REGISTRY_URL']?.trim() ?? ''
  if (addresses.length === 0 && registryUrl === '') {
    return { kind: 'unavailable', why: 'KAFKA_BROKERS and SCHEMA_REGISTRY_URL are not set', remedy }
  }
  if (addresses.length === 0 || registryUrl === '') {
    const [set, missing] =
      registryUrl === '' ? ['KAFKA_BROKERS', 'SCHEMA_REGISTRY_URL'] : ['SCHEMA_REGISTRY_URL', 'KAFKA_BROKERS']
    throw new Error(`${set} is set but ${missing} is not: set both to use a given cluster, or none to have one started`)
  }
  await Promise.all([checkBrokers(addresses, env), checkRegistry(registryUrl)])
  say(`using the given Kafka at ${addresses.join(',')}`)
  return {
    kind: 'started',
    stack: {
      kind: 'given',
      label: addresses.join(','),
      brokers: addresses,
      registryUrl,
      nodes: [],
      doors: {},
      tool: async () => {
        throw new Error('a given cluster has no tools at hand')
      },
      stop: leaveAlone,
      [Symbol.asyncDispose]: leaveAlone,
    },
  }
}

async function leaveAlone(): Promise<void> {}

/** One broker that answers is enough: a cluster may well have one down. */
async function checkBrokers(addresses: readonly string[], env: RungRequest['env']): Promise<void> {
  // behind TLS or SASL the plain Metadata request is not understood; then a connection has to do
  const guarded = Object.keys(env).some(name => /^KAFKA_(TLS|SASL)_/.test(name))
  try {
    await Promise.any(addresses.map(address => (guarded ? connect(address) : readMetadata(address, answerTimeoutMs))))
  } catch (error) {
    const reasons = error instanceof AggregateError ? error.errors : [error]
    const words = reasons.map((reason, i) => `${addresses[i]}: ${reason instanceof Error ? reason.message : reason}`)
    throw new Error(`no broker of KAFKA_BROKERS answers (${words.join('; ')})`, { cause: error })
  }
}

async function connect(address: string): Promise<void> {
  const socket = createConnection(splitAddress(address))
  try {
    await once(socket, 'connect', { signal: AbortSignal.timeout(answerTimeoutMs) })
  } finally {
    socket.destroy()
  }
}

/** 401 and 403 are answers too: the client that comes later has credentials. */
async function checkRegistry(registryUrl: string): Promise<void> {
  if (!URL.canParse(registryUrl)) throw new Error('SCHEMA_REGISTRY_URL is not a URL')
  const { host, pathname } = new URL(registryUrl) // no user info in messages
  const status = await registryStatus(registryUrl, answerTimeoutMs).catch((error: unknown) => {
    throw new Error(`SCHEMA_REGISTRY_URL: ${host} does not answer`, { cause: error })
  })
  if ([200, 401, 403].includes(status)) return
  const hint = status === 404 ? '; does the URL lack a path, such as /apis/ccompat/v7?' : ''
  throw new Error(
    `SCHEMA_REGISTRY_URL: ${host} answers ${status} to GET ${pathname.replace(/\/+$/, '')}/subjects${hint}`,
  )
}
