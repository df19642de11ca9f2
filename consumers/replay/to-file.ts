import { constants, type FileHandle, open } from 'node:fs/promises'
import { promisify } from 'node:util'
import { gzip, zstdCompress } from 'node:zlib'
import type { Crash } from '../../platform/crash.ts'
import { withSteps } from '../../platform/crash.ts'
import type { Chosen } from './scan.ts'
import type { Target } from './target.ts'
import { Lines } from './target.ts'

const EXISTS = 'exists already: name another file'
const CHUNK_BYTES = 4 * 1024 * 1024
/** A chunk is full with the line that passes its size; longer ones make more room. */
const ONE_MORE_BYTES = 64 * 1024
const STREAM_BYTES = 1024 * 1024

/** Both formats allow one compressed piece after the other, so a resumed file stays readable as a whole. */
const PACKERS: readonly (readonly [ending: string, pack: (bytes: Buffer) => Promise<Buffer>])[] = [
  ['.gz', promisify(gzip) as (bytes: Buffer) => Promise<Buffer>],
  ['.zst', promisify(zstdCompress) as (bytes: Buffer) => Promise<Buffer>],
]

/** A run may be killed before it has made its file. */
const RESUMED = constants.O_RDWR | constants.O_CREAT

/** A new file; never overwrites one. Compressed by its name. A resumed run cuts off what was not noted. */
export async function toFile(path: string, resumed: boolean, crash: Crash | null): Promise<Target> {
  const pack = PACKERS.find(([ending]) => path.endsWith(ending))?.[1] ?? (async (bytes: Buffer) => bytes)
  let file: FileHandle
  try {
    file = await withSteps(crash, 'replay-file-opened', () => open(path, resumed ? RESUMED : 'wx'))
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : ''
    const why = code === 'EEXIST' ? EXISTS : code === 'ENOENT' ? 'cannot be opened' : code
    throw new Error(`${path} ${why}`, { cause: error })
  }
  let position = 0
  /** One is filled while the other is packed and written. */
  let lines = new Lines(CHUNK_BYTES + ONE_MORE_BYTES)
  let others = new Lines(CHUNK_BYTES + ONE_MORE_BYTES)
  let written: Promise<void> = Promise.resolve()

  async function put(chunk: Buffer): Promise<void> {
    const packed = await pack(chunk)
    await withSteps(crash, 'replay-to-file', async () => {
      // a disk that runs full takes a part first, and refuses the rest
      for (let at = 0; at < packed.length; ) {
        at += (await file.write(packed, at, packed.length - at, position + at)).bytesWritten
      }
    })
    position += packed.length
  }

  /** Rejects with what befell the chunk before. */
  async function writeOut(): Promise<void> {
    await written
    if (lines.bytes === 0) return
    written = put(lines.take())
    written.catch(() => {}) // whoever waits for it hears of it
    ;[lines, others] = [others, lines]
  }

  return {
    words: path,
    async write(chosen: readonly Chosen[]) {
      for (const one of chosen) {
        lines.add(one)
        if (lines.bytes >= CHUNK_BYTES) await writeOut()
      }
    },
    async flush() {
      await writeOut()
      await written
      await file.datasync()
      return String(position)
    },
    async resume(note) {
      position = Number(note) || 0
      const { size } = await file.stat()
      if (note === '' && size > 0) throw new Error(`${path} ${EXISTS}`)
      if (size < position) throw new Error(`${path} has ${size} bytes, ${position} were written: it is another file`)
      await withSteps(crash, 'replay-file-cut', () => file.truncate(position))
    },
    async close() {
      await written.catch(() => {})
      await file.close()
    },
  }
}

/** Standard output, or any stream: what was written cannot be taken back, so a resumed run goes on after it. */
export function toStream(out: (text: Buffer) => Promise<void>, crash: Crash | null): Target {
  return {
    words: 'standard output',
    async write(chosen) {
      if (chosen.length === 0) return
      // memory of its own: a stream may still hold it when it takes the next
      const lines = new Lines(STREAM_BYTES)
      for (const one of chosen) lines.add(one)
      await withSteps(crash, 'replay-to-stream', () => out(lines.take()))
    },
    flush: async () => '',
    resume: async () => {},
    close: async () => {},
  }
}
