import type { Attributes } from './members.ts'

const TECHNIQUE = /^(T\d{4})(?:\.\d{3})?$/

/** Graph's categories that are tactics of MITRE ATT&CK for enterprises. */
const TACTICS: ReadonlyMap<string, readonly [string, string]> = new Map([
  ['reconnaissance', ['TA0043', 'Reconnaissance']],
  ['resourcedevelopment', ['TA0042', 'Resource Development']],
  ['initialaccess', ['TA0001', 'Initial Access']],
  ['execution', ['TA0002', 'Execution']],
  ['persistence', ['TA0003', 'Persistence']],
  ['privilegeescalation', ['TA0004', 'Privilege Escalation']],
  ['defenseevasion', ['TA0005', 'Defense Evasion']],
  ['credentialaccess', ['TA0006', 'Credential Access']],
  ['discovery', ['TA0007', 'Discovery']],
  ['lateralmovement', ['TA0008', 'Lateral Movement']],
  ['collection', ['TA0009', 'Collection']],
  ['exfiltration', ['TA0010', 'Exfiltration']],
  ['commandandcontrol', ['TA0011', 'Command and Control']],
  ['impact', ['TA0040', 'Impact']],
])

export function technique(value: unknown): string | undefined {
  return typeof value === 'string' && TECHNIQUE.test(value) ? value : undefined
}

/** One for each technique, each with the tactic that the alert's category names. */
export function attacks(
  techniques: readonly string[],
  category: string | undefined,
): readonly Attributes[] | undefined {
  const known = TACTICS.get(category?.toLowerCase() ?? '')
  const tactic = known === undefined ? undefined : { uid: known[0], name: known[1] }
  if (techniques.length === 0) return tactic === undefined ? undefined : [{ tactic }]
  return techniques.map(whole => {
    const uid = TECHNIQUE.exec(whole)?.[1]
    const sub = uid === whole ? {} : { sub_technique: { uid: whole } }
    return { ...(tactic === undefined ? {} : { tactic }), technique: { uid }, ...sub }
  })
}
