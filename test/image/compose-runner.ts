/**
 * Runs the services of docker-compose.yml without Compose, which not every machine has: the same images, commands,
 * settings, volumes and limits, in the order of `depends_on`, with the health checks of the file run in the containers.
 * Host ports are other ones, so that it does not meet what somebody runs beside it, and nothing is restarted.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { watchOver } from '../../sandbox/kafka/leftovers.ts'
import { freePorts } from '../../sandbox/kafka/ports.ts'
import type { Service } from '../unit/compose-file.ts'
import { docker, labelFlags, removeRun, run } from './docker.ts'

export interface Site extends AsyncDisposable {
  /** Of each service, one for each replica. */
  ids(service: string): readonly string[]
  /** Where a port of the service is reached from this machine. */
  url(service: string, port: number): string
  logs(service: string): Promise<string>
  /** What `docker compose run --rm SERVICE ARGS` does. */
  runOnce(service: string, args: readonly string[]): ReturnType<typeof run>
}

const HEALTHY_WITHIN_MS = 300_000
const CHECK_EVERY_MS = 500

/** Rejects with the log of the first service that does not become what others wait for. */
export async function startSite(services: Readonly<Record<string, Service>>, runId: string): Promise<Site> {
  const minder = watchOver('containers', runId)
  const ids = new Map<string, string[]>()
  const addresses = new Map<string, string>()
  const starts = new Map<string, Promise<void>>()
  const ends = new Map<string, Promise<void>>()
  const giveUp = new AbortController()

  function started(name: string): Promise<void> {
    return onceOnly(starts, name, async service => {
      for (const [needed, { condition }] of Object.entries(service.depends_on)) {
        if (services[needed] === undefined) continue // of a profile that is off
        await (condition === 'service_started' ? started(needed) : ready(needed))
      }
      ids.set(name, [])
      for (let replica = 1; replica <= service.replicas; replica++) {
        giveUp.signal.throwIfAborted()
        const flags = [...(await portFlags(name, service)), ...containerFlags(service, runId), ...service.command]
        ids.get(name)?.push(await docker('run', '--detach', `--network-alias=${name}`, ...flags))
      }
    })
  }

  /** Healthy; a job without a health check: ended well. */
  function ready(name: string): Promise<void> {
    return onceOnly(ends, name, async service => {
      await started(name)
      for (const id of ids.get(name) ?? []) {
        const problem = service.healthcheck === undefined ? await untilEnded(id) : await untilHealthy(id, service)
        if (problem !== undefined)
          throw new Error(`service ${name} ${problem}; its log ends with:\n${await logs(name)}`)
      }
    })
  }

  function onceOnly(
    done: Map<string, Promise<void>>,
    name: string,
    task: (service: Service) => Promise<void>,
  ): Promise<void> {
    const service = services[name]
    if (service === undefined) throw new Error(`docker-compose.yml has no service ${name}`)
    const promise = done.get(name) ?? task(service)
    done.set(name, promise)
    return promise
  }

  async function portFlags(name: string, { ports }: Service): Promise<readonly string[]> {
    const inside = ports.map(port => port.split(':').at(-1) ?? '')
    const outside = await freePorts(inside.length)
    return inside.map((port, place) => {
      addresses.set(`${name}:${port}`, `127.0.0.1:${outside[place]}`)
      return `--publish=127.0.0.1:${outside[place]}:${port}`
    })
  }

  async function untilEnded(id: string): Promise<string | undefined> {
    const code = await docker('wait', id)
    return code === '0' ? undefined : `exited with ${code}`
  }

  async function untilHealthy(id: string, { healthcheck = [] }: Service): Promise<string | undefined> {
    const until = Date.now() + HEALTHY_WITHIN_MS
    while ((await run('docker', ['exec', id, ...healthcheck.slice(1)])).code !== 0) {
      giveUp.signal.throwIfAborted()
      if ((await docker('inspect', '--format={{.State.Running}}', id)) !== 'true') return 'has ended'
      if (Date.now() > until) return 'does not become healthy'
      await delay(CHECK_EVERY_MS)
    }
    return undefined
  }

  async function logs(name: string): Promise<string> {
    const all = await Promise.all((ids.get(name) ?? []).map(id => run('docker', ['logs', '--tail=50', id])))
    return all.map(({ out, err }) => out + err).join('')
  }

  async function stop(): Promise<void> {
    giveUp.abort(new Error('the site is given up'))
    await removeRun(runId)
    await Promise.allSettled([...starts.values(), ...ends.values()])
    await removeRun(runId)
    minder.dismiss()
  }

  try {
    await docker('network', 'create', ...labelFlags(runId), runId)
    const volumes = Object.values(services).flatMap(service => service.volumes.filter(({ type }) => type === 'volume'))
    for (const source of new Set(volumes.map(({ source }) => source))) {
      await docker('volume', 'create', ...labelFlags(runId), `${runId}-${source}`)
    }
    // as `up --wait` does: all are healthy, and what others wait for to end has ended
    await Promise.all(
      Object.keys(services)
        .filter(name => services[name]?.profiles.length === 0)
        .map(ready),
    )
  } catch (error) {
    await stop()
    throw error
  }
  return {
    ids: name => ids.get(name) ?? [],
    url: (name, port) => `http://${addresses.get(`${name}:${port}`)}`,
    logs,
    runOnce: async (name, args) => {
      const service = services[name]
      if (service === undefined) throw new Error(`docker-compose.yml has no service ${name}`)
      return run('docker', ['run', '--rm', ...containerFlags(service, runId), ...args])
    },
    [Symbol.asyncDispose]: stop,
  }
}

/** Up to the image and the rest of the entrypoint. */
function containerFlags(service: Service, runId: string): readonly string[] {
  const [program, ...rest] = service.entrypoint ?? []
  return [
    `--network=${runId}`,
    ...labelFlags(runId),
    `--read-only=${service.read_only}`,
    ...(service.user === undefined ? [] : [`--user=${service.user}`]),
    ...service.cap_drop.map(cap => `--cap-drop=${cap}`),
    ...service.security_opt.map(option => `--security-opt=${option}`),
    ...(service.memory === undefined ? [] : [`--memory=${service.memory}`]),
    ...Object.entries(service.environment).map(([key, value]) => `--env=${key}=${value}`),
    ...service.volumes.map(({ type, source, target, readOnly, nocopy }) => {
      const from = type === 'volume' ? `${runId}-${source}` : source
      return `--mount=type=${type},source=${from},target=${target}${readOnly ? ',readonly' : ''}${nocopy ? ',volume-nocopy' : ''}`
    }),
    ...(program === undefined ? [] : [`--entrypoint=${program}`]),
    service.image,
    ...rest,
  ]
}
