import { ACLS, type KafkaRole } from '../schemas/acls.ts'
import { settingsOf } from './connect.ts'
import type { Format, Io } from './io.ts'
import { EXIT, printRows, Refusal } from './io.ts'

const ROLES: readonly KafkaRole[] = ['poller', 'forwarder', 'operator', 'scaler']

export interface AclOptions {
  /** `role=User:name` each; a role that is not named is `User:role`. */
  readonly principal: readonly string[]
  readonly output: Format | 'commands'
}

/** Prints the rules that Kafka must have, by default as commands for its own tool; asks no cluster. */
export function printAcls(io: Io, options: AclOptions): number {
  const { topicPrefix } = settingsOf(io, [])
  const principals = readPrincipals(options.principal)
  const rows = ACLS.map(({ role, resource, name, patternType, operations, why }) => ({
    role,
    principal: principals.get(role) ?? `User:${role}`,
    resource,
    name: topicPrefix + name,
    pattern: patternType === 'prefix' ? 'prefixed' : 'literal',
    operations,
    why,
  }))
  if (options.output !== 'commands') {
    printRows(io, options.output, rows, [
      { title: 'ROLE', of: row => row.role },
      { title: 'PRINCIPAL', of: row => row.principal },
      { title: 'ON', of: row => `${row.resource} ${row.name}${row.pattern === 'prefixed' ? '*' : ''}` },
      { title: 'OPERATIONS', of: row => row.operations.join(',') },
      { title: 'WHY', of: row => row.why },
    ])
    return EXIT.ok
  }
  io.out('# BOOTSTRAP is host:port of a broker, ADMIN_CONFIG a client properties file of an administrator\n')
  for (const { principal, resource, name, pattern, operations } of rows) {
    const allowed = operations.map(operation => `--operation ${operation}`).join(' ')
    const place = `--${resource} '${name}' --resource-pattern-type ${pattern}`
    io.out(
      `kafka-acls.sh --bootstrap-server "$BOOTSTRAP" --command-config "$ADMIN_CONFIG" --add --allow-principal '${principal}' ${allowed} ${place}\n`,
    )
  }
  return EXIT.ok
}

function readPrincipals(given: readonly string[]): ReadonlyMap<string, string> {
  const principals = new Map<string, string>()
  for (const text of given) {
    const [, role = '', principal = ''] = /^([a-z]+)=(User:[^\p{Cc}'"\\]{1,256})$/u.exec(text) ?? []
    if (!ROLES.some(one => one === role)) {
      throw new Refusal(
        `--principal ${JSON.stringify(text)}: expected role=User:name, where the role is one of ${ROLES.join(', ')}`,
        EXIT.usage,
      )
    }
    principals.set(role, principal)
  }
  return principals
}
