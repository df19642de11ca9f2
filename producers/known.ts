import { hash } from 'node:crypto'
import type { Codec } from '../platform/avro/codec.ts'
import { decodeLearning } from '../platform/avro/codec.ts'
import type { KafkaClient } from '../platform/kafka/kafkajs.ts'
import { committedOffsets } from '../platform/kafka/offsets.ts'
import type { LogReader } from '../platform/kafka/reader.ts'
import { openReader } from '../platform/kafka/reader.ts'
import { TransientError } from '../platform/retry.ts'
import type { Delivery, GraphAlert, Parked } from '../schemas/types.ts'
import type { Known } from './sweep.ts'

export interface KnownDeps {
  readonly reader: LogReader
  readonly topics: { readonly alerts: string; readonly deliveries: string; readonly parked: string }
  readonly codecs: {
    readonly alerts: Codec<GraphAlert>
    readonly deliveries: Codec<Delivery>
    readonly parked: Codec<Parked>
  }
  /** Up to where the forwarders have settled the lane; 0 when they never did. */
  readonly settledUpTo: (lane: number) => Promise<number>
}

const TO_THE_END = Number.MAX_SAFE_INTEGER

/**
 * Reads what the pipeline has of a tenant from the topics, without joining any group. The settled offset is asked for
 * first: what lies before it stands in the ledger by the time the ledger is read, what lies behind it is still on the log.
 */
export async function openKnown(tenantId: string, lane: number, deps: KnownDeps): Promise<Known> {
  const { reader, topics, codecs } = deps
  const prefix = Buffer.from(`${tenantId}/`)
  const newest = new Map<string, string>()
  /** What the ledger says was parked, and what of it really lies in `parked`. */
  const saidParked = new Map<string, string>()
  const foundParked = new Map<string, string>()
  let parkedFrom = 0
  let quarantined: Set<string> | undefined
  let onTheWayFrom = await deps.settledUpTo(lane)
  let ledgerFrom = 0

  const isOurs = (key: Buffer | null): boolean => key !== null && key.subarray(0, prefix.length).equals(prefix)

  function note(alertId: string, version: string | null | undefined, among = newest): void {
    if (version && version > (among.get(alertId) ?? '')) among.set(alertId, version)
  }

  /** The topic may have been lost: an alert that nobody can see any more is missing, whatever the ledger says. */
  async function confirmParked(): Promise<void> {
    if (saidParked.size === 0) return
    parkedFrom = await read(topics.parked, codecs.parked, parkedFrom, ({ alertId, version }) =>
      note(alertId, version, foundParked),
    )
    for (const [alertId, version] of saidParked) {
      if ((foundParked.get(alertId) ?? '') >= version) note(alertId, version)
    }
  }

  /** Where the next look goes on. */
  async function read<T>(
    topic: string,
    codec: Codec<T>,
    from: number,
    visit: (value: T) => void,
    gone: (alertId: string) => void = () => {},
  ): Promise<number> {
    let next = from
    for await (const records of reader.read(topic, lane, from, TO_THE_END)) {
      next = (records.at(-1)?.offset ?? next) + 1
      for (const { key, value } of records) {
        if (key === null || !isOurs(key)) continue
        if (value === null) {
          gone(key.subarray(prefix.length).toString())
          continue
        }
        const decoded = await decodeLearning(codec, value)
        if (decoded.kind === 'value') visit(decoded.value)
      }
    }
    return next
  }

  return {
    async refresh() {
      ledgerFrom = await read(
        topics.deliveries,
        codecs.deliveries,
        ledgerFrom,
        ({ alertId, delivered, parked }) => {
          note(alertId, delivered?.version)
          note(alertId, parked?.version, saidParked)
        },
        alertId => {
          newest.delete(alertId)
          saidParked.delete(alertId)
        },
      )
      await confirmParked()
      onTheWayFrom = await read(topics.alerts, codecs.alerts, onTheWayFrom, ({ alertId, version, origin }) => {
        // what a poll lists again is not parked again: the forwarder drops it, wherever the parked one has gone
        const isDropped = origin !== 'retry' && origin !== 'sweep' && saidParked.get(alertId) === version
        if (!isDropped) note(alertId, version)
      })
      quarantined = undefined
    },
    has: (alertId, version) => (newest.get(alertId) ?? '') >= version,
    async hasQuarantined(alertId, contentHash) {
      if (!quarantined) {
        const found = new Set<string>()
        await read(topics.parked, codecs.parked, 0, parked => {
          if (parked.format === 'json')
            found.add(quarantineKey(parked.alertId, hash('sha256', parked.record, 'buffer')))
        })
        quarantined = found
      }
      return quarantined.has(quarantineKey(alertId, contentHash))
    },
  }
}

function quarantineKey(alertId: string, contentHash: Buffer): string {
  return `${contentHash.toString('hex')}/${alertId}`
}

export interface KnownSource {
  /** Rejects with a TransientError. */
  of(tenantId: string, lane: number): Promise<Known>
  close(): Promise<void>
}

/** Connects when it is first asked, and once. */
export function openKnownSource(
  source: Omit<KnownDeps, 'reader' | 'settledUpTo'> & {
    readonly kafka: () => KafkaClient
    /** The consumer group of the forwarders. */
    readonly forwarders: string
  },
): KnownSource {
  let opened: Promise<KnownDeps & { close(): Promise<void> }> | undefined

  async function open(): Promise<KnownDeps & { close(): Promise<void> }> {
    const admin = source.kafka().admin({ retry: { retries: 3, initialRetryTime: 200, maxRetryTime: 2_000 } })
    await admin.connect()
    const reader = await openReader(source.kafka())
    return {
      ...source,
      reader,
      settledUpTo: async lane =>
        (await committedOffsets(admin, source.forwarders, source.topics.alerts)).get(lane) ?? 0,
      async close() {
        await reader.close()
        await admin.disconnect()
      },
    }
  }

  return {
    async of(tenantId, lane) {
      opened ??= open()
      try {
        return await openKnown(tenantId, lane, await opened)
      } catch (error) {
        opened = undefined
        if (error instanceof TransientError) throw error
        const reason = error instanceof Error ? error.message : String(error)
        throw new TransientError(`Kafka cannot be asked what was delivered: ${reason}`, { cause: error })
      }
    },
    async close() {
      await opened?.then(
        deps => deps.close(),
        () => {},
      )
    },
  }
}
