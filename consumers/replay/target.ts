import type { Chosen } from './scan.ts'

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

/** `{"tenantId","alertId","version","lane","offset","alert":<Graph's JSON, byte for byte>}` and a newline. */
export function lineOf({ alert, lane, offset }: Chosen): Buffer {
  const head =
    `{"tenantId":${JSON.stringify(alert.tenantId)},"alertId":${JSON.stringify(alert.alertId)}` +
    `,"version":${JSON.stringify(alert.version)},"lane":${lane},"offset":${offset}`
  // a line is one line: an alert that was written over several goes as base64, its bytes unchanged
  if (alert.alert.includes(0x0a) || alert.alert.includes(0x0d)) {
    return Buffer.from(`${head},"alertBase64":"${alert.alert.toString('base64')}"}\n`)
  }
  return Buffer.concat([Buffer.from(`${head},"alert":`), alert.alert, Buffer.from('}\n')])
}
