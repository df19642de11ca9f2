import { connect as connectPlain, isIP } from 'node:net'
import { type ConnectionOptions, connect as connectTls } from 'node:tls'
import type { Log } from '../log.ts'
import type { TlsTexts } from '../tls-files.ts'
import type { KafkaClient, SASLOptions } from './kafkajs.ts'
import { Kafka, logLevel } from './kafkajs.ts'

export interface KafkaAccess {
  /** host:port */
  readonly brokers: readonly string[]
  readonly clientId: string
  /** Asked for each connection, so that replaced certificates are used; null speaks in clear. */
  readonly tls: (() => TlsTexts & { readonly servername?: string }) | null
  readonly sasl: KafkaSignIn | null
}

/** Secrets are asked for at each sign-in, so that replaced ones are used. */
export type KafkaSignIn =
  | {
      readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512'
      readonly username: string
      readonly password: () => string
    }
  | { readonly mechanism: 'oauthbearer'; readonly token: () => string }

const CONNECT_TIMEOUT_MS = 10_000
const REQUEST_TIMEOUT_MS = 30_000
const METADATA_AGE_MS = 60_000
const KEEP_ALIVE_MS = 60_000
const ERROR_LEVEL: number = logLevel.ERROR

export interface WatchedClient extends KafkaClient {
  /** How often it began to connect to a broker. */
  connectionsBegun(): number
}

/** Each role takes a client of its own: KafkaJS shares offset caches between consumers and producers of one. */
export function kafkaClient(access: KafkaAccess, log: Log): WatchedClient {
  let connectionsBegun = 0
  const kafka = new Kafka({
    clientId: access.clientId,
    brokers: [...access.brokers],
    connectionTimeout: CONNECT_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    enforceRequestTimeout: true,
    ssl: access.tls !== null,
    socketFactory: ({ host, port, onConnect }) => {
      connectionsBegun++
      const socket =
        access.tls === null
          ? connectPlain({ host, port }, onConnect)
          : connectTls(tlsTo(host, port, access.tls()), onConnect)
      return socket.setKeepAlive(true, KEEP_ALIVE_MS)
    },
    ...(access.sasl === null ? {} : { sasl: saslOptions(access.sasl) }),
    logLevel: logLevel.INFO,
    logCreator: () => entry => forwardLog(log, entry.level, entry.namespace, entry.log),
  })
  return Object.assign(kafka, { connectionsBegun: () => connectionsBegun })
}

function tlsTo(host: string, port: number, texts: TlsTexts & { readonly servername?: string }): ConnectionOptions {
  return { host, port, ...(isIP(host) ? {} : { servername: host }), ...texts, rejectUnauthorized: true }
}

/** An object of its own for each client: KafkaJS keeps what belongs to the sign-in in it. */
function saslOptions(signIn: KafkaSignIn): SASLOptions {
  switch (signIn.mechanism) {
    case 'oauthbearer':
      return { mechanism: signIn.mechanism, oauthBearerProvider: async () => ({ value: signIn.token() }) }
    case 'plain':
    case 'scram-sha-256':
    case 'scram-sha-512':
      return {
        mechanism: signIn.mechanism,
        username: signIn.username,
        // a getter: the client reads it at each sign-in
        get password() {
          return signIn.password()
        },
      }
  }
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
