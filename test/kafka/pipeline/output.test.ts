import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { ROOT, startPipeline } from './kit.ts'

test('a long answer reaches a slow reader whole', async () => {
  const count = 2_000
  await using pipeline = await startPipeline({ name: 'output', graph: { tenants: count } })
  const child = spawn(process.execPath, ['cli/socos.ts', 'tenants', 'list', '-o', 'json'], {
    cwd: ROOT,
    env: pipeline.env,
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  // nobody reads until the command has said all it can, or (as it must not) has ended
  await Promise.race([once(child, 'exit'), delay(5_000)])
  let out = ''
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (out += chunk))
  await once(child, 'close')
  expect(out.length).toBeGreaterThan(500_000)
  expect(JSON.parse(out)).toHaveLength(count)
})
