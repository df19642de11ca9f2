/** What the tests of the simulated Graph share: a client that knows nothing of the product's own. */
import { type GraphSim, type GraphSimOptions, startGraphSim } from '../../sandbox/graph/sim.ts'
import type { SimTenant } from '../../sandbox/graph/tenants.ts'

interface HandTime {
  ms: number
}

/** A simulator that stops with the test, its host time turned by hand, and its tenants. */
export async function graphSim(options: GraphSimOptions = {}) {
  const time: HandTime = { ms: Date.parse('2026-11-23T12:00:00Z') }
  const sim = await startGraphSim({ now: () => time.ms, ...options })
  const [first, second] = sim.tenants
  if (first === undefined) throw new Error('a simulator without tenants cannot be tested')
  return { sim, time, first, second: second ?? first, [Symbol.asyncDispose]: () => sim.stop() }
}

export const tokenForm = (tenant: SimTenant): Record<string, string> => ({
  client_id: tenant.clientId,
  client_secret: tenant.secrets[0]?.value ?? '',
  scope: 'https://graph.microsoft.com/.default',
  grant_type: 'client_credentials',
})

export async function askToken(sim: GraphSim, tenantPath: string, form: Record<string, string>) {
  const url = `${sim.url}/${tenantPath}/oauth2/v2.0/token`
  const response = await fetch(url, { method: 'POST', body: new URLSearchParams(form) })
  return {
    status: response.status,
    headers: response.headers,
    body: (await response.json()) as Record<string, unknown>,
  }
}

export async function tokenOf(sim: GraphSim, tenant: SimTenant): Promise<string> {
  const { body } = await askToken(sim, tenant.tenantId, tokenForm(tenant))
  if (typeof body.access_token !== 'string') throw new Error(`no token: ${JSON.stringify(body)}`)
  return body.access_token
}

export interface Listing {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  readonly ids: readonly string[]
  readonly next: string | undefined
  readonly count: number | undefined
  readonly error: { readonly code: string; readonly message: string } | undefined
}

/** One page; `query` is a path with query, or a nextLink. */
export async function getPage(sim: GraphSim, token: string, query: string): Promise<Listing> {
  const response = await fetch(new URL(query, sim.url), {
    headers: { authorization: `Bearer ${token}` },
    redirect: 'manual',
  })
  const text = await response.text()
  let body: Record<string, unknown> = {}
  try {
    body = JSON.parse(text) as Record<string, unknown>
  } catch {
    // some faults send what is no JSON; the test looks at the text
  }
  const rows = (body.value ?? []) as { id: string }[]
  return {
    status: response.status,
    headers: response.headers,
    text,
    ids: rows.map(row => row.id),
    next: body['@odata.nextLink'] as string | undefined,
    count: body['@odata.count'] as number | undefined,
    error: body.error as Listing['error'],
  }
}

export const listPath = (options: Record<string, string> = {}, list = 'alerts_v2'): string => {
  const query = Object.entries(options).map(([name, value]) => `$${name}=${encodeURIComponent(value)}`)
  return `/v1.0/security/${list}?${query.join('&')}`
}

/** All pages; `between` runs after each page but the last. */
export async function listAll(sim: GraphSim, token: string, query: string, between?: () => void): Promise<string[]> {
  const ids: string[] = []
  for (let next: string | undefined = query; next !== undefined; ) {
    const page: Listing = await getPage(sim, token, next)
    if (page.status !== 200) throw new Error(`HTTP ${page.status}: ${page.text}`)
    ids.push(...page.ids)
    next = page.next
    if (next !== undefined) between?.()
  }
  return ids
}
