import { readFileSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { parse, stringify } from 'yaml'
import { groupsOf, RULES } from '../../../k8s/observability/generate.ts'
import { boards, queriesOf } from '../../unit/boards.ts'
import type { Selector } from '../../unit/queries.ts'
import { isOurs, readQuery } from '../../unit/queries.ts'
import type { Pipeline } from './kit.ts'
import { ROOT, startPipeline, until } from './kit.ts'

type Labels = Readonly<Record<string, string>>
type Scrape = ReadonlyMap<string, readonly Labels[]>

/** What Prometheus adds to a scrape, as it is named in compose and in the PodMonitors. */
const INSTANCE = 'test:8080'

const asked = [
  ...[...boards.values()].flatMap(queriesOf).map(({ board, panel, expr }) => ({ where: `${board}: ${panel}`, expr })),
  ...groupsOf(readFileSync(join(ROOT, RULES), 'utf8')).flatMap(({ rules }) =>
    rules.map(({ alert, record, expr }) => ({ where: alert ?? record ?? '', expr })),
  ),
]

test('running workers expose every series, label and value that a board or a rule asks for', async () => {
  await using pipeline = await startPipeline({
    name: 'boards',
    graph: { tenants: { count: 4, expired: 1 }, backlogPerTenant: 2 },
  })
  await giveCredentialsAnEnd(pipeline)
  const [poller, forwarder] = await Promise.all([pipeline.start('poller'), pipeline.start('forwarder')])
  await Promise.all([poller.ready(), forwarder.ready()])
  const expired = pipeline.graph.tenants[1]?.tenantId ?? ''
  await pipeline.complete({ exceptTenants: [expired] })
  await until(async () => (await pipeline.status()).get(expired)?.state === 'needs-attention', 30_000)

  const scraped = merged(await scrape(poller.url, 'poller'), await scrape(forwarder.url, 'forwarder'))
  expect(asked.length).toBeGreaterThan(80)
  const missing = asked.flatMap(({ where, expr }) => missingOf(expr, scraped).map(what => `${where}: ${what}`))
  expect(missing).toEqual([])
})

test('what a worker does not expose is noticed', () => {
  const scraped: Scrape = new Map([['socos_tenants', [{ job: 'poller', instance: INSTANCE, state: 'ok' }]]])
  expect(missingOf('sum by (state) (socos_tenants{job="poller",state=~"o."})', scraped)).toEqual([])
  expect(missingOf('socos_tenantz', scraped)).toEqual(['no series socos_tenantz'])
  expect(missingOf('socos_tenants{state="bad"}', scraped)).toEqual(['no series socos_tenants{state="bad"}'])
  expect(missingOf('socos_tenants{job="forwarder"}', scraped)).toEqual(['no series socos_tenants{job="forwarder"}'])
  expect(missingOf('sum by (tenant) (socos_tenants)', scraped)).toEqual(['no label tenant'])
})

async function giveCredentialsAnEnd({ tenantsFile, socos }: Pipeline): Promise<void> {
  const { tenants } = parse(await readFile(tenantsFile, 'utf8')) as { readonly tenants: readonly object[] }
  const dated = tenants.map(tenant => ({ ...tenant, credentialExpires: '2099-12-31' }))
  await writeFile(tenantsFile, stringify({ tenants: dated }))
  const { code, err } = await socos('tenants', 'apply', tenantsFile)
  expect(code, err).toBe(0)
}

async function scrape(url: string, job: string): Promise<Scrape> {
  const text = await (await fetch(`${url}/metrics`)).text()
  const series = [...text.matchAll(/^(\w+)(?:\{(.*)\})? \S+$/gm)].map(([, name = '', labels = '']) => {
    const own = [...labels.matchAll(/(\w+)="([^"]*)"/g)].map(([, label, value]) => [label, value])
    return { name, labels: { job, instance: INSTANCE, ...(Object.fromEntries(own) as Labels) } }
  })
  const byName = Map.groupBy(series, ({ name }) => name)
  return new Map([...byName].map(([name, members]) => [name, members.map(({ labels }) => labels)]))
}

function merged(one: Scrape, other: Scrape): Scrape {
  const names = new Set([...one.keys(), ...other.keys()])
  return new Map([...names].map(name => [name, [...(one.get(name) ?? []), ...(other.get(name) ?? [])]]))
}

/** Series of other exporters are not looked for. */
function missingOf(expr: string, scraped: Scrape): readonly string[] {
  const { selectors, groupings } = readQuery(expr)
  const ours = selectors.filter(({ metric }) => isOurs(metric))
  if (ours.length === 0) return []
  const absent = ours.filter(({ metric, matchers }) => !(scraped.get(metric) ?? []).some(one => matches(one, matchers)))
  const labels = new Set(ours.flatMap(({ metric }) => (scraped.get(metric) ?? []).flatMap(one => Object.keys(one))))
  return [
    ...absent.map(one => `no series ${nameOf(one)}`),
    ...(absent.length > 0 ? [] : groupings.filter(label => !labels.has(label)).map(label => `no label ${label}`)),
  ]
}

/** A board's variable stands for anything that is there. */
function matches(series: Labels, matchers: Selector['matchers']): boolean {
  return matchers.every(({ label, op, value }) => {
    const own = series[label]
    if (own === undefined) return false
    if (value.startsWith('$')) return true
    const equal = op.endsWith('~') ? new RegExp(`^(?:${value})$`).test(own) : own === value
    return op.startsWith('!') ? !equal : equal
  })
}

function nameOf({ metric, matchers }: Selector): string {
  const inside = matchers.map(({ label, op, value }) => `${label}${op}"${value}"`).join(',')
  return inside === '' ? metric : `${metric}{${inside}}`
}
