/** Kafka's frames, as far as a proxy has to know them: whose answer goes by, and where it ends. */

/** Numbers of the APIs that faults name. */
export const APIS = {
  Produce: 0,
  Fetch: 1,
  ListOffsets: 2,
  Metadata: 3,
  OffsetCommit: 8,
  OffsetFetch: 9,
  FindCoordinator: 10,
  JoinGroup: 11,
  Heartbeat: 12,
  LeaveGroup: 13,
  SyncGroup: 14,
} as const

export type ApiName = keyof typeof APIS

const FRAME_BYTES_MAX = 64 * 1024 * 1024

/** Cuts a stream into whole frames, each with its four bytes of length. Throws when it is not Kafka's protocol. */
export function frameCutter(): (chunk: Buffer) => Buffer[] {
  let waiting: Buffer[] = []
  let waitingBytes = 0
  let needed = 4
  return chunk => {
    waiting.push(chunk)
    waitingBytes += chunk.length
    const frames: Buffer[] = []
    while (waitingBytes >= needed) {
      const all = waiting.length === 1 ? (waiting[0] ?? chunk) : Buffer.concat(waiting, waitingBytes)
      const size = 4 + all.readInt32BE(0)
      if (size < 8 || size > FRAME_BYTES_MAX) throw new Error(`a frame of ${size} bytes is not Kafka's`)
      needed = size
      waiting = [all]
      if (waitingBytes < size) break
      frames.push(all.subarray(0, size))
      waiting = [all.subarray(size)]
      waitingBytes -= size
      needed = 4
    }
    return frames
  }
}

/** Of a request's frame: which API, and the number that its answer will carry. */
export function requestHead(frame: Buffer): { readonly api: number; readonly correlationId: number } {
  return { api: frame.readInt16BE(4), correlationId: frame.readInt32BE(8) }
}

export function answerCorrelationId(frame: Buffer): number {
  return frame.readInt32BE(4)
}
