import { describe, expect, test } from 'vitest'
import { createBudget } from '../../producers/graph/budget.ts'
import type { Graph, PageAnswer } from '../../producers/graph/client.ts'
import { cover, LISTING_LIMITS } from '../../producers/listing.ts'
import { tenant } from './graph-rig.ts'

/** One tick: it cannot be cut any smaller. */
const TICK = { from: '2026-11-23T10:00:00.0000000Z', to: '2026-11-23T10:00:00.0000001Z' }

async function listed(linkOf: (asked: number) => string | null) {
  const links: string[] = []
  let asked = 0
  let nowMs = Date.parse('2026-11-23T10:00:00Z')
  const graph = {
    page(_, ask): Promise<PageAnswer> {
      // the question whether Graph as a whole answers is about another window
      const isOurs = ask.kind === 'next' || ask.from === TICK.from
      const nextLink = isOurs ? linkOf(asked++) : null
      if (ask.kind === 'next') links.push(ask.link)
      return Promise.resolve({ kind: 'page', alerts: [], nextLink, partial: [], serverTimeMs: null })
    },
  } satisfies Pick<Graph, 'page'>
  const clock = {
    now: () => nowMs,
    sleep: (ms: number) => {
      nowMs += ms
      return Promise.resolve()
    },
  }
  const covered = await cover(TICK, false, {
    graph: graph as unknown as Graph,
    access: tenant(),
    budget: createBudget(nowMs),
    clock,
    random: () => 0.5,
    signal: new AbortController().signal,
    by: 'lastUpdate',
    take: () => Promise.resolve(0),
    observe: { request: () => {} },
    limits: { ...LISTING_LIMITS, top: 1 },
  })
  return { asked, links, covered }
}

describe('next links', () => {
  test('that never end are followed a hundred pages far, and the window is left over with its reason', async () => {
    const { asked, covered } = await listed(n => `page-${n}`)
    expect(asked).toBe(100)
    expect(covered).toMatchObject({ kind: 'covered', left: [{ window: TICK, reason: 'more than 100 pages' }] })
  })

  test.each([1, 2, 7])('in a circle of %i are followed once each', async size => {
    const { links, covered } = await listed(n => `page-${n % size}`)
    expect(links).toHaveLength(size)
    expect(covered).toMatchObject({ left: [{ window: TICK, reason: 'the nextLink repeats itself' }] })
  })

  test('of a hundred pages are all followed', async () => {
    const { asked, covered } = await listed(n => (n < 99 ? `page-${n}` : null))
    expect(asked).toBe(100)
    expect(covered).toMatchObject({ kind: 'covered', left: [] })
  })
})
