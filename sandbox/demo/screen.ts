import type { WriteStream } from 'node:tty'
import { styleText } from 'node:util'
import type { Figures } from './figures.ts'

interface Progress {
  /** What goes on, in two or three words. */
  readonly phase: string
  readonly elapsedSeconds: number
  /** Null when the end of the phase is a condition and not a time. */
  readonly totalSeconds: number | null
  readonly figures: Figures
  /** Delivered in the last second. */
  readonly perSecond: number
  /** Further words, such as what a tenant suffers from. */
  readonly note: string | null
}

export interface Screen {
  /** A line that stays. */
  say(line: string): void
  /** Terminal: one block, redrawn in place. Else a plain line every few seconds. */
  show(progress: Progress): void
  /** The block goes; what was said stays. */
  clear(): void
}

const plainEveryMs = 5_000
const barCells = 24
const labelCells = 12

export function openScreen(
  stream: Pick<WriteStream, 'write'> & { readonly isTTY?: boolean; readonly columns?: number },
  now: () => number,
): Screen {
  let drawn = 0
  let last: Progress | null = null
  let plainAtMs = -Infinity
  let plainPhase = ''

  function erase(): string {
    const up = drawn === 0 ? '' : `\u001b[${drawn}A\u001b[0J`
    drawn = 0
    return up
  }

  function draw(progress: Progress): string {
    const lines = blockOf(progress, (stream.columns ?? 80) - 1)
    drawn = lines.length
    return lines.map(({ label, text }) => `${styleText('dim', label, { stream: process.stdout })}${text}\n`).join('')
  }

  return {
    say(line) {
      stream.write(`${erase()}${line}\n${last === null ? '' : draw(last)}`)
    },
    show(progress) {
      if (stream.isTTY === true) {
        last = progress
        stream.write(erase() + draw(progress))
        return
      }
      if (progress.phase === plainPhase && now() - plainAtMs < plainEveryMs) return
      plainPhase = progress.phase
      plainAtMs = now()
      stream.write(`${lineOf(progress)}\n`)
    },
    clear() {
      stream.write(erase())
      last = null
    },
  }
}

/** Label and text of each line of the block; together never wider than `width`. */
function blockOf(progress: Progress, width: number): readonly { readonly label: string; readonly text: string }[] {
  const { figures } = progress
  const workers = figures.workers.map(({ name, rssMiB }) => `${name} ${rssMiB === null ? '-' : `${rssMiB} MiB`}`)
  const latency = figures.latencyMs === null ? '' : `, median latency ${seconds(figures.latencyMs)}`
  const rows: readonly (readonly [string, string | null])[] = [
    [progress.phase, `${barOf(progress)} ${timeOf(progress)}`],
    ['visible', `${count(figures.visible)} revisions in Graph`],
    ['published', `${count(figures.published)} to Kafka`],
    [
      'delivered',
      `${count(figures.delivered)} to the engine, ${count(figures.onTheWay)} on the way (${count(progress.perSecond)}/s${latency})`,
    ],
    ['note', progress.note],
    ['workers', workers.join(' · ')],
  ]
  return rows.flatMap(([label, text]) => {
    if (text === null || text === '') return []
    const head = `  ${label.padEnd(labelCells)}`.slice(0, Math.max(0, width))
    return [{ label: head, text: cut(text, Math.max(0, width - head.length)) }]
  })
}

function lineOf(progress: Progress): string {
  const { figures } = progress
  const latency = figures.latencyMs === null ? '' : `, median latency ${seconds(figures.latencyMs)}`
  const note = progress.note === null ? '' : `; ${progress.note}`
  return `${progress.phase} ${timeOf(progress)}: visible ${count(figures.visible)}, published ${count(figures.published)}, delivered ${count(figures.delivered)} (${count(progress.perSecond)}/s${latency})${note}`
}

function barOf({ elapsedSeconds, totalSeconds, figures }: Progress): string {
  const whole = figures.visible === 0 ? 0 : figures.delivered / figures.visible
  const share = totalSeconds === null ? whole : totalSeconds === 0 ? 1 : elapsedSeconds / totalSeconds
  const full = Math.round(barCells * Math.min(1, Math.max(0, share)))
  return '█'.repeat(full) + '░'.repeat(barCells - full)
}

function timeOf({ elapsedSeconds, totalSeconds }: Progress): string {
  const elapsed = Math.floor(elapsedSeconds)
  return totalSeconds === null ? `${elapsed} s` : `${Math.min(elapsed, totalSeconds)} of ${totalSeconds} s`
}

export function count(number: number): string {
  return Math.round(number).toLocaleString('en-US')
}

export function seconds(ms: number): string {
  return ms < 100 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`
}

/** Cells that a text takes in a terminal: East Asian characters take two. */
export function cells(text: string): number {
  let sum = 0
  for (const char of text) sum += wide.test(char) ? 2 : 1
  return sum
}

const wide = /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]/

function cut(text: string, width: number): string {
  if (cells(text) <= width) return text
  let out = ''
  for (const char of text) {
    if (cells(out + char) >= width) break
    out += char
  }
  return width <= 0 ? '' : `${out}…`
}
