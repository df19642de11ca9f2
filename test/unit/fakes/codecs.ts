import { readFileSync } from 'node:fs'
import type { AvroSchema, Codec } from '../../../platform/avro/codec.ts'
import { codecOf } from '../../../platform/avro/codec.ts'
import type { SchemaLookup } from '../../../platform/avro/registry.ts'
import type { Clock } from '../../../platform/clock.ts'
import { TransientError } from '../../../platform/retry.ts'
import { bytesOf } from '../../../platform/worker.ts'
import type { SchemaName } from '../../../schemas/topics.ts'
import type { Delivery, GraphAlert, Parked, Tenant } from '../../../schemas/types.ts'

export function schemaFile(name: SchemaName): AvroSchema {
  return JSON.parse(readFileSync(new URL(`../../../schemas/${name}.avsc`, import.meta.url), 'utf8')) as AvroSchema
}

/** A registry that can be away: while `failures.budget` lasts, a question is not answered and `failures.fired` counts. */
export interface FakeRegistry extends SchemaLookup {
  readonly schemas: Map<number, AvroSchema>
  readonly failures: { budget: number; fired: number }
  readonly asked: number[]
}

export function fakeRegistry(): FakeRegistry {
  const schemas = new Map<number, AvroSchema>()
  const failures = { budget: 0, fired: 0 }
  const asked: number[] = []
  return {
    schemas,
    failures,
    asked,
    idOf: () => Promise.resolve(null),
    async schemaOf(id) {
      asked.push(id)
      await Promise.resolve()
      if (failures.budget > 0) {
        failures.budget--
        failures.fired++
        throw new TransientError('the registry does not answer')
      }
      return schemas.get(id) ?? null
    },
  }
}

export interface Codecs {
  readonly alerts: Codec<GraphAlert>
  readonly tenants: Codec<Tenant>
  readonly deliveries: Codec<Delivery>
  readonly parked: Codec<Parked>
}

/** Ids of our own schemas are 1 to 4. */
export function realCodecs(registry: SchemaLookup, clock: Clock): Codecs {
  return {
    alerts: codecOf<GraphAlert>(1, schemaFile('graph-alert'), registry, clock, bytesOf('alerts')),
    tenants: codecOf<Tenant>(2, schemaFile('tenant'), registry, clock),
    deliveries: codecOf<Delivery>(3, schemaFile('delivery'), registry, clock),
    parked: codecOf<Parked>(4, schemaFile('parked'), registry, clock),
  }
}

/** The value of a decoding that must have worked. */
export function valueOf<T>(codec: Codec<T>, bytes: Buffer | null): T {
  if (bytes === null) throw new Error('no bytes to decode')
  const decoded = codec.decode(bytes)
  if (decoded.kind !== 'value') throw new Error(`cannot be decoded: ${JSON.stringify(decoded)}`)
  return decoded.value
}
