/** What a proxy does wrong is told as the proxy's, by host and port, and never as Microsoft's or the customer's. */
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer as createWebServer } from 'node:http'
import { createServer as createTlsWebServer, type Server as TlsWebServer } from 'node:https'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { systemClock } from '../../platform/clock.ts'
import { readSettings } from '../../platform/settings.ts'
import { checkTenant } from '../../producers/graph/check.ts'
import { type Way, wayOf } from '../../producers/graph/network.ts'
import { createAuthority } from '../../sandbox/kafka/certificates.ts'
import { never, rig, WINDOW } from './graph-rig.ts'

const HOSTS = ['login.microsoftonline.com', 'graph.microsoft.com'] as const
const PASSWORD = 'pr0xy-pass'
let dir = ''
let caFile = ''
let certified = { cert: '', key: '' }
let misnamed = { cert: '', key: '' }
let target: TlsWebServer | null = null

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'graph-proxy-'))
  caFile = join(dir, 'ca.pem')
  const authority = await createAuthority('A proxy that speaks TLS')
  await writeFile(caFile, authority.cert)
  certified = await authority.issue(...HOSTS, 'localhost', '127.0.0.1')
  misnamed = await authority.issue('proxy.example')
  const server = createTlsWebServer(certified, (request, response) => {
    response.writeHead(200, { 'content-type': 'application/json', date: new Date().toUTCString() })
    const token = { token_type: 'Bearer', expires_in: 3599, access_token: 'token' }
    response.end(JSON.stringify(request.method === 'POST' ? token : { value: [] }))
  })
  target = server
  await listening(server)
})
afterAll(async () => {
  target?.close()
  await rm(dir, { recursive: true, force: true })
})

interface Listening {
  listen(port: number, host: string): unknown
  address(): AddressInfo | string | null
  close(): unknown
  on(event: 'connection', listener: (socket: Socket) => void): unknown
}

/** On loopback; whatever is still connected is cut at the end. */
async function listening(server: Listening & NodeJS.EventEmitter) {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => sockets.add(socket))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  }
}

/** A proxy that does this with every connection. */
function rawProxy(behave: (socket: Socket) => void) {
  return listening(
    createServer(socket => {
      socket.on('error', () => socket.destroy())
      behave(socket)
    }),
  )
}

/** A proxy that answers each CONNECT with this and ends the connection. */
function answering(head: string, body = '') {
  return rawProxy(socket => socket.once('data', () => socket.end(`HTTP/1.1 ${head}\r\n\r\n${body}`)))
}

function tlsProxy(certificate = certified) {
  const server = createTlsWebServer(certificate)
  server.on('connect', (_, socket: Duplex) => {
    const address = target?.address()
    const upstream = connect(typeof address === 'object' && address !== null ? address.port : 0, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection Established\r\n\r\n')
      upstream.pipe(socket).pipe(upstream)
    })
    for (const end of [socket, upstream]) end.on('error', () => socket.destroy())
  })
  return listening(server)
}

/** As a worker reads it from its environment. */
function way(env: Readonly<Record<string, string>>): Way {
  const read = readSettings({ env, readFile: () => '' }, 'cli', [])
  if (read.kind === 'bad') throw new Error(read.problems.join('; '))
  return wayOf(read.settings)
}

/** What `tenants check` says of a tenant, and what a poller does. */
async function toldBy(proxy: string, env: Readonly<Record<string, string>> = {}) {
  const address = proxy.replace('//', `//soc:${PASSWORD}@`)
  await using one = await rig(null, {
    way: way({ HTTPS_PROXY: address, ...env }),
    limits: { connectTimeoutMs: 1_000 },
  })
  const { graph, access, secretsDir } = one
  const polled = await graph.page(access, WINDOW, never)
  const detail = polled.kind === 'unavailable' ? polled.detail : polled.kind
  const ownRecord = { ...graph, secretEnds: async () => null }
  const check = await checkTenant(access, { graph: ownRecord, secretsDir, clock: systemClock, signal: never })
  expect(JSON.stringify([polled, check])).not.toContain(PASSWORD)
  return {
    verdict: check.verdict,
    words: check.words,
    detail,
    code: polled.kind === 'unavailable' && polled.silent?.code,
  }
}

