import type { Intended } from './plan.ts'
import type { Worker } from '../crew.ts'

export interface Running {
  readonly settings: Readonly<Record<string, string>>
  /** Shell file that exports them. */
  readonly settingsFile: string
  readonly workers: readonly Worker[]
  readonly intended: readonly Intended[]
  /** A tenant without trouble. */
  readonly healthy: string
}

/** What `--keep` leaves behind, and what to try with it. */
export function guideOf({ settings, settingsFile, workers, intended, healthy }: Running): string {
  const places: readonly (readonly [string, string | undefined])[] = [
    ['Kafka', settings['KAFKA_BROKERS']],
    ['schema registry', settings['SCHEMA_REGISTRY_URL']],
    ['simulated Graph', settings['GRAPH_SANDBOX_URL']],
    ['simulated engine', settings['ENGINE_URL']],
    ...workers.map(({ name, url, pid, logFile }) => [name, `${url}/metrics  pid ${pid}  ${logFile}`] as const),
  ]
  const of = (why: Intended['why']) => intended.find(one => one.why === why)?.tenantId ?? 'TENANT'
  const post = (to: string, body: object) => `  curl -sX POST $${to} -d '${JSON.stringify(body)}'`
  const expired = of('expired secret')
  return [
    'Everything keeps running until Ctrl-C.',
    ...places.map(([label, place]) => `  ${label.padEnd(16)}  ${place ?? '-'}`),
    '',
    'To try in another terminal, in this folder:',
    `  . ${shellQuote(settingsFile)}`,
    '  npx socos status',
    '  # everything of one tenant of the last hour, as NDJSON; then into the engine again, marked (docs/investigations.md)',
    `  npx socos replay --tenant ${healthy} --since 1h --reason "to try it" --yes > replay.ndjson`,
    `  npx socos replay --tenant ${healthy} --since 1h --reason "to try it" --to engine --yes`,
    '  # is it complete? what is stuck?',
    `  npx socos sweep --tenant ${healthy}`,
    '  npx socos parked list',
    '  # the load goes on',
    post('GRAPH_SANDBOX_URL/_sim/load', { running: true }),
    '  # the customer consents: its alerts arrive within a minute',
    post('GRAPH_SANDBOX_URL/_sim/tenants', { tenantId: of('no consent'), consent: true }),
    '  # the secret is renewed, in Entra and in the file: within seconds',
    post('GRAPH_SANDBOX_URL/_sim/tenants', { tenantId: expired, secrets: [{ value: 'renewed' }] }),
    `  printf renewed > $SECRETS_DIR/${expired}.secret`,
    '  # the engine fails twenty times: everything waits, nothing is lost',
    post('ENGINE_URL/_sim/faults', { kind: 'status', status: 503, budget: 20 }),
    '  # a worker dies: another one takes its lanes over',
    `  kill -9 ${workers[0]?.pid ?? 'PID'}`,
  ].join('\n')
}

/** `export NAME='value'`, a line each. */
export function settingsScript(settings: Readonly<Record<string, string>>): string {
  return Object.entries(settings)
    .map(([name, value]) => `export ${name}=${shellQuote(value)}\n`)
    .join('')
}

function shellQuote(text: string): string {
  return /^[\w./:@,+-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`
}
