import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect, test } from 'vitest'

/** One of each family, and what is quick to heal. */
const FAULTS =
  'kill-poller,kill-forwarder,freeze-forwarder,replace-poller,replace-forwarder,storm,kill-broker,pause-broker,cut,' +
  'black-hole,lose-produce,lose-heartbeat,graph-500,graph-partial,token-503,engine-reset,engine-unreadable'

/** The short form of `npm run chaos`; the long one is for whoever has the time. */
test('under faults on every way and in every part each promise holds', async () => {
  const kind = process.env['SOCOS_STACK'] ?? 'auto'
  const args = ['--minutes', '0.75', '--every', '2.5', '--seed', '20261127', '--rate', '25', '--tenants', '24']
  const child = spawn(process.execPath, ['sandbox/chaos.ts', ...args, '--faults', FAULTS, '--stack', kind], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let text = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
  }
  const [code] = (await once(child, 'close')) as [number | null]
  expect(code, text).toBe(0)
  expect(text).toMatch(/every promise held/)
  const thrown = /(\d+) faults are planned/.exec(text)?.[1]
  expect(text.match(/struck \d+:/g)).toHaveLength(Number(thrown))
  console.log(text.slice(text.indexOf('\nfault ')))
})
