import type { Schema } from 'avsc'
import { Agent, request } from 'undici'
import { systemClock, systemRandom } from '../clock.ts'
import type { Crash } from '../crash.ts'
import { withSteps } from '../crash.ts'
import { retry, TransientError } from '../retry.ts'
import type { RegistryAccess } from './registry.ts'

/**
 * The four calls of Confluent's REST interface by which `socos schemas` registers and checks. Workers never use them.
 * Each rejects with a TransientError when the registry does not answer, and with an Error in words when it refuses.
 */
export interface RegistryAdmin {
  /** Newest schema of the subject; null when the subject is unknown. */
  latest(subject: string): Promise<{ readonly id: number; readonly version: number; readonly schema: Schema } | null>
  /** The subject's own compatibility level; null when it has none. */
  level(subject: string): Promise<string | null>
  setLevel(subject: string, level: string): Promise<void>
  /** Idempotent: the id of the schema, new or known. */
  register(subject: string, schema: Schema): Promise<number>
}

const TIMEOUT_MS = 15_000
/** Many times a schema of ours. */
const MAX_ANSWER_BYTES = 4 * 1024 * 1024
const PATIENCE = { attempts: 3, firstMs: 200, maxMs: 2_000 }

interface Answer {
  readonly status: number
  readonly body: Record<string, unknown>
}

export function registryAdmin(
  access: RegistryAccess,
  crash: Crash | null = null,
): RegistryAdmin & { close(): Promise<void> } {
  const base = access.url.replace(/\/+$/, '')
  const agent = new Agent({
    maxResponseSize: MAX_ANSWER_BYTES,
    connect: { timeout: TIMEOUT_MS, ...(access.ca === undefined ? {} : { ca: access.ca() }) },
  })

  /** Every call may be repeated: none of them adds anything twice. */
  function call(method: 'GET' | 'PUT' | 'POST', path: string, body?: object): Promise<Answer> {
    return retry(() => callOnce(method, path, body), PATIENCE, { clock: systemClock, random: systemRandom })
  }

  async function callOnce(method: 'GET' | 'PUT' | 'POST', path: string, body?: object): Promise<Answer> {
    try {
      const response = await request(`${base}${path}`, {
        method,
        dispatcher: agent,
        signal: AbortSignal.timeout(TIMEOUT_MS),
        headers: {
          accept: 'application/vnd.schemaregistry.v1+json, application/json',
          ...(body ? { 'content-type': 'application/vnd.schemaregistry.v1+json' } : {}),
          ...authorization(access),
        },
        ...(body ? { body: JSON.stringify(body) } : {}),
      })
      const text = await response.body.text()
      return { status: response.statusCode, body: parseObject(text) }
    } catch (error) {
      const reason = error instanceof Error ? error.message || error.name : String(error)
      throw new TransientError(`The schema registry at ${base} does not answer: ${reason}`, { cause: error })
    }
  }

  return {
    async latest(subject) {
      const answer = await call('GET', `/subjects/${encodeURIComponent(subject)}/versions/latest`)
      if (answer.status === 404) return null
      const { id, version, schema } = expectOk(answer, `read ${subject}`)
      return { id: Number(id), version: Number(version), schema: JSON.parse(String(schema)) as Schema }
    },
    async level(subject) {
      const answer = await call('GET', `/config/${encodeURIComponent(subject)}`)
      if (answer.status === 404) return null
      const body = expectOk(answer, `read the compatibility of ${subject}`)
      return text(body['compatibilityLevel'] ?? body['compatibility'])
    },
    async setLevel(subject, level) {
      const answer = await withSteps(crash, 'schema-level', () =>
        call('PUT', `/config/${encodeURIComponent(subject)}`, { compatibility: level }),
      )
      expectOk(answer, `set the compatibility of ${subject}`)
    },
    async register(subject, schema) {
      const body = { schema: JSON.stringify(schema) }
      const answer = await withSteps(crash, 'schema-registered', () =>
        call('POST', `/subjects/${encodeURIComponent(subject)}/versions`, body),
      )
      return Number(expectOk(answer, `register ${subject}`)['id'])
    },
    close: () => agent.close(),
  }
}

function expectOk(answer: Answer, what: string): Record<string, unknown> {
  if (answer.status >= 200 && answer.status < 300) return answer.body
  const said = text(answer.body['message']).slice(0, 500)
  if (answer.status >= 500 || answer.status === 429) {
    throw new TransientError(`The schema registry could not ${what}: HTTP ${answer.status} ${said}`)
  }
  throw new Error(`The schema registry refused to ${what}: HTTP ${answer.status} ${said}`)
}

/** The header by which the registry knows who asks; empty where it asks nobody. */
export function authorization(access: RegistryAccess): Record<string, string> {
  if (access.token !== undefined) return { authorization: `Bearer ${access.token()}` }
  if (access.username === undefined) return {}
  const basic = Buffer.from(`${access.username}:${access.password?.() ?? ''}`).toString('base64')
  return { authorization: `Basic ${basic}` }
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

function parseObject(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : { value }
  } catch {
    return { message: text.slice(0, 200) }
  }
}
