import type { Attributes } from './members.ts'

/** Graph's words and OCSF's numbers for them. A word that is not listed is 99, Other, with the word itself beside it. */
type Words = ReadonlyMap<string, readonly [number, string]>

const OTHER = 99

const SEVERITIES: Words = new Map([
  ['unknown', [0, 'Unknown']],
  ['unknownfuturevalue', [0, 'Unknown']],
  ['informational', [1, 'Informational']],
  ['low', [2, 'Low']],
  ['medium', [3, 'Medium']],
  ['high', [4, 'High']],
])

const STATUSES: Words = new Map([
  ['unknown', [0, 'Unknown']],
  ['unknownfuturevalue', [0, 'Unknown']],
  ['new', [1, 'New']],
  ['newalert', [1, 'New']],
  ['inprogress', [2, 'In Progress']],
  ['dismissed', [3, 'Suppressed']],
  ['resolved', [4, 'Resolved']],
])

const CLASSIFICATIONS: Words = new Map([
  ['unknown', [0, 'Unknown']],
  ['unknownfuturevalue', [0, 'Unknown']],
  ['falsepositive', [1, 'False Positive']],
  ['truepositive', [2, 'True Positive']],
  ['informationalexpectedactivity', [5, 'Benign']],
  ['benignpositive', [5, 'Benign']],
])

const EVIDENCE_VERDICTS: Words = new Map([
  ['unknown', [0, 'Unknown']],
  ['unknownfuturevalue', [0, 'Unknown']],
  ['malicious', [2, 'True Positive']],
  ['suspicious', [4, 'Suspicious']],
  ['nothreatsfound', [5, 'Benign']],
])

function look(words: Words, said: string): readonly [number, string] {
  return words.get(said.toLowerCase()) ?? [OTHER, said]
}

export function severityOf(said: string | undefined): Attributes {
  const [id, caption] = look(SEVERITIES, said ?? 'unknown')
  return { severity_id: id, severity: caption }
}

export function statusOf(said: string | undefined): Attributes {
  const [id, caption] = look(STATUSES, said ?? 'unknown')
  return { status_id: id, status: caption }
}

export function verdictOf(said: string | undefined): Attributes {
  if (said === undefined) return {}
  const [id, caption] = look(CLASSIFICATIONS, said)
  return { verdict_id: id, verdict: caption }
}

export function verdictOfEvidence(said: string): Attributes {
  const [id, caption] = look(EVIDENCE_VERDICTS, said)
  return { verdict_id: id, verdict: caption }
}

export const ACTIVITIES = { create: [1, 'Create'], update: [2, 'Update'], close: [3, 'Close'] } as const

/** Closed says the status; created, that nothing was changed since. */
export function activityOf(status: string | undefined, isFirst: boolean): (typeof ACTIVITIES)[keyof typeof ACTIVITIES] {
  const said = status?.toLowerCase()
  if (said === 'resolved' || said === 'dismissed') return ACTIVITIES.close
  return isFirst ? ACTIVITIES.create : ACTIVITIES.update
}
