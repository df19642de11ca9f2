import { settingNames } from '../../platform/settings-layers.ts'
import type { Stack, StackOptions } from '../kafka/ladder.ts'

/** What the command line asks for. */
export interface DemoPlan {
  readonly tenants: number
  /** New alerts a second over all tenants. */
  readonly rate: number
  readonly seconds: number
  /** Alerts of the past for each tenant. */
  readonly backlog: number
  readonly pollers: number
  readonly forwarders: number
  readonly stack: NonNullable<StackOptions['mode']>
  readonly seed: number
  readonly format: 'native' | 'ocsf'
  readonly json?: string
  readonly keep: boolean
}

export const MIN_TENANTS = 4

/** Small, so that half a minute shows everything that else takes hours. */
export const PACE = {
  pollIntervalSeconds: 2,
  overlapSeconds: 60,
  lookbackHours: 24,
  lanes: 12,
  /** The past fits into the look-back. */
  backlogDays: 0.9,
  /** From the update of an alert until Graph lists it. */
  lagMs: 500,
  /** A revision that was replaced must have arrived if it stood for longer than this: a poll interval and its jitter. */
  mustSeeMs: 10_000,
} as const

/** Shares of what the simulated Graph makes up. */
export const MIX = { updates: 0.1, hotTenant: 0.15, hostile: 0.02, legacyTenants: 0.1 } as const

/** A tenant that is in trouble on purpose. */
export interface Intended {
  readonly tenantId: string
  readonly name: string
  readonly why: 'no consent' | 'expired secret' | 'throttled'
  /** What `socos status` has to say of it. */
  readonly state: 'needs-attention' | 'throttled'
}

/** The simulator places them so: after the first, which is healthy, come the unconsented, then the expired. */
export function intendTroubles(
  tenants: readonly { readonly tenantId: string; readonly name: string }[],
): readonly Intended[] {
  const kinds = [
    { why: 'no consent', state: 'needs-attention' },
    { why: 'expired secret', state: 'needs-attention' },
    { why: 'throttled', state: 'throttled' },
  ] as const
  return kinds.flatMap((kind, place) => {
    const tenant = tenants[place + 1]
    return tenant === undefined ? [] : [{ tenantId: tenant.tenantId, name: tenant.name, ...kind }]
  })
}

export interface Site {
  readonly stack: Pick<Stack, 'kind' | 'brokers' | 'registryUrl'>
  readonly topicPrefix: string
  readonly graphUrl: string
  readonly engineUrl: string
  readonly engineTokenFile: string
  readonly format: DemoPlan['format']
  readonly secretsDir: string
}

/** The settings of every process of the run. */
export function settingsOf(site: Site): Readonly<Record<string, string>> {
  return {
    KAFKA_BROKERS: site.stack.brokers.join(','),
    SCHEMA_REGISTRY_URL: site.stack.registryUrl,
    TOPIC_PREFIX: site.topicPrefix,
    LANES: String(PACE.lanes),
    GRAPH_SANDBOX_URL: site.graphUrl,
    SECRETS_DIR: site.secretsDir,
    POLL_INTERVAL_SECONDS: String(PACE.pollIntervalSeconds),
    OVERLAP_SECONDS: String(PACE.overlapSeconds),
    LOOKBACK_HOURS: String(PACE.lookbackHours),
    ENGINE_URL: site.engineUrl,
    ENGINE_TOKEN_FILE: site.engineTokenFile,
    ENGINE_FORMAT: site.format,
    HTTP_HOST: '127.0.0.1',
    NODE_ENV: 'development',
  }
}

/**
 * The environment of a child: the caller's, without any setting of ours that happens to stand there. How to reach a
 * given cluster is the exception.
 */
export function childEnvironment(
  base: Readonly<Record<string, string | undefined>>,
  site: Site,
): Readonly<Record<string, string | undefined>> {
  const ours = new Set(settingNames())
  const access = /^(KAFKA|SCHEMA_REGISTRY)_/
  const kept = Object.entries(base).filter(
    ([name]) => !ours.has(name) || (site.stack.kind === 'given' && access.test(name)),
  )
  return { ...Object.fromEntries(kept), ...settingsOf(site) }
}
