/** What goes wrong in a world, when, and how its alerts come: all of it drawn from the seed before it begins. */
import type { Chance } from './chance.ts'
import type { EffectKind, Side } from './process.ts'
import { LOOKBACK_MS } from './workers.ts'

/** From then on nothing goes wrong any more. */
export const CALM_MS = 45_000

/** At the n-th such effect of a worker of that side. */
export interface Trigger {
  readonly fromMs: number
  readonly side: Side
  readonly kind: EffectKind
  count: number
  /** `unsent`: before the request goes out; `sent`: while it is on its way; `landed`: while the answer is. */
  readonly where: 'unsent' | 'sent' | 'landed'
  readonly act: 'kill' | 'pause'
  readonly holdMs: number
  /** How much later than usual the request lands. */
  readonly lateMs: number
}

export interface TimedAct {
  readonly atMs: number
  readonly side: Side
  readonly act: 'stop' | 'join' | 'kill' | 'pause' | 'break'
  readonly holdMs: number
}

export type SpanKind =
  | 'away'
  | 'refused'
  | 'uncovered'
  | 'unanswered'
  | 'twice'
  | 'slow'
  | 'engine-busy'
  | 'engine-broken'
  | 'engine-lost'
  | 'engine-some'
  | 'engine-slow'
  | 'graph-throttled'
  | 'graph-away'
  | 'answers-lost'
  | 'joins-lost'

interface Span {
  readonly fromMs: number
  readonly untilMs: number
  readonly kind: SpanKind
  readonly share: number
}

interface Update {
  readonly tenantId: string
  readonly alertId: string
  readonly atMs: number
  readonly tick: number
  readonly delayMs: number
}

export interface Plan {
  readonly lanes: number
  readonly tenants: readonly { readonly tenantId: string; readonly fromMs: number }[]
  readonly updates: readonly Update[]
  readonly triggers: readonly Trigger[]
  readonly acts: readonly TimedAct[]
  readonly spans: readonly Span[]
  readonly compactAtMs: readonly number[]
  /** Only orderly comings and goings, and an engine and a Graph with ordinary moods. */
  readonly isGentle: boolean
  readonly intervalMs: number
  /** Of one request. */
  readonly engineItemsMax: number
  /** Revisions of one alert that the engine refuses for good. */
  readonly refusedShare: number
}

type Kinds = readonly [EffectKind, ...EffectKind[]]

/**
 * What a world is mostly about; else what it takes several things for would hardly ever come together.
 * `gentle`: only orderly comings and goings, and an engine and a Graph with ordinary moods.
 */
const FLAVOURS = [
  'mixed',
  'mixed',
  'mixed',
  'gentle',
  'gentle',
  'late-ledger',
  'late-publish',
  'backlog',
  'stuck',
] as const
type Flavour = (typeof FLAVOURS)[number]

const EFFECTS: Readonly<Record<Side, Kinds>> = {
  poller: ['alerts', 'alerts', 'alerts', 'checkpoints', 'page', 'page', 'join', 'sync', 'heartbeat'],
  forwarder: [
    'post',
    'post',
    'post',
    'deliveries',
    'deliveries',
    'commit',
    'join',
    'sync',
    'heartbeat',
    'offsets',
    'fetch',
  ],
}
const ROUGH: readonly [SpanKind, ...SpanKind[]] = [
  'away',
  'refused',
  'uncovered',
  'unanswered',
  'twice',
  'slow',
  'engine-lost',
  'engine-some',
  'answers-lost',
  'joins-lost',
]
const ORDINARY: readonly [SpanKind, ...SpanKind[]] = [
  'engine-busy',
  'engine-broken',
  'engine-some',
  'engine-slow',
  'engine-slow',
  'graph-throttled',
  'graph-away',
]
const SIDES: readonly [Side, Side] = ['poller', 'forwarder']
const LATE_MAX_MS = 18_000

export function planOf(chance: Chance): Plan {
  const flavour = chance.pick(FLAVOURS)
  const isGentle = flavour === 'gentle'
  const tenantIds = Array.from({ length: chance.between(2, 3) }, (_, n) => tenantIdOf(chance.between(0, 999) * 10 + n))
  return {
    lanes: chance.between(2, 3),
    isGentle,
    intervalMs: isGentle || flavour === 'backlog' ? 2_000 : 5_000,
    engineItemsMax: chance.pick([1, 3] as const),
    refusedShare: flavour === 'stuck' ? 0.3 : chance.happens(0.3) ? 0.15 : 0,
    tenants: tenantIds.map((tenantId, n) => {
      return { tenantId, fromMs: n > 0 && chance.happens(0.2) ? chance.between(2_000, 20_000) : 0 }
    }),
    updates: tenantIds.flatMap(tenantId => updatesOf(tenantId, flavour, chance)),
    triggers: isGentle ? [] : times(chance.between(1, 5), () => triggerOf(flavour, chance)),
    acts: times(isGentle || flavour === 'stuck' ? chance.between(2, 6) : chance.between(0, 3), () =>
      actOf(isGentle, chance),
    ),
    spans: [
      ...times(chance.between(0, isGentle ? 2 : 3), () => spanOf(isGentle, chance)),
      ...(flavour === 'stuck' ? [stuckBroker(chance)] : []),
      ...(flavour === 'backlog' || (isGentle && chance.happens(0.6)) ? [slowEngine(isGentle, chance)] : []),
    ],
    compactAtMs: times(chance.between(0, 8), () => chance.between(3_000, CALM_MS)),
  }
}

