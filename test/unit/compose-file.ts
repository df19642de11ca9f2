/** docker-compose.yml as it is after Compose has read it: merged, variables filled in, short forms written out. */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { parse } from 'yaml'
import { z } from 'zod'
import { ROOT } from './project-files.ts'

const dependency = z.strictObject({
  condition: z.enum(['service_started', 'service_healthy', 'service_completed_successfully']),
  required: z.boolean().default(true),
})

const limits = z.strictObject({ memory: z.string().optional() })

/** Short forms are `source:target[:ro]`; a source with a slash is a path here. */
const volume = z.union([
  z.string().transform(text => {
    const [source = '', target = '', mode] = text.split(':')
    const type: 'bind' | 'volume' = source.includes('/') ? 'bind' : 'volume'
    return {
      type,
      source: type === 'bind' ? resolve(ROOT, source) : source,
      target,
      readOnly: mode === 'ro',
      nocopy: false,
    }
  }),
  z
    .strictObject({
      type: z.literal('volume'),
      source: z.string(),
      target: z.string(),
      read_only: z.boolean().default(false),
      volume: z.strictObject({ nocopy: z.boolean() }).default({ nocopy: false }),
    })
    .transform(({ read_only: readOnly, volume: { nocopy }, ...rest }) => ({ ...rest, readOnly, nocopy })),
])

const serviceSchema = z
  .strictObject({
    image: z.string(),
    build: z.strictObject({ context: z.string(), target: z.string(), args: z.array(z.string()) }).optional(),
    profiles: z.array(z.string()).default([]),
    entrypoint: z.array(z.string()).optional(),
    command: z.array(z.string()).default([]),
    environment: z.record(z.string(), z.union([z.string(), z.number()]).transform(String)).default({}),
    ports: z.array(z.string()).default([]),
    volumes: z.array(volume).default([]),
    depends_on: z.record(z.string(), dependency).default({}),
    healthcheck: z
      .strictObject({
        test: z.array(z.string()),
        interval: z.string(),
        timeout: z.string(),
        retries: z.number(),
        start_period: z.string(),
      })
      .optional(),
    restart: z.enum(['no', 'unless-stopped']),
    user: z.string().optional(),
    read_only: z.boolean().default(false),
    cap_drop: z.array(z.string()),
    security_opt: z.array(z.string()),
    stop_grace_period: z.string().optional(),
    logging: z.strictObject({ driver: z.string(), options: z.record(z.string(), z.string()) }),
    deploy: z.strictObject({
      replicas: z.union([z.number(), z.string()]).default(1).transform(Number),
      resources: z.strictObject({ limits }),
    }),
  })
  .transform(({ deploy, healthcheck, ...rest }) => ({
    ...rest,
    replicas: deploy.replicas,
    memory: deploy.resources.limits.memory,
    healthcheck: healthcheck?.test,
  }))

export type Service = z.output<typeof serviceSchema>

/** Services without a profile, and those of the profiles that are asked for. */
export function composeServices(
  variables: Readonly<Record<string, string>> = {},
  profiles: 'all' | readonly string[] = [],
): Readonly<Record<string, Service>> {
  const file = parse(readFileSync(`${ROOT}docker-compose.yml`, 'utf8'), { merge: true }) as { services: unknown }
  const filled = JSON.parse(fill(JSON.stringify(file.services), variables)) as Record<string, unknown>
  const all = Object.entries(filled).map(([name, service]) => [name, serviceSchema.parse(service)] as const)
  const on = all.filter(
    ([, service]) =>
      profiles === 'all' || service.profiles.length === 0 || service.profiles.some(one => profiles.includes(one)),
  )
  return Object.fromEntries(on)
}

/** Only the form `${NAME:-default}` is allowed; a doubled dollar is a plain one. */
function fill(text: string, variables: Readonly<Record<string, string>>): string {
  return text.replace(/\$\$|\$\{(\w+):-([^}]*)\}|\$/g, (found, name: string | undefined, fallback: string) => {
    if (found === '$$') return '$'
    if (name === undefined) throw new Error('docker-compose.yml: a dollar that is neither ${NAME:-default} nor doubled')
    return variables[name] ?? fallback
  })
}
