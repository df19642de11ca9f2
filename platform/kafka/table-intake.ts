import type { Codec } from '../avro/codec.ts'
import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'
import { backoffMs } from '../retry.ts'
import type { LogRecord } from './queue.ts'

/**
 * Table records in order, decoded. Nearly always at once; where a writer's schema is new, everything after it waits for
 * the registry, so that order holds and nothing is skipped.
 */
export interface TableIntake {
  take(topic: string, record: LogRecord): void
  /** Resolves when all that was taken before the call is applied. */
  settled(): Promise<void>
}

export interface TableReader {
  readonly codec: Codec<unknown>
  /** `value` null: a tombstone. */
  readonly apply: (key: string, value: unknown, record: LogRecord) => void
  /** Asked first. True: it has applied the record, in its own way. */
  readonly inPlace?: (key: Buffer, value: Buffer) => boolean
}

/** One table of an intake, with its type. */
export function tableOf<T>(
  codec: Codec<T>,
  apply: (key: string, value: T | null, record: LogRecord) => void,
  inPlace?: TableReader['inPlace'],
): TableReader {
  return { codec, apply: apply as TableReader['apply'], ...(inPlace === undefined ? {} : { inPlace }) }
}

const BACKOFF = { firstMs: 200, maxMs: 10_000 }

export function tableIntake(
  tables: Readonly<Record<string, TableReader>>,
  deps: { readonly clock: Clock; readonly log: Log; readonly signal: AbortSignal },
): TableIntake {
  const waiting: { topic: string; record: LogRecord }[] = []
  let learning: Promise<void> = Promise.resolve()
  let busy = false

  /** The schema id that is missing, or null when the record is done with. */
  function apply(topic: string, record: LogRecord): number | null {
    const table = tables[topic]
    if (!table || record.key === null) return null
    if (record.value !== null && table.inPlace?.(record.key, record.value)) return null
    const key = record.key.toString()
    if (record.value === null) {
      table.apply(key, null, record)
      return null
    }
    const decoded = table.codec.decode(record.value)
    switch (decoded.kind) {
      case 'value':
        table.apply(key, decoded.value, record)
        return null
      case 'unknown-schema':
        return decoded.id
      case 'undecodable':
        deps.log.error('a table record cannot be read and is left out: look who else writes to the topic', {
          topic,
          offset: record.offset,
          detail: decoded.detail,
        })
        return null
    }
  }

  /** Ends with nothing waiting, and says so in the same breath: a record that comes a moment later begins it anew. */
  async function learn(): Promise<void> {
    for (let attempt = 0; ; ) {
      deps.signal.throwIfAborted()
      const next = waiting[0]
      if (!next) {
        busy = false
        return
      }
      const missing = apply(next.topic, next.record)
      if (missing === null) {
        waiting.shift()
        continue
      }
      try {
        if (!(await tables[next.topic]?.codec.learn(missing))) {
          deps.log.error('a table record was written with a schema that the registry does not know: left out', {
            topic: next.topic,
            offset: next.record.offset,
            schemaId: missing,
          })
          waiting.shift()
        }
        attempt = 0
      } catch (error) {
        deps.log.warn('the registry does not answer, a lane waits for a schema', { schemaId: missing, error })
        await deps.clock.sleep(backoffMs(attempt++, BACKOFF, 0.5), deps.signal)
      }
    }
  }

  return {
    take(topic, record) {
      if (waiting.length === 0 && apply(topic, record) === null) return
      waiting.push({ topic, record })
      if (busy) return
      busy = true
      learning = learn().catch((error: unknown) => {
        if (!deps.signal.aborted) throw error // what `apply` throws is a fault of the code, as in the way without a wait
      })
    },
    async settled() {
      while (waiting.length > 0 && !deps.signal.aborted) await learning
    },
  }
}
