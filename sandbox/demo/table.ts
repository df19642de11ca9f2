import { styleText } from 'node:util'
import { printable } from '../crew.ts'
import type { Latency, Proof } from './proof.ts'
import { total } from './proof.ts'
import { cells, count, seconds } from './screen.ts'

export interface Costs {
  /** From the first line to the verdict. */
  readonly seconds: number
  readonly loadSeconds: number
  readonly backlogSeconds: number
  readonly workers: readonly { readonly name: string; readonly rssMiB: number | null }[]
}

/** `npm run demo -- --json FILE`. The first line of names is fixed; more may follow. */
export function resultOf(proof: Proof, costs: Costs) {
  return {
    visible: proof.visible,
    published: proof.published,
    delivered: proof.delivered,
    duplicates: proof.duplicates,
    missing: proof.missingCount,
    staleAfterNew: proof.staleAfterNew,
    latencyMs: proof.latencyMs,
    tenants: proof.tenants,
    attention: proof.attention,
    seconds: costs.seconds,
    ok: proof.complaints.length === 0,
    complaints: proof.complaints,
    throttledLatencyMs: proof.throttledLatencyMs,
    fleeting: proof.fleeting,
    fates: proof.fates,
    unexpected: proof.unexpectedCount,
    troubles: proof.troubles,
    loadSeconds: costs.loadSeconds,
    backlogSeconds: costs.backlogSeconds,
    workers: costs.workers,
  }
}

type Mark = 'good' | 'bad' | 'none'

interface Row {
  readonly label: string
  readonly value: string
  readonly words: string
  readonly mark: Mark
}

/** The proof for people. `colour` false gives plain text. */
export function tableOf(proof: Proof, costs: Costs, colour: boolean): string {
  const paint = (style: Parameters<typeof styleText>[0], text: string) =>
    colour ? styleText(style, text, { validateStream: false }) : text
  const rows = rowsOf(proof)
  const labels = Math.max(...rows.map(({ label }) => label.length))
  const values = Math.max(...rows.map(({ value }) => value.length))
  const lines = rows.map(({ label, value, words, mark }) => {
    const sign = mark === 'none' ? ' ' : mark === 'good' ? paint('green', '✔') : paint(['red', 'bold'], '✘')
    return `  ${sign} ${label.padEnd(labels)}  ${value.padStart(values)}  ${words}`.trimEnd()
  })
  return [
    paint('bold', 'Proof, from the ledgers of Graph and engine and from `socos status`'),
    ...lines,
    '',
    ...troubleLines(proof, text => paint('bold', text)),
    '',
    paint('bold', 'Workers'),
    `  ${costs.workers.map(({ name, rssMiB }) => `${name} ${rssMiB === null ? '?' : rssMiB} MiB`).join(', ')} resident`,
    '',
    ...endLines(proof, costs, paint),
  ].join('\n')
}

function rowsOf(proof: Proof): readonly Row[] {
  const { fates, latencyMs, throttledLatencyMs } = proof
  const sum = total(fates)
  const zero = (label: string, found: number, words: string): Row => ({
    label,
    value: count(found),
    words,
    mark: found === 0 ? 'good' : 'bad',
  })
  return [
    {
      label: 'alerts visible in Graph',
      value: count(proof.visible),
      words: `revisions that must arrive (${count(proof.fleeting)} more were replaced before the next poll)`,
      mark: 'none',
    },
    {
      label: 'published',
      value: count(proof.published),
      words: `= ${count(fates.delivered)} delivered + ${count(fates.duplicate)} duplicate (not sent again) + ${count(fates.stale)} stale + ${count(fates.parked)} parked + ${count(fates.waiting)} waiting`,
      mark: proof.published === sum ? 'good' : 'bad',
    },
    {
      label: 'delivered',
      value: count(proof.delivered),
      words: 'of the visible ones, each with its own bytes',
      mark: proof.delivered === proof.visible ? 'good' : 'bad',
    },
    { label: 'duplicates', value: count(proof.duplicates), words: 'taken twice by the engine', mark: 'none' },
    zero('missing', proof.missingCount, ''),
    zero('stale after new', proof.staleAfterNew, ''),
    {
      label: 'latency',
      value: '',
      words: `${spread(latencyMs)} from visible to accepted; polled every 2 s`,
      mark: 'none',
    },
    { label: 'latency when throttled', value: '', words: spread(throttledLatencyMs), mark: 'none' },
  ]
}

function spread({ p50, p99, max }: Latency): string {
  return max === 0 ? 'nothing to measure' : `p50 ${seconds(p50)}, p99 ${seconds(p99)}, max ${seconds(max)}`
}

function troubleLines({ troubles, tenants }: Proof, bold: (text: string) => string): string[] {
  const fine = tenants - troubles.length
  const names = Math.max(0, ...troubles.map(({ name }) => cells(name)))
  const states = Math.max(0, ...troubles.map(({ state }) => state.length))
  return [
    bold(`Tenants in trouble (${troubles.length} of ${tenants}; the other ${fine} are fine)`),
    ...troubles.flatMap(({ name, state, words, intended, heldBack }) => {
      const pad = ' '.repeat(names - cells(name))
      const meant = intended === null ? 'NOT INTENDED' : `as intended: ${intended}`
      const held = heldBack > 0 ? `, ${count(heldBack)} alerts wait in Graph` : ', caught up afterwards'
      return [`  ${printable(name)}${pad}  ${state.padEnd(states)}  ${meant}${held}`, `    ${printable(words)}`]
    }),
  ]
}

function endLines(
  proof: Proof,
  costs: Costs,
  paint: (style: Parameters<typeof styleText>[0], text: string) => string,
): string[] {
  if (proof.complaints.length === 0) {
    return [paint(['green', 'bold'], `Nothing is missing, nothing came out of order (${costs.seconds} s).`)]
  }
  return [
    paint(['red', 'bold'], 'The proof FAILED:'),
    ...proof.complaints.map(complaint => `  - ${printable(complaint)}`),
    ...proof.missing.map(
      ({ tenantId, alertId, version, reason, last }) =>
        `    missing: tenant ${tenantId}, alert ${printable(alertId)}, version ${version} (${reason}${last ? '' : ', replaced since'})`,
    ),
    ...proof.unexpected.map(
      ({ tenantId, alertId, version, reason }) =>
        `    unexpected: tenant ${tenantId}, alert ${printable(alertId)}, version ${version} (${reason})`,
    ),
  ]
}
