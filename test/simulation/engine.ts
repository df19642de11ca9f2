/** The correlation engine: takes what it is told to take, and remembers in order all that it got. */
import type { EngineAnswer, ItemAnswer } from '../../consumers/engine/answer.ts'
import type { EngineItem } from '../../consumers/engine/item.ts'
import type { Process } from './process.ts'

export interface Acceptance {
  readonly id: string
  /** `tenantId/alertId` */
  readonly key: string
  readonly version: string
  readonly lane: number
  readonly process: Process
  readonly atMs: number
  /** The sender had lost the lane since it was sent. */
  readonly isLate: boolean
  /** The sender saw the answer. */
  isAnswered: boolean
}

/** What becomes of a request. `lost`: it is taken, and nobody hears of it. */
export type Verdict = 'takes' | 'takes-some' | 'busy' | 'broken' | 'lost'

export interface SimEngine {
  readonly accepted: readonly Acceptance[]
  readonly refused: ReadonlySet<string>
  take(
    items: readonly EngineItem[],
    verdict: Verdict,
    of: (item: EngineItem) => Omit<Acceptance, 'id' | 'version' | 'isAnswered'>,
  ): {
    readonly answer: EngineAnswer
    readonly taken: readonly Acceptance[]
  }
}

export interface EngineChance {
  /** This item is put off. */
  putsOff(): boolean
  /** This revision is refused for good, whenever it comes. */
  refuses(key: string, version: string): boolean
}

export function simEngine(chance: EngineChance, seen: (acceptance: Acceptance) => void): SimEngine {
  const accepted: Acceptance[] = []
  const ids = new Set<string>()
  const refused = new Set<string>()

  return {
    accepted,
    refused,
    take(items, verdict, of) {
      if (verdict === 'busy') return { answer: again(true), taken: [] }
      if (verdict === 'broken') return { answer: again(false), taken: [] }
      const taken: Acceptance[] = []
      const fates = items.map((item): ItemAnswer => {
        const about = of(item)
        if (chance.refuses(about.key, item.version)) {
          refused.add(`${about.key} ${item.version}`)
          return { kind: 'rejected', status: 400, error: 'not this one' }
        }
        if (verdict === 'takes-some' && chance.putsOff()) return { kind: 'again', detail: 'status 429' }
        const acceptance: Acceptance = { ...about, id: item.id, version: item.version, isAnswered: false }
        seen(acceptance)
        accepted.push(acceptance)
        taken.push(acceptance)
        const isKnown = ids.has(item.id)
        ids.add(item.id)
        return isKnown ? { kind: 'known' } : { kind: 'accepted' }
      })
      return { answer: verdict === 'lost' ? again(false) : { kind: 'items', fates }, taken }
    },
  }
}

function again(busy: boolean): EngineAnswer {
  return { kind: 'again', busy, retryAfterMs: null, detail: busy ? 'HTTP 503' : 'no answer in time' }
}
