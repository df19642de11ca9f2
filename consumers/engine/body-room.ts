/**
 * Memory for bodies, used again. A fresh megabyte for each request lies outside of the heap, where the collector only
 * sees it grow: it then goes over everything several times a second.
 */
export interface BodyRoom {
  /** At least so large; holds whatever it held before. */
  take(bytes: number): Buffer
  /** Only what nobody reads any more; whatever is not given back is the collector's. */
  give(room: Buffer): void
}

const STEP_BYTES = 256 * 1024
/** A body of a single huge alert is not kept. */
const KEPT_BYTES_MAX = 2 * 1024 * 1024
const KEPT_MAX = 16

export function openBodyRoom(): BodyRoom {
  const free: Buffer[] = []
  return {
    take(bytes) {
      const at = free.findIndex(room => room.length >= bytes)
      const [room] = at < 0 ? [] : free.splice(at, 1)
      return room ?? Buffer.allocUnsafeSlow(Math.ceil(bytes / STEP_BYTES) * STEP_BYTES)
    },
    give(room) {
      if (room.length > KEPT_BYTES_MAX) return
      free.push(room)
      if (free.length <= KEPT_MAX) return
      const smallest = free.reduce((least, one) => (one.length < least.length ? one : least))
      free.splice(free.indexOf(smallest), 1)
    },
  }
}
