import { renameSync, writeFileSync } from 'node:fs'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/**
 * Loaded into a worker before its own code: what its memory holds once all garbage is gone, in bytes, every few seconds
 * into the file named `CHAOS_KEPT_FILE`. V8 lets garbage lie for as long as there is room, many minutes under a light
 * load, so that resident memory says nothing of what a worker never gives back.
 */
const EVERY_MS = 20_000
const file = process.env['CHAOS_KEPT_FILE']

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

if (file !== undefined) {
  setInterval(() => {
    collect()
    const { heapUsed, external } = process.memoryUsage()
    writeFileSync(`${file}.new`, String(heapUsed + external))
    renameSync(`${file}.new`, file)
  }, EVERY_MS).unref()
}
