import type { Codec } from '../../platform/avro/codec.ts'
import type { Publisher } from '../../platform/kafka/producer.ts'
import type { GraphAlert } from '../../schemas/types.ts'
import type { Chosen } from './scan.ts'
import type { Target } from './target.ts'

const BATCH_BYTES = 1024 * 1024

/** A topic of its own, with as many lanes; headers say which replay it was. A resumed run may repeat its last batch. */
export function toTopic(
  topic: string,
  replay: { readonly id: string; readonly reason: string; readonly by: string },
  deps: { readonly publisher: Publisher; readonly codec: Codec<GraphAlert> },
): Target {
  const waiting = new Map<number, { chosen: Chosen[]; bytes: number }>()

  async function send(lane: number, chosen: readonly Chosen[]): Promise<void> {
    await deps.publisher.append(
      topic,
      lane,
      chosen.map(({ alert, offset }) => ({
        key: `${alert.tenantId}/${alert.alertId}`,
        value: deps.codec.encode(alert),
        headers: {
          'replay-id': replay.id,
          'replay-by': replay.by,
          'replay-reason': replay.reason,
          'replay-offset': String(offset),
        },
      })),
      'replay-to-topic',
    )
  }

  return {
    words: `topic ${topic}`,
    async write(chosen) {
      for (const one of chosen) {
        const group = waiting.get(one.lane) ?? { chosen: [], bytes: 0 }
        waiting.set(one.lane, group)
        group.chosen.push(one)
        group.bytes += one.alert.alert.length
        if (group.bytes < BATCH_BYTES) continue
        waiting.delete(one.lane)
        await send(one.lane, group.chosen)
      }
    },
    async flush() {
      for (const [lane, { chosen }] of waiting) await send(lane, chosen)
      waiting.clear()
      return ''
    },
    resume: async () => {},
    close: async () => {},
  }
}
