/** Who the workers are to others: certificates, passwords and tokens, as the other side sees them, also after a change. */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import type { AddressInfo, Server } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createServer as createTlsServer, type TLSSocket } from 'node:tls'
import { expect, onTestFinished, test } from 'vitest'
import { createEngine, ENGINE_DEFAULTS } from '../../consumers/engine/client.ts'
import { engineTls } from '../../consumers/engine/credentials.ts'
import type { EngineItem } from '../../consumers/engine/item.ts'
import { registryLookup } from '../../platform/avro/registry.ts'
import { registryAdmin } from '../../platform/avro/registry-admin.ts'
import { systemClock } from '../../platform/clock.ts'
import { kafkaAccess, registryAccess } from '../../platform/connection.ts'
import { kafkaClient } from '../../platform/kafka/client.ts'
import { createLog } from '../../platform/log.ts'
import { readSettings } from '../../platform/settings.ts'
import type { Role, Settings } from '../../platform/settings-table.ts'
import { type Authority, type Certified, createAuthority } from '../../sandbox/kafka/certificates.ts'

const log = createLog({ level: 'error', service: 'test', destination: { write: () => {} } })

async function ground() {
  const dir = await mkdtemp(path.join(tmpdir(), 'socos-sign-in-'))
  onTestFinished(() => rm(dir, { recursive: true, force: true }))
  const authority = await createAuthority('test')
  const server = await authority.issue('localhost', '127.0.0.1')
  const file = async (name: string, text: string): Promise<string> => {
    await writeFile(path.join(dir, name), text)
    return path.join(dir, name)
  }
  return { authority, server, file, caFile: await file('ca.pem', authority.cert) }
}

function settings(env: Record<string, string>): Settings<Role> {
  const read = readSettings({ env, readFile: name => readFileSync(name, 'utf8') }, 'cli')
  if (read.kind === 'bad') throw new Error(read.problems.join('\n'))
  return read.settings as unknown as Settings<Role>
}

async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return (server.address() as AddressInfo).port
}

function commonName(socket: TLSSocket): string {
  const { subject } = socket.getPeerCertificate()
  return String(subject?.CN ?? '')
}

test('Kafka sees the client certificate that is in the files when the connection is made', async () => {
  const { authority, server, file, caFile } = await ground()
  const seen: string[] = []
  const options = { ...server, ca: authority.cert, requestCert: true, rejectUnauthorized: true }
  const port = await listen(
    createTlsServer(options, socket => {
      seen.push(commonName(socket))
      socket.on('error', () => {}).end()
    }),
  )
  const write = async ({ cert, key }: Certified) => ({
    KAFKA_TLS_CERT_FILE: await file('tls.crt', cert),
    KAFKA_TLS_KEY_FILE: await file('tls.key', key),
  })
  const env = {
    KAFKA_BROKERS: `127.0.0.1:${port}`,
    KAFKA_TLS_CA_FILE: caFile,
    ...(await write(await authority.issue('old'))),
  }
  const admin = kafkaClient(kafkaAccess(settings(env), log), log).admin({ retry: { retries: 0 } })
  await expect(admin.connect()).rejects.toThrow()
  await write(await authority.issue('new'))
  await expect(admin.connect()).rejects.toThrow()
  expect(new Set(seen)).toEqual(new Set(['old', 'new']))
  expect(seen[0]).toBe('old')
  expect(seen.at(-1)).toBe('new')
})

async function registryServer(server: Certified) {
  const asked: (string | undefined)[] = []
  const listener = (request: IncomingMessage, response: { end(text: string): void }) => {
    asked.push(request.headers.authorization)
    response.end('{"id":7,"version":1,"schema":"\\"string\\"","subject":"s"}')
  }
  return { asked, url: `https://127.0.0.1:${await listen(createHttpsServer(server, listener))}/base` }
}

const basic = (user: string, password: string) => `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`

test('the registry gets user and password over TLS, newly read each time, from workers and from the CLI', async () => {
  const { server, file, caFile } = await ground()
  const { asked, url } = await registryServer(server)
  const env = {
    SCHEMA_REGISTRY_URL: url,
    SCHEMA_REGISTRY_CA_FILE: caFile,
    SCHEMA_REGISTRY_USERNAME: 'poller',
    SCHEMA_REGISTRY_PASSWORD_FILE: await file('password', 'one\n'),
  }
  const access = registryAccess(settings(env), log)
  const lookup = registryLookup(access, systemClock)
  const admin = registryAdmin(access)
  onTestFinished(() => admin.close())
  expect(await lookup.idOf('s', 'string')).toBe(7)
  expect(await admin.latest('s')).toMatchObject({ id: 7 })
  await file('password', 'second')
  expect(await lookup.idOf('s', 'string')).toBe(7)
  expect(await admin.latest('s')).toMatchObject({ id: 7 })
  const [one, second] = [basic('poller', 'one'), basic('poller', 'second')]
  expect(asked).toEqual([one, one, second, second])
})

