import { Agent } from 'node:https'
import { SchemaRegistry } from '@kafkajs/confluent-schema-registry'
import type { Schema } from 'avsc'
import type { Clock } from '../clock.ts'
import { TransientError } from '../retry.ts'

/**
 * What the codec needs of a Confluent-compatible registry: reads only. Both calls reject with a TransientError when the
 * registry cannot be asked within TIMEOUT_MS.
 */
export interface SchemaLookup {
  /** Id of this very schema under the subject, or null when it is not registered there. */
  idOf(subject: string, schema: Schema): Promise<number | null>
  /** The schema behind an id, or null when the registry has no such id. */
  schemaOf(id: number): Promise<Schema | null>
}

export interface RegistryAccess {
  /** May carry a path, as Apicurio's `/apis/ccompat/v7`. */
  readonly url: string
  readonly username?: string
  /** These three are asked for each time: what lies in a file may be replaced. `ca` is PEM text. */
  readonly password?: () => string
  readonly token?: () => string
  readonly ca?: () => string
}

const TIMEOUT_MS = 10_000

export function registryLookup(access: RegistryAccess, clock: Clock): SchemaLookup {
  // asked a few times in a process's life, so a client for each question costs nothing
  const open = (): SchemaRegistry =>
    new SchemaRegistry({
      host: access.url.replace(/\/+$/, ''),
      retry: { maxRetryTimeInSecs: 2, initialRetryTimeInSecs: 0.1, retries: 2 },
      ...(access.username === undefined
        ? {}
        : { auth: { username: access.username, password: access.password?.() ?? '' } }),
      ...(access.token === undefined ? {} : { middlewares: [bearer(access.token())] }),
      ...(access.ca === undefined ? {} : { agent: new Agent({ ca: access.ca() }) }),
    })
  return {
    // the text form keeps documentation and defaults, so that the registry compares like with like
    idOf: (subject, schema) =>
      ask(
        `whether ${subject} has our schema`,
        open().getRegistryIdBySchema(subject, { type: 'AVRO', schema: JSON.stringify(schema) } as never),
        clock,
      ),
    schemaOf: id =>
      ask(
        `for schema ${id}`,
        open()
          .getSchema(id)
          .then(type => JSON.parse(JSON.stringify(type)) as Schema),
        clock,
      ),
  }
}

/** The client has no deadline of its own, and says "not there" by throwing. */
async function ask<T>(what: string, answer: Promise<T>, clock: Clock): Promise<T | null> {
  const late = new AbortController()
  try {
    return await Promise.race([
      answer,
      clock.sleep(TIMEOUT_MS, late.signal).then(() => {
        throw new Error(`no answer in ${TIMEOUT_MS / 1000} s`)
      }),
    ])
  } catch (error) {
    if (notFound(error)) return null
    const reason = error instanceof Error ? error.message : String(error)
    throw new TransientError(`The schema registry could not be asked ${what}: ${reason}`, { cause: error })
  } finally {
    late.abort()
    answer.catch(() => {}) // a late failure has nobody left to hear it
  }
}

function notFound(error: unknown): boolean {
  if (typeof error !== 'object' || error === null) return false
  const { status, message } = error as { status?: unknown; message?: unknown }
  // getRegistryIdBySchema wraps its 404 in an error without status
  return (
    status === 404 || (typeof message === 'string' && /No artifact|not found|40403|40401|No version/i.test(message))
  )
}

function bearer(token: string): never {
  return (() => ({
    prepareRequest: async (next: () => Promise<{ enhance(extra: object): unknown }>) =>
      (await next()).enhance({ headers: { authorization: `Bearer ${token}` } }),
  })) as never
}
