import { intBelow, seededRandom } from './chance.ts'

/** What the generator does to the simulator. */
export interface LoadTarget {
  tenantIds(): readonly string[]
  create(tenantId: string): void
  update(tenantId: string): void
}

export interface LoadPlan {
  readonly seed: number
  /** New alerts a second over all tenants; updates come on top. */
  ratePerSecond: number
  /** Updates for each new alert, 0 to 10. */
  updateShare: number
  /** Share of all events that the first tenant gets on top of its even one. */
  hotTenantShare: number
}

export interface Load {
  readonly plan: LoadPlan
  readonly running: boolean
  start(): void
  /** No new alert or update from the generator until `start`. */
  freeze(): void
}

const TICK_MS = 25
/** After a stall the generator catches up at most this far; the rest of the stall is lost. */
const MAX_CATCH_UP_MS = 1000

/**
 * Adds alerts and updates at random moments (a Poisson process), the same sequence of tenants and kinds for the same
 * seed; only which moment of the host each falls on differs from run to run.
 */
export function openLoad(plan: LoadPlan, target: LoadTarget): Load {
  const random = seededRandom(plan.seed)
  let timer: ReturnType<typeof setInterval> | undefined
  let lastMs = 0
  /** Time left until the next event, in units of the mean gap, so that the rate can change on the way. */
  let credit = -Math.log(1 - random())

  function step(): void {
    const nowMs = performance.now()
    const elapsedMs = Math.min(nowMs - lastMs, MAX_CATCH_UP_MS)
    lastMs = nowMs
    credit -= (elapsedMs / 1000) * plan.ratePerSecond * (1 + plan.updateShare)
    while (credit <= 0) {
      credit += -Math.log(1 - random())
      event()
    }
  }

  function event(): void {
    const tenants = target.tenantIds()
    const hot = random() < plan.hotTenantShare
    const chosen = tenants[hot ? 0 : intBelow(random, tenants.length)]
    const update = random() < plan.updateShare / (1 + plan.updateShare)
    if (chosen === undefined) return
    if (update) target.update(chosen)
    else target.create(chosen)
  }

  return {
    plan,
    get running() {
      return timer !== undefined
    },
    start: () => {
      if (timer !== undefined) return
      lastMs = performance.now()
      timer = setInterval(step, TICK_MS)
      timer.unref()
    },
    freeze: () => {
      clearInterval(timer)
      timer = undefined
    },
  }
}
