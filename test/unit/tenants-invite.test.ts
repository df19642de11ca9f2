import { describe, expect, test } from 'vitest'
import { runSocos } from '../../cli/run.ts'

async function invite(...args: string[]) {
  let [out, err] = ['', '']
  const io = {
    env: {},
    out: (text: string) => void (out += text),
    say: (text: string) => void (err += text),
    isErrTty: false,
  }
  const code = await runSocos(['node', 'socos', 'tenants', 'invite', ...args], io)
  return { code, out, err }
}

const ID = '11111111-2222-4333-8444-555555555555'
const WAYS = {
  secret: [],
  certificate: [],
  federated: ['--issuer', 'https://oidc.example/cluster', '--subject', 'system:serviceaccount:socos:poller'],
  'shared-app': ['--client-id', ID],
} as const

describe('the guide for a customer', () => {
  test.each(Object.entries(WAYS))('with %s is whole, as Markdown and as HTML', async (way, more) => {
    for (const output of ['markdown', 'html']) {
      const { code, out, err } = await invite('--name', 'Contoso', '--credential', way, ...more, '-o', output)
      expect({ code, err }).toEqual({ code: 0, err: '' })
      for (const part of ['Contoso', 'SecurityAlert.Read.All', 'Later', 'socos-graph-pipeline', 'GCC High'])
        expect(out).toContain(part)
      expect(out).not.toMatch(/undefined|null|\[object/)
      expect(/Secret ID/.test(out)).toBe(way === 'secret')
    }
  })

  test('names the pages and hosts of their cloud', async () => {
    const { out } = await invite(
      '--name',
      'Agency',
      '--cloud',
      'usgov',
      '--credential',
      'shared-app',
      '--client-id',
      ID,
      '--tenant-id',
      ID,
    )
    expect(out).toContain(`<https://login.microsoftonline.us/${ID}/adminconsent?client_id=${ID}>`)
    expect((await invite('--name', 'Agency', '--cloud', 'dod')).out).toContain('https://entra.microsoft.us')
  })

  test('asks for the older permission only where the older list is read, and for no write permission ever', async () => {
    const { out } = await invite('--name', 'Old', '--source', 'alerts')
    expect(out).toMatch(/Search for `SecurityEvents\.Read\.All`/)
    expect(out).not.toMatch(/Search for `[^`]*Write/)
  })

  test('carries whatever a customer is called as text, never as markup', async () => {
    const name = `<img src=x onerror="a()"> & [a](http://b) \`c\` **d**`
    const html = (await invite('--name', name, '--hand-over', name, '-o', 'html')).out
    expect(html).not.toMatch(/<img|onerror="/)
    expect(html).toContain('&lt;img src=x onerror=&quot;a()&quot;&gt; &amp; [a](http://b) `c` **d**')
    expect(html).not.toMatch(/<script|<link|<iframe|src=[^x]|@import|url\(/)
    const markdown = (await invite('--name', name)).out
    expect(markdown).not.toContain('<img')
    expect(markdown).not.toContain('[a](http://b)')
  })

  test('is refused with every flag that is wrong or missing', async () => {
    const wrong = await invite('--name', 'a\nb', '--tenant-id', 'contoso', '--credential', 'shared-app')
    expect(wrong.code).toBe(2)
    for (const part of ['--name is', '--tenant-id is', '--client-id is missing']) expect(wrong.err).toContain(part)
    expect((await invite('--name', 'a', '--credential', 'federated')).err).toContain(
      '--issuer and --subject are missing',
    )
    expect((await invite()).code).toBe(2)
    expect((await invite('--name', 'a', '--cloud', 'china')).err).toMatch(/global, usgov, dod/)
  })

  test.each(['markdown', 'html'])('tells which addresses Conditional Access must let in, as %s', async output => {
    const { out } = await invite(
      '--name',
      'a',
      '--egress',
      '203.0.113.16/28',
      '2001:DB8::1',
      '203.0.113.16/28',
      '-o',
      output,
    )
    expect(out).toContain('these, and no others: 203.0.113.16/28, 2001:db8::1/128.')
    expect(out).not.toContain('Ask us for them')
    expect((await invite('--name', 'a', '-o', output)).out).toContain('our addresses. Ask us for them.')
  })

  test.each([
    '10.0.0.1',
    '999.1.1.1',
    '203.0.113.0/33',
    '8.0.0.0/8',
    '::1',
    'fe80::1/64',
    'soc.example',
    '0.0.0.0/0',
    '',
  ])('is refused with %j, from which Microsoft never sees us', async range => {
    const { code, err } = await invite('--name', 'a', '--egress', '203.0.113.16/28', range)
    expect(code).toBe(2)
    expect(err.match(/--egress is/g)).toHaveLength(1)
  })

  test.each(['markdown', 'html'])('says what follows the consent to our application, as %s', async output => {
    const shared = ['--name', 'a', '--credential', 'shared-app', '--client-id', ID, '-o', output]
    const plain = await invite(...shared)
    expect(plain.out).toContain('AADSTS500113')
    expect(plain.out).not.toMatch(/redirect_uri|state=/)
    const page = await invite(...shared, '--redirect-uri', 'https://soc.example/done?x=1', '--state', 'c-42')
    const and = output === 'html' ? '&amp;' : '&'
    const link = `adminconsent?client_id=${ID}${and}redirect_uri=https%3A%2F%2Fsoc.example%2Fdone%3Fx%3D1${and}state=c-42`
    expect(page.out).toContain(output === 'html' ? `${link}">` : `${link}>`)
    expect(page.out).toContain('admin_consent=True')
    expect(page.out).not.toContain('AADSTS500113')
  })

  test.each([
    [['--redirect-uri', 'http://soc.example/done'], '--redirect-uri is'],
    [['--redirect-uri', 'https://a:b@soc.example/'], '--redirect-uri is'],
    [['--redirect-uri', 'https://soc.example/"><script>'], '--redirect-uri is'],
    [['--redirect-uri', 'https://soc.example/', '--state', 'a&b'], '--state is'],
    [['--state', 'a'], 'which is missing'],
  ])('is refused with %j', async (more, expected) => {
    const { code, err } = await invite('--name', 'a', '--credential', 'shared-app', '--client-id', ID, ...more)
    expect({ code, err }).toEqual({ code: 2, err: expect.stringContaining(expected) })
  })

  test('says who makes the certificate, how it is checked and how it is renewed', async () => {
    const { out } = await invite('--name', 'a', '--credential', 'certificate')
    for (const part of ['we make the key', 'SHA-1', 'Upload it beside the old one']) expect(out).toContain(part)
    expect((await invite('--name', 'a')).out).not.toContain('.cer')
  })
})
