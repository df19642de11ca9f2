import { expect, test } from 'vitest'
import { printAcls } from '../../cli/acls.ts'
import type { Io } from '../../cli/io.ts'
import { ACLS } from '../../schemas/acls.ts'
import { TOPICS } from '../../schemas/topics.ts'

function print(principal: string[] = [], env: Record<string, string> = {}): { code: number; lines: string[] } {
  let text = ''
  const io: Io = { env, out: more => void (text += more), say() {}, isErrTty: false }
  const code = printAcls(io, { principal, output: 'commands' })
  return { code, lines: text.trimEnd().split('\n') }
}

test('each rule is one command, with the prefix and every operation, and nothing else', () => {
  const { code, lines } = print([], { TOPIC_PREFIX: 'x.' })
  expect(code).toBe(0)
  const commands = lines.filter(line => !line.startsWith('#'))
  expect(commands).toHaveLength(ACLS.length)
  for (const [at, { role, resource, name, patternType, operations }] of ACLS.entries()) {
    const command = commands[at] ?? ''
    expect(command).toContain(`--add --allow-principal 'User:${role}' --operation`)
    expect([...command.matchAll(/--operation (\w+)/g)].map(match => match[1])).toEqual(operations)
    const pattern = patternType === 'prefix' ? 'prefixed' : 'literal'
    expect(command.endsWith(`--${resource} 'x.${name}' --resource-pattern-type ${pattern}`)).toBe(true)
  }
})

test('a role can be any user of the cluster, and a mistake is named', () => {
  expect(print(['poller=User:CN=socos-poller,O=SOC']).lines.join('\n')).toContain("'User:CN=socos-poller,O=SOC'")
  for (const wrong of ['pollers=User:x', 'poller=x', 'poller', "poller=User:a'; rm -rf", '=User:x']) {
    expect(() => print([wrong])).toThrow(/--principal .*expected role=User:name/)
  }
})

test('nobody but the operator may make or change a topic, and only the CLI writes tenants and audit', () => {
  const who = (operation: string, name?: string) => [
    ...new Set(
      ACLS.filter(
        acl =>
          acl.resource === 'topic' &&
          acl.operations.some(one => one === operation) &&
          (name === undefined || acl.name === name),
      ).map(({ role }) => role),
    ),
  ]
  expect(who('Create')).toEqual(['operator'])
  expect(who('AlterConfigs')).toEqual(['operator'])
  expect(who('Write', 'tenants')).toEqual(['operator'])
  expect(who('Write', 'audit')).toEqual(['operator'])
  expect(who('Write', 'deliveries')).toEqual(['forwarder', 'operator'])
  expect(who('Write', 'checkpoints')).toEqual(['poller', 'operator'])
  // every worker looks at all topics when it starts
  for (const role of ['poller', 'forwarder']) {
    const described = ACLS.filter(acl => acl.role === role && acl.operations.includes('DescribeConfigs'))
    expect(described.map(({ name }) => name)).toEqual(TOPICS.map(({ name }) => name))
  }
})
