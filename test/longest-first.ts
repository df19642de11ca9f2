import type { TestSequencer } from 'vitest/node'

/** They wait for minutes: begun last, everybody would wait for them alone. */
const LONGEST = [
  'unit/simulation',
  'unit/fuzz',
  'unit/poll-loss',
  'kafka/pipeline/crash',
  'kafka/pipeline/poison',
  'kafka/secured/work',
  'kafka/pipeline/replay',
  'kafka/pipeline/disaster',
  'kafka/ladder',
  'kafka/pipeline/losses',
  'kafka/pipeline/attention',
  'kafka/kafkajs-mends',
  'kafka/pipeline/broker',
  'kafka/secured/rules',
]

/** Vitest's own order goes by what earlier runs took, which a clean clone does not know. */
export class LongestFirst implements TestSequencer {
  sort<T extends { moduleId: string }>(files: T[]): T[] {
    const rank = ({ moduleId }: T) => {
      const place = LONGEST.findIndex(name => moduleId.includes(name))
      return place < 0 ? LONGEST.length : place
    }
    return files.toSorted((a, b) => rank(a) - rank(b))
  }

  shard<T>(files: T[]): T[] {
    return files
  }
}
