import type { Crash } from '../crash.ts'
import { withSteps } from '../crash.ts'
import type { KafkaClient } from './kafkajs.ts'
import { openCluster } from './reader.ts'

/**
 * Where a job of our own stands, kept as the offsets of a group that no member ever joins. Live groups are not touched:
 * the group id is the job's own.
 */
export interface Bookmark {
  /** Next offset of each lane that was noted, with the note. */
  read(
    topic: string,
    lanes: readonly number[],
  ): Promise<ReadonlyMap<number, { readonly offset: number; readonly note: string }>>
  /** Durable when it resolves; of several lanes all or none. */
  write(topic: string, places: readonly Place[]): Promise<void>
  close(): Promise<void>
}

interface Place {
  readonly lane: number
  readonly offset: number
  /** At most 4,000 characters. */
  readonly note: string
}

const NO_GENERATION = -1
const NO_MEMBER = ''

export async function openBookmark(kafka: KafkaClient, groupId: string, crash: Crash | null = null): Promise<Bookmark> {
  const cluster = openCluster(kafka)
  await cluster.connect()
  return {
    async read(topic, lanes) {
      const coordinator = await cluster.findGroupCoordinator({ groupId })
      const { responses } = await coordinator.offsetFetch({
        groupId,
        topics: [{ topic, partitions: lanes.map(partition => ({ partition })) }],
      })
      const found = responses.find(entry => entry.topic === topic)?.partitions ?? []
      return new Map(
        found
          .filter(({ offset }) => Number(offset) >= 0)
          .map(({ partition, offset, metadata }) => [partition, { offset: Number(offset), note: metadata ?? '' }]),
      )
    },
    async write(topic, places) {
      const coordinator = await cluster.findGroupCoordinator({ groupId })
      const commit = {
        groupId,
        groupGenerationId: NO_GENERATION,
        memberId: NO_MEMBER,
        topics: [
          {
            topic,
            // a group's offsets go to its coordinator's log as one batch
            partitions: places.map(({ lane, offset, note }) => ({
              partition: lane,
              offset: String(offset),
              metadata: note,
            })),
          },
        ],
      }
      await withSteps(crash, 'replay-noted', () => coordinator.offsetCommit(commit))
    },
    close: () => cluster.disconnect(),
  }
}
