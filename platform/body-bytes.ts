/**
 * Gathers the chunks of a foreign body. A sender may cut it into single bytes, each of which would be an object of a
 * hundred; so small ones are copied together, and what is held is never much more than what was sent.
 */
export interface BodyBytes {
  /** False: more than allowed has come, and nothing of it is kept. */
  add(chunk: Uint8Array): boolean
  /** All of it, in one piece. */
  whole(): Buffer
}

const SMALL_BYTES = 4 * 1024
const BLOCK_BYTES = 64 * 1024

export function gatherBody(maxBytes: number): BodyBytes {
  let pieces: Uint8Array[] = []
  let size = 0
  let block = Buffer.alloc(0)
  let filled = 0

  function closeBlock(): void {
    if (filled > 0) pieces.push(block.subarray(0, filled))
    block = block.subarray(filled)
    filled = 0
  }

  return {
    add(chunk) {
      size += chunk.length
      if (size > maxBytes) {
        pieces = []
        return false
      }
      if (chunk.length >= SMALL_BYTES) {
        closeBlock()
        pieces.push(chunk)
        return true
      }
      if (chunk.length > block.length - filled) {
        closeBlock()
        block = Buffer.allocUnsafeSlow(BLOCK_BYTES)
      }
      block.set(chunk, filled)
      filled += chunk.length
      return true
    },
    whole() {
      closeBlock()
      const [only] = pieces
      return pieces.length === 1 && Buffer.isBuffer(only) ? only : Buffer.concat(pieces, size)
    },
  }
}
