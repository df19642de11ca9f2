import { expect, test } from 'vitest'
import { FAULT_KINDS } from '../../sandbox/chaos/faults.ts'
import { schedule } from '../../sandbox/chaos/plan.ts'
import { unescaped } from '../../sandbox/chaos/readback.ts'
import { growthPerHour, recoveries } from '../../sandbox/chaos/recovery.ts'
import { type Evidence, judgeRun } from '../../sandbox/chaos/verdict.ts'
import type { EngineItem } from '../../sandbox/engine/ledger.ts'
import { emptyEngineLedger } from '../../sandbox/engine/ledger.ts'
import { seededRandom } from '../../sandbox/graph/chance.ts'
import { emptyGraphLedger, type LedgerRevision } from '../../sandbox/graph/ledger.ts'

const TENANT = '00000000-0000-4000-8000-000000000001'
const version = (n: number) => `2026-11-23T10:11:12.${String(n).padStart(7, '0')}Z`

const revision = (n: number, change: Partial<LedgerRevision> = {}): LedgerRevision => ({
  tenantId: TENANT,
  alertId: 'a',
  versionText: version(n),
  version: version(n),
  sha256: `hash ${n}`,
  bytes: 1,
  createdAtMs: n,
  visibleAtMs: n,
  visibleUntilMs: null,
  askedAtMs: n,
  fate: 'deliver',
  ...change,
})

const item = (n: number, change: Partial<EngineItem> = {}): EngineItem => ({
  request: 0,
  id: `id ${n}`,
  tenantId: TENANT,
  tenant: {},
  alertId: 'a',
  version: version(n),
  source: 'alerts_v2',
  sha256: `hash ${n}`,
  atMs: n,
  status: 200,
  accepted: true,
  repeat: false,
  stale: false,
  replay: false,
  answered: true,
  ...change,
})

/** One alert whose two revisions arrived in order: everything holds. */
function evidence(change: {
  readonly items?: readonly EngineItem[]
  readonly senders?: readonly number[]
  readonly log?: Partial<Evidence['log']>
  readonly rest?: Partial<Evidence>
}): Evidence {
  const graph = emptyGraphLedger()
  graph.revisions.push(revision(1, { visibleUntilMs: 2 }), revision(2))
  const engine = emptyEngineLedger()
  engine.items.push(...(change.items ?? [item(1), item(2)]))
  for (const sender of change.senders ?? [0]) {
    engine.requests.push({ atMs: 0, status: 200, items: 1, wireBytes: 1, bytes: 1, encoding: '', fault: null, sender })
  }
  const entry = (n: number) => ({
    lane: 0,
    offset: n,
    tenantId: TENANT,
    alertId: 'a',
    version: version(n),
    sha256: `hash ${n}`,
  })
  return {
    graph,
    engine,
    log: {
      alerts: [entry(1), entry(2)],
      parkedAt: new Set(),
      delivered: new Map([[`${TENANT}/a`, version(2)]]),
      lag: new Map([[0, 0]]),
      ...change.log,
    },
    mustSeeMs: 0,
    senderName: sender => `forwarder-${sender}`,
    zombies: new Set(),
    breaks: 0,
    repeatsPerBreak: 10,
    rows: [
      {
        tenantId: TENANT,
        state: 'ok',
        lastPoll: null,
        counts: { seen: 2, delivered: 2, duplicate: 0, stale: 0, parked: 0, waiting: 0 },
      },
    ],
    complaints: [],
    ...change.rest,
  }
}

const broken = (of: Evidence): readonly string[] =>
  judgeRun(of).promises.flatMap(({ name, problems }) => (problems.length > 0 ? [name] : []))

test('a good run breaks nothing', () => {
  expect(broken(evidence({}))).toEqual([])
})

