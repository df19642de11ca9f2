import type { EngineItem } from '../../../consumers/engine/item.ts'
import type { Forward, ItemFate } from '../../../consumers/forward.ts'
import type { Clock } from '../../../platform/clock.ts'

/** What the engine says to one item. `wait`: not now. */
type Verdict = 'accept' | 'refuse' | 'wait'

interface Acceptance {
  readonly id: string
  /** `tenantId/alertId` */
  readonly key: string
  readonly version: string
  /** Which forwarder sent it. */
  readonly from: string
  readonly known: boolean
}

export interface FakeEngine {
  /** Every item that was accepted, repeats included, in order. */
  readonly accepted: Acceptance[]
  /** Alert ids of each request. */
  readonly requests: string[][]
  judge: (item: EngineItem, request: number) => Verdict
}

/** What a world around the forward may do at the points where a process can die. */
export interface ForwardPoints {
  request(items: readonly EngineItem[]): Promise<void>
  /** The engine has taken what it takes; the answer is not yet seen. */
  answered(): Promise<void>
  /** The fates are told. */
  told(): Promise<void>
  /** However it ended. */
  over(): void
}

const BATCH_ITEMS = 2
const AGAIN_MS = 500

export function fakeEngine(): FakeEngine {
  return { accepted: [], requests: [], judge: () => 'accept' }
}

/** A Forward that keeps the contract of the real one, towards the ledger of `engine`. */
export function fakeForward(engine: FakeEngine, from: string, clock: Clock, points: ForwardPoints): Forward {
  return async (items, onFate, { halt, abort, leased = () => true }) => {
    if (new Set(items.map(keyOf)).size < items.length) throw new Error('an alert twice in one forward')
    let left = items.map((item, index) => ({ item, index }))
    while (left.length > 0) {
      abort.throwIfAborted()
      if (halt.aborted || !leased()) return 'stopped'
      const batch = left.slice(0, BATCH_ITEMS)
      const settled = new Set<number>()
      await points.request(batch.map(({ item }) => item))
      try {
        const request = engine.requests.push(batch.map(({ item }) => item.alertId)) - 1
        const answers = batch.map(({ item, index }) => ({ index, answer: answer(engine, item, request, from) }))
        await points.answered()
        abort.throwIfAborted()
        for (const { index, answer } of answers) {
          if (answer === null) continue
          onFate(index, answer)
          settled.add(index)
        }
        left = left.filter(({ index }) => !settled.has(index))
        await points.told()
      } finally {
        points.over()
      }
      if (settled.size === 0) await clock.sleep(AGAIN_MS, AbortSignal.any([halt, abort])).catch(() => {})
    }
    return 'done'
  }
}

function answer(engine: FakeEngine, item: EngineItem, request: number, from: string): ItemFate | null {
  switch (engine.judge(item, request)) {
    case 'wait':
      return null
    case 'refuse':
      return { kind: 'park', reason: 'rejected', detail: 'status 400: no', attempts: 1 }
    case 'accept': {
      const known = engine.accepted.some(({ id }) => id === item.id)
      engine.accepted.push({ id: item.id, key: keyOf(item), version: item.version, from, known })
      return { kind: 'delivered', known }
    }
  }
}

function keyOf(item: EngineItem): string {
  const { id } = JSON.parse(item.tenantJson.toString()) as { id: string }
  return `${id}/${item.alertId}`
}
