import { hash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { Known } from '../../consumers/ocsf/envelope.ts'
import { findingOf } from '../../consumers/ocsf/finding.ts'
import { parseExactly } from '../../consumers/ocsf/members.ts'
import type { SchemaPart } from '../ocsf/schema-part.ts'
import { problemsOf } from '../ocsf/validator.ts'

export const SCHEMA_FILE = 'test/ocsf/schema-1.6.0.json'
export const schema = JSON.parse(readFileSync(SCHEMA_FILE, 'utf8')) as SchemaPart

export type Tree = { readonly [name: string]: Tree } & readonly Tree[]

export const KNOWN: Known = {
  id: 'q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA',
  tenantId: '5d6f0a53-1c4b-4a0e-9f6e-0c5f5b7f9a11',
  alertId: 'da1',
  version: '2026-11-23T10:11:12.1234567Z',
  source: 'alerts_v2',
  sha256: 'ab'.repeat(32),
  bytes: 2,
}

/** The finding as it reaches the engine: through its JSON. */
export function sent(text: string, known: Partial<Known> = {}): Tree {
  const facts = { ...KNOWN, sha256: hash('sha256', text, 'hex'), bytes: Buffer.byteLength(text), ...known }
  return JSON.parse(JSON.stringify(findingOf(parseExactly(text), facts))) as Tree
}

export const sentOf = (alert: unknown, known: Partial<Known> = {}): Tree => sent(JSON.stringify(alert), known)

export const problems = (finding: unknown): readonly string[] => problemsOf(finding, schema)
