/** Every input that somebody else writes, and the code that meets it first. */
import { engineAnswer, entraAnswer } from './answer-targets.ts'
import { ocsfFinding } from './finding-target.ts'
import { nextLink, retryAfter, traceHeader, warning } from './header-targets.ts'
import type { Target } from './loop.ts'
import { graphAnswer, graphPage } from './page-targets.ts'
import { avroSchema, avroValue, kafkaRecord, parkedShown } from './record-targets.ts'
import { flags, logLine, matchPattern, settings, tenantsFile } from './text-targets.ts'
import { engineWire, graphWire } from './wire-targets.ts'

export const TARGETS: readonly Target[] = [
  graphPage,
  graphAnswer,
  nextLink,
  retryAfter,
  warning,
  entraAnswer,
  avroValue,
  avroSchema,
  kafkaRecord,
  traceHeader,
  parkedShown,
  ocsfFinding,
  engineAnswer,
  tenantsFile,
  settings,
  flags,
  matchPattern,
  logLine,
  graphWire,
  engineWire,
]
