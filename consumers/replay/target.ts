import type { Chosen } from './scan.ts'

const LF = 0x0a
const CR = 0x0d
const END = '}\n'
const NOTHING = Buffer.alloc(0)
/** Of one UTF-16 unit. */
const UTF8_BYTES_MAX = 3

/** Where replayed alerts go. */
export interface Target {
  readonly words: string
  /** Takes records in order; resolves when no more than a bounded amount waits. Rejects when the target refuses for good. */
  write(chosen: readonly Chosen[]): Promise<void>
  /** Makes durable all that was taken; resolves with a note from which `resume` goes on. */
  flush(): Promise<string>
  /** Called once, before the first write; '' when nothing was noted, so that nothing was written. */
  resume(note: string): Promise<void>
  close(): Promise<void>
}

/**
 * Lines of `{"tenantId","alertId","version","lane","offset","alert":<Graph's JSON, byte for byte>}`, one after the other in
 * memory that is used again.
 */
export class Lines {
  #room: Buffer
  #used = 0

  constructor(roomBytes: number) {
    this.#room = Buffer.allocUnsafe(roomBytes)
  }

  get bytes(): number {
    return this.#used
  }

  add({ alert, lane, offset }: Chosen): void {
    const head =
      `{"tenantId":${JSON.stringify(alert.tenantId)},"alertId":${JSON.stringify(alert.alertId)}` +
      `,"version":${JSON.stringify(alert.version)},"lane":${lane},"offset":${offset}`
    // a line is one line: an alert that was written over several goes as base64, its bytes unchanged
    if (alert.alert.includes(LF) || alert.alert.includes(CR)) {
      this.#append(`${head},"alertBase64":"${alert.alert.toString('base64')}"`, NOTHING)
    } else {
      this.#append(`${head},"alert":`, alert.alert)
    }
  }

  /** All that was added since it was last asked; a view that holds until the next `add`. */
  take(): Buffer {
    const lines = this.#room.subarray(0, this.#used)
    this.#used = 0
    return lines
  }

  #append(head: string, alert: Buffer): void {
    const most = this.#used + head.length * UTF8_BYTES_MAX + alert.length + END.length
    if (most > this.#room.length) {
      const larger = Buffer.allocUnsafe(Math.max(most, this.#room.length * 2))
      this.#room.copy(larger, 0, 0, this.#used)
      this.#room = larger
    }
    this.#used += this.#room.write(head, this.#used)
    this.#used += alert.copy(this.#room, this.#used)
    this.#used += this.#room.write(END, this.#used)
  }
}
