import type { TraceContext } from '../trace.ts'

/** A lane's records between the fetch and the work: bounded by whoever pushes, in order, taken in windows. */
export interface LogRecord {
  readonly offset: number
  readonly timestampMs: number
  readonly key: Buffer | null
  readonly value: Buffer | null
  /** The span that brought it, where its headers name one and somebody asked for it. */
  readonly trace?: TraceContext
}

export interface LaneQueue {
  readonly count: number
  readonly bytes: number
  /** Waits for at least one record; at most `maxRecords`, and no more than `maxBytes` unless a single record is larger. */
  take(maxRecords: number, maxBytes: number, signal: AbortSignal): Promise<LogRecord[]>
}

const RECORD_OVERHEAD_BYTES = 64

export class RecordQueue implements LaneQueue {
  #records: LogRecord[] = []
  #head = 0
  #bytes = 0
  #wake: (() => void) | undefined
  readonly #onTaken: () => void

  constructor(onTaken: () => void) {
    this.#onTaken = onTaken
  }

  get count(): number {
    return this.#records.length - this.#head
  }

  get bytes(): number {
    return this.#bytes
  }

  push(records: readonly LogRecord[]): void {
    for (const record of records) {
      this.#records.push(record)
      this.#bytes += sizeOf(record)
    }
    this.#wake?.()
  }

  async take(maxRecords: number, maxBytes: number, signal: AbortSignal): Promise<LogRecord[]> {
    while (this.count === 0) {
      signal.throwIfAborted()
      await new Promise<void>((resolve, reject) => {
        const stop = (): void => reject(signal.reason as Error)
        signal.addEventListener('abort', stop, { once: true })
        this.#wake = () => {
          signal.removeEventListener('abort', stop)
          this.#wake = undefined
          resolve()
        }
      })
    }
    const taken: LogRecord[] = []
    let bytes = 0
    while (taken.length < maxRecords) {
      const next = this.#records[this.#head]
      if (!next) break
      const size = sizeOf(next)
      if (taken.length > 0 && bytes + size > maxBytes) break
      taken.push(next)
      bytes += size
      this.#head++
    }
    this.#bytes -= bytes
    if (this.#head > 1_024 && this.#head * 2 > this.#records.length) {
      this.#records = this.#records.slice(this.#head)
      this.#head = 0
    }
    this.#onTaken()
    return taken
  }
}

function sizeOf(record: LogRecord): number {
  return (record.value?.length ?? 0) + (record.key?.length ?? 0) + RECORD_OVERHEAD_BYTES
}
