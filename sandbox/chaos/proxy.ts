/**
 * A TCP proxy that spoils a connection: what chaos puts between the workers and everything they talk to. What passes is
 * delayed, slowed down, swallowed or cut; for Kafka also by the API whose answer goes by.
 */
import { once } from 'node:events'
import { createConnection, createServer, type Socket } from 'node:net'
import type { Random } from '../../platform/clock.ts'
import { splitAddress } from '../kafka/probe.ts'
import { type ApiName, APIS, answerCorrelationId, frameCutter, requestHead } from './frames.ts'

/** What a link does to all that passes it, both ways. */
export type Toxic =
  | { readonly kind: 'latency'; readonly ms: number; readonly jitterMs: number }
  | { readonly kind: 'bandwidth'; readonly bytesPerSecond: number }
  /** Nothing passes, nothing is said, new connections are accepted: a cable that was pulled. */
  | { readonly kind: 'black-hole' }
  /** New connections are reset. */
  | { readonly kind: 'refuse' }
  /** What the far side answers to one API: it did what it was asked, and nobody learns of it. */
  | { readonly kind: 'lose-answer'; readonly api: ApiName }
  | { readonly kind: 'delay-answer'; readonly api: ApiName; readonly ms: number }

export interface Link extends AsyncDisposable {
  readonly port: number
  /** host:port of what it stands for. Until it is set, connections are reset. */
  connectTo(address: string): void
  /** One toxic at a time; null: all passes. What a black hole swallowed stays swallowed: its connections are reset. */
  set(toxic: Toxic | null): void
  /** Resets every connection. */
  cut(): void
  /** Ends one direction of every connection, towards the client; the other goes on. */
  halfClose(): void
  /** How often the toxic that is set has struck. */
  readonly fired: number
}

interface Pair {
  readonly client: Socket
  readonly far: Socket
}

export async function openLink(options: {
  readonly port: number
  readonly random: Random
  readonly protocol: 'kafka' | 'bytes'
}): Promise<Link> {
  const pairs = new Set<Pair>()
  let target: string | null = null
  let toxic: Toxic | null = null
  let fired = 0

  const server = createServer({ pauseOnConnect: true }, client => {
    if (target === null || toxic?.kind === 'refuse') {
      if (toxic?.kind === 'refuse') fired++
      client.resetAndDestroy()
      return
    }
    const pair = { client, far: createConnection(splitAddress(target)) }
    pairs.add(pair)
    const end = (): void => {
      pairs.delete(pair)
      client.destroy()
      pair.far.destroy()
    }
    for (const socket of [client, pair.far]) {
      socket.setNoDelay(true)
      socket.on('error', end)
      socket.on('close', end)
    }
    carry(pair)
  })
  server.listen(options.port, '127.0.0.1')
  await once(server, 'listening')

  function carry({ client, far }: Pair): void {
    const apis = new Map<number, number>()
    const ask = options.protocol === 'kafka' ? frameCutter() : (chunk: Buffer) => [chunk]
    const answer = options.protocol === 'kafka' ? frameCutter() : (chunk: Buffer) => [chunk]
    pass(client, far, ask, frame => {
      if (options.protocol !== 'kafka') return
      const { api, correlationId } = requestHead(frame)
      apis.set(correlationId, api)
    })
    pass(far, client, answer, frame => {
      if (options.protocol !== 'kafka') return undefined
      const id = answerCorrelationId(frame)
      const api = apis.get(id)
      apis.delete(id)
      return api
    })
  }

  /** One direction, in order. `apiOf` tells for an answer which API it belongs to. */
  function pass(
    from: Socket,
    to: Socket,
    cut: (chunk: Buffer) => Buffer[],
    apiOf: (frame: Buffer) => number | undefined,
  ): void {
    const line = openLine(frame => to.write(frame))
    from.on('data', (chunk: Buffer) => {
      try {
        for (const frame of cut(chunk)) {
          const api = apiOf(frame)
          const what = toxic
          switch (what?.kind) {
            case undefined:
            case 'refuse':
              line.send(frame, 0, 0)
              break
            case 'latency':
              fired++
              line.send(frame, what.ms + (options.random() * 2 - 1) * what.jitterMs, 0)
              break
            case 'bandwidth':
              fired++
              line.send(frame, 0, what.bytesPerSecond)
              break
            case 'black-hole':
              fired++
              break
            case 'lose-answer':
              if (api !== APIS[what.api]) line.send(frame, 0, 0)
              else {
                fired++
                to.resetAndDestroy()
                return
              }
              break
            case 'delay-answer': {
              const isIt = api === APIS[what.api]
              if (isIt) fired++
              line.send(frame, isIt ? what.ms : 0, 0)
            }
          }
        }
      } catch {
        from.destroy() // not Kafka's protocol, or a connection that ended meanwhile
      }
    })
    from.on('end', () => line.end(() => to.end()))
    from.resume()
  }

  return {
    port: options.port,
    connectTo: address => {
      target = address
    },
    set(next) {
      const swallowed = toxic?.kind === 'black-hole'
      toxic = next
      fired = 0
      if (swallowed) reset()
    },
    cut: reset,
    halfClose() {
      fired += pairs.size
      for (const { client } of pairs) client.end()
    },
    get fired() {
      return fired
    },
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close')
      server.close()
      for (const { client } of pairs) client.destroy()
      await closed
    },
  }

  function reset(): void {
    fired += pairs.size
    for (const { client } of pairs) client.resetAndDestroy()
  }
}

/** Sends in order, each when its time has come. */
function openLine(write: (frame: Buffer) => void) {
  const waiting: { readonly frame: Buffer; readonly dueMs: number }[] = []
  let freeAtMs = 0
  let ended: (() => void) | null = null
  const pump = (): void => {
    for (let head = waiting[0]; head !== undefined; head = waiting[0]) {
      const restMs = head.dueMs - performance.now()
      if (restMs > 0) return void setTimeout(pump, restMs)
      waiting.shift()
      write(head.frame)
    }
    ended?.()
  }
  return {
    send(frame: Buffer, delayMs: number, bytesPerSecond: number): void {
      const nowMs = performance.now()
      const costMs = bytesPerSecond > 0 ? (frame.length / bytesPerSecond) * 1000 : 0
      freeAtMs = Math.max(freeAtMs, nowMs + delayMs) + costMs
      if (waiting.length === 0 && freeAtMs <= nowMs) return write(frame)
      if (waiting.push({ frame, dueMs: freeAtMs }) === 1) pump()
    },
    end(act: () => void): void {
      if (waiting.length === 0) act()
      else ended = act
    },
  }
}
