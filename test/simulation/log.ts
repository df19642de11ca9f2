/** The topics: records in partitions, each key's last one kept where a table is compacted. */
interface StoredRecord {
  readonly offset: number
  readonly key: string
  readonly value: Buffer | null
  /** As KafkaJS gives it to the handler. */
  readonly message: {
    readonly offset: string
    readonly timestamp: string
    readonly key: Buffer
    readonly value: Buffer | null
    readonly headers: object
    readonly isControlRecord: false
  }
  /** When it landed and when compaction took it, in landings of all topics. */
  readonly landing: number
  goneAt: number
}

export interface SimLog {
  /** How many records landed so far, over all topics. */
  readonly landings: number
  append(
    topic: string,
    lane: number,
    records: readonly { readonly key: string; readonly value: Buffer | null }[],
    nowMs: number,
  ): number
  read(topic: string, lane: number, from: number, recordsMax: number): readonly StoredRecord[]
  /** All that ever landed. */
  all(topic: string, lane: number): readonly StoredRecord[]
  high(topic: string, lane: number): number
  /** Of what landed before then, only the last of each key is left. */
  compact(topic: string, lane: number, beforeLanding: number): void
  /** Once, when something lands in one of them. */
  onAppend(topics: readonly { readonly topic: string; readonly lane: number }[], act: () => void): void
}

interface Partition {
  readonly all: StoredRecord[]
  readable: StoredRecord[]
  waiting: (() => void)[]
}

export function simLog(): SimLog {
  const partitions = new Map<string, Partition>()
  let landings = 0

  function partitionOf(topic: string, lane: number): Partition {
    const name = `${topic}/${lane}`
    let found = partitions.get(name)
    if (!found) partitions.set(name, (found = { all: [], readable: [], waiting: [] }))
    return found
  }

  return {
    get landings() {
      return landings
    },
    append(topic, lane, records, nowMs) {
      const partition = partitionOf(topic, lane)
      const first = partition.all.length
      for (const { key, value } of records) {
        const offset = partition.all.length
        const message = {
          offset: String(offset),
          timestamp: String(nowMs),
          key: Buffer.from(key),
          value,
          headers: {},
          isControlRecord: false,
        } as const
        const stored = { offset, key, value, message, landing: landings++, goneAt: Infinity }
        partition.all.push(stored)
        partition.readable.push(stored)
      }
      const { waiting } = partition
      partition.waiting = []
      for (const act of waiting) act()
      return first
    },
    read(topic, lane, from, recordsMax) {
      const { readable } = partitionOf(topic, lane)
      const at = firstFrom(readable, from)
      return readable.slice(at, at + recordsMax)
    },
    all: (topic, lane) => partitionOf(topic, lane).all,
    high: (topic, lane) => partitionOf(topic, lane).all.length,
    compact(topic, lane, beforeLanding) {
      const partition = partitionOf(topic, lane)
      const old = partition.readable.filter(({ landing }) => landing < beforeLanding)
      const lastOf = new Map(old.map(record => [record.key, record]))
      for (const record of old) if (lastOf.get(record.key) !== record) record.goneAt = landings
      partition.readable = partition.readable.filter(({ goneAt }) => goneAt === Infinity)
    },
    onAppend(topics, act) {
      let isOver = false
      const once = (): void => {
        if (isOver) return
        isOver = true
        act()
      }
      for (const { topic, lane } of topics) partitionOf(topic, lane).waiting.push(once)
    },
  }
}

function firstFrom(records: readonly StoredRecord[], offset: number): number {
  let low = 0
  let high = records.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((records[middle]?.offset ?? 0) < offset) low = middle + 1
    else high = middle
  }
  return low
}
