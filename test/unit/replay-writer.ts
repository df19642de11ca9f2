/** Run as a program by `replay-file.test.ts`: writes lines to the file it is given until one call of `write` has them all. */
import type { Chosen } from '../../consumers/replay/scan.ts'
import { toFile } from '../../consumers/replay/to-file.ts'

const [, , path = '', count = '0'] = process.argv
const alert = { tenantId: 't', alertId: 'a', version: 'v', alert: Buffer.from(JSON.stringify('x'.repeat(4_000))) }
const chosen = { lane: 0, offset: 0, timestampMs: 0, alert } as unknown as Chosen
const target = await toFile(path, false, null)
try {
  await target.write(Array.from({ length: Number(count) }, () => chosen))
  process.stdout.write(`durable ${await target.flush()}`)
} catch (error) {
  process.stdout.write(`refused ${error instanceof Error && 'code' in error ? String(error.code) : String(error)}`)
} finally {
  await target.close()
}
