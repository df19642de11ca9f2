/**
 * Everything by which the project changes something outside of its own process, each at one place in the code
 * (test/unit/effects.test.ts). Whatever a process does between two of them dies with it: to die there is to die right
 * after the first.
 */
export const EFFECTS = {
  'alerts-polled': 'what a poll, a look-back or a sweep found, on the log',
  'alerts-quarantined': 'what the poller parks',
  checkpoint: 'how far a tenant is polled',
  'checkpoint-forgotten': 'the tombstone of a removed tenant',
  'sweep-receipt': 'what a poller’s sweep has proven',
  'sweep-receipt-by-hand': 'what `socos sweep` has proven',
  'engine-post': 'a batch to the engine',
  ledger: 'what the engine has, and the totals',
  parked: 'what the forwarder parks',
  'parked-returned': 'what was parked for want of its tenant, on the log again',
  offsets: 'how far a lane is settled',
  tenants: 'records of tenants',
  'deliveries-forgotten': 'tombstones of what was delivered for a removed tenant',
  'parked-retried': 'what `socos parked retry` puts on the log again',
  'parked-discarded': 'tombstones by `socos parked discard`',
  audit: 'who did what',
  'replay-topic-made': 'the topic that a replay goes to',
  'replay-to-topic': 'replayed alerts on that topic',
  'replay-file-opened': 'the file that a replay goes to',
  'replay-file-cut': 'a resumed replay takes off what was not noted',
  'replay-to-file': 'replayed alerts in that file',
  'replay-to-stream': 'replayed alerts on standard output',
  'replay-noted': 'how far a replay is',
  'topics-made': 'topics by `socos topics apply`',
  'topics-changed': 'their settings',
  'schema-registered': 'a schema by `socos schemas register`',
  'schema-level': 'its compatibility level',
} as const

export type Effect = keyof typeof EFFECTS

/**
 * `before`: it has not begun. `sent`: it is under way, and nobody has seen the answer. In both a worker lives on for a while,
 * so that what does not wait for the effect overtakes it. `done`: answered, and nothing after it has happened.
 */
export const PLACES = ['before', 'sent', 'done'] as const

export type Step = `${Effect}.${(typeof PLACES)[number]}`

const effects = Object.keys(EFFECTS) as readonly Effect[]

export const STEPS: readonly Step[] = effects.flatMap(effect => PLACES.map(place => `${effect}.${place}` as const))

/** Where a process is to die: when it comes to the step for the n-th time. `count`: nowhere, it tells how often it came. */
export type CrashAt = { readonly step: Step; readonly nth: number } | 'count'

export const CRASH_AT_EXPECTED = `count, or EFFECT.PLACE#N with N from 1, PLACE one of ${PLACES.join(', ')} and EFFECT one of ${effects.join(', ')}`

/** Null: no such step. */
export function readCrashAt(text: string): CrashAt | null {
  if (text === 'count') return text
  const [, name, nth] = /^([a-z.-]+)#([1-9]\d{0,8})$/.exec(text) ?? []
  const step = STEPS.find(step => step === name)
  return step === undefined ? null : { step, nth: Number(nth) }
}
