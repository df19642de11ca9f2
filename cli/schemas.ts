import { isDeepStrictEqual } from 'node:util'
import type { AvroSchema } from '../platform/avro/codec.ts'
import type { RegistryAdmin } from '../platform/avro/registry-admin.ts'
import { registryAdmin } from '../platform/avro/registry-admin.ts'
import { registryAccess } from '../platform/connection.ts'
import { openCrash } from '../platform/crash.ts'
import { createLog } from '../platform/log.ts'
import type { Role, Settings } from '../platform/settings-table.ts'
import { avroSchema } from '../platform/worker.ts'
import { TOPICS } from '../schemas/topics.ts'
import { settingsOf, usable } from './connect.ts'
import type { Io } from './io.ts'
import { EXIT } from './io.ts'

/** Years-old records are read by new code, and a worker that was rolled back reads newer ones. */
const COMPATIBILITY = 'FULL_TRANSITIVE'

interface Subject {
  readonly subject: string
  readonly schema: AvroSchema
}

/** Registers what is missing under TopicNameStrategy and sets the compatibility level. Idempotent. */
export function registerSchemas(io: Io): Promise<number> {
  return withRegistry(io, async (registry, subjects) => {
    for (const { subject, schema } of subjects) {
      const before = await registry.latest(subject)
      // the level first: an existing subject must not take an incompatible version unchecked
      if (before && (await registry.level(subject)) !== COMPATIBILITY) {
        await registry.setLevel(subject, COMPATIBILITY)
        io.out(`${subject}: compatibility set to ${COMPATIBILITY}\n`)
      }
      const id = await registry.register(subject, schema)
      if (!before) await registry.setLevel(subject, COMPATIBILITY)
      const after = await registry.latest(subject)
      const news = !before ? 'registered' : after?.version === before.version ? 'unchanged' : 'new version'
      io.out(`${subject}: ${news}, version ${after?.version ?? '?'}, id ${id}\n`)
    }
    return EXIT.ok
  })
}

/** Prints what differs between the schema files and the registry. */
export function checkSchemas(io: Io): Promise<number> {
  return withRegistry(io, async (registry, subjects) => {
    let differences = 0
    const differ = (text: string): void => {
      differences++
      io.out(`${text}\n`)
    }
    for (const { subject, schema } of subjects) {
      const latest = await registry.latest(subject)
      if (!latest) {
        differ(`${subject} is not registered (workers refuse to start)`)
        continue
      }
      for (const difference of differencesOf(schema, latest.schema)) {
        differ(`${subject} version ${latest.version}: ${difference}`)
      }
      const level = await registry.level(subject)
      if (level !== COMPATIBILITY)
        differ(`${subject} has compatibility ${level ?? '(none)'}, ${COMPATIBILITY} is wanted`)
    }
    if (differences === 0) io.out('the schemas are as they must be\n')
    return differences > 0 ? EXIT.problem : EXIT.ok
  })
}

/** Field by field, so that the difference can be read. */
function differencesOf(ours: AvroSchema, theirs: AvroSchema): readonly string[] {
  const mine = fieldsOf(ours)
  const registered = fieldsOf(theirs)
  const names = new Set([...mine.keys(), ...registered.keys()])
  return [...names].flatMap(name => {
    if (!registered.has(name)) return [`field ${name} is not in the registry`]
    if (!mine.has(name)) return [`field ${name} is only in the registry`]
    return isDeepStrictEqual(mine.get(name), registered.get(name)) ? [] : [`field ${name} differs`]
  })
}

function fieldsOf(schema: AvroSchema): Map<string, unknown> {
  const { fields } = schema as { fields?: readonly { name: string }[] }
  return new Map((fields ?? []).map(field => [field.name, field]))
}

async function withRegistry(
  io: Io,
  use: (registry: RegistryAdmin, subjects: readonly Subject[]) => Promise<number>,
): Promise<number> {
  const settings = settingsOf(io, ['schemaRegistryUrl'])
  const log = createLog({ level: 'error', service: 'socos', destination: { write: io.say } })
  const access = usable(() => registryAccess(settings as unknown as Settings<Role>, log))
  const registry = registryAdmin(
    access,
    openCrash(settings.crashAt, 'command', words => io.say(`${words}\n`)),
  )
  const subjects = TOPICS.map(({ name }) => ({
    subject: `${settings.topicPrefix}${name}-value`,
    schema: avroSchema(name),
  }))
  try {
    return await use(registry, subjects)
  } finally {
    await registry.close()
  }
}
