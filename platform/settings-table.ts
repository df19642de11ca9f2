import type { z } from 'zod'
import {
  brokerList,
  crashPoint,
  directoryPath,
  filePath,
  headerList,
  hostList,
  hostName,
  hours,
  type Kind,
  oneOf,
  onOff,
  proxyAddress,
  seconds,
  secretWords,
  share,
  userName,
  webAddress,
  wholeNumber,
  words,
} from './settings-kinds.ts'

/**
 * Every setting there is, once. README, `config print`, the manifests' check and the types of Settings come from here.
 * Longer than two screens because it is a table.
 */

export type Role = 'poller' | 'forwarder' | 'cli' | 'sandbox'

export interface Setting {
  /** As in the environment; a secret one is also read from the file that NAME_FILE names. */
  readonly name: string
  readonly kind: Kind
  /** Text that stands in when nothing is given; null: the value is null then. */
  readonly fallback: string | null
  readonly usedBy: readonly Role[]
  /** Who does not start without it. */
  readonly neededBy: readonly Role[]
  readonly secret: boolean
  readonly help: string
}

const everyone = ['poller', 'forwarder', 'cli', 'sandbox'] as const
const workers = ['poller', 'forwarder'] as const
const polling = ['poller', 'cli', 'sandbox'] as const
const forwarding = ['forwarder', 'cli', 'sandbox'] as const
const plain = { neededBy: [], secret: false } as const

function setting<const S extends Setting>(one: S): S {
  return one
}

