/** Whose move it is: what Entra, Graph, and whoever stands between, are answered with, row by row. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { runSocos } from '../../cli/run.ts'
import type { GraphFaultInput } from '../../sandbox/graph/faults.ts'
import { type GraphSim, startGraphSim } from '../../sandbox/graph/sim.ts'
import { type TenantChange, writeTenantFiles } from '../../sandbox/graph/tenants.ts'

interface Row {
  readonly tenantId: string
  readonly verdict: string
  readonly words: string
  readonly code: string | null
  readonly whoseMove: string | null
  readonly page: string | null
  readonly steps: readonly { readonly step: string; readonly result: string; readonly words: string }[]
}

let dir = ''
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tenants-verdicts-'))
})
afterAll(() => rm(dir, { recursive: true, force: true }))

async function simulated(tenants = 1) {
  const sim = await startGraphSim({ tenants, lagMs: 0 })
  return { sim, [Symbol.asyncDispose]: () => sim.stop() }
}

/** What `socos tenants check` says of the tenants of the simulator. */
async function check(sim: GraphSim, ...flags: string[]): Promise<readonly Row[]> {
  const tenantsFile = join(dir, 'tenants.json')
  await writeTenantFiles(sim.tenants, { tenantsFile, secretsDir: dir })
  let [out, err] = ['', '']
  const io = {
    env: { SECRETS_DIR: dir, GRAPH_SANDBOX_URL: sim.url },
    out: (text: string) => void (out += text),
    say: (text: string) => void (err += text),
    isErrTty: false,
  }
  await runSocos(['node', 'socos', 'tenants', 'check', tenantsFile, '-o', 'json', ...flags], io)
  for (const { value } of sim.tenants.flatMap(({ secrets }) => secrets)) expect(out + err).not.toContain(value)
  return JSON.parse(out || '[]') as Row[]
}

function only(rows: readonly Row[]): Row {
  const [row, ...others] = rows
  if (!row || others.length > 0) throw new Error(`${rows.length} rows`)
  return row
}

/** One tenant, with a change of it, a fault, or neither. */
async function told(change: Omit<TenantChange, 'tenantId'> = {}, fault?: GraphFaultInput): Promise<Row> {
  await using at = await simulated()
  const { sim } = at
  sim.changeTenant({ tenantId: sim.tenants[0]?.tenantId ?? '', ...change })
  if (fault !== undefined) sim.faults.add({ budget: 1_000, ...fault })
  const row = only(await check(sim))
  if (fault !== undefined) expect(sim.faults.all[0]?.fired).toBeGreaterThan(0)
  return row
}

/** `wait`: nobody's; it is tried again. */
type Whose = 'customer' | 'operator' | 'maintainer' | 'wait'

