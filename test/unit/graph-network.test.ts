/** The real names of Microsoft's hosts, through a proxy that leads them all to a server of this test. */
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { type AddressInfo, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readSettings } from '../../platform/settings.ts'
import { type Way, wayOf } from '../../producers/graph/network.ts'
import { networkWords } from '../../producers/graph/network-errors.ts'
import { createAuthority } from '../../sandbox/kafka/certificates.ts'
import { never, rig, WINDOW } from './graph-rig.ts'

const HOSTS = ['login.microsoftonline.com', 'graph.microsoft.com'] as const
let dir = ''
let caFile = ''
let target = { port: 0, close: () => {} }

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'graph-network-'))
  const authority = await createAuthority('A proxy that inspects TLS')
  caFile = join(dir, 'ca.pem')
  await writeFile(caFile, authority.cert)
  const server = createTlsServer(await authority.issue(...HOSTS, 'localhost'), (request, response) => {
    const date = new Date().toUTCString()
    response.writeHead(200, { 'content-type': 'application/json', date })
    const token = { token_type: 'Bearer', expires_in: 3599, access_token: 'token' }
    response.end(JSON.stringify(request.method === 'POST' ? token : { value: [] }))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  target = { port: (server.address() as AddressInfo).port, close: () => server.close() }
})
afterAll(async () => {
  target.close()
  await rm(dir, { recursive: true, force: true })
})

/** `wants`: the Proxy-Authorization without which it says 407. */
async function startProxy(wants: string | null = null) {
  const asked: string[] = []
  const proxy = createServer((_, response) => response.writeHead(500).end())
  proxy.on('connect', (request, socket) => {
    asked.push(request.url ?? '')
    if (wants !== null && request.headers['proxy-authorization'] !== wants) {
      socket.end('HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n')
      return
    }
    const upstream = connect(target.port, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection Established\r\n\r\n')
      upstream.pipe(socket).pipe(upstream)
    })
    for (const end of [socket, upstream]) end.on('error', () => socket.destroy())
  })
  proxy.listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  return {
    port: (proxy.address() as AddressInfo).port,
    asked,
    async [Symbol.asyncDispose]() {
      proxy.closeAllConnections()
      proxy.close()
    },
  }
}

/** As a worker reads it from its environment. */
function way(env: Readonly<Record<string, string>>): Way {
  const read = readSettings({ env, readFile: () => '' }, 'cli', [])
  if (read.kind === 'bad') throw new Error(read.problems.join('; '))
  return wayOf(read.settings)
}

async function pageBy(env: Readonly<Record<string, string>>) {
  await using one = await rig(null, { way: way(env) })
  return await one.graph.page(one.access, WINDOW, never)
}

describe('a proxy', () => {
  test('is asked for login and Graph, and for nothing else', async () => {
    await using proxy = await startProxy()
    const answer = await pageBy({ HTTPS_PROXY: `http://127.0.0.1:${proxy.port}`, GRAPH_CA_FILE: caFile })
    expect(answer).toMatchObject({ kind: 'page', alerts: [] })
    expect(proxy.asked).toEqual(HOSTS.map(host => `${host}:443`))
  })

  test('gets the user and the password that stand in its address', async () => {
    const wants = `Basic ${Buffer.from('soc:pa ss').toString('base64')}`
    await using proxy = await startProxy(wants)
    const at = `127.0.0.1:${proxy.port}`
    expect(await pageBy({ HTTPS_PROXY: `http://soc:pa%20ss@${at}`, GRAPH_CA_FILE: caFile })).toMatchObject({
      kind: 'page',
    })
    const refused = await pageBy({ HTTPS_PROXY: `http://soc:wrong@${at}`, GRAPH_CA_FILE: caFile })
    expect(refused).toMatchObject({ kind: 'unavailable', silent: { who: 'login', code: expect.any(String) } })
    const code = refused.kind === 'unavailable' ? (refused.silent?.code ?? '') : ''
    expect(networkWords(code)).toMatch(/the proxy of HTTPS_PROXY does not let it through/)
    expect(JSON.stringify(refused)).not.toContain('wrong')
  })

  test('that inspects TLS is told from the customer, and trusted when its authority is named', async () => {
    await using proxy = await startProxy()
    const answer = await pageBy({ HTTPS_PROXY: `http://127.0.0.1:${proxy.port}` })
    const code = answer.kind === 'unavailable' ? (answer.silent?.code ?? '') : ''
    expect(networkWords(code)).toMatch(/an authority that this machine does not trust.*GRAPH_CA_FILE/)
  })

  test.each([
    ['localhost, .example.com', []],
    ['.example.com', ['localhost']],
  ])('is passed by for the hosts of NO_PROXY: %s', async (noProxy, asked) => {
    await using proxy = await startProxy()
    const env = { HTTPS_PROXY: `http://127.0.0.1:${proxy.port}`, NO_PROXY: noProxy, GRAPH_CA_FILE: caFile }
    await using one = await rig(new URL(`https://localhost:${target.port}`), { way: way(env) })
    expect(await one.graph.page(one.access, WINDOW, never)).toMatchObject({ kind: 'page' })
    expect(new Set(proxy.asked)).toEqual(new Set(asked.map(host => `${host}:${target.port}`)))
  })
})

describe('settings of the way', () => {
  test.each([
    [{ HTTPS_PROXY: 'proxy:3128' }, /HTTPS_PROXY .*expected an address such as http:\/\/proxy\.example:3128/],
    [{ HTTPS_PROXY: 'http://user:hidden@proxy/path' }, /HTTPS_PROXY/],
    [{ NO_PROXY: 'a;b' }, /NO_PROXY .*expected host names with commas/],
    [{ GRAPH_CA_FILE: '/nowhere/ca.pem' }, /GRAPH_CA_FILE: the file .*cannot be read \(ENOENT\)/],
    [{ GRAPH_CA_FILE: import.meta.filename }, /GRAPH_CA_FILE: the file .*holds no certificate as PEM/],
  ])('%o is refused in words', (env, words) => {
    expect(() => way(env as unknown as Record<string, string>)).toThrow(words)
    expect(() => way(env as unknown as Record<string, string>)).not.toThrow(/hidden/)
  })
})