test.for<[string, Evidence, RegExp]>([
  ['a lost revision', evidence({ items: [item(1)] }), /P1 nothing is lost/],
  ['an old one after a new one by the same worker', evidence({ items: [item(2), item(1)] }), /P2 never/],
  ['an old one that the engine took', evidence({ items: [item(2), item(1)] }), /P2 the engine keeps/],
  [
    'a repeat without a reason',
    evidence({ items: [item(1), item(2), item(2, { status: 409, accepted: false })] }),
    /P3 repeats/,
  ],
  ['an id that changed', evidence({ items: [item(1), item(2), item(2, { id: 'other' })] }), /P3 repeats/],
  ['something that Graph never listed', evidence({ items: [item(1), item(2), item(3)] }), /P3 nothing that Graph/],
  ['a record without a fate', evidence({ items: [item(1)] }), /P5 every record/],
  ['an item that is not on the log', evidence({ log: { alerts: [] } }), /P5 every record/],
  [
    'a ledger that is behind',
    evidence({ log: { delivered: new Map([[`${TENANT}/a`, version(1)]]) } }),
    /P5 the ledger/,
  ],
  ['offsets that stay behind', evidence({ log: { lag: new Map([[0, 7]]) } }), /offsets/],
  ['a lane of which nothing is committed', evidence({ log: { lag: new Map() } }), /offsets/],
  ['a worker that ended by itself', evidence({ rest: { complaints: ['forwarder-1 ended'] } }), /workers end/],
])('%s is told', ([, of, which]) => {
  expect(broken(of).some(name => which.test(name))).toBe(true)
})

test('an old revision across workers is excused for one that was frozen, and for no other', () => {
  const items = [item(2, { request: 0 }), item(1, { request: 1, accepted: false, status: 409 })]
  const late = { items, senders: [0, 1], log: { alerts: [] } }
  expect(broken(evidence(late))).toContain('P2 never an old revision after a new one, by the same worker')
  const judged = judgeRun(evidence({ ...late, rest: { zombies: new Set(['forwarder-1']) } }))
  expect(judged.staleFromZombies).toBe(1)
  expect(judged.promises.find(({ name }) => name.startsWith('P2 never'))?.problems).toEqual([])
})

test('a repeat after an answer that nobody got is explained; others are bounded by the breaks', () => {
  const again = item(2, { status: 409, accepted: false })
  expect(broken(evidence({ items: [item(1), item(2, { answered: false }), again] }))).toEqual([])
  expect(broken(evidence({ items: [item(1), item(2), again], rest: { breaks: 1 } }))).toEqual([])
})

test('the same seed plans the same faults, and every kind comes before any comes again', () => {
  const plan = { minutes: 10, every: 2 }
  const first = schedule(plan, FAULT_KINDS, seededRandom(5))
  expect(schedule(plan, FAULT_KINDS, seededRandom(5))).toEqual(first)
  expect(schedule(plan, FAULT_KINDS, seededRandom(6))).not.toEqual(first)
  expect(new Set(first.slice(0, FAULT_KINDS.length).map(({ kind }) => kind))).toEqual(new Set(FAULT_KINDS))
  expect(Math.max(...first.map(({ atMs }) => atMs))).toBeLessThan(600_000)
})

test('bytes that Kafka wrote as text come back', () => {
  expect(unescaped('a\\x5C\\x00\\xFFz')).toEqual(Buffer.from([0x61, 0x5c, 0, 0xff, 0x7a]))
})

test('recovery is the slowest lane’s first delivery of something that appeared after the fault', () => {
  const graph = { revisions: [revision(1), revision(50), revision(90)] }
  const engine = { items: [item(1, { atMs: 60 }), item(50, { atMs: 75 }), item(90, { atMs: 95 })] }
  expect(recoveries([{ kind: 'kill-poller', atMs: 40 }], { graph, engine }, 1)).toEqual([
    { kind: 'kill-poller', ms: [35] },
  ])
})

test('growth is the slope within lives, not between them, and is not guessed from a short look', () => {
  const life = (worker: string, startMiB: number, slopePerHour: number, hours: number) =>
    Array.from({ length: 11 }, (_, n) => ({
      worker,
      ageMs: (n / 10) * hours * 3_600_000,
      rssMiB: startMiB + slopePerHour * (n / 10) * hours,
      keptMiB: null,
      ledgerMiB: 0,
      handles: null,
    }))
  const rss = ({ rssMiB }: { readonly rssMiB: number }) => rssMiB
  expect(growthPerHour([...life('a', 100, 6, 1), ...life('b', 300, 6, 1)], rss, 0)).toBeCloseTo(6)
  expect(growthPerHour(life('a', 100, 6, 0.01), rss, 0)).toBeNull()
})