// written out by hand, from Microsoft's list of codes and not from the table of the code
const ENTRA: readonly (readonly [number, Whose, RegExp])[] = [
  [90002, 'operator', /knows no directory/],
  [900023, 'operator', /not take .* for the ID of a directory/],
  [90019, 'operator', /not take .* for the ID of a directory/],
  [50059, 'operator', /not take .* for the ID of a directory/],
  [50128, 'operator', /not take .* for the ID of a directory/],
  [700016, 'operator', /client ID is wrong .*tenant ID is another directory's/],
  [700011, 'customer', /missing or disabled/],
  [70001, 'customer', /missing or disabled/],
  [7000112, 'customer', /missing or disabled/],
  [1000031, 'customer', /missing or disabled/],
  [7000229, 'customer', /no service principal .*grant consent again.*The credential is not at fault/],
  [7000215, 'operator', /Our file first: .* must create a new secret .* send the secret's Value/],
  [7000222, 'customer', /has expired/],
  [7000218, 'maintainer', /No credential reached Entra/],
  [7000216, 'maintainer', /No credential reached Entra/],
  [900144, 'maintainer', /No credential reached Entra/],
  [700027, 'customer', /upload exactly this certificate/],
  [50048, 'customer', /upload exactly this certificate/],
  [700030, 'customer', /upload exactly this certificate/],
  [700024, 'operator', /set the clock of the workers right/],
  [700211, 'customer', /issuer, subject and audience/],
  [700212, 'customer', /issuer, subject and audience/],
  [700213, 'customer', /issuer, subject and audience/],
  [700229, 'customer', /issuer, subject and audience/],
  [700025, 'customer', /public client/],
  [500011, 'operator', /check the cloud/],
  [70011, 'operator', /check the cloud/],
  [1002012, 'operator', /check the cloud/],
  [500014, 'customer', /Microsoft Graph itself is disabled.*subscription has lapsed/],
  [53003, 'customer', /Conditional Access.*egress addresses/],
  [530032, 'customer', /Conditional Access.*egress addresses/],
  [65001, 'customer', /grant admin consent/],
  [90094, 'customer', /grant admin consent/],
  [650051, 'customer', /grant admin consent/],
  [650052, 'customer', /no subscription of the service.*consent alone does not help/],
  [650053, 'customer', /grant admin consent/],
  [650054, 'customer', /grant admin consent/],
  [650055, 'customer', /grant admin consent/],
  [650056, 'customer', /grant admin consent/],
  [650057, 'customer', /grant admin consent/],
  [50034, 'operator', /a sign-in of a user/],
  [50053, 'operator', /a sign-in of a user/],
  [50057, 'operator', /a sign-in of a user/],
  [50076, 'operator', /a sign-in of a user/],
  [50126, 'operator', /a sign-in of a user/],
  [50194, 'operator', /not a common name/],
  [9001023, 'operator', /not a common name/],
  [90038, 'operator', /national cloud/],
  [900382, 'operator', /national cloud/],
  [900432, 'operator', /national cloud/],
  [50196, 'wait', /asks for a pause/],
  [90055, 'wait', /asks for a pause/],
  [90006, 'wait', /Check again later/],
  [90012, 'wait', /Check again later/],
  [90024, 'wait', /Check again later/],
  [90033, 'wait', /Check again later/],
  [90090, 'wait', /Check again later/],
  [50033, 'wait', /Check again later/],
]

describe('Entra says', () => {
  test.each(ENTRA)('AADSTS%i: the move is of the %s', async (code, whose, words) => {
    const row = await told({ tokenError: code })
    expect(row.words).toMatch(words)
    if (whose === 'wait') {
      expect(row).toMatchObject({ verdict: 'unclear', code: null })
      expect(row.words).toContain(`AADSTS${code}`)
      expect(row.words).toContain('the customer has nothing to do')
    } else expect(row).toMatchObject({ verdict: 'fix', code: `AADSTS${code}`, whoseMove: whose })
  })

  test('a missing service principal: the customer consents again, by a link that is theirs', async () => {
    const row = await told({ tokenError: 7000229 })
    expect(row.words).toContain(`https://login.microsoftonline.com/${row.tenantId}/adminconsent?client_id=`)
    expect(row.words).not.toMatch(/rejects/)
  })

  test('an application that is not there: first we compare, then the customer looks, on a page that can exist', async () => {
    const row = await told({ appKnown: false })
    expect(row.words).toMatch(/operator must first compare.*if they are the same, the customer's administrator/)
    expect(row.page).toBe('entra.microsoft.com > App registrations > All applications')
  })

  test('that Graph is off, or that there is no subscription, is not put down to the cloud or to consent', async () => {
    const off = await told({ tokenError: 500014 })
    expect(off.words).not.toMatch(/cloud|must (register or )?enable/)
    const unsubscribed = await told({ tokenError: 650052 })
    expect(unsubscribed.words).not.toMatch(/must grant/)
    for (const { page } of [off, unsubscribed]) expect(page).toBe('admin.microsoft.com > Billing > Licenses')
  })

  test('a GUID is never called no GUID', async () => {
    expect((await told({ tokenError: 50128 })).words).not.toMatch(/neither a GUID/)
  })
})

describe('one application of ours for several customers', () => {
  /** Three customers: two share an application, the third has its own. */
  async function shared(change: Omit<TenantChange, 'tenantId'>, ...flags: string[]) {
    await using at = await simulated()
    const { sim } = at
    const own = sim.tenants[0]?.tenantId ?? ''
    const ids = ['aaaaaaaa-0000-4000-8000-000000000001', 'aaaaaaaa-0000-4000-8000-000000000002']
    for (const tenantId of ids) sim.changeTenant({ tenantId, clientId: APP, name: tenantId })
    for (const tenantId of [own, ...ids]) sim.changeTenant({ tenantId, ...change })
    const rows = await check(sim, ...flags)
    const rowOf = (id: string | undefined) => rows.find(({ tenantId }) => tenantId === id)
    return { mine: rowOf(own), first: rowOf(ids[0]), second: rowOf(ids[1]), rows }
  }
  const APP = 'bbbbbbbb-0000-4000-8000-000000000000'
  const LINK = `https://login.microsoftonline.com/aaaaaaaa-0000-4000-8000-000000000001/adminconsent?client_id=${APP}`

  test.each([
    ['is not known there', { appKnown: false }],
    ['has no service principal there', { tokenError: 7000229 }],
    ['has no consent there', { tokenError: 65001 }],
  ] as const)('that %s: the customer gets the consent link of their own directory', async (_, change) => {
    const { first, second } = await shared(change)
    expect(first).toMatchObject({ verdict: 'fix', whoseMove: 'customer', page: LINK })
    expect(first?.words).toContain(LINK)
    expect(second?.page).toBe(LINK.replace('0001/', '0002/'))
  })

  test('whose token carries nothing: the same link, and no page that is not in their directory', async () => {
    const { first } = await shared({ consent: false })
    expect(first).toMatchObject({ code: 'graph-403', whoseMove: 'customer', page: LINK })
    expect(first?.words).not.toMatch(/must add it/)
  })

  test.each([7000215, 7000222, 700027, 700213, 700025])(
    'whose credential is at fault (AADSTS%i): our move, in our directory',
    async code => {
      const { first, second, mine } = await shared({ tokenError: code })
      for (const row of [first, second]) {
        expect(row).toMatchObject({ code: `AADSTS${code}`, whoseMove: 'operator' })
        expect(row?.words).toMatch(/our own directory/)
      }
      // of a customer's own application the file is compared before anybody is asked
      expect(mine).toMatchObject({ code: `AADSTS${code}`, whoseMove: code === 7000215 ? 'operator' : 'customer' })
    },
  )

  test('is known as such also when only one of the customers is asked for', async () => {
    const flags = ['-t', 'aaaaaaaa-0000-4000-8000-000000000001']
    const { first, rows } = await shared({ tokenError: 7000222 }, ...flags)
    expect(rows).toHaveLength(1)
    expect(first).toMatchObject({ whoseMove: 'operator' })
  })
})

describe('what stands between the pollers and Microsoft', () => {
  const HOSTS = /login\.microsoftonline\.com and graph\.microsoft\.com pass unfiltered and uninspected/
  const between = (row: Row) => {
    expect(row).toMatchObject({ verdict: 'unclear', code: null, whoseMove: 'operator', page: null })
    expect(row.words).toMatch(/something in between, such as a proxy or a TLS inspector, answers in its place/)
    expect(row.words).toMatch(HOSTS)
    expect(row.words).toMatch(/The customer has nothing to do\.$/)
    expect(row.words).not.toMatch(/Check again later|licen|Conditional Access|blocked/)
  }

  test.each([400, 401, 402, 403, 404, 410, 413, 422, 500, 502, 503])(
    'a page with %i in place of Graph is not put down to the customer',
    async status => {
      const row = await told({}, { kind: 'status', status, html: true })
      between(row)
      expect(row.steps.at(-1)).toMatchObject({ step: 'alerts', result: 'failed' })
      expect(row.words).toMatch(new RegExp(`^graph\\.microsoft\\.com answered ${status}`))
    },
  )

  test.each([400, 401, 403, 404, 407, 500, 502, 503])('nor one with %i in place of Entra', async status => {
    const row = await told({}, { kind: 'status', status, html: true, where: 'token' })
    between(row)
    expect(row.words).toMatch(new RegExp(`^login\\.microsoftonline\\.com answered ${status}`))
  })

  test.each(['list', 'token'] as const)(
    'nor a portal, as a page or as a redirect to one, in place of the %s',
    async where => {
      between(await told({}, { kind: 'html', where }))
      between(await told({}, { kind: 'redirect', to: 'http://portal.example/', where }))
    },
  )

  test.each([401, 402, 403, 404])("Graph's own %i is told as such", async status => {
    expect(await told({}, { kind: 'status', status })).toMatchObject({ verdict: 'fix', code: `graph-${status}` })
  })
})

describe('a permission', () => {
  const permission = async (...roles: string[]) => (await told({ roles })).steps[2]

  test('that is missing must be of the Type Application, and a fresh consent takes minutes', async () => {
    const row = await told({ consent: false })
    for (const words of [row.words, row.steps[2]?.words ?? '']) {
      expect(words).toMatch(/Type .*must be Application.*Delegated.*green tick/)
      expect(words).toMatch(/takes some minutes/)
    }
  })

  test.each([
    'Mail.Send',
    'Directory.AccessAsUser.All',
    'Sites.FullControl.All',
    'Exchange.ManageAsApp',
    'User.ManageIdentities.All',
    'User-Mail.ReadWrite.All',
    'RoleManagement.ReadWrite.Directory',
    'Policy.ReadWrite.ApplicationConfiguration',
    'Directory.Write.Restricted',
    'Team.Create',
    'User.Invite.All',
    'Calls.Initiate.All',
    'Machine.Execute',
  ])('%s can do more than read, and is to be taken back', async role => {
    const step = await permission('SecurityAlert.Read.All', role)
    expect(step).toMatchObject({ result: 'look' })
    expect(step?.words).toContain(`Nothing needs more than reading: ${role} can be taken back.`)
  })

  test.each(['Mail.Read', 'RoleManagement.Read.Directory', 'User.ReadBasic.All', 'Sites.Selected'])(
    '%s is more than is needed, and not called more than reading',
    async role => {
      const step = await permission('SecurityAlert.Read.All', role)
      expect(step).toMatchObject({ result: 'ok' })
      expect(step?.words).toContain(`Only SecurityAlert.Read.All is needed: ${role} can be taken back, too.`)
      expect(step?.words).not.toContain('more than reading')
    },
  )

  test('that also writes, and is the only one, is not to be taken back before the one that reads is there', async () => {
    const step = await permission('SecurityAlert.ReadWrite.All')
    expect(step?.words).toContain('SecurityAlert.Read.All is enough: it must be there before that one goes')
  })

  test('says nothing of others where there are none', async () => {
    expect((await permission('SecurityAlert.Read.All'))?.words).toBe('The token carries SecurityAlert.Read.All.')
  })
})