async function expectTold(proxy: string, words: RegExp, env: Readonly<Record<string, string>> = {}) {
  const told = await toldBy(proxy, env)
  const { host } = new URL(proxy)
  expect(told.verdict).toBe('unclear')
  expect(told.words).toContain(`Entra was not reached: the proxy of HTTPS_PROXY (${host}) `)
  expect(told.words).toMatch(words)
  expect(told.words).toMatch(/operator's move; the customer has nothing to do/)
  expect(told.detail).toContain(`the proxy of HTTPS_PROXY (${host}) `)
  for (const text of [told.words, told.detail]) expect(text).not.toMatch(/not known here|microsoftonline|needs a proxy/)
}

describe("a proxy's own fault is told as the proxy's", () => {
  test('its name cannot be resolved', async () => {
    // too long a label for DNS: no name server is asked
    await expectTold(`http://${'x'.repeat(64)}.invalid:3128`, /has a name that could not be resolved.*\(PROXY_E\w+\)/)
  })

  test('it refuses the connection', async () => {
    const gone = await rawProxy(() => {})
    await gone[Symbol.asyncDispose]()
    await expectTold(`http://127.0.0.1:${gone.port}`, /refuses the connection: check its port/)
  })

  test('it drops the CONNECT', async () => {
    await using proxy = await rawProxy(socket => socket.once('data', () => socket.destroy()))
    await expectTold(`http://127.0.0.1:${proxy.port}`, /ends the connection without an answer/)
  })

  test('it says nothing', async () => {
    await using proxy = await rawProxy(() => {})
    await expectTold(`http://127.0.0.1:${proxy.port}`, /takes the connection and then says nothing/)
  })

  test.each([
    ['407 Proxy Authentication Required', /does not let it through: it wants a user and a password/],
    ['403 Forbidden', /does not let it through: its rules must allow CONNECT/],
    ['400 The plain HTTP request was sent to HTTPS port', /does not understand CONNECT.*https:\/\//],
    ['502 Bad Gateway', /found no way on to the internet/],
    ['418 Teapot', /does not let it through: check its address/],
    ['200 OK\r\nContent-Type: text/html', /answers with a page instead of a tunnel/],
    ['200 OK\r\nContent-Length: 19', /answers with a page instead of a tunnel/],
  ])('it answers CONNECT with %s', async (head, words) => {
    await using proxy = await answering(head, '<html>Hello!</html>')
    await expectTold(`http://127.0.0.1:${proxy.port}`, words)
  })

  test('it is a web server', async () => {
    await using proxy = await listening(createWebServer((_, response) => response.end('<html>')))
    await expectTold(`http://127.0.0.1:${proxy.port}`, /ends the connection without an answer: check its port/)
  })

  test('it does not speak HTTP at all', async () => {
    await using proxy = await rawProxy(socket => socket.write('SSH-2.0-OpenSSH_9.9\r\n'))
    await expectTold(`http://127.0.0.1:${proxy.port}`, /answers with what is not HTTP/)
  })

  test('it speaks plain HTTP where https:// was set', async () => {
    await using proxy = await answering('400 Bad Request')
    await expectTold(`https://localhost:${proxy.port}`, /does not speak TLS.*write http:\/\/ there/)
  })

  test('it speaks TLS where http:// was set', async () => {
    await using proxy = await tlsProxy()
    await expectTold(`http://127.0.0.1:${proxy.port}`, /write https:\/\/ before its name if it speaks TLS/)
  })

  test.each(['localhost', '127.0.0.1'])('its certificate is not trusted: %s', async host => {
    await using proxy = await tlsProxy()
    const words = /shows a certificate from an authority that this machine does not trust.*GRAPH_CA_FILE/
    await expectTold(`https://${host}:${proxy.port}`, words)
  })

  test('its certificate is for another name', async () => {
    await using proxy = await tlsProxy(misnamed)
    const words = /shows a certificate for another name/
    await expectTold(`https://localhost:${proxy.port}`, words, { GRAPH_CA_FILE: caFile })
  })
})

test.each(['localhost', '127.0.0.1'])('a proxy that speaks TLS is used, by name and by address: %s', async host => {
  await using proxy = await tlsProxy()
  const told = await toldBy(`https://${host}:${proxy.port}`, { GRAPH_CA_FILE: caFile })
  expect(told).toMatchObject({ verdict: 'quiet', detail: 'page' })
})

test('what fails behind the proxy is not put down to it', async () => {
  await using proxy = await tlsProxy()
  const told = await toldBy(`https://localhost:${proxy.port}`, { GRAPH_CA_FILE: caFile, NO_PROXY: '*.example' })
  expect(told.verdict).toBe('quiet')
  await using cutting = await rawProxy(socket =>
    socket.once('data', () => {
      socket.write('HTTP/1.1 200 Connection Established\r\n\r\n')
      socket.once('data', () => socket.destroy())
    }),
  )
  expect((await toldBy(`http://127.0.0.1:${cutting.port}`)).words).toMatch(
    /^No answer from login\.microsoftonline\.com: the connection was cut/,
  )
})

describe('an address of a proxy that cannot be used is refused at the start', () => {
  test.each([
    'proxy.example:3128',
    'proxy.example',
    '//proxy.example:3128',
    'socks5://proxy.example:1080',
    'ftp://proxy.example',
    'http:/proxy.example:3128',
    'http:///proxy.example:3128',
    'http://proxy.example:3128/proxy.pac',
    'http://proxy.example:3128?x=1',
    'http://proxy .example:3128',
    'http://proxy.example:312800',
    'http://soc:hidden%@proxy.example:3128',
    'http://soc:hid#den@proxy.example:3128',
    'http://soc:hid/den@proxy.example:3128',
  ])('%s', address => {
    expect(() => way({ HTTPS_PROXY: address })).toThrow(
      /^HTTPS_PROXY cannot be used .*expected an address such as http:\/\/proxy\.example:3128.*no path.*percent-encoded/,
    )
    expect(() => way({ HTTPS_PROXY: address })).not.toThrow(/hid/)
  })

  test.each([
    'http://proxy.example:3128',
    'http://proxy.example:3128/',
    'https://soc:a%40b@proxy.example',
    'http://[::1]:3128',
  ])('while %s is fine', address => expect(way({ HTTPS_PROXY: address }).proxyUrl).toBe(address))
})
