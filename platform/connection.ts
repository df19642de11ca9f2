/** From settings to access: what the clients of Kafka and of the registry sign in with, followed where it lies in files. */
import type { RegistryAccess } from './avro/registry.ts'
import type { KafkaAccess, KafkaSignIn } from './kafka/client.ts'
import type { Log } from './log.ts'
import { registerSecret } from './log-scrub.ts'
import { followMounted } from './mounted-files.ts'
import type { Role, SettingKey, Settings } from './settings-table.ts'
import { followTls } from './tls-files.ts'

type Connection = Settings<Role>
type Said = Pick<Log, 'info' | 'warn'>

/** Throws in words when a file that is named cannot be used. */
export function kafkaAccess(settings: Connection, log: Said): KafkaAccess {
  const { kafkaTlsCaFile: caFile, kafkaTlsCertFile: certFile, kafkaTlsKeyFile: keyFile } = settings
  const texts = followTls('the certificate for Kafka', { caFile, certFile, keyFile }, log)
  texts?.() // what is wrong from the start is said at the start
  const { kafkaTlsServername: servername } = settings
  return {
    brokers: settings.kafkaBrokers ?? [],
    clientId: settings.kafkaClientId,
    tls: settings.kafkaTlsEnabled ? () => ({ ...texts?.(), ...(servername === null ? {} : { servername }) }) : null,
    sasl: signIn(settings, log),
  }
}

function signIn(settings: Connection, log: Said): KafkaSignIn | null {
  const { kafkaSaslMechanism: mechanism, kafkaSaslUsername, kafkaSaslOauthTokenFile } = settings
  switch (mechanism) {
    case null:
      return null
    case 'oauthbearer':
      return { mechanism, token: followSecret('the token for Kafka', kafkaSaslOauthTokenFile ?? '', log) }
    case 'plain':
    case 'scram-sha-256':
    case 'scram-sha-512':
      return {
        mechanism,
        username: kafkaSaslUsername ?? '',
        password: secretOf(settings, 'kafkaSaslPassword', 'the password for Kafka', log),
      }
  }
}

/** Throws in words when a file that is named cannot be used. */
export function registryAccess(settings: Connection, log: Said): RegistryAccess {
  const { schemaRegistryUsername: username } = settings
  const tls = { caFile: settings.schemaRegistryCaFile, certFile: null, keyFile: null }
  const texts = followTls('the authority of the schema registry', tls, log)
  texts?.()
  return {
    url: settings.schemaRegistryUrl ?? '',
    ...(texts === null ? {} : { ca: () => texts().ca ?? '' }),
    ...(username === null
      ? {}
      : { username, password: secretOf(settings, 'schemaRegistryPassword', 'the password for the registry', log) }),
    ...(settings.schemaRegistryToken === null
      ? {}
      : { token: secretOf(settings, 'schemaRegistryToken', 'the token for the registry', log) }),
  }
}

/** The newest text of a secret: of its file, or the fixed one that was given without a file. */
function secretOf(
  settings: Connection,
  key: SettingKey & ('kafkaSaslPassword' | 'schemaRegistryPassword' | 'schemaRegistryToken'),
  what: string,
  log: Said,
): () => string {
  const path = settings.secretFiles[key]
  if (path !== undefined) return followSecret(what, path, log)
  const fixed = settings[key] ?? ''
  return () => fixed
}

function followSecret(what: string, path: string, log: Said): () => string {
  const follow = followMounted({
    what,
    files: { text: path },
    log,
    make: ({ text }) => {
      const secret = text.trim()
      if (/\p{Cc}/u.test(secret)) throw new Error('it holds a control character, such as a second line')
      registerSecret(secret)
      return secret
    },
  })
  follow()
  return follow
}
