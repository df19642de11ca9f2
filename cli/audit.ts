import { userInfo } from 'node:os'
import { decodeLearning } from '../platform/avro/codec.ts'
import { systemClock } from '../platform/clock.ts'
import type { AuditEntry } from '../schemas/types.ts'
import type { Connection } from './connect.ts'
import { withConnection } from './connect.ts'
import type { Format, Io } from './io.ts'
import { EXIT, printRows, Refusal } from './io.ts'
import { isoTime, jsonIn } from './lenient.ts'
import { scan } from './tables.ts'

/** Who did what and why. The start is durable before the first effect: no audit, no operation. */
export interface Audit {
  note(phase: 'start' | 'progress' | 'end', result: unknown): Promise<void>
}

export interface Operation {
  readonly id: string
  readonly operation: string
  readonly by: string
  readonly reason: string
  readonly scope: unknown
}

const AUDIT_PARTITION = 0

/** Who runs the command, for the audit. A user without a name (as in a container) has to say. */
export function whoActs(by: string | undefined): string {
  if (by !== undefined) return by
  try {
    return userInfo().username
  } catch {
    throw new Refusal('--by is missing: this user has no name on this machine, and it is audited who acts', EXIT.usage)
  }
}

export async function openAudit(connection: Connection, operation: Operation): Promise<Audit> {
  const codec = await connection.codec<AuditEntry>('audit')
  const publisher = await connection.publisher()
  return {
    async note(phase, result) {
      const value = codec.encode({
        operationId: operation.id,
        operation: operation.operation,
        phase,
        at: systemClock.now(),
        by: operation.by,
        reason: operation.reason,
        scopeJson: Buffer.from(JSON.stringify(operation.scope)),
        resultJson: result === null ? null : Buffer.from(JSON.stringify(result)),
      })
      await publisher.append(connection.topic('audit'), AUDIT_PARTITION, [{ key: operation.id, value }], 'audit')
    },
  }
}

/** Every entry, oldest first. */
export async function auditEntries(
  connection: Connection,
  say: (text: string) => void,
): Promise<readonly AuditEntry[]> {
  const codec = await connection.codec<AuditEntry>('audit')
  const entries: AuditEntry[] = []
  await scan(connection, 'audit', async record => {
    if (record.value === null) return
    const decoded = await decodeLearning(codec, record.value)
    if (decoded.kind === 'value') entries.push(decoded.value)
    else say(`an audit record at offset ${record.offset} cannot be read: ${decoded.detail}\n`)
  })
  return entries
}

export function listAudit(io: Io, format: Format): Promise<number> {
  return withConnection(io, ['kafkaBrokers', 'schemaRegistryUrl'], async connection => {
    const rows = (await auditEntries(connection, io.say))
      .filter(entry => entry.phase !== 'progress')
      .map(entry => ({
        at: isoTime(entry.at),
        operationId: entry.operationId,
        operation: entry.operation,
        phase: entry.phase,
        by: entry.by,
        reason: entry.reason,
        scope: jsonIn(entry.scopeJson),
        result: entry.resultJson === null ? null : jsonIn(entry.resultJson),
      }))
    printRows(io, format, rows, [
      { title: 'AT', of: row => row.at },
      { title: 'ID', of: row => row.operationId },
      { title: 'OPERATION', of: row => row.operation },
      { title: 'PHASE', of: row => row.phase },
      { title: 'BY', of: row => row.by },
      { title: 'REASON', of: row => row.reason },
      { title: 'RESULT', of: row => (row.result === null ? null : JSON.stringify(row.result)) },
    ])
    return EXIT.ok
  })
}
