const REMEDY =
  'Grant the user the rules of its role (docs/security.md, schemas/acls.ts), or check KAFKA_SASL_USERNAME and TOPIC_PREFIX.'

/** Kafka knows the user and does not allow what was asked. The message is for people. */
export class AccessDenied extends Error {
  constructor(what: string, options?: ErrorOptions) {
    super(`Kafka does not allow this user ${what}. ${REMEDY}`, options)
    this.name = 'AccessDenied'
  }
}

/** The error itself, or in words for people when Kafka refused by its rules, however deep that lies in it. */
export function inWordsIfDenied(error: unknown): unknown {
  if (error instanceof AccessDenied) return error
  const type = deniedType(error)
  if (type === null) return error
  const said = error instanceof Error ? error.message : String(error)
  return new AccessDenied(`what was asked of a ${type.split('_')[0]?.toLowerCase()} (${said})`, { cause: error })
}

/** TOPIC_AUTHORIZATION_FAILED and its like; null for every other error. */
export function deniedType(error: unknown, depth = 0): string | null {
  if (!(error instanceof Error) || depth > 5) return null
  const { type, errors } = error as { type?: unknown; errors?: unknown }
  if (typeof type === 'string' && type.endsWith('_AUTHORIZATION_FAILED')) return type
  for (const inner of [error.cause, ...(Array.isArray(errors) ? (errors as unknown[]) : [])]) {
    const found = deniedType(inner, depth + 1)
    if (found !== null) return found
  }
  return null
}
