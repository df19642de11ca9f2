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
})
