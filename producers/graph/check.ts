/**
 * Whether a tenant can be read, asked in the order in which things go wrong: the credential as it lies there, a token,
 * what the token says of itself, and then the very list that is polled, whose answer alone is the verdict.
 */
import type { Clock } from '../../platform/clock.ts'
import { fromEpochMs } from '../window.ts'
import type { Graph, OwnRecord } from './client.ts'
import { clockWords } from './clock-off.ts'
import { endpoints, type TenantAccess } from './clouds.ts'
import { DAY_MS, sayCredential, WARN_AHEAD_DAYS } from './credential-words.ts'
import { readCredential } from './credentials.ts'
import { isProxyFault, networkWords } from './network-errors.ts'
import type { PageAnswer } from './pages.ts'
import {
  CONSENT_TAKES_TIME,
  neededPermission,
  ONLY_APPLICATION,
  type Problem,
  readingPermission,
  type Trouble,
} from './problems.ts'

export interface Step {
  readonly step: 'credential' | 'token' | 'permission' | 'alerts'
  readonly result: 'ok' | 'look' | 'failed' | 'not reached'
  readonly words: string
}

export interface Check {
  /**
   * `works`: alerts were listed. `quiet`: the list answers and is empty, which proves nothing about the customer's
   * protection. `fix`: somebody has to act. `unclear`: it could not be found out, and the customer is not to blame.
   */
  readonly verdict: 'works' | 'quiet' | 'fix' | 'unclear'
  readonly words: string
  readonly problem: Problem | null
  readonly steps: readonly Step[]
  /** Application permissions that the token carries; null: it cannot be read, or there is none. */
  readonly roles: readonly string[] | null
  /** ISO: of a certificate or a federated token; of a secret only where the token may read it in Entra's record. */
  readonly credentialEnds: string | null
  /** Entra's or Graph's clock minus ours; null: not known. */
  readonly skewMs: number | null
}

export interface CheckDeps {
  readonly graph: Graph & OwnRecord
  readonly secretsDir: string
  readonly clock: Clock
  readonly signal: AbortSignal
}

const DAYS_BACK = 30
/** A page may be empty and have a next one. */
const PAGES_MAX = 10
/** Entra takes signed requests whose time is off by this at most. */
const CLOCK_MAX_MS = 5 * 60_000

const STEPS = ['credential', 'token', 'permission', 'alerts'] as const

/** Never rejects but with the signal's reason. Sends one token request, and page requests until one shows an alert. */
export async function checkTenant(access: TenantAccess, deps: CheckDeps): Promise<Check> {
  const steps: Step[] = []
  const found = {
    roles: null as readonly string[] | null,
    credentialEnds: null as string | null,
    skewMs: null as number | null,
  }
  const end = (verdict: Check['verdict'], words: string, problem: Problem | null = null): Check => {
    const rest = STEPS.slice(steps.length).map((step): Step => ({ step, result: 'not reached', words: '' }))
    return { verdict, words, problem, steps: [...steps, ...rest], ...found }
  }
  const stop = (step: Step['step'], trouble: Trouble, more = ''): Check => {
    const [verdict, words] = verdictOf(trouble, access)
    steps.push({ step, result: 'failed', words: `${words}${more}` })
    return end(verdict, words, trouble.kind === 'needs-attention' ? trouble.problem : null)
  }

  const credential = await readCredential(deps.secretsDir, access, deps.clock.now())
  if ('problem' in credential || 'detail' in credential) return stop('credential', credential)
  const { ends, result, words: said } = sayCredential(access, credential, deps.clock.now())
  found.credentialEnds = ends
  steps.push({ step: 'credential', result, words: said })

  const time = await deps.graph.now(access, deps.signal)
  if (time.kind !== 'time') {
    if (time.kind !== 'needs-attention' || time.skewMs === undefined) return stop('token', time)
    found.skewMs = time.skewMs
    const off = clockOff(time.skewMs)
    // where the clock is what was refused, the words say so already
    return stop('token', time, off === null || time.problem.words.includes(off) ? '' : ` Besides, ${off}.`)
  }
  found.skewMs = time.epochMs - deps.clock.now()
  const off = clockOff(found.skewMs)
  steps.push({
    step: 'token',
    result: off === null ? 'ok' : 'look',
    words:
      off === null
        ? `Entra issues a token to the application ${access.clientId}.`
        : `Entra issues a token, but ${off}: signed requests are refused like that.`,
  })

  const grant = deps.graph.grant(access.tenantId)
  found.roles = grant?.roles ?? null
  const permission = permissionWords(access, found.roles, grant?.writeRoles ?? [])
  const secretEnds = await deps.graph.secretEnds(access, deps.signal)
  found.credentialEnds ??= secretEnds
  steps.push({
    step: 'permission',
    ...(secretEnds === null ? permission : alsoEnds(permission, secretEnds, deps.clock.now())),
  })

  const listed = await listAny(access, deps, time.epochMs)
  if (typeof listed !== 'string') return stop('alerts', listed)
  const words = WORDS[listed](access)
  steps.push({ step: 'alerts', result: listed === 'some' ? 'ok' : 'look', words })
  return end(listed === 'some' ? 'works' : listed === 'none' ? 'quiet' : 'unclear', words)
}

