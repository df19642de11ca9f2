import { once } from 'node:events'
import type { Server } from 'node:net'
import { createServer } from 'node:net'

/**
 * Below the range from which systems take ports for outgoing connections (Linux from 32768, macOS from 49152): while a
 * broker is down no client socket can sit on its port by chance.
 */
const lowest = 20_000
const highest = 32_000
const taken = new Set<number>()

/** Loopback ports that are free now and were not given out by this process before. */
export async function freePorts(count: number): Promise<number[]> {
  const held: { port: number; server: Server }[] = []
  try {
    for (let tries = 0; held.length < count; tries++) {
      if (tries > 500) throw new Error(`no ${count} free ports between ${lowest} and ${highest} on 127.0.0.1`)
      const port = lowest + Math.floor(Math.random() * (highest - lowest))
      const server = taken.has(port) ? undefined : await listen(port)
      if (server === undefined) continue
      taken.add(port)
      held.push({ port, server })
    }
    return held.map(({ port }) => port)
  } finally {
    await Promise.all(held.map(({ server }) => new Promise(done => server.close(done))))
  }
}

async function listen(port: number): Promise<Server | undefined> {
  const server = createServer()
  try {
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
    return server
  } catch {
    return undefined // somebody has it: the caller takes another
  }
}
