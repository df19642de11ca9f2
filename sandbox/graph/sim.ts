import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type GraphControls, serveGraphAdmin } from './admin.ts'
import { intBelow, seededRandom, subSeed } from './chance.ts'
import { openTokenDesk } from './entra.ts'
import { openFaultList } from './fault-list.ts'
import { graphFaultSchema } from './faults.ts'
import { emptyGraphLedger, openRequestBook } from './ledger.ts'
import { openLoad } from './load.ts'
import { type Moment, openMaker } from './maker.ts'
import { serveGraph } from './serve.ts'
import { type Directory, type GraphState, simNow } from './state.ts'
import { openStore } from './store.ts'
import { changeTenant, makeTenants, type SimTenant, type TenantPlan, tenantChangeSchema } from './tenants.ts'

export interface GraphSimOptions {
  /** 0 (the default) takes any free port. */
  readonly port?: number
  readonly host?: string
  readonly seed?: number
  /** Number of tenants, or the plan for them. Default 3. */
  readonly tenants?: number | Omit<TenantPlan, 'seed'>
  /** Alerts of the past for each tenant, spread over `backlogDays`. */
  readonly backlogPerTenant?: number
  readonly backlogDays?: number
  /** New alerts a second over all tenants; the generator starts at once when it is above 0. */
  readonly ratePerSecond?: number
  /** Updates for each new alert; also the share of the backlog that was changed once. */
  readonly updateShare?: number
  /** Share of the events that the first tenant gets on top. */
  readonly hotTenantShare?: number
  /** Share of made-up alerts that are hostile. */
  readonly hostileShare?: number
  readonly pageSize?: number
  readonly paging?: 'skiptoken' | 'skip'
  readonly limitPerMinute?: number
  readonly tokenLifetimeSeconds?: number
  readonly skewMs?: number
  readonly lagMs?: number
  /** How many requests the ledger keeps one by one. */
  readonly maxLedgerRequests?: number
  /** Host time, for tests that turn it by hand. */
  readonly now?: () => number
}

export interface GraphSim extends GraphControls {
  readonly url: string
  stop(): Promise<void>
}

const DAY_MS = 86_400_000

