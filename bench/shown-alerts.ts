import type { Chance } from './alerts.ts'
import { alertJson, chanceFrom, stampOf } from './alerts.ts'

/** Which alerts are visible when: the k-th of them at a known instant, in turns over the tenants. */
export interface Schedule {
  /** Their numbers in `[fromMs, toMs)` for one tenant, ascending, at most `max`, from `first` on. */
  between(tenant: number, fromMs: number, toMs: number, first: number, max: number): readonly number[]
  visibleMs(k: number): number
}

/** `perSecond` alerts a second from `startMs` on, `count` in all. */
export function evenly(startMs: number, perSecond: number, count: number, tenants: number): Schedule {
  // one function for both ends of a window, so that no alert lies between two windows
  const indexAt = (ms: number): number => Math.max(0, Math.ceil(((ms - startMs) * perSecond) / 1_000))
  return {
    between(tenant, fromMs, toMs, first, max) {
      const begin = Math.max(first, indexAt(fromMs))
      const end = Math.min(count, indexAt(toMs))
      const numbers: number[] = []
      const ahead = (((tenant - begin) % tenants) + tenants) % tenants
      for (let k = begin + ahead; k < end && numbers.length < max; k += tenants) numbers.push(k)
      return numbers
    },
    visibleMs: k => startMs + (k * 1_000) / perSecond,
  }
}

const DIGITS = 9
const NO_ID = `da${'0'.repeat(DIGITS)}`
const NO_TIME = stampOf(0)
const CREATED = stampOf(Date.UTC(2026, 10, 24, 10))
/**
 * Alerts that a tenant has models of: so many that one compresses no better next to the others than made-up alerts do
 * elsewhere. It has no divisor in common with a number of tenants, or a tenant's turns would come to few of them.
 */
const MODELS = 61

/**
 * Writes alerts of a tenant by copying one and putting number and time in: a stand-in must not be what is measured, and to
 * make one up takes ten times as long. The k-th is always the same; tenants
 * with different seeds have different ones.
 */
export function alertPress(
  tenantId: string,
  seed: number,
): {
  readonly bytesMax: number
  /** Gives how many bytes it wrote. */
  print(k: number, atMs: number, into: Buffer): number
} {
  const chance = chanceFrom(seed)
  const models = Array.from({ length: MODELS }, () => modelOf(chance, tenantId))
  return {
    bytesMax: Math.max(...models.map(({ bytes }) => bytes.length)),
    print(k, atMs, into) {
      const model = models[k % MODELS]
      if (!model) return 0
      model.bytes.copy(into)
      const id = String(k).padStart(DIGITS, '0')
      const time = stampOf(atMs)
      for (const at of model.ids) into.write(id, at + 2, 'latin1')
      for (const at of model.times) into.write(time, at, 'latin1')
      return model.bytes.length
    },
  }
}

interface Model {
  readonly bytes: Buffer
  /** Where its id and its update time stand. */
  readonly ids: readonly number[]
  readonly times: readonly number[]
}

function modelOf(chance: Chance, tenantId: string): Model {
  const bytes = Buffer.from(alertJson(chance, tenantId, { id: NO_ID, at: NO_TIME, ts: CREATED }))
  return { bytes, ids: placesOf(bytes, NO_ID), times: placesOf(bytes, NO_TIME) }
}

/** The number of an alert, from its id. */
export function numberOf(alertId: string): number {
  return Number(alertId.slice(2))
}

function placesOf(model: Buffer, text: string): readonly number[] {
  const places: number[] = []
  for (let at = model.indexOf(text); at >= 0; at = model.indexOf(text, at + 1)) places.push(at)
  return places
}
