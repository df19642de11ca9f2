import type { Random } from '../../platform/clock.ts'
import { intBelow } from './chance.ts'

// Written apart from the producers' time code on purpose: a simulator that shared it would share its mistakes.

const FORM = /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.(\d{1,7}))?(Z|[+-]\d\d:\d\d)$/i
const TICKS_PER_MS = 10_000n

/**
 * A Graph timestamp (0 to 7 fraction digits, Z or an offset) as UTC with exactly 7 digits, which compares as text.
 * Undefined for anything that is not a real instant of the years 0000 to 9999.
 */
export function normaliseStamp(text: string): string | undefined {
  const match = FORM.exec(text)
  if (match === null) return undefined
  const [, day = '', time = '', fraction = '', zone = ''] = match
  const localMs = Date.parse(`${day}T${time}Z`)
  // the round trip refuses 30 February and the like, which Date.parse may roll over
  if (Number.isNaN(localMs) || new Date(localMs).toISOString().slice(0, 19) !== `${day}T${time}`) return undefined
  const utc = new Date(localMs - offsetMs(zone)).toISOString()
  return utc.length === 24 ? `${utc.slice(0, 19)}.${fraction.padEnd(7, '0')}Z` : undefined
}

function offsetMs(zone: string): number {
  if (zone.length === 1) return 0
  const minutes = Number(zone.slice(1, 3)) * 60 + Number(zone.slice(4, 6))
  return (zone.startsWith('-') ? -minutes : minutes) * 60_000
}

/** 100 ns ticks since the epoch of a normalised stamp. */
export function stampTicks(normalised: string): bigint {
  return BigInt(Date.parse(`${normalised.slice(0, 23)}Z`)) * TICKS_PER_MS + BigInt(normalised.slice(23, 27))
}

/** The normalised stamp of a tick. */
export function stampOfTicks(ticks: bigint): string {
  const iso = new Date(Number(ticks / TICKS_PER_MS)).toISOString()
  return `${iso.slice(0, 23)}${(ticks % TICKS_PER_MS).toString().padStart(4, '0')}Z`
}

export function stampOfMs(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 23)}0000Z`
}

/**
 * How Graph might write an instant of the millisecond `ms`: mostly 7 digits with trailing zeros cut, as .NET does,
 * else any number of digits from 0 to 7. Never later than the last tick of that millisecond.
 */
export function servedStamp(random: Random, ms: number): string {
  const full = `${new Date(ms).toISOString().slice(0, 23)}${String(intBelow(random, 10_000)).padStart(4, '0')}`
  if (random() < 0.7) return `${full.replace(/\.?0+$/, '')}Z`
  const digits = intBelow(random, 8)
  return digits === 0 ? `${full.slice(0, 19)}Z` : `${full.slice(0, 20 + digits)}Z`
}
