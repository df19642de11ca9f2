/** What only somebody who knows the tenants file can add to the check of a credential. */
import type { Check, Step } from '../producers/graph/check.ts'
import type { TenantAccess } from '../producers/graph/clouds.ts'
import { DAY_MS, WARN_AHEAD_DAYS } from '../producers/graph/credential-words.ts'
import type { Tenant } from '../schemas/types.ts'

/**
 * The same secret cannot be of two applications: one of the files is the other's, which no customer can mend. The tenant
 * that Entra gives a token with it has the right one.
 */
export function withSharedSecret(found: Check, access: TenantAccess, other: TenantAccess | undefined): Check {
  const isTaken = found.steps.some(({ step, result }) => step === 'token' && (result === 'ok' || result === 'look'))
  if (other === undefined || isTaken) return found
  const isOneFile = other.credential.file === access.credential.file
  const which = isOneFile
    ? `The tenants ${access.tenantId} and ${other.tenantId} name the same file, ${access.credential.file}, for different applications`
    : `The tenants ${access.tenantId} and ${other.tenantId} have the same secret in their files (${access.credential.file}, ${other.credential.file}) for different applications`
  const words = `${which}: ${isOneFile ? 'each needs its own' : "one of the two files is the other's"}; the operator must put the right secret into it.`
  const told = { ...found, steps: adding(found.steps, words) }
  const { problem } = found
  if (problem?.code !== 'AADSTS7000215') return told
  return { ...told, words, problem: { ...problem, words, move: 'operator', page: null } }
}

/** The date that was recorded at onboarding: all warnings go by it. */
export function withRecordedEnd(found: Check, tenant: Tenant, nowMs: number): Check {
  const words = recordedWords(found, tenant, nowMs)
  return words === null ? found : { ...found, steps: adding(found.steps, words) }
}

function recordedWords({ credentialEnds }: Check, tenant: Tenant, nowMs: number): string | null {
  const { credentialKind, credentialExpires } = tenant
  const recordedMs = credentialExpires === null ? NaN : Date.parse(credentialExpires)
  if (Number.isNaN(recordedMs)) return null
  const says = `The tenants file says (credentialExpires) that it ${recordedMs <= nowMs ? 'ended' : 'ends'} on ${credentialExpires}`
  if (credentialKind === 'federatedTokenFile')
    return `${says}, but a federated credential has no end: leave credentialExpires out.`
  const days = Math.floor((recordedMs - nowMs) / DAY_MS)
  const isNear = days < WARN_AHEAD_DAYS
  if (credentialEnds !== null && Math.abs(Date.parse(credentialEnds) - recordedMs) > DAY_MS) {
    const knower = credentialKind === 'certificateFile' ? 'the certificate itself' : "Entra's record of the application"
    return `${says}, and ${knower} that it ends on ${credentialEnds}: correct the tenants file, warnings follow it.`
  }
  if (!isNear) return null
  const ask = 'ask the customer for the next one now'
  return days < 0 ? `${says}: ${ask}, or correct the date.` : `${says}, in ${days} days: ${ask}.`
}

function adding(steps: readonly Step[], words: string): readonly Step[] {
  return steps.map(step => {
    if (step.step !== 'credential') return step
    return { ...step, result: step.result === 'ok' ? 'look' : step.result, words: `${step.words} ${words}` }
  })
}
