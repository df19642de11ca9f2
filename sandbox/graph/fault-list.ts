import { z } from 'zod'
import type { Random } from '../../platform/clock.ts'

/** For a fault without end. */
export const ALWAYS = Number.MAX_SAFE_INTEGER

/** What every fault has: whom it strikes, how often it may, how likely it does. */
export const faultBasics = {
  /** A tenant id, or `*` for all. */
  tenant: z.string().default('*'),
  /** How often it may strike; struck that often it is spent. */
  budget: z.int().min(1).default(1),
  probability: z.number().min(0).max(1).default(1),
}

export type Fault<Spec> = Spec & { readonly id: number; fired: number }

interface Basics {
  readonly kind: string
  readonly tenant: string
  readonly budget: number
  readonly probability: number
}

/** Faults as data. Spent ones stay in the list, so that a test can see that they fired. */
export interface FaultList<Input, Spec extends Basics> {
  /** Throws a ZodError that names what is wrong with the fault. */
  add(input: Input): Fault<Spec>
  readonly all: readonly Fault<Spec>[]
  remove(id: number): boolean
  clear(): void
  /** The first live fault that applies here and wins its throw; it is spent by one. */
  take(tenantIds: readonly (string | null)[], applies: (fault: Fault<Spec>) => boolean): Fault<Spec> | undefined
  /** How often each kind has fired, removed faults included. */
  firedByKind(): Record<string, number>
}

export function openFaultList<Input, Spec extends Basics>(
  schema: z.ZodType<Spec, Input>,
  random: Random,
): FaultList<Input, Spec> {
  const all: Fault<Spec>[] = []
  const fired = new Map<string, number>()
  let lastId = 0
  return {
    all,
    add: input => {
      const fault = { ...schema.parse(input), id: ++lastId, fired: 0 }
      all.push(fault)
      return fault
    },
    remove: id => {
      const place = all.findIndex(fault => fault.id === id)
      if (place >= 0) all.splice(place, 1)
      return place >= 0
    },
    clear: () => {
      all.length = 0
    },
    take: (tenantIds, applies) => {
      const struck = all.find(
        fault =>
          fault.fired < fault.budget &&
          (fault.tenant === '*' || tenantIds.includes(fault.tenant.toLowerCase())) &&
          applies(fault) &&
          (fault.probability === 1 || random() < fault.probability),
      )
      if (struck === undefined) return undefined
      struck.fired++
      fired.set(struck.kind, (fired.get(struck.kind) ?? 0) + 1)
      return struck
    },
    firedByKind: () => Object.fromEntries(fired),
  }
}
