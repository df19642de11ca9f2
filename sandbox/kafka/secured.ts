import { type Authority, createAuthority } from './certificates.ts'
import type { Extra, Stack } from './stack.ts'

/**
 * A cluster as it stands in production: TLS, sign-in, and an authorizer that denies what no rule allows. Beside it the
 * plain listener stays open for the test itself; whoever comes that way is a super user.
 */
export interface Secured {
  readonly extra: Extra
  readonly authority: Authority
}

/** SASL over TLS: SCRAM, PLAIN, OAUTHBEARER. */
export const SIGN_IN_DOOR = 'SECURED'
/** TLS where the client shows a certificate; its common name is the user. */
export const CERTIFICATE_DOOR = 'MUTUAL'

export interface SecuredOptions {
  /** Users of PLAIN with their passwords; those of SCRAM are made with setScramPassword. */
  readonly plainUsers: Readonly<Record<string, string>>
  /** A connection has to sign in again after this time. */
  readonly reauthenticateMs: number
}

export async function secureCluster({ plainUsers, reauthenticateMs }: SecuredOptions): Promise<Secured> {
  const authority = await createAuthority('Sandbox authority')
  const broker = await authority.issue('localhost', '127.0.0.1')
  const users = Object.entries(plainUsers).map(([user, password]) => `user_${user}="${password}"`)
  const security = 'org.apache.kafka.common.security'
  const door = `listener.name.${SIGN_IN_DOOR.toLowerCase()}`
  return {
    authority,
    extra: {
      listeners: { [SIGN_IN_DOOR]: 'SASL_SSL', [CERTIFICATE_DOOR]: 'SSL' },
      files: { 'broker.pem': broker.key + broker.cert, 'ca.pem': authority.cert },
      properties: {
        'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
        'super.users': 'User:ANONYMOUS',
        'ssl.keystore.type': 'PEM',
        'ssl.keystore.location': 'FILES/broker.pem',
        'ssl.truststore.type': 'PEM',
        'ssl.truststore.location': 'FILES/ca.pem',
        'ssl.principal.mapping.rules': 'RULE:^CN=([^,]+).*$/$1/',
        [`listener.name.${CERTIFICATE_DOOR.toLowerCase()}.ssl.client.auth`]: 'required',
        [`${door}.sasl.enabled.mechanisms`]: 'SCRAM-SHA-512,PLAIN,OAUTHBEARER',
        [`${door}.scram-sha-512.sasl.jaas.config`]: `${security}.scram.ScramLoginModule required;`,
        [`${door}.plain.sasl.jaas.config`]: `${security}.plain.PlainLoginModule required ${users.join(' ')};`,
        // takes unsigned tokens: whoever the token says
        [`${door}.oauthbearer.sasl.jaas.config`]: `${security}.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";`,
        [`${door}.connections.max.reauth.ms`]: String(reauthenticateMs),
      },
    },
  }
}

export async function setScramPassword(stack: Stack, user: string, password: string): Promise<void> {
  const config = `SCRAM-SHA-512=[iterations=4096,password=${password}]`
  const entity = ['--entity-type', 'users', '--entity-name', user]
  await stack.tool('kafka.admin.ConfigCommand', ['--alter', '--add-config', config, ...entity])
}
