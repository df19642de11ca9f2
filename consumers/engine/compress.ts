import { promisify } from 'node:util'
import { constants, gzip, zstdCompress } from 'node:zlib'

/** Content-Encoding of a request. */
export type Encoding = 'gzip' | 'zstd' | 'identity'

const gzipAsync = promisify<Buffer, { level: number; chunkSize: number }, Buffer>(gzip)
const zstdAsync = promisify<Buffer, { params: Record<number, number>; chunkSize: number }, Buffer>(zstdCompress)
/** Each chunk is a turn through the thread pool: a body of 1 MB packs into one. */
const CHUNK_BYTES_MAX = 256 * 1024
const CHUNK_BYTES_MIN = 16 * 1024

/**
 * Off the main thread. Level 1 of both: on alerts gzip 6 is an eighth smaller for twice the time, and zstd 1 is smaller
 * than either for less than half of it.
 */
export async function compress(body: Buffer, encoding: Encoding): Promise<Buffer> {
  const chunkSize = Math.min(CHUNK_BYTES_MAX, Math.max(CHUNK_BYTES_MIN, body.length))
  if (encoding === 'gzip') return gzipAsync(body, { level: 1, chunkSize })
  if (encoding === 'zstd') return zstdAsync(body, { params: { [constants.ZSTD_c_compressionLevel]: 1 }, chunkSize })
  return body
}