type Listed = 'some' | 'none' | 'silent providers'

/** Asks the list as a poll does, for the last days, one alert a page. */
async function listAny(access: TenantAccess, deps: CheckDeps, nowMs: number): Promise<Listed | Trouble> {
  const window = { from: fromEpochMs(nowMs - DAYS_BACK * DAY_MS), to: fromEpochMs(nowMs) }
  let answer: PageAnswer = await deps.graph.page(
    access,
    { kind: 'window', ...window, top: 1, by: 'lastUpdate' },
    deps.signal,
  )
  for (let pages = 1; answer.kind === 'page'; pages++) {
    if (answer.alerts.length > 0) return 'some'
    if (answer.partial.length > 0) return 'silent providers'
    if (answer.nextLink === null || pages === PAGES_MAX) return 'none'
    answer = await deps.graph.page(access, { kind: 'next', link: answer.nextLink }, deps.signal)
  }
  return answer
}

const WORDS: Readonly<Record<Listed, (access: TenantAccess) => string>> = {
  some: ({ source }) => `The list ${source} answers, with alerts of the last ${DAYS_BACK} days.`,
  none: ({ source }) =>
    source === 'alerts'
      ? 'The legacy list "alerts" answers and is empty. Microsoft retired it on 2026-10-15, so that proves nothing: add SecurityAlert.Read.All and set source: alerts_v2.'
      : `The list ${source} answers, and holds no alert of the last ${DAYS_BACK} days. That is not yet proof of a quiet customer: it also looks so where no Defender product is licensed, or where alerts belong to no incident in Defender XDR.`,
  'silent providers': ({ source }) =>
    `The list ${source} answers in part: some of the products behind it did not answer, and the others have no alert of the last ${DAYS_BACK} days. Check again later.`,
}

function verdictOf(trouble: Trouble, access: TenantAccess): ['fix' | 'unclear', string] {
  switch (trouble.kind) {
    case 'needs-attention':
      return ['fix', trouble.problem.words]
    case 'throttled':
      return ['unclear', `${trouble.detail}: it asks for a pause. Check again later; the customer has nothing to do.`]
    case 'split':
      return ['unclear', `${trouble.detail}. Check again later; the customer has nothing to do.`]
    case 'unavailable': {
      const { silent } = trouble
      if (trouble.isBetween) return ['unclear', `${trouble.detail}. The customer has nothing to do.`]
      if (silent === undefined)
        return ['unclear', `${trouble.detail}. Check again later; the customer has nothing to do.`]
      if (isProxyFault(silent.code))
        return ['unclear', `${trouble.detail}. It is the operator's move; the customer has nothing to do.`]
      const { loginBase, graphBase } = endpoints(access.cloud)
      const { host } = new URL(silent.who === 'login' ? loginBase : graphBase)
      return ['unclear', `No answer from ${host}: ${networkWords(silent.code)}. The customer has nothing to do.`]
    }
  }
}

type Said = Pick<Step, 'result' | 'words'>

/** A secret in use ends in the future: Entra has just taken it. */
function alsoEnds({ result, words }: Said, ends: string, nowMs: number): Said {
  const days = Math.floor((Date.parse(ends) - nowMs) / DAY_MS)
  return {
    result: days < WARN_AHEAD_DAYS ? 'look' : result,
    words: `${words} It may also read Entra's record of the application, which says that the secret ends on ${ends}, in ${days} days.`,
  }
}

function clockOff(skewMs: number): string | null {
  return Math.abs(skewMs) <= CLOCK_MAX_MS ? null : clockWords(skewMs)
}

function permissionWords(access: TenantAccess, roles: readonly string[] | null, writeRoles: readonly string[]): Said {
  if (roles === null) return { result: 'ok', words: 'The token does not say what it may do; the list will.' }
  const needed = neededPermission(access.source)
  const missing = access.isSharedApp === true ? CONSENT_TAKES_TIME : `${ONLY_APPLICATION} ${CONSENT_TAKES_TIME}`
  if (roles.length === 0) {
    const words = `The token carries no permission at all: ${needed} was not added, or never got admin consent. ${missing}`
    return { result: 'look', words }
  }
  const reading = readingPermission(access.source, roles)
  const others = roles.filter(role => role !== reading && !writeRoles.includes(role))
  const said = [
    `The token carries ${listOf(roles)}${reading === null ? `, not ${needed}. ${missing}` : '.'}`,
    ...(writeRoles.length === 0 ? [] : [`Nothing needs more than reading: ${listOf(writeRoles)} can be taken back.`]),
    ...(reading !== null && reading !== needed ? [`${needed} is enough: it must be there before that one goes.`] : []),
    ...(others.length === 0 ? [] : [`Only ${needed} is needed: ${listOf(others)} can be taken back, too.`]),
  ]
  return { result: reading !== null && writeRoles.length === 0 ? 'ok' : 'look', words: said.join(' ') }
}

const MAX_ROLES_SAID = 20

function listOf(roles: readonly string[]): string {
  const more = roles.length - MAX_ROLES_SAID
  return more > 0 ? `${roles.slice(0, MAX_ROLES_SAID).join(', ')} and ${more} more` : roles.join(', ')
}
