import type { Log, LogLevel } from '../../../platform/log.ts'

export interface RecordingLog extends Log {
  readonly lines: { readonly level: LogLevel; readonly message: string; readonly fields: object }[]
  count(level: LogLevel): number
}

export function recordingLog(): RecordingLog {
  const lines: RecordingLog['lines'] = []
  const at =
    (level: LogLevel) =>
    (message: string, fields: object = {}): void => {
      lines.push({ level, message, fields })
    }
  const log: RecordingLog = {
    lines,
    count: level => lines.filter(line => line.level === level).length,
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: () => log,
  }
  return log
}
