import { quote } from '../platform/log-scrub.ts'
import type { AlertSource, Cloud } from '../producers/graph/clouds.ts'
import { isGuid } from '../producers/graph/problems.ts'
import { guide, type Way } from './guide.ts'
import { toHtml, toMarkdown } from './guide-render.ts'
import type { Io } from './io.ts'
import { EXIT, Refusal } from './io.ts'

export interface InviteOptions {
  readonly name: string
  readonly cloud: Exclude<Cloud, 'china'>
  readonly source: AlertSource
  readonly credential: Way
  readonly tenantId?: string
  readonly clientId?: string
  readonly issuer?: string
  readonly subject?: string
  readonly handOver?: string
  readonly output: 'markdown' | 'html'
}

const MAX_CHARS = 256

/** Prints the guide for one customer. Asks nobody, writes nothing. */
export function inviteTenant(io: Io, options: InviteOptions): number {
  const problems = [
    ...line('--name', options.name),
    ...line('--hand-over', options.handOver),
    ...line('--issuer', options.issuer),
    ...line('--subject', options.subject),
    ...guid('--tenant-id', options.tenantId),
    ...guid('--client-id', options.clientId),
    ...(options.credential === 'shared-app' && options.clientId === undefined
      ? ['--client-id is missing: the consent link names our application']
      : []),
    ...(options.credential === 'federated' && (options.issuer === undefined || options.subject === undefined)
      ? ['--issuer and --subject are missing: the customer has to enter both']
      : []),
  ]
  if (problems.length > 0) throw new Refusal(problems.join('\n'), EXIT.usage)
  const blocks = guide({
    customer: options.name,
    cloud: options.cloud,
    source: options.source,
    way: options.credential,
    tenantId: options.tenantId ?? null,
    clientId: options.clientId ?? null,
    issuer: options.issuer ?? null,
    subject: options.subject ?? null,
    handOver: options.handOver ?? null,
  })
  io.out(options.output === 'html' ? toHtml(blocks) : toMarkdown(blocks))
  return EXIT.ok
}

function line(flag: string, text: string | undefined): string[] {
  if (text === undefined) return []
  const fits = text.trim() !== '' && text.length <= MAX_CHARS && !/[\p{Cc}\p{Zl}\p{Zp}\p{Cs}]/u.test(text)
  return fits ? [] : [`${flag} is ${quote(text, 80)}: expected 1 to ${MAX_CHARS} characters on one line`]
}

function guid(flag: string, text: string | undefined): string[] {
  if (text === undefined || isGuid(text)) return []
  return [`${flag} is ${quote(text, 80)}: expected a GUID such as 11111111-2222-3333-4444-555555555555`]
}
