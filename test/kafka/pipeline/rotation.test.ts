import { rename, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { expect, test } from 'vitest'
import { secretFileOf } from '../../../sandbox/graph/tenants.ts'
import { startPipeline, until } from './kit.ts'

const valid = (value: string) => ({ value, expiresAtMs: null })
const ended = (value: string) => ({ value, expiresAtMs: 0 })

test('a secret that is changed under load costs no poll, no revision and no restart, in whichever order its two ends move', async () => {
  await using pipeline = await startPipeline({ name: 'rotation', graph: { tenants: 4, ratePerSecond: 20 } })
  const { graph } = pipeline
  const [both, deleted, swapped, unchanged] = graph.tenants
  if (!both || !deleted || !swapped || !unchanged) throw new Error('too few tenants')
  const rotating = [both, deleted, swapped]
  const olds = new Map(rotating.map(({ tenantId, secrets }) => [tenantId, secrets[0]?.value ?? '']))
  const next = (tenantId: string) => `next~${tenantId.slice(0, 8)}~of-this-tenant`
  const put = async (tenant: (typeof rotating)[number], ...lines: string[]) => {
    const file = path.join(pipeline.env['SECRETS_DIR'] ?? '', secretFileOf(tenant))
    await writeFile(`${file}.new`, `${lines.join('\n')}\n`, { mode: 0o600 })
    await rename(`${file}.new`, file)
  }
  const poller = await pipeline.start('poller')
  const forwarder = await pipeline.start('forwarder')
  await Promise.all([poller.ready(), forwarder.ready()])
  const answered = (tenantId: string, status: number) =>
    graph.ledger.requests.filter(
      request => request.tenantId === tenantId && request.kind === 'list' && request.status === status,
    ).length
  /** Until every one has been listed anew with whatever token it has now. */
  const polled = async () => {
    const before = rotating.map(({ tenantId }) => answered(tenantId, 200))
    await until(() => rotating.every(({ tenantId }, at) => answered(tenantId, 200) > (before[at] ?? 0)), 30_000)
  }
  await polled()

  // the customers make their next secrets, the operator puts them beside or in place of the old ones
  for (const { tenantId } of rotating)
    graph.changeTenant({ tenantId, secrets: [valid(olds.get(tenantId) ?? ''), valid(next(tenantId))] })
  await put(both, olds.get(both.tenantId) ?? '', next(both.tenantId))
  await put(deleted, olds.get(deleted.tenantId) ?? '', next(deleted.tenantId))
  await put(swapped, next(swapped.tenantId))
  await polled()

  // the old ones end or are deleted, and every token that they opened with them
  for (const { tenantId } of rotating) {
    const old = olds.get(tenantId) ?? ''
    const secrets = tenantId === both.tenantId ? [ended(old), valid(next(tenantId))] : [valid(next(tenantId))]
    graph.changeTenant({ tenantId, secrets, revokeTokens: true })
  }
  await polled()
  for (const { tenantId } of rotating) expect(answered(tenantId, 401), tenantId).toBe(1)

  // and only the next ones are left in the files
  for (const tenant of rotating) await put(tenant, next(tenant.tenantId))
  for (const { tenantId } of rotating) graph.changeTenant({ tenantId, revokeTokens: true })
  await polled()

  graph.load.freeze()
  expect(await pipeline.complete()).toMatchObject({ missingCount: 0, staleAfterNew: 0 })
  const states = poller
    .log()
    .split('\n')
    .filter(line => line.includes('"tenant state"'))
  expect(states.length).toBeGreaterThanOrEqual(graph.tenants.length)
  expect(states.filter(line => !/"state":"(?:catching-up|ok)"/.test(line))).toEqual([])
  for (const value of [...olds.values(), ...rotating.map(({ tenantId }) => next(tenantId))])
    expect(poller.log()).not.toContain(value)
})
