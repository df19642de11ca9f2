import type { Clock } from '../../platform/clock.ts'
import type { EngineItem } from '../engine/item.ts'
import type { TenantDirectory } from '../enrich.ts'
import type { EngineFormat } from '../format.ts'
import { itemOf } from '../format.ts'
import type { Forward } from '../forward.ts'
import type { Chosen } from './scan.ts'
import type { Target } from './target.ts'

export interface EngineTargetDeps {
  readonly forward: Forward
  readonly tenants: TenantDirectory
  readonly format: EngineFormat
  readonly clock: Clock
  readonly signal: AbortSignal
  readonly perSecond: number
  /** Words when live traffic must come first, null when there is room. */
  readonly mustWait: () => Promise<string | null>
  readonly say: (text: string) => void
  readonly onRefused: (chosen: Chosen, reason: string) => void
}

const BATCH_ITEMS = 100
const WAIT_MS = 2_000

/**
 * The engine again, each item marked as replayed under its old id, at a rate of its own. Live traffic goes first: it
 * pauses while the live lag is high or the engine is in trouble. The ledger is neither read nor written.
 */
export function toEngine(
  replay: { readonly id: string; readonly reason: string; readonly by: string },
  deps: EngineTargetDeps,
): Target {
  let waiting: { chosen: Chosen; item: EngineItem }[] = []
  let nextMs = deps.clock.now()

  async function send(batch: readonly { chosen: Chosen; item: EngineItem }[]): Promise<void> {
    for (let words = await deps.mustWait(); words !== null; words = await deps.mustWait()) {
      deps.say(`waiting: ${words}`)
      await deps.clock.sleep(WAIT_MS, deps.signal)
    }
    await deps.clock.sleep(Math.max(0, nextMs - deps.clock.now()), deps.signal)
    nextMs = Math.max(nextMs, deps.clock.now()) + (batch.length / deps.perSecond) * 1000
    // several versions of one alert go one after the other
    for (const round of rounds(batch)) {
      const never = new AbortController().signal
      await deps.forward(
        round.map(({ item }) => item),
        (at, fate) => {
          const entry = round[at]
          if (fate.kind === 'park' && entry) deps.onRefused(entry.chosen, `${fate.reason}: ${fate.detail}`)
        },
        { halt: never, abort: deps.signal },
      )
    }
  }

  return {
    words: deps.format === 'native' ? 'the engine' : 'the engine, as OCSF findings',
    async write(chosen) {
      for (const one of chosen) {
        const tenant = deps.tenants.enrich(one.alert.tenantId, deps.clock.now())
        if (tenant.kind === 'park') {
          deps.onRefused(one, tenant.detail)
          continue
        }
        const formatted = itemOf(one.alert, tenant.json, deps.format)
        if (formatted.kind === 'park') {
          deps.onRefused(one, formatted.detail)
          continue
        }
        waiting.push({ chosen: one, item: { ...formatted.item, replay } })
        if (waiting.length < Math.min(BATCH_ITEMS, Math.max(1, deps.perSecond))) continue
        const batch = waiting
        waiting = []
        await send(batch)
      }
    },
    async flush() {
      const batch = waiting
      waiting = []
      if (batch.length > 0) await send(batch)
      return ''
    },
    resume: async () => {},
    close: async () => {},
  }
}

function rounds<T extends { chosen: Chosen }>(batch: readonly T[]): readonly T[][] {
  const out: T[][] = []
  const turns = new Map<string, number>()
  for (const entry of batch) {
    const key = `${entry.chosen.alert.tenantId}/${entry.chosen.alert.alertId}`
    const turn = turns.get(key) ?? 0
    turns.set(key, turn + 1)
    ;(out[turn] ??= []).push(entry)
  }
  return out
}
