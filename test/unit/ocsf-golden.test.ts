/**
 * One alert of each product of Microsoft with the finding that is made of it, under `test/ocsf/golden/`. After a wanted change:
 * `OCSF_GOLDEN=write npx vitest run --project unit test/unit/ocsf-golden.test.ts`, and read the difference.
 *
 * `OCSF_SCHEMA=<file>` cuts the schema anew from what https://schema.ocsf.io/1.6.0/export/schema gives out.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { alertMembers, type Recipe } from '../../sandbox/graph/alerts.ts'
import { legacyMembers } from '../../sandbox/graph/legacy.ts'
import { driftIn } from '../../producers/drift.ts'
import { knownTypes } from '../../producers/drift-types.ts'
import { HAND_WRITTEN } from '../ocsf/products.ts'
import { type FullSchema, partOf } from '../ocsf/schema-part.ts'
import { KNOWN, problems, SCHEMA_FILE, schema, sentOf } from './ocsf-kit.ts'

const FIRST = 3
const isWriting = process.env['OCSF_GOLDEN'] === 'write'

const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`

function recipe(seed: number, revision: number): Recipe {
  return {
    seed,
    tenantId: KNOWN.tenantId,
    alertId: `da${seed}`,
    revision,
    createdText: '2026-11-23T10:00:00.1234567Z',
    updatedText: revision === 1 ? '2026-11-23T10:00:00.1234567Z' : '2026-11-23T10:11:12.7654321Z',
  }
}

interface Sample {
  readonly name: string
  readonly alert: Readonly<Record<string, unknown>>
  readonly source: string
}

/** The first seed of each product; revisions go round, so that new, changed and resolved alerts are among them. */
function samples(): readonly Sample[] {
  const found = new Map<string, Sample>()
  for (let seed = FIRST; seed < 200; seed++) {
    const name = String(alertMembers(recipe(seed, 1))['serviceSource'])
    if (found.has(name)) continue
    found.set(name, { name, alert: alertMembers(recipe(seed, 1 + (found.size % 3))), source: 'alerts_v2' })
  }
  for (const alert of HAND_WRITTEN) {
    const name = String(alert['serviceSource'])
    found.set(name, { name, alert, source: 'alerts_v2' })
  }
  return [...found.values(), { name: 'legacy', alert: legacyMembers(recipe(FIRST, 3)), source: 'alerts' }]
}

describe('every product of Microsoft', () => {
  test('has its sample, and so has the legacy list', () => {
    const known = knownTypes.get('alert')?.words.get('serviceSource') ?? new Set<string>()
    expect(
      samples()
        .map(({ name }) => name.toLowerCase())
        .toSorted(),
    ).toEqual(['legacy', ...[...known].filter(name => name !== 'unknown')].toSorted())
  })

  test('has a sample with nothing in it that Microsoft’s types do not have', () => {
    for (const alert of HAND_WRITTEN) expect(driftIn(alert, 'alerts_v2')).toEqual([])
  })

  test.each(samples())('$name becomes the finding that was looked at', ({ name, alert, source }) => {
    const finding = sentOf(alert, {
      source,
      alertId: String(alert['id']),
      version: String(alert['lastUpdateDateTime'] ?? alert['lastModifiedDateTime']),
    })
    expect(problems(finding)).toEqual([])
    const file = `test/ocsf/golden/${name}.json`
    if (isWriting) writeFileSync(file, json({ alert, finding }))
    expect({ alert, finding }).toEqual(JSON.parse(readFileSync(file, 'utf8')))
  })
})

test('the schema is OCSF 1.6.0, the release that the findings name', () => {
  const full = process.env['OCSF_SCHEMA']
  if (full !== undefined) writeFileSync(SCHEMA_FILE, json(partOf(JSON.parse(readFileSync(full, 'utf8')) as FullSchema)))
  expect(schema.version).toBe(sentOf({})['metadata']?.['version'])
})
