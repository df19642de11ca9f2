import { quote } from './log-scrub.ts'
import { isLocalHost } from './settings-kinds.ts'
import type { PartialSettings } from './settings-table.ts'

export interface Findings {
  readonly problems: string[]
  readonly warnings: string[]
}

/** What settings must agree on among themselves. Only looks at those that were understood one by one. */
export function checkTogether(given: PartialSettings): Findings {
  const found: Findings = { problems: [], warnings: [] }
  checkKafka(given, found)
  checkRegistry(given, found)
  checkAddresses(given, found)
  if (given.nodeEnv === 'production' && isGiven(given.crashAt)) {
    found.problems.push('CRASH_AT is set although NODE_ENV is production: remove it')
  }
  const { overlapMs, pollIntervalMs } = given
  if (overlapMs != null && pollIntervalMs != null && overlapMs < pollIntervalMs) {
    found.warnings.push(
      'OVERLAP_SECONDS is less than POLL_INTERVAL_SECONDS: alerts that Graph shows late are then seen by one poll only, or by the daily sweep',
    )
  }
  return found
}

/** Any KAFKA_TLS_* setting means TLS. */
export function usesKafkaTls(given: PartialSettings): boolean {
  return given.kafkaTlsEnabled ?? hasTlsDetails(given)
}

function hasTlsDetails(given: PartialSettings): boolean {
  const { kafkaTlsCaFile, kafkaTlsCertFile, kafkaTlsKeyFile, kafkaTlsServername } = given
  return [kafkaTlsCaFile, kafkaTlsCertFile, kafkaTlsKeyFile, kafkaTlsServername].some(isGiven)
}

function checkKafka(given: PartialSettings, { problems, warnings }: Findings): void {
  if (given.kafkaTlsEnabled === false && hasTlsDetails(given)) {
    problems.push('KAFKA_TLS_ENABLED is false although another KAFKA_TLS_* setting is given: remove one of them')
  }
  if (isGiven(given.kafkaTlsCertFile) !== isGiven(given.kafkaTlsKeyFile)) {
    problems.push('KAFKA_TLS_CERT_FILE and KAFKA_TLS_KEY_FILE go together: set both or neither')
  }
  const mechanism = given.kafkaSaslMechanism ?? null
  const password = isGiven(given.kafkaSaslUsername) && isGiven(given.kafkaSaslPassword)
  const anyPassword = isGiven(given.kafkaSaslUsername) || isGiven(given.kafkaSaslPassword)
  const token = isGiven(given.kafkaSaslOauthTokenFile)
  switch (mechanism) {
    case null:
      if (anyPassword || token) {
        problems.push('KAFKA_SASL_MECHANISM is not set although a SASL user, password or token is: name the mechanism')
      }
      return
    case 'oauthbearer':
      if (!token) problems.push('KAFKA_SASL_MECHANISM oauthbearer needs KAFKA_SASL_OAUTH_TOKEN_FILE')
      break
    case 'plain':
    case 'scram-sha-256':
    case 'scram-sha-512':
      if (!password) {
        problems.push(
          `KAFKA_SASL_MECHANISM ${mechanism} needs KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD (or KAFKA_SASL_PASSWORD_FILE)`,
        )
      }
      break
  }
  if (!usesKafkaTls(given))
    warnings.push('SASL without TLS: the sign-in to Kafka can be read on the way; set KAFKA_TLS_ENABLED')
}

function checkRegistry(given: PartialSettings, { problems, warnings }: Findings): void {
  const user = isGiven(given.schemaRegistryUsername)
  const password = isGiven(given.schemaRegistryPassword)
  const token = isGiven(given.schemaRegistryToken)
  if (user !== password) {
    problems.push(
      'SCHEMA_REGISTRY_USERNAME and SCHEMA_REGISTRY_PASSWORD (or its _FILE) go together: set both or neither',
    )
  }
  if (token && (user || password)) {
    problems.push('SCHEMA_REGISTRY_TOKEN and SCHEMA_REGISTRY_USERNAME exclude each other: keep one')
  }
  const url = given.schemaRegistryUrl
  if (url != null && url.startsWith('http:') && (user || token) && !isLocalHost(new URL(url).hostname)) {
    warnings.push('SCHEMA_REGISTRY_URL is plain http: the credentials of the registry can be read on the way')
  }
}

function checkAddresses(given: PartialSettings, { problems, warnings }: Findings): void {
  const production = given.nodeEnv === 'production'
  const { engineUrl, graphSandboxUrl, otlpEndpoint } = given
  if (isGiven(given.engineTlsCertFile) !== isGiven(given.engineTlsKeyFile)) {
    problems.push('ENGINE_TLS_CERT_FILE and ENGINE_TLS_KEY_FILE go together: set both or neither')
  }
  if (engineUrl?.startsWith('http:') && (isGiven(given.engineTlsCaFile) || isGiven(given.engineTlsCertFile))) {
    problems.push('ENGINE_URL is plain http although ENGINE_TLS_* is set: write https, or remove them')
  }
  if (engineUrl?.startsWith('http:') && (production || !isLocalHost(new URL(engineUrl).hostname))) {
    problems.push(
      `ENGINE_URL is ${quote(engineUrl)}: expected https${production ? ' in production' : '; plain http is only for localhost or a name without dots, outside production'}`,
    )
  }
  const signsIn = [given.engineTokenFile, given.engineSigningKeysFile, given.engineTlsCertFile].some(isGiven)
  if (production && isGiven(engineUrl) && !signsIn) {
    warnings.push(
      'none of ENGINE_TOKEN_FILE, ENGINE_SIGNING_KEYS_FILE and ENGINE_TLS_CERT_FILE is set: the engine cannot tell who sends',
    )
  }
  if (otlpEndpoint == null && isGiven(given.otlpHeaders)) {
    warnings.push('OTEL_EXPORTER_OTLP_HEADERS is set without OTEL_EXPORTER_OTLP_ENDPOINT: nothing is sent')
  } else if (otlpEndpoint?.startsWith('http:') && isGiven(given.otlpHeaders)) {
    if (!isLocalHost(new URL(otlpEndpoint).hostname))
      warnings.push('OTEL_EXPORTER_OTLP_ENDPOINT is plain http: the headers for the collector can be read on the way')
  }
  if (graphSandboxUrl == null) return
  if (production) problems.push('GRAPH_SANDBOX_URL is set although NODE_ENV is production: remove it')
  else if (!isLocalHost(new URL(graphSandboxUrl).hostname)) {
    problems.push(
      `GRAPH_SANDBOX_URL is ${quote(graphSandboxUrl)}: expected localhost, a loopback address or a name without dots; the secrets of all tenants would go there`,
    )
  }
}

function isGiven(value: unknown): boolean {
  return value !== null && value !== undefined
}
