/** What a forwarder makes of an alert where the engine wants OCSF. */
import { hash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { itemOf } from '../../consumers/format.ts'
import { alertMembers } from '../../sandbox/graph/alerts.ts'
import { renderHostile } from '../../sandbox/graph/hostile.ts'
import { legacyMembers } from '../../sandbox/graph/legacy.ts'
import type { SchemaPart } from '../ocsf/schema-part.ts'
import { problemsOf } from '../ocsf/validator.ts'
import { alertOf, TENANT_A } from '../unit/fakes/records.ts'
import type { Target } from './loop.ts'
import { must, parsed } from './oracle.ts'

const schema = JSON.parse(readFileSync('test/ocsf/schema-1.6.0.json', 'utf8')) as SchemaPart
const TENANT_JSON = Buffer.from('{}')

const recipe = (seed: number) => ({
  seed,
  tenantId: TENANT_A,
  alertId: 'a1',
  revision: 1 + (seed % 3),
  createdText: '2026-11-23T10:00:00Z',
  updatedText: '2026-11-23T10:11:12.1234567Z',
})

export const ocsfFinding: Target = {
  name: 'ocsf-finding',
  about: 'an alert, as ENGINE_FORMAT=ocsf makes a finding of it, in either of Graph’s forms',
  samples: () => [
    ...[1, 2, 3, 4].map(seed => Buffer.from(JSON.stringify(alertMembers(recipe(seed))))),
    ...[1, 2].map(seed => Buffer.from(JSON.stringify(legacyMembers(recipe(seed))))),
    ...[1, 3, 4, 7].map(seed => Buffer.from(renderHostile(alertMembers(recipe(seed)), seed))),
  ],
  words: [
    '"@odata.type":"#microsoft.graph.security.',
    'Evidence"',
    '"evidence":[',
    '__proto__',
    '9007199254740993',
    '1e400',
  ],
  maxBytes: 12 * 1024,
  run: input => ['alerts_v2', 'alerts'].map(source => judged(input, source)).join('\n'),
}

function judged(input: Buffer, source: string): string {
  const alert = { ...alertOf(), source, alert: input, contentHash: hash('sha256', input, 'buffer') }
  const formatted = itemOf(alert, TENANT_JSON, 'ocsf')
  if (formatted.kind === 'park') {
    const value = parsed(input.toString())
    must(typeof value !== 'object' || value === null || Array.isArray(value), 'an alert is parked that is an object')
    must(!/[\p{Cc}\u2028]/u.test(formatted.detail), 'the detail is not one line')
    return formatted.detail
  }
  const text = formatted.item.alert.toString()
  const problems = problemsOf(parsed(text), schema)
  must(problems.length === 0, `not as OCSF has it: ${problems[0]}`)
  must(text.length < 100_000 + 20 * input.length, 'the finding is far larger than the alert')
  return text
}
