import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { addMs } from '../../producers/window.ts'
import { valueOf } from './fakes/codecs.ts'
import { fairWeather, foulWeather, isFoundOut, judge, play, restarts } from './fakes/poller-scenario.ts'
import type { WorldOptions } from './fakes/poller-world.ts'
import { TOPICS } from './fakes/poller-world.ts'

const NUM_RUNS = 120

describe('every revision that stood through a poll is on the log, and the last one of each alert always', () => {
  test('while alerts come late, share an instant, and are updated while pages are read', async () => {
    await fc.assert(
      fc.asyncProperty(fairWeather, async scenario => judge(await play(scenario))),
      { numRuns: NUM_RUNS },
    )
  })

  test('while Graph throttles, fails, loops, answers in part or not at all, and Kafka refuses or does not answer', async () => {
    await fc.assert(
      fc.asyncProperty(foulWeather, async scenario => judge(await play(scenario))),
      { numRuns: NUM_RUNS },
    )
  })

  test('while workers die at any await, lose the lane, and write an old checkpoint after a newer one', async () => {
    await fc.assert(
      fc.asyncProperty(restarts, async scenario => judge(await play(scenario))),
      { numRuns: NUM_RUNS },
    )
  })

  test('and among such lives are some in which a zombie does write an old checkpoint', async () => {
    let movedBack = 0
    // always the same ones: whether chance brings one in a run is not what is asked
    for (const scenario of fc.sample(restarts, { seed: 5, numRuns: 150 })) {
      const world = await play(scenario)
      judge(world)
      const marks = world.checkpoints.map(({ value }) => value.watermark)
      movedBack += marks.filter((mark, n) => mark < (marks[n - 1] ?? '')).length
    }
    expect(movedBack).toBeGreaterThan(0)
  })

  test('and none is published twice while nothing fails', async () => {
    await fc.assert(
      fc.asyncProperty(fairWeather, async scenario => {
        const published = (await play(scenario)).published()
        expect(published).toHaveLength(new Set(published).size)
      }),
      { numRuns: 50 },
    )
  })
})

describe('without', () => {
  const broken: readonly (readonly [string, Partial<WorldOptions>])[] = [
    [
      'a publisher that tells the truth',
      { between: real => ({ append: (topic, ...rest) => (topic === 'alerts' ? lie() : real.append(topic, ...rest)) }) },
    ],
    [
      'acks that cover the whole batch',
      { between: real => ({ append: (topic, lane, records) => real.append(topic, lane, records.slice(0, 1)) }) },
    ],
    [
      'order within a batch',
      { between: real => ({ append: (topic, lane, records) => real.append(topic, lane, records.toReversed()) }) },
    ],
    ['an overlap as long as the delay', { overlapMs: 0 }],
  ]
  test.each(broken)('%s the loss is seen', async (_, given) => {
    expect(await isFoundOut(fairWeather, given)).toBe(true)
  })

  test('checkpoints that keep to what was acked the loss is seen', async () => {
    const ahead: WorldOptions['between'] = (real, codecs) => ({
      append(topic, lane, records) {
        if (topic !== TOPICS.checkpoints) return real.append(topic, lane, records)
        const moved = records.map(({ key, value }) => {
          const checkpoint = valueOf(codecs.checkpoints, value)
          const watermark = addMs(checkpoint.watermark, 3_600_000)
          return { key, value: codecs.checkpoints.encode({ ...checkpoint, watermark }) }
        })
        return real.append(topic, lane, moved)
      },
    })
    expect(await isFoundOut(restarts, { between: ahead })).toBe(true)
  })
})

function lie(): Promise<number> {
  return Promise.resolve(0)
}
