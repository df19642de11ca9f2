/** A cluster as in production (TLS, sign-in, authorizer with the shipped rules) with a guarded registry before it. */
import { once } from 'node:events'
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { printAcls } from '../../../cli/acls.ts'
import { kafkaClient } from '../../../platform/kafka/client.ts'
import type { KafkaClient } from '../../../platform/kafka/kafkajs.ts'
import { createLog } from '../../../platform/log.ts'
import type { Authority } from '../../../sandbox/kafka/certificates.ts'
import { CERTIFICATE_DOOR, SIGN_IN_DOOR, secureCluster, setScramPassword } from '../../../sandbox/kafka/secured.ts'
import type { Stack } from '../../../sandbox/kafka/stack.ts'
import type { KafkaOperation } from '../../../schemas/acls.ts'
import { ownStack } from '../own-stack.ts'

/** Whoever has a rule, and one who can sign in but has none. */
export const USERS = ['poller', 'forwarder', 'operator', 'scaler', 'stranger'] as const
export type User = (typeof USERS)[number]

/** Each connection signs in again after this; the client does so ten seconds before. */
const REAUTHENTICATE_MS = 14_000

export interface SecuredGround extends AsyncDisposable {
  readonly stack: Stack
  readonly authority: Authority
  readonly signInDoor: string
  readonly certificateDoor: string
  /** Behind TLS and basic authentication, for any of the users. */
  readonly registryUrl: string
  /** Writes a file as Kubernetes does, at once, and gives its path. */
  file(name: string, text: string): Promise<string>
  /** What a process of this user has in its environment for Kafka (SCRAM) and the registry. */
  envOf(user: User): Promise<Readonly<Record<string, string>>>
  /** A client in this process that is signed in as the user. */
  clientOf(user: User): KafkaClient
  /** A client of the super user, over the plain listener. */
  root(): KafkaClient
  changePassword(user: User, password: string): Promise<void>
}

const quiet = createLog({ level: 'error', service: 'test', destination: { write: () => {} } })
const firstPassword = (user: User): string => `${user}-first-password`

export async function securedGround(): Promise<SecuredGround> {
  await using undo = new AsyncDisposableStack()
  const plainUsers = Object.fromEntries(USERS.map(user => [user, `${user}-plain-password`]))
  const { authority, extra } = await secureCluster({ plainUsers, reauthenticateMs: REAUTHENTICATE_MS })
  const stack = undo.use(await ownStack({ extra }))
  const dir = await mkdtemp(path.join(tmpdir(), 'socos-secured-'))
  undo.defer(() => rm(dir, { recursive: true, force: true }))
  for (const user of USERS) await setScramPassword(stack, user, firstPassword(user))
  const registry = await guardRegistry(authority, stack.registryUrl)
  undo.defer(() => registry.close())
  let serial = 0
  const file = async (name: string, text: string): Promise<string> => {
    const fresh = path.join(dir, `.fresh-${++serial}`)
    await writeFile(fresh, text)
    await rename(fresh, path.join(dir, name))
    return path.join(dir, name)
  }
  const [signInDoor = '', certificateDoor = ''] = [SIGN_IN_DOOR, CERTIFICATE_DOOR].map(name => stack.doors[name]?.[0])
  const kept = undo.move()
  const sasl = (user: User) =>
    ({ mechanism: 'scram-sha-512', username: user, password: () => firstPassword(user) }) as const
  return {
    stack,
    authority,
    signInDoor,
    certificateDoor,
    registryUrl: registry.url,
    file,
    envOf: async user => ({
      KAFKA_TLS_CA_FILE: await file('ca.pem', authority.cert),
      KAFKA_SASL_MECHANISM: 'scram-sha-512',
      KAFKA_SASL_USERNAME: user,
      KAFKA_SASL_PASSWORD_FILE: await file(`${user}.password`, firstPassword(user)),
      SCHEMA_REGISTRY_CA_FILE: await file('ca.pem', authority.cert),
      SCHEMA_REGISTRY_USERNAME: user,
      SCHEMA_REGISTRY_PASSWORD_FILE: await file(`${user}.registry`, `${user}-registry`),
    }),
    clientOf: user =>
      kafkaClient(
        { brokers: [signInDoor], clientId: user, tls: () => ({ ca: authority.cert }), sasl: sasl(user) },
        quiet,
      ),
    root: () => kafkaClient({ brokers: stack.brokers, clientId: 'root', tls: null, sasl: null }, quiet),
    changePassword: (user, password) => setScramPassword(stack, user, password),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  }
}

/** The registry has no users of its own here, so a door before it asks for them, over TLS. */
async function guardRegistry(
  authority: Authority,
  registryUrl: string,
): Promise<{ url: string; close(): Promise<void> }> {
  const known = new Set(USERS.map(user => `Basic ${Buffer.from(`${user}:${user}-registry`).toString('base64')}`))
  const base = new URL(registryUrl)
  const server = createServer(await authority.issue('localhost', '127.0.0.1'), (request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      if (!known.has(request.headers.authorization ?? '')) {
        response.writeHead(401).end('{"error_code":401,"message":"who are you?"}')
        return
      }
      const headers = { 'content-type': request.headers['content-type'] ?? 'application/json' }
      const body = chunks.length > 0 ? { body: Buffer.concat(chunks) } : {}
      fetch(new URL(request.url ?? '/', base), { method: request.method ?? 'GET', headers, ...body })
        .then(async answer => {
          const text = await answer.text()
          response.writeHead(answer.status, { 'content-type': 'application/json' }).end(text)
        })
        .catch((error: unknown) => response.writeHead(502).end(String(error)))
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}${base.pathname}`,
    close: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

// as Kafka numbers them
const RESOURCES = { topic: 2, group: 3 } as const
const PATTERNS = { literal: 3, prefixed: 4 } as const
const OPERATIONS: Readonly<Record<KafkaOperation, number>> = {
  Read: 3,
  Write: 4,
  Create: 5,
  Describe: 8,
  DescribeConfigs: 10,
  AlterConfigs: 11,
}
const ALLOW = 3

/** Gives each user exactly the shipped rules of its role, as `socos acls -o json` prints them for this prefix. */
export async function grant(root: KafkaClient, prefix: string): Promise<void> {
  let printed = ''
  const io = { env: { TOPIC_PREFIX: prefix }, out: (text: string) => void (printed += text), say() {}, isErrTty: false }
  printAcls(io, { principal: [], output: 'json' })
  const rows = JSON.parse(printed) as readonly PrintedRule[]
  const admin = root.admin()
  await admin.connect()
  try {
    await admin.createAcls({
      acl: rows.flatMap(({ principal, resource, name, pattern, operations }) =>
        operations.map(operation => ({
          principal,
          host: '*',
          resourceType: RESOURCES[resource],
          resourceName: name,
          resourcePatternType: PATTERNS[pattern],
          operation: OPERATIONS[operation],
          permissionType: ALLOW,
        })),
      ),
    })
  } finally {
    await admin.disconnect()
  }
}

interface PrintedRule {
  readonly principal: string
  readonly resource: keyof typeof RESOURCES
  readonly name: string
  readonly pattern: keyof typeof PATTERNS
  readonly operations: readonly KafkaOperation[]
}
