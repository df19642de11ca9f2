import { z } from 'zod'
import { CRASH_AT_EXPECTED, type CrashAt, readCrashAt } from './effects.ts'

/**
 * The kinds of settings: each takes the text that was given and yields a value; its description is the sentence that
 * an operator reads when the text does not fit ("expected …").
 */
export type Kind<T = unknown> = z.ZodType<T, string>

export function wholeNumber(min: number, max: number): Kind<number> {
  return scaled(min, max, 1, `a whole number from ${min} to ${max}`)
}

/** Given in seconds, used in milliseconds. */
export function seconds(min: number, max: number): Kind<number> {
  return scaled(min, max, 1_000, `whole seconds from ${min} to ${max}`)
}

/** Given in hours, used in milliseconds. */
export function hours(min: number, max: number): Kind<number> {
  return scaled(min, max, 3_600_000, `whole hours from ${min} to ${max}`)
}

function scaled(min: number, max: number, factor: number, expected: string): Kind<number> {
  return z
    .string()
    .regex(/^\d{1,15}$/)
    .transform(Number)
    .refine(value => value >= min && value <= max)
    .transform(value => value * factor)
    .describe(expected)
}

export const share: Kind<number> = z
  .string()
  .regex(/^(?:0|1|0?\.\d{1,9}|1\.0{1,9})$/)
  .transform(Number)
  .describe('a share from 0 to 1, such as 0.1')

export function oneOf<const T extends readonly [string, ...string[]]>(values: T): Kind<T[number]> {
  return z
    .string()
    .toLowerCase()
    .pipe(z.enum(values))
    .describe(`one of ${values.join(', ')}`)
}

export const onOff: Kind<boolean> = z
  .string()
  .toLowerCase()
  .pipe(z.enum(['true', 'false', 'on', 'off', 'yes', 'no', '1', '0']))
  .transform(word => ['true', 'on', 'yes', '1'].includes(word))
  .describe('true or false')

export function words(expected: string, shape: RegExp): Kind<string> {
  return z.string().regex(shape).describe(expected)
}

export const filePath: Kind<string> = words('the path of a file', /^[^\p{Cc}]{1,4096}$/u)
export const directoryPath: Kind<string> = words('the path of a directory', /^[^\p{Cc}]{1,4096}$/u)
export const hostName: Kind<string> = words('a host name or address', /^[A-Za-z0-9._:-]{1,253}$/)
export const userName: Kind<string> = words('a user name of at most 256 characters', /^[^\p{Cc}]{1,256}$/u)
/** Printable, so that it fits a header or a SASL message as it is. */
export const secretWords: Kind<string> = words(
  '1 to 8192 characters without control characters',
  /^[^\p{Cc}]{1,8192}$/u,
)

export const brokerList: Kind<readonly string[]> = z
  .string()
  .transform(text => text.split(',').map(broker => broker.trim()))
  .refine(brokers => brokers.length <= 64 && brokers.every(isBroker) && new Set(brokers).size === brokers.length)
  .describe('a comma list of host:port, each once, at most 64, such as kafka-0:9092,kafka-1:9092')

function isBroker(text: string): boolean {
  const parts = /^(?:\[[0-9a-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253}):(\d{1,5})$/i.exec(text)
  const port = Number(parts?.[1] ?? 0)
  return port >= 1 && port <= 65_535
}

/** Yields the address without a trailing slash, so that paths can be appended to it. */
export const webAddress: Kind<string> = z
  .string()
  .max(2_048)
  .transform((text, context) => {
    const url = URL.canParse(text) ? new URL(text) : null
    const plain = url !== null && /^https?:$/.test(url.protocol) && /^https?:\/\//i.test(text)
    if (!plain || url.username !== '' || url.password !== '' || /[?#\s\\]/.test(text)) {
      context.addIssue({ code: 'custom', message: 'no such address' })
      return z.NEVER
    }
    return url.href.replace(/\/+$/, '')
  })
  .describe('an http or https address without user name, password, query or fragment')

/** With user and password, where it has any: a secret. */
export const proxyAddress: Kind<string> = z
  .string()
  .max(2_048)
  .refine(text => URL.canParse(text) && /^https?:\/\/[^\s\\/?#]+\/?$/i.test(text) && hasReadableUser(new URL(text)))
  .describe(
    'an address such as http://proxy.example:3128: http:// or, if the proxy itself speaks TLS, https://, then its name and port, with user:password@ before them where it wants those; no path, no blanks, odd characters of the password percent-encoded',
  )

/** The client decodes them, and would fail on a lone per cent sign. */
function hasReadableUser({ username, password }: URL): boolean {
  return decoded(username) !== null && decoded(password) !== null
}

export const hostList: Kind<string> = words(
  'host names with commas between them, such as localhost,.example.com, or *',
  /^[A-Za-z0-9._:*\-[\], ]{1,4096}$/,
)

const HEADER_PAIR = /^\s*([!#$%&'*+.^_`|~\w-]{1,256})\s*=\s*([^\s,;][^,;]*?)\s*$/

/** As OpenTelemetry writes them: `name=value,name=value`, values percent-encoded. */
export const headerList: Kind<Readonly<Record<string, string>>> = z
  .string()
  .max(8_192)
  .transform((text, context) => {
    const headers: Record<string, string> = {}
    for (const pair of text.split(',')) {
      const [, name, value] = HEADER_PAIR.exec(pair) ?? []
      const plain = value === undefined ? null : decoded(value)
      if (name === undefined || plain === null || !/^[\x20-\x7e]+$/.test(plain)) {
        context.addIssue({ code: 'custom', message: 'no such list' })
        return z.NEVER
      }
      headers[name.toLowerCase()] = plain
    }
    return headers
  })
  .describe('name=value pairs with commas between them, values percent-encoded')

function decoded(value: string): string | null {
  try {
    return decodeURIComponent(value)
  } catch {
    return null
  }
}

export const crashPoint: Kind<CrashAt> = z
  .string()
  .transform((text, context) => {
    const crashAt = readCrashAt(text)
    if (crashAt !== null) return crashAt
    context.addIssue({ code: 'custom', message: 'no such step' })
    return z.NEVER
  })
  .describe(CRASH_AT_EXPECTED)

/** Reached without leaving the machine, or by a name that only a local network can resolve. */
export function isLocalHost(host: string): boolean {
  return /^(?:127(?:\.\d{1,3}){3}|\[::1\])$/.test(host) || /^(?:[a-z0-9_-]+|(?:[a-z0-9_-]+\.)*localhost)$/i.test(host)
}
