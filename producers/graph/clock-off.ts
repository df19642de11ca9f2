/** How far the clock of this machine is off, in words: signed requests are refused by it. */
import type { Trouble } from './problems.ts'

const OUTSIDE_ITS_TIME = 'AADSTS700024'

/** `skewMs`: Entra's clock minus ours. Null: less than a minute off. */
export function clockWords(skewMs: number): string | null {
  const minutes = Math.round(Math.abs(skewMs) / 60_000)
  if (minutes === 0) return null
  const off = `${minutes} minute${minutes === 1 ? '' : 's'} ${skewMs > 0 ? 'behind' : 'ahead of'}`
  return `the clock of this machine is ${off} Entra's, and the operator must set it right (NTP)`
}

/** A refusal of Entra's, with what its Date header says of our clock. */
export function withClock(trouble: Trouble, skewMs: number, signed: 'secret' | 'certificate' | 'assertion'): Trouble {
  const off = clockWords(skewMs)
  if (trouble.kind !== 'needs-attention' || off === null) return trouble
  const { problem } = trouble
  if (problem.code !== OUTSIDE_ITS_TIME) return { ...trouble, skewMs }
  // what the poller signed itself has the time of this clock; a federated token was written by another
  const words =
    signed === 'certificate'
      ? `Entra finds the signed request outside its time: ${off}.`
      : `${problem.words} Besides, ${off}.`
  return { ...trouble, problem: { ...problem, words, move: 'operator' }, skewMs }
}