function triggerOf(flavour: Flavour, chance: Chance): Trigger {
  const fromMs = chance.between(1_000, CALM_MS - 8_000)
  const count = chance.between(1, 4)
  const holdMs = chance.between(2_000, 14_000)
  const late = { where: 'sent', act: chance.pick(['pause', 'pause', 'kill'] as const), count, holdMs } as const
  const lateMs = chance.between(5_000, LATE_MAX_MS)
  if (flavour === 'late-ledger') return { ...late, fromMs, side: 'forwarder', kind: 'deliveries', lateMs }
  if (flavour === 'late-publish') return { ...late, fromMs, side: 'poller', kind: 'alerts', lateMs }
  const side = flavour === 'backlog' ? 'forwarder' : chance.pick(SIDES)
  const where = chance.pick(['unsent', 'sent', 'sent', 'landed', 'landed'] as const)
  return {
    fromMs,
    side,
    kind: flavour === 'backlog' ? chance.pick(['post', 'post', 'deliveries'] as const) : chance.pick(EFFECTS[side]),
    count,
    where,
    act: where === 'unsent' || chance.happens(0.4) ? 'kill' : 'pause',
    holdMs,
    lateMs:
      where === 'sent' && chance.happens(0.7) ? chance.between(0, Math.min(LATE_MAX_MS, Math.round(holdMs * 1.3))) : 0,
  }
}

function actOf(isGentle: boolean, chance: Chance): TimedAct {
  return {
    atMs: chance.between(4_000, CALM_MS - 6_000),
    side: isGentle ? chance.pick(['forwarder', 'forwarder', 'poller'] as const) : chance.pick(SIDES),
    act: isGentle
      ? chance.pick(['stop', 'join'] as const)
      : chance.pick(['stop', 'join', 'kill', 'pause', 'break'] as const),
    holdMs: chance.between(2_000, 14_000),
  }
}

function spanOf(isGentle: boolean, chance: Chance): Span {
  const kind = isGentle || chance.happens(0.3) ? chance.pick(ORDINARY) : chance.pick(ROUGH)
  const fromMs = chance.between(0, CALM_MS - 10_000)
  const share = kind === 'away' ? 1 : kind === 'answers-lost' ? 0.15 : chance.pick([0.3, 0.6, 1] as const)
  return { kind, fromMs, untilMs: fromMs + chance.between(1_000, kind === 'away' ? 9_000 : 12_000), share }
}

function slowEngine(isGentle: boolean, chance: Chance): Span {
  const kind = isGentle ? 'engine-slow' : chance.pick(['engine-slow', 'engine-busy', 'engine-some'] as const)
  return { kind, fromMs: chance.between(0, 10_000), untilMs: CALM_MS, share: kind === 'engine-slow' ? 1 : 0.7 }
}

/** Nothing gets on the log for so long that a rejoin waits no longer. */
function stuckBroker(chance: Chance): Span {
  const fromMs = chance.between(3_000, CALM_MS - 25_000)
  return {
    kind: chance.pick(['refused', 'unanswered', 'slow'] as const),
    fromMs,
    untilMs: fromMs + chance.between(8_000, 25_000),
    share: 0.9,
  }
}

/** A few alerts, each updated a few times, some of them in quick succession. */
function updatesOf(tenantId: string, flavour: Flavour, chance: Chance): Update[] {
  const alerts = chance.between(1, flavour === 'mixed' || flavour === 'gentle' ? 4 : 2)
  // some tenants fall silent while others go on
  const lastMs = flavour === 'late-ledger' ? chance.between(12_000, CALM_MS - 3_000) : CALM_MS - 3_000
  const updates = times(chance.between(4, 14), () => {
    const atMs = chance.happens(0.25) ? chance.between(-LOOKBACK_MS / 2, 0) : chance.between(0, lastMs)
    return {
      tenantId,
      alertId: `a${chance.between(1, alerts)}`,
      atMs,
      tick: chance.between(0, 9_999),
      delayMs: chance.happens(0.3) ? chance.between(0, 13_000) : chance.between(0, 900),
    }
  })
  return updates.toSorted((a, b) => a.atMs - b.atMs || a.tick - b.tick)
}

function tenantIdOf(number: number): string {
  return `00000000-0000-4000-8000-${String(number).padStart(12, '0')}`
}

function times<T>(count: number, make: () => T): T[] {
  return Array.from({ length: count }, make)
}
