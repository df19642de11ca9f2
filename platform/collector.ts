import { setFlagsFromString } from 'node:v8'

/**
 * Buffers lie outside of the heap. V8 goes over the whole heap whenever some 64 MB of them came since it last did: several
 * times a second for who reads 100 MB a second. With this flag they count against the heap's own limit instead, which
 * follows the container's memory. By measurement (bench/README.md) that is a fifth of a poller's CPU under load, for a
 * quarter more memory. A Node that does not know the flag says so on stderr, and goes on.
 */
export function countBuffersAsHeap(): void {
  setFlagsFromString('--external-memory-accounted-in-global-limit')
}
