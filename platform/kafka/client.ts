import type { Log } from '../log.ts'
import type { KafkaClient, SASLOptions } from './kafkajs.ts'
import { Kafka, logLevel } from './kafkajs.ts'

export interface KafkaAccess {
  /** host:port */
  readonly brokers: readonly string[]
  readonly clientId: string
  /** PEM texts; null speaks in clear. */
  readonly tls: {
    readonly ca?: string
    readonly cert?: string
    readonly key?: string
    readonly servername?: string
  } | null
  readonly sasl: SASLOptions | null
}

const CONNECT_TIMEOUT_MS = 10_000
const REQUEST_TIMEOUT_MS = 30_000
const METADATA_AGE_MS = 60_000
const ERROR_LEVEL: number = logLevel.ERROR

/** Each role takes a client of its own: KafkaJS shares offset caches between consumers and producers of one. */
export function kafkaClient(access: KafkaAccess, log: Log): KafkaClient {
  return new Kafka({
    clientId: access.clientId,
    brokers: [...access.brokers],
    connectionTimeout: CONNECT_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    enforceRequestTimeout: true,
    ssl: access.tls === null ? false : { ...access.tls, rejectUnauthorized: true },
    ...(access.sasl === null ? {} : { sasl: access.sasl }),
    logLevel: logLevel.INFO,
    logCreator: () => entry => forwardLog(log, entry.level, entry.namespace, entry.log),
  })
}

/** Metadata age for producers, consumers and admins alike. */
export const METADATA_MAX_AGE_MS = METADATA_AGE_MS

/** What KafkaJS calls an error is mostly a retry in progress; what is lost or stuck is said by our own code. */
const OFTEN_HARMLESS = /rebalancing|not the leader|not available|is loading|Connection|re-joining|Response/i

function forwardLog(
  log: Log,
  level: number,
  namespace: string,
  entry: { message: string } & Record<string, unknown>,
): void {
  const { message, timestamp: _timestamp, logger: _logger, stack: _stack, ...fields } = entry
  if (/^(Pausing|Resuming) fetching/.test(message)) return // a line for each lane and change
  const shown = { kafkajs: namespace, detail: message, ...scalars(fields) }
  const text = typeof fields['error'] === 'string' ? `${message} ${fields['error']}` : message
  if (level === ERROR_LEVEL && !OFTEN_HARMLESS.test(text)) log.warn('kafka client', shown)
  else log.debug('kafka client', shown)
}

/** Client logs may hold whole assignments; only short facts are worth a line. */
function scalars(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).filter(
      ([, value]) => typeof value === 'number' || (typeof value === 'string' && value.length < 300),
    ),
  )
}
