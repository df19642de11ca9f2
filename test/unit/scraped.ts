import { expect } from 'vitest'
import type { Metrics } from '../../platform/metrics.ts'

const SAMPLE = /^([a-z_]+)(?:\{([^{}]*)\})? (-?[0-9.e+-]+|NaN|\+Inf)$/

/** `name{labels}` → value, of every sample; anything that is neither sample nor comment fails. */
export async function samplesOf(metrics: Pick<Metrics, 'scrape'>): Promise<ReadonlyMap<string, number>> {
  return samplesIn(await metrics.scrape())
}

export function samplesIn(text: string): ReadonlyMap<string, number> {
  expect(text.endsWith('\n')).toBe(true)
  const samples = new Map<string, number>()
  for (const line of text.split('\n')) {
    if (line === '' || /^# (?:HELP|TYPE|UNIT) socos_/.test(line)) continue
    const [, name, labels, value] = SAMPLE.exec(line) ?? expect.fail(`no sample: ${line}`)
    const series = labels === undefined ? String(name) : `${name}{${labels}}`
    expect(samples.has(series), series).toBe(false)
    samples.set(series, Number(value))
  }
  return samples
}

/** The samples of one instrument, `socos_` left out. */
export function seriesOf(samples: ReadonlyMap<string, number>, name: string): Record<string, number> {
  const own = [...samples].filter(([series]) => series.replace(/\{.*/, '') === `socos_${name}`)
  return Object.fromEntries(own.map(([series, value]) => [series.slice(`socos_${name}`.length), value]))
}