/** Starts a simulated Entra and Graph on one plain-http port. */
export async function startGraphSim(options: GraphSimOptions = {}): Promise<GraphSim> {
  const seed = options.seed ?? 1
  const state = openState(options, seed)
  const plan = typeof options.tenants === 'object' ? options.tenants : { count: options.tenants ?? 3 }
  for (const tenant of makeTenants({ seed, ...plan })) enrol(state, options, seed, tenant)
  fillBacklog(state, options, seed)
  const sim = controls(state, options, seed)
  const server = createServer((request, response) => {
    serveGraph(state, (adminRequest, url) => serveGraphAdmin(sim, adminRequest, url), request, response).catch(() => {
      request.destroy()
    })
  })
  server.keepAliveTimeout = 60_000
  server.listen(options.port ?? 0, options.host ?? '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  if (sim.load.plan.ratePerSecond > 0) sim.load.start()
  return Object.assign(sim, {
    url,
    stop: async () => {
      sim.load.freeze()
      if (!server.listening) return
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  })
}

function openState(options: GraphSimOptions, seed: number): GraphState {
  const ledger = emptyGraphLedger()
  const random = seededRandom(subSeed(seed, 0xfa017))
  return {
    settings: {
      pageSize: options.pageSize ?? 1000,
      paging: options.paging ?? 'skiptoken',
      limitPerMinute: options.limitPerMinute ?? 150,
      tokenLifetimeSeconds: options.tokenLifetimeSeconds ?? 3599,
    },
    ledger,
    book: openRequestBook(ledger, options.maxLedgerRequests ?? 100_000),
    faults: openFaultList(graphFaultSchema, random),
    desk: openTokenDesk(options.tokenLifetimeSeconds ?? 3599),
    random,
    directories: new Map(),
    issuedSkips: new Set(),
    now: options.now ?? Date.now,
    skewMs: options.skewMs ?? 0,
    lagMs: options.lagMs ?? 0,
  }
}

function enrol(state: GraphState, options: GraphSimOptions, seed: number, tenant: SimTenant): void {
  const store = openStore(tenant.tenantId, tenant.source, state.ledger)
  const makerSeed = subSeed(seed, 0xa1e27, state.directories.size)
  const maker = openMaker(tenant, store, { seed: makerSeed, hostileShare: options.hostileShare ?? 0 })
  state.directories.set(tenant.tenantId, { tenant, store, maker })
  state.book.countersOf(tenant.tenantId)
}

function fillBacklog(state: GraphState, options: GraphSimOptions, seed: number): void {
  const nowMs = state.now()
  const spanMs = (options.backlogDays ?? 6) * DAY_MS
  const random = seededRandom(subSeed(seed, 0xbac10))
  for (const { maker } of state.directories.values()) {
    const ages = Array.from({ length: options.backlogPerTenant ?? 0 }, () => 1000 + intBelow(random, spanMs))
    for (const ageMs of ages.toSorted((a, b) => b - a)) {
      const moment = { simMs: simNow(state) - ageMs, createdAtMs: nowMs, visibleAtMs: nowMs }
      if (random() < (options.updateShare ?? 0)) maker.createUpdated(moment)
      else maker.create(moment)
    }
  }
}

function controls(state: GraphState, options: GraphSimOptions, seed: number): GraphControls {
  const directory = (tenantId: string): Directory => {
    const found = state.directories.get(tenantId.toLowerCase())
    if (found === undefined) throw new Error(`the simulator has no tenant ${tenantId}; add it with changeTenant`)
    return found
  }
  const moment = (visibleInMs: number | undefined): Moment => {
    const nowMs = state.now()
    return { simMs: simNow(state), createdAtMs: nowMs, visibleAtMs: nowMs + (visibleInMs ?? state.lagMs) }
  }
  const load = openLoad(
    {
      seed: subSeed(seed, 0x10ad),
      ratePerSecond: options.ratePerSecond ?? 0,
      updateShare: options.updateShare ?? 0,
      hotTenantShare: options.hotTenantShare ?? 0,
    },
    {
      tenantIds: () => [...state.directories.keys()],
      create: tenantId => {
        directory(tenantId).maker.create(moment(undefined))
      },
      update: tenantId => {
        const { maker } = directory(tenantId)
        if (maker.update(moment(undefined)) === undefined) maker.create(moment(undefined))
      },
    },
  )
  return {
    get tenants() {
      return [...state.directories.values()].map(({ tenant }) => tenant)
    },
    ledger: state.ledger,
    faults: state.faults,
    load,
    addAlert: (tenantId, wish = {}) => directory(tenantId).maker.create(moment(wish.visibleInMs), wish),
    updateAlert: (tenantId, alertId, wish = {}) => {
      const revision = directory(tenantId).maker.update(moment(wish.visibleInMs), { ...wish, alertId })
      if (revision === undefined)
        throw new Error(`tenant ${tenantId} has no made-up alert ${alertId}; inject a new revision instead`)
      return revision
    },
    inject: (tenantId, alert, wish = {}) => directory(tenantId).store.add(Buffer.from(alert), moment(wish.visibleInMs)),
    changeTenant: input => {
      const change = tenantChangeSchema.parse(input)
      const found = state.directories.get(change.tenantId)?.tenant
      const tenant = changeTenant(found, change)
      if (found === undefined) enrol(state, options, seed, tenant)
      if (change.revokeTokens === true) state.desk.revokeTenant(change.tenantId)
      return tenant
    },
    simNow: () => simNow(state),
    setSkew: skewMs => {
      state.skewMs = skewMs
    },
    setLag: lagMs => {
      state.lagMs = lagMs
    },
  }
}