const settingsTable = {
  kafkaBrokers: setting({
    name: 'KAFKA_BROKERS',
    kind: brokerList,
    fallback: null,
    usedBy: everyone,
    neededBy: workers,
    secret: false,
    help: 'Kafka brokers to start from.',
  }),
  kafkaClientId: setting({
    ...plain,
    name: 'KAFKA_CLIENT_ID',
    kind: words('1 to 64 letters, digits, dots, underscores or hyphens', /^[A-Za-z0-9._-]{1,64}$/),
    fallback: 'socos',
    usedBy: everyone,
    help: 'Name by which brokers log and limit this client.',
  }),
  kafkaTlsEnabled: setting({
    ...plain,
    name: 'KAFKA_TLS_ENABLED',
    kind: onOff,
    // what stands here is decided in settings-rules.ts, so that it is never null
    fallback: null,
    usedBy: everyone,
    help: 'TLS to Kafka. Not set: true when any other KAFKA_TLS_* setting is given, else false.',
  }),
  kafkaTlsCaFile: setting({
    ...plain,
    name: 'KAFKA_TLS_CA_FILE',
    kind: filePath,
    fallback: null,
    usedBy: everyone,
    help: 'Certificate authority of the brokers, PEM. This and the next two are read again when they change.',
  }),
  kafkaTlsCertFile: setting({
    ...plain,
    name: 'KAFKA_TLS_CERT_FILE',
    kind: filePath,
    fallback: null,
    usedBy: everyone,
    help: 'Client certificate for mutual TLS, PEM; needs KAFKA_TLS_KEY_FILE.',
  }),
  kafkaTlsKeyFile: setting({
    ...plain,
    name: 'KAFKA_TLS_KEY_FILE',
    kind: filePath,
    fallback: null,
    usedBy: everyone,
    help: 'Private key of the client certificate, PEM.',
  }),
  kafkaTlsServername: setting({
    ...plain,
    name: 'KAFKA_TLS_SERVERNAME',
    kind: hostName,
    fallback: null,
    usedBy: everyone,
    help: 'Name that the brokers certify, where it is not the host they are reached by.',
  }),
  kafkaSaslMechanism: setting({
    ...plain,
    name: 'KAFKA_SASL_MECHANISM',
    kind: oneOf(['plain', 'scram-sha-256', 'scram-sha-512', 'oauthbearer']),
    fallback: null,
    usedBy: everyone,
    help: 'How to sign in to Kafka; not set means no SASL.',
  }),
  kafkaSaslUsername: setting({
    ...plain,
    name: 'KAFKA_SASL_USERNAME',
    kind: userName,
    fallback: null,
    usedBy: everyone,
    help: 'User for plain and scram.',
  }),
  kafkaSaslPassword: setting({
    name: 'KAFKA_SASL_PASSWORD',
    kind: secretWords,
    fallback: null,
    usedBy: everyone,
    neededBy: [],
    secret: true,
    help: 'Password for plain and scram; from a file it is read again when it changes.',
  }),
  kafkaSaslOauthTokenFile: setting({
    ...plain,
    name: 'KAFKA_SASL_OAUTH_TOKEN_FILE',
    kind: filePath,
    fallback: null,
    usedBy: everyone,
    help: 'File with the token for oauthbearer, read again for each sign-in.',
  }),
  schemaRegistryUrl: setting({
    name: 'SCHEMA_REGISTRY_URL',
    kind: webAddress,
    fallback: null,
    usedBy: everyone,
    neededBy: workers,
    secret: false,
    help: 'Confluent-compatible schema registry; may have a path.',
  }),
  schemaRegistryUsername: setting({
    ...plain,
    name: 'SCHEMA_REGISTRY_USERNAME',
    kind: userName,
    fallback: null,
    usedBy: everyone,
    help: 'User of the registry (basic authentication).',
  }),
  schemaRegistryPassword: setting({
    name: 'SCHEMA_REGISTRY_PASSWORD',
    kind: secretWords,
    fallback: null,
    usedBy: everyone,
    neededBy: [],
    secret: true,
    help: 'Password of that user; from a file it is read again when it changes.',
  }),
  schemaRegistryToken: setting({
    name: 'SCHEMA_REGISTRY_TOKEN',
    kind: secretWords,
    fallback: null,
    usedBy: everyone,
    neededBy: [],
    secret: true,
    help: 'Bearer token for the registry instead of user and password; from a file it is read again when it changes.',
  }),
  schemaRegistryCaFile: setting({
    ...plain,
    name: 'SCHEMA_REGISTRY_CA_FILE',
    kind: filePath,
    fallback: null,
    usedBy: everyone,
    help: 'Certificate authority of the registry, PEM.',
  }),
  topicPrefix: setting({
    ...plain,
    name: 'TOPIC_PREFIX',
    kind: words('1 to 64 letters, digits, dots, underscores or hyphens', /^[A-Za-z0-9._-]{1,64}$/),
    fallback: 'socos.',
    usedBy: everyone,
    help: 'Beginning of the names of topics, groups and subjects.',
  }),
  lanes: setting({
    ...plain,
    name: 'LANES',
    kind: wholeNumber(1, 4_096),
    fallback: '48',
    usedBy: ['cli', 'sandbox'],
    help: 'Partitions per topic, used only when topics are created; fixed for the life of a deployment.',
  }),
  sessionTimeoutMs: setting({
    ...plain,
    name: 'SESSION_TIMEOUT_SECONDS',
    kind: seconds(1, 300),
    fallback: '10',
    usedBy: ['poller', 'forwarder', 'sandbox'],
    help: 'After this silence Kafka gives the lanes of a worker to others; brokers accept 6 and more by default.',
  }),
  shutdownMs: setting({
    ...plain,
    name: 'SHUTDOWN_SECONDS',
    kind: seconds(4, 600),
    fallback: '9',
    usedBy: ['poller', 'forwarder'],
    help: 'Longest time to finish what is in hand after SIGTERM; a forwarder needs more than its engine’s slowest answer, and whoever sends SIGKILL has to wait longer.',
  }),
  engineUrl: setting({
    name: 'ENGINE_URL',
    kind: webAddress,
    fallback: null,
    usedBy: forwarding,
    neededBy: ['forwarder'],
    secret: false,
    help: 'The correlation engine; alerts go to /v1/alerts:batch below it. https, except to a local host outside production.',
  }),
  engineTokenFile: setting({
    ...plain,
    name: 'ENGINE_TOKEN_FILE',
    kind: filePath,
    fallback: null,
    usedBy: forwarding,
    help: 'File with the bearer token for the engine, read again when it changes.',
  }),
  engineSigningKeysFile: setting({
    ...plain,
    name: 'ENGINE_SIGNING_KEYS_FILE',
    kind: filePath,
    fallback: null,
    usedBy: forwarding,
    help: 'File with one or two Standard Webhooks keys (whsec_ and base64, one a line), read again when it changes; not set means unsigned.',
  }),
  engineTlsCaFile: setting({
    ...plain,
    name: 'ENGINE_TLS_CA_FILE',
    kind: filePath,
    fallback: null,
    usedBy: forwarding,
    help: 'Certificate authority of the engine, PEM; not set trusts those of the system. These three are read again when they change.',
  }),
  engineTlsCertFile: setting({
    ...plain,
    name: 'ENGINE_TLS_CERT_FILE',
    kind: filePath,
    fallback: null,
    usedBy: forwarding,
    help: 'Client certificate for mutual TLS with the engine, PEM; needs ENGINE_TLS_KEY_FILE.',
  }),
  engineTlsKeyFile: setting({
    ...plain,
    name: 'ENGINE_TLS_KEY_FILE',
    kind: filePath,
    fallback: null,
    usedBy: forwarding,
    help: 'Private key of that client certificate, PEM.',
  }),
  engineFormat: setting({
    ...plain,
    name: 'ENGINE_FORMAT',
    kind: oneOf(['native', 'ocsf']),
    fallback: 'native',
    usedBy: forwarding,
    help: 'What the engine gets of an alert: Graph’s JSON byte for byte (native), or an OCSF Detection Finding made from it (ocsf), see docs/ocsf.md.',
  }),
  engineCompression: setting({
    ...plain,
    name: 'ENGINE_COMPRESSION',
    kind: oneOf(['gzip', 'zstd', 'identity']),
    fallback: 'gzip',
    usedBy: forwarding,
    help: 'Compression of requests to the engine.',
  }),
  engineTimeoutMs: setting({
    ...plain,
    name: 'ENGINE_TIMEOUT_SECONDS',
    kind: seconds(1, 600),
    fallback: '30',
    usedBy: forwarding,
    help: 'Longest wait for the answer to one request.',
  }),
  engineBatchItems: setting({
    ...plain,
    name: 'ENGINE_BATCH_ITEMS',
    kind: wholeNumber(1, 10_000),
    fallback: '500',
    usedBy: forwarding,
    help: 'Most alerts in one request.',
  }),
  engineBatchBytes: setting({
    ...plain,
    name: 'ENGINE_BATCH_BYTES',
    kind: wholeNumber(1_024, 67_108_864),
    fallback: '1000000',
    usedBy: forwarding,
    help: 'Most bytes in one request before compression; a larger alert goes alone.',
  }),
  parkingBudgetCount: setting({
    ...plain,
    name: 'PARKING_BUDGET_COUNT',
    kind: wholeNumber(0, 1_000_000),
    fallback: '20',
    usedBy: ['forwarder', 'sandbox'],
    help: 'A lane stops when more records than this, and more than the share, of its last 1,000 were parked.',
  }),
  parkingBudgetShare: setting({
    ...plain,
    name: 'PARKING_BUDGET_SHARE',
    kind: share,
    fallback: '0.1',
    usedBy: ['forwarder', 'sandbox'],
    help: 'The share that goes with PARKING_BUDGET_COUNT.',
  }),
  secretsDir: setting({
    name: 'SECRETS_DIR',
    kind: directoryPath,
    fallback: null,
    usedBy: polling,
    neededBy: ['poller'],
    secret: false,
    help: 'Directory of the credentials of tenants; the tenants file names them relative to it.',
  }),
  pollIntervalMs: setting({
    ...plain,
    name: 'POLL_INTERVAL_SECONDS',
    kind: seconds(1, 86_400),
    fallback: '60',
    usedBy: polling,
    help: 'How often a tenant is polled unless its own record says otherwise.',
  }),
  overlapMs: setting({
    ...plain,
    name: 'OVERLAP_SECONDS',
    kind: seconds(1, 86_400),
    fallback: '600',
    usedBy: polling,
    help: 'How far each poll reaches back behind the last one.',
  }),
  lookbackMs: setting({
    ...plain,
    name: 'LOOKBACK_HOURS',
    kind: hours(1, 4_320),
    fallback: '168',
    usedBy: polling,
    help: 'How far the first poll of a tenant looks back.',
  }),
  sweepEveryMs: setting({
    ...plain,
    name: 'SWEEP_INTERVAL_HOURS',
    kind: hours(1, 720),
    fallback: '24',
    usedBy: ['poller'],
    help: 'How often each tenant is swept: listed again and compared with what was delivered.',
  }),
  sweepWindowMs: setting({
    ...plain,
    name: 'SWEEP_WINDOW_HOURS',
    kind: hours(1, 720),
    fallback: '72',
    usedBy: ['poller'],
    help: 'How far each sweep reaches back.',
  }),
  pollConcurrency: setting({
    ...plain,
    name: 'POLL_CONCURRENCY',
    kind: wholeNumber(1, 1_024),
    fallback: '64',
    usedBy: ['poller', 'sandbox'],
    help: 'Most tenants that one worker polls at once.',
  }),
  graphProxyUrl: setting({
    name: 'HTTPS_PROXY',
    kind: proxyAddress,
    fallback: null,
    usedBy: ['poller', 'cli'],
    neededBy: [],
    secret: true,
    help: 'HTTP proxy on the way to login and Graph; it has to tunnel (CONNECT). Kafka, registry and engine are reached without it.',
  }),
  graphNoProxy: setting({
    ...plain,
    name: 'NO_PROXY',
    kind: hostList,
    fallback: null,
    usedBy: ['poller', 'cli'],
    help: 'Hosts of login and Graph that are reached without HTTPS_PROXY.',
  }),
  graphCaFile: setting({
    ...plain,
    name: 'GRAPH_CA_FILE',
    kind: filePath,
    fallback: null,
    usedBy: ['poller', 'cli'],
    help: 'Certificate authority that is trusted for login and Graph besides those of the system, PEM: that of a proxy that inspects TLS.',
  }),
  graphSandboxUrl: setting({
    ...plain,
    name: 'GRAPH_SANDBOX_URL',
    kind: webAddress,
    fallback: null,
    usedBy: polling,
    help: 'Simulator that takes the place of login and Graph for all tenants; refused in production and for any but a local host.',
  }),
  httpHost: setting({
    ...plain,
    name: 'HTTP_HOST',
    kind: hostName,
    fallback: '0.0.0.0',
    usedBy: ['poller', 'forwarder', 'sandbox'],
    help: 'Address on which probes and metrics are served.',
  }),
  httpPort: setting({
    ...plain,
    name: 'HTTP_PORT',
    kind: wholeNumber(0, 65_535),
    fallback: '8080',
    usedBy: ['poller', 'forwarder', 'sandbox'],
    help: 'Port of /livez, /readyz, /startupz and /metrics; 0 takes any free one.',
  }),
  otlpEndpoint: setting({
    ...plain,
    name: 'OTEL_EXPORTER_OTLP_ENDPOINT',
    kind: webAddress,
    fallback: null,
    usedBy: workers,
    help: 'Collector that gets metrics and traces as OTLP over HTTP, at /v1/metrics and /v1/traces below it; not set means neither is sent.',
  }),
  otlpHeaders: setting({
    name: 'OTEL_EXPORTER_OTLP_HEADERS',
    kind: headerList,
    fallback: null,
    usedBy: workers,
    neededBy: [],
    secret: true,
    help: 'Headers for the collector, such as its token: name=value,name=value.',
  }),
  otelServiceName: setting({
    ...plain,
    name: 'OTEL_SERVICE_NAME',
    kind: words('1 to 128 printable characters', /^[\x21-\x7e](?:[\x20-\x7e]{0,126}[\x21-\x7e])?$/),
    fallback: null,
    usedBy: workers,
    help: 'Name of the worker in the collector; not set means socos-poller and socos-forwarder.',
  }),
  traceShare: setting({
    ...plain,
    name: 'OTEL_TRACES_SAMPLER_ARG',
    kind: share,
    fallback: '0.05',
    usedBy: workers,
    help: 'Share of polls that are traced, and with each the delivery of what it brought. Only with a collector.',
  }),
  logLevel: setting({
    ...plain,
    name: 'LOG_LEVEL',
    kind: oneOf(['debug', 'info', 'warn', 'error']),
    fallback: 'info',
    usedBy: everyone,
    help: 'Least level that is logged; warn means nothing is lost, error means something is or a human must act.',
  }),
  crashAt: setting({
    ...plain,
    name: 'CRASH_AT',
    kind: crashPoint,
    fallback: null,
    usedBy: ['poller', 'forwarder', 'cli'],
    help: 'For tests: the process kills itself where it comes to this step for the n-th time, such as `ledger.sent#1`; `count` tells how often it came to each. Refused in production.',
  }),
  nodeEnv: setting({
    ...plain,
    name: 'NODE_ENV',
    kind: oneOf(['production', 'development', 'test']),
    fallback: 'development',
    usedBy: everyone,
    help: 'In production the sandbox, and plain http to the engine, are refused.',
  }),
} as const satisfies Readonly<Record<string, Setting>>

type Table = typeof settingsTable
export type SettingKey = keyof Table

type Given<K extends SettingKey> = z.output<Table[K]['kind']>
type Orphan<K extends SettingKey, R extends Role> = Table[K]['fallback'] extends null
  ? R extends Table[K]['neededBy'][number]
    ? never
    : K extends 'kafkaTlsEnabled'
      ? never
      : null
  : never

/** Paths of the secrets that came from a file (NAME_FILE), which may be replaced while the process runs. */
export type SecretFiles = { readonly [K in SettingKey]?: string }

/** What a role may read. A setting without a default is null when not given, unless the role needs it. */
export type Settings<R extends Role> = {
  readonly [K in SettingKey as R extends Table[K]['usedBy'][number] ? K : never]: Given<K> | Orphan<K, R>
} & { readonly secretFiles: SecretFiles }

/** Every setting, as far as it was given and understood. */
export type PartialSettings = { readonly [K in SettingKey]?: Given<K> | null }

export const settingEntries: readonly (readonly [SettingKey, Setting])[] = Object.entries(
  settingsTable,
) as unknown as readonly (readonly [SettingKey, Setting])[]
