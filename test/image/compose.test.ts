import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { judge, readLedgers } from '../../sandbox/oracle.ts'
import { until } from '../kafka/pipeline/kit.ts'
import { composeServices } from '../unit/compose-file.ts'
import type { Site } from './compose-runner.ts'
import { startSite } from './compose-runner.ts'
import { docker, newRunId, run } from './docker.ts'

const images = inject('images')
const built = images.kind === 'built' ? images : undefined
const absent = images.kind === 'absent' || (built !== undefined && 'missing' in built.others)

// skipped without an engine or without Kafka's image; images.ts says so loudly
describe('docker-compose.yml, run by its own words', { skip: absent }, () => {
  const undo = new AsyncDisposableStack()
  const services = composeServices(
    { ...built?.others, SOCOS_IMAGE: built?.production ?? '', SOCOS_SANDBOX_IMAGE: built?.sandbox ?? '' },
    ['cli'],
  )
  let site: Site

  beforeAll(async () => {
    if (images.kind === 'failed') throw new Error(images.why)
    site = undo.use(await startSite(services, newRunId()))
  })

  afterAll(() => undo.disposeAsync())

  test('every service comes up and is healthy, every job ends with 0', async () => {
    const running = Object.entries(services).filter(([, { healthcheck }]) => healthcheck !== undefined)
    for (const [name, { replicas }] of running) {
      expect(site.ids(name), name).toHaveLength(replicas)
      for (const id of site.ids(name)) expect(await stateOf(id), name).toBe('running 0')
    }
    for (const job of ['topics', 'schemas', 'tenants']) expect(await stateOf(site.ids(job)[0] ?? '')).toBe('exited 0')
  })

  test('every alert that Graph lets see arrives, none twice, none out of order', async () => {
    const unconsented = await tenantsWithoutConsent(site.url('sim-graph', 8080))
    expect(unconsented).toHaveLength(1)
    const verdict = async () => {
      const ledgers = await readLedgers(site.url('sim-graph', 8080), site.url('sim-engine', 8080))
      // what was replaced before the pollers came owes nothing
      return judge({ ...ledgers, mustSeeMs: Number.POSITIVE_INFINITY, exceptTenants: unconsented })
    }
    await fetch(`${site.url('sim-graph', 8080)}/_sim/load`, { method: 'POST', body: '{"running":false}' })
    await until(async () => (await verdict()).missingCount === 0, 180_000)
    const { visible, ...rest } = await verdict()
    expect(visible).toBeGreaterThanOrEqual(19 * 20)
    expect(rest).toMatchObject({ duplicates: 0, staleAfterNew: 0, unexpected: 0 })
  })

  test('it ends with a line that says what to open', async () => {
    expect(await site.logs('welcome')).toMatch(/\n *Open http:\/\/127\.0\.0\.1:\d+\S*\n$/)
  })

  test('socos answers beside it', async () => {
    const { code, out, err } = await site.runOnce('socos', ['status', '-o', 'json'])
    expect(code, err).toBe(6) // the one tenant without consent needs somebody
    const { tenants } = JSON.parse(out) as { tenants: readonly { readonly state: string }[] }
    expect(tenants.filter(({ state }) => state === 'needs-attention')).toHaveLength(1)
    expect(tenants).toHaveLength(20)
  })

  test('Prometheus would find every worker under the name of its service, with metrics', async () => {
    const script = `
      import { resolve4 } from 'node:dns/promises'
      for (const name of ['pollers', 'forwarders'])
        for (const address of await resolve4(name)) {
          const text = await (await fetch('http://' + address + ':8080/metrics')).text()
          console.log(name, text.includes('socos_'))
        }`
    const { out } = await site.runOnce('topics', ['--input-type=module', '-e', script])
    expect(out.trim().split('\n').toSorted()).toEqual([
      'forwarders true',
      'forwarders true',
      'pollers true',
      'pollers true',
    ])
  })

  test('all of ours wrote nothing and end with 0 on SIGTERM', async () => {
    const ours = ['pollers', 'forwarders', 'sim-graph', 'sim-engine', 'welcome'].flatMap(name => site.ids(name))
    await docker('stop', '-t', '15', ...ours)
    for (const id of ours) {
      expect(await stateOf(id), (await run('docker', ['logs', '--tail=20', id])).out).toBe('exited 0')
      const changes = (await docker('diff', id)).split('\n')
      expect(changes.filter(line => line !== '' && line !== 'A /tenants')).toEqual([])
    }
  })
})

function stateOf(id: string): Promise<string> {
  return docker('inspect', '--format={{.State.Status}} {{.State.ExitCode}}', id)
}

async function tenantsWithoutConsent(graphUrl: string): Promise<readonly string[]> {
  const answer = await fetch(`${graphUrl}/_sim/tenants`)
  const { tenants } = (await answer.json()) as {
    tenants: readonly { readonly tenantId: string; readonly roles: readonly string[] }[]
  }
  return tenants.filter(({ roles }) => roles.length === 0).map(({ tenantId }) => tenantId)
}
