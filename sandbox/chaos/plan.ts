import type { Random } from '../../platform/clock.ts'
import type { FaultKind } from './faults.ts'
import type { SiteShape } from './site.ts'

/** What the command line asks for. */
export interface ChaosPlan extends SiteShape {
  readonly minutes: number
  /** Mean seconds from one fault to the next. */
  readonly every: number
  /** New alerts a second over all tenants; a fifth as many updates come on top. */
  readonly rate: number
  readonly pollers: number
  readonly forwarders: number
  /** All when absent. */
  readonly faults?: readonly FaultKind[]
  readonly json?: string
}

export interface Planned {
  readonly atMs: number
  readonly kind: FaultKind
  /** How long it lasts, where it does. */
  readonly lastsMs: number
  /** Of its own random numbers. */
  readonly seed: number
}

const LASTS_MS = { least: 2_000, most: 8_000 }

/**
 * Faults at random moments, from a shuffled deck: each kind comes before any comes again. The same seed and flags give
 * the same list.
 */
export function schedule(
  plan: Pick<ChaosPlan, 'minutes' | 'every'>,
  kinds: readonly FaultKind[],
  random: Random,
): Planned[] {
  const planned: Planned[] = []
  let deck: FaultKind[] = []
  const endMs = plan.minutes * 60_000
  for (let atMs = 0; ; ) {
    atMs += plan.every * 1000 * (0.5 + random())
    if (atMs >= endMs) return planned
    if (deck.length === 0) deck = shuffled(kinds, random)
    const kind = deck.pop()
    if (kind === undefined) return planned
    const lastsMs = Math.round(LASTS_MS.least + random() * (LASTS_MS.most - LASTS_MS.least))
    planned.push({ atMs: Math.round(atMs), kind, lastsMs, seed: Math.floor(random() * 0x7fffffff) })
  }
}

function shuffled<T>(items: readonly T[], random: Random): T[] {
  const left = [...items]
  const deck: T[] = []
  while (left.length > 0) deck.push(...left.splice(Math.floor(random() * left.length), 1))
  return deck
}
