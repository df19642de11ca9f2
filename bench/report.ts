/** Runs into rows, rows into tables. */
import type { Figures, Subject } from './case.ts'
import { INTERVAL_SECONDS } from './live.ts'

export interface Row {
  readonly case: string
  readonly subject: string
  readonly peer?: true
  readonly figures: Readonly<Partial<Record<keyof Figures, Spread>>>
  /** Why a peer has no figures, or fewer runs than were asked for. */
  readonly problems?: readonly string[]
}

interface Spread {
  readonly min: number
  readonly median: number
  readonly max: number
}

const COLUMNS: Readonly<Record<keyof Figures, string>> = {
  alertsPerSecond: 'alerts/s',
  entriesPerSecond: 'entries/s',
  cpuMsPer1000: 'CPU ms per 1,000',
  rssMiB: 'peak RSS MiB',
  mbPerCpuSecond: 'MB per CPU second',
  wholeAlertsPerSecond: 'alerts/s with start',
  wholeCpuMsPer1000: 'CPU with start',
  polledToAcceptedP50Ms: 'answer → accepted p50 ms',
  polledToAcceptedP99Ms: 'p99 ms',
  visibleToAcceptedP50Ms: `visible → accepted p50 ms (polled every ${INTERVAL_SECONDS} s)`,
  visibleToAcceptedP99Ms: 'p99 ms',
  latenessP50Ms: 'late p50 ms',
  latenessP99Ms: 'late p99 ms',
  latenessMaxMs: 'late max ms',
  corePercent: '% of the core',
  rssKiBPerTenant: 'RSS KiB a tenant',
  heapKiBPerTenant: 'heap KiB a tenant',
  tokens: 'tokens',
  restoreSeconds: 'restore s',
  backlogRecords: 'backlog',
  drainedPerSecond: 'drained/s',
  firstLaneSeconds: 'first lane s',
  lastLaneSeconds: 'last lane s',
  rebalances: 'rebalances',
  rssBytesPerEntry: 'RSS bytes an entry',
}
const NAMES = Object.keys(COLUMNS).filter((name): name is keyof Figures => name in COLUMNS)

export function rowOf(
  name: string,
  { name: subject, peer }: Subject,
  runs: readonly Figures[],
  problems: readonly string[],
): Row {
  const figures: Partial<Record<keyof Figures, Spread>> = {}
  for (const name of NAMES) {
    const sorted = runs.flatMap(run => run[name] ?? []).toSorted((a, b) => a - b)
    const [min, median, max] = [sorted[0], sorted[sorted.length >> 1], sorted.at(-1)]
    if (min !== undefined && median !== undefined && max !== undefined) figures[name] = { min, median, max }
  }
  return { case: name, subject, ...(peer ? { peer } : {}), figures, ...(problems.length === 0 ? {} : { problems }) }
}

/**
 * As scripts read it: one object a row, each figure by its name. Throughput, CPU and memory are always there, null where
 * they were not measured.
 */
export function jsonOf(rows: readonly Row[]): object[] {
  return rows.map(({ figures, ...row }) => ({
    ...row,
    alertsPerSecond: null,
    cpuMsPer1000: null,
    rssMiB: null,
    ...figures,
  }))
}

export function words(figures: Figures): string {
  return NAMES.flatMap(name => {
    const value = figures[name]
    return value === undefined ? [] : [`${text(value)} ${COLUMNS[name]}`]
  }).join(', ')
}

/** A table of one case's rows, what went wrong, and how ours compares with each peer. */
export function report(name: string, rows: readonly Row[]): readonly string[] {
  const columns = NAMES.filter(column => rows.some(({ figures }) => figures[column] !== undefined))
  const cell = (value: Spread | undefined): string =>
    value === undefined ? '-' : `${text(value.min)} / ${text(value.median)} / ${text(value.max)}`
  const measured = rows.filter(({ figures }) => Object.keys(figures).length > 0)
  const table = [
    [name, ...columns.map(column => COLUMNS[column])],
    ...measured.map(({ subject, figures }) => [subject, ...columns.map(column => cell(figures[column]))]),
  ]
  const widths = (table[0] ?? []).map((_, at) => Math.max(...table.map(row => row[at]?.length ?? 0)))
  const inColumns = (cells: readonly string[]): string =>
    cells
      .map((value, at) => value.padEnd(widths[at] ?? 0))
      .join('  ')
      .trimEnd()
  const lines = table.map(inColumns)
  const troubles = rows.map(({ subject, problems = [] }) => problems.map(why => inColumns([subject, `! ${why}`])))
  return [...lines, ...troubles.flat(), ...ratios(rows), '']
}

/** Ours to each peer. Medians; more is better of the first, less of the second. */
function ratios(rows: readonly Row[]): readonly string[] {
  const ours = rows.find(({ subject }) => subject === 'socos')
  return rows.flatMap(row => {
    if (!ours || !row.peer) return []
    const ratio = (figure: keyof Figures): number | null => {
      const [a, b] = [ours.figures[figure]?.median, row.figures[figure]?.median]
      return a === undefined || b === undefined ? null : a / b
    }
    const [speed, cpu] = [ratio('alertsPerSecond'), ratio('cpuMsPer1000')]
    if (speed === null) return []
    return [
      `socos / ${row.subject}: ${speed.toFixed(2)} of its alerts/s${cpu === null ? '' : `, ${cpu.toFixed(2)} of its CPU an alert`}`,
    ]
  })
}

function text(value: number): string {
  return value.toLocaleString('en', { maximumFractionDigits: value < 100 ? 1 : 0 })
}