test('the registry gets a bearer token, newly read each time', async () => {
  const { server, file, caFile } = await ground()
  const { asked, url } = await registryServer(server)
  const env = {
    SCHEMA_REGISTRY_URL: url,
    SCHEMA_REGISTRY_CA_FILE: caFile,
    SCHEMA_REGISTRY_TOKEN_FILE: await file('token', 'first-token'),
  }
  const lookup = registryLookup(registryAccess(settings(env), log), systemClock)
  await lookup.idOf('s', 'string')
  await file('token', 'other-token\n')
  await lookup.idOf('s', 'string')
  expect(asked).toEqual(['Bearer first-token', 'Bearer other-token'])
})

test('a registry whose authority nobody named is not asked', async () => {
  const { server } = await ground()
  const { asked, url } = await registryServer(server)
  const lookup = registryLookup(registryAccess(settings({ SCHEMA_REGISTRY_URL: url }), log), systemClock)
  await expect(lookup.idOf('s', 'string')).rejects.toThrow(/schema registry could not be asked/)
  expect(asked).toEqual([])
})

const item: EngineItem = {
  id: 'i',
  tenantJson: Buffer.from('{"id":"t","name":"n"}'),
  alertId: 'a',
  version: '2026-01-01T00:00:00.0000000Z',
  source: 'alerts_v2',
  observedAtMs: 0,
  alert: Buffer.from('{}'),
}

async function engineServer(authority: Authority, server: Certified) {
  const seen: { name: string; authorization: string | undefined; signed: boolean }[] = []
  const options = { ...server, ca: authority.cert, requestCert: true, rejectUnauthorized: true }
  const port = await listen(
    createHttpsServer(options, (request, response) => {
      const { authorization, 'webhook-signature': signature } = request.headers
      seen.push({ name: commonName(request.socket as TLSSocket), authorization, signed: signature !== undefined })
      request
        .resume()
        .on('end', () => response.setHeader('connection', 'close').end('{"items":[{"id":"i","status":201}]}'))
    }),
  )
  return { seen, endpoint: new URL(`https://127.0.0.1:${port}/v1/alerts:batch`) }
}

test('the engine sees certificate, token and signature together, and a replaced certificate on new connections', async () => {
  const { authority, server, file, caFile } = await ground()
  const { seen, endpoint } = await engineServer(authority, server)
  const write = async ({ cert, key }: Certified) => ({
    ENGINE_TLS_CERT_FILE: await file('tls.crt', cert),
    ENGINE_TLS_KEY_FILE: await file('tls.key', key),
  })
  const env = { ENGINE_TLS_CA_FILE: caFile, ...(await write(await authority.issue('old'))) }
  const files = {
    tokenFile: await file('token', 'the-token'),
    signingKeysFile: await file('keys', `whsec_${Buffer.alloc(32, 1).toString('base64')}`),
  }
  const tls = engineTls(settings(env), log)
  const engine = createEngine({ ...ENGINE_DEFAULTS, ...files, endpoint, tls }, { clock: systemClock })
  onTestFinished(() => engine.close())
  const { signal } = new AbortController()
  expect(await engine.post([item], signal)).toMatchObject({ kind: 'items' })
  await write(await authority.issue('new'))
  expect(await engine.post([item], signal)).toMatchObject({ kind: 'items' })
  const both = { authorization: 'Bearer the-token', signed: true }
  expect(seen).toEqual([
    { name: 'old', ...both },
    { name: 'new', ...both },
  ])
})

test('an engine that wants a certificate and gets none, or a foreign one, takes no request; the items stay ours', async () => {
  const { authority, server, file, caFile } = await ground()
  const { seen, endpoint } = await engineServer(authority, server)
  const foreign = await (await createAuthority('somebody else')).issue('forwarder')
  const shown = {
    ENGINE_TLS_CERT_FILE: await file('tls.crt', foreign.cert),
    ENGINE_TLS_KEY_FILE: await file('tls.key', foreign.key),
  }
  for (const env of [{}, shown]) {
    const tls = engineTls(settings({ ENGINE_TLS_CA_FILE: caFile, ...env }), log)
    const options = { ...ENGINE_DEFAULTS, tokenFile: null, signingKeysFile: null, endpoint, tls }
    const engine = createEngine(options, { clock: systemClock })
    onTestFinished(() => engine.close())
    // some servers say why, others only hang up; the items stay ours either way
    expect(['blocked', 'again']).toContain((await engine.post([item], new AbortController().signal)).kind)
  }
  expect(seen).toEqual([])
})
